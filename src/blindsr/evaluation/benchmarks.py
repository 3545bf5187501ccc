"""Sets of test pictures: the field's own, found where they were unpacked, and any folders besides."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from blindsr.errors import InputError
from blindsr.evaluation.measures import Convention
from blindsr.picture import find_pictures

_RGB = Convention("rgb", border=4)  # of the repositories that measure on City100, RealSR and NTIRE 2020
_SIDE_OF_NAME = re.compile(
    r"(?<=.)([_-](hr|lr|gt|lq)\d*|(?<=\d)(hr|lr|gt|lq|h|l)|[_-]?x\d+)+$", re.IGNORECASE
)
_SIDES = (("HR", "LR"), ("GT", "LQ"), ("gt", "lq"), ("hr", "lr"))


@dataclass(frozen=True)
class Sample:
    """One test picture.

    Args:
        name: As tables and pages call it.
        hr: File of the ground truth; None where there is none.
        lr: File of the LR picture; None where it is to be made from the ground truth.
    """

    name: str
    hr: Path | None
    lr: Path | None


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
class Place:
    """One way in which a set of pictures is laid out on disk, below the data folder.

    Args:
        hr: Pattern of the ground truth, such as "Set5/HR/*.png"; empty where there is none. "{scale}" is
            replaced.
        lr: Pattern of the LR pictures; empty where they are to be made.
    """

    hr: str
    lr: str = ""


@dataclass(frozen=True)
class Layout:
    """A benchmark of the field.

    Args:
        places: Where its pictures may lie; the first place that has any is taken.
        scales: Scales it has; the first is the usual one.
        convention: How its papers measure.
        split: The pictures that are its test set: their key (see `sample_key`) lies within these bounds, both
            included; None takes all.
        shrink: As in `Benchmark`.
    """

    places: Sequence[Place]
    scales: Sequence[int] = (4, 2, 3)
    convention: Convention = field(default_factory=Convention)
    split: tuple[str, str] | None = None
    shrink: int = 1


def _classic(*names: str) -> tuple[Place, ...]:
    """The layouts in which Set5, Set14, BSD100 and Urban100 are handed about."""
    places = []
    for name in names:
        places += [
            Place(f"{name}/x{{scale}}/HR/*", f"{name}/x{{scale}}/LR/*"),
            Place(f"{name}/image_SRF_{{scale}}/*_HR.*", f"{name}/image_SRF_{{scale}}/*_LR.*"),
            Place(f"{name}/HR/*", f"{name}/LR_bicubic/X{{scale}}/*"),
            Place(f"{name}/GTmod12/*", f"{name}/LRbicx{{scale}}/*"),
            Place(f"{name}/HR/*"),
            Place(f"{name}/*"),
        ]
    return tuple(places)


def _city100(*phones: str) -> tuple[Place, ...]:
    return tuple(
        Place(f"{root}City100_{phone}/*H.*", f"{root}City100_{phone}/*L.*")
        for root in ("City100/", "")
        for phone in phones
    )


def _realsr(camera: str) -> tuple[Place, ...]:
    folders = (f"RealSR(V3)/{camera}", f"RealSR_V3/{camera}", f"RealSR/{camera}")
    return tuple(
        Place(f"{folder}/Test/{{scale}}/*_HR.*", f"{folder}/Test/{{scale}}/*_LR{{scale}}.*")
        for folder in folders
    )


BENCHMARKS: dict[str, Layout] = {
    "Set5": Layout(_classic("Set5")),
    "Set14": Layout(_classic("Set14")),
    "BSD100": Layout(_classic("BSD100", "B100", "BSDS100")),
    "Urban100": Layout(_classic("Urban100")),
    # Lim et al. 2017 (EDSR): RGB, and 6 pixels more than the scale left out.
    "DIV2K-val": Layout(
        tuple(
            Place(f"{root}DIV2K_valid_HR/*", f"{root}DIV2K_valid_LR_bicubic/X{{scale}}/*")
            for root in ("DIV2K/", "DIV2K-val/", "")
        )
        + tuple(Place(f"{root}DIV2K_valid_HR/*") for root in ("DIV2K/", "DIV2K-val/", "")),
        convention=Convention("rgb", beyond=6),
        split=("0801", "0900"),
    ),
    "RealSR-Canon": Layout(_realsr("Canon"), convention=_RGB),
    "RealSR-Nikon": Layout(_realsr("Nikon"), convention=_RGB),
    "DRealSR": Layout(
        tuple(
            Place(f"{root}/Test_x{{scale}}/test_HR/*", f"{root}/Test_x{{scale}}/test_LR/*")
            for root in ("DRealSR", "DRealSR/Test")
        )
    ),
    "City100": Layout(_city100("iPhoneX"), (1,), _RGB, ("001", "020")),
    "City100-x4": Layout(_city100("iPhoneX"), (4,), _RGB, ("001", "020"), shrink=4),
    "City100-Nikon": Layout(_city100("NikonD5500"), (1,), _RGB, ("001", "020")),
    "NTIRE2020": Layout(
        tuple(
            Place(f"{root}/{hr}/*", f"{root}/{lr}/*")
            for root in ("NTIRE2020", "NTIRE2020/track1")
            for hr, lr in (
                ("track1-valid-gt", "track1-valid-input"),
                ("DIV2K_valid_HR", "Corrupted-va-x"),
            )
        ),
        (4,),
        _RGB,
    ),
    "RealSRSet": Layout(
        tuple(Place("", f"{root}RealSRSet{inner}/*") for root in ("", "real/") for inner in ("", "/LR")),
        (4,),
    ),
    "RealSR-Zero": Layout(
        tuple(
            Place("", f"{root}{name}/*") for root in ("", "real/") for name in ("RealSR-Zero", "RealSR_Zero")
        ),
        (4,),
    ),
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
    layout = BENCHMARKS[name]
    scale = layout.scales[0] if scale is None else scale
    if scale not in layout.scales:
        raise InputError(f"--data {name}: its scales are {', '.join(map(str, layout.scales))}, not {scale}")
    for place in layout.places:
        patterns = [pattern.format(scale=scale) for pattern in (place.hr, place.lr)]
        hr, lr = (_matching(root, pattern) for pattern in patterns)
        if (hr or not place.hr) and (lr or not place.lr):
            samples = _pair(hr, lr, str(root))
            if layout.split is not None:
                first, last = layout.split
                samples = [sample for sample in samples if first <= sample.name <= last]
            if samples:
                return Benchmark(name, scale, samples, layout.convention, layout.shrink)
    looked = ", ".join(dict.fromkeys(_written(place, scale) for place in layout.places))
    raise InputError(f"--data {name}: not below {root}; looked for {looked}")


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
        for sides in _SIDES:
            inside = [folders[0] / side for side in sides]
            if all(folder.is_dir() for folder in inside):
                folders = inside
                break
    if len(folders) == 2:
        samples = _pair(find_pictures(folders[0]), find_pictures(folders[1]), f"--data {name}")
    else:
        files = find_pictures(folders[0])
        names = [file.relative_to(folders[0]).with_suffix("").as_posix() for file in files]
        samples = [
            Sample(own, file if degraded else None, None if degraded else file)
            for own, file in zip(names, files, strict=True)
        ]
    return Benchmark(name, scale, samples)


def sample_key(file: Path) -> str:
    """What the two files of a pair have in common: the name without what tells the side or the scale."""
    return _SIDE_OF_NAME.sub("", file.stem)


def _matching(root: Path, pattern: str) -> list[Path]:
    """The pictures of a pattern, sorted."""
    if not pattern:
        return []
    folder = (root / pattern).parent
    if not folder.is_dir():
        return []
    wanted = Path(pattern).name
    try:
        files = find_pictures(folder)
    except InputError:
        return []
    return [file for file in files if file.parent == folder and file.match(wanted)]


def _pair(hr: Sequence[Path], lr: Sequence[Path], where: str) -> list[Sample]:
    """Files of the two sides by what their names share, in the order of the names."""
    if not lr:
        return [Sample(sample_key(file), file, None) for file in hr]
    if not hr:
        return [Sample(file.stem, None, file) for file in lr]
    sides: list[dict[str, Path]] = []
    for files in (hr, lr):
        by_key: dict[str, Path] = {}
        for file in files:
            other = by_key.setdefault(sample_key(file), file)
            if other is not file:
                raise InputError(f"{where}: {other} and {file} have the same place in a pair; rename one")
        sides.append(by_key)
    if not sides[0].keys() & sides[1].keys():
        raise InputError(f"{where}: no ground truth and LR picture with the same name ({hr[0]}, {lr[0]})")
    alone = sorted(sides[0].keys() ^ sides[1].keys())
    if alone:
        raise InputError(
            f"{where}: {alone[0]} is on one side only ({len(alone)} such); remove or complete it"
        )
    return [Sample(key, sides[0][key], sides[1][key]) for key in sorted(sides[0])]


def _written(place: Place, scale: int) -> str:
    """A place as an error message shows it."""
    return " + ".join(part.format(scale=scale) for part in (place.hr, place.lr) if part)
