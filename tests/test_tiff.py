"""EXIF in TIFF files: as Pillow writes it, we read it; as we write it, Pillow and libvips read it."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from blindsr.picture import Picture, read, write
from blindsr.tiff import add_exif, read_exif

from .conftest import made_photo


def camera_block() -> Image.Exif:
    block = Image.Exif()
    block[0x010F], block[0x0110], block[0x8298] = "Some Camera", "Model 1", "© somebody"
    block[0x0112] = 1
    inner = block.get_ifd(0x8769)
    inner[0x9003], inner[0x829A], inner[0x8827] = "2024:05:06 07:08:09", 1 / 250, 400
    inner[0xA002], inner[0xA003] = 32, 24
    place = block.get_ifd(0x8825)
    place[1], place[2], place[3], place[4] = "N", (52.0, 31.0, 12.5), "E", (13.0, 24.0, 18.0)
    return block


def check(exif: Image.Exif, size: tuple[int, int] | None = None) -> None:
    assert (exif[0x010F], exif[0x0110]) == ("Some Camera", "Model 1")
    inner, place = exif.get_ifd(0x8769), exif.get_ifd(0x8825)
    assert inner[0x9003] == "2024:05:06 07:08:09" and float(inner[0x829A]) == pytest.approx(1 / 250)
    assert inner[0x8827] == 400
    assert (place[1], tuple(map(float, place[2]))) == ("N", (52.0, 31.0, 12.5))
    if size is not None:
        assert (inner[0xA002], inner[0xA003]) == size


@pytest.mark.parametrize("big", [False, True])
def test_read_as_others_write_it(tmp_path: Path, big: bool) -> None:
    image = Image.fromarray(made_photo(24, 32))
    image.save(tmp_path / "a.tif", exif=camera_block().tobytes(), big_tiff=big)
    picture = read(tmp_path / "a.tif")
    assert picture.exif is not None
    exif = Image.Exif()
    exif.load(picture.exif)
    check(exif)
    assert 273 not in exif, "where the pixels lie is no part of it"


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_from_any_format_into_tiff_and_back(tmp_path: Path, suffix: str) -> None:
    Image.fromarray(made_photo(24, 32)).save(tmp_path / f"a{suffix}", exif=camera_block().tobytes())
    large = np.zeros((48, 64, 3), np.float32)
    source = read(tmp_path / f"a{suffix}")
    write(Picture(large, exif=source.exif, dpi=(300, 300)), tmp_path / "b.tif")
    with Image.open(tmp_path / "b.tif") as image:
        check(image.getexif(), (64, 48))
        assert image.size == (64, 48) and np.asarray(image).max() == 0
        assert image.info["dpi"] == (300, 300)
    again = read(tmp_path / "b.tif")
    write(again, tmp_path / "c.jpg")
    check(Image.open(tmp_path / "c.jpg").getexif(), (64, 48))


@pytest.mark.parametrize("order", ["<", ">"])
def test_either_order_of_bytes(order: str) -> None:
    """A big-endian block, as many cameras write it, goes into a little-endian file."""
    mark = b"II*\0" if order == "<" else b"MM\0*"
    block = mark + struct.pack(f"{order}I", 8) + struct.pack(f"{order}H", 2)
    block += struct.pack(f"{order}HHI4s", 0x0131, 2, 4, b"abc\0")
    block += struct.pack(f"{order}HHII", 0x8769, 4, 1, 38) + bytes(4)
    block += struct.pack(f"{order}H", 2)
    block += struct.pack(f"{order}HHIHH", 0x8827, 3, 1, 400, 0)
    block += struct.pack(f"{order}HHII", 0x829A, 5, 1, 68) + bytes(4) + struct.pack(f"{order}II", 1, 250)
    file = io.BytesIO()
    Image.fromarray(made_photo(8, 8)).save(file, "TIFF")
    add_exif(file, block)
    exif = Image.open(file).getexif()
    assert exif[0x0131] == "abc" and exif.get_ifd(0x8769)[0x8827] == 400
    assert float(exif.get_ifd(0x8769)[0x829A]) == pytest.approx(1 / 250)
    np.testing.assert_array_equal(np.asarray(Image.open(file)), made_photo(8, 8))


def test_nothing_to_tell(tmp_path: Path) -> None:
    Image.fromarray(made_photo(8, 8)).save(tmp_path / "a.tif")
    assert read(tmp_path / "a.tif").exif is None
    assert read_exif(io.BytesIO(b"no tiff at all")) is None
    file = io.BytesIO(b"unchanged")
    add_exif(file, b"junk")
    assert file.getvalue() == b"unchanged"


def tiff_with_exif() -> bytes:
    file = io.BytesIO()
    Image.fromarray(made_photo(8, 8)).save(file, "TIFF", exif=camera_block().tobytes())
    return file.getvalue()


WHOLE = tiff_with_exif()


@settings(max_examples=300, deadline=None)
@given(
    changes=st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), max_size=12),
    end=st.integers(0, len(WHOLE)),
)
def test_damage_is_no_crash(changes: list[tuple[int, int]], end: int) -> None:
    damaged = bytearray(WHOLE)
    for place, value in changes:
        damaged[place] = value
    block = read_exif(io.BytesIO(bytes(damaged[:end])))
    assert block is None or len(block) <= 1 << 20
    file = io.BytesIO(WHOLE)
    add_exif(file, bytes(damaged[:end]))
    Image.open(file).load()
