"""What lies in and behind files is found by their own pieces, without decoding, and within bounds."""

from __future__ import annotations

import io
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from blindsr.picture.metadata import jpeg
from blindsr.picture.metadata.survey import survey

from ...conftest import made_photo
from ..test_loaders import ultra_hdr
from .test_carrying import CASES, pillow_file


def found(content: bytes, kind: str) -> list[str]:
    return [item.text for item in survey(io.BytesIO(content), kind).others]


def test_what_follows_a_jpeg() -> None:
    plain = pillow_file(".jpg")
    assert found(plain, "jpeg") == found(plain + bytes(4096), "jpeg") == []
    assert found(plain + plain, "jpeg") == ["1 further picture"]
    assert found(plain + bytes(99) + plain + plain, "jpeg") == ["2 further pictures"]
    laden = survey(io.BytesIO(ultra_hdr()), "jpeg")
    assert laden.others == [] and laden.gain_map is not None
    assert found(ultra_hdr()[:-2], "jpeg") == ["gain map (high dynamic range)"], "it is cut short"
    video = b"\0\0\0\x18ftypmp42" + b"\xff" * 5000
    assert found(plain + video, "jpeg") == ["video (motion photo)"]
    assert found(plain + b"anything else", "jpeg") == ["13 bytes behind the picture"]


@pytest.mark.parametrize("options", [{"progressive": True}, {"restart_marker_rows": 1}, {"quality": 100}])
def test_the_end_is_found_in_any_jpeg(options: dict[str, Any]) -> None:
    content = pillow_file(".jpg", **options)
    place = next(one.place for one in jpeg.segments(io.BytesIO(content)) if one.marker == 0xDA)
    assert jpeg.end_of_picture(io.BytesIO(content + b"trailer"), place) == len(content)
    assert jpeg.end_of_picture(io.BytesIO(content[:-2]), place) is None


def test_mpo() -> None:
    file = io.BytesIO()
    views = [Image.fromarray(made_photo(20, 24, seed)) for seed in range(2)]
    views[0].save(file, "MPO", save_all=True, append_images=views[1:])
    assert found(file.getvalue(), "jpeg") == ["1 further picture"]


def test_thumbnails_are_no_loss() -> None:
    plain = pillow_file(".jpg")
    at = plain.index(b"JFIF\0")
    small = (
        plain[: at - 2]
        + struct.pack(">H", 16 + 12)
        + plain[at : at + 12]
        + b"\2\2"
        + bytes(12)
        + plain[at + 14 :]
    )
    (item,) = survey(io.BytesIO(small), "jpeg").others
    assert item.text == "thumbnail" and item.derived


def test_webp_and_gif() -> None:
    content = pillow_file(".webp", exif=Image.Exif().tobytes())
    odd = content + b"ODDC" + struct.pack("<I", 4) + b"data"
    odd = odd[:4] + struct.pack("<I", len(odd) - 8) + odd[8:]
    assert found(odd, "webp") == ["chunk 'ODDC'"]
    assert found(content + b"behind", "webp") == ["6 bytes behind the picture"]
    file = io.BytesIO()
    Image.fromarray(made_photo(20, 24)).save(file, "GIF", comment=b"a" * 600)
    assert survey(io.BytesIO(file.getvalue()), "gif").comments == [b"a" * 600]


def test_ppm_comments() -> None:
    told = survey(io.BytesIO(b"P6\n# by a scanner\n#second\n2 1\n255\n" + bytes(6)), "ppm")
    assert told.comments == [b"by a scanner", b"second"]


@pytest.mark.parametrize("kind", ["jpeg", "png", "heif", "webp", "tiff"])
def test_files_that_end_anywhere_do_no_harm(kind: str) -> None:
    plain = {"heif": ".avif", "webp": ".webp", "tiff": ".tif"}
    content = CASES[kind] if kind in CASES else pillow_file(plain[kind])
    for end in (*range(0, min(len(content), 900)), *range(900, len(content), 29)):
        survey(io.BytesIO(content[:end]), kind)


def test_an_entry_that_is_cut_off_is_told() -> None:
    whole = pillow_file(".png", dpi=(300, 240))
    told = survey(io.BytesIO(whole), "png")
    assert told.dpi == (299.9994, 240.0046) and not told.warnings
    cut = whole[: whole.index(b"pHYs") + 6]
    assert survey(io.BytesIO(cut), "png").dpi is None
    heif = pillow_file(".avif")
    cut = heif[: heif.index(b"ipma") + 9]
    assert survey(io.BytesIO(cut), "heif").warnings in ([], [told_of_a_cut()])


def told_of_a_cut() -> str:
    return "its metadata ends in the middle of an entry; the rest of it was not read"


@given(st.data())
def test_damaged_files_do_no_harm(data: st.DataObject) -> None:
    kind, content = data.draw(
        st.sampled_from(
            [
                *CASES.items(),
                ("heif", pillow_file(".avif")),
                ("webp", pillow_file(".webp")),
                ("tiff", pillow_file(".tif")),
            ]
        )
    )
    damaged = bytearray(content)
    for _ in range(data.draw(st.integers(1, 8))):
        damaged[data.draw(st.integers(0, min(len(damaged), 1500) - 1))] = data.draw(st.integers(0, 255))
    survey(io.BytesIO(bytes(damaged[: data.draw(st.integers(0, len(damaged)))])), kind)
