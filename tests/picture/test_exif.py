"""EXIF blocks of any kind, damaged ones too: patched where they tell of the pixels, else left as they are."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from blindsr.picture.exif import of_resolution, resolution, upright, with_size


def block(order: str = "<") -> bytes:
    exif = Image.Exif()
    exif.endian = order
    exif[0x0112] = 6
    exif[0x0100], exif[0x0101] = 70000, 300
    exif[0x011A], exif[0x011B], exif[0x0128] = 118.0, 59.0, 3
    exif.get_ifd(0x8769).update({0xA002: 56, 0xA003: 40, 0x9003: "2024:05:06 07:08:09"})
    return exif.tobytes()


def parsed(content: bytes) -> Image.Exif:
    exif = Image.Exif()
    exif.load(content)
    return exif


@pytest.mark.parametrize("order", ["<", ">"])
def test_size_and_orientation(order: str) -> None:
    patched = with_size(upright(block(order)), 90000, 200)
    assert not patched.startswith(b"Exif") and len(patched) == len(upright(block(order)))
    exif = parsed(patched)
    assert (exif[0x0112], exif[0x0100], exif[0x0101]) == (1, 200, 90000)
    assert exif.get_ifd(0x8769) == {0xA002: 200, 0xA003: 90000, 0x9003: "2024:05:06 07:08:09"}


@pytest.mark.parametrize("order", ["<", ">"])
def test_resolution_in_centimetres(order: str) -> None:
    assert resolution(upright(block(order))) == pytest.approx((118 * 2.54, 59 * 2.54))


@given(st.floats(0.5, 4e6), st.floats(0.5, 4e6))
def test_a_block_of_its_own_for_the_resolution(horizontal: float, vertical: float) -> None:
    content = of_resolution((horizontal, vertical))
    assert resolution(content) == pytest.approx((horizontal, vertical), rel=2e-3)
    assert float(parsed(content)[0x011A]) == pytest.approx(horizontal, rel=2e-3)
    assert parsed(content)[0x0128] == 2


def test_what_is_not_told_is_not_invented() -> None:
    exif = Image.Exif()
    exif[0x010F] = "Some Camera"
    content = exif.tobytes().removeprefix(b"Exif\0\0")
    assert upright(content) == with_size(content, 5, 6) == content
    assert resolution(content) is None


@given(st.data())
def test_damaged_blocks_do_no_harm(data: st.DataObject) -> None:
    content = bytearray(upright(block(data.draw(st.sampled_from("<>")))))
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    damaged = bytes(content[: data.draw(st.integers(0, len(content)))])
    for patched in (upright(damaged), with_size(damaged, 7, 9)):
        assert len(patched) == len(damaged.removeprefix(b"Exif\0\0"))
    found = resolution(damaged)
    assert found is None or min(found) > 0


def test_a_directory_beyond_the_block() -> None:
    content = struct.pack("<4sI", b"II*\0", 0xFFFFFFF0)
    assert upright(content) == with_size(content, 1, 1) == content
