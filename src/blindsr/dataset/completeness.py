"""Whether a download of a data set is whole: what is missing, too much, damaged or of another size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from blindsr.dataset.layouts import (
    Place,
    Split,
    checked_scale,
    files_at,
    files_of,
    fits,
    layout_of,
    locate,
    sample_key,
    split_of,
)

_SHOWN = 6
"""So many names, or runs of names, before the rest is only counted."""

_ORIENTATION = 0x0112
"""EXIF tag; from 5 on, the photo is shown with its sides exchanged."""


@dataclass(frozen=True)
class Report:
    """What there is of a split, and what is wrong with it.

    Args:
        name: The data set.
        split: "train" or "test".
        scale: HR side / LR side.
        found: How many there are.
        official: How many there should be; None: not known for certain.
        what: What they are: pairs, or pictures of one side.
        place: Where they lie, as patterns; empty if nowhere.
        findings: What is wrong, a line each.
    """

    name: str
    split: str
    scale: int
    found: int
    official: int | None
    what: str
    place: str
    findings: tuple[str, ...]

    @property
    def title(self) -> str:
        """Which split of which data set."""
        return f"{self.name} {self.split} x{self.scale}"

    def __str__(self) -> str:
        amount = f"{self.found}" if self.official is None else f"{self.found} of {self.official}"
        where = f" in {self.place}" if self.place else ""
        return f"{self.title}: {amount} {self.what}{where}"


def check_layout(name: str, root: Path, split: str, scale: int | None = None) -> Report:
    """Look whether a split of a data set is whole: names, pairs, and sizes as the files' headers tell them.

    Args:
        name: One of `LAYOUTS`.
        root: The folder that the data set lies in, or the data set's own.
        split: "train" or "test".
        scale: One of its scales; None takes the usual one.

    Raises:
        InputError: There is no such data set, split or scale. What is wrong with the files is no error: the
            report says it.
    """
    chosen, scale = split_of(name, split), checked_scale(name, scale)
    official = chosen.official_count(scale)
    place, hr, lr = _nearest(chosen, root, scale)
    if place is None:
        looked = ", ".join(dict.fromkeys(place.written(scale) for place in chosen.places))
        return Report(
            name, split, scale, 0, official, "pictures", "", (f"not below {root}; looked for {looked}",)
        )

    sides = {side: files for side, files, there in (("HR", hr, place.hr), ("LR", lr, place.lr)) if there}
    counted = {side: Counter(map(sample_key, files)) for side, files in sides.items()}
    pairs = chosen.paired and len(sides) == 2
    what, names = f"{next(iter(sides))} pictures", set(next(iter(counted.values())))
    findings, found = [], len(names)
    if pairs:
        what, found = "pairs", len(counted["HR"].keys() & counted["LR"].keys())
        names |= counted["LR"].keys()  # one with one side is not missing as well
        for side, other in (("HR", "LR"), ("LR", "HR")):
            twice = sorted(name for name, files in counted[side].items() if files > 1)
            if twice:
                findings.append(f"more than one {side} file each: {_listed(twice)}")
            alone = sorted(counted[side].keys() - counted[other].keys())
            if alone:
                findings.append(f"{side} without {other}: {_listed(alone)}")
    findings += _lacking(chosen, names, scale)
    if chosen.lr_count is not None and len(lr) != chosen.lr_count:
        findings.append(f"{len(lr)} LR pictures where there should be {chosen.lr_count}")
    findings += _foreign(name, place, root, scale)
    findings += _damaged(sides, scale if pairs else None)
    return Report(name, split, scale, found, official, what, place.written(scale), tuple(findings))


def _nearest(split: Split, root: Path, scale: int) -> tuple[Place | None, list[Path], list[Path]]:
    """The place that is taken, or else the one with most of the split's files."""
    found = locate(split, root, scale)
    if found is not None:
        return found
    best: tuple[Place | None, list[Path], list[Path]] = (None, [], [])
    for place in split.places:
        hr, lr = files_of(split, place, root, scale)
        if len(hr) + len(lr) > len(best[1]) + len(best[2]):
            best = (place, hr, lr)
    return best


def _lacking(split: Split, present: Set[str], scale: int) -> Iterator[str]:
    """What is missing, by name where names are numbered, else by number."""
    official = split.official_count(scale)
    missing = [name for name in split.official_names() if name not in present]
    if missing:
        yield f"missing: {_listed(missing)}"
    elif official is not None and len(present) != official:
        yield f"{len(present)} pictures where there should be {official}"


def _foreign(name: str, place: Place, root: Path, scale: int) -> Iterator[str]:
    """Pictures that lie among those of a numbered split and belong to no split."""
    sharing = [split for split in layout_of(name).splits().values() if place in split.places]
    known = {key for split in sharing for key in split.official_names()}
    if known:
        files = [file for pattern in (place.hr, place.lr) for file in files_at(root, pattern, scale)]
        others = sorted({sample_key(file) for file in files} - known)
        if others:
            yield f"not part of the data set: {_listed(others)}"


def _damaged(sides: Mapping[str, Sequence[Path]], scale: int | None) -> Iterator[str]:
    """Files that cannot be read, and pairs whose sizes are not in the ratio of the scale (None: no pairs)."""
    sizes: dict[str, dict[str, tuple[int, int]]] = {}
    unreadable = []
    for side, files in sides.items():
        sizes[side] = {}
        for file in files:
            try:
                sizes[side][sample_key(file)] = _size(file)
            except OSError:
                unreadable.append(file.name)
    if unreadable:
        yield f"cannot be read: {_listed(unreadable)}"
    if scale is not None:
        wrong = [
            key
            for key, hr in sizes["HR"].items()
            if key in sizes["LR"] and not fits(hr, sizes["LR"][key], scale)
        ]
        if wrong:
            (height, width), lr = sizes["HR"][wrong[0]], sizes["LR"][wrong[0]]
            yield (
                f"HR is not {scale} times the size of LR: {_listed(wrong)}; the first is {width}x{height} "
                f"and {lr[1]}x{lr[0]} pixels"
            )


def _size(file: Path) -> tuple[int, int]:
    """Height and width, as its header tells them.

    Raises:
        OSError: It cannot be read, or is no picture.
    """
    from PIL import Image

    with Image.open(file) as image:
        width, height = image.size
        # Pillow decodes a whole PNG to find an EXIF block that the header does not have.
        exif = image.getexif() if image.format != "PNG" or "exif" in image.info else {}
        turned = exif.get(_ORIENTATION, 1) >= 5
    return (width, height) if turned else (height, width)


def _listed(names: Sequence[str]) -> str:
    """Names as a person would write them, runs of numbers from first to last, and how many they are."""
    runs: list[list[str]] = []
    for name in names:
        if runs and name == _following(runs[-1][-1]):
            runs[-1].append(name)
        else:
            runs.append([name])
    shown = [run[0] if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs[:_SHOWN]]
    rest = sum(map(len, runs[_SHOWN:]))
    if rest:
        shown.append(f"{rest} more")
    return ", ".join(shown) + (f" ({len(names)})" if len(names) > 1 else "")


def _following(name: str) -> str | None:
    """The name with the next number; None where it ends in none."""
    digits = len(name) - len(name.rstrip("0123456789"))
    return f"{name[:-digits]}{int(name[-digits:]) + 1:0{digits}d}" if digits else None
