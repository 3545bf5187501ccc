"""Camera profiles: what a model reads from all photos of one camera, kept in a file for every later photo."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blindsr.errors import BlindSRError, InputError
from blindsr.models.card import Model
from blindsr.models.catalogue import ADAPTING_MODEL
from blindsr.system.files import atomic_path, read_whole
from blindsr.system.untrusted import parse_json, shorten
from blindsr.upscaling.upscaler import Adaptation, Upscaler

__all__ = ["CameraReading", "outliers", "read_camera", "read_profile", "write_profile"]

FORMAT = "blindsr camera profile"
VERSION = 1

_KEYS = ("format", "version", "model", "condition_sha256", "base_sha256", "photos", "condition", "modulation")
_OPTIONAL = ("names",)

# A photo does not belong where its condition lies so many times as far from the middle of all conditions as
# the median photo's: of photos under one degradation the furthest lies 2 to 5 times as far.
_FAR = 4.0
# And it must be far in the model's own terms too, for in a folder of very similar photos the furthest is not
# wrong. In parts of the mean distance of tasks drawn at random; benchmarks/camera.py counts the errors.
_DIFFERENT = 0.5
_FEWEST = 3  # of two photos that differ neither is the odd one


@dataclass(frozen=True, eq=False, repr=False)
class CameraReading:
    """What a set of photos told.

    `blindsr.read_camera` makes it. Nothing in it changes, so threads may share one.

    Args:
        adaptation: What they share.
        photos: Those that were read, sorted.
        conditions: Each one's own condition, (P, C).
        faults: Why the others were not.

    Example:
        >>> blindsr.read_camera(blindsr.Upscaler("cmdsr-x4"), ["photo.jpg", "other.jpg", "missing.jpg"])
        <CameraReading of 2 photos, 1 left out>
    """

    adaptation: Adaptation
    photos: tuple[Path, ...]
    conditions: NDArray[np.float32]
    faults: tuple[BlindSRError, ...]

    def __repr__(self) -> str:
        count, left_out = len(self.photos), len(self.faults)
        more = f", {left_out} left out" if left_out else ""
        return f"<CameraReading of {count} photo{'s' * (count != 1)}{more}>"

    @property
    def distances(self) -> NDArray[np.float64]:
        """Of each photo's own condition from the shared one, (P,)."""
        apart = self.conditions.astype(np.float64) - self.adaptation.condition
        distances: NDArray[np.float64] = np.linalg.norm(apart, axis=1)
        return distances


def read_camera(
    upscaler: Upscaler, photos: Sequence[str | Path], *, on_photo: Callable[[int, int], None] | None = None
) -> CameraReading:
    """Read the degradation that the photos of one camera share, one photo in memory at a time.

    The result depends on the photos alone: not on their order, nor on how often one is named.

    Args:
        upscaler: With the model that is to be adapted.
        photos: Files; those that cannot be read are left out.
        on_photo: Called after each photo with the number done and the number in all.

    Raises:
        InputError: No photo is given, none can be read, or the model does not adapt.

    Example:
        >>> upscaler = blindsr.Upscaler("cmdsr-x4")
        >>> camera = blindsr.read_camera(upscaler, ["photo.jpg", "other.jpg"])
        >>> camera.distances.shape
        (2,)
        >>> blindsr.write_profile(camera.adaptation, upscaler.model, "phone.profile")
    """
    if upscaler.model.support is None:
        raise InputError(
            f"model {upscaler.model.name} does not adapt, so there is no profile to make for it; "
            f"{ADAPTING_MODEL} does"
        )
    files = sorted({Path(photo).resolve(): Path(photo) for photo in reversed(photos)}.items())
    own: dict[Path, Adaptation] = {}
    faults: list[BlindSRError] = []
    for done, (_, photo) in enumerate(files, 1):
        try:
            own[photo] = upscaler.adapt([photo])
        except BlindSRError as error:
            faults.append(error)
        if on_photo is not None:
            on_photo(done, len(files))
    if not own:
        why = f" ({faults[0]})" if faults else ""
        raise InputError(f"none of the {len(files)} photos can be used{why}")
    if upscaler.model.support.fixed_count and len(own) > 1:
        shared = upscaler.adapt(list(own))
    else:
        shared = Adaptation.mean(list(own.values()))
    conditions = np.concatenate([adaptation.condition for adaptation in own.values()])
    return CameraReading(shared, tuple(own), conditions, tuple(faults))


def outliers(conditions: NDArray[np.float32], yardstick: float | None = None) -> NDArray[np.bool_]:
    """Which photos plainly do not belong to the others.

    Args:
        conditions: Each photo's own condition, (P, C).
        yardstick: Mean distance of the conditions of tasks drawn at random from their middle; with None any
            photo that is far from the others in their own terms is meant.

    Returns:
        (P,); all False for fewer than three photos, of which none can be the odd one.
    """
    if len(conditions) < _FEWEST:
        return np.zeros(len(conditions), np.bool_)
    distances = np.linalg.norm(conditions - np.median(conditions, axis=0), axis=1)
    far: NDArray[np.bool_] = distances > _FAR * np.median(distances)
    odd: NDArray[np.bool_] = far & (distances > _DIFFERENT * (yardstick or 0.0))
    return odd


def write_profile(
    adaptation: Adaptation, model: Model, path: str | Path, *, names: Sequence[str] = ()
) -> None:
    """Write an adaptation to a file, every number exactly.

    Args:
        adaptation: Of this model.
        model: The model; the file names the very graphs that it was made with.
        path: The file; it appears complete or not at all.
        names: Of the photos, for the file's reader; without them it tells nobody what was photographed.

    Raises:
        InputError: The adaptation belongs to another model, or the file cannot be written.

    Example:
        >>> upscaler = blindsr.Upscaler("cmdsr-x4")
        >>> camera = upscaler.adapt(["photo.jpg", "other.jpg"])
        >>> blindsr.write_profile(camera, upscaler.model, "phone.profile", names=["photo.jpg", "other.jpg"])
    """
    path = Path(path)
    if adaptation.model != model.name:
        raise InputError(f"this adaptation is for model {adaptation.model}, not for {model.name}")
    content: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "model": model.name,
        "condition_sha256": model.digests["condition"],
        "base_sha256": model.digests["base"],
        "photos": adaptation.photos,
        # A float32 is a float64 without loss, and JSON's numbers are written so that they come back the same.
        "condition": [float(number) for number in adaptation.condition[0]],
        "modulation": [float(number) for number in adaptation.modulation[0]],
    }
    if names:
        content["names"] = list(names)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary:
            text = json.dumps(content, indent=1, allow_nan=False)
            temporary.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from error


def read_profile(path: str | Path, model: Model) -> Adaptation:
    """Read a profile that `write_profile` wrote; the same bytes come of it as of what was written.

    Args:
        path: The file; it may come from a stranger.
        model: The model that is to use it.

    Raises:
        InputError: The file cannot be read, is damaged, or was made for another model or other weights; or
            the model does not adapt.

    Example:
        >>> upscaler = blindsr.Upscaler("cmdsr-x4")
        >>> blindsr.write_profile(upscaler.adapt("photo.jpg"), upscaler.model, "phone.profile")
        >>> blindsr.read_profile("phone.profile", upscaler.model)
        <Adaptation of 'cmdsr-x4' to 1 photo>
    """
    path = Path(path)
    if not model.adaptive:
        raise InputError(f"{path}: model {model.name} does not adapt, so it takes no profile")
    content = _read_json(path)
    unfit = f'make it again with "blindsr adapt --model {model.name}"'
    if content["model"] != model.name:
        made_for = shorten(content["model"])
        raise InputError(f"{path}: a profile for model {made_for}, not for {model.name}; {unfit}")
    for role in ("condition", "base"):
        if content[f"{role}_sha256"] != model.digests.get(role):
            raise InputError(f"{path}: made with other weights of model {model.name}; {unfit}")
    photos = content["photos"]
    if not isinstance(photos, int) or isinstance(photos, bool) or photos < 1:
        raise InputError(f"{path}: damaged: photos should be a number from 1, not {shorten(photos)}")
    condition = _vector(path, "condition", content["condition"], model.condition_size)
    modulation = _vector(path, "modulation", content["modulation"], model.modulation_size)
    return Adaptation(condition, modulation, model.name, photos=photos)


def _read_json(path: Path) -> dict[str, Any]:
    """A profile's entries, all there and none unknown."""
    no_profile = f'{path}: not a camera profile; "blindsr adapt" makes one'
    try:
        encoded = read_whole(path)
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.EFBIG):  # a pipe, a device; a photo
            raise InputError(no_profile) from error
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    try:
        content = parse_json(encoded, finite=False)
    except ValueError as error:
        raise InputError(no_profile) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise InputError(no_profile)
    if content.get("version") != VERSION:
        raise InputError(
            f"{path}: a profile of version {shorten(content.get('version'))}, this program reads {VERSION};"
            " update it, or make the profile again"
        )
    missing = [key for key in _KEYS if key not in content]
    unknown = [key for key in content if key not in (*_KEYS, *_OPTIONAL)]
    if missing or unknown:
        fault = f"{missing[0]} is missing" if missing else f"unknown entry {unknown[0][:40]!r}"
        raise InputError(f"{path}: damaged: {fault}; make it again")
    return content


def _vector(path: Path, key: str, numbers: object, size: int) -> NDArray[np.float32]:
    """A list of finite numbers as (1, size)."""
    if not isinstance(numbers, list) or len(numbers) != size:
        found = f"{len(numbers)} numbers" if isinstance(numbers, list) else type(numbers).__name__
        raise InputError(f"{path}: damaged: {key} should be {size} numbers, not {found}; make it again")
    fault = InputError(f"{path}: damaged: {key} holds what is not a finite number; make it again")
    if any(isinstance(number, bool) or not isinstance(number, (int, float)) for number in numbers):
        raise fault
    try:
        with np.errstate(over="ignore"):
            vector = np.array([numbers], np.float64).astype(np.float32)
    except OverflowError:
        raise fault from None
    if not np.isfinite(vector).all():
        raise fault
    return vector
