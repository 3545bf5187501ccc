"""Files of several pictures in, files of as many out: pages each by itself, frames under one condition."""

from __future__ import annotations

import io
import os
import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from blindsr.errors import InputError
from blindsr.picture import Limits, Picture, read, write
from blindsr.picture.paging import needs_big_places
from blindsr.picture.series import open_for
from blindsr.picture.sizing import OutputSize
from blindsr.picture.tiff_pages import PagedFile
from blindsr.system.memory import SMALLEST, Memory
from blindsr.upscaling.support import gather_support
from blindsr.upscaling.upscaler import Upscaler

from ..conftest import HALO, MakeModel, made_photo
from ..picture.test_series import animated, as_pillow, moving, scan, with_entry


@pytest.fixture
def upscaler(make_model: MakeModel) -> Upscaler:
    return Upscaler(make_model(scale=2), device="cpu", threads=1)


@pytest.fixture
def plain(make_model: MakeModel) -> Upscaler:
    return Upscaler(make_model("plain", scale=2, adaptive=False), device="cpu", threads=1)


def letter() -> bytes:
    """Three pages: colours, gray of another size with a description, and transparency."""
    gray = Image.fromarray(made_photo(30, 20)[:, :, 0])
    clear = Image.fromarray(made_photo(9, 12)).convert("RGBA")
    clear.putalpha(90)
    return scan(Image.fromarray(made_photo(20, 24)), gray, clear, dpi=(300, 200), description="A letter")


@pytest.mark.parametrize("memory", [None, SMALLEST])
def test_pages_become_pages(
    upscaler: Upscaler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, memory: int | None
) -> None:
    if memory is not None:
        monkeypatch.setattr(Memory, "samples", 100)  # everything goes by way of the disk
    told: list[tuple[int, int]] = []
    report = upscaler.upscale_file(letter(), tmp_path / "a.tif", on_tile=lambda *at: told.append(at))
    assert report.pages == 3 and report.dropped == []
    assert [item.text for item in report.kept] == ["EXIF", "resolution", "alpha (page 3)"]
    assert told[-1][0] == told[-1][1] and [done < total for done, total in told[:-1]] == [True] * 2
    with open_for(letter(), "a.tif", Limits()) as series:
        expected = [upscaler.upscale(photo.picture()) for _, photo in series.photos()]  # type: ignore[union-attr]
    with Image.open(tmp_path / "a.tif") as image:
        assert image.n_frames == 3  # type: ignore[attr-defined]
        for number, page in enumerate(expected):
            image.seek(number)
            np.testing.assert_array_equal(np.asarray(image), page.to_array())
            assert image.info["dpi"] == (300, 200) and image.tag_v2[270] == "A letter"  # type: ignore[attr-defined]
            assert image.tag_v2[254] == 2  # type: ignore[attr-defined]
    assert [entry.name for entry in tmp_path.iterdir() if entry.is_file()] == ["a.tif"]


def test_pages_for_what_holds_one_are_named(plain: Upscaler, tmp_path: Path) -> None:
    report = plain.upscale_file(letter(), tmp_path / "a.png")
    assert report.warning == "left out of the result: 2 further pages" and report.pages == 1
    assert read(tmp_path / "a.png").width == 48


def test_each_page_has_its_own_exif_and_size(plain: Upscaler, tmp_path: Path) -> None:
    file = io.BytesIO()
    paged = PagedFile(file)
    for number in range(3):
        exif = Image.Exif()
        exif[0x010F] = f"Some Camera of page {number}"
        exif.get_ifd(0x8769)[0x9003] = f"2024:01:02 03:04:0{number}"
        pixels = made_photo(20, 24 + 2 * number).astype(np.float32) / 255
        write(Picture(pixels, exif=exif.tobytes()[6:], xmp=b"<x:xmpmeta/>"), tmp_path / "page.tif")
        paged.append(io.BytesIO((tmp_path / "page.tif").read_bytes()))
    plain.upscale_file(file.getvalue(), tmp_path / "a.tif", size=OutputSize(width=60), dpi=240)
    with Image.open(tmp_path / "a.tif") as image:
        assert image.n_frames == 3  # type: ignore[attr-defined]
        for number in range(3):
            image.seek(number)
            assert image.size == (60, round(60 * 20 / (24 + 2 * number))) and image.info["dpi"] == (240, 240)
            assert image.getexif()[0x010F] == f"Some Camera of page {number}"
            assert image.getexif().get_ifd(0x8769)[0x9003] == f"2024:01:02 03:04:0{number}"
            assert image.tag_v2[700] == b"<x:xmpmeta/>"  # type: ignore[attr-defined]


def test_big_places_are_taken_in_time(
    plain: Upscaler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not needs_big_places([(10000, 10000)] * 8, 8) and needs_big_places([(10000, 10000)] * 9, 8)
    assert needs_big_places([(10000, 10000)] * 5, 16)
    monkeypatch.setattr("blindsr.picture.paging.BIG_TIFF", 100)
    plain.upscale_file(letter(), tmp_path / "a.tif")
    assert (tmp_path / "a.tif").read_bytes()[:4] == b"II+\0"
    plain.upscale_file(letter(), tmp_path / "again.tif")
    with open_for(tmp_path / "a.tif", "b.tif", Limits()) as series:
        sides = [(photo.height, photo.width) for _, photo in series.photos()]  # type: ignore[union-attr]
    assert sides == [(40, 48), (60, 40), (18, 24)]


def test_a_page_that_cannot_be_read_leaves_no_file(plain: Upscaler, tmp_path: Path) -> None:
    content = bytearray(letter())
    with open_for(bytes(content), "a.tif", Limits()) as series:
        place = series.pages[2].place  # type: ignore[union-attr]
    content[place + 2 : place + 14] = struct.pack("<HHII", 256, 4, 1, 5000)
    with pytest.raises(InputError, match="page 3"):
        plain.upscale_file(bytes(content), tmp_path / "a.tif")
    assert [entry for entry in tmp_path.iterdir() if entry.is_file()] == []


def test_with_damaged_the_other_pages_are_restored(make_model: MakeModel, tmp_path: Path) -> None:
    content = with_entry(with_entry(letter(), 1, 259, 77), 2, 273, 1 << 30)
    told: list[tuple[int, int]] = []
    model = make_model("plain", scale=2, adaptive=False)
    upscaler = Upscaler(model, device="cpu", threads=1, damaged=True)
    report = upscaler.upscale_file(
        content, tmp_path / "a.tif", on_tile=lambda done, total: told.append((done, total))
    )
    with open_for(tmp_path / "a.tif", "b.tif", Limits()) as made:
        assert report.pages == made.count == 2  # type: ignore[union-attr]
    assert report.warnings[0].startswith("page 2: left out (a kind of file that this program does not read")
    assert report.warnings[1].startswith("page 3: damaged (")
    assert told[-1][0] == told[-1][1], "all is said to be done"


DURATIONS = [100, 20, 10, 250]


@pytest.mark.parametrize("target", [".webp", ".png", ".gif"])
@pytest.mark.parametrize("source", [".gif", ".webp", ".png"])
def test_frames_become_frames(upscaler: Upscaler, tmp_path: Path, source: str, target: str) -> None:
    content = animated(moving(), source, duration=DURATIONS, loop=3)
    report = upscaler.upscale_file(content, tmp_path / f"a{target}")
    assert report.frames == 4 and report.pages == 1 and report.dropped == []
    with Image.open(tmp_path / f"a{target}") as image:
        plays = 4 if source == ".gif" else 3
        assert image.info["loop"] == (plays - 1 if target == ".gif" else plays) and image.size == (80, 60)
        durations = []
        for number in range(image.n_frames):  # type: ignore[attr-defined]
            image.seek(number)
            image.load()
            durations.append(image.info["duration"])
    assert durations == DURATIONS
    if target == ".gif":
        return
    with open_for(content, "a.png", Limits()) as series:
        condition = upscaler.engine.condition(upscaler.support_of(series))
        assert upscaler.model.support is not None
        from blindsr.upscaling.upscaler import Adaptation

        adaptation = Adaptation(*condition, upscaler.model.name)
        frames = [photo.picture() for _, photo in series.photos()]  # type: ignore[union-attr]
    expected = [upscaler.upscale(frame, support=adaptation).to_array() for frame in frames]
    for found, frame in zip(as_pillow((tmp_path / f"a{target}").read_bytes()), expected, strict=True):
        np.testing.assert_array_equal(found[:, :, :3], frame)


def test_frames_and_edges_of_shapes_are_kept(plain: Upscaler, tmp_path: Path) -> None:
    """Transparent frames, each of which takes the place of the one before."""
    for source, options in ((".gif", {"disposal": 2}), (".webp", {}), (".png", {"disposal": 1})):
        content = animated(moving(alpha=True), source, **options)
        for target in (".webp", ".png", ".gif"):
            plain.upscale_file(content, tmp_path / f"a{target}")
            frames = as_pillow((tmp_path / f"a{target}").read_bytes())
            for frame, one in zip(frames, as_pillow(content), strict=True):
                large = one[:, :, 3].repeat(2, 0).repeat(2, 1)
                assert ((frame[:, :, 3] > 127) == (large > 127)).mean() > 0.9


def test_gif_says_what_becomes_of_transparency(plain: Upscaler, tmp_path: Path) -> None:
    report = plain.upscale_file(animated(moving(alpha=True), ".webp"), tmp_path / "a.gif")
    assert [item.text for item in report.changed] == ["alpha (each pixel is opaque or clear now)"]


def test_what_stays_in_the_source_stays_in_the_result(upscaler: Upscaler, tmp_path: Path) -> None:
    """Beyond the reach of what moves, to the last bit."""
    upscaler.upscale_file(animated(moving(), ".webp"), tmp_path / "a.png")
    frames = as_pillow((tmp_path / "a.png").read_bytes())
    below = 2 * (14 + HALO)
    for frame in frames[1:]:
        np.testing.assert_array_equal(frame[below:], frames[0][below:])
        assert (frame[:below] != frames[0][:below]).any()


def test_the_condition_is_that_of_frames_evenly_spread(upscaler: Upscaler) -> None:
    assert upscaler.model.support is not None
    with open_for(animated(moving(10), ".webp"), "a.webp", Limits()) as series:
        found = upscaler.support_of(series)
        frames = [photo.picture() for _, photo in series.photos()]  # type: ignore[union-attr]
    from blindsr.picture.colours import Colours

    wanted = [Colours(frames[number]) for number in (0, 1, 3, 5, 6, 8)]
    np.testing.assert_array_equal(found, gather_support(wanted, 6, upscaler.model.support))


def test_equal_frames_are_restored_once(
    plain: Upscaler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = moving(3)
    content = animated([*frames, frames[1], frames[0]], ".webp")
    restored: list[int] = []
    restore = Upscaler._restore_tiles

    def counting(self: Upscaler, *arguments: Any) -> None:
        restored.append(1)
        restore(self, *arguments)

    monkeypatch.setattr(Upscaler, "_restore_tiles", counting)
    told: list[tuple[int, int]] = []
    for samples in (1 << 30, 100):
        monkeypatch.setattr(Memory, "samples", samples)
        plain.upscale_file(content, tmp_path / "a.png", on_tile=lambda *at: told.append(at))
        found = as_pillow((tmp_path / "a.png").read_bytes())
        assert len(found) == 5 and (found[3] == found[1]).all() and (found[4] == found[0]).all()
    assert len(restored) == 6 and told[-1] == (5, 5)


def test_lossless_in_lossless_out(plain: Upscaler, tmp_path: Path) -> None:
    file = io.BytesIO()
    moving()[0].save(file, "WEBP", save_all=True, append_images=moving()[1:], quality=90)
    kinds = {}
    for name, content in (("lossy", file.getvalue()), ("gif", animated(moving(), ".gif"))):
        plain.upscale_file(content, tmp_path / f"{name}.webp")
        kinds[name] = (tmp_path / f"{name}.webp").read_bytes()
    plain.upscale_file(animated(moving(), ".gif"), tmp_path / "smaller.webp", quality=80)
    kinds["smaller"] = (tmp_path / "smaller.webp").read_bytes()
    assert [b"VP8L" in kinds[name] for name in ("lossy", "gif", "smaller")] == [False, True, False]


def test_exif_of_an_animation_stays(plain: Upscaler, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F] = "Some Camera"
    for source, target in ((".webp", ".webp"), (".webp", ".png"), (".png", ".webp"), (".png", ".png")):
        content = animated(moving(), source, exif=exif.tobytes())
        report = plain.upscale_file(content, tmp_path / f"a{target}")
        assert [item.text for item in report.kept] == ["EXIF"]
        with Image.open(tmp_path / f"a{target}") as image:
            assert image.getexif()[0x010F] == "Some Camera" and image.n_frames == 4  # type: ignore[attr-defined]


def test_short_and_odd_durations_add_up(plain: Upscaler, tmp_path: Path) -> None:
    """Thirds of a hundredth are not lost: what one frame is rounded by, the next makes up for."""
    content = bytearray(animated(moving(6), ".png", duration=30))
    at = -1
    while (at := content.find(b"fcTL", at + 1)) > 0:
        content[at + 24 : at + 28] = struct.pack(">HH", 1, 60)
        import zlib

        content[at + 30 : at + 34] = struct.pack(">I", zlib.crc32(content[at : at + 30]))
    sums = {".png": Fraction(6, 60), ".webp": Fraction(100, 1000), ".gif": Fraction(10, 100)}
    for target, total in sums.items():
        plain.upscale_file(bytes(content), tmp_path / f"a{target}")
        with open_for(tmp_path / f"a{target}", f"b{target}", Limits()) as series:
            assert sum(series.timing.durations) == total  # type: ignore[union-attr]


def test_a_full_disk_leaves_nothing(plain: Upscaler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("blindsr.picture.tiff_pages.PagedFile.append", full)
    with pytest.raises(InputError, match=r"a\.tif: cannot be written \(No space left"):
        plain.upscale_file(letter(), tmp_path / "a.tif")
    monkeypatch.setattr("blindsr.picture.apng.add_frames", full)
    with pytest.raises(InputError, match=r"a\.png: cannot be written \(No space left"):
        plain.upscale_file(animated(moving(), ".png"), tmp_path / "a.png")
    assert [entry for entry in tmp_path.iterdir() if entry.is_file()] == []
