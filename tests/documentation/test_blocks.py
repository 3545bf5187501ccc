"""What README and docs show is run as it stands, on small made files and models called as the shipped ones.

What is not run is listed with the reason (`blocks.NOT_RUN`), and its commands, options and files are looked
up.
"""

from __future__ import annotations

import ast
import re
import shutil
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from typer.main import get_command

from blindsr.cli import app

from ..children import finished
from ..conftest import Run, add_inspector, made_photo, save_photos, stand_in_copy, write_model
from .blocks import NOT_RUN, PAGES, ROOT, Block, blocks, is_slow, shell_blocks, why_not, words

NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
COMMANDS = get_command(app).commands  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all that the blocks name: photos, folders of them, a mask, models."""
    place = tmp_path_factory.mktemp("reader")
    for seed, name in enumerate(("photo.jpg", "new.jpg", "a.jpg", "b.jpg", "c.jpg", "d.jpg")):
        Image.fromarray(made_photo(12, 56, seed)).save(place / name)  # few rows: prints are 3543 pixels wide
    for name in ("scan.tif", "huge.tif", "panorama.tif"):
        Image.fromarray(made_photo(24, 30)).save(place / name)
    Image.fromarray(made_photo(64, 72)).save(place / "broken.jpg")
    whole = (place / "broken.jpg").read_bytes()
    (place / "broken.jpg").write_bytes(whole[: len(whole) * 9 // 10])
    Image.fromarray(made_photo(12, 56)[..., 0]).save(place / "faces.png")
    for name, count in (("scans", 2), ("photos-of-this-camera", 3), ("new", 2)):
        save_photos(place / name, count, 20, 28)
    (place / "scans" / "below").mkdir()
    Image.fromarray(made_photo(20, 28, 5)).save(place / "scans" / "below" / "b.tif")
    for name in ("hr", "my/Set5", "my/folder", "data/Set5/HR"):
        save_photos(place / name, 2, 64, 72)
    add_inspector(write_model(place / "models" / "cmdsr-x4"))
    write_model(place / "models" / "cria-x4-compact", adaptive=False, texture=0.85)
    for name in ("models/faces-x4", "my-model", "shelf/faces-x4"):
        write_model(place / name, adaptive=False, name=Path(name).name)
    for name in ("4x-other.onnx", "4x-something.onnx", "net.onnx"):
        shutil.copy(place / "my-model" / "base.onnx", place / name)
    return place


@pytest.fixture
def place(everything: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A reader's own copy of it, as the current folder."""
    return stand_in_copy(everything, tmp_path / "here", monkeypatch)


def _commands(page: str, *, slow: bool) -> list[tuple[Block, str]]:
    return [
        (block, command)
        for block in shell_blocks([ROOT / page])
        for command in block.commands()
        if why_not(command) is None and is_slow(command) is slow
    ]


@pytest.mark.parametrize("page", [name for name in NAMES if _commands(name, slow=False)])
def test_commands_run(page: str, place: Path, run: Run) -> None:
    """One after the other in one folder, as a reader would: what one writes a later one may read."""
    for block, command in _commands(page, slow=False):
        program, *arguments = words(command)
        assert program == "blindsr", f"{block.place}: {command}: run it in another way, or say why not"
        code, _, error = run(*arguments)
        assert code == 0, f"{block.place}: {command}\n{error}"


@pytest.mark.slow
@pytest.mark.parametrize("page", [name for name in NAMES if _commands(name, slow=True)])
def test_slow_commands_run(page: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a shell, whose redirections count; `blindsr` is this checkout's."""
    (place / "bin").mkdir()
    (place / "bin" / "blindsr").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m blindsr "$@"\n')
    (place / "bin" / "blindsr").chmod(0o755)
    niqe = np.random.default_rng(0).normal(size=(36, 36))
    np.savez(place / "niqe.npz", mu_pris_param=np.zeros((1, 36)), cov_pris_param=niqe @ niqe.T)
    monkeypatch.setenv("PATH", str(place / "bin"), prepend=":")
    for block, command in _commands(page, slow=True):
        done = finished("sh", "-ec", command, cwd=place)
        assert done.returncode == 0, f"{block.place}: {command}\n{done.stderr}"


PYTHON_ELSEWHERE = {
    "docs/serve.md": "needs a server; run by tests/server/test_serve.py",
    "docs/metrics.md": "needs weights and packages of others; what it imports is looked up",
}
PYTHON = [block for block in blocks() if block.language == "python"]


@pytest.mark.parametrize("block", PYTHON, ids=lambda block: block.place)
def test_python_runs(block: Block, place: Path) -> None:
    tree = ast.parse(block.text)
    if str(block.page.relative_to(ROOT)) in PYTHON_ELSEWHERE:
        tree.body = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        assert tree.body
    known = {"pixels": made_photo(20, 28)}  # what the text before the block speaks of
    exec(compile(tree, block.place, "exec"), known)


@pytest.mark.parametrize("block", [b for b in blocks() if b.language == "yaml"], ids=lambda b: b.place)
def test_yaml_is_of_known_keys(block: Block) -> None:
    from blindsr.training.config import CriteriaConfig

    assert set(yaml.safe_load(block.text)) <= set(CriteriaConfig.model_fields)


# --- what is not run is looked up ---------------------------------------------------------------------------

NOT = [(b, one) for b in shell_blocks() for c in b.commands() if why_not(c) for one in c.split(" && ")]


def _options(arguments: list[str]) -> set[str]:
    return {word.partition("=")[0] for word in arguments if re.match(r"--?[a-z]", word)}


@pytest.mark.parametrize("block, command", NOT, ids=[f"{b.place} {c[:40]}" for b, c in NOT])
def test_what_is_not_run_is_there(block: Block, command: str) -> None:
    """Subcommands and options, recipes and their keys, scripts, targets, extras."""
    program, *arguments = words(command)
    where = f"{block.place}: {command}"
    if program == "blindsr":
        known = {flag for one in COMMANDS[arguments[0]].params for flag in (*one.opts, *one.secondary_opts)}
        assert _options(arguments) <= known, where
        if arguments[0] == "train":
            _read_recipe(arguments)
    elif program.startswith("python") and arguments[0] == "-m":
        module = arguments[1].replace(".", "/")
        assert arguments[1] == "http.server" or (ROOT / f"{module}.py").is_file(), where
    elif program.startswith("python"):
        source = (ROOT / arguments[0]).read_text(encoding="utf-8")
        for option in _options(arguments) - {"-o"}:
            parameter = option.lstrip("-").removeprefix("no-").replace("-", "_")
            assert re.search(rf'"{option}\b|\b{parameter}:|"--[\w/-]*{option}\b', source), (
                f"{where}: {option}"
            )
    elif program == "make":
        text = (ROOT / "Makefile").read_text(encoding="utf-8")
        assert re.search(rf"^{re.escape(arguments[0])}:", text, re.MULTILINE), where
    elif program == "pip":
        import tomllib

        extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        named = re.findall(r"\[([\w,]+)\]", command)
        assert {extra for group in named for extra in group.split(",")} <= set(extras), where


def _read_recipe(arguments: list[str]) -> None:
    """Read the recipe with the changes that a command makes to it."""
    from blindsr.training.config import load_config

    changes = [value for option, value in pairwise(arguments) if option == "--set"]
    config = load_config(ROOT / arguments[1], changes)
    if "--minutes" in arguments:
        load_config(ROOT / arguments[1], [*changes, f"minutes={arguments[arguments.index('--minutes') + 1]}"])
    assert config.steps


def test_every_exception_is_needed() -> None:
    used = {why_not(command) for block in shell_blocks() for command in block.commands()}
    assert used - {None} == set(NOT_RUN.values())
    pages = {str(block.page.relative_to(ROOT)) for block in PYTHON}
    assert set(PYTHON_ELSEWHERE) <= pages


@pytest.mark.parametrize("page", NAMES)
def test_commands_stand_in_fences_that_say_their_language(page: str) -> None:
    """Else neither these tests nor the site would know them."""
    text = (ROOT / page).read_text(encoding="utf-8")
    outside = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    if page != "docs/cases.md":  # whose command is the benchmark's that writes it
        assert not re.findall(r"^    (?:\$ )?(?:blindsr|python|pip|make) .*", outside, re.MULTILINE)
    assert not re.search(r"^```\n(?=[^`])", re.sub(r"^```[\w{-].*?^```$", "", text, flags=re.M | re.S), re.M)
