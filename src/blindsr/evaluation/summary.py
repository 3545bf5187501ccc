"""Results as tables: means of each cell, and the files that other programs read."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from blindsr.errors import InputError
from blindsr.evaluation.metric_specs import Convention, MetricSpec, Pixels
from blindsr.evaluation.runner import Cell, Result
from blindsr.system.files import atomic_path
from blindsr.system.lines import finite
from blindsr.version import __version__


@dataclass(frozen=True)
class Mean:
    """One method in one cell.

    Args:
        scores: Mean of each metric over the pictures that have a value.
        ms_per_megapixel: Milliseconds for each megapixel of output, over all pictures together.
        count: Pictures that were measured.
        failed: Pictures that were not.
    """

    scores: dict[str, float]
    ms_per_megapixel: float
    count: int
    failed: int


@dataclass(frozen=True)
class Table:
    """One benchmark.

    Args:
        benchmark: Its name.
        scale: Its scale.
        convention: What its values were measured under, in words.
        methods: Titles of those who took part, in order.
        specs: The columns that have values.
        rows: Means by degradation and method.
        memory: Peak memory by method, bytes, of those of whom it is known (see `peak_memory`).
    """

    benchmark: str
    scale: int
    convention: str
    methods: list[str]
    specs: list[MetricSpec]
    rows: dict[str, dict[str, Mean]] = field(default_factory=dict)
    memory: dict[str, int] = field(default_factory=dict)

    def best(self, row: dict[str, Mean], spec: MetricSpec) -> float | None:
        """The best value of a row as it is written, among those who have all pictures."""
        values = [
            mean.scores[spec.name] for mean in row.values() if spec.name in mean.scores and not mean.failed
        ]
        if not values:
            return None
        return round(max(values) if spec.higher_is_better else min(values), spec.digits)

    def total(self) -> dict[str, Mean]:
        """Means over the degradations, of those who took part in all of them."""
        found: dict[str, Mean] = {}
        for title in self.methods:
            means = [row[title] for row in self.rows.values() if title in row]
            if len(means) == len(self.rows):
                names = [m.name for m in self.specs if all(m.name in mean.scores for mean in means)]
                scores = {name: _mean([mean.scores[name] for mean in means]) for name in names}
                speeds = _mean([mean.ms_per_megapixel for mean in means])
                count, failed = (sum(getattr(mean, key) for mean in means) for key in ("count", "failed"))
                found[title] = Mean(scores, speeds, count, failed)
        return found


def tables_of(
    results: Sequence[Result],
    cells: Sequence[Cell],
    specs: Sequence[MetricSpec],
    memory: Mapping[str, int] | None = None,
) -> list[Table]:
    """Means of all cells, a table for each benchmark.

    Args:
        results: Of all cells.
        cells: In the order of the rows.
        specs: In the order of the values.
        memory: Peak memory by method, bytes.
    """
    tables: dict[str, Table] = {}
    for cell in cells:
        name = cell.benchmark.name
        inside = [r for r in results if (r.benchmark, r.degradation) == (name, cell.title)]
        if name not in tables:
            own = [r for r in results if r.benchmark == name]
            tables[name] = Table(
                name,
                cell.benchmark.scale,
                str(cell.convention),
                list(dict.fromkeys(r.method for r in own)),
                [m for m in specs if any(m.name in r.scores for r in own)],
            )
            taking_part = tables[name].methods
            tables[name].memory.update({k: v for k, v in (memory or {}).items() if k in taking_part})
        table = tables[name]
        row = table.rows.setdefault(cell.title, {})
        for title in table.methods:
            row[title] = _summarise([r for r in inside if r.method == title])
    return list(tables.values())


def as_csv(results: Sequence[Result], specs: Sequence[MetricSpec]) -> str:
    """One line for each picture and method."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = [spec.name for spec in specs]
    writer.writerow(
        ["benchmark", "degradation", "picture", "method", *names, "seconds", "width", "height", "error"]
    )
    for r in results:
        values = [repr(r.scores[name]) if name in r.scores else "" for name in names]
        sizes = ["", "", ""] if r.error else [repr(r.seconds), str(r.width), str(r.height)]
        writer.writerow([r.benchmark, r.degradation, r.sample, r.method, *values, *sizes, r.error])
    return text.getvalue()


def as_json(results: Sequence[Result], tables: Sequence[Table]) -> str:
    """Everything: the means and every picture; infinity is written "inf", because JSON has no word for it."""
    content = {
        "format": "blindsr evaluation",
        "version": 2,
        "blindsr": __version__,
        "benchmarks": [
            {
                "name": table.benchmark,
                "scale": table.scale,
                "convention": table.convention,
                "peak_memory": table.memory,
                "metrics": [
                    {
                        "name": m.name,
                        "title": m.title,
                        "digits": m.digits,
                        "higher_is_better": m.higher_is_better,
                    }
                    for m in table.specs
                ],
                "rows": [
                    {"degradation": title, "methods": {name: asdict(mean) for name, mean in row.items()}}
                    for title, row in table.rows.items()
                ],
            }
            for table in tables
        ],
        "pictures": [asdict(result) for result in results],
    }
    return json.dumps(finite(content), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def as_objects(tables: Sequence[Table]) -> Iterator[dict[str, Any]]:
    """The means, an object for each method under each degradation of each test set."""
    for table in tables:
        for degradation, row in table.rows.items():
            for method, mean in row.items():
                yield {
                    "benchmark": table.benchmark,
                    "scale": table.scale,
                    "degradation": degradation,
                    "method": method,
                    **asdict(mean),
                }


def as_markdown(tables: Sequence[Table], speed: bool = True) -> str:
    """A table for each benchmark, the best of each row in bold.

    Args:
        tables: The means.
        speed: Whether the last rows tell milliseconds for each megapixel of output, and memory if known.
    """
    blocks = []
    for table in tables:
        names = " / ".join(spec.title for spec in table.specs)
        lines = [f"**{table.benchmark} x{table.scale}**, {names}; {table.convention}", ""]
        lines += ["| degradation | " + " | ".join(table.methods) + " |"]
        lines += ["|---|" + "---|" * len(table.methods)]
        rows = dict(table.rows)
        if len(rows) > 1:
            rows["mean"] = table.total()
        for title, row in rows.items():
            cells = [written(table, row, name) for name in table.methods]
            lines.append(f"| {title} | " + " | ".join(cells) + " |")
        if speed:
            lines += [f"| {title} | " + " | ".join(cells) + " |" for title, cells in costs(table).items()]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def as_standings(table: Table) -> str:
    """A table in Markdown with a row for each method and a column for each degradation."""
    specs = " / ".join(spec.title for spec in table.specs)
    rows = dict(table.rows)
    if len(rows) > 1:
        rows["mean"] = table.total()
    columns = {
        title: [written(table, row, name) for name in table.methods] for title, row in rows.items()
    } | costs(table)
    lines = [f"**{table.benchmark} x{table.scale}**, {specs}; {table.convention}", ""]
    lines += ["| | " + " | ".join(columns) + " |", "|---|" + "---|" * len(columns)]
    for i, name in enumerate(table.methods):
        lines.append(f"| {name} | " + " | ".join(column[i] for column in columns.values()) + " |")
    return "\n".join(lines)


def read_tables(content: Mapping[str, Any], where: str) -> list[Table]:
    """The tables that `as_json` has written.

    Args:
        content: What the JSON holds.
        where: What an error message begins with.

    Raises:
        InputError: It is no such content.
    """
    tables = []
    try:
        if content["format"] != "blindsr evaluation":
            raise ValueError(content["format"])
        for benchmark in content["benchmarks"]:
            specs = [
                MetricSpec(
                    m["name"], m["title"], m["digits"], m["higher_is_better"], True, _measured_elsewhere
                )
                for m in benchmark["metrics"]
            ]
            rows = {
                row["degradation"]: {
                    name: Mean(**{**mean, "scores": {k: float(v) for k, v in mean["scores"].items()}})
                    for name, mean in row["methods"].items()
                }
                for row in benchmark["rows"]
            }
            methods = list(dict.fromkeys(name for row in rows.values() for name in row))
            tables.append(
                Table(
                    benchmark["name"],
                    benchmark["scale"],
                    benchmark["convention"],
                    methods,
                    specs,
                    rows,
                    dict(benchmark["peak_memory"]),
                )
            )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{where}: not the results of an evaluation ({error!r}); measure again") from error
    return tables


def _measured_elsewhere(restored: Pixels, truth: Pixels | None, convention: Convention) -> float:
    """What stands for a metric of which only the values are known."""
    raise InputError("these values were read from a file; measure anew with blindsr evaluate")


def written(table: Table, row: dict[str, Mean], method: str, bold: tuple[str, str] = ("**", "**")) -> str:
    """One method's values in a row, and how many pictures failed.

    Args:
        table: Where it is.
        row: Of it.
        method: Whose.
        bold: What is put around the best value of the row.
    """
    mean = row.get(method)
    if mean is None or (not mean.scores and not mean.failed):
        return "-"
    texts = []
    for spec in table.specs:
        value = mean.scores.get(spec.name)
        if value is None:
            texts.append("-")
            continue
        best = not mean.failed and round(value, spec.digits) == table.best(row, spec)
        text = spec.write(value)
        texts.append(f"{bold[0]}{text}{bold[1]}" if best and len(table.methods) > 1 else text)
    failed = f" ({mean.failed} failed)" if mean.failed else ""
    return " / ".join(texts) + failed


def costs(table: Table) -> dict[str, list[str]]:
    """What every method costs, as it is shown: rows by their title.

    Milliseconds for each megapixel of output; and peak memory in millions of bytes, if it is known of any.
    """
    means = [table.total().get(name) for name in table.methods]
    rows = {
        "ms / MP": [
            "-" if mean is None or not mean.count else f"{mean.ms_per_megapixel:.0f}" for mean in means
        ]
    }
    if table.memory:
        known = (table.memory.get(name) for name in table.methods)
        rows["peak MB"] = ["-" if taken is None else f"{taken / 1e6:.0f}" for taken in known]
    return rows


def write_text(path: Path, text: str) -> None:
    """Write a file of results, its folder made if need be.

    Raises:
        InputError: It cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary:
            temporary.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from error


def _summarise(results: Sequence[Result]) -> Mean:
    good = [result for result in results if not result.error]
    names = dict.fromkeys(name for result in good for name in result.scores)
    scores = {name: _mean([r.scores[name] for r in good if name in r.scores]) for name in names}
    megapixels = sum(result.width * result.height for result in good) / 1e6
    speed = 1e3 * sum(result.seconds for result in good) / megapixels if megapixels else 0.0
    return Mean(scores, speed, len(good), len(results) - len(good))


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if all(map(math.isfinite, values)) else sum(values) / len(values)
