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
from blindsr.picture.tiff import Blocks, add_exif, claimed_bytes, read_exif

from ..conftest import made_photo


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


def directory(entries: list[tuple[int, int, int, int]], count: int | None = None) -> bytes:
    """A little-endian directory: tag, type, count and value of each entry."""
    packed = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return struct.pack("<H", len(entries) if count is None else count) + packed + bytes(4)


MAKER = (0x010F, 2, 4, int.from_bytes(b"abc\0", "little"))
"""An entry that holds its value itself."""


def bomb(kind: str) -> bytes:
    """A block that claims far more than it holds, behind a maker that is read all the same."""
    inner = 8 + 2 + 12 * 4 + 4
    top = directory([MAKER, *((tag, 4, 1, inner) for tag in (0x8769, 0x8825, 0xA005))])
    below = {
        "one place": directory([(tag, 7, 1 << 19, 0) for tag in range(0x1000, 0x1FF0)]),
        "steps": directory([(tag, 7, 1 << 19, 60 * (tag - 0x1000)) for tag in range(0x1000, 0x1FF0)]),
        "doubles": directory([(tag, 12, 1 << 17, 70000) for tag in range(0x1000, 0x1FF0)]),
        "small": directory([(tag, 2, 64, 70000) for tag in range(0x1000, 0x1FF0)]),
        "circle": directory([(0x8769, 4, 1, 8), (0xA005, 4, 1, inner), (0x9003, 2, 4, MAKER[3])]),
        "entries": directory([], 4097),
    }[kind]
    return (struct.pack("<4sI", b"II*\0", 8) + top + below).ljust(1 << 20, b"x")


@pytest.mark.parametrize("kind", ["one place", "steps", "doubles", "small", "circle", "entries"])
def test_what_claims_more_than_it_holds_is_left_out(caplog: pytest.LogCaptureFixture, kind: str) -> None:
    content = bomb(kind)

    class Counting(io.BytesIO):
        total = 0

        def read(self, size: int | None = -1, /) -> bytes:
            got = super().read(size)
            Counting.total += len(got)
            return got

    block = read_exif(Counting(content), "a.tif")
    assert Counting.total < 2 * len(content), "no byte is copied twice"
    assert block is not None and len(block) <= len(content)
    exif = Image.Exif()
    exif.load(block)
    assert exif[0x010F] == "abc"
    if kind == "circle":
        assert exif.get_ifd(0x8769) == {0x9003: "abc"}
    (told,) = (one.getMessage() for one in caplog.records)
    assert told.startswith("a.tif: a part of its EXIF is left out") and len(told.splitlines()) == 1
    file = io.BytesIO()
    Image.fromarray(made_photo(8, 8)).save(file, "TIFF")
    add_exif(file, content, "b.tif")
    assert len(file.getvalue()) < 1 << 21
    assert Image.open(file).getexif()[0x010F] == "abc"


def test_values_in_one_place_are_kept(caplog: pytest.LogCaptureFixture) -> None:
    """Some programs write two equal dates or resolutions once."""
    inner = 8 + 2 + 12 + 4
    content = struct.pack("<4sI", b"II*\0", 8) + directory([(0x8769, 4, 1, inner)])
    place = len(content) + 2 + 2 * 12 + 4
    content += directory([(tag, 2, 20, place) for tag in (0x9003, 0x9004)]) + b"2024:05:06 07:08:09\0"
    exif = Image.Exif()
    block = read_exif(io.BytesIO(content))
    assert block is not None
    exif.load(block)
    assert set(exif.get_ifd(0x8769).values()) == {"2024:05:06 07:08:09"}
    assert len(exif.get_ifd(0x8769)) == 2 and not caplog.records


def test_blocks_of_the_first_picture(tmp_path: Path) -> None:
    import pyvips

    image = pyvips.Image.new_from_array(made_photo(300, 400), interpretation="srgb")

    def blocks(**options: object) -> Blocks:
        image.tiffsave(str(tmp_path / "a.tif"), **options)
        with (tmp_path / "a.tif").open("rb") as file:
            found = Blocks.of(file)
        assert found is not None
        return found

    tiles = blocks(tile=True, tile_width=128, tile_height=256, bigtiff=True, compression="deflate")
    assert (tiles.tile_width, tiles.tile_height, tiles.compression) == (128, 256, frozenset({8}))
    assert tiles.held(400, 300, 3) == 2 * 4 * 128 * 256 * 3
    strips = blocks(compression="lzw")
    assert strips.held(400, 300, 3) == 0 and strips.rows > 0
    assert Blocks(100, 0, 0, 2, frozenset((1,))).held(400, 300, 3) == 2 * 400 * 100 * 3
    assert Blocks(1 << 31, 0, 0, 1, frozenset((50001,))).held(400, 300, 3) == 2 * 400 * 300 * 3
    assert Blocks.of(io.BytesIO(b"no tiff at all")) is None


def test_of_two_numbers_the_larger_counts() -> None:
    content = struct.pack("<4sI", b"II*\0", 8)
    content += directory([(322, 3, 1, 16), (322, 4, 1, 1 << 20), (323, 3, 1, 64), (323, 3, 1, 16)])
    found = Blocks.of(io.BytesIO(content))
    assert found is not None and (found.tile_width, found.tile_height) == (1 << 20, 64)


def test_what_many_pictures_claim_together() -> None:
    def pages(count: int, entries: int, size: int) -> bytes:
        one = directory([(0xC800 + i, 1, size, 0) for i in range(entries)])
        content = struct.pack("<4sI", b"II*\0", 8)
        for number in range(count):
            following = 8 + (number + 1) * len(one) if number + 1 < count else 8  # round in a circle
            content += one[:-4] + struct.pack("<I", following)
        return content

    def claimed(content: bytes, most: int = 1 << 40) -> int:
        return claimed_bytes(io.BytesIO(content), most)

    content = pages(50, 20, 1 << 20)
    assert claimed(content) == 50 * 20 * ((1 << 20) + 12) - 2 * len(content)
    assert 1 << 24 < claimed(content, 1 << 24) < 1 << 26, "no more is counted than needed"
    assert claimed(pages(50, 20, 4)) == claimed(WHOLE) == claimed(b"no tiff at all") == 0
    file = io.BytesIO()
    photo = Image.fromarray(made_photo(300, 400))
    photo.save(file, "TIFF", save_all=True, append_images=[photo] * 3, icc_profile=bytes(9000))
    assert claimed(file.getvalue()) == 0
