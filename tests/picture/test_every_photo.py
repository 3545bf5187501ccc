"""Any photo in, the same kind of photo out, through the whole path: file, network, file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from blindsr.picture import FORMATS, Picture, read, write
from blindsr.picture.sizing import OutputSize
from blindsr.upscaling.upscaler import Upscaler

from ..conftest import made_photo, write_model
from .test_picture import ICC, exif


@dataclass(frozen=True)
class Case:
    """A photo of some kind."""

    format: str
    height: int
    width: int
    bit_depth: int
    gray: bool
    alpha: bool
    icc: bool
    dpi: tuple[float, float] | None


cases = st.builds(
    Case,
    format=st.sampled_from(sorted(set(FORMATS) - {"gif"})),
    height=st.integers(1, 24),
    width=st.integers(1, 24),
    bit_depth=st.sampled_from([8, 10, 12, 16]),
    gray=st.booleans(),
    alpha=st.booleans(),
    icc=st.booleans(),
    dpi=st.none() | st.tuples(st.integers(30, 1200), st.integers(30, 1200)),
)


@pytest.fixture(scope="module")
def upscaler(tmp_path_factory: pytest.TempPathFactory) -> Upscaler:
    return Upscaler(write_model(tmp_path_factory.mktemp("model") / "tiny", scale=2), device="cpu", threads=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("photos")


def photo_of(case: Case) -> Picture:
    """What the case describes."""
    pixels = made_photo(case.height, case.width).astype(np.float32) / 255
    return Picture(
        pixels=pixels[:, :, :1].copy() if case.gray else pixels,
        alpha=np.linspace(0, 1, pixels[:, :, 0].size, dtype=np.float32).reshape(pixels.shape[:2])
        if case.alpha
        else None,
        bit_depth=case.bit_depth,
        icc=ICC if case.icc and not case.gray else None,
        dpi=case.dpi,
    )


def stored_depth(case: Case) -> int:
    depths = FORMATS[case.format].depths
    return next((depth for depth in depths if depth >= case.bit_depth), depths[-1])


def check(result: Picture, case: Case, photo: Picture, height: int, width: int) -> None:
    """All that the format can hold is as the case has it."""
    format_ = FORMATS[case.format]
    assert (result.height, result.width) == (height, width)
    assert result.bit_depth == stored_depth(case)
    assert (result.alpha is not None) == (case.alpha and format_.alpha)
    if case.gray or not case.icc:
        assert result.icc is None
    else:
        # JPEG XL tells sRGB by numbers, whatever the profile that means it.
        assert result.icc == (photo.icc if format_.profile and case.format != "jxl" else None)
    if case.gray:
        assert result.gray
    if case.dpi is None or not (format_.density or format_.profile):  # its own place, or that of EXIF
        assert result.dpi is None
    else:
        assert result.dpi == pytest.approx(case.dpi, rel=0.02)


@settings(max_examples=25, deadline=None)
@given(case=cases)
def test_through_a_file_and_through_the_network(case: Case, folder: Path, upscaler: Upscaler) -> None:
    photo = photo_of(case)
    source, again, target = (folder / f"{name}{FORMATS[case.format].suffixes[0]}" for name in "abc")
    write(photo, source)
    first = read(source)
    check(first, case, photo, case.height, case.width)
    write(first, again)
    check(read(again), case, photo, case.height, case.width)
    if case.format in ("png", "tiff", "bmp"):
        np.testing.assert_array_equal(read(again).pixels, first.pixels)
    write(upscaler.upscale(source), target)
    check(read(target), case, photo, 2 * case.height, 2 * case.width)
    size = OutputSize(scale=1.5)
    write(upscaler.upscale(source, size=size), target)
    check(read(target), case, photo, *size.of(case.height, case.width))


@settings(max_examples=15, deadline=None)
@given(
    suffix=st.sampled_from([".jpg", ".png", ".webp", ".tif"]),
    to=st.sampled_from([".jpg", ".png", ".webp", ".avif", ".tif"]),
    orientation=st.integers(1, 8),
    height=st.integers(2, 20),
    width=st.integers(2, 20),
)
def test_turned_photos_come_out_upright_whatever_the_format(
    suffix: str, to: str, orientation: int, height: int, width: int, folder: Path, upscaler: Upscaler
) -> None:
    source, target = folder / f"turned{suffix}", folder / f"upright{to}"
    block = exif(orientation)
    block.get_ifd(0x8769).update({0xA002: width, 0xA003: height})
    Image.fromarray(made_photo(height, width)).save(source, exif=block.tobytes(), icc_profile=ICC)
    sides = (height, width) if orientation <= 4 else (width, height)
    write(replace(upscaler.upscale(source), dpi=(300, 300)), target)
    result = read(target)
    assert (result.height, result.width) == (2 * sides[0], 2 * sides[1])
    assert result.icc == ICC and result.dpi == pytest.approx((300, 300), rel=0.02)
    with Image.open(target) as image:
        kept = image.getexif()
        inner = kept.get_ifd(0x8769)
    assert kept.get(0x0112, 1) == 1 and kept[0x010F] == "Some Camera"
    assert (inner[0xA003], inner[0xA002]) == (result.height, result.width)
