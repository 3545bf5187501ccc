"""Images of Pillow's as pictures, and pictures as images of Pillow's."""

from __future__ import annotations

import io
import logging
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from blindsr.errors import InputError
from blindsr.picture.arrays import of_array, to_array
from blindsr.picture.decoding import open_photo
from blindsr.picture.loaders import without_warnings
from blindsr.picture.metadata.geometry import Change
from blindsr.picture.metadata.reading import belongings, bounded
from blindsr.picture.metadata.survey import Survey
from blindsr.picture.photo import Picture
from blindsr.picture.tiff import DESCRIPTIVE, INNER
from blindsr.system.untrusted import brief

if TYPE_CHECKING:
    from PIL import Image

log = logging.getLogger(__name__)

_NAME = Path("PIL image")
"""What messages call it."""

_ORIENTATION = 0x0112
_TO_RGB = ("YCbCr", "HSV", "RGBX")
_PREMULTIPLIED = {"RGBa": "RGBA", "La": "LA"}


def is_pil(image: object) -> TypeGuard[Image.Image]:
    """Whether it is an image of Pillow's, which is not imported to find out."""
    pillow = sys.modules.get("PIL.Image")
    return pillow is not None and isinstance(image, pillow.Image)


def of_pil(image: Image.Image) -> Picture:
    """An image of Pillow's as a picture, upright, with what `info` says belongs to it.

    As of files: gray stays gray and 16 bit 16 bit; a palette becomes RGB, a colour that means transparent
    becomes alpha, CMYK becomes sRGB through its profile, the EXIF orientation is applied once and reset. Of
    several frames it is the one that the image stands at.

    Args:
        image: Of any mode but LAB and PA; of mode F with values in [0, 1].

    Raises:
        InputError: It cannot be decoded, or is of a mode that has no picture.
    """
    try:
        with without_warnings():
            image.load()  # `info` is complete only then
            turned = _orientation(image)
            picture = _pixels_of(image)
            exif = _block(image, "exif") or _known_exif(image)
    except InputError:
        raise
    except Exception as error:  # plugins of Pillow's raise what the parsers that they use do
        raise InputError(f"{_NAME} of mode {image.mode}: cannot be decoded ({brief(error)})") from error
    pixels, alpha = (_upright(plane, turned) for plane in (picture.pixels, picture.alpha))
    assert pixels is not None
    # CMYK is sRGB now, and a palette's profile is that of its colours.
    icc = None if image.mode == "CMYK" else _block(image, "icc_profile")
    blocks = {"icc": icc, "exif": exif, "xmp": _block(image, "xmp")}
    own = belongings(Survey(), blocks, Change.upright(image.height, image.width, turned), _NAME)
    return Picture(
        pixels,
        alpha=alpha,
        bit_depth=picture.bit_depth,
        icc=own.icc,
        exif=own.exif,
        xmp=own.xmp,
        metadata=own.metadata,
        dpi=_resolution(image, swapped=turned >= 5),
    )


def to_pil(picture: Picture) -> Image.Image:
    """As `Picture.to_pil`."""
    from PIL import Image

    image = Image.fromarray(to_array(picture, np.uint8))
    belongings = {
        "icc_profile": picture.icc,
        "exif": picture.exif,
        "xmp": picture.xmp,
        "dpi": picture.dpi,
    }
    image.info.update({name: value for name, value in belongings.items() if value is not None})
    return image


def _pixels_of(image: Image.Image) -> Picture:
    """The pixels as they lie in memory, as a picture with nothing else."""
    mode = image.mode
    if mode == "CMYK":
        return _by_its_profile(image)
    if mode in ("LAB", "PA"):
        raise InputError(f"{_NAME} of mode {mode}: convert it to RGB or RGBA first")
    if mode in ("P", "1"):
        keyed = mode == "P" and image.has_transparency_data
        image = image.convert("RGBA" if keyed else "RGB" if mode == "P" else "L")
    elif mode in _TO_RGB:
        image = image.convert("RGB")
    elif mode in _PREMULTIPLIED:
        image = image.convert(_PREMULTIPLIED[mode])
    levels: NDArray[Any] = np.asarray(image)
    if levels.dtype == np.int32:  # what 16 bit are in older versions
        levels = levels.clip(0, 65535).astype(np.uint16)
    key = image.info.get("transparency")
    if image.mode in ("L", "I;16", "I", "RGB") and isinstance(key, (int, tuple)):
        levels = _with_alpha(levels, key)
    return of_array(levels)


def _with_alpha(levels: NDArray[Any], key: int | tuple[int, ...]) -> NDArray[Any]:
    """Gray or RGB with alpha: the one level or colour that means transparent is."""
    planes = np.atleast_3d(levels)
    opaque = (planes != np.array(key).reshape(1, 1, -1)).any(axis=2, keepdims=True)
    alpha = opaque.astype(levels.dtype) * np.iinfo(levels.dtype).max
    return np.concatenate([planes, alpha], axis=2)


def _by_its_profile(image: Image.Image) -> Picture:
    """CMYK through its profile, by what reads such files."""
    file = io.BytesIO()
    profile = _block(image, "icc_profile")
    image.save(file, "TIFF", **({} if profile is None else {"icc_profile": profile}))
    with open_photo(file.getvalue()) as photo:
        return photo.picture()


def _orientation(image: Image.Image) -> int:
    """1 to 8, as EXIF says it."""
    told = image.getexif().get(_ORIENTATION, 1)
    return told if told in range(1, 9) else 1


def _upright(plane: NDArray[np.float32] | None, orientation: int) -> NDArray[np.float32] | None:
    """A plane turned and mirrored as EXIF's orientation asks."""
    if plane is None:
        return None
    if orientation >= 5:
        plane = plane.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        plane = plane[::-1]
    if orientation in (2, 3, 6, 7):
        plane = plane[:, ::-1]
    return np.ascontiguousarray(plane)


def _known_exif(image: Image.Image) -> bytes | None:
    """What Pillow knows of an image's EXIF, as a block; of a TIFF file without what tells of its pixels."""
    from PIL.Image import Exif

    known, kept = image.getexif(), Exif()
    for tag in known:
        if image.format != "TIFF" or tag in DESCRIPTIVE | INNER:
            kept[tag] = known.get_ifd(tag) if tag in INNER else known[tag]
    try:
        return kept.tobytes() if len(kept) else None
    except Exception as error:  # values of a type that their tags do not have, and anything else
        log.warning("%s: its EXIF is left out; it cannot be written (%s)", _NAME, brief(error))
        return None


def _block(image: Image.Image, name: str) -> bytes | None:
    """A block of metadata that `info` holds."""
    value = image.info.get(name)
    if isinstance(value, str):
        value = value.encode()
    return bounded(bytes(value), name, _NAME) if isinstance(value, (bytes, bytearray)) and value else None


def _resolution(image: Image.Image, swapped: bool) -> tuple[float, float] | None:
    """Pixels per inch, where the image tells."""
    try:
        across, down = (float(side) for side in image.info["dpi"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    if not (0 < across < math.inf and 0 < down < math.inf):
        return None
    return (down, across) if swapped else (across, down)
