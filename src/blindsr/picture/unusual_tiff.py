"""TIFF files that libvips cannot decode: CIELAB in 8 bit by Pillow; double precision and LZMA by tifffile."""

from __future__ import annotations

import io
import logging
from importlib.util import find_spec
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from blindsr.picture.loaders import without_warnings
from blindsr.picture.tiff import read_tags

_PHOTOMETRIC, _BITS, _FORMAT = 262, 258, 339
_OWN_COMPRESSIONS = (1, 5, 8, 32773, 32946, 34925)  # none, LZW, Deflate (both), PackBits, LZMA
_SILENT = logging.NullHandler()
_MOST_SAMPLES = 5  # of a pixel: red, green, blue, alpha, and one that nobody knows
_OTHER_SIZE = "its directories tell different sizes"


def decoded(file: IO[bytes], size: tuple[int, int]) -> tuple[str, NDArray[Any]]:
    """What was done to the colours, empty for nothing; and the samples, (H, W) or (H, W, C).

    Args:
        file: The file.
        size: (width, height) that it tells and that was found not too large.

    Raises:
        ModuleNotFoundError: Only tifffile reads it, and it is not installed.
        ValueError: It is damaged, or nobody here reads its kind.
    """
    tags = read_tags(file, frozenset((_PHOTOMETRIC, _BITS, _FORMAT)), 1 << 16)
    numbers = {tag: value[2][:2] for tag, value in tags.items() if isinstance(value, tuple)}
    if numbers.get(_PHOTOMETRIC) == b"\x08\0" and numbers.get(_BITS) == b"\x08\0":
        return "LAB (the colours are sRGB now)", _lab(file, size)
    return "", _by_tifffile(file, size)


def _lab(file: IO[bytes], size: tuple[int, int]) -> NDArray[np.uint8]:
    """CIELAB in 8 bit as sRGB, by LittleCMS."""
    from PIL import ImageCms, TiffImagePlugin

    file.seek(0)
    with without_warnings(), TiffImagePlugin.TiffImageFile(io.BytesIO(file.read())) as image:
        if image.size != size:
            raise ValueError(_OTHER_SIZE)
        image.load()
        if image.mode != "LAB":
            raise ValueError("CIELAB of another layout")
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
        return np.asarray(converted)


def _needs_codecs(page: Any) -> bool:  # noqa: ANN401  (tifffile has no types)
    """Whether a page is compressed in a way that tifffile does not undo by itself."""
    return int(page.compression) not in _OWN_COMPRESSIONS


def _by_tifffile(file: IO[bytes], size: tuple[int, int]) -> NDArray[Any]:
    """Gray or RGB of any compression that tifffile undoes by itself."""
    import tifffile

    # What is wrong with a file is said once, by us; who wants to hear tifffile as well sets up a handler.
    logging.getLogger("tifffile").addHandler(_SILENT)
    file.seek(0)
    try:
        with tifffile.TiffFile(io.BytesIO(file.read())) as tiff:
            page = tiff.pages.first
            if page.photometric not in (1, 2):
                raise ValueError(f"colours of kind {int(page.photometric)}")
            # All of this is told by the file, and any of it can make an array of any size.
            if (page.imagewidth, page.imagelength) != size or page.imagedepth != 1:
                raise ValueError(_OTHER_SIZE)
            if page.samplesperpixel > _MOST_SAMPLES:
                raise ValueError(f"{page.samplesperpixel} samples a pixel")
            if _needs_codecs(page) and find_spec("imagecodecs") is None:
                raise ModuleNotFoundError("tifffile decompresses it by imagecodecs", name="imagecodecs")
            levels: NDArray[Any] = page.asarray()
            if levels.shape[-2:] != size[::-1] and levels.shape[:2] != size[::-1]:
                raise ValueError(_OTHER_SIZE)
            planes = int(page.planarconfig) == 2 and levels.ndim == 3
    except (ValueError, ModuleNotFoundError):
        raise
    except Exception as error:  # parsers raise what they meet
        raise ValueError(str(error) or type(error).__name__) from error
    return np.moveaxis(levels, 0, -1) if planes else levels
