"""The field's data sets: where their files lie, how they pair, which are to train on and which to test on."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from blindsr.errors import InputError
from blindsr.picture import find_pictures
from blindsr.system.nearest import nearest

log = logging.getLogger(__name__)

_SIDE_OF_NAME = re.compile(
    r"(?<=.)([_-](hr|lr|gt|lq)\d*|(?<=\d)(hr|lr|gt|lq|h|l)|[_-]?x\d+)+$", re.IGNORECASE
)
_SIDES = (("HR", "LR"), ("GT", "LQ"), ("gt", "lq"), ("hr", "lr"))


@dataclass(frozen=True)
class Sample:
    """One picture of a data set.

    Args:
        name: What the files of its two sides have in common (see `sample_key`).
        hr: File of the HR picture, the ground truth; None where there is none.
        lr: File of the LR picture; None where it is to be made from the HR picture.
    """

    name: str
    hr: Path | None
    lr: Path | None


@dataclass(frozen=True)
class Place:
    """One way in which a split is laid out on disk, below the data folder.

    Args:
        hr: Pattern of the HR pictures, such as "Set5/HR/*.png"; empty where there is none. "{scale}" is
            replaced.
        lr: Pattern of the LR pictures; empty where they are to be made.
    """

    hr: str
    lr: str = ""

    def written(self, scale: int) -> str:
        """The place as a message shows it."""
        return " + ".join(part.format(scale=scale) for part in (self.hr, self.lr) if part)


@dataclass(frozen=True)
class Split:
    """The training or the test pictures of a data set.

    Args:
        places: Where they may lie; the first place that has any is taken.
        names: First and last of their names, which are numbered without gaps: only these belong to the split.
            None takes all that lie there.
        count: How many there are officially, where the names do not tell; by scale where that differs. None:
            not known for certain.
        lr_count: How many LR pictures there are, where the two sides are not pairs.
        paired: Whether HR and LR pictures show the same.
        folders: Of a test split: folders that hold nothing else, wherever they lie. A part of it may be a
            pattern.
        mixed_folders: Of a test split: folders where training pictures lie as well, so that `names` decide.
    """

    places: Sequence[Place]
    names: tuple[str, str] | None = None
    count: int | Mapping[int, int] | None = None
    lr_count: int | None = None
    paired: bool = True
    folders: Sequence[str] = ()
    mixed_folders: Sequence[str] = ()

    def official_names(self) -> list[str]:
        """All names of the split in their order; empty where they are not numbered."""
        if self.names is None:
            return []
        first, last = self.names
        digits = len(first) - len(first.rstrip("0123456789"))
        prefix, start, end = first[:-digits], int(first[-digits:]), int(last[-digits:])
        return [f"{prefix}{number:0{digits}d}" for number in range(start, end + 1)]

    def official_count(self, scale: int) -> int | None:
        """How many pictures it has at this scale; None if that is not known for certain."""
        if self.names is not None:
            return len(self.official_names())
        return self.count.get(scale) if isinstance(self.count, Mapping) else self.count


@dataclass(frozen=True)
class Layout:
    """A data set of the field.

    Args:
        title: What it is.
        scales: HR side / LR side; the first is the usual one. 1: both sides have the same size.
        train: Its training split.
        test: Its test split; of sets whose test pictures are not public, what papers test on.
    """

    title: str
    scales: Sequence[int]
    train: Split | None = None
    test: Split | None = None

    def splits(self) -> dict[str, Split]:
        """The splits that it has, by name."""
        return {name: split for name in ("train", "test") if (split := getattr(self, name)) is not None}


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


def _div2k(part: str, *roots: str) -> tuple[Place, ...]:
    return tuple(
        Place(f"{root}DIV2K_{part}_HR/*", f"{root}DIV2K_{part}_LR_bicubic/X{{scale}}/*") for root in roots
    ) + tuple(Place(f"{root}DIV2K_{part}_HR/*") for root in roots)


def _city100(camera: str) -> Layout:
    """Chen et al. 2019 (CameraSR): 100 printed city views, photographed from near and far."""
    places = tuple(
        Place(f"{root}City100_{camera}/*H.*", f"{root}City100_{camera}/*L.*") for root in ("City100/", "")
    )
    return Layout(
        f"City100 (CameraSR), {camera}: real pairs whose LR photos have the HR size",
        (1,),
        train=Split(places, ("021", "100")),
        test=Split(places, ("001", "020"), mixed_folders=("City100", f"City100*{camera}")),
    )


def _realsr(camera: str) -> Layout:
    """Cai et al. 2019, version 3: aligned real pairs, whose LR photos have their own size."""

    def places(part: str) -> tuple[Place, ...]:
        return tuple(
            Place(
                f"{root}/{camera}/{part}/{{scale}}/*_HR.*",
                f"{root}/{camera}/{part}/{{scale}}/*_LR{{scale}}.*",
            )
            for root in ("RealSR(V3)", "RealSR_V3", "RealSR")
        )

    return Layout(
        f"RealSR version 3, {camera}: real pairs by two focal lengths",
        (4, 2, 3),
        # 459 scenes of both cameras, not all of them at every scale: how many of each camera is not stated.
        train=Split(places("Train")),
        # Training and test pictures have the same names: only their folders tell them apart.
        test=Split(places("Test"), (f"{camera}_001", f"{camera}_050"), folders=(f"{camera}/Test",)),
    )


def _drealsr(part: str, *roots: str) -> tuple[Place, ...]:
    low, nested = part.lower(), f"x{{scale}}/{part}_x{{scale}}"
    return tuple(
        Place(f"{root}/{part}_x{{scale}}/{low}_HR/*", f"{root}/{part}_x{{scale}}/{low}_LR/*")
        for root in (*roots, "DRealSR/x{scale}", f"DRealSR/{nested}")
    )


def _ntire2020(*folders: tuple[str, str], track: str) -> tuple[Place, ...]:
    return tuple(
        Place(f"{root}/{hr}/*" if hr else "", f"{root}/{lr}/*")
        for root in ("NTIRE2020", f"NTIRE2020/{track}")
        for hr, lr in folders
    )


def _photos(*names: str, inner: Sequence[str] = ("",)) -> tuple[Place, ...]:
    """Photos without ground truth."""
    return tuple(
        Place("", f"{root}{name}{part}/*") for root in ("", "real/") for name in names for part in inner
    )


LAYOUTS: dict[str, Layout] = {
    "Set5": Layout("5 test photos", (4, 2, 3), test=Split(_classic("Set5"), count=5, folders=("Set5",))),
    "Set14": Layout("14 test photos", (4, 2, 3), test=Split(_classic("Set14"), count=14, folders=("Set14",))),
    "BSD100": Layout(
        "100 test photos of the Berkeley segmentation set",
        (4, 2, 3),
        test=Split(_classic("BSD100", "B100", "BSDS100"), count=100, folders=("BSD100", "B100", "BSDS100")),
    ),
    "Urban100": Layout(
        "100 test photos of buildings",
        (4, 2, 3),
        test=Split(_classic("Urban100"), count=100, folders=("Urban100",)),
    ),
    # Agustsson & Timofte 2017. The HR pictures of its test set, 0901 to 1000, are not public.
    "DIV2K": Layout(
        "DIV2K: sharp photos of 2K, and their bicubic LR",
        (4, 2, 3),
        train=Split(_div2k("train", "DIV2K/", ""), ("0001", "0800")),
        test=Split(
            _div2k("valid", "DIV2K/", "DIV2K-val/", ""),
            ("0801", "0900"),
            folders=("DIV2K_valid_*", "DIV2K_test_*", "DIV2K-val", "DIV2K_V2_val*"),
            mixed_folders=("DIV2K*",),
        ),
    ),
    # Lim et al. 2017 (EDSR).
    "Flickr2K": Layout(
        "Flickr2K: sharp photos of 2K, and their bicubic LR",
        (4, 2, 3),
        train=Split(
            tuple(
                Place(f"{root}Flickr2K_HR/*", f"{root}Flickr2K_LR_bicubic/X{{scale}}/*")
                for root in ("Flickr2K/", "")
            )
            + tuple(Place(f"{root}Flickr2K_HR/*") for root in ("Flickr2K/", "")),
            ("000001", "002650"),
        ),
    ),
    "RealSR-Canon": _realsr("Canon"),
    "RealSR-Nikon": _realsr("Nikon"),
    # Wei et al. 2020 (CDC). Names of pairs differ in their end: _x4 is HR, _x1 is LR.
    "DRealSR": Layout(
        "DRealSR: real pairs of five cameras by two focal lengths",
        (4, 2, 3),
        # Handed out as crops, whose number the paper does not give; 884, 783 and 840 photos at x2, x3, x4.
        train=Split(_drealsr("Train", "DRealSR", "DRealSR/Train")),
        test=Split(
            _drealsr("Test", "DRealSR", "DRealSR/Test"),
            count={2: 83, 3: 84, 4: 93},
            folders=("Test_x[234]", "DRealSRVal*"),
        ),
    ),
    "City100": _city100("iPhoneX"),
    "City100-Nikon": _city100("NikonD5500"),
    # Lugmayr et al. 2020. Source pictures (Flickr2K, made worse) and sharp ones (DIV2K) that are no pairs.
    "NTIRE2020": Layout(
        "NTIRE 2020 real-world SR, track 1: made processing artefacts",
        (4,),
        train=Split(
            _ntire2020(
                ("train-target", "track1-train-source"), ("Corrupted-tr-y", "Corrupted-tr-x"), track="track1"
            ),
            count=800,
            lr_count=2650,
            paired=False,
        ),
        test=Split(
            _ntire2020(
                ("track1-valid-gt", "track1-valid-input"),
                ("DIV2K_valid_HR", "Corrupted-va-x"),
                ("Corrupted-va-y", "Corrupted-va-x"),
                track="track1",
            ),
            ("0801", "0900"),
            folders=("track1-valid-*", "track1-test-*", "Corrupted-va-?", "Corrupted-te-?"),
        ),
    ),
    "NTIRE2020-track2": Layout(
        "NTIRE 2020 real-world SR, track 2: photos of an iPhone 3, without ground truth",
        (4,),
        # 5614 source photos and 113 to validate on make up DPED's 5727, but the report names neither number.
        train=Split(
            _ntire2020(
                ("train-target", "DPEDiphone-tr-x"), ("DPEDiphone-tr-y", "DPEDiphone-tr-x"), track="track2"
            ),
            paired=False,
        ),
        test=Split(
            _ntire2020(("", "DPEDiphone-va"), track="track2"),
            folders=("DPEDiphone-va*", "DPEDiphone-te*", "DPEDiphone-crop-te*", "DPEDiphoneVal*"),
        ),
    ),
    # Zhang et al. 2021 (BSRGAN).
    "RealSRSet": Layout(
        "20 real photos without ground truth",
        (4,),
        test=Split(_photos("RealSRSet", inner=("", "/LR")), count=20, folders=("RealSRSet*",)),
    ),
    # Shi et al. 2022 (Cria-CL).
    "RealSR-Zero": Layout(
        "45 real photos of an iPhone 4 without ground truth",
        (4,),
        test=Split(_photos("RealSR-Zero", "RealSR_Zero"), count=45, folders=("RealSR-Zero", "RealSR_Zero")),
    ),
}
"""The data sets that are known by name."""


def layout_of(name: str) -> Layout:
    """The data set of this name.

    Raises:
        InputError: There is none.
    """
    if name not in LAYOUTS:
        close = nearest(name, LAYOUTS)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(LAYOUTS)}"
        raise InputError(f"{name}: no data set of this name; {hint}")
    return LAYOUTS[name]


def split_of(name: str, split: str) -> Split:
    """A split of a data set.

    Raises:
        InputError: There is no such data set, or it has no such split.
    """
    splits = layout_of(name).splits()
    if split not in splits:
        raise InputError(f"{name}: it has no {split} split, only {' and '.join(splits)}")
    return splits[split]


def checked_scale(name: str, scale: int | None, where: str = "") -> int:
    """A scale of a data set; None takes the usual one.

    Raises:
        InputError: It does not have this scale; the message begins with `where` (the name, if that is empty).
    """
    scales = layout_of(name).scales
    scale = scales[0] if scale is None else scale
    if scale not in scales:
        raise InputError(f"{where or name}: its scales are {', '.join(map(str, scales))}, not {scale}")
    return scale


def find_samples(
    name: str, split: str, root: Path, scale: int | None = None, where: str = ""
) -> list[Sample]:
    """The pictures of a split, in the order of their names; they need not be complete (see `check_layout`).

    Args:
        name: One of `LAYOUTS`.
        split: "train" or "test".
        root: The folder that the data set lies in, or the data set's own.
        scale: One of its scales; None takes the usual one.
        where: What an error message begins with; the name, if that is empty.

    Raises:
        InputError: Unknown, not there, without this scale, or its two sides do not belong together.
    """
    chosen, scale, where = split_of(name, split), checked_scale(name, scale, where), where or name
    found = locate(chosen, root, scale)
    if found is None:
        looked = ", ".join(dict.fromkeys(place.written(scale) for place in chosen.places))
        raise InputError(f"{where}: not below {root}; looked for {looked}")
    _, hr, lr = found
    if not chosen.paired:
        return [Sample(sample_key(file), file, None) for file in hr] + [
            Sample(sample_key(file), None, file) for file in lr
        ]
    return pair(hr, lr, f"{where}: {root}")


def locate(split: Split, root: Path, scale: int) -> tuple[Place, list[Path], list[Path]] | None:
    """The first place of a split that has all it should have of HR and LR pictures; None if there is none.

    Returns:
        The place, and the split's HR and LR files, sorted.
    """
    for place in split.places:
        hr, lr = files_of(split, place, root, scale)
        if (hr or not place.hr) and (lr or not place.lr):
            return place, hr, lr
    return None


def files_of(split: Split, place: Place, root: Path, scale: int) -> tuple[list[Path], list[Path]]:
    """The HR and the LR files that a split has in a place, sorted."""
    names = set(split.official_names())
    hr, lr = (
        [file for file in files_at(root, pattern, scale) if not names or sample_key(file) in names]
        for pattern in (place.hr, place.lr)
    )
    return hr, lr


def files_at(root: Path, pattern: str, scale: int) -> list[Path]:
    """The pictures of a pattern, sorted; none where it is empty.

    `root` may also be a folder that the pattern begins with: of "City100/City100_iPhoneX/*H.*", its City100.
    """
    if not pattern:
        return []
    *folders, wanted = pattern.format(scale=scale).split("/")
    above = root.absolute().parts
    folder = root.joinpath(*folders)
    for shared in range(len(folders), 0, -1):
        if not folder.is_dir() and list(above[-shared:]) == folders[:shared]:
            folder = root.joinpath(*folders[shared:])
    if not folder.is_dir():
        return []
    try:
        files = find_pictures(folder)
    except InputError:
        return []
    return [file for file in files if file.parent == folder and file.match(wanted)]


def sample_key(file: Path) -> str:
    """What the two files of a pair have in common: the name without what tells the side or the scale."""
    return _SIDE_OF_NAME.sub("", file.stem)


def pair(hr: Sequence[Path], lr: Sequence[Path], where: str) -> list[Sample]:
    """Files of the two sides by what their names share, in the order of the names.

    Raises:
        InputError: Two files have the same place, or one has no counterpart; the message begins with `where`.
    """
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


def sides_in(folder: Path) -> tuple[Path, Path] | None:
    """The folders HR/ and LR/, or GT/ and LQ/, in a folder of pairs; None where they are not there."""
    for names in _SIDES:
        hr, lr = (folder / name for name in names)
        if hr.is_dir() and lr.is_dir():
            return hr, lr
    return None


def fits(hr: tuple[int, ...], lr: tuple[int, ...], scale: int) -> bool:
    """Whether the sides of an HR and an LR photo, (H, W, ...) each, are in the ratio of the scale.

    The HR photo may have up to `scale` - 1 pixels more on the right and at the bottom: its LR photo may come
    from one that had been cropped to a multiple of the scale.
    """
    return (hr[0] // scale, hr[1] // scale) == tuple(lr[:2])


def training_photos(folder: Path) -> list[Path]:
    """The photos of a folder and below it, to train on, sorted by their path.

    Raises:
        InputError: There are none, or test pictures of a known data set are among them.
    """
    return refuse_test_files(find_pictures(folder))


def training_pairs(source: str, root: Path, scale: int) -> list[tuple[Path, Path]]:
    """The pairs to train on: the training split of a data set, or a folder of one's own.

    Args:
        source: One of `LAYOUTS`, or a folder with HR/ and LR/ (or GT/ and LQ/); "./City100" is a folder.
        root: The folder that named data sets lie in.
        scale: HR side / LR side.

    Returns:
        HR file and LR file of each, in the order of their names.

    Raises:
        InputError: There are no pairs, or test pictures of a known data set are among them.
    """
    if source in LAYOUTS:
        split = split_of(source, "train")
        if not split.paired:
            raise InputError(
                f"{source}: its HR and LR training photos show different things, so they are no pairs; "
                "train on its HR photos and a degradation instead"
            )
        samples = find_samples(source, "train", root, scale)
        official = split.official_count(scale)
        if official is not None and len(samples) < official:
            log.warning(
                "%s: %d of its %d training pairs are there; `blindsr data` says which are missing",
                source,
                len(samples),
                official,
            )
    else:
        folder = Path(source).expanduser()
        sides = sides_in(folder)
        if sides is None:
            raise InputError(
                f"{source}: neither a folder with HR/ and LR/ in it nor one of {', '.join(LAYOUTS)}"
            )
        samples = pair(find_pictures(sides[0]), find_pictures(sides[1]), source)
    pairs = [(sample.hr, sample.lr) for sample in samples if sample.hr is not None and sample.lr is not None]
    if not pairs:
        raise InputError(f"{source}: no LR photos of x{scale} below {root}; download them, or degrade the HR")
    refuse_test_files(file for both in pairs for file in both)
    return pairs


def refuse_test_files(files: Iterable[Path]) -> list[Path]:
    """Files that are to be trained on, once it is certain that none is a test picture of a known data set.

    What a file is, is told by where it lies and by its name: a copy under other names is not noticed.

    Raises:
        InputError: One of them is; the message names it, the data set and what to do.
    """
    files = list(files)
    known: dict[Path, list[tuple[str, bool]]] = {}
    caught = []
    for file in files:
        for path in dict.fromkeys((file.absolute(), file.resolve())):  # a link may lead to a test picture
            if path.parent not in known:
                known[path.parent] = _test_folders(path.parent)
            name = next(
                (name for name, mixed in known[path.parent] if not mixed or _is_test(path, name)), None
            )
            if name is not None:
                caught.append((file, name))
                break
    if caught:
        (file, name), more = caught[0], len(caught) - 1
        raise InputError(
            f"{file}: a test picture of {name}{f' (and {more} more files)' if more else ''}; what is trained "
            "on it cannot be measured there. Leave the test pictures out of the training folder"
        )
    return files


def _test_folders(folder: Path) -> list[tuple[str, bool]]:
    """Data sets whose test pictures lie at a folder, the nearest first, and whether others lie there too."""
    parts = [part.lower() for part in folder.parts]
    found = []
    for name, layout in LAYOUTS.items():
        if layout.test is None:
            continue
        for mixed, patterns in ((False, layout.test.folders), (True, layout.test.mixed_folders)):
            for pattern in patterns:
                wanted = pattern.lower().split("/")
                for end in range(len(wanted), len(parts) + 1):
                    if all(map(fnmatch, parts[end - len(wanted) : end], wanted)):
                        found.append((-end, name, mixed))
    return [(name, mixed) for _, name, mixed in sorted(found, key=lambda entry: entry[0])]


def _is_test(file: Path, name: str) -> bool:
    """Whether a file has the name of a test picture."""
    test = LAYOUTS[name].test
    return test is not None and sample_key(file) in test.official_names()
