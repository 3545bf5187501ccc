"""How commands end: hostile options, files and pipes give one line each, and a status that is documented."""

from __future__ import annotations

import os
import re
import socket
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from PIL import Image

from blindsr.cli import screen

from ..children import BLINDSR, finished
from ..conftest import MakeModel, Run, made_photo

NINES = "9" * 5000


@pytest.fixture
def photo(tmp_path: Path) -> Path:  # type: ignore[override]
    Image.fromarray(made_photo(12, 16)).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def one_line(run: Run, *command: str | Path) -> str:
    """The one line that a command ends with at once."""
    code, out, error = run(*command)
    assert code in (2, 3) and not out and len(error.splitlines()) == 1, (code, out, error)
    assert error.startswith("error: ") and "fault of this program" not in error, error
    return error


@pytest.mark.parametrize(
    "option",
    [
        ("--tile", NINES), ("--tile", "²"), ("--max-pixels", NINES), ("--memory", NINES), ("--width", NINES),
        ("--width", "9" * 400), ("--height", "-5"), ("--scale", NINES), ("--scale", "1e400"),
        ("--scale", "nan"), ("--fit", f"{NINES}x{NINES}"), ("--threads", NINES), ("--threads", "9" * 11),
        ("--texture", NINES), ("--texture", "nan"), ("--quality", NINES), ("--model", NINES),
        ("--model", "a/" * 3000), ("--format", NINES), ("--profile", NINES), ("--support", NINES),
        ("--unknown", NINES),
    ],
    ids=lambda option: f"{option[0]} {option[1][:8]}",
)  # fmt: skip
def test_options_of_upscale(run: Run, make_model: MakeModel, photo: Path, option: tuple[str, str]) -> None:
    model = () if option[0] == "--model" else ("--model", make_model(texture=0.5))
    one_line(run, "upscale", photo, *model, *option)


@pytest.mark.parametrize(
    "command",
    [
        ("degrade", "a.png", "-o", "d", "--scale", NINES), ("degrade", "a.png", "-o", "d", "--seed", NINES),
        ("degrade", "a.png", "-o", "d", "--degrade", f"blur={NINES}"),
        ("degrade", "a.png", "-o", "d", "--degrade", "noise=1e400"),
        ("degrade", "a.png", "-o", "d", "--degrade", f"jpeg={NINES}"),
        ("pull", "a.zip", "--max-size", NINES), ("pull", "a.zip", "--sha256", NINES), ("pull", NINES),
        ("pull", f"https://127.0.0.1:{NINES}/"), ("fit-niqe", "a.png", "-o", "a.npz", "--sharpness", "nan"),
        ("evaluate", "--model", f"cmdsr-x4@texture={NINES}", "--data", "a=."), ("evaluate", "--model", NINES),
        ("evaluate", "--model", NINES, "--data", f"a={NINES}"), ("adapt", NINES, "-o", "a.profile"),
        ("inspect", NINES), ("no-such-command",), ("upscale",),
    ],
    ids=lambda command: " ".join(part[:12] for part in command),
)  # fmt: skip
def test_options_of_others(
    run: Run, photo: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.chdir(photo.parent)
    one_line(run, *command)


YAML = {
    "a list": "[1, 2]",
    "nested": "[" * 50_000,
    "nested mappings": "a: {" * 5000,
    "itself": "a: &a [*a]\nrecipe: *a\n",
    "a bomb": "a: &a [1]\n"
    + "".join(f"{b}: &{b} [*{a},*{a}]\n" for a, b in pairwise("abcdefghijklmnopqrstuvwxyz")),
    "a recipe of lists": "recipe: [a]\n",
    "a recipe of mappings": "recipe: {a: b}\n",
    "merges": "a: &a {x: 1}\n"
    + "".join(f"{b}: &{b} {{<<: [*{a}, *{a}]}}\n" for a, b in pairwise("abcdefghijklmnopqrstuvwxyz")),
    "a chain": "a0: &a0 [1]\n" + "".join(f"a{i + 1}: &a{i + 1} [*a{i}]\n" for i in range(3000)),
    "digits": f"name: a\nsteps: {NINES}\n",
    "no date": "name: 2024-99-99\n",
    "no UTF-8": b"name: \xff\n",
    "a tag": "name: !!python/object/apply:os.system [exit]\n",
    "other keys": "1: 2\nnull: 3\n[a]: 4\n",
    "keys within": "name: a\nnetwork: {}\ndata: {photos: p, optimiser: {x: 1}}\n",
    "large": "#" * (5 << 20),
    "bytes": b"\0" * 100,
}


@pytest.mark.parametrize("name", YAML)
def test_recipes(run: Run, tmp_path: Path, name: str) -> None:
    pytest.importorskip("lightning")
    content = YAML[name]
    (tmp_path / "a.yaml").write_bytes(content if isinstance(content, bytes) else str(content).encode())
    assert "a.yaml" in one_line(run, "train", tmp_path / "a.yaml", "-o", tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("value", [NINES, "[" * 5000, "&a [*a]", "2024-99-99"])
def test_settings(run: Run, tmp_path: Path, value: str) -> None:
    pytest.importorskip("lightning")
    (tmp_path / "a.yaml").write_text("name: a\n")
    one_line(run, "train", tmp_path / "a.yaml", "--set", f"steps={value}")


@pytest.fixture(params=["pipe", "socket", "folder", "device"])
def strange(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """What is no file, whatever its name."""
    if sys.platform == "win32":
        pytest.skip("none of these there")
    monkeypatch.chdir(tmp_path)  # a socket's name must be short
    path = Path("strange.x")
    held = socket.socket(socket.AF_UNIX)
    if request.param == "pipe":
        os.mkfifo(path)
    elif request.param == "socket":
        held.bind(str(path))
    elif request.param == "folder":
        path.mkdir()
    else:
        path = Path("/dev/zero")
    yield path
    held.close()


@pytest.mark.parametrize(
    "command",
    [
        ("upscale", "?", "-o", "b.png"), ("upscale", "a.png", "--profile", "?"),
        ("upscale", "a.png", "--support", "?"), ("upscale", "a.png", "--model", "?"),
        ("adapt", "?", "-o", "b"),
        ("train", "?"), ("degrade", "?", "-o", "d"), ("pull", "?"), ("fit-niqe", "?", "-o", "n.npz"),
        ("evaluate", "--model", "bicubic", "--data", "a=.", "--niqe", "?"), ("export", "?", "-o", "d"),
        ("export", "b.ckpt", "-o", "d", "--card", "?"), ("adapt", "a.png", "-o", "?"),
    ],
    ids=lambda command: " ".join(command),
)  # fmt: skip
def test_what_is_no_file(
    run: Run, make_model: MakeModel, photo: Path, strange: Path, command: tuple[str, ...]
) -> None:
    if command[0] in ("train", "export"):
        pytest.importorskip("lightning")
    model = (
        ("--model", str(make_model()))
        if command[0] in ("upscale", "adapt") and "--model" not in command
        else ()
    )
    code, _, error = run(*(part.replace("?", str(strange)) for part in command), *model)
    lines = [line for line in error.splitlines() if line.startswith("error: ")]
    assert code in (2, 3) and lines and "fault of this program" not in error, (code, error)
    assert strange.exists()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no such pipes there")
@pytest.mark.parametrize(
    "command",
    [
        ["models"], ["--help"], ["upscale", "--help"], ["--version"], ["inspect", "?"],
        ["inspect", "?", "--json"],
        ["upscale", "?", "--json"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_whoever_read_the_output_has_gone(photo: Path, command: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    arguments = [part.replace("?", str(photo)) for part in command]
    done = finished(*BLINDSR, *arguments, stdout=writer)
    os.close(writer)
    assert done.returncode == screen.EXIT_BROKEN_PIPE and not done.stderr, (done.returncode, done.stderr)


def test_a_fault_of_ours_is_one_line_to_be_reported(
    run: Run, monkeypatch: pytest.MonkeyPatch, photo: Path
) -> None:
    def broken(*arguments: object) -> None:
        raise KeyError("a\nb" * 1000)

    monkeypatch.setattr("blindsr.batch.plan.find_photos", broken)
    code, _, error = run("inspect", photo)
    assert code == 2 and len(error.splitlines()) == 1 and len(error) < 1000
    assert re.match(r"error: a fault of this program in camera\.py:\d+ \(KeyError: ", error)
    assert "please report it with what BLINDSR_TRACEBACK=1" in error
    monkeypatch.setenv("BLINDSR_TRACEBACK", "1")
    code, _, error = run("inspect", photo)
    assert code == 2 and error.startswith("Traceback") and "please report it" in error


@pytest.mark.parametrize("error", [MemoryError(), OSError(28, "No space left", "a/b")])
def test_faults_of_the_system(
    run: Run, monkeypatch: pytest.MonkeyPatch, photo: Path, error: Exception
) -> None:
    def broken(*arguments: object) -> None:
        raise error

    monkeypatch.setattr("blindsr.batch.plan.find_photos", broken)
    said = one_line(run, "inspect", photo)
    assert ("not enough memory" if isinstance(error, MemoryError) else str(error.args[-1])) in said


def test_a_keyboard_interrupt(run: Run, monkeypatch: pytest.MonkeyPatch, photo: Path) -> None:
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("blindsr.batch.plan.find_photos", interrupted)
    assert run("inspect", photo)[0] == 130
