"""The size of a photo by its header alone."""

from __future__ import annotations

import io
from pathlib import Path
from typing import IO

from blindsr.errors import MissingExtraError
from blindsr.picture import netpbm
from blindsr.picture.decoding import (
    check_image,
    kind_of_file,
    opened_by_pillow,
    source_file,
)
from blindsr.picture.jpeg_xl import photos as jpeg_xl
from blindsr.picture.limits import Limits, damaged_file
from blindsr.picture.loaders import UndecodableError, opened, opening_bytes, reason
from blindsr.picture.tiff import size_told


def measure_photo(path: Path, limits: Limits | None = None) -> tuple[int, int]:
    """The size of a photo by its header alone: nothing is decoded, so that it takes no time to speak of.

    Args:
        path: The file.
        limits: As of `open_photo`.

    Returns:
        (width, height) of its samples in pixels, before any orientation is applied.

    Raises:
        InputError: As `open_photo`, as far as a header tells; the message names the file.
        MissingExtraError: As `open_photo`.
    """
    limits = limits or Limits()
    with source_file(path, limits) as (_, file):
        size = _measure(path, file, kind_of_file(path, file), limits)
        limits.check_size(path, *size)
        return size


def _measure(path: Path, file: IO[bytes], kind: str, limits: Limits) -> tuple[int, int]:
    """Width and height, by whoever reads the header."""
    try:
        if kind == "ppm" and (told := netpbm.layout(file)) is not None:
            return told.width, told.height
        if kind in ("bmp", "ppm"):
            with opened_by_pillow(path, file, kind) as image:
                width, height = image.size
                return width, height
        limits.check_held(path, opening_bytes(file, kind, limits.held), "metadata")
        if kind == "heic":
            return _heic_size(path, file)
        if kind == "jxl":
            with jpeg_xl.opened(path, file, limits) as reader:
                return reader.header.width, reader.header.height
        with opened(file, kind) as image:
            check_image(path, image, kind, file, limits)
            return image.width, image.height
    except netpbm.DamagedError as error:
        raise damaged_file(path, str(error)) from error
    except UndecodableError as error:
        size = size_told(file) if kind == "tiff" else None
        if size is None:
            raise damaged_file(path, str(error)) from error
        return size


def _heic_size(path: Path, file: IO[bytes]) -> tuple[int, int]:
    """What the header of a HEIC file tells."""
    try:
        import pillow_heif
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"{path}: reading HEIC", "heic", "pillow-heif") from error
    file.seek(0)
    try:
        width, height = pillow_heif.open_heif(io.BytesIO(file.read())).size
    except (ValueError, EOFError, SyntaxError, RuntimeError, OSError, IndexError) as error:
        raise damaged_file(path, reason(error)) from error
    return width, height
