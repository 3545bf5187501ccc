"""Stdin and stdout, dates, names, prints, damaged photos: what the command does with files besides."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path

import pytest
from PIL import Image

from blindsr.errors import InputError
from blindsr.picture.sizing import OutputSize

from ..conftest import MakeModel, Run, made_photo


def encoded(kind: str = "JPEG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(made_photo(20, 24)).save(file, kind)
    return file.getvalue()


class Stream:
    """A stand-in for stdin or stdout that has bytes below."""

    def __init__(self, content: bytes = b"") -> None:
        self.buffer = io.BytesIO(content)

    def isatty(self) -> bool:
        return False

    def write(self, text: str) -> int:
        return self.buffer.write(text.encode())

    def flush(self) -> None:
        pass


@pytest.mark.parametrize(
    ("kind", "options", "result"), [("JPEG", [], "JPEG"), ("PNG", ["-f", "webp"], "WEBP")]
)
def test_through_stdin_and_stdout(
    make_model: MakeModel,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    options: list[str],
    result: str,
) -> None:
    out = Stream()
    monkeypatch.setattr(sys, "stdin", Stream(encoded(kind)))
    monkeypatch.setattr(sys, "stdout", out)
    code, _, err = run("upscale", "-", "--model", make_model(adaptive=False), *options)
    assert code == 0, err
    with Image.open(io.BytesIO(out.buffer.getvalue())) as image:
        assert image.size == (96, 80) and image.format == result


def test_stdin_into_a_file_and_a_file_into_stdout(
    tmp_path: Path, make_model: MakeModel, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_model(adaptive=False)
    monkeypatch.setattr(sys, "stdin", Stream(encoded()))
    code, _, err = run("upscale", "-", "-o", tmp_path / "a.png", "--model", model)
    assert code == 0 and Image.open(tmp_path / "a.png").size == (96, 80), err
    (tmp_path / "b.png").write_bytes(encoded("PNG"))
    out = Stream()
    monkeypatch.setattr(sys, "stdout", out)
    code, _, err = run("upscale", tmp_path / "b.png", "-o", "-", "--model", model)
    assert code == 0 and Image.open(io.BytesIO(out.buffer.getvalue())).format == "PNG", err


def test_what_cannot_be_is_refused(
    tmp_path: Path, make_model: MakeModel, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_model(adaptive=False)
    for content, arguments, fault in (
        (b"", ["-"], "nothing came"),
        (b"no photo", ["-"], "not a photo format"),
        (encoded(), ["-", "a.jpg"], "give one input"),
        (encoded(), ["-", "--json"], "both would go to stdout"),
        (encoded(), ["-", "--keep-date"], "leave them out"),
    ):
        monkeypatch.setattr(sys, "stdin", Stream(content))
        code, _, err = run("upscale", *arguments, "--model", model)
        assert code == 2 and fault in err, err


def test_dates_names_and_prints(tmp_path: Path, make_model: MakeModel, run: Run) -> None:
    source = tmp_path / "a.jpg"
    source.write_bytes(encoded())
    os.utime(source, (1_000_000_000, 1_000_000_000))
    code, _, err = run(
        *("upscale", source, "--model", make_model("tiny", adaptive=False), "--keep-date"),
        *("--name", "{stem}_{model}_{width}", "--print", "1cm@254dpi"),
    )
    assert code == 0, err
    result = tmp_path / "a_tiny_100.jpg"
    assert int(result.stat().st_mtime) == 1_000_000_000
    with Image.open(result) as image:
        assert image.size == (100, 83) and image.info["dpi"] == (254, 254)


def test_sizes_of_prints() -> None:
    assert OutputSize.parse_print("30cm@300dpi") == (OutputSize(fit=(3543, 3543)), 300)
    assert OutputSize.parse_print("30x20 cm @ 300 dpi") == (OutputSize(fit=(3543, 2362)), 300)
    assert OutputSize.parse_print("8.5x11in@150dpi") == (OutputSize(fit=(1275, 1650)), 150)
    for text in ("30cm", "30@300dpi", "x@300dpi", "30cm@dpi", "-3cm@300dpi", "0cm@300dpi"):
        with pytest.raises(InputError):
            OutputSize.parse_print(text)


def test_damaged_photos_if_asked(tmp_path: Path, make_model: MakeModel, run: Run) -> None:
    (tmp_path / "a.jpg").write_bytes(encoded()[:-60])
    model = make_model(adaptive=False)
    code, _, err = run("upscale", tmp_path / "a.jpg", "--model", model)
    assert code == 3 and "--damaged" in err
    code, out, err = run("upscale", tmp_path / "a.jpg", "--model", model, "--damaged", "--json")
    entry = json.loads(out.splitlines()[0])
    assert code == 0 and "what could be read of it was" in entry["warnings"][0]


def test_files_left_out_are_counted(tmp_path: Path, make_model: MakeModel, run: Run) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "a.jfif").write_bytes(encoded())
    (photos / "b.txt").write_text("no photo")
    model = make_model(adaptive=False)
    code, _, err = run("upscale", photos, "-o", tmp_path / "out", "--model", model)
    assert code == 0 and (tmp_path / "out" / "a_x4.jfif").exists()
    assert "warning: 1 other file left out: 1 .txt (no pictures by their names)" in err.splitlines()
    code, out, _ = run("upscale", photos, "-o", tmp_path / "out", "--model", model, "--json")
    assert json.loads(out.splitlines()[-1])["summary"]["left_out"] == {".txt": 1}
