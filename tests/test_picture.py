"""What goes into a file comes out of it: pixels, alpha, profile, EXIF, resolution, bit depth."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms

from blindsr import picture as picture_module
from blindsr.errors import InputError
from blindsr.picture import Picture, quantise, read, write

from .conftest import made_photo

ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def exif(orientation: int = 1) -> Image.Exif:
    block = Image.Exif()
    block[0x0112] = orientation
    block[0x010F] = "Some Camera"
    block.get_ifd(0x8769)[0x9003] = "2024:05:06 07:08:09"
    return block


def levels(picture: Picture) -> np.ndarray:
    return quantise(picture.pixels, picture.bit_depth)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("bit_depth", [8, 16])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("with_alpha", [False, True])
def test_lossless_round_trip(
    tmp_path: Path, suffix: str, bit_depth: int, channels: int, with_alpha: bool
) -> None:
    rng = np.random.default_rng(1)
    top = 2**bit_depth - 1
    pixels = (rng.integers(0, top + 1, (9, 13, channels)) / top).astype(np.float32)
    alpha = (rng.integers(0, top + 1, (9, 13)) / top).astype(np.float32) if with_alpha else None
    path = tmp_path / f"a{suffix}"
    write(Picture(pixels, alpha, bit_depth, icc=ICC if channels == 3 else None, dpi=(300, 150)), path)
    again = read(path)
    assert again.bit_depth == bit_depth and again.gray == (channels == 1)
    assert (again.height, again.width) == (9, 13)
    assert (levels(again) == quantise(pixels, bit_depth)).all()
    if alpha is None:
        assert again.alpha is None
    else:
        assert again.alpha is not None
        assert (quantise(again.alpha, bit_depth) == quantise(alpha, bit_depth)).all()
    assert again.icc == (ICC if channels == 3 else None)
    assert again.dpi == pytest.approx((300, 150), rel=1e-3)
    assert again.exif is None


@pytest.mark.parametrize("suffix", [".jpg", ".JPEG", ".webp", ".png"])
def test_lossy_round_trip_keeps_what_belongs_to_it(tmp_path: Path, suffix: str) -> None:
    source, path = tmp_path / "in.jpg", tmp_path / f"out{suffix}"
    Image.fromarray(made_photo(40, 56)).save(source, quality=95, exif=exif(), icc_profile=ICC, dpi=(72, 72))
    picture = read(source)
    assert picture.dpi == pytest.approx((72, 72))
    write(picture, path)
    again = read(path)
    assert again.icc == ICC
    assert np.abs(again.pixels - picture.pixels).mean() < 0.02
    kept = Image.open(path).getexif()
    assert kept[0x010F] == "Some Camera" and kept.get_ifd(0x8769)[0x9003] == "2024:05:06 07:08:09"


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_orientation_is_applied_once(tmp_path: Path, orientation: int, suffix: str) -> None:
    source, target = tmp_path / f"in{suffix}", tmp_path / f"out{suffix}"
    stored = np.zeros((16, 32, 3), np.uint8)
    stored[:8, :8] = 255
    Image.fromarray(stored).save(source, exif=exif(orientation), quality=95)
    upright = np.asarray(Image.open(source).convert("RGB"))
    transposed = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}  # orientation -> Pillow's transposition
    if orientation > 1:
        image = Image.open(source).convert("RGB").transpose(Image.Transpose(transposed[orientation]))
        upright = np.asarray(image)
    picture = read(source)
    assert picture.pixels.shape == upright.shape
    assert np.abs(picture.pixels * 255 - upright).max() < 3
    write(picture, target)
    again = read(target)
    assert again.pixels.shape == upright.shape
    assert Image.open(target).getexif().get(0x0112, 1) == 1


def test_gray_jpeg_stays_gray(tmp_path: Path) -> None:
    path = tmp_path / "gray.jpg"
    Image.fromarray(made_photo(20, 30)[:, :, 0]).save(path)
    picture = read(path)
    assert picture.gray and picture.pixels.shape == (20, 30, 1)
    write(picture, tmp_path / "again.jpg")
    assert Image.open(tmp_path / "again.jpg").mode == "L"


def test_sixteen_bit_is_read_from_the_header_not_from_the_values(tmp_path: Path) -> None:
    dark = Picture(np.full((4, 4, 1), 100 / 65535, np.float32), bit_depth=16)
    write(dark, tmp_path / "dark.png")
    again = read(tmp_path / "dark.png")
    assert again.bit_depth == 16 and (quantise(again.pixels, 16) == 100).all()


def test_palette_and_cmyk_become_rgb(tmp_path: Path) -> None:
    photo = made_photo(20, 30)
    Image.fromarray(photo).quantize(16).save(tmp_path / "palette.png")
    expected = np.asarray(Image.open(tmp_path / "palette.png").convert("RGB"))
    palette = read(tmp_path / "palette.png")
    assert (quantise(palette.pixels, 8) == expected).all()
    Image.new("CMYK", (30, 20), (0, 255, 255, 0)).save(tmp_path / "cmyk.jpg")
    cmyk = read(tmp_path / "cmyk.jpg")
    assert cmyk.pixels.shape == (20, 30, 3)
    red, green, blue = cmyk.pixels.mean(axis=(0, 1))
    assert red > 0.6 and green < 0.4 and blue < 0.4


def test_transparent_palette_has_alpha(tmp_path: Path) -> None:
    image = Image.fromarray(made_photo(8, 8)).quantize(4)
    image.save(tmp_path / "p.png", transparency=0)
    picture = read(tmp_path / "p.png")
    assert picture.alpha is not None and set(np.unique(picture.alpha)) <= {0.0, 1.0}


def test_jpeg_has_no_alpha(tmp_path: Path) -> None:
    alpha = np.zeros((16, 16), np.float32)
    alpha[:, 8:] = 1
    write(Picture(np.zeros((16, 16, 3), np.float32), alpha), tmp_path / "a.jpg")
    pixels = read(tmp_path / "a.jpg").pixels
    assert pixels[:, :7].min() > 0.9 and pixels[:, 9:].max() < 0.1


@given(st.floats(-1, 2, width=32), st.sampled_from([8, 16]))
def test_quantise_rounds_half_up(value: float, bit_depth: int) -> None:
    top = 2**bit_depth - 1
    level = int(quantise(np.full((1, 1, 1), value, np.float32), bit_depth)[0, 0, 0])
    assert 0 <= level <= top
    assert abs(level - min(max(value, 0), 1) * top) <= 0.5 + 1e-2


def test_quantise_at_the_half() -> None:
    halves = np.array([0.5, 1.5, 2.5], np.float32).reshape(1, 3, 1)
    assert quantise(halves / 255, 8).ravel().tolist() == [1, 2, 3]
    assert quantise(halves, 8).dtype == np.uint8 and quantise(halves, 16).dtype == np.uint16


@pytest.mark.parametrize("name", ["été 写真.png", "a[1].png", "a b&c;$(d).jpg", "ж" * 120 + ".png"])
def test_any_file_name(tmp_path: Path, name: str) -> None:
    write(Picture(made_photo(8, 8).astype(np.float32) / 255), tmp_path / name)
    assert read(tmp_path / name).width == 8


def test_missing_damaged_or_no_picture(tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    write(Picture(np.random.default_rng(0).random((64, 64, 3), np.float32)), photo)
    (tmp_path / "cut.png").write_bytes(photo.read_bytes()[:3000])
    jpeg = io.BytesIO()
    Image.fromarray(made_photo(64, 64)).save(jpeg, "JPEG")
    (tmp_path / "cut.jpg").write_bytes(jpeg.getvalue()[:900])
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "drawing.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>')
    (tmp_path / "folder.png").mkdir()
    for name in ("absent.png", "cut.png", "cut.jpg", "text.png", "empty.jpg", "drawing.svg", "folder.png"):
        with pytest.raises(InputError) as caught:
            read(tmp_path / name)
        assert name in str(caught.value) and "\n" not in str(caught.value)


def test_too_large_is_refused_before_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(Picture(np.zeros((20, 30, 1), np.float32)), tmp_path / "a.png")
    monkeypatch.setattr(picture_module, "MAX_PIXELS", 599)
    with pytest.raises(InputError, match="30x20 is more than"):
        read(tmp_path / "a.png")


def test_write_says_what_is_wrong(tmp_path: Path) -> None:
    picture = Picture(np.zeros((2, 2, 3), np.float32))
    for path, fault in (
        (tmp_path / "a.bmp", "cannot write this format; use .png"),
        (tmp_path / "a", "cannot write this format"),
        (tmp_path / "absent" / "a.png", "cannot be written"),
    ):
        with pytest.raises(InputError, match=fault):
            write(picture, path)
    wide = Picture(np.zeros((1, 17000, 3), np.float32))
    with pytest.raises(InputError, match=r"wide\.webp: a 17000x1 picture cannot be written"):
        write(wide, tmp_path / "wide.webp")
    assert list(tmp_path.iterdir()) == []


def test_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fills up while writing leaves the old file and nothing else."""
    path = tmp_path / "a.png"
    path.write_bytes(b"old")

    def full(self: Path, content: bytes) -> int:
        with self.open("wb") as file:
            file.write(content[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InputError, match=r"a\.png: cannot be written \(No space left"):
        write(Picture(np.zeros((2, 2, 3), np.float32)), path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.png"]
    assert path.read_bytes() == b"old"


def test_same_picture_same_bytes(tmp_path: Path) -> None:
    picture = Picture(made_photo(32, 32).astype(np.float32) / 255, icc=ICC, dpi=(300, 300))
    for suffix in picture_module.WRITABLE:
        for name in ("a", "b"):
            write(picture, tmp_path / f"{name}{suffix}")
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()
