"""Test sets of a known degradation: LR files and the manifest from which they can be made again."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from blindsr.degradation.pipeline import Task, degrade_image, modcrop
from blindsr.degradation.random_degradation import RandomDegradation
from blindsr.errors import InputError
from blindsr.picture import Picture, as_rgb, find_pictures, read, write
from blindsr.system.files import atomic_path, make_folder, refuse_overwriting, sha256

log = logging.getLogger(__name__)

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Record:
    """What became of one photo.

    Args:
        source: the HR file, relative to the folder it was found in.
        file: the LR file, relative to the output folder; empty if it could not be made.
        seed: seed of this file's noise.
        width: columns of the LR file.
        height: rows of the LR file.
        sha256: of the LR file's bytes.
        degradation: what was drawn for this photo; None where all have the same.
        error: why it could not be made; empty if it was.
    """

    source: str
    file: str = ""
    seed: int = 0
    width: int = 0
    height: int = 0
    sha256: str = ""
    degradation: Mapping[str, Any] | None = None
    error: str = ""


def degrade_folder(
    source: Path,
    out: Path,
    degradation: Task,
    seed: int,
    *,
    about: Mapping[str, Any] | None = None,
    leave_out: Path | None = None,
) -> list[Record]:
    """Make the LR photos of a test set.

    Each photo is cropped to a multiple of the scale, degraded, and written as an 8-bit PNG of the same name
    in the same place below `out`; alpha is left out, gray becomes RGB. `out`/manifest.json holds the
    degradation, and each file's seed, SHA-256 and, where each has its own, degradation. Running twice gives
    the same bytes.

    Args:
        source: a photo, or a folder whose photos are taken at any depth.
        out: folder for the LR files, made if it is not there.
        degradation: the task.
        seed: each file's noise is seeded by this and the file's name, so adding files changes no others.
        about: more entries for the manifest.
        leave_out: folder whose photos are no source, above `out`: the one that the user named; None: `out`.

    Returns:
        A record for each photo, in the order of their names. A photo that cannot be degraded is logged and
        has an `error`; it does not stop the others.

    Raises:
        InputError: there are no photos, two would become the same file, a file would be overwritten that is
            read, or none could be degraded.
    """
    results = leave_out or out
    root, files = _photos(source, results)
    taken: dict[str, Path] = {}
    targets = [name_of_result(file.relative_to(root).as_posix()) for file in files]
    for file, target in zip(files, targets, strict=True):
        other = taken.setdefault(target.as_posix().casefold(), file)
        if other is not file:
            raise InputError(f"{file} and {other} would both become {target}: rename one")
    refuse_overwriting([out / MANIFEST, *(out / target for target in targets)], files)
    records = [_degrade_file(file, root, out, results, degradation, seed) for file in files]
    failed = [record for record in records if record.error]
    if len(failed) == len(records):
        raise InputError(f"{source}: no photo could be degraded; the first: {failed[0].error}")
    with atomic_path(out / MANIFEST) as temporary:
        temporary.write_bytes(manifest_of(records, degradation, seed, about))
    return records


def manifest_of(
    records: Iterable[Record], degradation: Task, seed: int, about: Mapping[str, Any] | None = None
) -> bytes:
    """The manifest's content.

    Args:
        records: What became of the photos, in order.
        degradation: As of `degrade_folder`, like the others.
        seed: As there.
        about: As there.
    """
    text = {
        **(about or {}),
        "degradation": degradation.as_dict(),
        "written": str(degradation),
        "seed": seed,
        "photos": [_written(record) for record in records],
    }
    # A name that is no Unicode has signs that UTF-8 does not know.
    return (json.dumps(text, indent=2, ensure_ascii=False) + "\n").encode("utf-8", "replace")


def _photos(source: Path, out: Path) -> tuple[Path, list[Path]]:
    """Return the folder that names are relative to, and the photos."""
    if source.is_file():
        return source.parent, [source]
    # A second run must not take the first one's results for photos.
    inside = out.resolve()
    files = [file for file in find_pictures(source) if inside not in file.resolve().parents]
    if not files:
        raise InputError(f"{source}: its only photos are those in {out}")
    return source, files


def name_of_result(name: str) -> PurePosixPath:
    """The LR file's name, and the folders that it lies in below that of results.

    Args:
        name: Of the photo, relative to the folder it was found in.

    Example:
        >>> name_of_result("scans/a.jpg")
        PurePosixPath('scans/a.png')
    """
    return PurePosixPath(name).with_suffix(".png")


def seed_of(name: str, seed: int) -> int:
    """Derive a file's seed, 0..2^63 - 1, from its name (see `name_of_result`) and the set's seed."""
    text = f"{seed}/{name}".encode("utf-8", "surrogateescape")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little") >> 1


def degrade_photo(picture: Picture, degradation: Task, seed: int) -> Picture:
    """The LR photo of a photo of any size: without alpha, in RGB, cropped to a multiple of the scale first.

    Raises:
        InputError: It is smaller than the scale.
    """
    lr = degrade_image(modcrop(as_rgb(picture.pixels), degradation.scale), degradation, seed)
    # A gray photo's profile describes one channel, which the LR file no longer has.
    return Picture(lr, icc=None if picture.gray else picture.icc)


def drawn_for(degradation: Task, seed: int) -> dict[str, Any] | None:
    """What a task that is drawn anew for each photo is for the one with this seed; None for others."""
    return degradation.task(seed).as_dict() if isinstance(degradation, RandomDegradation) else None


def _degrade_file(file: Path, root: Path, out: Path, results: Path, degradation: Task, seed: int) -> Record:
    """Degrade one photo; what goes wrong with it is its record's error."""
    name = file.relative_to(root).as_posix()
    file_seed, below = seed_of(name, seed), name_of_result(name)
    try:
        picture = read(file)
        try:
            lr = degrade_photo(picture, degradation, file_seed)
        except InputError as error:
            raise InputError(f"{file}: {error}") from error
        target = out / below
        try:
            make_folder(target.parent, results)
        except OSError as error:
            place = error.filename or target.parent
            raise InputError(f"{place}: cannot make this folder ({error.strerror})") from error
        write(lr, target)
    except InputError as error:
        log.warning("%s", error)
        return Record(name, error=str(error))
    drawn = drawn_for(degradation, file_seed)
    return Record(name, below.as_posix(), file_seed, lr.width, lr.height, sha256(target), drawn)


def _written(record: Record) -> dict[str, Any]:
    """Return what the manifest says of a photo."""
    if record.error:
        return {"source": record.source, "error": record.error}
    return {key: value for key, value in asdict(record).items() if key != "error" and value is not None}
