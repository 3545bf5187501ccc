"""HEIC files as phones write them, through the real library: what it encodes is read by our own path."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from blindsr.errors import InputError
from blindsr.picture import Limits, Picture, read
from blindsr.picture.measuring import measure_photo
from blindsr.picture.metadata.carrying import inventory
from blindsr.picture.profiles import from_code_points

from ..conftest import made_photo
from .metadata.test_carrying import carried
from .test_picture import ICC

pillow_heif = pytest.importorskip("pillow_heif")

PHOTO = np.asarray(Image.fromarray(made_photo(32, 48)).resize((192, 128), Image.Resampling.BICUBIC))
"""Smooth, so that HEVC, which halves the resolution of colours, loses little."""


def heic(levels: Any = PHOTO, **options: Any) -> bytes:
    """A file as libheif and x265 make it: 8 bit, or 10 of 16."""
    wide = levels.dtype == np.uint16
    made = (
        pillow_heif.from_bytes(mode="RGB;16", size=levels.shape[1::-1], data=levels.tobytes())
        if wide
        else pillow_heif.from_pillow(Image.fromarray(levels))
    )
    file = io.BytesIO()
    made.save(file, quality=95, **options)
    assert b"hvc1" in file.getvalue()
    return file.getvalue()


def difference(picture: Picture, levels: Any) -> float:
    return float(np.abs(picture.pixels.squeeze() - levels / 255).mean())


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_phone_lies_as_it_should_once(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = orientation, "Some Camera"
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>'
    content = heic(exif=exif.tobytes(), icc_profile=ICC, xmp=xmp)
    assert (b"irot" in content or b"imir" in content) is (orientation > 1)
    Image.fromarray(PHOTO).save(tmp_path / "a.png", exif=exif)
    picture, expected = read(content), read(tmp_path / "a.png")
    assert difference(picture, expected.to_array()) < 0.02
    assert picture.icc == ICC and picture.exif is not None and b"Some Camera" in picture.exif
    (tmp_path / "a.heic").write_bytes(content)
    assert measure_photo(tmp_path / "a.heic") == (picture.width, picture.height)
    report = carried(content, tmp_path / "b.jpg")
    assert report.dropped == [] and read(tmp_path / "b.jpg").exif is not None


@pytest.mark.parametrize("points", [(12, 13), (9, 16), (9, 18), (1, 13)])
@pytest.mark.parametrize("bits", [8, 10])
def test_colours_told_by_nclx(tmp_path: Path, bits: int, points: tuple[int, int]) -> None:
    levels = PHOTO if bits == 8 else PHOTO.astype(np.uint16) * 257
    primaries, transfer = points
    content = heic(
        levels,
        color_primaries=primaries,
        transfer_characteristics=transfer,
        matrix_coefficients=6,
        full_range_flag=1,
    )
    picture = read(content)
    assert picture.bit_depth == bits and difference(picture, PHOTO) < 0.02
    assert len(np.unique(picture.pixels)) > (256 if bits == 10 else 100)
    assert picture.metadata.signalling is not None and picture.metadata.signalling.code_points == points
    assert picture.icc == (None if points == (1, 13) else from_code_points(*points))
    carried(content, tmp_path / "a.avif")
    assert b"colrnclx" in (tmp_path / "a.avif").read_bytes()
    assert read(tmp_path / "a.avif").icc == picture.icc


@pytest.mark.parametrize("alpha", [False, True])
def test_gray_and_alpha(tmp_path: Path, alpha: bool) -> None:
    gray = PHOTO[:, :, 1]
    content = heic(np.dstack([PHOTO, gray]) if alpha else gray)
    picture = read(content)
    assert picture.gray is not alpha and picture.has_alpha is alpha
    assert difference(picture, PHOTO if alpha else gray) < 0.02
    if picture.alpha is not None:
        assert np.abs(picture.alpha - gray / 255).mean() < 0.02
    kinds = [item.kind for item in inventory(picture)]
    assert kinds == (["alpha", "colour"] if alpha else ["colour"]), "alpha is no picture that is left out"


def test_what_is_cut_short_or_too_large() -> None:
    content = heic()
    for part in (0.1, 0.5, 0.95):
        with pytest.raises(InputError, match="not a readable picture"):
            read(content[: int(len(content) * part)])
    with pytest.raises(InputError, match="--max-pixels"):
        read(content, limits=Limits(pixels=999))
    with pytest.raises(InputError, match="whole picture in memory"):
        read(content, limits=Limits(codec=99_999))
    assert re.search(rb"ftyp(heic|heix)", content[:16])
