"""JPEG XL files of all kinds become pictures; what is too large or damaged is refused in one line."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from blindsr.errors import InputError, MissingExtraError
from blindsr.picture import Limits, Photo, open_photo, read, write
from blindsr.picture.animation import Animation
from blindsr.picture.jpeg_xl import library, photos
from blindsr.picture.jpeg_xl.reading import Reader, layers
from blindsr.picture.loaders import kind_of
from blindsr.picture.measuring import measure_photo
from blindsr.picture.metadata.carrying import inventory
from blindsr.picture.profiles import PRIMARIES, from_code_points, from_gamma
from blindsr.picture.series import open_for

from ...conftest import made_photo
from ..metadata.test_carrying import carried
from ..metadata.test_xmp import packet
from .files import BLACK, DEPTH, Kind, Layer, cmyk_profile, encoded

PHOTO = made_photo(40, 56)
WIDE = PHOTO.astype(np.uint16) * 257
NOISE = np.random.default_rng(0).integers(0, 256, (520, 520, 3)).astype(np.uint8)
"""Several groups of 256 x 256."""


def exif_block(orientation: int = 1) -> bytes:
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Some Camera", orientation
    exif[0x011A] = exif[0x011B] = 300.0
    return exif.tobytes().removeprefix(b"Exif\0\0")


def exif_box(orientation: int = 1, behind: int = 0) -> bytes:
    """A block of EXIF as its box has it: how far it lies behind comes first."""
    return struct.pack(">I", behind) + bytes(behind) + exif_block(orientation)


def test_first_bytes_tell_it() -> None:
    assert kind_of(encoded(PHOTO)[:64]) == kind_of(b"\xff\x0a" + bytes(30)) == "jxl"


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize(("bits", "told"), [(1, 8), (8, 8), (10, 10), (12, 12), (14, 16), (16, 16)])
def test_whole_samples_of_every_depth(channels: int, bits: int, told: int) -> None:
    bands = {1: (0,), 2: (0, 1), 3: (0, 1, 2), 4: (0, 1, 2, 1)}[channels]
    top, stored_top = (1 << bits) - 1, 255 if bits <= 8 else 65535
    exact = np.round(PHOTO[:, :, bands] / 255 * top) / top
    levels = np.round(exact * stored_top).astype(np.uint8 if bits <= 8 else np.uint16)
    picture = read(encoded(levels, Kind(bits=bits)))
    assert (picture.bit_depth, picture.gray, picture.has_alpha) == (told, channels < 3, channels % 2 == 0)
    found = picture.pixels if picture.alpha is None else np.dstack([picture.pixels, picture.alpha])
    np.testing.assert_allclose(found, exact, atol=0.6 / stored_top)


@pytest.mark.parametrize(("bits", "exponent", "off"), [(32, 8, 1e-6), (16, 5, 1e-6)])
def test_floating_point_as_it_stands(bits: int, exponent: int, off: float) -> None:
    levels = (PHOTO / 255).astype(np.float16).astype(np.float32)
    picture = read(encoded(levels, Kind(bits=bits, exponent=exponent)))
    assert picture.bit_depth == 16
    np.testing.assert_allclose(picture.pixels, levels, atol=off)
    with pytest.raises(InputError, match=r"its samples leave 0\.\.1"):
        read(encoded(levels * 9, Kind(bits=32, exponent=8)))


@pytest.mark.parametrize("premultiplied", [False, True])
def test_alpha_is_not_multiplied_into_the_colours(premultiplied: bool) -> None:
    alpha = np.full((40, 56, 1), 128 * 257, np.uint16)
    colours = (WIDE * (128 / 255)).astype(np.uint16) if premultiplied else WIDE
    picture = read(encoded(np.dstack([colours, alpha]), Kind(bits=16, premultiplied=premultiplied)))
    np.testing.assert_allclose(picture.pixels, PHOTO / 255, atol=2e-4)
    assert picture.alpha is not None
    np.testing.assert_allclose(picture.alpha, 128 / 255, atol=1e-4)


@pytest.mark.parametrize("told_by_exif", [False, True])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_lies_as_it_should_once(tmp_path: Path, orientation: int, told_by_exif: bool) -> None:
    boxes = [(b"Exif", exif_box(orientation if told_by_exif else 1), False)]
    (tmp_path / "a.jxl").write_bytes(encoded(PHOTO, Kind(orientation=orientation, boxes=boxes)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(PHOTO).save(tmp_path / "a.png", exif=exif)
    picture = read(tmp_path / "a.jxl")
    np.testing.assert_array_equal(picture.to_array(), read(tmp_path / "a.png").to_array())
    assert picture.exif is not None and b"Some Camera" in picture.exif and picture.dpi == (300, 300)
    assert measure_photo(tmp_path / "a.jxl") == (picture.width, picture.height)


@pytest.mark.parametrize("packed", [False, True])
def test_boxes(packed: bool) -> None:
    xmp = packet('xmp:CreatorTool="Some Tool"')
    boxes = [(b"Exif", exif_box(behind=6), packed), (b"xml ", xmp, packed), (b"jumb", b"j" * 90, packed)]
    boxes += [(b"jhgm", b"map" * 20, False), (b"abcd", b"x" * 40, False)]
    picture = read(encoded(PHOTO, Kind(boxes=boxes)))
    assert picture.exif == exif_block() and picture.xmp is not None and b"Some Tool" in picture.xmp
    texts = [item.text for item in inventory(picture)]
    assert texts[:3] == ["EXIF", "XMP", "resolution"]
    named = {"content credentials (their signature is of the original)", "box 'abcd'"}
    assert named | {"gain map (high dynamic range)"} == set(texts[3:])


def test_a_box_that_unpacks_to_too_much_is_named_and_left_out() -> None:
    picture = read(
        encoded(PHOTO, Kind(boxes=[(b"xml ", bytes(40 << 20), True), (b"Exif", exif_box(), True)]))
    )
    assert picture.xmp is None
    assert "XMP that cannot be read" in [item.text for item in picture.metadata.others]
    np.testing.assert_array_equal(picture.to_array(), PHOTO)


COLOURS = {
    "P3": ((12, 13), (12, 13)), "DCI": ((11, 17), (11, 17)), "PQ": ((9, 16), (9, 16)),
    "HLG": ((9, 18), (9, 18)), "linear": ((1, 8), (1, 8)), "709": ((1, 1), (1, 1)), "sRGB": ((1, 13), None),
}  # fmt: skip


@pytest.mark.parametrize("lossless", [False, True])
@pytest.mark.parametrize("name", COLOURS)
def test_colours_told_by_numbers(tmp_path: Path, name: str, lossless: bool) -> None:
    told, expected = COLOURS[name]
    content = encoded(WIDE, Kind(bits=16, code_points=told, lossless=lossless))
    picture = read(content)
    signalling = picture.metadata.signalling
    assert (None if signalling is None else signalling.code_points) == expected
    assert picture.icc == (None if expected is None else from_code_points(*told))
    assert np.abs(picture.pixels - PHOTO / 255).mean() < (1e-6 if lossless else 0.03)
    report = carried(content, tmp_path / "a.jxl")
    again = read(tmp_path / "a.jxl")
    assert again.icc == picture.icc
    assert [item.kind for item in report.kept] == ([] if expected is None else ["colour"])
    carried(content, tmp_path / "a.png")
    assert (b"cICP" + bytes(told) in (tmp_path / "a.png").read_bytes()) is (expected is not None)


@pytest.mark.parametrize("gray", [False, True])
@pytest.mark.parametrize("code_points", [(4, 4), (5, 5)])
def test_colours_told_by_a_power(gray: bool, code_points: tuple[int, int]) -> None:
    """Also gray under a white that libjxl would make linear light of."""
    levels = WIDE[:, :, :1] if gray else WIDE
    picture = read(encoded(levels, Kind(bits=16, code_points=code_points, lossless=False)))
    assert np.abs(picture.pixels - levels / 65535).mean() < 0.03
    primaries = PRIMARIES[code_points[0]]
    assert picture.icc is not None
    assert profile_numbers(picture.icc) == pytest.approx(
        profile_numbers(from_gamma({4: 2.2, 5: 2.8}[code_points[1]], primaries, gray) or b""), abs=3e-4
    )


def profile_numbers(profile: bytes) -> list[float]:
    """What its tags of colours hold."""
    values: list[float] = []
    for place in range(132, 132 + 12 * int.from_bytes(profile[128:132], "big"), 12):
        name, start, size = struct.unpack_from(">4sII", profile, place)
        if name in (b"rXYZ", b"gXYZ", b"bXYZ", b"rTRC", b"kTRC"):
            skip = 8 if name.endswith(b"XYZ") else 12
            count = (size - skip) // 4
            values += [value / 65536 for value in struct.unpack_from(f">{count}i", profile, start + skip)]
    assert values
    return values


def test_profiles_of_what_numbers_cannot_tell(tmp_path: Path) -> None:
    """The samples of a picture with loss come back in the colours of its profile, not in sRGB."""
    odd = from_code_points(7, 7)
    for lossless in (False, True):
        content = encoded(PHOTO, Kind(icc=odd, lossless=lossless))
        picture = read(content)
        assert picture.icc == odd and np.abs(picture.pixels - PHOTO / 255).mean() < 0.02
        assert [item.text for item in carried(content, tmp_path / "a.jxl").kept] == ["colour profile"]
        assert read(tmp_path / "a.jxl").icc == odd


def test_what_the_largest_sample_means_is_kept_or_named(tmp_path: Path) -> None:
    content = encoded(WIDE, Kind(bits=16, code_points=(9, 16), peak=1000.0))
    text = "brightness of its largest sample (1000 candelas)"
    assert text in [item.text for item in carried(content, tmp_path / "a.jxl").kept]
    assert text in [item.text for item in inventory(read(tmp_path / "a.jxl"))]
    assert text in carried(content, tmp_path / "a.png").warning
    usual = encoded(WIDE, Kind(bits=16, code_points=(9, 16)))
    assert [item.kind for item in carried(usual, tmp_path / "a.png").dropped] == []


@pytest.mark.parametrize("alpha", [False, True])
def test_cmyk_becomes_srgb(alpha: bool) -> None:
    """Black lies beside the colours, and of all four 0 is the whole ink."""
    import pyvips

    inks = np.zeros((20, 24, 4), np.uint8)
    inks[:10], inks[10:, 12:] = (0, 245, 240, 40), (23, 0, 162, 99)
    paper, profile = 255 - inks, cmyk_profile()
    levels = np.dstack([paper[:, :, :3], np.full((20, 24), 77, np.uint8)]) if alpha else paper[:, :, :3]
    picture = read(encoded(levels, Kind(icc=profile, extra=[(BLACK, paper[:, :, 3])])))
    image = pyvips.Image.new_from_array(inks).copy(interpretation="cmyk")
    image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    expected = image.icc_transform("srgb", embedded=True).numpy()
    assert expected.min() < 60 and expected.max() > 240, "the profile is one"
    assert np.abs(picture.to_array()[:, :, :3].astype(int) - expected).max() <= 1 and picture.icc is None
    assert picture.alpha is None if not alpha else bool((picture.alpha == np.float32(77 / 255)).all())
    assert ("", "CMYK (the colours are sRGB now)") in picture.metadata.changed


def test_further_channels_are_named() -> None:
    kind = Kind(extra=[(DEPTH, PHOTO[:, :, 0]), (DEPTH, PHOTO[:, :, 1])])
    picture = read(encoded(PHOTO, kind))
    np.testing.assert_array_equal(picture.to_array(), PHOTO)
    assert [item.text for item in picture.metadata.others] == ["2 further channels"]


def test_layers_are_one_picture() -> None:
    """Pictures of no duration lie on each other."""
    part = Layer(np.full((10, 12, 3), 200, np.uint8), place=(5, 7))
    content = encoded([Layer(PHOTO, place=(0, 0)), part], Kind(size=(40, 56)))
    expected = PHOTO.copy()
    expected[7:17, 5:17] = 200
    picture = read(content)
    np.testing.assert_array_equal(picture.to_array(), expected)
    assert picture.metadata.others == () and [one.shown for one in layers(content)] == [False, True]


def moving(number: int = 4) -> list[np.ndarray]:
    return [np.roll(PHOTO, 3 * shift, axis=1) for shift in range(number)]


def series_of(content: bytes, limits: Limits | None = None) -> tuple[list[np.ndarray], Animation]:
    with open_for(content, "a.jxl", limits or Limits()) as series:
        assert isinstance(series, Animation)
        return [photo.picture().to_array() for _, photo in series.photos()], series


def test_frames_are_composed_and_timed() -> None:
    frames = moving()
    part = Layer(np.full((10, 12, 3), 200, np.uint8), 250, (5, 7))
    content = encoded(
        [Layer(frames[0], 30), Layer(frames[1], 0), part, Layer(frames[3], 1000)],
        Kind(size=(40, 56), animation=(1000, 3)),
    )
    found, series = series_of(content)
    laid = frames[1].copy()
    laid[7:17, 5:17] = 200
    for one, expected in zip(found, (frames[0], laid, frames[3]), strict=True):
        np.testing.assert_array_equal(one, expected)
    assert series.timing.durations == (Fraction(3, 100), Fraction(1, 4), Fraction(1))
    assert series.timing.plays == 3 and series.timing.lossless
    named = [item.text for item in read(content).metadata.others]
    assert named == ["2 further frames"]


def test_frames_become_frames_of_other_formats_and_back(tmp_path: Path) -> None:
    from blindsr.picture import PictureWriter

    frames = moving()
    kind = Kind(animation=(100, 0))
    content = encoded([Layer(one, 20 + number) for number, one in enumerate(frames)], kind)
    for suffix in (".png", ".webp", ".jxl"):
        with open_for(content, f"a{suffix}", Limits()) as series:
            assert isinstance(series, Animation)
            writer = PictureWriter(tmp_path / f"a{suffix}", series.like, 40, 56, timing=series.timing)
            with writer:
                for number, photo in series.photos():
                    assert isinstance(photo, Photo)
                    writer.place(40 * number, 0, photo.picture().pixels, None)
                writer.save()
        with open_for(tmp_path / f"a{suffix}", "b.jxl", Limits()) as again:
            assert isinstance(again, Animation) and again.timing == series.timing
            for number, photo in again.photos():
                np.testing.assert_array_equal(photo.picture().to_array(), frames[number])


# --- what is too large, or damaged --------------------------------------------------------------------------


def test_its_size_is_known_before_anything_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    content = encoded(PHOTO)
    monkeypatch.setattr(Reader, "frames", None)
    with pytest.raises(InputError, match="--max-pixels"):
        read(content, limits=Limits(pixels=2000))
    with pytest.raises(InputError, match=r"needs the whole picture in memory, .* --memory"):
        read(content, limits=Limits(codec=50_000))
    many = encoded(PHOTO, Kind(extra=[(DEPTH, PHOTO[:, :, 0])] * 60))
    with pytest.raises(InputError, match="63 bytes a pixel"):
        read(many, limits=Limits(pixels=40 * 56))


def test_what_is_larger_than_the_picture_counts() -> None:
    """A layer may be larger than the picture that it is cut to, and takes its time."""
    content = encoded([Layer(np.zeros((600, 600, 3), np.uint8), place=(0, 0))], Kind(size=(16, 16)))
    assert read(content).width == 16
    with pytest.raises(InputError, match=r"0\.36 million pixels in all .* raise --max-pixels"):
        read(content, limits=Limits(pixels=80_000))


def test_what_asks_for_more_memory_than_it_should_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    content = encoded(NOISE, Kind(options={16: 1}))  # in steps, which are held
    monkeypatch.setattr(photos, "_BYTES", 0)
    with pytest.raises(InputError, match=r"needs the whole picture in memory, .* --memory"):
        read(content, limits=Limits(codec=len(content) + 300_000))
    monkeypatch.setattr(photos, "_LEAST", 300_000)
    monkeypatch.setattr(photos, "_MOST_BYTES", 4)
    with pytest.raises(InputError, match="it asks for more memory than its picture takes"):
        read(content, limits=Limits(pixels=520 * 520))
    assert read(content, limits=Limits(codec=40_000_000)).width == 520


@pytest.mark.parametrize("lossless", [False, True])
def test_cut_short(lossless: bool) -> None:
    content = encoded(NOISE, Kind(lossless=lossless))
    whole = read(content)
    cut = content[: len(content) * 3 // 4]
    with pytest.raises(InputError, match=r"it ends too early.*--damaged"):
        read(cut)
    with open_photo(cut, Limits(damaged=True)) as photo:
        picture = photo.picture()
    np.testing.assert_array_equal(picture.pixels[:200, :200], whole.pixels[:200, :200])
    assert picture.metadata.warnings == ("damaged (it ends too early); what could be read of it was",)
    for left in (20, 40):
        with pytest.raises(InputError, match="not a readable picture"):
            read(content[:left], limits=Limits(damaged=True))


def test_bytes_that_are_wrong(tmp_path: Path) -> None:
    write(NOISE, tmp_path / "a.jxl", quality=100)
    content = bytearray((tmp_path / "a.jxl").read_bytes())
    place = len(content) * 3 // 4
    content[place : place + 200] = bytes(200)
    with pytest.raises(InputError, match=r"libjxl finds it damaged.*--damaged"):
        read(bytes(content))
    with open_photo(bytes(content), Limits(damaged=True)) as photo:
        np.testing.assert_array_equal(photo.picture().to_array()[:200, :200], NOISE[:200, :200])
        assert photo.metadata.warnings[0].startswith("damaged (libjxl finds it damaged)")


def test_a_box_that_ends_too_early_costs_itself_alone() -> None:
    content = encoded(PHOTO)
    box = struct.pack(">I", 9000) + b"xml " + packet("")
    picture = read(content + box)
    np.testing.assert_array_equal(picture.to_array(), PHOTO)
    assert [item.text for item in picture.metadata.others] == ["XMP that cannot be read"]


def test_an_animation_that_ends_too_early() -> None:
    frames = [np.roll(NOISE, shift, axis=0) for shift in range(3)]
    content = encoded([Layer(one, 10) for one in frames], Kind(animation=(100, 0)))
    cut = content[: len(content) * 5 // 6]
    with pytest.raises(InputError, match=r"it ends too early.*--damaged"):
        open_for(cut, "a.jxl", Limits())
    found, series = series_of(cut, Limits(damaged=True))
    np.testing.assert_array_equal(found[0], frames[0])
    np.testing.assert_array_equal(found[1], frames[1])
    assert "damaged (it ends too early)" in series.like.metadata.warnings[0]


@pytest.mark.parametrize("what", ["read", "measure", "open", "write"])
def test_what_to_install_is_said(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = read(PHOTO)
    (tmp_path / "a.jxl").write_bytes(encoded([Layer(PHOTO, 1), Layer(PHOTO, 1)], Kind(animation=(9, 0))))
    library.libjxl.cache_clear()
    monkeypatch.setattr(library, "_of_imagecodecs", lambda: None)
    monkeypatch.setattr(library, "_of_system", lambda: None)
    calls: dict[str, Any] = {
        "read": lambda: read(tmp_path / "a.jxl"),
        "measure": lambda: measure_photo(tmp_path / "a.jxl"),
        "open": lambda: open_for(tmp_path / "a.jxl", "b.jxl", Limits()),
        "write": lambda: write(picture, tmp_path / "b.jxl"),
    }
    with pytest.raises(MissingExtraError, match=r"[ab]\.jxl: JPEG XL needs the extra \[jxl\] \(imagecodecs"):
        calls[what]()
    assert not (tmp_path / "b.jxl").exists()
