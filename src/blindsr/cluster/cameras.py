"""Photos of one camera at like settings: what groups them, and which of them tell the camera's profile."""

from __future__ import annotations

import hashlib
import heapq
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

__all__ = ["SAMPLE", "Sample", "camera_of", "profile_name"]

SAMPLE = 32
"""Photos that tell a camera's profile; of a camera with more of them these are enough."""

_MAKE, _MODEL, _EXIF = 0x010F, 0x0110, 0x8769
_ISO, _LENS = 0x8827, 0xA434
_LONGEST = 200


def camera_of(photo: Path) -> str:
    """What photos of one camera at like settings have in common: maker, model, lens, stop of ISO, and size.

    Args:
        photo: The file; only its head is read.

    Returns:
        Empty where it does not tell a model.
    """
    from PIL import Image

    try:
        with Image.open(photo) as image:
            exif = image.getexif()
            inner = exif.get_ifd(_EXIF)
            sides = sorted(image.size)
    except Exception:  # no photo that Pillow reads, or EXIF that is none: it has a profile of its own
        return ""
    model = _text(exif.get(_MODEL))
    if not model:
        return ""
    parts = _text(exif.get(_MAKE)), model, _text(inner.get(_LENS)), _stop(inner.get(_ISO))
    return "|".join((*parts, f"{sides[1]}x{sides[0]}"))


def profile_name(camera: str) -> str:
    """What the file of a camera's profile is called: nothing of what a photo says may lead elsewhere."""
    return f"{hashlib.sha256(camera.encode('utf-8', 'replace')).hexdigest()[:32]}.profile"


class Sample:
    """The photos of each camera that tell its profile: the same few, in whatever order photos come.

    They are those with the least digests of their names, so neither what is known of a camera nor which of
    them are taken depends on how many machines looked.
    """

    def __init__(self) -> None:
        self._cameras: dict[str, list[tuple[int, str, str]]] = {}

    def add(self, camera: str, place: str, name: str) -> None:
        """A photo of a camera."""
        digest = int.from_bytes(
            hashlib.sha256(f"{place}\0{name}".encode("utf-8", "replace")).digest()[:8], "big"
        )
        # The heap's least is the first to go: the largest digest.
        held = self._cameras.setdefault(camera, [])
        entry = (-digest, place, name)
        if entry in held:
            return
        heapq.heappush(held, entry)
        if len(held) > SAMPLE:
            heapq.heappop(held)

    def merge(self, others: Iterable[tuple[str, str, str]]) -> None:
        """Photos (camera, place, name), as a worker finds them."""
        for camera, place, name in others:
            self.add(camera, place, name)

    def cameras(self) -> list[tuple[str, list[tuple[str, str]]]]:
        """Each camera with its photos (place, name), sorted."""
        return [
            (camera, sorted((place, name) for _, place, name in held))
            for camera, held in sorted(self._cameras.items())
        ]


def _text(value: Any) -> str:  # noqa: ANN401
    """A text of EXIF without what would part it in two."""
    return (
        ""
        if not isinstance(value, str)
        else " ".join(value.replace("|", " ").replace("\0", " ").split())[:_LONGEST]
    )


def _stop(value: Any) -> str:  # noqa: ANN401
    """ISO to the nearest stop: what there is of noise doubles from one to the next."""
    number = value[0] if isinstance(value, tuple) and value else value
    if not isinstance(number, (int, float)) or not 1 <= number <= 1e9:
        return ""
    return f"ISO {round(100 * 2 ** round(math.log2(number / 100)))}"
