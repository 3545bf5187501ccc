"""A folder of photos, decoded once into one memory-mapped file: a crop costs a copy and no decoding."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from blindsr.errors import InputError
from blindsr.system.files import atomic_path

log = logging.getLogger(__name__)

T = TypeVar("T")


class PhotoCache:
    """Photos as 8-bit RGB arrays in one file on disk, shared by all processes through the page cache.

    Args:
        files: The photos; those that are smaller than `smallest` on a side are left out, with a warning.
        cache: Folder for the decoded pixels. They are decoded again when a file changed, by size and time.
        smallest: Least width and height that is of use, in pixels.

    Raises:
        InputError: No photo is left.
    """

    def __init__(self, files: list[Path], cache: Path, smallest: int = 1) -> None:
        stamp = [[str(f.resolve()), f.stat().st_size, f.stat().st_mtime_ns] for f in files]
        key = hashlib.sha256(json.dumps(stamp).encode()).hexdigest()[:16]
        pixels, index = cache / f"photos-{key}.u8", cache / f"photos-{key}.json"
        if not (pixels.exists() and index.exists()):
            cache.mkdir(parents=True, exist_ok=True)
            _decode(files, pixels, index)
        rows: list[dict[str, Any]] = json.loads(index.read_text())
        self._pixels: NDArray[np.uint8] = np.memmap(pixels, np.uint8, mode="r")
        self._rows = [row for row in rows if min(row["height"], row["width"]) >= smallest]
        if len(self._rows) < len(rows):
            log.warning(
                "%d photos are smaller than %d pixels; left out", len(rows) - len(self._rows), smallest
            )
        if not self._rows:
            raise InputError(f"none of the {len(files)} photos is at least {smallest} pixels wide and high")

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, i: int) -> NDArray[np.uint8]:
        """Photo i, (H, W, 3) RGB in [0, 255]: a read-only view, nothing is copied."""
        row = self._rows[i]
        height, width, start = row["height"], row["width"], row["start"]
        return self._pixels[start : start + height * width * 3].reshape(height, width, 3)

    def shape(self, i: int) -> tuple[int, int]:
        """Height and width of photo i."""
        return self._rows[i]["height"], self._rows[i]["width"]

    def first_pixel(self, i: int) -> int:
        """How many pixels of other photos lie before those of photo i in `pixels`."""
        return int(self._rows[i]["start"]) // 3

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """The pixels of all photos, row by row, (P, 3) RGB: read-only, nothing is copied."""
        return self._pixels.reshape(-1, 3)

    def name(self, i: int) -> str:
        """File name of photo i."""
        return str(self._rows[i]["name"])


def split_holdout(files: Sequence[T], holdout: int) -> tuple[list[T], list[T]]:
    """Take `holdout` files or pairs, evenly spread over the list, away from it: (held out, the rest)."""
    chosen = {i * len(files) // holdout for i in range(holdout)} if holdout else set()
    return [f for i, f in enumerate(files) if i in chosen], [
        f for i, f in enumerate(files) if i not in chosen
    ]


def _decode(files: list[Path], pixels: Path, index: Path) -> None:
    from PIL import Image, ImageOps, UnidentifiedImageError

    log.info("decoding %d photos into %s", len(files), pixels)
    rows, start = [], 0
    with atomic_path(pixels) as temporary, temporary.open("wb") as out:
        for file in files:
            try:
                with Image.open(file) as image:
                    photo = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
            except (UnidentifiedImageError, OSError) as error:
                raise InputError(f"{file}: cannot be decoded ({error}); remove it or replace it") from None
            rows.append(
                {"name": file.name, "height": photo.shape[0], "width": photo.shape[1], "start": start}
            )
            out.write(photo.tobytes())
            start += photo.size
    with atomic_path(index) as temporary:
        temporary.write_text(json.dumps(rows))
