"""How models look, and how sure that is: PSNR, SSIM, LPIPS and NIQE over several draws of the degradations.

    python benchmarks/perception.py --model cria-x4-compact --peer realesrgan --peer lsdir
    python benchmarks/perception.py --model runs/cria/model --texture 0.6 --texture 1 --cases camera --draws 2
    python benchmarks/perception.py --data kept-back --peer realesrgan --peer x4plus --draws 1
    python benchmarks/perception.py --data City100-x4 --cases given

Pictures are degraded in five ways (`CASES`), of which "camera", "real-esrgan" and "noise15" come in several
draws: image i of n in draw k has the seed k n + i (`blindsr evaluate` has draw 0 alone). The others are the
same in every draw, and are taken once. "kept-back" are the photos that training sets apart, of which those
larger than 512 pixels are cut to their middle.

Printed for each case are each model's means with the standard error over the pictures, and its lead over the
reference (the first peer, if not told otherwise) with the standard error of the paired differences. Pictures
are what differs most, and the draws of one picture are no news of another: so a picture counts once, by its
mean over the draws.

RGB, 4 pixels of border left out (none by LPIPS and NIQE), 8 bit; LPIPS on SqueezeNet, as it is and with the
models' own grid taken away (docs/metrics.md); LPIPS and NIQE are better when lower. Our models run in fp32.
Scores and the peers' pictures are kept in .cache, so that a further model costs its own time alone.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from kept import kept
from numpy.typing import NDArray
from peers import PEERS, find_peer
from PIL import Image
from places import DATA, KEPT_BACK, METRICS, PEER_FILES, QUALITY_RECORDS, TRAINING_PHOTOS, metric_files

from blindsr.dataset.layouts import training_photos
from blindsr.dataset.photos import split_holdout
from blindsr.degradation import Degradation
from blindsr.engine.opening import is_foreign
from blindsr.errors import BlindSRError, InputError
from blindsr.evaluation.benchmarks import Benchmark, find_benchmark, folder_benchmark
from blindsr.evaluation.methods import INTERPOLATIONS, Method, find_method
from blindsr.evaluation.metric_specs import Convention, MetricSpec, find_metric_specs, metric_specs_from
from blindsr.evaluation.result_cache import ResultCache
from blindsr.evaluation.runner import GIVEN, Cell, Result, cells_of, evaluate
from blindsr.evaluation.summary import write_text

SCALE = 4
CASES = {
    "clean": "",
    "camera": "camera",
    "real-esrgan": "real-esrgan",
    "noise15": "noise=15",
    "jpeg40": "jpeg=40",
    GIVEN: GIVEN,
}
"""Degradations by their names here; the last takes the LR pictures that there are."""
SCORES = ("psnr", "ssim", "lpips", "lpips-no-grid", "niqe")
HELD_OUT = 8  # photos that the recipes of training set apart
LARGEST = 512  # pixels of a side of theirs

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A mean, and how far it may be from that of all pictures of this kind.

    Args:
        mean: Over pictures, of which each counts by its mean over the draws.
        error: Standard error; NaN of a single picture.
    """

    mean: float
    error: float

    @classmethod
    def of(cls, values: Values) -> Estimate:
        """From (draws, pictures)."""
        pictures = values.mean(0)
        error = pictures.std(ddof=1) / np.sqrt(len(pictures)) if len(pictures) > 1 else np.nan
        return cls(float(pictures.mean()), float(error))

    def write(self, digits: int, sign: str = "") -> str:
        """As a table shows it."""
        return f"{self.mean:{sign}.{digits}f} ± {self.error:.{digits}f}"


def find_pictures_of(name: str, data: Path, photos: int | None, largest: int = LARGEST) -> Benchmark:
    """A set at x4 under this page's convention: a name, "kept-back", or NAME=PATH of ground truth."""
    if name == "kept-back":
        found = folder_benchmark(name, str(cut_kept_back(data, largest=largest)), SCALE, degraded=True)
    elif "=" in name:
        found = folder_benchmark(*name.split("=", 1), SCALE, degraded=True)
    else:
        found = find_benchmark(name, data, SCALE)
    return replace(found, samples=found.samples[:photos], convention=Convention("rgb", border=SCALE))


def cut_kept_back(data: Path, folder: Path = KEPT_BACK, largest: int = LARGEST) -> Path:
    """Write the middle of each photo that training sets apart, once; each size has a folder of its own."""
    folder = folder if largest == LARGEST else folder.with_name(f"{folder.name}-{largest}")
    folder.mkdir(parents=True, exist_ok=True)
    for file in split_holdout(training_photos(data / TRAINING_PHOTOS.name), HELD_OUT)[0]:
        written = folder / f"{file.stem}.png"
        if not written.is_file():
            with Image.open(file) as image:
                photo = image.convert("RGB")
            width, height = (min(side, largest) for side in photo.size)
            left, top = (photo.width - width) // 2, (photo.height - height) // 2
            photo.crop((left, top, left + width, top + height)).save(written)
    return folder


def cells(benchmark: Benchmark, cases: Sequence[str], draws: int) -> dict[str, Cell]:
    """Where the models meet, by the case: the pictures once for each draw, where draws differ."""
    found = {}
    for case in cases:
        if case not in CASES:
            raise InputError(f"--cases {case}: there are {', '.join(CASES)}")
        (cell,) = cells_of(benchmark, [CASES[case]])
        if cell.degradation is None or _always_the_same(cell.degradation):
            found[case] = cell
        else:
            found[case] = replace(cell, benchmark=replace(benchmark, samples=list(benchmark.samples) * draws))
    return found


def _always_the_same(task: object) -> bool:
    return isinstance(task, Degradation) and not task.noise and not task.poisson


def scores_of(
    results: Sequence[Result], specs: Sequence[MetricSpec], pictures: int
) -> dict[str, dict[str, Values]]:
    """Values by model and metric, (draws, pictures) each.

    Raises:
        InputError: A picture failed.
    """
    failed = [result for result in results if result.error]
    if failed:
        raise InputError(f"{len(failed)} pictures failed; the first: {failed[0].error}")
    found: dict[str, dict[str, Values]] = {}
    for title in dict.fromkeys(result.method for result in results):
        own = [result.scores for result in results if result.method == title]
        found[title] = {m.name: np.array([s[m.name] for s in own]).reshape(-1, pictures) for m in specs}
    return found


def table(scores: dict[str, dict[str, Values]], specs: Sequence[MetricSpec], reference: str) -> str:
    """Means, and below them the leads over the reference, in Markdown."""
    lines = ["| | " + " | ".join(m.title for m in specs) + " |", "|---|" + "---|" * len(specs)]
    for title, own in scores.items():
        cells = [Estimate.of(own[m.name]).write(m.digits) for m in specs]
        lines.append(f"| {title} | {' | '.join(cells)} |")
        if title != reference:
            leads = [Estimate.of(own[m.name] - scores[reference][m.name]) for m in specs]
            cells = [lead.write(m.digits, "+") for lead, m in zip(leads, specs, strict=True)]
            lines.append(f"| &nbsp; less {reference} | {' | '.join(cells)} |")
    return "\n".join(lines)


def methods_of(
    models: Sequence[str], textures: Sequence[float], peers: Sequence[str], folder: Path, threads: int
) -> list[Method]:
    """The peers, whose pictures are kept, then ours in fp32."""
    found = [kept(find_peer(name, folder, threads)) for name in peers]
    for name in models:
        for value in textures or [None]:
            settings = [] if value is None else [f"texture={value:g}"]
            plain = "@" in name or name in INTERPOLATIONS or is_foreign(name)
            written = name if plain and not settings else f"{name}@{','.join([*settings, 'fp32'])}"
            found.append(find_method(written, "cpu", threads))
    return found


def main(
    model: Annotated[
        list[str] | None,
        typer.Option(help="As of `blindsr evaluate`; default cria-x4-compact; none for none."),
    ] = None,
    texture: Annotated[list[float] | None, typer.Option(help="Textures to try; default: its own.")] = None,
    peer: Annotated[
        list[str] | None,
        typer.Option(help=f"Of {', '.join(PEERS)}; default realesrgan; none for none."),
    ] = None,
    reference: Annotated[
        str | None, typer.Option(help="Leads over whom, by its title; default: the first.")
    ] = None,
    data_set: Annotated[
        list[str] | None,
        typer.Option("--data", help="A set of `blindsr evaluate`, kept-back, or NAME=PATH; default Set14."),
    ] = None,
    cases: Annotated[str, typer.Option(help=f"Of {', '.join(CASES)}, joined by commas.")] = ",".join(
        case for case in CASES if case != GIVEN
    ),
    scores: Annotated[
        str | None, typer.Option(help=f"Of {', '.join(SCORES)}; default: all that files are there for.")
    ] = None,
    draws: Annotated[int, typer.Option(min=1, help="Draws of the degradations.")] = 6,
    photos: Annotated[int | None, typer.Option(min=1, help="Only the first of each set.")] = None,
    largest: Annotated[int, typer.Option(min=64, help="Side of what is cut out of kept-back.")] = LARGEST,
    root: Annotated[Path, typer.Option(help="Folder that the sets lie below.")] = DATA,
    peers: Annotated[Path, typer.Option(help="Where the peers' files are.")] = PEER_FILES,
    metrics: Annotated[Path, typer.Option(help="Where LPIPS's and NIQE's files are.")] = METRICS,
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 2,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write every value here.")] = None,
) -> None:
    """Print means and leads."""
    try:
        names = [
            [n for n in given or [usual] if n != "none"]
            for given, usual in ((model, "cria-x4-compact"), (peer, "realesrgan"))
        ]
        methods = methods_of(names[0], texture or [], names[1], peers, threads)
        titles = [method.title for method in methods]
        if not titles:
            raise InputError("nothing to measure: give --model or --peer")
        reference = reference or titles[0]
        if reference not in titles:
            raise InputError(f"--reference {reference}: there are {', '.join(titles)}")
        known = metric_specs_from(*metric_files(metrics))
        wanted = scores.split(",") if scores else [name for name in SCORES if name in known]
        specs = find_metric_specs(wanted, known)
        cache = ResultCache(QUALITY_RECORDS)
        everything: dict[str, dict[str, dict[str, dict[str, list[list[float]]]]]] = {}
        for name in data_set or ["Set14"]:
            benchmark = find_pictures_of(name, root, photos, largest)
            for case, cell in cells(benchmark, cases.split(","), draws).items():
                pictures = len(benchmark.samples)
                found = scores_of(evaluate(methods, [cell], specs, cache), specs, pictures)
                times = len(cell.benchmark.samples) // pictures
                print(f"\n{benchmark.name}, {case}: {pictures} pictures, {times} draws\n")
                print(table(found, specs, reference), flush=True)
                everything.setdefault(benchmark.name, {})[case] = {
                    title: {score: values.tolist() for score, values in own.items()}
                    for title, own in found.items()
                }
        if json_file is not None:
            write_text(json_file, json.dumps(everything, indent=1) + "\n")
    except BlindSRError as error:
        print(f"perception: {error}", file=sys.stderr)
        raise typer.Exit(2) from None


if __name__ == "__main__":
    typer.run(main)
