"""A picture that waits on disk is the same picture: read, written and restored within a bound on memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from blindsr.errors import InputError
from blindsr.picture import (
    FORMATS,
    WRITABLE,
    Limits,
    Picture,
    PictureWriter,
    encoding,
    open_photo,
    read,
    write,
)

from ..conftest import made_photo
from .test_picture import ICC, exif

ON_DISK = Limits(samples=0)


@pytest.mark.parametrize("suffix", WRITABLE)
@pytest.mark.parametrize("kind", ["rgb", "gray", "rgba", "gray alpha"])
@pytest.mark.parametrize("bit_depth", [8, 16])
def test_read_and_written_by_way_of_the_disk(tmp_path: Path, suffix: str, kind: str, bit_depth: int) -> None:
    pixels = made_photo(37, 300).astype(np.float32) / 255
    picture = Picture(
        pixels[:, :, :1] if "gray" in kind else pixels,
        alpha=pixels[:, :, 1] if "a" in kind.replace("gray", "") else None,
        bit_depth=bit_depth,
        icc=None if "gray" in kind else ICC,
        dpi=(300, 200),
    )
    write(picture, tmp_path / f"memory{suffix}")
    with PictureWriter(tmp_path / f"disk{suffix}", picture, 37, 300, limits=ON_DISK) as writer:
        for left in (200, 0, 100):
            columns = slice(left, left + 100)
            alpha = None if picture.alpha is None else picture.alpha[:, columns]
            writer.place(0, left, picture.pixels[:, columns], alpha)
        writer.save()
    assert (tmp_path / f"disk{suffix}").read_bytes() == (tmp_path / f"memory{suffix}").read_bytes()
    assert {entry.name for entry in tmp_path.iterdir()} == {f"disk{suffix}", f"memory{suffix}"}
    one, two = read(tmp_path / f"memory{suffix}"), read(tmp_path / f"memory{suffix}", limits=ON_DISK)
    np.testing.assert_array_equal(one.pixels, two.pixels)
    assert (one.alpha is None) == (two.alpha is None)
    assert replace(one, pixels=two.pixels, alpha=None) and (one.icc, one.dpi) == (two.icc, two.dpi)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_large_turned_photo(tmp_path: Path, orientation: int) -> None:
    """Decoders give rows from top to bottom: a photo of many of them cannot be turned while it is decoded."""
    stored = np.zeros((1500, 1000, 3), np.uint8)
    stored[:100, :50] = 255
    Image.fromarray(stored).save(tmp_path / "a.jpg", exif=exif(orientation))
    for limits in (None, ON_DISK):
        with open_photo(tmp_path / "a.jpg", limits) as photo:
            sides = (1500, 1000) if orientation < 5 else (1000, 1500)
            assert (photo.height, photo.width) == sides
            corner = {1: (0, 0), 3: (1, 1), 6: (0, 1), 8: (1, 0)}[orientation]
            rows, columns = (
                slice(0, 40) if end == 0 else slice(side - 40, side)
                for end, side in zip(corner, sides, strict=True)
            )
            pixels, _ = photo.window(rows, columns)
            assert pixels.min() > 0.9
            pixels, _ = photo.window(slice(500, 540), slice(500, 540))
            assert pixels.max() < 0.1


def test_codecs_that_need_the_whole_picture_are_refused_in_time(tmp_path: Path) -> None:
    picture = Picture(made_photo(40, 60).astype(np.float32) / 255)
    limits = Limits(codec=40 * 60 * 4)
    for name, format_ in FORMATS.items():
        target = tmp_path / f"a{format_.suffixes[0]}"
        write(picture, target)
        if format_.encoder:
            with pytest.raises(InputError, match=r"whole picture in memory, .* --memory"):
                PictureWriter(target, picture, 40, 60, limits=limits)
        else:
            PictureWriter(target, picture, 40, 60, limits=limits).close()
        if name in ("webp", "avif", "jxl", "bmp", "gif"):
            with pytest.raises(InputError, match=r"a\.\w+: this format needs the whole picture"):
                read(target, limits=limits)
        else:
            assert read(target, limits=limits).width == 60
    Image.fromarray(made_photo(40, 60)).save(tmp_path / "progressive.jpg", progressive=True)
    with pytest.raises(InputError, match=r"progressive\.jpg: this format needs the whole picture"):
        read(tmp_path / "progressive.jpg", limits=limits)


def test_sides_that_a_format_cannot_hold(tmp_path: Path) -> None:
    picture = Picture(np.zeros((1, 1, 3), np.float32))
    for suffix, side in ((".jpg", 65500), (".webp", 16383)):
        PictureWriter(tmp_path / f"a{suffix}", picture, 1, side).close()
        with pytest.raises(InputError, match=f"at most {side} pixels a side; use PNG or TIFF"):
            PictureWriter(tmp_path / f"a{suffix}", picture, side + 1, 1)


def test_a_photo_of_many_bits_is_rounded_once_for_jpeg(tmp_path: Path) -> None:
    """Not to RGB of 8 bit first, and then to the YCbCr that a JPEG file holds."""
    y, x = np.mgrid[0:64, 0:96].astype(np.float32)
    waves = [0.5 + 0.3 * np.sin(x / (9 + 2 * c)) * np.cos(y / (7 + c)) for c in range(3)]
    pixels = np.stack(waves, axis=2).astype(np.float32)
    errors = []
    for bits in (8, 16):
        write(Picture(pixels, bit_depth=bits), tmp_path / f"{bits}.jpg", quality=100)
        with Image.open(tmp_path / f"{bits}.jpg") as image:
            image.draft("YCbCr", None)
            ycc = np.asarray(image, np.float64)
        exact = pixels.astype(np.float64) * 255 @ encoding._TO_YCC.T + (0, 128, 128)
        errors.append(np.sqrt(np.mean((ycc - exact) ** 2)))
    assert errors[1] < 0.87 * errors[0], errors


def test_what_has_8_bits_stays_what_it_is_for_jpeg() -> None:
    levels = np.random.default_rng(0).integers(0, 256, (90, 120, 3)).astype(np.float32)
    again = encoding.rounded_once(levels / 255) * 255
    assert np.abs(again - levels).max() < 1.5
    assert np.abs((again - levels) @ encoding._TO_YCC.T.astype(np.float32)).max() < 0.51
