"""Restoration quality on Set5 and Set14 x4 over blurs and noises: our models, bicubic and peers.

    python benchmarks/quality.py --model cmdsr-x4 --twin runs/twin/model --json quality.json

Each cell of the table is one degradation: isotropic Gaussian blur (15x15 kernel, sigma in HR pixels), bicubic
downsampling with antialiasing, Gaussian noise (sigma in levels of 255), rounding to 8 bit. Image i of a set
gets its noise from seed i. Metrics: PSNR and SSIM on Y of BT.601, 4 pixels of border left out, 8 bit; gray
pictures are restored and measured as RGB. An adaptive model has two columns: adapted to each photo itself,
and adapted to the wrong task: the support set is the LR images of the same set under another cell's
degradation (WRONG_TASK), so that nothing but the degradation is wrong about it.

Peers do not change between runs: their scores are kept in .cache/quality, under hashes of all they depend on.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from peers import FOLDER as PEER_FOLDER
from peers import PEERS, NcnnUpscaler, Peer

from blindsr.degradation import Degradation, degrade_image, resize
from blindsr.errors import BlindSRError, InputError
from blindsr.evaluation import metrics
from blindsr.evaluation.metrics import METRICS
from blindsr.files import atomic_path
from blindsr.picture import read
from blindsr.upscaler import Adaptation, Upscaler

ROOT = Path(__file__).parents[1]
DATA_FOLDER = ROOT.parent / "shared" / "data"
CACHE_FOLDER = ROOT / ".cache" / "quality"

SCALE = 4
BLURS = (0.2, 1.3, 2.6)
NOISES = (0, 15, 30)
# The other end of each axis; the middle blur takes the end further away, the middle noise the clean end.
WRONG_TASK = {"blur": {0.2: 2.6, 1.3: 2.6, 2.6: 0.2}, "noise": {0: 30, 15: 0, 30: 0}}
VERDICT = (
    "{model} against {against}: ahead in {psnr_ahead} of {cells} cells by PSNR "
    "(mean {psnr_mean_lead:+.2f} dB), in {ssim_ahead} by SSIM (mean {ssim_mean_lead:+.4f})"
)

Pixels = NDArray[np.float32]
Score = dict[str, float]


@dataclass(frozen=True)
class Cell:
    """One set of images under one degradation."""

    dataset: str
    blur: float
    noise: int

    @property
    def wrong(self) -> Cell:
        """The cell whose degradation is the wrong task here."""
        return Cell(self.dataset, WRONG_TASK["blur"][self.blur], WRONG_TASK["noise"][self.noise])

    def lr(self, hr: Sequence[Pixels], kernel: int) -> list[Pixels]:
        """The set's LR images."""
        task = Degradation(
            scale=SCALE, sigma_x=self.blur, sigma_y=self.blur, kernel_size=kernel, noise=self.noise
        )
        return [degrade_image(picture, task, seed) for seed, picture in enumerate(hr)]


@dataclass(frozen=True)
class Contestant:
    """A column of the table.

    Args:
        title: Its heading.
        prepare: From the LR images of the wrong task to what restores one LR image.
        identity: What its results depend on besides the images, for keeping them; None to measure anew.
        own: Whether it is a model of ours, to be compared with every other column.
    """

    title: str
    prepare: Callable[[Sequence[Pixels]], Callable[[Pixels], Pixels]]
    identity: str | None = None
    own: bool = False


@dataclass
class Cache:
    """Scores of one contestant by the hash of what they depend on."""

    folder: Path
    identity: str
    scores: dict[str, Score] = field(init=False)

    def __post_init__(self) -> None:
        self._file = self.folder / f"{_digest(self.identity.encode(), _source_of_metrics())}.json"
        self.scores = json.loads(self._file.read_text()) if self._file.is_file() else {}

    def save(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with atomic_path(self._file) as temporary:
            temporary.write_text(json.dumps(self.scores))


def bicubic(lr: Pixels) -> Pixels:
    height, width = lr.shape[:2]
    enlarged = resize(lr.transpose(2, 0, 1)[None], (height * SCALE, width * SCALE))[0]
    return np.clip(enlarged.transpose(1, 2, 0), 0, 1)


class LazyPeer:
    """A peer that is loaded when first needed: kept results need neither ncnn nor its time."""

    def __init__(self, peer: Peer, folder: Path, threads: int) -> None:
        self._arguments = (peer, folder, threads)
        self.identity = f"{peer.stem} {_ncnn_version()} " + _digest(
            *(file.read_bytes() for file in sorted(folder.glob(f"{peer.stem}.*")))
        )

    @cached_property
    def _upscaler(self) -> NcnnUpscaler:
        return NcnnUpscaler(*self._arguments)

    def restore(self, lr: Pixels) -> Pixels:
        return self._upscaler.upscale(lr)


def contestants(
    models: list[str], twins: list[str], peers: list[str], peer_folder: Path, threads: int
) -> list[Contestant]:
    """Every column of the table, in order."""
    columns = [Contestant("bicubic", lambda _: bicubic)]
    for name in peers:
        if name not in PEERS:
            raise InputError(f"--peer {name}: there are {', '.join(PEERS)}")
        peer = LazyPeer(PEERS[name], peer_folder, threads)
        columns.append(Contestant(PEERS[name].title, lambda _, peer=peer: peer.restore, peer.identity))
    for twin in twins:
        upscaler = _load(twin, threads)
        columns.append(Contestant(f"{upscaler.model.name} (twin)", lambda _, u=upscaler: u.upscale))
    for model in models:
        upscaler = _load(model, threads)
        title = upscaler.model.name
        columns.append(Contestant(title, lambda _, u=upscaler: u.upscale, own=True))
        if upscaler.model.adaptive:
            columns.append(Contestant(f"{title}, wrong task", lambda lr, u=upscaler: _misled(u, lr)))
    titles = [column.title for column in columns]
    if len(set(titles)) < len(titles):
        raise InputError(f"two columns have the same name, export one under another: {', '.join(titles)}")
    return columns


def measure(
    lr: Sequence[Pixels],
    wrong: Sequence[Pixels],
    hr: Sequence[Pixels],
    columns: Sequence[Contestant],
    caches: dict[str, Cache],
) -> dict[str, Score]:
    """Mean scores of every contestant on the LR images of a cell, given those of the wrong task."""
    means = {}
    for column in columns:
        restore = column.prepare(wrong)
        cache = caches.get(column.title)
        scores = []
        for small, truth in zip(lr, hr, strict=True):
            key = _digest(repr((small.shape, truth.shape)).encode(), small.tobytes(), truth.tobytes())
            score = cache.scores.get(key) if cache else None
            if score is None:
                restored = restore(small)
                score = {name: metric(restored, truth, border=SCALE) for name, metric in METRICS.items()}
                if cache:
                    cache.scores[key] = score
            scores.append(score)
        if cache:
            cache.save()
        means[column.title] = {name: float(np.mean([score[name] for score in scores])) for name in METRICS}
    return means


def markdown(results: dict[Cell, dict[str, Score]]) -> str:
    """One table a set, a row a cell, the best of each row in bold."""
    titles = list(next(iter(results.values())))
    lines: list[str] = []
    for dataset in dict.fromkeys(cell.dataset for cell in results):
        rows = {
            f"{cell.blur:g} / {cell.noise}": means
            for cell, means in results.items()
            if cell.dataset == dataset
        }
        rows["mean"] = _mean(list(rows.values()))
        lines += ["", f"**{dataset} x{SCALE}**, PSNR (dB) / SSIM", ""]
        lines += ["| blur / noise | " + " | ".join(titles) + " |", "|---|" + "---|" * len(titles)]
        for heading, means in rows.items():
            best = {name: max(means[title][name] for title in titles) for name in METRICS}
            texts = [
                " / ".join(
                    f"**{means[title][name]:.{digits}f}**"
                    if means[title][name] == best[name]
                    else f"{means[title][name]:.{digits}f}"
                    for name, digits in (("psnr", 2), ("ssim", 4))
                )
                for title in titles
            ]
            lines.append(f"| {heading} | " + " | ".join(texts) + " |")
    return "\n".join(lines)


def standing(results: dict[Cell, dict[str, Score]], columns: Sequence[Contestant]) -> list[dict[str, object]]:
    """Of each of our models against every other column: the cells in which it is ahead, and the mean lead."""
    verdicts = []
    for own in (column.title for column in columns if column.own):
        for other in (column.title for column in columns if column.title != own):
            verdict: dict[str, object] = {"model": own, "against": other, "cells": len(results)}
            for name in METRICS:
                leads = [means[own][name] - means[other][name] for means in results.values()]
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
    dataset: Annotated[list[str] | None, typer.Option(help="Folders of --data; default Set5, Set14.")] = None,
    data: Annotated[Path, typer.Option(help="Where <set>/x4/HR/*.png are.")] = DATA_FOLDER,
    peers: Annotated[Path, typer.Option(help="Where the peers' files are.")] = PEER_FOLDER,
    kernel: Annotated[int, typer.Option(help="Side of the blur kernel, HR pixels.")] = 15,
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 2,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write everything here.")] = None,
) -> None:
    """Print the table of restoration quality."""
    try:
        columns = contestants(model or [], twin or [], peer or ["realesrgan"], peers, threads)
        caches = {
            column.title: Cache(CACHE_FOLDER, column.identity)
            for column in columns
            if column.identity is not None
        }
        results: dict[Cell, dict[str, Score]] = {}
        for name in dataset or ["Set5", "Set14"]:
            hr = _read_set(data / name / f"x{SCALE}" / "HR")
            cells = [Cell(name, blur, noise) for blur in BLURS for noise in NOISES]
            lr = {cell: cell.lr(hr, kernel) for cell in cells}
            for cell in cells:
                results[cell] = measure(lr[cell], lr[cell.wrong], hr, columns, caches)
                print(f"{name}, blur {cell.blur}, noise {cell.noise}: done", file=sys.stderr)
        verdicts = standing(results, columns)
        print(markdown(results), end="\n\n")
        for verdict in verdicts:
            print(VERDICT.format(**verdict))
        if json_file is not None:
            _write_json(json_file, kernel, results, verdicts)
    except BlindSRError as error:
        print(f"quality: {error}", file=sys.stderr)
        raise typer.Exit(2) from None


def _load(model: str, threads: int) -> Upscaler:
    upscaler = Upscaler(model, device="cpu", threads=threads)
    if upscaler.model.scale != SCALE:
        raise InputError(f"{model}: it restores x{upscaler.model.scale}, and this table is of x{SCALE}")
    return upscaler


def _misled(upscaler: Upscaler, support: Sequence[Pixels]) -> Callable[[Pixels], Pixels]:
    adaptation: Adaptation = upscaler.adapt(list(support))
    return lambda lr: upscaler.upscale(lr, support=adaptation)


def _read_set(folder: Path) -> list[Pixels]:
    files = sorted(folder.glob("*.png"))
    if not files:
        raise InputError(f"{folder}: no PNG files there; --data names the folder that holds the sets")
    return [np.repeat(p, 3, axis=2) if p.shape[2] == 1 else p for p in (read(file).pixels for file in files)]


def _mean(rows: Sequence[dict[str, Score]]) -> dict[str, Score]:
    return {
        title: {name: float(np.mean([row[title][name] for row in rows])) for name in METRICS}
        for title in rows[0]
    }


def _write_json(
    path: Path, kernel: int, results: dict[Cell, dict[str, Score]], verdicts: list[dict[str, object]]
) -> None:
    content = {
        "convention": {
            "scale": SCALE,
            "kernel_size": kernel,
            "channel": "Y (BT.601)",
            "border": SCALE,
            "rounding": "8 bit",
            "seed": "index of the image in its set",
        },
        "cells": [
            {
                "dataset": cell.dataset,
                "blur": cell.blur,
                "noise": cell.noise,
                "wrong_task": {"blur": cell.wrong.blur, "noise": cell.wrong.noise},
                "scores": means,
            }
            for cell, means in results.items()
        ],
        "standing": verdicts,
    }
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n")


def _digest(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.hexdigest()


def _source_of_metrics() -> bytes:
    folder = Path(str(metrics.__file__)).parent
    return b"".join(file.read_bytes() for file in sorted(folder.glob("*.py")))


def _ncnn_version() -> str:
    try:
        return version("ncnn")
    except ModuleNotFoundError:
        return "none"


if __name__ == "__main__":
    typer.run(main)
