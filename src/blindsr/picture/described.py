"""Pictures as their headers tell them, and their samples, whatever decodes these."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blindsr.errors import InputError
from blindsr.picture.limits import Limits
from blindsr.picture.metadata.contents import Metadata
from blindsr.picture.metadata.geometry import Change
from blindsr.picture.metadata.report import Item
from blindsr.picture.photo import Photo
from blindsr.picture.samples import Samples

CMYK = "CMYK (the colours are sRGB now)"
"""What is said of a picture that `from_cmyk` made."""


@dataclass(frozen=True)
class Description:
    """A picture whose header is read and whose pixels are not.

    Args:
        path: The file, for messages.
        dtype: Of the samples.
        white: As in `Photo`, like the next six.
        bit_depth: See `white`.
        icc: See `white`.
        exif: See `white`.
        xmp: See `white`.
        dpi: See `white`.
        metadata: See `white`.
    """

    path: Path
    dtype: np.dtype[Any]
    white: float
    bit_depth: int
    icc: bytes | None
    exif: bytes | None
    xmp: bytes | None
    dpi: tuple[float, float] | None
    metadata: Metadata

    def photo(self, samples: Samples) -> Photo:
        """The photo that has these samples; as far as its header tells, it is gray or not."""
        return photo_of(
            samples, self.white, bit_depth=self.bit_depth,
            icc=self.icc, exif=self.exif, xmp=self.xmp, dpi=self.dpi, metadata=self.metadata,
        )  # fmt: skip


def stored(levels: NDArray[Any], limits: Limits, orientation: int = 1) -> Samples:
    """Samples that were decoded whole, as they are stored."""
    levels = levels.reshape(*levels.shape[:2], -1)
    height, width, bands = levels.shape
    samples = Samples(height, width, bands, levels.dtype, limits.samples, limits.folder, orientation)
    samples.put(0, 0, levels)
    return samples


def photo_of(samples: Samples, white: float, gray: bool = False, **belongings: Any) -> Photo:  # noqa: ANN401
    """Bands are the colours, then alpha, then whatever a layered TIFF adds, which is left out."""
    colours = 3 if samples.bands >= 3 else 1
    return Photo(
        samples, gray or colours == 1, colours if samples.bands > colours else None, white, **belongings
    )


def white_of(dtype: np.dtype[Any], depth: int) -> float:
    """The largest sample: fewer bits than the type has are its upper ones."""
    bits = 8 * dtype.itemsize
    return float(((1 << min(depth, bits)) - 1) << max(0, bits - depth))


def check_range(path: Path, levels: NDArray[Any]) -> None:
    """Refuse floating point that means other than 1 by white."""
    if not (np.isfinite(levels).all() and levels.min() > -0.5 and levels.max() < 1.5):
        raise InputError(f"{path}: its samples leave 0..1, 1 being white; scale them (or tone-map it) first")


def name_channels(metadata: Metadata, spare: int) -> Metadata:
    """Name channels that are neither colours nor alpha."""
    if spare <= 0:
        return metadata
    item = Item("channels", f"{spare} further channel{'s' * (spare > 1)}")
    return replace(metadata, others=(*metadata.others, item))


def turned_by(height: int, width: int, orientation: int, turned: bool) -> Change:
    """How a picture is turned that is so large now, already turned or not."""
    change = Change.upright(height, width, orientation)
    return Change.upright(width, height, orientation) if turned and change.swapped else change


def from_cmyk(image: Any) -> Any:  # noqa: ANN401
    """A libvips image in CMYK as sRGB: by its own profile, or libvips's."""
    depth = 8 if image.format == "uchar" else 16
    return image.icc_transform("srgb", embedded=True, input_profile="cmyk", depth=depth)
