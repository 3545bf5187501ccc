"""EXIF blocks of any kind, damaged ones too: patched where they tell of the pixels, else left as they are."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from blindsr.picture.exif import (
    fit,
    follow,
    has_maker_notes,
    of_resolution,
    orientation,
    resolution,
    with_resolution,
)
from blindsr.picture.metadata.geometry import Change
from blindsr.picture.samples import Samples


def block(order: str = "<") -> bytes:
    exif = Image.Exif()
    exif.endian = order
    exif[0x0112] = 6
    exif[0x0100], exif[0x0101] = 70000, 300
    exif[0x011A], exif[0x011B], exif[0x0128] = 118.0, 59.0, 3
    exif.get_ifd(0x8769).update({0xA002: 56, 0xA003: 40, 0x9003: "2024:05:06 07:08:09"})
    return exif.tobytes()


def upright(content: bytes) -> bytes:
    """A block of a picture that is stored 40 rows high and 56 wide, as the picture lies in memory."""
    return follow(content, Change.upright(40, 56, orientation(content) or 1))[0]


def with_size(content: bytes, height: int, width: int) -> bytes:
    return follow(content, Change((40, 56), (height, width)))[0]


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
    assert resolution(block(order).removeprefix(b"Exif\0\0")) == pytest.approx((118 * 2.54, 59 * 2.54))
    assert resolution(upright(block(order))) == pytest.approx((59 * 2.54, 118 * 2.54)), "it lies on its side"


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


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("numbers", [(10, 12), (10, 12, 6), (10, 12, 6, 4)])
@pytest.mark.parametrize("told", range(1, 9))
def test_the_subject_stays_on_its_pixels(order: str, numbers: tuple[int, ...], told: int) -> None:
    exif = Image.Exif()
    exif.endian = order
    exif[0x0112] = told
    exif.get_ifd(0x8769).update(
        {0x9214: numbers, 0xA214: numbers[:2], 0xA20E: IFDRational(300), 0xA20F: IFDRational(200)}
    )
    turn = Change.upright(40, 56, told)
    first, _, _ = follow(exif.tobytes(), turn)
    stored = np.zeros((40, 56), np.uint8)
    stored[numbers[1], numbers[0]] = 1
    samples = Samples(40, 56, 1, np.dtype("u1"), orientation=told)
    samples.put(0, 0, stored[:, :, None])
    ((row, column),) = np.argwhere(samples.window(slice(0, samples.height), slice(0, samples.width))[:, :, 0])
    inner = parsed(first).get_ifd(0x8769)
    assert inner[0x9214][:2] == inner[0xA214] == (column, row)
    sides = numbers[2:][::-1] if told >= 5 else numbers[2:]
    assert inner[0x9214][2:] == sides
    assert (inner[0xA20E], inner[0xA20F]) == ((200, 300) if told >= 5 else (300, 200))
    enlarged, changed, lost = follow(first, Change(turn.after, (turn.after[0] * 4, turn.after[1] * 4)))
    inner = parsed(enlarged).get_ifd(0x8769)
    assert inner[0x9214][:2] == (4 * column + 2, 4 * row + 2) and "size" in changed and not lost
    assert inner[0x9214][2:] == tuple(4 * side for side in sides)
    assert inner[0xA20E] == 4 * (200 if told >= 5 else 300)


def test_a_subject_too_far_out_for_its_entry_is_named() -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9214] = (20000, 300)
    content, _, lost = follow(exif.tobytes(), Change((400, 30000), (1600, 120000)))
    assert lost == {"subject's place": None}
    assert parsed(content).get_ifd(0x8769)[0x9214] == (0, 0)


def test_a_thumbnail_goes_and_is_named() -> None:
    exif = Image.Exif()
    exif.endian = "<"
    exif[0x010F] = "Some Camera"
    content = exif.tobytes().removeprefix(b"Exif\0\0")
    (count,) = struct.unpack_from("<H", content, 8)
    at = 10 + 12 * count
    with_thumbnail = (
        content[:at] + struct.pack("<I", len(content)) + content[at + 4 :] + struct.pack("<HI", 0, 0)
    )
    patched, _, lost = follow(with_thumbnail, Change((4, 4), (4, 4)))
    assert lost == {"thumbnail": None} and patched[at : at + 4] == bytes(4)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("told", [True, False])
def test_another_resolution(order: str, told: bool) -> None:
    exif = Image.Exif()
    exif.endian = order
    exif[0x010F] = "Some Camera"
    exif[0x9286 - 0x8000] = "x" * 30
    exif.get_ifd(0x8769)[0x927C] = b"made by a maker"
    if told:
        exif[0x011A], exif[0x011B], exif[0x0128] = 118.0, 59.0, 3
    content = exif.tobytes().removeprefix(b"Exif\0\0")
    assert (with_resolution(content, (300, 240), add=False) == content) is not told
    patched = with_resolution(content, (300, 240), add=True)
    assert resolution(patched) == pytest.approx((300, 240)) and has_maker_notes(patched)
    assert parsed(patched)[0x010F] == "Some Camera" and parsed(patched)[0x9286 - 0x8000] == "x" * 30
    assert patched.index(b"made by a maker") == content.index(b"made by a maker"), (
        "maker notes lie where they lay"
    )
    assert with_resolution(patched, (300, 240), add=True) == patched


def test_no_unit_stays_no_unit() -> None:
    exif = Image.Exif()
    exif[0x011A], exif[0x011B], exif[0x0128] = 1.0, 1.0, 1
    content = exif.tobytes().removeprefix(b"Exif\0\0")
    assert resolution(content) is None and upright(content) == content


def test_the_largest_values_are_left_out_where_there_is_no_room() -> None:
    exif = Image.Exif()
    exif[0x010F] = "Some Camera"
    exif.get_ifd(0x8769).update({0x9286: b"a" * 70000, 0x927C: b"b" * 50000, 0x9003: "2024:05:06 07:08:09"})
    content = exif.tobytes().removeprefix(b"Exif\0\0")
    fitting, lost = fit(content, 65000)
    assert lost == {"user comment": None} and len(fitting) <= 65000 and has_maker_notes(fitting)
    assert parsed(fitting)[0x010F] == "Some Camera"
    fitting, lost = fit(content, 1000)
    assert list(lost) == ["user comment", "maker notes"]
    assert parsed(fitting).get_ifd(0x8769) == {0x9003: "2024:05:06 07:08:09"}
    assert fit(content, 1 << 20) == (content, {})


def test_a_directory_beyond_the_block() -> None:
    content = struct.pack("<4sI", b"II*\0", 0xFFFFFFF0)
    assert upright(content) == with_size(content, 1, 1) == content
