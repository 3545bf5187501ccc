"""What decoding and encoding may take, and the errors of what takes more or cannot be read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from blindsr.errors import InputError
from blindsr.system.memory import show_bytes
from blindsr.system.untrusted import one_line

MAX_PIXELS = 1 << 27
"""Largest picture that is decoded unless the caller says otherwise, in pixels: a small file can claim a size
that would fill any disk."""

_LARGEST_PIXEL = 16
"""Bytes that count as one pixel: red, green, blue and alpha in 32 bits. With many bands it counts more."""

MOST_PICTURES = 10_000
"""Pages or frames of a file."""

_TOGETHER = {"pages": 64, "frames": 4}
"""How many times the pixels of the largest picture a file may have in all its pages, or in all its frames."""

_MOST_HELD = 1 << 31
"""Bytes of rows, strips and tiles that a decoder may hold at once where the caller sets no bound."""


class TooLargeError(InputError):
    """A photo that would take more than is allowed, in pixels or in memory."""


@dataclass(frozen=True)
class Limits:
    """What decoding and encoding may take.

    Args:
        pixels: Largest picture that is decoded, pixels; of more than 16 bytes each, accordingly fewer.
        samples: Bytes that a picture's samples may take in memory, else they go to disk; None for any number.
        codec: Bytes that a decoder or encoder may take that needs the whole picture, or a decoder for the
            rows, strips and tiles that it has in hand; None for any number, and 2 GiB for the latter.
        folder: Where temporary files are made; None for the system's folder for them.
        damaged: Whether what can be read of a damaged file is enough.
    """

    pixels: int = MAX_PIXELS
    samples: int | None = None
    codec: int | None = None
    folder: Path | None = None
    damaged: bool = False

    def check_size(self, path: Path, width: int, height: int, pixel_bytes: int = 1) -> None:
        """Refuse what is larger than was allowed, before it is decoded.

        Args:
            path: The file, for the message.
            width: Columns of pixels.
            height: Rows of pixels.
            pixel_bytes: Bytes of a pixel, all its bands.

        Raises:
            TooLargeError: It is, in pixels, or for its many bands in bytes.
        """
        if width * height > self.pixels:
            raise TooLargeError(
                f"{path}: {width}x{height} is more than the {self.pixels / 1e6:.4g} million pixels allowed; "
                "allow more with --max-pixels"
            )
        most = self.pixels * _LARGEST_PIXEL
        if width * height * pixel_bytes > most:
            raise TooLargeError(
                f"{path}: {width}x{height} with {pixel_bytes} bytes a pixel is more than the "
                f"{show_bytes(most)} that {self.pixels / 1e6:.4g} million pixels may take; "
                "keep fewer of its bands, or allow more with --max-pixels"
            )

    def check_count(self, path: Path, count: int, pixels: int, what: str) -> None:
        """Refuse a file of more pictures than was allowed, before they are decoded.

        Args:
            path: The file, for the message.
            count: Its pictures.
            pixels: All their pixels together.
            what: What they are: "pages" or "frames".

        Raises:
            InputError: It has.
        """
        if count > MOST_PICTURES:
            raise InputError(f"{path}: more than {MOST_PICTURES} {what}; cut it into several files")
        most = self.pixels * _TOGETHER[what]
        if pixels > most:
            raise InputError(
                f"{path}: {count} {what} with {pixels / 1e6:.4g} million pixels in all are more than the "
                f"{most / 1e6:.4g} million allowed; cut it into several files, or raise --max-pixels"
            )

    def check_whole(self, path: Path, needed: int) -> None:
        """Refuse what a codec that needs the whole picture would take too much memory for.

        Args:
            path: The file, for the message.
            needed: Bytes.

        Raises:
            TooLargeError: It would.
        """
        if self.codec is not None and needed > self.codec:
            raise TooLargeError(
                f"{path}: this format needs the whole picture in memory, about "
                f"{show_bytes(needed)} of it, and {show_bytes(self.codec)} are allowed; "
                "use PNG or TIFF, or allow more with --memory"
            )

    def check_held(self, path: Path, needed: int, what: str = "rows, strips or tiles") -> None:
        """Refuse what needs too much memory though it is decoded row by row.

        Args:
            path: The file, for the message.
            needed: Bytes that the decoder holds at once.
            what: What it holds, in the plural.

        Raises:
            TooLargeError: It does.
        """
        if needed > self.held:
            raise TooLargeError(
                f"{path}: its {what} need about {show_bytes(needed)} or more at once, and "
                f"{show_bytes(self.held)} are allowed; save it with smaller ones, or allow more with --memory"
            )

    @property
    def held(self) -> int:
        """Bytes that a decoder may hold at once which needs no whole picture: never without a bound."""
        return _MOST_HELD if self.codec is None else self.codec


def damaged_file(path: Path, why: str) -> InputError:
    """The error of a file that no decoder could read to its end."""
    return InputError(
        f"{path}: not a readable picture ({one_line(why)}); it is damaged or incomplete, "
        "so copy it again from where it came from, or restore what can be read of it with --damaged"
    )
