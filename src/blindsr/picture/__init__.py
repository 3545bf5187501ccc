"""Pictures with all that a photo carries, and the files they come from and go to, through libvips."""

from __future__ import annotations

from pathlib import Path

from blindsr.errors import InputError
from blindsr.picture.decoding import open_photo
from blindsr.picture.encoding import PictureWriter, quantise
from blindsr.picture.formats import FORMATS, READABLE, WRITABLE, Format, format_of
from blindsr.picture.inputs import read, write
from blindsr.picture.limits import MAX_PIXELS, Limits
from blindsr.picture.photo import Photo, Picture, as_rgb
from blindsr.system.files import walk_files

__all__ = [
    "FORMATS",
    "MAX_PIXELS",
    "READABLE",
    "WRITABLE",
    "Format",
    "Limits",
    "Photo",
    "Picture",
    "PictureWriter",
    "as_rgb",
    "find_pictures",
    "format_of",
    "open_photo",
    "quantise",
    "read",
    "write",
]


def find_pictures(folder: Path) -> list[Path]:
    """The picture files in a folder and below it, sorted by their path; what is hidden is left out.

    Raises:
        InputError: The folder is not there, it or one below it cannot be read, or there is no picture.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    try:
        found = [file for file in walk_files(folder) if file.suffix.lower() in READABLE and file.is_file()]
    except OSError as error:
        raise InputError(f"{error.filename}: this folder cannot be read ({error.strerror})") from error
    if not found:
        raise InputError(f"{folder}: no photos in this folder ({', '.join(READABLE)})")
    return found
