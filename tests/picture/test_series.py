"""Files of several pictures: all are given to what can keep them, within bounds."""

from __future__ import annotations

import io
import struct
import zlib
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from blindsr.errors import InputError
from blindsr.picture import Limits, Photo, decoding, read
from blindsr.picture.animation import Animation
from blindsr.picture.metadata.frames import count_frames
from blindsr.picture.metadata.png import chunk
from blindsr.picture.series import Pages, open_for
from blindsr.picture.tiff_pages import directories

from ..conftest import made_photo

ANIMATED = (".gif", ".webp", ".png")


def moving(count: int = 4, alpha: bool = False) -> list[Image.Image]:
    """A square that goes over a photo, or alone."""
    frames = []
    for number in range(count):
        levels = np.dstack([made_photo(30, 40), np.full((30, 40), 255, np.uint8)])
        levels[8:14, 4 * number : 4 * number + 6] = (255, 20, 0, 255)
        if alpha:
            levels[:, :, 3] = 255 * (np.hypot(*np.mgrid[-15:15, -20 + 4 * number : 20 + 4 * number]) < 9)
        frames.append(Image.fromarray(levels if alpha else levels[:, :, :3].copy()))
    return frames


def animated(frames: list[Image.Image], suffix: str, **options: Any) -> bytes:
    file = io.BytesIO()
    kind = {".gif": "GIF", ".webp": "WEBP", ".png": "PNG"}[suffix]
    lossless = {"lossless": True, "exact": True} if suffix == ".webp" else {}
    frames[0].save(file, kind, save_all=True, append_images=frames[1:], **lossless, **options)
    return file.getvalue()


def opened(content: bytes | Path, target: str, limits: Limits | None = None) -> tuple[list[Any], Animation]:
    """Levels of 8 bit of each frame, (H, W, C), and the animation, which is closed."""
    with open_for(content, target, limits or Limits()) as series:
        assert isinstance(series, Animation)
        return [photo.picture().to_array() for _, photo in series.photos()], series


def as_pillow(content: bytes) -> list[NDArray[np.uint8]]:
    """Each frame as Pillow composes it, RGBA."""
    with Image.open(io.BytesIO(content)) as image:
        frames = []
        for number in range(image.n_frames):  # type: ignore[attr-defined]
            image.seek(number)
            frames.append(np.asarray(image.convert("RGBA")))
        return frames


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("disposal", [0, 1, 2])
@pytest.mark.parametrize("suffix", ANIMATED)
def test_frames_are_composed(suffix: str, disposal: int, alpha: bool) -> None:
    if suffix == ".png" and disposal == 2 and not alpha:
        pytest.skip("Pillow does not compose it")
    options: dict[str, Any] = {} if suffix == ".webp" else {"disposal": disposal}
    content = animated(moving(alpha=alpha), suffix, **options)
    frames, series = opened(content, f"a{suffix}")
    assert series.like.has_alpha == alpha and not series.like.gray
    expected = as_pillow(content)
    assert len(frames) == len(expected) == series.count
    for found, one in zip(frames, expected, strict=True):
        shown = one[:, :, 3] > 0
        np.testing.assert_array_equal(found[shown][:, :3], one[shown][:, :3])
        if alpha:
            np.testing.assert_array_equal(found[:, :, 3], one[:, :, 3])
        else:
            assert shown.all()


def test_boxes_of_png_are_blended_as_told() -> None:
    """Half transparent boxes over a canvas, each disposal once, against sums by hand."""
    canvas = np.zeros((4, 6, 4))
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 6, 4, 8, 6, 0, 0, 0))
    content += chunk(b"acTL", struct.pack(">II", 4, 3))
    boxes = [(6, 4, 0, 0, 0, 0), (2, 2, 1, 1, 1, 1), (3, 2, 3, 0, 2, 1), (2, 3, 0, 1, 0, 0)]
    rng, number, expected = np.random.default_rng(5), 0, []
    for index, (width, height, left, top, disposal, over) in enumerate(boxes):
        levels = rng.integers(0, 256, (height, width, 4), dtype=np.uint8)
        packed = zlib.compress(b"".join(b"\0" + row.tobytes() for row in levels))
        told = struct.pack(">IIIIIHHBB", number, width, height, left, top, 1, 0, disposal, over)
        content += chunk(b"fcTL", told)
        number += 1
        content += chunk(b"fdAT", struct.pack(">I", number) + packed) if index else chunk(b"IDAT", packed)
        number += index > 0
        before = canvas.copy()
        box = canvas[top : top + height, left : left + width]
        above = levels[:, :, 3:] / 255 if over else np.ones((height, width, 1))
        if over:
            opacity = above + box[:, :, 3:] / 255 * (1 - above)
            colours = levels[:, :, :3] * above + box[:, :, :3] * box[:, :, 3:] / 255 * (1 - above)
            box[:] = np.dstack([colours / np.where(opacity > 0, opacity, 1), opacity * 255])
        else:
            box[:] = levels
        expected.append(canvas.copy())
        if disposal == 1:
            box[:] = 0
        elif disposal == 2:
            canvas = before
    frames, series = opened(content + chunk(b"IEND", b""), "a.png")
    assert series.timing.plays == 3 and series.timing.durations == (Fraction(1, 100),) * 4
    for found, one in zip(frames, expected, strict=True):
        shown = one[:, :, 3] > 2
        assert np.abs(found[:, :, 3].astype(float) - one[:, :, 3]).max() <= 1
        assert np.abs(found.astype(float) - one)[shown].max() <= 2


def test_sixteen_bit_and_gray_stay() -> None:
    levels = made_photo(20, 24)[:, :, 0].astype(np.uint16) * 257
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 24, 20, 16, 0, 0, 0, 0))
    content += chunk(b"acTL", struct.pack(">II", 2, 0))
    for number in range(2):
        told = struct.pack(">IIIIIHHBB", number, 24, 20, 0, 0, 1, 10, 0, 0)
        rows = [b"\0" + row.astype(">u2").tobytes() for row in levels[:: 1 - 2 * number]]
        packed = zlib.compress(b"".join(rows))
        content += chunk(b"fcTL", told)
        content += chunk(b"fdAT", struct.pack(">I", 2) + packed) if number else chunk(b"IDAT", packed)
    with open_for(content + chunk(b"IEND", b""), "a.png", Limits()) as series:
        assert isinstance(series, Animation) and series.like.gray and series.like.bit_depth == 16
        found = [photo.picture().to_array("uint16") for _, photo in series.photos()]
    np.testing.assert_array_equal(found[0], levels)
    np.testing.assert_array_equal(found[1], levels[::-1])


@pytest.mark.parametrize("suffix", ANIMATED)
def test_when_frames_are_shown(suffix: str) -> None:
    durations = [100, 20, 10, 250]
    for loop, plays in ((None, 1 if suffix == ".gif" else 0), (0, 0), (3, 4 if suffix == ".gif" else 3)):
        options = {} if loop is None else {"loop": loop}
        _, series = opened(animated(moving(), suffix, duration=durations, **options), f"a{suffix}")
        assert series.timing.plays == plays
        assert series.timing.durations == tuple(Fraction(one, 1000) for one in durations)


def test_lossless_webp_is_told_from_lossy() -> None:
    assert opened(animated(moving(), ".webp"), "a.webp")[1].timing.lossless
    file = io.BytesIO()
    moving()[0].save(file, "WEBP", save_all=True, append_images=moving()[1:], quality=90)
    assert not opened(file.getvalue(), "a.webp")[1].timing.lossless


def test_a_gray_animation_is_gray() -> None:
    frames = [frame.convert("L").convert("RGB") for frame in moving()]
    assert opened(animated(frames, ".webp"), "a.webp")[1].like.gray
    colourful = [*frames[:3], moving()[3]]
    assert not opened(animated(colourful, ".webp"), "a.webp")[1].like.gray


def test_frames_that_are_the_same_are_known() -> None:
    frames = moving(3)
    content = animated([frames[0], frames[1], frames[2], frames[1], frames[0]], ".webp")
    assert opened(content, "a.webp")[1].same_as == (0, 1, 2, 1, 0)


def test_some_frames_alone() -> None:
    frames, _ = opened(animated(moving(6), ".gif"), "a.gif")
    with open_for(animated(moving(6), ".gif"), "a.gif", Limits()) as series:
        assert isinstance(series, Animation)
        some = {number: photo.picture().to_array() for number, photo in series.photos({1, 4})}
    assert list(some) == [1, 4]
    for number, levels in some.items():
        np.testing.assert_array_equal(levels, frames[number])


@pytest.mark.parametrize("target", ["a.jpg", "a.tif", "a.bmp", "a.avif"])
def test_what_holds_one_picture_gets_the_first(target: str) -> None:
    with open_for(animated(moving(), ".gif"), target, Limits()) as photo:
        assert isinstance(photo, Photo)
        assert [item.text for item in photo.metadata.others] == ["3 further frames"]


def test_a_picture_for_programs_without_animation_is_named() -> None:
    content = animated(moving(), ".png", default_image=True)
    frames, series = opened(content, "a.png")
    assert [item.text for item in series.like.metadata.others] == [
        "picture for programs that show no animation"
    ]
    expected = as_pillow(content)[1:]
    np.testing.assert_array_equal(frames[0], expected[0][:, :, :3])
    assert len(frames) == 3


def gif_of(frames: int, canvas: tuple[int, int]) -> bytes:
    """A GIF file of so many frames of one pixel on a canvas of so many columns and rows."""
    head = b"GIF89a" + struct.pack("<HH", *canvas) + b"\x80\0\0" + bytes(3) + b"\xff\xff\xff"
    return head + (b"," + struct.pack("<HHHH", 0, 0, 1, 1) + b"\0\x02\x02\x44\x01\0") * frames + b";"


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (lambda: gif_of(1_000_000, (1, 1)), "more than 10000 frames; cut it into several files"),
        (
            lambda: gif_of(50, (1000, 900)),
            r"50 frames with 45 million pixels in all .* 4 million allowed",
        ),
        (lambda: gif_of(2, (2000, 1000)), r"2000x1000 is more than the 1 million pixels allowed"),
    ],
)
def test_too_many_or_too_large_frames_are_refused_before_they_are_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: Any, fault: str
) -> None:
    monkeypatch.setattr(decoding.VipsDescription, "fetch", None)
    (tmp_path / "a.gif").write_bytes(content())
    with pytest.raises(InputError, match=rf"a\.gif: {fault}"):
        open_for(tmp_path / "a.gif", "a.webp", Limits(pixels=1_000_000))


@pytest.mark.parametrize("suffix", ANIMATED)
def test_damaged_animations(tmp_path: Path, suffix: str) -> None:
    content = animated(moving(), suffix)
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content[:-40])
    with pytest.raises(InputError, match=rf"a\{suffix}: not a readable picture .* --damaged"):
        open_for(path, path, Limits())
    if suffix == ".webp":  # whose decoder wants all of it
        return
    frames, series = opened(path, path.name, Limits(damaged=True))
    assert 3 <= len(frames) <= 4 and "damaged" in series.like.metadata.warnings[0]
    for found, expected in zip(frames[:3], opened(content, path.name)[0], strict=False):
        np.testing.assert_array_equal(found, expected)


def test_counting_frames(tmp_path: Path) -> None:
    for suffix in ANIMATED:
        file = io.BytesIO(animated(moving(5), suffix))
        assert count_frames(file, suffix[1:]) == 5 and count_frames(file, suffix[1:], 2) == 2
    moving()[0].save(tmp_path / "a.gif")
    with (tmp_path / "a.gif").open("rb") as still:
        assert count_frames(still, "gif") == 1
    assert count_frames(io.BytesIO(b"GIF89a"), "gif") == count_frames(io.BytesIO(), "jpeg") == 1


def scan(*pages: Image.Image, **options: Any) -> bytes:
    file = io.BytesIO()
    pages[0].save(file, "TIFF", save_all=True, append_images=pages[1:], **options)
    return file.getvalue()


def test_pages_are_photos_of_their_own() -> None:
    gray = Image.fromarray(made_photo(30, 20)[:, :, 0])
    clear = Image.fromarray(made_photo(9, 12)).convert("RGBA")
    clear.putalpha(90)
    content = scan(Image.fromarray(made_photo(20, 24)), gray, clear, dpi=(300, 200))
    with open_for(content, "a.tif", Limits()) as series:
        assert isinstance(series, Pages)
        assert (series.count, series.height, series.width) == (3, 20, 24)
        pages = [photo.picture() for _, photo in series.photos()]
        again = [photo.picture() for _, photo in series.photos()]
    assert [(page.height, page.width, page.gray, page.has_alpha) for page in pages] == [
        (20, 24, False, False),
        (30, 20, True, False),
        (9, 12, False, True),
    ]
    assert all((page.pixels == other.pixels).all() for page, other in zip(pages, again, strict=True))
    assert all(page.metadata.others == () and page.dpi == (300, 200) for page in pages)
    np.testing.assert_array_equal(pages[1].to_array(), np.asarray(gray))
    with open_for(content, "a.png", Limits()) as photo:
        assert isinstance(photo, Photo) and photo.metadata.others[0].text == "2 further pages"


def test_smaller_pictures_of_the_same_and_masks_are_no_pages(tmp_path: Path) -> None:
    import pyvips

    image = pyvips.Image.new_from_array(np.tile(made_photo(40, 40), (4, 4, 1)))
    levels = image.tiffsave_buffer(pyramid=True, tile=True, tile_width=16, tile_height=16)
    with open_for(levels, "a.tif", Limits()) as photo:
        assert isinstance(photo, Photo)
        assert [(one.text, one.derived) for one in photo.metadata.others] == [
            ("smaller pictures of the same", True)
        ]
    Image.fromarray(made_photo(20, 24)).save(tmp_path / "a.tif")
    masked = scan(*[Image.fromarray(made_photo(20, 24))] * 2, tiffinfo={254: 4})
    with open_for(masked, "a.tif", Limits()) as photo:
        assert isinstance(photo, Photo) and photo.metadata.others[0].text == "mask of transparency"


def test_pages_that_are_too_many_or_too_large() -> None:
    content = scan(*[Image.fromarray(made_photo(20, 24, seed)) for seed in range(65)])
    with pytest.raises(InputError, match=r"65 pages with 0\.0312 million pixels in all .* --max-pixels"):
        open_for(content, "a.tif", Limits(pixels=480))
    large = scan(Image.fromarray(made_photo(20, 24)), Image.fromarray(made_photo(40, 24)))
    with pytest.raises(InputError, match=r"<bytes>, page 2: 24x40 is more"):
        open_for(large, "a.tif", Limits(pixels=500))


def with_entry(content: bytes, page: int, tag: int, value: int) -> bytes:
    """A TIFF file in whose page an entry has another value."""
    place = list(directories(io.BytesIO(content), 99))[page].place
    changed = bytearray(content)
    for at in range(place + 2, place + 2 + 12 * int.from_bytes(content[place : place + 2], "little"), 12):
        if content[at : at + 2] == struct.pack("<H", tag):
            size = 2 if content[at + 2] == 3 else 4
            changed[at + 8 : at + 8 + size] = value.to_bytes(size, "little")
    assert changed != content
    return bytes(changed)


WIDTH, COMPRESSION, STRIPS = 256, 259, 273


def test_a_damaged_page_is_named() -> None:
    content = with_entry(
        scan(*[Image.fromarray(made_photo(20, 24, seed)) for seed in range(3)]), 1, STRIPS, 1 << 30
    )
    with (
        open_for(content, "a.tif", Limits()) as series,
        pytest.raises(InputError, match=r"<bytes>, page 2: not a readable picture"),
    ):
        list(series.photos())


@pytest.mark.parametrize(("tag", "value"), [(COMPRESSION, 77), (WIDTH, 60000), (STRIPS, 1 << 30)])
@pytest.mark.parametrize("bad", [0, 1, 2])
def test_what_can_be_read_of_a_file_with_a_damaged_page(bad: int, tag: int, value: int) -> None:
    pages = [made_photo(20, 24, seed) for seed in range(3)]
    content = with_entry(scan(*map(Image.fromarray, pages)), bad, tag, value)
    limits = Limits(pixels=1000, damaged=True)
    with open_for(content, "a.tif", limits) as series:
        assert isinstance(series, Pages)
        found = {series.numbers[place]: photo.picture() for place, photo in series.photos()}
        left_out = dict(series.left_out)
    for number, expected in enumerate(pages, 1):
        if number != bad + 1:
            np.testing.assert_array_equal(found[number].to_array(), expected)
    if tag == STRIPS:  # its pixels are nowhere, but its directory is there
        assert not left_out and found[bad + 1].metadata.warnings[0].startswith("damaged (")
    else:
        said = (
            "60000x20 is more than the 0.001 million" if tag == WIDTH else "a kind of file that this program"
        )
        assert list(left_out) == [bad + 1] and left_out[bad + 1].startswith(said)
        assert bad + 1 not in found


def test_a_file_without_any_page_that_can_be_read() -> None:
    content = scan(*[Image.fromarray(made_photo(20, 24, seed)) for seed in range(2)])
    for page in range(2):
        content = with_entry(content, page, COMPRESSION, 77)
    with pytest.raises(InputError, match=r"<bytes>: none of its pages can be read \(a kind of file that"):
        open_for(content, "a.tif", Limits(damaged=True))


def test_directories_that_go_round_in_a_circle_end() -> None:
    content = bytearray(scan(*[Image.fromarray(made_photo(20, 24, seed)) for seed in range(3)]))
    with open_for(bytes(content), "a.tif", Limits()) as series:
        assert isinstance(series, Pages)
        pages = series.pages
    content[pages[2].link : pages[2].link + 4] = struct.pack("<I", pages[0].place)
    with open_for(bytes(content), "a.tif", Limits()) as series:
        assert isinstance(series, Pages) and series.count == 3
    assert read(bytes(content)).width == 24
