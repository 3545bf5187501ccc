"""Sets of test pictures: the field's own, found where they were unpacked, and any folders besides."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from blindsr.dataset.layouts import LAYOUTS, Sample, find_samples, pair, sides_in
from blindsr.errors import InputError
from blindsr.evaluation.metric_specs import Convention
from blindsr.picture import find_pictures

_RGB = Convention("rgb", border=4)  # of the repositories that measure on City100, RealSR and NTIRE 2020


@dataclass(frozen=True)
class Benchmark:
    """A set of test pictures with the convention that its papers measure under.

    Args:
        name: As tables call it.
        scale: HR side / LR side.
        samples: The pictures.
        convention: How they are measured.
        shrink: The LR pictures are shrunk by this first (MATLAB's bicubic): for pairs whose two sides have
            the same size.
    """

    name: str
    scale: int
    samples: Sequence[Sample]
    convention: Convention = field(default_factory=Convention)
    shrink: int = 1

    @property
    def has_lr(self) -> bool:
        """Whether there are LR pictures to be restored as they are."""
        return any(sample.lr is not None for sample in self.samples)

    @property
    def has_truth(self) -> bool:
        """Whether there is ground truth."""
        return any(sample.hr is not None for sample in self.samples)


@dataclass(frozen=True)
class ReportingProtocol:
    """How papers measure on the test split of a data set.

    Args:
        layout: The data set, one of `blindsr.dataset.layouts.LAYOUTS`.
        convention: How they measure.
        shrink: As in `Benchmark`.
    """

    layout: str
    convention: Convention = field(default_factory=Convention)
    shrink: int = 1


BENCHMARKS: dict[str, ReportingProtocol] = {
    "Set5": ReportingProtocol("Set5"),
    "Set14": ReportingProtocol("Set14"),
    "BSD100": ReportingProtocol("BSD100"),
    "Urban100": ReportingProtocol("Urban100"),
    # Lim et al. 2017 (EDSR): RGB, and 6 pixels more than the scale left out.
    "DIV2K-val": ReportingProtocol("DIV2K", Convention("rgb", beyond=6)),
    "RealSR-Canon": ReportingProtocol("RealSR-Canon", _RGB),
    "RealSR-Nikon": ReportingProtocol("RealSR-Nikon", _RGB),
    "DRealSR": ReportingProtocol("DRealSR"),
    "City100": ReportingProtocol("City100", _RGB),
    "City100-x4": ReportingProtocol("City100", _RGB, shrink=4),
    "City100-Nikon": ReportingProtocol("City100-Nikon", _RGB),
    "NTIRE2020": ReportingProtocol("NTIRE2020", _RGB),
    "NTIRE2020-track2": ReportingProtocol("NTIRE2020-track2"),
    "RealSRSet": ReportingProtocol("RealSRSet"),
    "RealSR-Zero": ReportingProtocol("RealSR-Zero"),
}
"""Benchmarks that `--data` can name."""


def find_benchmark(name: str, root: Path, scale: int | None = None) -> Benchmark:
    """A benchmark of the field below a data folder.

    Args:
        name: One of `BENCHMARKS`.
        root: The data folder.
        scale: One of the benchmark's scales; None takes the usual one.

    Raises:
        InputError: Unknown, not there, or without this scale.
    """
    if name not in BENCHMARKS:
        raise InputError(
            f"--data {name}: there are {', '.join(BENCHMARKS)}; or give NAME=PATH for a folder of your own"
        )
    chosen, where = BENCHMARKS[name], f"--data {name}"
    scales = [scale * chosen.shrink for scale in LAYOUTS[chosen.layout].scales]
    scale = scales[0] if scale is None else scale
    if scale not in scales:
        raise InputError(f"{where}: its scales are {', '.join(map(str, scales))}, not {scale}")
    samples = find_samples(chosen.layout, "test", root, scale // chosen.shrink, where)
    return Benchmark(name, scale, samples, chosen.convention, chosen.shrink)


def folder_benchmark(name: str, places: str, scale: int, degraded: bool) -> Benchmark:
    """Folders of the user's own as a benchmark.

    Args:
        name: As tables call it.
        places: A folder with HR/ and LR/ (or GT/ and LQ/) below it; or two folders, of ground truth and of LR
            pictures, joined as in PATH; or one folder of pictures.
        scale: HR side / LR side.
        degraded: Whether LR pictures are to be made: pictures of a single folder are ground truth then, and
            LR pictures without ground truth otherwise.

    Raises:
        InputError: A folder is not there or holds no pictures, or the two sides do not belong together.
    """
    folders = [Path(part).expanduser() for part in places.split(os.pathsep)]
    if len(folders) > 2:
        raise InputError(f"--data {name}={places}: give one folder, or two: ground truth and LR")
    if len(folders) == 1:
        folders = list(sides_in(folders[0]) or folders)
    if len(folders) == 2:
        samples = pair(find_pictures(folders[0]), find_pictures(folders[1]), f"--data {name}")
    else:
        files = find_pictures(folders[0])
        names = [file.relative_to(folders[0]).with_suffix("").as_posix() for file in files]
        samples = [
            Sample(own, file if degraded else None, None if degraded else file)
            for own, file in zip(names, files, strict=True)
        ]
    return Benchmark(name, scale, samples)


def pairs_below(folder: Path) -> Path | None:
    """The first folder below one, at most two levels down, that holds HR/ and LR/ (or GT/ and LQ/)."""
    for pattern in ("*", "*/*"):
        for place in sorted(folder.glob(pattern)):
            if place.is_dir() and sides_in(place) is not None:
                return place
    return None
