"""What became of a batch: every photo in a Parquet file, and the sum of it on one HTML page."""

from __future__ import annotations

import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from blindsr.cluster.items import Ended
from blindsr.cluster.order import Order
from blindsr.cluster.runs import Run, state_of
from blindsr.cluster.stores import Store
from blindsr.comparison.slider import head, shown, tail
from blindsr.errors import MissingExtraError
from blindsr.system.files import temporary_folder

__all__ = ["Totals", "page_of", "write_report"]

STAGES = ("pull", "decode", "restore", "encode", "push")

_TEXTS = ("source", "target", "status", "kind", "error", "node", "version", "target_version")
_SIDES = ("input_width", "input_height", "output_width", "output_height")

_ROWS = 4096
"""Photos of a row group: what is in memory at a time."""

_SHOWN = 20
"""Errors of each kind that the page shows; the Parquet file has all."""

_KINDS = {
    "photo": "the photo cannot be read, or nothing can be made of it",
    "name": "its result cannot have its name",
    "crash": "it ended the process that had it",
    "memory": "it took too much memory",
    "time": "it took too long",
    "read": "its store did not give it",
    "write": "its result could not be written",
}

_STYLE = """table { border-collapse: collapse; } li { overflow-wrap: anywhere; }
th, td { padding: .2em .8em; text-align: right; border-bottom: 1px solid #8884; }
th:first-child, td:first-child { text-align: left; }"""


@dataclass
class Totals:
    """Sums over photos, whose number has no bound.

    Args:
        counts: Photos by how they ended.
        kinds: Failed photos by the kind of error.
        errors: Some errors of each kind.
        seconds: By stage.
        megapixels: Of the results, by machine.
        restoring: Seconds of decoding, restoring and encoding, by machine.
        photos: By machine.
    """

    counts: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    errors: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    megapixels: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    restoring: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    photos: Counter[str] = field(default_factory=Counter)

    def add(self, ended: Ended) -> None:
        """One photo more."""
        self.counts[ended.status] += 1
        for stage, seconds in ended.seconds.items():
            self.seconds[stage] += seconds
        if ended.status == "failed":
            self.kinds[ended.kind] += 1
            if len(self.errors[ended.kind]) < _SHOWN:
                self.errors[ended.kind].append(ended.error)
        if ended.status == "done" and ended.output_size is not None:
            self.photos[ended.node] += 1
            self.megapixels[ended.node] += ended.output_size[0] * ended.output_size[1] / 1e6
            self.restoring[ended.node] += sum(ended.seconds.get(stage, 0.0) for stage in STAGES[1:4])


def write_report(run: Run, out: Store, order: Order) -> str:
    """Write both files to where runs keep what they know; gives the page's whole name.

    Args:
        run: The run, with what it goes on from.
        out: The store of results.
        order: What was done.

    Raises:
        StoreError: The store does not take them.
        MissingExtraError: There is no pyarrow.
    """
    state, totals = state_of(out), Totals()
    with temporary_folder(Path(tempfile.gettempdir())) as folder:
        _write_rows(run.all_ended(), folder / "report.parquet", totals)
        state.push(folder / "report.parquet", "report.parquet")
    state.write("report.html", page_of(totals, order, out.full("")).encode())
    return state.full("report.html")


def _write_rows(ended: Iterator[Ended], path: Path, totals: Totals) -> None:
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise MissingExtraError("the report", "cluster", "pyarrow") from error
    schema = pyarrow.schema(
        [
            *((name, pyarrow.string()) for name in _TEXTS),
            *((name, pyarrow.int32()) for name in _SIDES),
            *((f"seconds_{stage}", pyarrow.float32()) for stage in STAGES),
        ]
    )
    with pyarrow.parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        while rows := list(islice(ended, _ROWS)):
            for one in rows:
                totals.add(one)
            writer.write_table(pyarrow.Table.from_pylist([_row(one) for one in rows], schema))


def _row(ended: Ended) -> dict[str, Any]:
    sides = *(ended.input_size or (None, None)), *(ended.output_size or (None, None))
    return {
        **{name: getattr(ended, name).encode("utf-8", "replace").decode() for name in _TEXTS},
        **dict(zip(_SIDES, sides, strict=True)),
        **{f"seconds_{stage}": ended.seconds.get(stage) for stage in STAGES},
    }


def page_of(totals: Totals, order: Order, place: str) -> str:
    """The page's HTML: it holds everything it shows, and loads nothing.

    Args:
        totals: The sums.
        order: What was done.
        place: Where the results are.
    """
    counts = _table(("photos", ""), [(name, str(count)) for name, count in totals.counts.most_common()])
    stages = _table(
        ("stage", "seconds in all", "a photo"),
        [
            (
                stage,
                f"{totals.seconds[stage]:.1f}",
                f"{totals.seconds[stage] / max(1, totals.counts['done']):.3f}",
            )
            for stage in STAGES
        ],
    )
    nodes = _table(
        ("machine", "photos", "megapixels of results", "a second in work"),
        [
            (node, str(totals.photos[node]), f"{size:.1f}", f"{size / max(1e-9, totals.restoring[node]):.2f}")
            for node, size in sorted(totals.megapixels.items())
        ],
    )
    errors = "".join(_errors(kind, count, totals.errors[kind]) for kind, count in totals.kinds.most_common())
    return (
        head("Batch on a cluster", [], "", _STYLE)
        + f"<h1>Batch on a cluster</h1>\n<p>{shown(order.title)}, into {shown(place)}</p>\n"
        + f"<h2>Photos</h2>\n{counts}<h2>Time</h2>\n{stages}<h2>Machines</h2>\n{nodes}"
        + (f"<h2>Errors</h2>\n{errors}" if errors else "")
        + tail("")
    )


def _errors(kind: str, count: int, texts: list[str]) -> str:
    lines = "".join(f"<li>{shown(text)}</li>\n" for text in texts)
    more = f"<p>and {count - len(texts)} more: report.parquet has all</p>\n" if count > len(texts) else ""
    return f"<h3>{count}: {shown(_KINDS.get(kind, kind))}</h3>\n<ul>{lines}</ul>\n{more}"


def _table(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    body = "".join(f"<tr>{''.join(f'<td>{shown(cell)}</td>' for cell in row)}</tr>\n" for row in rows)
    top = "".join(f"<th>{one}</th>" for one in heads)
    return f"<table><thead><tr>{top}</tr></thead>\n<tbody>{body}</tbody></table>\n"
