"""A picture with all that a photo carries, whole in memory or as it was decoded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from blindsr.errors import InputError
from blindsr.picture.metadata.contents import Metadata
from blindsr.picture.samples import Samples

if TYPE_CHECKING:
    from PIL import Image

Window = tuple[NDArray[np.float32], "NDArray[np.float32] | None"]
"""Pixels (h, w, 3 or 1) and alpha (h, w) or None, in [0, 1]."""


DEPTHS = (8, 10, 12, 16)
"""Bits a sample that a picture may say it has."""


@dataclass(frozen=True, eq=False, repr=False)
class Picture:
    """Pixels and what belongs to them: what a photo is read into, and what is saved.

    Nothing in it changes, so threads may share one.

    Args:
        pixels: (H, W, 3) RGB or (H, W, 1) gray, float32 in [0, 1], in the colour space of `icc`.
        alpha: Opacity, (H, W) float32 in [0, 1], not multiplied into the pixels; None when opaque.
        bit_depth: 8, 10, 12 or 16: the precision of the file it came from, and of the file it is written to
            where that can hold it.
        icc: ICC profile; None means sRGB.
        exif: EXIF block (a TIFF structure, without JPEG's "Exif" prefix); its orientation is always 1.
        xmp: XMP packet.
        dpi: Horizontal and vertical resolution, pixels per inch.
        metadata: What else its file carried.

    Raises:
        InputError: Pixels, alpha or bit depth are not as said above; that the values lie in [0, 1] is not
            looked at.

    Example:
        >>> picture = blindsr.read("photo.jpg")
        >>> picture
        <Picture 56x40 RGB, 8 bit>
        >>> gray = blindsr.Picture(picture.pixels.mean(axis=2, keepdims=True), bit_depth=16)
        >>> gray.save("gray.png")
        >>> gray.to_array("uint16").shape
        (40, 56)
    """

    pixels: NDArray[np.float32]
    _: KW_ONLY
    alpha: NDArray[np.float32] | None = None
    bit_depth: int = 8
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None
    metadata: Metadata = field(default_factory=Metadata)

    def __post_init__(self) -> None:
        for name, array, shape in (
            ("pixels", self.pixels, "(H, W, 3) or (H, W, 1)"),
            ("alpha", self.alpha, "(H, W), as large as the pixels"),
        ):
            if array is None and name == "alpha":
                continue
            if not isinstance(array, np.ndarray) or array.dtype != np.float32:
                found = getattr(array, "dtype", type(array).__name__)
                raise InputError(f"picture with {name} of {found}: give float32 in [0, 1]")
            fits = array.ndim == 3 and array.shape[2] in (1, 3) and array.size > 0
            if not (fits if name == "pixels" else array.shape == self.pixels.shape[:2]):
                raise InputError(f"picture with {name} of shape {array.shape}: give {shape}")
        if self.bit_depth not in DEPTHS:
            raise InputError(f"picture of {self.bit_depth} bit: give one of {', '.join(map(str, DEPTHS))}")

    def __repr__(self) -> str:
        return _shown(self)

    @property
    def height(self) -> int:
        """Rows of pixels."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Columns of pixels."""
        return int(self.pixels.shape[1])

    @property
    def gray(self) -> bool:
        """Whether there is one channel instead of three."""
        return int(self.pixels.shape[2]) == 1

    @property
    def has_alpha(self) -> bool:
        """Whether there is an alpha channel."""
        return self.alpha is not None

    def window(self, rows: slice, columns: slice) -> Window:
        """A part of the picture; not to be written to."""
        return self.pixels[rows, columns], None if self.alpha is None else self.alpha[rows, columns]

    def save(self, path: str | Path, *, quality: int | None = None) -> None:
        """Write it to a file; see `blindsr.write`.

        Args:
            path: The file; its suffix names the format.
            quality: As in `blindsr.write`.

        Raises:
            InputError: As `blindsr.write`.
        """
        from blindsr.picture.encoding import write_picture

        write_picture(self, path, quality)

    def to_array(self, dtype: DTypeLike = np.uint8) -> NDArray[Any]:
        """Its pixels as an array such as `blindsr.upscale` takes.

        Args:
            dtype: uint8, uint16, or floating point for values in [0, 1].

        Returns:
            (H, W, 3) RGB or (H, W, 4) RGBA; a gray picture's (H, W), or (H, W, 2) with alpha.

        Raises:
            InputError: Another dtype.
        """
        from blindsr.picture.arrays import to_array

        return to_array(self, dtype)

    def to_pil(self) -> Image.Image:
        """It as an image of Pillow's, 8 bit, with its profile, EXIF, XMP and resolution in `info`."""
        from blindsr.picture.pillow import to_pil

        return to_pil(self)


@dataclass(frozen=True, eq=False, repr=False)
class Photo:
    """A decoded photo, its samples as the file has them, in memory or on disk: read a part at a time.

    Close it, or use it as a context manager. Threads may read one at once; none may close it meanwhile.

    Args:
        samples: The samples, upright; colours first, then alpha.
        gray: Whether the first band is all the colour there is.
        alpha_band: Where alpha is; None when opaque.
        white: The sample that means 1.
        bit_depth: As in `Picture`, like the rest.
    """

    samples: Samples
    gray: bool
    alpha_band: int | None
    white: float
    bit_depth: int = 8
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None
    metadata: Metadata = field(default_factory=Metadata)

    @property
    def height(self) -> int:
        """Rows of pixels."""
        return self.samples.height

    @property
    def width(self) -> int:
        """Columns of pixels."""
        return self.samples.width

    @property
    def has_alpha(self) -> bool:
        """Whether there is an alpha channel."""
        return self.alpha_band is not None

    def window(self, rows: slice, columns: slice) -> Window:
        """A part of the photo.

        Args:
            rows: Start and stop, within the photo.
            columns: Start and stop, within the photo.

        Returns:
            Pixels (h, w, 3 or 1) and alpha (h, w) or None, float32 in [0, 1].
        """
        return self._to_float(self.samples.window(rows, columns))

    def chunks(self) -> Iterator[tuple[slice, Window]]:
        """The photo from top to bottom, some rows at a time."""
        for rows, levels in self.samples.chunks():
            yield rows, self._to_float(levels)

    def picture(self) -> Picture:
        """The whole photo in memory."""
        pixels = np.empty((self.height, self.width, 1 if self.gray else 3), np.float32)
        alpha = np.empty(pixels.shape[:2], np.float32) if self.has_alpha else None
        for rows, (colours, opacity) in self.chunks():
            pixels[rows] = colours
            if alpha is not None:
                alpha[rows] = opacity
        return Picture(
            pixels, alpha=alpha, bit_depth=self.bit_depth,
            icc=self.icc, exif=self.exif, xmp=self.xmp, dpi=self.dpi, metadata=self.metadata,
        )  # fmt: skip

    def close(self) -> None:
        """Give its memory, or its file on disk, back."""
        self.samples.close()

    def __repr__(self) -> str:
        return _shown(self)

    def __enter__(self) -> Photo:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _to_float(self, levels: NDArray[Any]) -> Window:
        bands = 1 if self.gray else 3
        pixels: NDArray[np.float32] = np.divide(levels[:, :, :bands], self.white, dtype=np.float32)
        alpha = None
        if self.alpha_band is not None:
            alpha = np.divide(levels[:, :, self.alpha_band], self.white, dtype=np.float32)
        if self.samples.dtype.kind == "f":
            pixels, alpha = pixels.clip(0, 1), None if alpha is None else alpha.clip(0, 1)
        return pixels, alpha


def as_rgb(pixels: NDArray[Any]) -> NDArray[Any]:
    """Gray as the RGB that looks like it.

    Args:
        pixels: (H, W, 1) or (H, W, 3).

    Returns:
        (H, W, 3): itself, if it has three channels.

    Example:
        >>> as_rgb(np.full((1, 1, 1), 7)).tolist()
        [[[7, 7, 7]]]
    """
    return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels


def _shown(picture: Picture | Photo) -> str:
    """What it is, on one short line."""
    kind = ("gray" if picture.gray else "RGB") + (" with alpha" if picture.has_alpha else "")
    blocks = {"ICC": picture.icc, "EXIF": picture.exif, "XMP": picture.xmp}
    carried = [name for name, block in blocks.items() if block is not None]
    size = f"{picture.width}x{picture.height}"
    return f"<{type(picture).__name__} {', '.join([f'{size} {kind}', f'{picture.bit_depth} bit', *carried])}>"
