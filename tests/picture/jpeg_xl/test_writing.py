"""JPEG XL files that are written: what was meant is in them, and libjxl's own wheel reads them."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray

from blindsr.errors import InputError
from blindsr.picture import Picture, read, write
from blindsr.picture.jpeg_xl.reading import Reader, boxes
from blindsr.picture.jpeg_xl.writing import LOSSLESS, Belongings, has_place_for, keeps
from blindsr.picture.jpeg_xl.writing import write as write_frames
from blindsr.picture.profiles import from_code_points

from ...conftest import made_photo

PHOTO = made_photo(120, 160)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("bits", [8, 10, 12, 16])
def test_nothing_is_lost_at_the_highest_quality(tmp_path: Path, bits: int, channels: int) -> None:
    levels = np.random.default_rng(0).integers(0, 1 << bits, (20, 24, 4)) / ((1 << bits) - 1)
    pixels = levels[:, :, : 1 if channels < 3 else 3].astype(np.float32)
    alpha = levels[:, :, 3].astype(np.float32) if channels % 2 == 0 else None
    write(Picture(pixels, alpha=alpha, bit_depth=bits), tmp_path / "a.jxl", quality=100)
    again = read(tmp_path / "a.jxl")
    assert again.bit_depth == bits and again.gray == (channels < 3)
    np.testing.assert_allclose(again.pixels, pixels, atol=1e-5)
    if alpha is not None:
        np.testing.assert_allclose(again.alpha, alpha, atol=1e-5)
    assert imagecodecs.jpegxl_decode((tmp_path / "a.jxl").read_bytes()).dtype == (
        np.uint8 if bits == 8 else np.uint16
    )


def test_quality_means_what_it_does_elsewhere(tmp_path: Path) -> None:
    errors, sizes = [], []
    for quality in (20, 60, 90, None, 99):
        write(PHOTO, tmp_path / "a.jxl", quality=quality)
        errors.append(float(np.abs(read(tmp_path / "a.jxl").to_array().astype(int) - PHOTO).mean()))
        sizes.append((tmp_path / "a.jxl").stat().st_size)
    assert sorted(errors, reverse=True) == errors and sorted(sizes) == sizes
    write(PHOTO, tmp_path / "b.jxl", quality=95)
    assert (tmp_path / "b.jxl").stat().st_size == sizes[3]
    with pytest.raises(InputError, match="give 1 to 100"):
        write(PHOTO, tmp_path / "a.jxl", quality=101)


def test_alpha_loses_nothing(tmp_path: Path) -> None:
    alpha = np.random.default_rng(0).integers(0, 256, PHOTO.shape[:2]).astype(np.float32) / 255
    write(Picture(PHOTO.astype(np.float32) / 255, alpha=alpha), tmp_path / "a.jxl", quality=60)
    np.testing.assert_array_equal(read(tmp_path / "a.jxl").alpha, alpha)


def file_of(frames: list[NDArray[np.uint8]], *told: object, quality: int = LOSSLESS) -> bytes:
    file = io.BytesIO()
    write_frames(file, frames, 8, quality, *told)
    return file.getvalue()


def test_boxes_stand_before_the_picture() -> None:
    content = file_of([PHOTO], Belongings(exif=b"II*\0exif", xmp=b"<x:xmpmeta/>"))
    found = [(one.name, one.content) for one in boxes(content)]
    assert found[:2] == [(b"JXL ", None), (b"ftyp", None)]
    assert (b"Exif", bytes(4) + b"II*\0exif") in found and (b"xml ", b"<x:xmpmeta/>") in found
    assert found[-1][0] in (b"jxlc", b"jxlp")


@pytest.mark.parametrize("plays", [0, 3])
def test_durations_are_told_exactly_and_their_sum_stays(plays: int) -> None:
    exact = [Fraction(1, 100), Fraction(7, 1001), Fraction(3)]
    with Reader(file_of([PHOTO] * 3, Belongings(), exact, plays)) as reader:
        assert list(reader.durations) == exact and reader.header.plays == plays
    with Reader(file_of([PHOTO] * 3, Belongings(), [Fraction(0), Fraction(2), Fraction(0)])) as reader:
        assert [float(one) for one in reader.durations] == [0.001, 2, 0.001]
        assert len(list(reader.frames())) == 3, "what is shown for no time is a frame, too"
    odd = [Fraction(1, prime) for prime in (997, 991, 983, 977)]
    with Reader(file_of([PHOTO] * 4, Belongings(), odd, plays)) as reader:
        durations = reader.durations
    assert abs(sum(durations, Fraction(0)) - sum(odd, Fraction(0))) < Fraction(1, 1_000_000)
    assert all(abs(one - other) < Fraction(1, 500_000) for one, other in zip(durations, odd, strict=True))


def test_which_profiles_stay_as_they_are() -> None:
    """Libjxl keeps the numbers of those that it understands; the highest quality keeps the profile."""
    wide, odd = from_code_points(12, 13) or b"", from_code_points(7, 7) or b""
    assert not keeps(wide, gray=False) and keeps(odd, gray=False) and not keeps(b"no profile", gray=False)
    with Reader(file_of([PHOTO], Belongings(wide))) as reader:
        assert reader.icc == wide
    assert has_place_for(12, 13) and not has_place_for(12, 10) and not has_place_for(3, 13)


def test_a_profile_that_is_none_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.jxl: a 160x120 picture cannot be written \(libjxl refuses"):
        write(Picture(PHOTO.astype(np.float32) / 255, icc=b"nonsense" * 20), tmp_path / "a.jxl")
    assert not (tmp_path / "a.jxl").exists()


def test_the_same_picture_makes_the_same_bytes() -> None:
    assert file_of([PHOTO], Belongings(), quality=80) == file_of([PHOTO], Belongings(), quality=80)
