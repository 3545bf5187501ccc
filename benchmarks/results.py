"""The comparisons of docs/results/quality.md: measured by one command, written into the page by a second.

    python benchmarks/results.py measure
    python benchmarks/results.py write

The first measures our shipped models beside bicubic interpolation and every model in the folder of peers, on
each of SECTIONS: pictures, seconds, and peak memory. It is one process with one model loaded at a time. What
was measured is on the disk at once: interrupted, it goes on where it ended when the command is given again,
and a section that is done is not measured twice. `--pictures 1` tries everything on one picture of each set.

The second puts the tables, and the published ones, between the lines

    <!-- generated: NAME -->
    <!-- end: NAME -->

of the page, and leaves all else as it is.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from peers import written_peers
from PIL import Image, ImageDraw, ImageFont
from places import DATA, METRICS, PEER_FILES, ROOT, metric_files
from published import PUBLISHED, as_markdown

from blindsr.dataset.layouts import Sample
from blindsr.errors import BlindSRError, InputError
from blindsr.evaluation.benchmarks import Benchmark, find_benchmark
from blindsr.evaluation.crops import densest
from blindsr.evaluation.methods import Method, find_method
from blindsr.evaluation.metric_specs import find_metric_specs, metric_specs_from
from blindsr.evaluation.peak_memory import SIDE, peak_memory
from blindsr.evaluation.result_cache import ResultCache
from blindsr.evaluation.runner import EvaluationSample, Result, cells_of, evaluate
from blindsr.evaluation.summary import as_json, as_standings, read_tables, tables_of, write_text
from blindsr.models.catalogue import available_models

RECORDS = ROOT / ".cache" / "results"
PAGE = ROOT / "docs" / "results" / "quality.md"

MADE = ("", "blur=2.6", "noise=15", "jpeg=40", "blur=1.3,noise=10,jpeg=60", "real-esrgan")
"""Clean, blur, noise, JPEG, all three, and the two-stage degradation."""
INTERVAL = 10.0
"""Seconds between two lines of progress."""


@dataclass(frozen=True)
class Section:
    """One table.

    Args:
        benchmark: Its name.
        degradations: As `--degrade` has them; none takes the LR pictures that there are.
        metrics: What is measured; what needs a file that is not there is left out.
    """

    benchmark: str
    degradations: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ("psnr", "ssim", "lpips")


SECTIONS = {
    "set5": Section("Set5", MADE),
    "set14": Section("Set14", MADE),
    "city100": Section("City100"),
    "city100-x4": Section("City100-x4"),
    "realsrset": Section("RealSRSet", (), ("niqe",)),
}

app = typer.Typer(add_completion=False, help=__doc__.splitlines()[0] if __doc__ else None)


@app.command()
def measure(
    model: Annotated[
        list[str] | None, typer.Option(help="[TITLE=]NAME|PATH; default: every model that is shipped.")
    ] = None,
    only: Annotated[list[str] | None, typer.Option(help=f"Sections: {', '.join(SECTIONS)}.")] = None,
    data: Annotated[Path, typer.Option(help="Folder that the sets lie below.")] = DATA,
    peers: Annotated[Path, typer.Option(help="Folder of the peers' files.")] = PEER_FILES,
    metrics: Annotated[Path, typer.Option(help="Folder of what NIQE and LPIPS need.")] = METRICS,
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder of the results.")] = RECORDS,
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 2,
    pictures: Annotated[int | None, typer.Option(min=1, help="Only the first of each set.")] = None,
    memory: Annotated[bool, typer.Option("--memory/--no-memory", help="Measure peak memory too.")] = True,
) -> None:
    """Measure everything; what is known is not measured again."""
    try:
        texts = ["bicubic", "input", *(model or available_models()), *written_peers(peers)]
        cache, progress = ResultCache(out / "records.jsonl"), Progress()
        methods = [find_method(text, "cpu", threads) for text in texts]
        absent: dict[str, str] = {}
        for number, name in enumerate(only or SECTIONS, 1):
            if name not in SECTIONS:
                raise InputError(f"--only {name}: there are {', '.join(SECTIONS)}")
            progress.begin(f"[{number}/{len(only or SECTIONS)}] {name}")
            content = measure_section(
                SECTIONS[name], methods, data, metrics, cache, absent, progress, pictures
            )
            if memory:
                taken = {
                    c.title: peak_memory(text, c, "cpu", threads, cache)
                    for text, c in zip(texts, methods, strict=True)
                    if any(c.title in row["methods"] for row in content["benchmarks"][0]["rows"])
                }
                content["benchmarks"][0]["peak_memory"] = {k: v for k, v in taken.items() if v is not None}
            content |= {"pictures_of_each": pictures, "threads": threads, "absent": absent}
            write_text(out / f"{name}.json", json.dumps(content, indent=1, ensure_ascii=False) + "\n")
            progress.say("done")
    except BlindSRError as error:
        print(f"results: {error}", file=sys.stderr)
        raise typer.Exit(2) from None


def measure_section(
    section: Section,
    methods: Sequence[Method],
    data: Path,
    metrics: Path,
    cache: ResultCache,
    absent: dict[str, str],
    progress: Progress,
    pictures: int | None,
) -> dict[str, object]:
    """Measure a section, a method at a time; those that cannot run are noted in `absent`, and why."""
    benchmark = find_benchmark(section.benchmark, data)
    benchmark = replace(benchmark, samples=benchmark.samples[:pictures])
    cells = cells_of(benchmark, section.degradations)
    known = metric_specs_from(*metric_files(metrics))
    specs = find_metric_specs([name for name in section.metrics if name in known], known)
    if not specs:
        raise InputError(f"{metrics}: holds nothing for {', '.join(section.metrics)}")
    progress.total = len(cells) * len(benchmark.samples) * len(methods)
    results: list[Result] = []
    for number, method in enumerate(methods):
        progress.done = number * len(cells) * len(benchmark.samples)
        if method.title in absent:
            continue
        found = evaluate([method], cells, specs, cache, on_result=progress.result)
        method.__dict__.pop("restorer", None)  # one network in memory is enough
        if found and all(result.error for result in found):
            absent[method.title] = found[0].error
            continue
        results += found
    content: dict[str, object] = json.loads(as_json(results, tables_of(results, cells, specs)))
    return content


class Progress:
    """A line now and then on stderr: which section, how far, how long."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.total = self.done = 0
        self._clock = clock
        self._began = self._said = clock()
        self._name = ""

    def begin(self, name: str) -> None:
        """Another section."""
        self._name, self.done = name, 0
        self.say("begins")

    def result(self, result: Result) -> None:
        """Another picture."""
        self.done += 1
        if self._clock() - self._said >= INTERVAL:
            where = f"{result.degradation}, {result.sample}, {result.method}"
            self.say(f"{self.done} of {self.total}: {where}")

    def say(self, text: str) -> None:
        """One line."""
        self._said = self._clock()
        minutes = (self._said - self._began) / 60
        print(f"{self._name}: {text} ({minutes:.1f} min)", file=sys.stderr, flush=True)


@app.command()
def write(
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder of the results.")] = RECORDS,
    page: Annotated[Path, typer.Option(help="The page.")] = PAGE,
) -> None:
    """Write the tables into the page."""
    try:
        blocks = {
            name: block_of(out / f"{name}.json") for name in SECTIONS if (out / f"{name}.json").is_file()
        }
        blocks["published"] = "\n\n".join(map(as_markdown, PUBLISHED))
        try:
            text = page.read_text(encoding="utf-8")
        except OSError as error:
            raise InputError(f"{page}: cannot be read ({error.strerror})") from error
        write_text(page, insert(text, blocks, str(page)))
    except BlindSRError as error:
        print(f"results: {error}", file=sys.stderr)
        raise typer.Exit(2) from None
    print(f"{page}: {', '.join(blocks)}")


def block_of(file: Path) -> str:
    """The tables of a section as the page has them."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: cannot be read ({error}); measure it again") from error
    parts = [as_standings(table) for table in read_tables(content, str(file))]
    notes = [f"CPU threads: {content['threads']}. Peak MB: a process that restores {SIDE}x{SIDE} pixels."]
    if content["pictures_of_each"] is not None:
        notes.append(f"A trial: only {content['pictures_of_each']} of each set's pictures.")
    if content["absent"]:
        reasons = "; ".join(f"{title} ({brief(reason)})" for title, reason in content["absent"].items())
        notes.append(f"Took no part: {reasons}.")
    return "\n\n".join([*parts, " ".join(notes)])


def brief(reason: str) -> str:
    """Why one took no part, without this machine's folders and without advice."""
    place, colon, why = reason.partition(": ")
    if Path(place).is_absolute():  # there may be spaces in it
        place = Path(place).name
    return re.sub(r"\S*/", "", f"{place}{colon}{why}").partition(": pip install")[0]


def insert(text: str, blocks: dict[str, str], where: str) -> str:
    """Put blocks between their lines; what has no lines in the text is left out, but one at least must have.

    Raises:
        InputError: None has, or a line that begins a block is without the one that ends it.
    """
    placed = 0
    for name, block in blocks.items():
        begin, end = f"<!-- generated: {name} -->", f"<!-- end: {name} -->"
        if begin not in text:
            continue
        pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
        if not pattern.search(text):
            raise InputError(f"{where}: {begin} without {end} after it")
        whole = f"{begin}\n\n{block}\n\n{end}"
        text = pattern.sub(lambda _, whole=whole: whole, text, count=1)  # type: ignore[misc]
        placed += 1
    if not placed:
        raise InputError(f"{where}: no line such as <!-- generated: {next(iter(blocks))} --> in it")
    return text


@app.command()
def sheet(
    photo: Annotated[Path, typer.Argument(help="An HR picture, or with --given an LR one.")],
    model: Annotated[list[str] | None, typer.Option(help="As of `measure`.")] = None,
    peers: Annotated[Path, typer.Option(help="Folder of the peers' files.")] = PEER_FILES,
    given: Annotated[bool, typer.Option("--given", help="Restore the picture as it is.")] = False,
    side: Annotated[int, typer.Option(help="Side of the crop, LR pixels.")] = 64,
    panel: Annotated[int, typer.Option(help="Side of a panel, pixels.")] = 320,
    out: Annotated[Path, typer.Option("-o", "--out", help="The sheet, .png or .jpg.")] = RECORDS
    / "sheet.png",
) -> None:
    """One picture by everyone, labelled: a wrong pixel range or channel order is to be seen."""
    try:
        sample = Sample(photo.stem, None if given else photo, photo if given else None)
        benchmark = Benchmark("sheet", 4, [sample])
        (cell,) = cells_of(benchmark, () if given else ("",))
        item = EvaluationSample(cell, benchmark.samples[0], 0)
        lr, scale = item.lr, benchmark.scale
        side = min(side, *lr.shape[:2])
        top, left = densest(lr, side)

        def crop(picture: np.ndarray, times: int) -> Image.Image:
            part = picture[top * times : (top + side) * times, left * times : (left + side) * times]
            levels = np.floor(part.clip(0, 1) * 255 + 0.5).astype(np.uint8)
            image = Image.fromarray(levels if levels.shape[2] == 3 else levels.repeat(3, axis=2))
            return image.resize((panel, panel), Image.Resampling.NEAREST)

        panels = [("LR", crop(lr, 1))]
        for text in ["bicubic", *(model or available_models()), *written_peers(peers)]:
            method = find_method(text, "cpu", None)
            try:
                restorer = method.restorer
                if restorer.scale in (None, scale):
                    panels.append((method.title, crop(restorer.restore(lr, scale), scale)))
            except BlindSRError as error:
                print(f"{method.title}: {error}", file=sys.stderr)
            method.__dict__.pop("restorer", None)
        if item.truth is not None:
            panels.append(("ground truth", crop(item.truth, scale)))
        draw_sheet(panels, panel).save(out)
    except BlindSRError as error:
        print(f"results: {error}", file=sys.stderr)
        raise typer.Exit(2) from None
    print(out)


def draw_sheet(panels: Sequence[tuple[str, Image.Image]], panel: int, across: int = 4) -> Image.Image:
    """Panels with their titles above them, in rows."""
    label = 24
    rows = -(-len(panels) // across)
    canvas = Image.new("RGB", (across * panel, rows * (panel + label)), "white")
    pen = ImageDraw.Draw(canvas)
    for i, (title, image) in enumerate(panels):
        x, y = i % across * panel, i // across * (panel + label)
        pen.text((x + 4, y + 4), title, fill="black", font=ImageFont.load_default(14))
        canvas.paste(image, (x, y + label))
    return canvas


if __name__ == "__main__":
    app()
