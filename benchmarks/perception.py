"""cria-x4-compact against Real-ESRGAN general-x4v3: PSNR and LPIPS, over several draws of the degradations.

    python benchmarks/perception.py --draws 8
    python benchmarks/perception.py --draws 8 --texture 0.5 --texture 0.6 --texture 1 --model runs/cria/model

Set14 x4 under `real-esrgan` and `camera`, which draw blurs, noise and JPEG anew for every picture, and
City100's real pairs shrunk by four. The 14 pictures of one draw leave the mean LPIPS of a model uncertain by
a hundredth, as much as two good models differ by; so the pictures come several times, image i of draw k with
the seed 14 k + i (`blindsr evaluate` has draw 0 alone). Printed is each model's mean, and its lead with the
standard error of the paired differences, over pictures of which each counts once: its mean over the draws.

RGB, 4 pixels of border left out, 8 bit; LPIPS on SqueezeNet, lower is better. Models run in fp32.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from peers import find_peer
from places import DATA, METRICS, PEER_FILES, QUALITY_RECORDS, metric_files

from blindsr.errors import BlindSRError, InputError
from blindsr.evaluation.benchmarks import find_benchmark
from blindsr.evaluation.contestants import find_contestant
from blindsr.evaluation.measures import Convention, find_measures, measures_from
from blindsr.evaluation.records import RecordFile
from blindsr.evaluation.runner import Cell, cells_of, evaluate

SCORES = ("psnr", "ssim", "lpips")


def cells(draws: int, data: Path) -> list[Cell]:
    """Where the models meet."""
    set14 = replace(find_benchmark("Set14", data, 4), convention=Convention("rgb", border=4))
    repeated = replace(set14, samples=list(set14.samples) * draws)
    drawn = cells_of(repeated, ["real-esrgan", "camera"])
    return [*drawn, *cells_of(find_benchmark("City100-x4", data), ["given"])]


def lead(ours: NDArray[np.float64], others: NDArray[np.float64]) -> tuple[float, float]:
    """Mean of the paired differences over the pictures, (draws, pictures) each, and its standard error."""
    differences = (ours - others).mean(0)
    return float(differences.mean()), float(differences.std(ddof=1) / np.sqrt(len(differences)))


def main(
    model: Annotated[list[str] | None, typer.Option(help="A model of ours with a texture view.")] = None,
    texture: Annotated[list[float] | None, typer.Option(help="Textures to try; default: its own.")] = None,
    peer: Annotated[str, typer.Option(help="Against which peer.")] = "realesrgan",
    draws: Annotated[int, typer.Option(min=1, help="Draws of the degradations.")] = 8,
    data: Annotated[Path, typer.Option(help="Folder that the sets lie below.")] = DATA,
    peers: Annotated[Path, typer.Option(help="Where the peers' files are.")] = PEER_FILES,
    metrics: Annotated[Path, typer.Option(help="Where LPIPS's files are.")] = METRICS,
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 2,
) -> None:
    """Print means and leads."""
    try:
        against = find_peer(peer, peers, threads)
        own = []
        for name in model or ["cria-x4-compact"]:
            for value in texture or [None]:
                options = "fp32" if value is None else f"texture={value:g},fp32"
                own.append(find_contestant(f"{name}@{options}", "cpu", threads))
        known = measures_from(*metric_files(metrics))
        measures = find_measures(list(SCORES), known)
        records = RecordFile(QUALITY_RECORDS)
        for cell in cells(draws, data):
            results = evaluate([against, *own], [cell], measures, records)
            failed = [result for result in results if result.error]
            if failed:
                raise InputError(f"{len(failed)} pictures failed; the first: {failed[0].error}")
            pictures = len({result.sample for result in results})
            times = len(results) // pictures // (1 + len(own))
            scores = {
                contestant.title: {
                    score: np.array(
                        [r.scores[score] for r in results if r.contestant == contestant.title]
                    ).reshape(times, pictures)
                    for score in SCORES
                }
                for contestant in (against, *own)
            }
            print(f"\n{cell.benchmark.name}, {cell.title}: {pictures} pictures, {times} draws", flush=True)
            for title, of in scores.items():
                means = "  ".join(f"{score} {of[score].mean():.4f}" for score in SCORES)
                if title != against.title:
                    for score in SCORES:
                        value, error = lead(of[score], scores[against.title][score])
                        means += f"  {score} {value:+.4f} ± {error:.4f}"
                print(f"  {title}: {means}", flush=True)
    except BlindSRError as error:
        print(f"perception: {error}", file=sys.stderr)
        raise typer.Exit(2) from None


if __name__ == "__main__":
    typer.run(main)
