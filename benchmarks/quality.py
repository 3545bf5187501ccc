"""Restoration quality on Set5 and Set14 x4 over blurs and noises: our models, bicubic and peers.

    python benchmarks/quality.py --model cmdsr-x4 --twin runs/twin/model --json quality.json

What `blindsr evaluate` does, and two things more. An adaptive model can have a second column (--misled),
adapted to the wrong task: the support set is the LR images of the same set under another cell's degradation
(WRONG_TASK), so that nothing but the degradation is wrong about it. And SRMD, which must be told the
degradation, can be told the cell's (--told).

Each cell of the table is one degradation: isotropic Gaussian blur (15x15 kernel, sigma in HR pixels), bicubic
downsampling with antialiasing, Gaussian noise (sigma in levels of 255), rounding to 8 bit, and JPEG where
--jpeg asks for it. Image i of a set gets its noise from seed i. Metrics: PSNR and SSIM on Y of BT.601, 4
pixels of border left out, 8 bit; gray pictures are restored and measured as RGB. What was measured is kept in
.cache/quality.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from peers import PEERS, find_peer, srmd_told
from places import DATA, PEER_FILES, QUALITY_RECORDS

from blindsr.degradation import Degradation
from blindsr.errors import BlindSRError, InputError
from blindsr.evaluation.benchmarks import find_benchmark
from blindsr.evaluation.methods import Method, ModelRestorer, find_method
from blindsr.evaluation.metric_specs import Convention, find_metric_specs
from blindsr.evaluation.result_cache import ResultCache, digest
from blindsr.evaluation.runner import Cell, EvaluationSample, Result, evaluate
from blindsr.evaluation.summary import Table, as_json, as_markdown, tables_of, write_text

SCALE = 4
BLURS = (0.2, 1.3, 2.6)
NOISES = (0, 15, 30)
# The other end of each axis; the middle blur takes the end further away, the middle noise the clean end.
WRONG_TASK = {"blur": {0.2: 2.6, 1.3: 2.6, 2.6: 0.2}, "noise": {0: 30, 15: 0, 30: 0}}
VERDICT = (
    "{model} against {against}: ahead in {psnr_ahead} of {cells} cells by PSNR "
    "(mean {psnr_mean_lead:+.2f} dB), in {ssim_ahead} by SSIM (mean {ssim_mean_lead:+.4f})"
)


def wrong_cell(cell: Cell) -> Cell:
    """The cell whose degradation is the wrong task here."""
    assert isinstance(cell.degradation, Degradation)
    blur = WRONG_TASK["blur"][cell.degradation.sigma_x]
    noise = WRONG_TASK["noise"][int(cell.degradation.noise)]
    return replace(cell, degradation=replace(cell.degradation, sigma_x=blur, sigma_y=blur, noise=noise))


def misled(model: Method, cell: Cell) -> Method:
    """The same model, adapted to the LR images of the wrong task."""
    wrong = [EvaluationSample(wrong_cell(cell), sample, i) for i, sample in enumerate(cell.benchmark.samples)]

    def load() -> ModelRestorer:
        upscaler = _own(model).upscaler
        return ModelRestorer(upscaler, upscaler.adapt([item.lr for item in wrong]))

    identity = digest(model.identity, [item.key for item in wrong])
    return Method(f"{model.title}, wrong task", identity, load)


def standing(tables: Sequence[Table], models: Sequence[str]) -> list[dict[str, Any]]:
    """Of each of our models against every other column: the cells in which it is ahead, and the mean lead."""
    rows = [row for table in tables for row in table.rows.values()]
    verdicts = []
    for own in models:
        for other in (title for title in rows[0] if title != own):
            verdict: dict[str, Any] = {"model": own, "against": other, "cells": len(rows)}
            for name in ("psnr", "ssim"):
                leads = [row[own].scores[name] - row[other].scores[name] for row in rows]
                verdict[f"{name}_ahead"] = sum(lead > 0 for lead in leads)
                verdict[f"{name}_mean_lead"] = float(np.mean(leads))
            verdicts.append(verdict)
    return verdicts


def main(
    model: Annotated[list[str] | None, typer.Option(help="One of our models, by name or folder.")] = None,
    twin: Annotated[list[str] | None, typer.Option(help="Folder of a model that does not adapt.")] = None,
    peer: Annotated[
        list[str] | None, typer.Option(help=f"Of {', '.join(PEERS)}; default realesrgan.")
    ] = None,
    dataset: Annotated[list[str] | None, typer.Option(help="Sets below --data; default Set5, Set14.")] = None,
    data: Annotated[Path, typer.Option(help="Folder that the sets lie below.")] = DATA,
    peers: Annotated[Path, typer.Option(help="Where the peers' files are.")] = PEER_FILES,
    jpeg: Annotated[
        list[int] | None, typer.Option(help="Also with JPEG of this quality, 0 for without; default 0.")
    ] = None,
    mislead: Annotated[
        bool, typer.Option("--misled/--no-misled", help="Adapt to the wrong task too.")
    ] = True,
    told: Annotated[bool, typer.Option("--told", help="SRMD, told the true blur and noise.")] = False,
    kernel: Annotated[int, typer.Option(help="Side of the blur kernel, HR pixels.")] = 15,
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 2,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write everything here.")] = None,
) -> None:
    """Print the table of restoration quality."""
    try:
        models = [find_method(name, "cpu", threads) for name in model or []]
        fixed = [find_method("bicubic"), *(find_peer(p, peers, threads) for p in peer or ["realesrgan"])]
        for name in twin or []:
            found = find_method(name, "cpu", threads)
            fixed.append(replace(found, title=f"{found.title} (twin)"))
        specs = find_metric_specs(["psnr", "ssim"])
        cache = ResultCache(QUALITY_RECORDS)
        cells: list[Cell] = []
        results: list[Result] = []
        for name in dataset or ["Set5", "Set14"]:
            benchmark = replace(find_benchmark(name, data, SCALE), convention=Convention(gray=False))
            for quality, blur, noise in product(jpeg or [0], BLURS, NOISES):
                task = Degradation(
                    SCALE, sigma_x=blur, sigma_y=blur, kernel_size=kernel, noise=noise, jpeg=quality or None
                )
                cell = Cell(benchmark, task)
                columns = [*fixed, *([srmd_told(blur, noise, peers, threads)] if told else [])]
                for own in models:
                    columns.append(own)
                    if mislead and _own(own).upscaler.model.adaptive:
                        columns.append(misled(own, cell))
                cells.append(cell)
                results += evaluate(columns, [cell], specs, cache)
                print(f"{name}, {task}: done", file=sys.stderr)
        failed = [result for result in results if result.error]
        if failed:
            raise InputError(f"{len(failed)} pictures failed; the first: {failed[0].error}")
        tables = tables_of(results, cells, specs)
        print(as_markdown(tables, speed=False), end="\n\n")
        verdicts = standing(tables, [own.title for own in models])
        for verdict in verdicts:
            print(VERDICT.format(**verdict))
        if json_file is not None:
            content = json.loads(as_json(results, tables)) | {"standing": verdicts}
            write_text(json_file, json.dumps(content, indent=1) + "\n")
    except BlindSRError as error:
        print(f"quality: {error}", file=sys.stderr)
        raise typer.Exit(2) from None


def _own(method: Method) -> ModelRestorer:
    restorer = method.restorer
    if not isinstance(restorer, ModelRestorer) or restorer.scale != SCALE:
        raise InputError(f"{method.title}: not a model of ours that restores x{SCALE}")
    return restorer


if __name__ == "__main__":
    typer.run(main)
