"""A side of a comparison: true colours, bounded size, the right places, nothing but pixels."""

from __future__ import annotations

import io
import zlib
from pathlib import Path

import numpy as np
import pytest
import pyvips
from numpy.typing import NDArray
from PIL import Image, ImageCms, PngImagePlugin

from blindsr.comparison import embedding
from blindsr.comparison.embedding import Embedded, Side, embed, thumbnail_of, views_of
from blindsr.errors import InputError
from blindsr.picture import Picture

from ..conftest import made_photo

P3: bytes = pyvips.Image.profile_load("p3")
GPS = Image.Exif()
GPS[0x010F] = "Some Camera"
GPS.get_ifd(0x8825)[2] = (48.0, 51.0, 29.9)


def decoded(picture: Embedded) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(picture.encoded)) as image:
        assert image.format is not None and image.format.lower() == picture.kind
        assert image.size == (picture.width, picture.height)
        return np.asarray(image)


def enlarged(photo: NDArray[np.uint8], times: int) -> NDArray[np.uint8]:
    return photo.repeat(times, axis=0).repeat(times, axis=1)


@pytest.fixture(params=["whole", "streamed"])
def reading(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Files read whole, as small ones are, and in strips, as large ones are."""
    monkeypatch.setattr(embedding, "_STREAMED", 1 << 24 if request.param == "whole" else 1)
    return str(request.param)


@pytest.mark.parametrize("kind", ["rgb", "rgba", "gray", "gray-alpha"])
def test_small_pictures_lose_nothing(tmp_path: Path, reading: str, kind: str) -> None:
    levels = made_photo(20, 30)
    levels = levels[:, :, 0] if "gray" in kind else levels
    if kind in ("rgba", "gray-alpha"):
        levels = np.dstack([levels, np.linspace(0, 255, 600).reshape(20, 30)]).astype(np.uint8)
    Image.fromarray(levels).save(tmp_path / "a.png")
    shown = decoded(embed(Side(tmp_path / "a.png").whole(30, 20)))
    assert (shown == levels).all()


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
def test_wide_gamut_is_shown_in_true_colours(tmp_path: Path, reading: str, suffix: str) -> None:
    photo = Image.fromarray(made_photo(24, 32))
    lossless = {"lossless": True} if suffix == ".webp" else {}
    photo.save(tmp_path / f"a{suffix}", icc_profile=P3, quality=100, subsampling=0, **lossless)
    side = Side(tmp_path / f"a{suffix}")
    shown = decoded(embed(side.whole(32, 24))).astype(int)
    srgb = ImageCms.createProfile("sRGB")
    stored = Image.open(tmp_path / f"a{suffix}")
    true = ImageCms.profileToProfile(stored, ImageCms.getOpenProfile(io.BytesIO(P3)), srgb)
    assert isinstance(true, Image.Image)
    assert np.abs(shown - np.asarray(true).astype(int)).max() <= 3
    assert np.abs(shown - np.asarray(stored).astype(int)).max() > 8
    assert side.notes == ["colours converted to sRGB"]


def test_damaged_profile_is_left_aside(photo: NDArray[np.uint8]) -> None:
    pixels = photo.astype(np.float32) / 255
    side = Side(Picture(pixels, icc=b"no profile at all" * 20))
    assert (decoded(embed(side.whole(56, 40))) == photo).all()


def test_sixteen_bit_is_shown_as_eight(tmp_path: Path, reading: str) -> None:
    levels = (made_photo(12, 9).astype(np.uint16) * 257).astype(np.uint16)
    pyvips.Image.new_from_array(levels, interpretation="rgb16").tiffsave(str(tmp_path / "a.tif"))
    side = Side(tmp_path / "a.tif")
    shown = decoded(embed(side.whole(9, 12)))
    assert shown.dtype == np.uint8 and np.abs(shown.astype(int) - levels // 257).max() <= 1
    assert side.notes == ["16 bit, shown as 8"]


def test_turned_photos_are_shown_upright(tmp_path: Path, reading: str, photo: NDArray[np.uint8]) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6  # stored on its side
    Image.fromarray(np.rot90(photo)).save(tmp_path / "a.png", exif=turned)
    side = Side(tmp_path / "a.png")
    assert (side.width, side.height) == (56, 40)
    assert (decoded(embed(side.whole(56, 40))) == photo).all()
    assert (decoded(embed(side.region(3, 5, 20, 10))) == photo[5:15, 3:23]).all()


@pytest.mark.parametrize(("alpha", "kind"), [(False, "jpeg"), (True, "webp")])
def test_large_pictures_are_nearly_lossless(alpha: bool, kind: str) -> None:
    levels = enlarged(made_photo(65, 66), 16)
    if alpha:
        levels = np.dstack([levels, np.full(levels.shape[:2], 200, np.uint8)])
    picture = embed(Side(levels).whole(1056, 1040))
    assert picture.kind == kind
    assert len(picture.encoded) < levels.size / 4
    assert np.abs(decoded(picture).astype(int) - levels).mean() < 2


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_nothing_but_pixels_is_embedded(tmp_path: Path, reading: str, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    Image.fromarray(made_photo(40, 56)).save(path, exif=GPS, icc_profile=P3)
    assert b"Some Camera" in path.read_bytes()
    side = Side(path)
    views = views_of(side, side, shown_pixels=1000)
    for picture in [one for view in views for one in (view.before, view.after)]:
        assert b"Some Camera" not in picture.encoded
        with Image.open(io.BytesIO(picture.encoded)) as image:
            assert not image.getexif() and "icc_profile" not in image.info and "xmp" not in image.info
    with Image.open(io.BytesIO(thumbnail_of(views[0].after).encoded)) as image:
        assert not image.getexif() and max(image.size) <= 112


@pytest.mark.parametrize("scale", [1, 2, 4, 2.5])
def test_both_sides_of_a_detail_are_the_same_place(
    tmp_path: Path, reading: str, monkeypatch: pytest.MonkeyPatch, scale: float
) -> None:
    """Positions written into the pixels: both crops tell where they come from."""
    monkeypatch.setattr(embedding, "_CROP", 40)
    y, x = np.mgrid[0:100, 0:140].astype(np.float32) + 0.5
    before = np.dstack([x, y, 50 + 40 * (np.hypot(x - 100, y - 30) < 12)])
    y, x = np.mgrid[0 : int(100 * scale), 0 : int(140 * scale)].astype(np.float32) + 0.5
    after = np.dstack([x / scale, y / scale, 50 + 40 * (np.hypot(x / scale - 100, y / scale - 30) < 12)])
    for name, levels in (("before", before), ("after", after)):
        Image.fromarray(np.rint(levels).astype(np.uint8)).save(tmp_path / f"{name}.png")
    whole, *details = views_of(
        Side(tmp_path / "before.png"), Side(tmp_path / "after.png"), shown_pixels=10_000
    )
    assert whole.after.width * whole.after.height <= 10_100 and whole.shrink < 1
    assert 1 <= len(details) <= 3
    for detail in details:
        assert detail.shrink == 1 and (detail.after.width, detail.after.height) == (40, 40)
        left, top, width, height = detail.box
        around, crop = decoded(detail.before), decoded(detail.after)
        # Pixel centres of the before side, where the page puts them in the crop.
        columns = left * 40 + (np.arange(around.shape[1]) + 0.5) * width * 40 / around.shape[1]
        rows = top * 40 + (np.arange(around.shape[0]) + 0.5) * height * 40 / around.shape[0]
        assert left <= 0 and top <= 0 and left + width >= 1 and top + height >= 1
        for column, at in zip(columns, around[0, :, 0], strict=True):
            if 0.5 <= column <= 39.5:
                assert abs(int(crop[20, int(column), 0]) - int(at)) <= 1
        for row, at in zip(rows, around[:, 0, 1], strict=True):
            if 0.5 <= row <= 39.5:
                assert abs(int(crop[int(row), 20, 1]) - int(at)) <= 1
    first = details[0]
    assert decoded(first.after)[:, :, 2].max() > 80  # the one thing there is to see


def test_keywords_need_not_be_utf8(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "_STREAMED", 1)
    path, text = tmp_path / "a.png", PngImagePlugin.PngInfo()
    text.add(b"tEXt", "Légende\0Été".encode("latin-1"))
    Image.fromarray(made_photo(20, 30)).save(path, pnginfo=text)
    assert (decoded(embed(Side(path).whole(30, 20))) == made_photo(20, 30)).all()


@pytest.mark.parametrize("bands", [2, 4, 5, 6])
def test_bands_after_the_colours(tmp_path: Path, reading: str, bands: int) -> None:
    levels = np.dstack([made_photo(20, 30), 255 - made_photo(20, 30, seed=1)])[:, :, :bands]
    image = pyvips.Image.new_from_array(np.ascontiguousarray(levels), interpretation="multiband")
    image.tiffsave(str(tmp_path / "a.tif"))
    side = Side(tmp_path / "a.tif")
    views = views_of(side, side, shown_pixels=200)
    assert len(views) > 1 and all(view.transparent for view in views)
    shown = decoded(embed(side.region(0, 0, 30, 20)))
    assert (shown == levels[:, :, : 2 if bands == 2 else 4]).all()


def test_size_that_no_result_can_have_is_refused(tmp_path: Path) -> None:
    stored = io.BytesIO()
    Image.new("L", (8, 8)).save(stored, "PNG")
    header = bytearray(stored.getvalue()[:33])
    header[16:24] = (1_000_000).to_bytes(4, "big") * 2
    header[29:33] = zlib.crc32(header[12:29]).to_bytes(4, "big")
    (tmp_path / "a.png").write_bytes(bytes(header) + stored.getvalue()[33:])
    with pytest.raises(InputError, match=r"a\.png: .*1000000x1000000"):
        Side(tmp_path / "a.png")


def test_sides_of_different_photos_are_refused() -> None:
    sides = Side(made_photo(20, 30)), Side(made_photo(40, 40))
    with pytest.raises(InputError, match=r"30x20.*40x40.*proportions"):
        views_of(*sides)
    views_of(sides[0], Side(made_photo(33, 50)))  # x 1.65, rounded


def test_damage_below_the_header_is_an_error_that_names_the_file(tmp_path: Path, reading: str) -> None:
    path = tmp_path / "half.jpg"
    Image.fromarray(made_photo(200, 200)).save(path)
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(InputError, match=r"half\.jpg"):
        Side(path).whole(200, 200)
