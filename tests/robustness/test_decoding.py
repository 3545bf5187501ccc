"""Damaged files are read or refused, never anything else; and the trial of them sees what goes wrong."""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from blindsr import picture
from blindsr.errors import InputError
from blindsr.upscaling.upscaler import Upscaler

from ..conftest import write_model
from . import decoding

NETPBM = (".ppm", ".pgm")


@pytest.fixture(scope="module")
def upscaler(tmp_path_factory: pytest.TempPathFactory) -> Upscaler:
    return Upscaler(write_model(tmp_path_factory.mktemp("model") / "tiny", scale=2), device="cpu", threads=1)


def test_damaged_files_are_read_or_refused(upscaler: Upscaler, tmp_path: Path) -> None:
    outcomes = [decoding.try_one(0, number, tmp_path, upscaler) for number in range(100, 320)]
    assert [one for one in outcomes if one.kind == "finding"] == []
    kinds = [one.kind for one in outcomes]
    assert kinds.count("read") > 40 and kinds.count("refused") > 50
    assert list(tmp_path.iterdir()) == []


def test_valid_files_of_every_format_are_read(upscaler: Upscaler, tmp_path: Path) -> None:
    suffixes = {original.suffix for original in decoding.originals()}
    assert suffixes >= {".png", ".jpg", ".webp", ".tif", ".avif", ".bmp", ".gif", ".jxl", *NETPBM}
    for number, original in enumerate(decoding.originals()):
        if original.suffix not in NETPBM:
            outcome = decoding.try_one(0, number, tmp_path, upscaler)
            assert outcome.kind == "read", (original.name, outcome)


def test_valid_netpbm_files_are_read(upscaler: Upscaler, tmp_path: Path) -> None:
    for number, original in enumerate(decoding.originals()):
        if original.suffix in NETPBM:
            outcome = decoding.try_one(0, number, tmp_path, upscaler)
            assert outcome.kind == "read", (original.name, outcome)


def test_keywords_of_a_photo_need_not_be_utf8(tmp_path: Path) -> None:
    text = PngImagePlugin.PngInfo()
    text.add(b"tEXt", "Légende\0Été".encode("latin-1"))
    Image.new("RGB", (9, 8), "teal").save(tmp_path / "a.png", pnginfo=text)
    assert picture.read(tmp_path / "a.png").width == 9


def test_inputs_are_told_by_seed_and_number() -> None:
    numbers = range(200, 300)
    inputs = [decoding.damaged(3, number) for number in numbers]
    assert inputs == [decoding.damaged(3, number) for number in numbers]
    assert len({one.encoded for one in inputs}) > 90
    assert sum(one == decoding.damaged(4, number) for one, number in zip(inputs, numbers, strict=True)) < 5


def test_pieces_of_a_format_lie_end_to_end() -> None:
    for original in decoding.originals():
        found = decoding.pieces(original.encoded)
        assert len(found) >= 2
        assert all(0 <= start < stop <= len(original.encoded) for start, stop in found), original.name
        assert all(one[1] <= other[0] for one, other in pairwise(found)), original.name
        assert decoding.mend_checksums(original.encoded) == original.encoded


@pytest.mark.parametrize("fault", ["error", "unnamed", "lines", "range", "random", "left"])
def test_what_must_not_happen_is_found(
    upscaler: Upscaler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    rng = np.random.default_rng(0)

    def broken(path: Path, limits: picture.Limits | None = None) -> picture.Picture:
        read = picture.read(path, limits=limits)
        if fault == "error":
            raise ValueError("a codec's own")
        if fault == "unnamed":
            raise InputError("cannot be read")
        if fault == "lines":
            raise InputError(f"{path}:\nnot a picture")
        if fault == "left":
            (path.parent / ".temporary").touch()
        pixels = {"range": read.pixels + 1, "random": rng.random(read.pixels.shape, np.float32)}
        return picture.Picture(pixels.get(fault, read.pixels))

    monkeypatch.setattr(decoding, "read", broken)
    outcome = decoding.try_one(0, 1, tmp_path, upscaler)
    expected = {
        "error": "ValueError",
        "unnamed": "without the file's name",
        "lines": "several lines",
        "range": "outside 0..1",
        "random": "second reading differs",
        "left": ".temporary",
    }
    assert outcome.kind == "finding" and expected[fault] in outcome.text
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("import os; input(); os.kill(os.getpid(), 11)", "SIGSEGV"),
        ("import sys; input(); sys.exit(7)", "exit status 7"),
        ("import time; input(); time.sleep(60)", "no end"),
    ],
)
def test_death_and_standstill_of_a_process_are_found(
    monkeypatch: pytest.MonkeyPatch, code: str, text: str
) -> None:
    monkeypatch.setattr(decoding, "START", 0.5)
    found: list[object] = []
    decoding.fuzz(range(2), [sys.executable, "-c", code], patience=0.1, on_outcome=found.append)
    assert len(found) == 2 and all(text in one.text for one in found)  # type: ignore[attr-defined]
