"""JPEG XL files as photos."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from blindsr.errors import MissingExtraError
from blindsr.picture import exif as exif_block
from blindsr.picture.described import (
    CMYK,
    Description,
    check_range,
    from_cmyk,
    name_channels,
    stored,
    turned_by,
    white_of,
)
from blindsr.picture.jpeg_xl.reading import Colours, Header, Reader, layers, sound_part
from blindsr.picture.limits import MOST_PICTURES, Limits, damaged_file
from blindsr.picture.loaders import UndecodableError, reason
from blindsr.picture.metadata.reading import belongings
from blindsr.picture.metadata.signalling import Signalling, of_code_points, of_gamma
from blindsr.picture.metadata.survey import Survey, survey
from blindsr.picture.photo import DEPTHS, Photo
from blindsr.picture.samples import Samples

_USUAL_PEAK: dict[int | None, float] = {16: 10000.0, 18: 1000.0}
"""Candelas a square metre of the largest sample in PQ and HLG, where the encoder is told nothing else."""

_LEAST, _MOST_BYTES = 1 << 26, 32
"""Bytes that decoding may take where no other bound is set, and more for each of the pixels allowed."""

_BYTES = 8
"""Bytes that libjxl takes for a sample of a picture, whatever its type."""


@contextmanager
def opened(path: Path, file: IO[bytes], limits: Limits, damaged: bool = False) -> Iterator[Reader]:
    """A file whose header is read and found not too large, within this block.

    Args:
        path: What messages call it.
        file: The file.
        limits: What it may take.
        damaged: Whether it is to be read as far as it is sound.

    Raises:
        InputError: It is too large, or asks for too much memory within the block.
        UndecodableError: It is damaged, in its header or within the block.
        MissingExtraError: Libjxl is not at hand.
    """
    file.seek(0)
    content, most = file.read(), limits.codec or _LEAST + limits.pixels * _MOST_BYTES
    try:
        reader = Reader(content, most)
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"{path}: JPEG XL", "jxl", "imagecodecs") from error
    with reader:
        _check(path, reader.header, content, limits)
        if damaged:
            reader.restart(sound_part(content, most))
        try:
            yield reader
        except UndecodableError as error:
            if not reader.refused:
                raise
            limits.check_whole(path, (limits.codec or 0) + 1)
            raise UndecodableError("it asks for more memory than its picture takes") from error


def _check(path: Path, header: Header, content: bytes, limits: Limits) -> None:
    """Refuse what would take more than was allowed, before anything is decoded."""
    samples = header.bands + header.further
    limits.check_size(path, header.width, header.height, samples * header.dtype.itemsize)
    # What is never shown, or is larger than the picture, is decoded, too.
    made_of = list(islice(layers(content), MOST_PICTURES + 1))
    limits.check_count(path, len(made_of), sum(one.width * one.height for one in made_of), "frames")
    limits.check_whole(path, header.width * header.height * samples * _BYTES + len(content))


def decode(path: Path, file: IO[bytes], limits: Limits) -> Photo:
    """The first frame of a file.

    Raises:
        InputError: It is too large or damaged.
        MissingExtraError: Libjxl is not at hand.
    """
    try:
        try:
            return _first_frame(path, file, limits)
        except UndecodableError as error:
            if not limits.damaged:
                raise
            return _first_frame(path, file, limits, str(error))
    except UndecodableError as error:
        raise damaged_file(path, str(error)) from error


def _first_frame(path: Path, file: IO[bytes], limits: Limits, fault: str = "") -> Photo:
    """The first frame; of a file with a fault, what can be read of it."""
    with opened(path, file, limits, damaged=bool(fault)) as reader:
        levels = next(reader.frames(damaged=bool(fault)), None)
        if levels is None:
            raise UndecodableError("no frame in it")
        found = survey(file, "jxl")
        if fault:
            found.warnings.append(f"damaged ({fault}); what could be read of it was")
        described = describe(reader, path, found)
        return described.photo(described.store(levels, limits))


@dataclass(frozen=True)
class JpegXlDescription(Description):
    """A JPEG XL file.

    Args:
        cmyk: Colour profile of its inks; None of gray and RGB.
    """

    cmyk: bytes | None

    def store(self, levels: NDArray[Any], limits: Limits) -> Samples:
        """A frame's samples, as they are stored.

        Raises:
            InputError: Floating point that means other than 1 by white.
        """
        if levels.dtype.kind == "f":
            check_range(self.path, levels)
        return stored(levels if self.cmyk is None else _printed(levels, self.cmyk), limits)


def describe(reader: Reader, path: Path, found: Survey) -> JpegXlDescription:
    """What a JPEG XL file is, with what belongs to it."""
    header, inks = reader.header, reader.header.black is not None
    blocks = {"icc": None if inks else reader.icc, "exif": found.exif, "xmp": found.xmp}
    if reader.colours is not None and not inks:
        found.signalling = _signalling(reader.colours, header.gray)
    # The decoder has turned the pixels already; what is told of places in them it has not.
    turned = exif_block.orientation(found.exif) or 1
    turn = turned_by(header.height, header.width, turned, turned=True)
    own = belongings(found, blocks, turn, path, gray=header.gray)
    metadata = name_channels(own.metadata, header.further)
    usual = _USUAL_PEAK.get(None if reader.colours is None else reader.colours.transfer, 255.0)
    if abs(header.peak - usual) > 0.01 * usual:
        metadata = replace(metadata, peak=header.peak)
    if inks:
        metadata = replace(metadata, changed=(*metadata.changed, ("", CMYK)))
    dtype = np.dtype(np.uint16) if inks and header.dtype.kind == "f" else header.dtype
    white = 1.0 if dtype.kind == "f" else white_of(dtype, 8 * dtype.itemsize)
    depth = 16 if dtype.kind == "f" else next(bits for bits in DEPTHS if bits >= min(header.bits, 16))
    dpi = exif_block.resolution(own.exif)
    return JpegXlDescription(
        path, dtype, white, depth, own.icc, own.exif, own.xmp, dpi, metadata,
        (reader.icc or b"") if inks else None,
    )  # fmt: skip


def _signalling(told: Colours, gray: bool) -> Signalling | None:
    """Colours told by numbers; None of sRGB, which is what nothing means as well."""
    if told.transfer is None:
        return of_gamma(told.gamma, told.chromaticities, gray)
    usual = (told.primaries, told.transfer) == (1, 13)
    return None if usual or told.primaries is None else of_code_points(told.primaries, told.transfer, gray)


def _printed(levels: NDArray[Any], profile: bytes) -> NDArray[Any]:
    """CMYK whose samples are paper without ink, perhaps with alpha behind, as sRGB."""
    import pyvips

    if levels.dtype.kind == "f":
        levels = np.round(levels.clip(0, 1) * 65535).astype(np.uint16)
    image = pyvips.Image.new_from_array(np.iinfo(levels.dtype).max - levels[:, :, :4])
    image = image.copy(interpretation="cmyk")
    if profile:
        image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    try:
        printed = from_cmyk(image).numpy()
    except pyvips.Error as error:
        raise UndecodableError(reason(error)) from error
    return np.concatenate([printed, levels[:, :, 4:]], axis=2)
