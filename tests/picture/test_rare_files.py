"""Photos that need not be refused: rare kinds, wide samples, files without an end; and those that must."""

from __future__ import annotations

import io
import re
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from blindsr.errors import InputError, MissingExtraError
from blindsr.picture import Limits, open_photo, read, unusual_tiff
from blindsr.picture.animation import Animation
from blindsr.picture.loaders import LOADERS, kind_of, other_kind
from blindsr.picture.series import open_for

from ..conftest import made_photo

WIDE = (made_photo(20, 24).astype(np.uint16) << 8) + 77


def tiff(**options: Any) -> bytes:
    tifffile = pytest.importorskip("tifffile")
    file = io.BytesIO()
    tifffile.imwrite(file, options.pop("levels"), **options)
    return file.getvalue()


def test_wide_samples_stay_wide() -> None:
    header = b"P6\n# a comment\n24 20\n65535\n"
    picture = read(header + WIDE.astype(">u2").tobytes())
    assert picture.bit_depth == 16 and not np.abs(picture.to_array("uint16").astype(int) - WIDE).max()
    assert picture.metadata.comments == (b"a comment",)
    ten = (WIDE >> 6).astype(">u2")
    picture = read(b"P6 24 20 1023\n" + ten.tobytes())
    assert picture.bit_depth == 16 and np.abs(picture.pixels * 1023 - ten).max() < 0.02
    gray = read(b"P5 24 20 65535\n" + WIDE[:, :, 0].astype(">u2").tobytes())
    assert gray.gray and not np.abs(gray.to_array("uint16").astype(int) - WIDE[:, :, 0]).max()


def test_kin_of_ppm() -> None:
    rgba = np.dstack([made_photo(20, 24), np.full((20, 24), 200, np.uint8)])
    head = b"P7\nWIDTH 24\nHEIGHT 20\nDEPTH 4\nMAXVAL 255\nTUPLTYPE RGB_ALPHA\nENDHDR\n"
    np.testing.assert_array_equal(read(head + rgba.tobytes()).to_array(), rgba)
    light = (made_photo(20, 24) / 255).astype("<f4")
    np.testing.assert_array_equal(read(b"PF\n24 20\n-1.0\n" + light[::-1].tobytes()).pixels, light)
    np.testing.assert_array_equal(
        read(b"PF\n24 20\n1.0\n" + light[::-1].astype(">f4").tobytes()).pixels, light
    )
    with pytest.raises(InputError, match="samples leave"):
        read(b"PF\n24 20\n-1.0\n" + (light * 9).tobytes())


@pytest.mark.parametrize(
    "content",
    [
        b"P6 24 20 65535\n" + bytes(99), b"P7\nWIDTH 24\n", b"PF\n24\n", b"PF\n1e9 2\n-1\n",
        b"P6 24 20 2.5", b"P5 24 20 1e3", b"P6 2. 20 65535\n",
        b"PF 24 20 -\n",
        b"P7\nWIDTH 2\nHEIGHT 2\nDEPTH 9\nMAXVAL 255\nENDHDR\n" + bytes(99),
    ],
)  # fmt: skip
def test_damaged_ones(content: bytes) -> None:
    with pytest.raises(InputError, match="damaged"):
        read(content)
    with pytest.raises(InputError, match="--max-pixels"):
        read(b"P6 99999 99999 65535\n")


def test_cmyk_in_sixteen_bits(tmp_path: Path) -> None:
    import pyvips

    cmyk = np.dstack([WIDE, WIDE[:, :, :1]])
    image = pyvips.Image.new_from_memory(cmyk.tobytes(), 24, 20, 4, "ushort").copy(interpretation="cmyk")
    image.tiffsave(str(tmp_path / "a.tif"))
    picture = read(tmp_path / "a.tif")
    assert picture.bit_depth == 16 and len(np.unique(picture.to_array("uint16"))) > 256
    (image / 257).cast("uchar").copy(interpretation="cmyk").tiffsave(str(tmp_path / "b.tif"))
    assert np.abs(picture.pixels - read(tmp_path / "b.tif").pixels).max() < 0.03


def test_lab_in_eight_bits() -> None:
    from PIL import ImageCms

    image = Image.fromarray(made_photo(20, 24))
    lab = ImageCms.profileToProfile(
        image, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    assert lab is not None
    file = io.BytesIO()
    lab.save(file, "TIFF")
    picture = read(file.getvalue())
    assert np.abs(picture.to_array().astype(int) - made_photo(20, 24)).max() < 12
    assert ("", "LAB (the colours are sRGB now)") in picture.metadata.changed


def test_what_pillow_warns_of_is_told_by_us(recwarn: pytest.WarningsRecorder, tmp_path: Path) -> None:
    """A directory that claims a profile which the file does not hold: the colours are read all the same."""
    file = io.BytesIO()
    Image.new("LAB", (24, 20), (50, 0, 0)).save(file, "TIFF", icc_profile=bytes(3000), dpi=(300, 300))
    content = file.getvalue()
    entries = [struct.pack("<HHI", 34675, 7, size) for size in (3000, 30000)]
    assert entries[0] in content
    (tmp_path / "a.tif").write_bytes(content.replace(*entries))
    with suppress(InputError):
        read(tmp_path / "a.tif")
    assert not recwarn.list


@pytest.mark.parametrize("gray", [False, True])
def test_double_precision(gray: bool) -> None:
    levels = made_photo(20, 24)[:, :, 0] / 255 if gray else made_photo(20, 24) / 255
    picture = read(tiff(levels=levels, photometric="minisblack" if gray else "rgb", resolution=(300, 300)))
    assert picture.bit_depth == 16 and picture.gray is gray and picture.dpi == (300, 300)
    np.testing.assert_allclose(picture.pixels.squeeze(), levels, atol=1e-7)
    with pytest.raises(InputError, match="samples leave"):
        read(tiff(levels=levels * 255))
    with pytest.raises(InputError, match="--max-pixels"):
        read(tiff(levels=levels), limits=Limits(pixels=99))


def test_other_kinds_are_called_by_name() -> None:
    for head, name in (
        (b"\0\0\0\x0cjP  " + bytes(9), "JPEG 2000"),
        (b"8BPS\0\1", "Photoshop"),
        (b"%PDF-1.7", "PDF"),
    ):
        assert kind_of(head) is None and other_kind(head) == name
        with pytest.raises(InputError, match=f"does not read \\({name}\\); save it as PNG, JPEG or TIFF"):
            read(head + bytes(99))
    lossless = jpeg().replace(b"\xff\xc0", b"\xff\xf7")  # JPEG-LS
    with pytest.raises(InputError, match="a kind of file that this program does not read"):
        read(lossless)


def twelve_bits(levels: Any) -> bytes:
    """A JPEG of 12 bit that lies on its side, with EXIF and a colour profile."""
    codecs = pytest.importorskip("imagecodecs")
    plain = jpeg(exif=orientation_block(6), icc_profile=srgb_profile())
    start, end = 2, plain.index(b"\xff\xdb")
    encoded: bytes = codecs.jpeg8_encode(levels, level=99, bitspersample=12)
    return encoded[:2] + plain[start:end] + encoded[2:]


def orientation_block(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = orientation, "Some Camera"
    return exif.tobytes()


@cache  # it has the time in it at which it was made
def srgb_profile() -> bytes:
    from PIL import ImageCms

    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.mark.parametrize("gray", [False, True])
def test_jpeg_of_twelve_bits(gray: bool) -> None:
    # Smooth, finer than 8 bit can hold.
    ramp = np.linspace(100, 3900, 48 * 64).reshape(48, 64)
    levels = (ramp if gray else np.dstack([ramp, ramp[::-1], ramp])).astype(np.uint16)
    content = twelve_bits(levels)
    picture = read(content)
    assert (picture.bit_depth, picture.gray, picture.width, picture.height) == (12, gray, 48, 64)
    upright = np.rot90(levels, -1).reshape(64, 48, -1)
    assert np.abs(picture.pixels * 4095 - upright).mean() < 4 and len(np.unique(picture.pixels)) > 300
    assert gray or picture.icc == srgb_profile()
    assert picture.exif is not None and b"Some Camera" in picture.exif
    with pytest.raises(InputError, match="--max-pixels"):
        read(content, limits=Limits(pixels=99))
    with pytest.raises(InputError, match="damaged"):
        read(content[: len(content) // 4])


@pytest.mark.parametrize(
    ("package", "extra", "content"),
    [
        ("imagecodecs", "jpeg12", lambda: twelve_bits(np.full((8, 8), 2000, np.uint16))),
        (
            "imagecodecs",
            "tiff",
            lambda: tiff(levels=made_photo(20, 24), photometric="rgb", compression="zstd"),
        ),
        ("tifffile", "tiff", lambda: tiff(levels=made_photo(20, 24) / 255, photometric="rgb")),
    ],
)
def test_what_to_install_is_said(
    package: str, extra: str, content: Callable[[], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("imagecodecs")
    encoded = content()
    hide(monkeypatch, package)
    with pytest.raises(MissingExtraError, match=rf"{package}.*\[{extra}\]"):
        read(encoded)


def hide(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    """As where a package is not installed."""
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setattr(unusual_tiff, "find_spec", lambda name: None)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_rare_tiff_files_that_lie_on_their_side(orientation: int) -> None:
    levels = made_photo(20, 24) / 255
    plain = tiff(
        levels=levels.astype(np.float32), photometric="rgb", extratags=[(274, 3, 1, orientation, True)]
    )
    rare = tiff(levels=levels, photometric="rgb", extratags=[(274, 3, 1, orientation, True)])
    np.testing.assert_allclose(read(rare).pixels, read(plain).pixels, atol=1e-6)


def jpeg(**options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(made_photo(64, 96)).save(file, "JPEG", **options)
    return file.getvalue()


@pytest.mark.parametrize("ending", [b"", b"\xff", bytes(512)], ids=["none", "half", "zeros"])
@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_without_the_mark_of_its_end(ending: bytes, options: dict[str, Any]) -> None:
    whole = jpeg(**options)
    picture = read(whole[:-2] + ending)
    np.testing.assert_array_equal(picture.pixels, read(whole).pixels)
    assert picture.metadata.warnings in (("the mark of its end is missing; all of its pixels are there",), ())


def test_only_copies_that_are_damaged() -> None:
    whole = jpeg()
    cut = whole[: len(whole) * 3 // 4]
    with pytest.raises(InputError, match="restore what can be read of it with --damaged"):
        read(cut)
    with open_photo(cut, Limits(damaged=True)) as photo:
        picture = photo.picture()
    assert (picture.width, picture.height) == (96, 64)
    np.testing.assert_array_equal(picture.pixels[:16], read(whole).pixels[:16])
    (warning,) = picture.metadata.warnings
    assert warning.startswith("damaged (") and warning.endswith("what could be read of it was")
    file = io.BytesIO()
    Image.fromarray(made_photo(64, 96)).save(file, "PNG")
    with open_photo(file.getvalue()[:-3000], Limits(damaged=True)) as photo:
        np.testing.assert_array_equal(photo.picture().to_array()[:8], made_photo(64, 96)[:8])
    with pytest.raises(InputError, match="damaged"):
        read(whole[:300], limits=Limits(damaged=True))


def test_every_loader_that_is_named_is_in_the_library() -> None:
    """Another libvips must not turn files away: each is opened by its loader's name, whatever else it has."""
    import pyvips

    for operation in LOADERS.values():
        assert pyvips.type_find("VipsOperation", operation), operation


FIRST = {
    "jpeg": "JPEG", "png": "PNG", "webp": "WEBP", "tiff": "TIFF", "gif": "GIF", "heif": "AVIF",
    "bmp": "BMP", "ppm": "PPM",
}  # fmt: skip


@pytest.mark.parametrize("kind", FIRST)
def test_a_photo_of_every_kind_is_read(kind: str) -> None:
    file = io.BytesIO()
    Image.fromarray(made_photo(20, 24)).save(file, FIRST[kind])
    assert kind_of(file.getvalue()[:64]) == kind
    picture = read(file.getvalue())
    assert (picture.width, picture.height) == (24, 20)
    assert np.abs(picture.to_array()[:, :, :3].astype(int) - made_photo(20, 24)).mean() < 20


def test_a_directory_whose_entries_are_lost_is_damaged() -> None:
    """Its number of samples a pixel is gone, so the optional reader finds no pixels at all."""
    pytest.importorskip("tifffile")
    file = io.BytesIO()
    pages = [Image.fromarray(made_photo(20, 24, seed)) for seed in range(2)]
    pages[0].save(file, "TIFF", save_all=True, append_images=pages[1:])
    content = file.getvalue()
    place = int.from_bytes(content[4:8], "little") + 2
    while content[place : place + 2] != (277).to_bytes(2, "little"):
        place += 12
    with pytest.raises(InputError, match=r"not a readable picture|does not read"):
        read(content[:place] + content[place + 12 :])


@pytest.mark.parametrize("dtype", ["i1", "i2", "i4"])
def test_signed_samples_count_from_0(dtype: str) -> None:
    import pyvips

    top = np.iinfo(dtype).max
    levels = (made_photo(20, 24).astype(np.float64) / 255 * top).astype(dtype)
    content = pyvips.Image.new_from_array(levels).tiffsave_buffer()
    picture = read(content)
    assert picture.bit_depth == (8 if dtype == "i1" else 16)
    np.testing.assert_allclose(picture.pixels, levels.astype(np.float64) / top, atol=1e-6)
    levels[3, 4] = -1
    with pytest.raises(InputError, match=rf"some of its samples are below 0; scale them to 0\.\.{top}"):
        read(pyvips.Image.new_from_array(levels).tiffsave_buffer())


@pytest.mark.parametrize("compression", ["zstd", "jpegxl", "lerc"])
@pytest.mark.parametrize("planes", ["contig", "separate"])
def test_compressions_of_the_extra(compression: str, planes: str) -> None:
    pytest.importorskip("imagecodecs")
    tifffile = pytest.importorskip("tifffile")
    levels, file = made_photo(20, 24), io.BytesIO()
    stored = levels if planes == "contig" else np.moveaxis(levels, 2, 0)
    tifffile.imwrite(file, stored, photometric="rgb", planarconfig=planes, compression=compression)
    np.testing.assert_array_equal(read(file.getvalue()).to_array(), levels)


def webp(levels: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(levels).save(file, "WEBP", **options)
    return file.getvalue()


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("lossless", [False, True])
def test_the_rows_of_a_webp_that_is_cut_short(lossless: bool, alpha: bool) -> None:
    levels = np.random.default_rng(0).integers(0, 256, (200, 120, 4)).astype(np.uint8)
    levels = levels if alpha else levels[:, :, :3].copy()
    carried = {"icc_profile": srgb_profile(), "exif": orientation_block(6)}
    content = webp(levels, lossless=lossless, exact=True, **carried)
    whole, cut = read(content), content[: len(content) * 3 // 4]
    with pytest.raises(InputError, match="--damaged"):
        read(cut)
    with open_photo(cut, Limits(damaged=True)) as photo:
        picture = photo.picture()
    # What stands behind the pixels is lost, and with it how they lie; the profile stands before.
    stored = np.rot90(whole.pixels, 1)
    assert (picture.width, picture.height, picture.icc) == (120, 200, srgb_profile())
    rows = 70 if lossless else 50 if alpha else 100
    np.testing.assert_allclose(picture.pixels[:rows], stored[:rows], atol=1e-6)
    assert (picture.pixels[-3:] == np.float32(127 / 255)).all()
    assert (picture.alpha is not None) is alpha
    assert picture.metadata.warnings[0].startswith("damaged (webp: unable to parse image)")
    with pytest.raises(InputError, match="--max-pixels"):
        read(cut, limits=Limits(pixels=999, damaged=True))
    with pytest.raises(InputError, match="needs the whole picture"):
        read(cut, limits=Limits(codec=99_999, damaged=True))
    with pytest.raises(InputError, match="not a readable picture"):
        read(content[:40], limits=Limits(damaged=True))


def test_a_webp_whose_bytes_are_wrong() -> None:
    levels = np.random.default_rng(0).integers(0, 256, (200, 120, 3)).astype(np.uint8)
    content = bytearray(webp(levels, lossless=True))
    place = len(content) * 3 // 4
    content[place : place + 400] = bytes(400)
    try:
        with open_photo(bytes(content), Limits(damaged=True)) as photo:
            np.testing.assert_array_equal(photo.picture().to_array()[:70], levels[:70])
    except InputError as error:
        pytest.fail(str(error))


@pytest.mark.parametrize("whole", [1, 3])
def test_the_frames_of_an_animated_webp_that_is_cut_short(whole: int) -> None:
    frames = [Image.fromarray(made_photo(40, 56, seed)) for seed in range(4)]
    file = io.BytesIO()
    frames[0].save(file, "WEBP", save_all=True, append_images=frames[1:], lossless=True, duration=80)
    content = file.getvalue()
    places = [match.start() for match in re.finditer(b"ANMF", content)]
    cut = content[: places[whole] + 200]
    with open_for(cut, "a.webp", Limits(damaged=True)) as series:
        assert isinstance(series, Animation) and series.count == len(series.timing.durations) == whole
        for number, photo in series.photos():
            np.testing.assert_array_equal(photo.picture().to_array()[:, :, :3], np.asarray(frames[number]))
        assert series.like.metadata.warnings[0].startswith("damaged (")
    with open_photo(cut, Limits(damaged=True)) as photo:
        np.testing.assert_array_equal(photo.picture().to_array()[:, :, :3], np.asarray(frames[0]))
    with pytest.raises(InputError, match="not a readable picture"):
        open_for(cut, "a.webp", Limits())
