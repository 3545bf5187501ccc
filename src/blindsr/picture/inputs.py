"""Whatever a caller has of a photo (a path, bytes, an array, a PIL image), as a picture; and back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from blindsr.errors import InputError
from blindsr.picture.arrays import of_array
from blindsr.picture.decoding import open_photo
from blindsr.picture.encoded import Encoded, is_encoded
from blindsr.picture.encoding import write_picture
from blindsr.picture.limits import Limits
from blindsr.picture.photo import Picture
from blindsr.picture.pillow import is_pil, of_pil

if TYPE_CHECKING:
    from PIL import Image

Photograph: TypeAlias = "Encoded | Picture | Image.Image"
"""A photo in any form but an array: a path, bytes, an open binary file, a `Picture`, an image of Pillow's."""


def is_photo(image: object) -> bool:
    """Whether this is one photo in a form that `as_picture` knows, rather than several."""
    return isinstance(image, (Picture, np.ndarray)) or is_encoded(image) or is_pil(image)


def as_picture(image: Photograph | NDArray[Any], limits: Limits | None = None) -> Picture:
    """Whatever was given, as a picture.

    Args:
        image: As in `read`.
        limits: What decoding may take.

    Raises:
        InputError: It cannot be read, or is nothing of the kind.
        MissingExtraError: As `open_photo`.
    """
    if isinstance(image, Picture):
        return image
    if isinstance(image, np.ndarray):
        return of_array(image)
    if is_pil(image):
        return of_pil(image)
    if not is_encoded(image):
        raise InputError(
            f"photo of type {type(image).__name__[:40]}: give a path, bytes, an open binary file, "
            "a NumPy array, a PIL image or a Picture"
        )
    with open_photo(image, limits) as photo:
        return photo.picture()


def read(image: Photograph | NDArray[Any], *, limits: Limits | None = None) -> Picture:
    """Read a photo of any common format, upright, with its profile, EXIF, XMP and resolution.

    Args:
        image: A path; the bytes of a file; an open binary file, which is read from where it stands and stays
            open; an image of Pillow's; a `Picture`, which is given back; or a NumPy array: (H, W) or
            (H, W, 1) gray, (H, W, 2) gray and alpha, (H, W, 3) RGB or (H, W, 4) RGBA, of uint8, uint16, or
            floating point in [0, 1]. Of a file of several pages or frames the first is read.
        limits: What decoding may take; None for pictures of up to 134 million pixels.

    Returns:
        The picture, in memory.

    Raises:
        InputError: It is missing, unreadable, damaged, too large or no picture; the message names the file.
        MissingExtraError: A HEIC or JPEG XL file, and what reads it is not installed.

    Example:
        >>> blindsr.read("photo.jpg")
        <Picture 56x40 RGB, 8 bit>
        >>> with open("photo.jpg", "rb") as file:
        ...     picture = blindsr.read(file)
        >>> blindsr.read(np.zeros((20, 30), np.uint16))
        <Picture 30x20 gray, 16 bit>
    """
    return as_picture(image, limits)


def write(image: Photograph | NDArray[Any], path: str | Path, *, quality: int | None = None) -> None:
    """Write a picture in the format its suffix names, with its profile, EXIF, XMP and resolution.

    The file appears complete or not at all. PNG and TIFF hold 8 and 16 bit, AVIF 8, 10 and 12, JPEG XL (with
    the extra [jxl]) 8, 10, 12 and 16, the others 8;
    JPEG and BMP have no alpha, so the picture is laid on white. BMP has no profile, so the colours become
    sRGB; it holds neither EXIF nor XMP. The EXIF block tells the size that is written.

    Args:
        image: What to write: a `Picture`, or anything else that `read` takes.
        path: The file; its suffix is one of `blindsr.picture.WRITABLE`.
        quality: 1 to 100, for JPEG, WebP and JPEG XL (else 95) and AVIF (else 90); JPEG XL of 100 loses
            nothing. JPEG and AVIF are written with full colour resolution.

    Raises:
        InputError: Unknown suffix, a quality that the format does not take, a folder that is not there or not
            writable, or a picture the format cannot hold; the message names the file.
        MissingExtraError: A JPEG XL file, and what writes it is not installed.

    Example:
        >>> blindsr.write(blindsr.read("photo.jpg"), "photo.webp", quality=80)
        >>> blindsr.write(np.zeros((20, 30, 3), np.uint8), "black.png")
    """
    write_picture(as_picture(image), path, quality)
