"""Options: grouped, the same everywhere, and JSON by lines wherever there is some."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.main import get_command

from blindsr.cli import app

from ..children import BLINDSR, finished
from ..conftest import MakeModel, Run, add_inspector, save_photos, write_model

COMMANDS: dict[str, Any] = dict(get_command(app).commands)  # type: ignore[attr-defined]
SHARED = {"--device", "--threads", "--json", "--seed", "--holdout", "--memory"}
"""Options that read the same in all commands that have them."""


def options(command: str) -> dict[str, Any]:
    """A command's options by name."""
    return {name: one for one in COMMANDS[command].params for name in one.opts if name.startswith("--")}


def test_an_option_takes_a_value_everywhere_or_nowhere() -> None:
    """So no name is a switch in one command and a number in another."""
    kinds: dict[str, set[bool]] = {}
    for command in COMMANDS:
        for name, one in options(command).items():
            kinds.setdefault(name, set()).add(one.is_flag)
    assert [name for name, kind in kinds.items() if len(kind) > 1] == []


@pytest.mark.parametrize("name", sorted(SHARED))
def test_shared_options_are_told_alike(name: str) -> None:
    found = [options(command)[name] for command in COMMANDS if name in options(command)]
    told = {(one.help, one.metavar, one.rich_help_panel) for one in found}
    assert len(found) > 1 and len(told) == 1, told


@pytest.mark.parametrize("command", ["upscale", "adapt", "inspect", "evaluate"])
def test_long_helps_come_in_panels(command: str) -> None:
    panels = [one.rich_help_panel for one in options(command).values()]
    assert len(set(panels) - {None}) >= 2 and panels.count(None) <= 4


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("command", ["", *sorted(COMMANDS)])
def test_help_fits(command: str, width: int, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """No line is wider than the screen, no word is cut, and each option has room for what it says."""
    monkeypatch.setenv("COLUMNS", str(width))
    code, shown, _ = run(*filter(None, [command]), "--help")
    assert code == 0 and max(map(len, shown.splitlines())) <= width and "…" not in shown
    for name in options(command) if command else []:
        assert re.search(rf"│ (\*  )? *{name} ", shown), name


def test_both_spellings(run: Run) -> None:
    code, shown, _ = run("quantize", "--help")
    assert code == 0 and "8 bit" in shown
    assert "quantize" not in run("--help")[1], "the list has one of them"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str) -> None:
    source = finished(*BLINDSR, env={"_BLINDSR_COMPLETE": f"source_{shell}", "SHELL": f"/bin/{shell}"})
    assert "_BLINDSR_COMPLETE" in source.stdout, source.stderr
    words = {"COMP_WORDS": "blindsr insp", "COMP_CWORD": "1", "_TYPER_COMPLETE_ARGS": "blindsr insp"}
    complete = {"_BLINDSR_COMPLETE": f"complete_{shell}", "_TYPER_COMPLETE_FISH_ACTION": "get-args", **words}
    assert "inspect" in finished(*BLINDSR, env=complete).stdout


def test_every_command_can_tell_it_to_a_program() -> None:
    assert [command for command in COMMANDS if "--json" not in options(command)] == []


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_inspect_tells_a_photo_a_line(run: Run, make_model: MakeModel, tmp_path: Path) -> None:
    folder = save_photos(tmp_path / "photos", 3, 40, 50)
    (folder / "1.png").write_bytes(b"no photo")
    code, shown, error = run("inspect", folder, "--json", "--model", add_inspector(make_model()))
    assert code == 3 and not error
    found = {Path(one["file"]).name: "error" in one for one in lines(shown)}
    assert found == {"0.png": False, "1.png": True, "2.png": False}


def test_adapt(run: Run, make_model: MakeModel, tmp_path: Path) -> None:
    folder = save_photos(tmp_path / "photos", 4, 40, 50)
    (folder / "1.png").write_bytes(b"no photo")
    out, model = tmp_path / "a.profile", add_inspector(make_model())
    code, shown, _ = run("adapt", folder, "-o", out, "--json", "--model", model)
    (told,) = lines(shown)
    assert code == 3 and out.exists()
    assert (told["profile"], told["model"], told["photos"], len(told["errors"])) == (str(out), "tiny", 3, 1)
    assert told["blur"]["value"] >= 0 and told["outliers"] == []


def test_models(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_model(tmp_path / "models" / "mine", scale=2, adaptive=False, texture=0.5)
    monkeypatch.setenv("BLINDSR_MODELS", str(tmp_path / "models"))
    code, shown, _ = run("models", "--json")
    first = lines(shown)[0]
    assert code == 0 and first["folder"] == str(tmp_path / "models" / "mine")
    assert (first["name"], first["scale"], first["adapts"], first["texture"]) == ("mine", 2, False, 0.5)
    assert {one["name"] for one in lines(shown)} >= {"mine", "cmdsr-x4"}


def test_pull(run: Run, make_model: MakeModel, tmp_path: Path) -> None:
    for fetched in (True, False):
        code, shown, _ = run("pull", make_model(), "--to", tmp_path / "shelf", "--json")
        (told,) = lines(shown)
        assert code == 0 and told["fetched"] is fetched and len(told["sha256"]) == 64
        assert told["folder"] == str(tmp_path / "shelf" / "tiny")


def test_data(run: Run, tmp_path: Path) -> None:
    save_photos(tmp_path / "Set5", 4, 8, 8)
    code, shown, _ = run("data", "Set5", tmp_path, "--json")
    (told,) = lines(shown)
    assert code == 3 and not told["whole"] and told["findings"]


def test_degrade(run: Run, tmp_path: Path) -> None:
    folder = save_photos(tmp_path / "hr", 2, 40, 48)
    (folder / "1.png").write_bytes(b"no photo")
    code, shown, _ = run("degrade", folder, "-o", tmp_path / "lr", "--degrade", "noise=5", "--json")
    assert code == 3 and [bool(one["error"]) for one in lines(shown)] == [False, True]


def test_evaluate(run: Run, tmp_path: Path) -> None:
    folder = save_photos(tmp_path / "hr", 2, 40, 48)
    Image.new("L", (48, 40), 200).save(folder / "2.png")
    command = ("evaluate", "--model", "input", "--data", f"mine={folder}", "--scale", "1")
    code, shown, error = run(*command, "--degrade", "", "--metric", "psnr", "-o", tmp_path / "out", "--json")
    assert code == 0, error
    (told,) = lines(shown)
    assert (told["benchmark"], told["scale"], told["count"], told["failed"]) == ("mine", 1, 3, 0)
    assert told["scores"] == {"psnr": "inf"}, "of which JSON knows no number"


@pytest.mark.slow
def test_train_and_export(run: Run, config_file: Path, tmp_path: Path) -> None:
    code, shown, error = run(
        "train", config_file, "-o", tmp_path / "run", "--set", "steps=2", "--set", "log_every=1", "--json"
    )
    *steps, last = lines(shown)
    assert code == 0 and not error
    assert [one["step"] for one in steps] == [1, 2] and steps[0]["losses"]["total"] > 0
    assert steps[1]["share"] == 1 and set(steps[1]) >= {"phase", "patches", "scores", "seconds_per_step"}
    code, shown, _ = run("export", last["checkpoint"], "-o", tmp_path / "model", "--json")
    assert code == 0 and lines(shown) == [{"folder": str(tmp_path / "model")}]


def test_what_is_fitted(run: Run, tmp_path: Path) -> None:
    folder = save_photos(tmp_path / "photos", 2, 600, 700)
    (folder / "1.png").write_bytes(b"no photo")
    niqe, bank = tmp_path / "niqe.npz", tmp_path / "bank.npz"
    code, shown, _ = run("fit-niqe", folder, "-o", niqe, "--sharpness", "0", "--json")
    assert code == 3 and lines(shown) == [{"parameters": str(niqe), "blocks": 42, "photos": 1}]
    code, shown, _ = run("fit-degradations", folder, "-o", bank, "--scale", "2", "--patches", "5", "--json")
    (told,) = lines(shown)
    assert code == 3 and (told["bank"], told["kernels"], told["scale"]) == (str(bank), 1, 2)
