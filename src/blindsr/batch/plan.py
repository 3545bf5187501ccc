"""Many files: what becomes of which, three photos in work at once, and a journal to resume from."""

from __future__ import annotations

import fnmatch
import logging
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass, field, replace
from pathlib import Path

from blindsr.batch.naming import NamePattern
from blindsr.batch.recognition import describe, is_photo, result_suffix
from blindsr.batch.stages import Task
from blindsr.errors import InputError
from blindsr.picture import FORMATS, READABLE, format_of
from blindsr.picture.formats import PICTURES
from blindsr.system.files import identity, is_folder, list_folder, walk_files
from blindsr.system.untrusted import shorten

__all__ = ["Plan", "find_photos", "plan_batch"]

log = logging.getLogger(__name__)

LONGEST_NAME = 255
"""Bytes that a file's name may have on the usual file systems."""


@dataclass(frozen=True, repr=False)
class Plan:
    """What a batch is to do.

    `blindsr.plan_batch` makes it. Nothing in it changes, so threads may share one.

    Args:
        tasks: In the order in which they are done.
        root: The folder that holds all results, where the journal belongs; None where no folder does.
        others: Suffixes of the files in the folders that are no photos, "" for none, and how many there are.

    Example:
        >>> plan = blindsr.plan_batch(["photo.jpg"], "restored", label="x4")
        >>> plan
        <Plan for 1 photo, into 'restored'>
        >>> plan.tasks[0].target.name
        'photo_x4.jpg'
    """

    tasks: Sequence[Task]
    root: Path | None
    _: KW_ONLY
    others: Mapping[str, int] = field(default_factory=dict)

    def __repr__(self) -> str:
        count = len(self.tasks)
        where = "" if self.root is None else f", into {shorten(str(self.root))}"
        return f"<Plan for {count} photo{'s' * (count != 1)}{where}>"


def plan_batch(
    inputs: str | Path | Sequence[str | Path],
    out: str | Path | None = None,
    *,
    label: str,
    format_: str | None = None,
    quality: int | None = None,
    recursive: bool = True,
    name: NamePattern | None = None,
) -> Plan:
    """Decide which photos are read and where each result goes; none replaces a photo or another result.

    A result beside its photo or in a folder is named after the photo and, by the label, its size.

    Args:
        inputs: One or more photos, folders, or patterns such as ``scans/**/*.tif``, which are taken as
            patterns where no file of that name is there. A photo that is given twice is done once.
        out: A file (for one photo) or a folder, which gets the structure below the folders given and below
            the fixed part of the patterns. None puts each result beside its photo.
        label: What a result's name gets, such as "x4".
        format_: A name in `FORMATS`; None takes the photo's own format, as its content has it, where that can
            be written.
        quality: Of the results, 1 to 100; photos that become a lossless format then have a fault.
        recursive: Whether folders are walked with all that is below them.
        name: How results are named; None for the photo's name and the label.

    Raises:
        InputError: Nothing was found in a folder or by a pattern, `out` names a picture that cannot be
            written, one file is to take several results, or
            there is no such format.

    Example:
        >>> plan = blindsr.plan_batch("*.jpg", "restored", label="x4", format_="png")
        >>> [task.target.name for task in plan.tasks]
        ['other_x4.png', 'photo_x4.png']
    """
    if format_ is not None and format_ not in FORMATS:
        raise InputError(f"format {shorten(format_)}: give one of {', '.join(FORMATS)}")
    out = None if out is None else Path(out)
    found: list[_Found] = []
    others: Counter[str] = Counter()
    bases = []
    for entry in dict.fromkeys(_paths(inputs)):
        base, photos = _look_up(entry, out, recursive, others)
        bases.append(base)
        found += photos
    if out is None:
        root = _common_folder(bases)
    elif out.suffix.lower() in PICTURES and not is_folder(out):
        format_of(out)
        if len(found) != 1 or not found[0].named:
            raise InputError(f"{out}: one file cannot take the results of several photos; give a folder")
        return Plan(_checked([Task(found[0].source, out, root=out.parent)], quality), out.parent)
    elif os.path.lexists(out) and not is_folder(out):
        raise InputError(f"{out}: neither a folder nor a picture's name; give another -o")
    else:
        root = out

    tasks = []
    for one in found:
        folder = one.source.parent if out is None else out / one.below
        stem, fault = f"{one.source.stem}_{label}", one.fault
        if name is not None and not fault:
            stem, fault = _named(name, one.source, stem)
        above = folder.parents[len(one.below.parts) - 1] if one.below.parts else folder
        tasks.append(Task(one.source, folder / f"{stem}{result_suffix(one.source, format_)}", fault, above))
    results = {_real(task.target) for task in tasks}
    once: dict[Path, Task] = {}
    for one, task in zip(found, tasks, strict=True):
        # An earlier run's results lie among the photos of a folder: they are not to be enlarged again.
        if one.named or _real(task.source) not in results:
            # By its own name, not by what it links to: two links are two photos.
            once.setdefault(_real(task.source.parent) / task.source.name, task)
    return Plan(_checked(list(once.values()), quality), root, others=others)


def _named(name: NamePattern, source: Path, else_: str) -> tuple[str, str]:
    """The name of a photo's result, and why there is none."""
    try:
        return name.of(source), ""
    except InputError as error:
        return else_, str(error).removeprefix(f"{source}: ")


def find_photos(inputs: Sequence[Path], recursive: bool = True, results: Sequence[Path] = ()) -> list[Path]:
    """The photos that are meant by photos, folders and patterns, as `plan_batch` understands them.

    A folder that cannot be read is among them: reading it will tell why.

    Args:
        inputs: As in `plan_batch`.
        recursive: As in `plan_batch`.
        results: Files that will be written: those that an earlier run left in a folder are no photos.

    Raises:
        InputError: Nothing was found in a folder or by a pattern.
    """
    written = {identity(path) for path in results} - {None}
    found = []
    for entry in inputs:
        photos = _look_up(entry, None, recursive)[1]
        kept = [one.source for one in photos if one.named or identity(one.source) not in written]
        if not kept:
            raise InputError(f"{entry}: its only photos are results of this command")
        found += kept
    return found


def _paths(inputs: str | Path | Sequence[str | Path]) -> list[Path]:
    """The inputs as paths; one that is not in a list is one."""
    return [Path(entry) for entry in ([inputs] if isinstance(inputs, (str, Path)) else inputs)]


@dataclass(frozen=True)
class _Found:
    """A photo, the folder below the input that it lies in, and whether it was named itself.

    A folder that cannot be read is a photo with a fault.
    """

    source: Path
    below: Path
    named: bool = False
    fault: str = ""


def _look_up(
    entry: Path, out: Path | None, recursive: bool, others: Counter[str] | None = None
) -> tuple[Path, list[_Found]]:
    """The folder that an input's structure is counted from, and what the input stands for.

    `others` gets the suffixes of what is in folders and no photo.
    """
    others = Counter() if others is None else others
    if is_folder(entry):
        base, found = entry, _look_below(entry, entry, recursive, others)
        fault = f"{entry}: no photos in this folder ({', '.join(READABLE)})"
    else:
        magic = next((i for i, part in enumerate(entry.parts) if _is_pattern(part)), None)
        if magic is None or os.path.lexists(entry):
            return entry.parent, [_Found(entry, Path(), named=True)]
        base, found = _look_for(entry, magic, recursive, others)
        fault = f"{entry}: no such file, and as a pattern it matches no photo"
    if out is not None and _real(base) in _real(out).parents:  # results of an earlier run
        found = [one for one in found if not _real(one.source.parent).is_relative_to(_real(out))]
    if not found:
        raise InputError(f"{fault}; {describe(others)}" if others else fault)
    return base, found


def _look_below(folder: Path, base: Path, recursive: bool, others: Counter[str]) -> list[_Found]:
    """The photos in a folder, in order, and the folders that cannot be read."""
    errors: list[OSError] = []
    found = []
    for file in walk_files(folder, recursive, errors.append):
        if is_photo(file):
            found.append(_Found(file, file.parent.relative_to(base)))
        else:
            others[file.suffix.lower()] += 1
    return found + [_unreadable(error, base) for error in errors]


def _look_for(pattern: Path, magic: int, recursive: bool, others: Counter[str]) -> tuple[Path, list[_Found]]:
    """The fixed part of a pattern, and what matches its parts from `magic` on."""
    base = Path(*pattern.parts[:magic])
    # "*" means every photo, "*.dat" every file of that name: what it is will be seen from its content.
    any_suffix = not pattern.suffix or _is_pattern(pattern.suffix)
    errors: list[OSError] = []
    found = []
    for match in _expand(base, pattern.parts[magic:], errors.append):
        if is_folder(match):
            found += _look_below(match, base, recursive, others)
        elif not any_suffix or is_photo(match):
            found.append(_Found(match, match.parent.relative_to(base)))
        else:
            others[match.suffix.lower()] += 1
    return base, found + [_unreadable(error, base) for error in errors]


def _unreadable(error: OSError, base: Path) -> _Found:
    """A folder that cannot be read, as what was found."""
    folder = Path(error.filename)
    fault = f"this folder cannot be read ({error.strerror}); its photos are left out"
    return _Found(folder, folder.relative_to(base).parent, fault=fault)


def _expand(
    folder: Path, parts: Sequence[str], on_error: Callable[[OSError], None], links: bool = True
) -> Iterator[Path]:
    """What a pattern matches below a folder, in order.

    "**" stands for any number of folders; below it no links to folders are followed (`links`), which may lead
    round in a circle.
    """
    if not parts:
        yield folder
        return
    first, rest = parts[0], parts[1:]
    if not _is_pattern(first):
        if os.path.lexists(folder / first):
            yield from _expand(folder / first, rest, on_error, links)
        return
    try:
        entries = list_folder(folder, hidden=first.startswith("."))
    except (FileNotFoundError, NotADirectoryError):  # nothing that could match
        return
    except OSError as error:
        on_error(error)
        return
    if first == "**":
        yield from _expand(folder, rest or ("*",), on_error, links=False)
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _expand(Path(entry.path), parts, on_error, links=False)
        return
    for entry in entries:
        path = Path(entry.path)
        folder_link = entry.is_symlink() and is_folder(path)
        if fnmatch.fnmatch(entry.name, first) and (links or not folder_link):
            yield from _expand(path, rest, on_error, links)


def _is_pattern(part: str) -> bool:
    return any(sign in part for sign in "*?[")


def _checked(tasks: Sequence[Task], quality: int | None) -> list[Task]:
    """The tasks, with what is wrong with each."""
    sources = {_real(task.source) for task in tasks}
    photos = {identity(task.source) for task in tasks} - {None}  # hard links, and names in other capitals
    taken: dict[Path, Path] = {}
    checked = []
    for task in tasks:
        place = _real(task.target)
        fault = task.fault
        if fault:
            pass
        elif place in sources or identity(task.target) in photos:
            fault = f"its result would overwrite the photo {task.target}; give another -o"
        elif place in taken:
            fault = fault_of_two(taken[place])
        else:
            fault = fault_of_name(task.target.name, quality)
            if not fault:
                taken[place] = task.source
        checked.append(replace(task, fault=fault))
    return checked


def fault_of_name(name: str, quality: int | None) -> str:
    """Why a result cannot have this name and this quality; empty if it can."""
    lossy = {suffix for one in FORMATS.values() if one.lossy for suffix in one.suffixes}
    suffix, length = Path(name).suffix, len(os.fsencode(name))
    if quality is not None and suffix.lower() not in lossy:
        return f"{suffix} files lose nothing, so they take no --quality; give --format"
    if length > LONGEST_NAME:
        return f"its result's name has {length} bytes, {LONGEST_NAME} are allowed; name a shorter one by -o"
    return ""


def fault_of_two(other: Path | str) -> str:
    """Why a photo has no result whose name that of another photo has already."""
    return (
        f"its result would overwrite that of {other}; rename one of them, "
        'or give --name "{stem}_{suffix}"'
    )


def _common_folder(folders: Sequence[Path]) -> Path | None:
    """The folder that holds all of these; None where they are on several drives."""
    with suppress(ValueError):
        return Path(os.path.commonpath([_real(folder) for folder in folders]))
    return None


def _real(path: Path) -> Path:
    """The path without links; of links that go round in a circle, the path as it is."""
    return Path(os.path.realpath(path))
