"""What goes into a file comes out of it: pixels, alpha, profile, EXIF, resolution, bit depth."""

from __future__ import annotations

import io
import struct
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms

from blindsr import picture as picture_module
from blindsr.errors import InputError, MissingExtraError
from blindsr.picture import Limits, Picture, quantise, read, write

from ..conftest import made_photo

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
    write(
        Picture(pixels, alpha=alpha, bit_depth=bit_depth, icc=ICC if channels == 3 else None, dpi=(300, 150)),
        path,
    )
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
    assert picture.pixels.shape[:2] == upright.shape[:2]
    assert np.abs(picture.pixels * 255 - upright).max() < 3
    write(picture, target)
    again = read(target)
    assert again.pixels.shape == picture.pixels.shape
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
    write(Picture(np.zeros((16, 16, 3), np.float32), alpha=alpha), tmp_path / "a.jpg")
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


def test_a_damaged_file_is_told_from_another_kind_in_plain_words(tmp_path: Path) -> None:
    write(Picture(np.random.default_rng(0).random((64, 64, 3), np.float32)), tmp_path / "photo.avif")
    whole = (tmp_path / "photo.avif").read_bytes()
    for content, said in (
        (whole[: len(whole) // 2], r"\(.*[a-z]{4}.*\); it is damaged or incomplete, so copy it again"),
        (b"\x89PNG\r\n\x1a\n", r"\(no reason given\); it is damaged or incomplete, so copy it again"),
        (b"no picture", r"not a photo format this program reads \(png, .*heic, jxl\), or its beginning"),
    ):
        (tmp_path / "photo").write_bytes(content)
        with pytest.raises(InputError, match=said):
            read(tmp_path / "photo")


def test_too_large_is_refused_before_decoding(tmp_path: Path) -> None:
    write(Picture(np.zeros((20, 30, 1), np.float32)), tmp_path / "a.png")
    with pytest.raises(InputError, match=r"30x20 is more than the 0\.000599 million pixels allowed"):
        read(tmp_path / "a.png", limits=Limits(pixels=599))
    assert read(tmp_path / "a.png", limits=Limits(pixels=600)).width == 30


def test_write_says_what_is_wrong(tmp_path: Path) -> None:
    picture = Picture(np.zeros((2, 2, 3), np.float32))
    for path, fault in (
        (tmp_path / "a.ico", "cannot write this format; use .png"),
        (tmp_path / "a", "cannot write this format"),
        (tmp_path / "absent" / "a.png", "cannot be written"),
    ):
        with pytest.raises(InputError, match=fault):
            write(picture, path)
    wide = Picture(np.zeros((1, 17000, 3), np.float32))
    with pytest.raises(InputError, match=r"wide\.webp: a 17000x1 picture cannot be written"):
        write(wide, tmp_path / "wide.webp")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on file sizes there")
@pytest.mark.parametrize("suffix", picture_module.WRITABLE)
def test_nothing_half_written(tmp_path: Path, suffix: str) -> None:
    """A disk that fills up while writing (or here: a limit on files) leaves the old file and nothing else."""
    import resource

    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"old")
    noise = Picture(np.random.default_rng(0).random((300, 300, 3), np.float32))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
    try:
        with pytest.raises(InputError) as caught:
            write(noise, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert str(caught.value) == f"{path}: cannot be written (File too large)"
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    assert path.read_bytes() == b"old"


def test_same_picture_same_bytes(tmp_path: Path) -> None:
    picture = Picture(made_photo(32, 32).astype(np.float32) / 255, icc=ICC, dpi=(300, 300))
    for suffix in picture_module.WRITABLE:
        for name in ("a", "b"):
            write(picture, tmp_path / f"{name}{suffix}")
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def test_avif_keeps_its_bit_depth(tmp_path: Path) -> None:
    photo = made_photo(32, 48).astype(np.float32) / 255
    photo[:16] = 1
    for bits, expected in ((8, 8), (10, 10), (12, 12), (16, 12)):
        write(Picture(photo, alpha=photo[:, :, 0], bit_depth=bits, icc=ICC), tmp_path / "a.avif", quality=100)
        again = read(tmp_path / "a.avif")
        assert again.bit_depth == expected and again.icc == ICC
        assert again.alpha is not None and np.abs(again.alpha - photo[:, :, 0]).mean() < 0.02
        assert np.abs(again.pixels - photo).mean() < 0.02
        assert again.pixels.max() == 1, "white is white, however many bits it has"
        write(again, tmp_path / "b.png")
        assert read(tmp_path / "b.png").bit_depth == (8 if expected == 8 else 16)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
def test_bmp(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(made_photo(9, 13)).convert(mode)
    image.save(tmp_path / "in.bmp", dpi=(300, 300))
    picture = read(tmp_path / "in.bmp")
    assert picture.gray == (mode in ("1", "L")) and picture.bit_depth == 8
    assert picture.dpi == pytest.approx((300, 300), rel=1e-3)
    expected = np.asarray(image.convert("L" if picture.gray else "RGB")).reshape(9, 13, -1)
    assert (levels(picture) == expected).all()
    write(picture, tmp_path / "out.bmp")
    again = read(tmp_path / "out.bmp")
    assert (levels(again) == expected).all() and again.dpi == pytest.approx((300, 300), rel=1e-3)


def test_colours_survive_where_their_profile_cannot(tmp_path: Path) -> None:
    """BMP holds no profile, and WebP and AVIF none of gray: the picture must look the same without it."""
    photo = made_photo(32, 32)
    write(Picture(photo.astype(np.float32) / 255, icc=ICC), tmp_path / "same.bmp")
    again = read(tmp_path / "same.bmp")
    assert again.icc is None and np.abs(levels(again).astype(int) - photo).max() <= 2
    swapped = bytearray(ICC)  # the profile of a space whose red is sRGB's green
    red, green = swapped.index(b"rXYZ"), swapped.index(b"gXYZ")
    swapped[red : red + 4], swapped[green : green + 4] = b"gXYZ", b"rXYZ"
    write(Picture(photo.astype(np.float32) / 255, icc=bytes(swapped)), tmp_path / "swapped.bmp")
    turned = levels(read(tmp_path / "swapped.bmp")).astype(int)
    assert np.abs(turned - photo[:, :, [1, 0, 2]]).mean() < 2


def linear_gray_profile() -> bytes:
    """The least ICC profile of gray samples in linear light (ICC.1:2001-04, 6.3.4)."""
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061)
    curve = b"curv\0\0\0\0" + struct.pack(">I", 0)  # no entry: the identity
    text = b"text\0\0\0\0" + b"none\0\0\0\0"
    name = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"gray\0" + bytes(78) + bytes(1)
    tags, body, start = b"", b"", 128 + 4 + 4 * 12
    for tag, content in ((b"wtpt", white), (b"kTRC", curve), (b"cprt", text), (b"desc", name)):
        tags += tag + struct.pack(">2I", start + len(body), len(content))
        body += content
    header = struct.pack(">I4sI4s4s4s", start + len(body), b"", 0x02100000, b"mntr", b"GRAY", b"XYZ ")
    header = (header + struct.pack(">6H", 2024, 1, 1, 0, 0, 0) + b"acsp").ljust(68, b"\0")
    header = (header + struct.pack(">3i", 63190, 65536, 54061)).ljust(128, b"\0")
    return header + struct.pack(">I", 4) + tags + body


@pytest.mark.parametrize("suffix", picture_module.WRITABLE)
def test_gray_with_a_profile_of_its_own(tmp_path: Path, suffix: str) -> None:
    """Kept where gray can be, else applied: half the light is a level of 188 in sRGB."""
    profile = linear_gray_profile()
    photo = Picture(np.full((16, 16, 1), 0.5, np.float32), icc=profile)
    # With loss, JPEG XL has numbers for it, of the same meaning.
    write(photo, tmp_path / f"a{suffix}", quality=100 if suffix == ".jxl" else None)
    picture = read(tmp_path / f"a{suffix}")
    assert picture.gray
    applied = suffix in (".webp", ".avif", ".bmp", ".dib", ".gif")
    assert picture.icc == (None if applied else profile)
    assert levels(picture).mean() == pytest.approx(188 if applied else 128, abs=2)


def test_a_large_bitmap_is_refused_in_our_own_words(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    Image.fromarray(made_photo(9, 13)).save(tmp_path / "a.bmp")
    content = bytearray((tmp_path / "a.bmp").read_bytes())
    struct.pack_into("<2i", content, 18, 13000, 11000)
    (tmp_path / "a.bmp").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.bmp: 13000x11000 is more than the 134.2 million pixels"):
        read(tmp_path / "a.bmp")
    assert not recwarn.list
    (tmp_path / "a.bmp").write_bytes(b"BM")
    with pytest.raises(InputError, match="damaged BMP header"):
        read(tmp_path / "a.bmp")


def test_float_tiff_as_it_stands(tmp_path: Path) -> None:
    import pyvips

    rgba = np.random.default_rng(0).random((9, 13, 4), dtype=np.float32)
    for channels, interpretation in ((1, "b-w"), (3, "scrgb"), (4, "scrgb")):
        stored = np.ascontiguousarray(rgba[:, :, :channels])
        image = pyvips.Image.new_from_memory(stored, 13, 9, channels, "float")
        image.copy(interpretation=interpretation).tiffsave(str(tmp_path / "a.tif"))
        picture = read(tmp_path / "a.tif")
        assert picture.bit_depth == 16 and picture.gray == (channels == 1)
        np.testing.assert_array_equal(picture.pixels, stored[:, :, :3])
        if channels == 4:
            np.testing.assert_array_equal(picture.alpha, stored[:, :, 3])
    Image.fromarray(rgba[:, :, 0] * 255).save(tmp_path / "levels.tif")
    with pytest.raises(InputError, match=r"levels\.tif: its samples leave 0\.\.1"):
        read(tmp_path / "levels.tif")


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png", ".avif"])
def test_of_an_animation_the_first_frame_is_read_and_the_others_are_named(
    tmp_path: Path, suffix: str
) -> None:
    frames = [Image.fromarray(made_photo(16, 16, seed)) for seed in range(3)]
    path, still = tmp_path / f"a{suffix}", tmp_path / f"still{suffix}"
    frames[0].save(path, save_all=True, append_images=frames[1:], lossless=True, quality=100)
    frames[0].save(still, lossless=True, quality=100)
    first = read(path)
    assert np.abs(first.pixels - read(still).pixels).mean() < 0.02
    named = [item.text for item in first.metadata.others]
    assert named == ["sequence of pictures" if suffix == ".avif" else "2 further frames"]
    assert read(still).metadata.others == ()


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".avif"])
def test_gray_stays_gray_in_formats_without_it(tmp_path: Path, suffix: str) -> None:
    Image.fromarray(made_photo(20, 30)[:, :, 0]).save(tmp_path / f"a{suffix}", quality=95)
    assert read(tmp_path / f"a{suffix}").gray


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".avif"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_exif_tells_the_new_size_and_has_no_thumbnail(tmp_path: Path, suffix: str, order: str) -> None:
    block = exif(6)
    block.endian = order
    for tag, value in ((0x0100, 56), (0x0101, 40)):
        block[tag] = value
    block.get_ifd(0x8769).update({0xA002: 56, 0xA003: 40})
    block.get_ifd(1).update({0x0201: 900, 0x0202: 10})  # where a thumbnail would lie
    Image.fromarray(made_photo(40, 56)).save(tmp_path / "in.jpg", exif=block)
    picture = read(tmp_path / "in.jpg")
    larger = np.zeros((4 * picture.height, 4 * picture.width, 3), np.float32)
    write(replace(picture, pixels=larger), tmp_path / f"out{suffix}")
    with Image.open(tmp_path / f"out{suffix}") as image:
        kept = image.getexif()
    assert (kept[0x0100], kept[0x0101]) == (160, 224)
    inner = kept.get_ifd(0x8769)
    assert (inner[0xA002], inner[0xA003]) == (160, 224)
    assert kept[0x010F] == "Some Camera" and kept.get(0x0112, 1) == 1 and not kept.get_ifd(1)


@pytest.mark.parametrize("suffix", picture_module.WRITABLE)
@pytest.mark.parametrize("with_exif", [False, True])
def test_resolution_in_every_format(tmp_path: Path, suffix: str, with_exif: bool) -> None:
    Image.fromarray(made_photo(16, 16)).save(tmp_path / "a.jpg", exif=exif() if with_exif else b"")
    picture = replace(read(tmp_path / "a.jpg"), dpi=(300.0, 150.0))
    write(picture, tmp_path / f"b{suffix}")
    expected = None if suffix == ".gif" else pytest.approx((300, 150), rel=1e-3)
    assert read(tmp_path / f"b{suffix}").dpi == expected


def test_gif_has_a_palette_of_the_picture(tmp_path: Path) -> None:
    photo = made_photo(60, 80).astype(np.float32) / 255
    write(Picture(photo), tmp_path / "a.gif")
    found = read(tmp_path / "a.gif")
    assert not found.has_alpha and np.abs(found.pixels - photo).mean() < 0.04
    alpha = np.repeat(np.linspace(0, 1, 80, dtype=np.float32)[None], 60, axis=0)
    write(Picture(photo, alpha=alpha), tmp_path / "a.gif")
    clear = read(tmp_path / "a.gif").alpha
    assert clear is not None and set(np.unique(clear)) == {0, 1}
    assert (clear == (alpha > 0.5)).mean() > 0.95


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".gif"])
@pytest.mark.parametrize("with_exif", [False, True])
def test_no_resolution_is_made_up(tmp_path: Path, suffix: str, with_exif: bool) -> None:
    options = (
        {"exif": b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x01\0\0\0\0\0\0\0"}
        if with_exif
        else {}
    )
    Image.fromarray(made_photo(8, 8)).save(tmp_path / f"a{suffix}", **options)
    picture = read(tmp_path / f"a{suffix}")
    assert picture.dpi is None
    for target in (".png", ".jpg", ".tif", ".webp", ".bmp"):
        write(picture, tmp_path / f"b{target}")
        with Image.open(tmp_path / f"b{target}") as image:  # of TIFF files Pillow tells 1 where there is none
            assert image.info.get("dpi", (0, 0)) in ((0, 0), (1, 1)) or (with_exif and target == ".jpg")
            assert image.info.get("jfif_unit", 0) == 0 and not image.getexif().get(0x011A)
        assert read(tmp_path / f"b{target}").dpi is None or (with_exif and target == ".webp")


def test_quality(tmp_path: Path) -> None:
    picture = Picture(made_photo(64, 64).astype(np.float32) / 255)
    for suffix in (".jpg", ".webp", ".avif"):
        sizes = []
        for quality in (10, 60, 100):
            write(picture, tmp_path / f"a{suffix}", quality=quality)
            sizes.append((tmp_path / f"a{suffix}").stat().st_size)
        assert sizes == sorted(set(sizes))
        with pytest.raises(InputError, match="give 1 to 100"):
            write(picture, tmp_path / f"a{suffix}", quality=101)
    for suffix in (".png", ".tif", ".bmp"):
        with pytest.raises(InputError, match="take no quality"):
            write(picture, tmp_path / f"a{suffix}", quality=90)


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"


def test_heic_without_its_reader_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (tmp_path / "a.heic").write_bytes(HEIC)
    with pytest.raises(MissingExtraError, match=r'a\.heic: .*pip install "blindsr\[heic\]"'):
        read(tmp_path / "a.heic")


@pytest.mark.parametrize("bits", [8, 10])
def test_heic_through_its_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bits: int) -> None:
    """A stand-in for the reader: what it gives is taken over."""
    photo = made_photo(6, 8)
    stored = photo if bits == 8 else (photo.astype(np.uint16) << 8 & 0xFFC0)

    class Heif:
        size = (8, 6)
        info: ClassVar[dict[str, Any]] = {"bit_depth": bits, "icc_profile": ICC, "exif": exif(6).tobytes()}

        def __array__(self, dtype: object = None, copy: object = None) -> np.ndarray:
            return stored

    def open_heif(file: io.BytesIO, **options: bool) -> Heif:
        if file.read() != HEIC:
            raise ValueError("no such box")
        assert options == {"convert_hdr_to_8bit": False, "hdr_to_16bit": True}
        return Heif()

    monkeypatch.setitem(sys.modules, "pillow_heif", SimpleNamespace(open_heif=open_heif))
    (tmp_path / "a.heic").write_bytes(HEIC)
    picture = read(tmp_path / "a.heic")
    assert picture.bit_depth == bits and picture.icc == ICC and picture.alpha is None
    white = 255 if bits == 8 else 1023 << 6
    np.testing.assert_allclose(picture.pixels, stored / white, atol=1e-6)
    write(picture, tmp_path / "a.jpg")
    assert Image.open(tmp_path / "a.jpg").getexif()[0x0112] == 1, "the reader has turned it"
    (tmp_path / "bad.heic").write_bytes(HEIC + b"junk")
    with pytest.raises(InputError, match=r"bad\.heic: not a readable picture \(no such box\); it is damaged"):
        read(tmp_path / "bad.heic")
