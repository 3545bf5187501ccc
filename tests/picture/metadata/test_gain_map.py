"""Gain maps of JPEG files stay with results that are JPEG; libultrahdr, by libvips, sees them there."""

from __future__ import annotations

import io
import subprocess
from pathlib import Path
from shutil import which
from typing import Any

import numpy as np
import pytest
import pyvips
from PIL import Image

from blindsr.picture import Limits, open_photo, read
from blindsr.picture.metadata import gain_map, jpeg
from blindsr.picture.metadata.carrying import inventory

from ...conftest import made_photo
from .test_carrying import carried, with_segments
from .test_xmp import packet

pytestmark = pytest.mark.skipif(
    not pyvips.type_find("VipsOperation", "uhdrload"), reason="this libvips has no libultrahdr"
)

NUMBERS = {
    "gainmap-max-content-boost": [4.0, 5.0, 6.0], "gainmap-min-content-boost": [1.0] * 3,
    "gainmap-gamma": [1.0] * 3, "gainmap-offset-sdr": [0.015625] * 3, "gainmap-offset-hdr": [0.015625] * 3,
}  # fmt: skip
HDRGM = (
    'xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" hdrgm:Version="1.0" hdrgm:GainMapMax="2.3" '
    'hdrgm:HDRCapacityMax="2.3"'
)


def encoded(levels: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(levels).save(file, "JPEG", quality=95, **options)
    return file.getvalue()


@pytest.fixture(scope="module")
def by_library(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """As libultrahdr writes it."""
    path = tmp_path_factory.mktemp("files") / "a.jpg"
    image = pyvips.Image.new_from_array(made_photo(64, 96), interpretation="srgb").copy()
    image.set_type(pyvips.GValue.blob_type, "gainmap-data", encoded(made_photo(32, 48)[:, :, 0]))
    for name, values in NUMBERS.items():
        image.set_type(pyvips.GValue.array_double_type, name, values)
    for name, value in (("gainmap-hdr-capacity-min", 1.0), ("gainmap-hdr-capacity-max", 6.0)):
        image.set_type(pyvips.GValue.gdouble_type, name, value)
    image.set_type(pyvips.GValue.gint_type, "gainmap-use-base-cg", 1)
    image.uhdrsave(str(path), Q=95)
    return path.read_bytes()


def by_phone(**options: Any) -> bytes:
    """As phones wrote it first: XMP alone tells it, and a list of what lies behind."""
    behind = with_segments(encoded(made_photo(16, 24)[:, :, 0]), *(jpeg.xmp_segments(packet(HDRGM)) or []))
    told = gain_map.packet(behind)
    assert told is not None
    return with_segments(encoded(made_photo(64, 96), **options), *(jpeg.xmp_segments(told) or [])) + behind


def told_by(path: Path) -> dict[str, Any]:
    """What libultrahdr reads."""
    image = pyvips.Image.uhdrload(str(path))
    return {name: image.get(name) for name in image.get_fields() if name.startswith("gainmap-")}


@pytest.mark.parametrize("kind", ["library", "phone"])
def test_a_result_has_it_as_it_was(by_library: bytes, tmp_path: Path, kind: str) -> None:
    content = by_library if kind == "library" else by_phone()
    (tmp_path / "a.jpg").write_bytes(content)
    report = carried(content, tmp_path / "b.jpg")
    assert gain_map.TEXT in [item.text for item in report.kept] and report.dropped == []
    before, after = told_by(tmp_path / "a.jpg"), told_by(tmp_path / "b.jpg")
    assert after.pop("gainmap-scale-factor") == 2 * before.pop("gainmap-scale-factor")
    assert after == before and len(before["gainmap-data"]) > 100
    with Image.open(tmp_path / "b.jpg") as image:
        # What XMP tells of Pillow knows, and keeps away from.
        assert (image.format, image.size) == ("MPO" if kind == "library" else "JPEG", (192, 128))
    # The photo in front is what it would be without.
    with open_photo(content) as photo:
        assert gain_map.TEXT in [item.text for item in inventory(photo)]
    carried(content, tmp_path / "b.png")
    assert np.abs(read(tmp_path / "b.jpg").pixels - read(tmp_path / "b.png").pixels).mean() < 0.03
    again = carried((tmp_path / "b.jpg").read_bytes(), tmp_path / "c.jpg")
    assert again.dropped == [] and told_by(tmp_path / "c.jpg")["gainmap-data"] == after["gainmap-data"]


@pytest.mark.skipif(which("exiftool") is None, reason="exiftool is not installed")
def test_others_find_it_where_it_is_said_to_be(tmp_path: Path) -> None:
    carried(by_phone(), tmp_path / "b.jpg")
    content = (tmp_path / "b.jpg").read_bytes()
    command = ["exiftool", "-b", "-MPImage2", str(tmp_path / "b.jpg")]
    found = subprocess.run(command, capture_output=True, check=True, timeout=60).stdout
    assert gain_map.is_one(found) and content.endswith(found)
    command = ["exiftool", "-G1", "-struct", "-XMP:all", str(tmp_path / "b.jpg")]
    said = subprocess.run(command, capture_output=True, check=True, text=True, timeout=60).stdout
    assert f"Length={len(found)},Mime=image/jpeg,Semantic=GainMap" in said and "[XMP-hdrgm]" in said


@pytest.mark.parametrize("suffix", [".png", ".webp", ".avif"])
def test_other_formats_name_it(tmp_path: Path, suffix: str) -> None:
    assert gain_map.TEXT in carried(by_phone(), tmp_path / f"a{suffix}").warning


def test_a_photo_that_lies_on_its_side_names_it(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    report = carried(by_phone(exif=exif), tmp_path / "a.jpg")
    assert gain_map.TEXT in report.warning and b"MPF\0" not in (tmp_path / "a.jpg").read_bytes()


def test_what_is_cut_short_or_no_gain_map_is_named(by_library: bytes, tmp_path: Path) -> None:
    assert gain_map.TEXT in carried(by_library[:-200], tmp_path / "a.jpg").warning
    further = encoded(made_photo(64, 96)) + encoded(made_photo(16, 24))
    assert carried(further, tmp_path / "b.jpg").warning == "left out of the result: 1 further picture"
    with open_photo(by_library[:-200], Limits(damaged=True)) as photo:
        assert photo.metadata.gain_map is None
