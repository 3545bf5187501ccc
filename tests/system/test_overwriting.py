"""Results that would take the place of what they are made of: refused by every command before it begins."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from blindsr.errors import InputError
from blindsr.metrics.niqe import FEATURES, NIQEParameters, write_niqe
from blindsr.system.files import refuse_overwriting
from blindsr.upscaling.upscaler import Upscaler

from ..conftest import MakeModel, Run, made_photo

Alias = Callable[[Path], Path]
"""Another name of a file."""


def save(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(made_photo(24, 32)).save(path, "PNG")
    return path


def itself(path: Path) -> Path:
    return path


def relative(path: Path) -> Path:
    return Path(os.path.relpath(path))


def roundabout(path: Path) -> Path:
    return path.parent / ".." / path.parent.name / path.name


def linked(path: Path) -> Path:
    link = path.with_name(f"link{path.suffix}")
    link.symlink_to(path)
    return link


def through_a_linked_folder(path: Path) -> Path:
    link = path.parent.with_name("linked folder")
    link.symlink_to(path.parent, target_is_directory=True)
    return link / path.name


def hard_linked(path: Path) -> Path:
    link = path.with_name(f"hard{path.suffix}")
    link.hardlink_to(path)
    return link


ALIASES = (itself, relative, roundabout, linked, through_a_linked_folder, hard_linked)

every_alias = pytest.mark.parametrize("alias", ALIASES, ids=lambda alias: alias.__name__)


def refused(run: Run, file: Path, *command: str | Path) -> None:
    """The command ends with one line, and the file is what it was."""
    before = file.read_bytes()
    code, out, error = run(*command)
    assert code == 2 and "would overwrite" in error and len(error.splitlines()) == 1, (code, out, error)
    assert file.read_bytes() == before


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder of one's own; what the commands are given lies in it."""
    (tmp_path / "here").mkdir()
    return tmp_path / "here"


@every_alias
@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_names_of_one_file(here: Path, monkeypatch: pytest.MonkeyPatch, alias: Alias) -> None:
    monkeypatch.chdir(here)
    file = here / "a.npz"
    file.touch()
    with pytest.raises(InputError, match=r"would overwrite .*; give another -o"):
        refuse_overwriting([here / "new", alias(file)], [here / "b", file])
    with pytest.raises(InputError, match="would overwrite"):
        refuse_overwriting([file], [here / "b", alias(file) if alias is itself else here / "a.npz"])


def test_what_is_not_the_same_may_be_written(here: Path) -> None:
    for name in ("a", "b"):
        (here / name).touch()
    refuse_overwriting([here / "a", here / "new", here], [here / "b", here / "new", Path("a\0b")])


def test_other_capitals_where_they_name_the_same_file(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "photo.png").touch()
    if not (here / "PHOTO.png").exists():  # a file system that tells capitals apart: as if it did not
        stat = Path.stat
        monkeypatch.setattr(Path, "stat", lambda path, **k: stat(path.with_name(path.name.lower()), **k))
    with pytest.raises(InputError, match="would overwrite"):
        refuse_overwriting([here / "PHOTO.png"], [here / "photo.png"])


@every_alias
@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_adapt(run: Run, make_model: MakeModel, here: Path, alias: Alias) -> None:
    photo = save(here / "a.photo")
    refused(run, photo, "adapt", photo, "-o", alias(photo), "--model", make_model())


def test_adapt_and_the_models_own_files(run: Run, make_model: MakeModel, here: Path) -> None:
    photo, model = save(here / "a.png"), make_model()
    for name in ("card.json", "base.onnx", "condition.onnx"):
        refused(run, model / name, "adapt", photo, "-o", model / name, "--model", model)


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_upscale(run: Run, make_model: MakeModel, here: Path) -> None:
    photo, other, model = save(here / "a.png"), save(here / "other" / "b.png"), make_model()
    profile = here / "p.png"
    assert run("adapt", other, "-o", here / "p.profile", "--model", model)[0] == 0
    (here / "p.profile").rename(profile)
    command = ("upscale", photo, "--model", model)
    refused(run, other, *command, "-o", other, "--support", other.parent)
    refused(run, other, *command, "-o", hard_linked(other), "--support", other)
    refused(run, profile, *command, "-o", profile, "--profile", profile)
    page = other.with_name("c.html")
    page.hardlink_to(other)
    refused(run, other, *command, "-o", here / "r.png", "--support", other, "--compare", page)
    page.unlink()
    page.symlink_to(photo)
    refused(run, photo, *command, "-o", here / "r.png", "--compare", page)
    page.unlink()
    page.symlink_to(profile)
    refused(run, profile, *command, "-o", here / "r.png", "--profile", profile, "--compare", page)
    assert not (here / "r.png").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_a_photo_is_no_result_of_another(run: Run, make_model: MakeModel, here: Path) -> None:
    """One photo's result would overwrite another photo by a hard link: the others are done all the same."""
    photos = [save(here / name) for name in ("a.png", "b.png", "c.png")]
    (here / "a_x4.png").hardlink_to(photos[1])
    before = photos[1].read_bytes()
    code, _, error = run("upscale", *photos, "--model", make_model())
    assert code == 3 and "a.png: its result would overwrite the photo" in error
    assert photos[1].read_bytes() == before and (here / "c_x4.png").exists()


def test_earlier_results_are_no_support(run: Run, make_model: MakeModel, here: Path) -> None:
    save(here / "a.png")
    results = []
    for _ in range(2):
        code, _, error = run("upscale", here, "--support", here, "--model", make_model(), "--overwrite")
        assert code == 0, error
        results.append((here / "a_x4.png").read_bytes())
    assert results[0] == results[1]
    refused(run, here / "a_x4.png", "upscale", here / "a.png", "--support", here / "a_x4.png", "--model",
            make_model())  # fmt: skip


def test_from_file_to_file(make_model: MakeModel, here: Path) -> None:
    photo = save(here / "a.png")
    before = photo.read_bytes()
    with pytest.raises(InputError, match="would overwrite it"):
        Upscaler(make_model(), device="cpu", threads=1).upscale_file(photo, here / ".." / "here" / "a.png")
    assert photo.read_bytes() == before


@pytest.mark.parametrize("name", ["table.md", "results.json", "records.jsonl"])
def test_evaluate(run: Run, make_model: MakeModel, here: Path, name: str) -> None:
    save(here / "HR" / "a.png"), save(here / "LR" / "a.png")
    parameters = here / name
    write_niqe(NIQEParameters(np.zeros(FEATURES), np.eye(FEATURES)), here / "niqe.npz")
    (here / "niqe.npz").rename(parameters)
    data = ("--data", f"mine={here}", "--scale", "1", "-o", here)
    refused(
        run, parameters, "evaluate", "--model", "bicubic", "--niqe", parameters, "--metric", "psnr", *data
    )
    card = make_model() / "card.json"
    card.rename(card.with_name("results.json"))
    card = card.with_name("results.json")
    refused(run, card, "evaluate", "--model", f"x={card}", "--data", f"mine={here}", "-o", card.parent)


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_degrade(run: Run, here: Path) -> None:
    photo = save(here / "a.png")
    refused(run, photo, "degrade", photo, "-o", here, "--scale", "2")
    (here / "out").mkdir()
    (here / "out" / "a.png").hardlink_to(photo)
    refused(run, photo, "degrade", here, "-o", here / "out", "--scale", "2")
    assert not (here / "out" / "manifest.json").exists()


@pytest.mark.parametrize("command", ["fit-niqe", "fit-degradations"])
def test_fits(run: Run, here: Path, command: str) -> None:
    photo = save(here / "a.npz")
    refused(run, photo, command, photo, "-o", photo)


def test_export(run: Run, here: Path) -> None:
    pytest.importorskip("onnxscript")
    for name in ("base.onnx", "weights.safetensors", "card.json"):
        (here / name).write_bytes(b"a checkpoint")
        refused(run, here / name, "export", here / name, "-o", here)
    (here / "card.json").write_text('{"description": "mine"}')
    (here / "a.ckpt").touch()
    card = here / "card.json"
    refused(run, card, "export", here / "a.ckpt", "-o", here, "--card", card)


def test_train(run: Run, here: Path) -> None:
    pytest.importorskip("lightning")
    settings = "name: t\nrecipe: cmdsr\nnetwork: {}\ndata: {photos: p}\n"
    config = here / "a.json"  # which the state a.npz would have beside it
    config.write_text(settings)
    refused(run, config, "train", config, "-o", here / "run", "--state", here / "a.npz")
    for out, state, init in (
        (here, here / "s.npz", "weights.ckpt"),
        (here, here / "s.npz", "step-00000100.ckpt"),
        (here, here / "s.npz", "latest.ckpt"),
        (here / "run", here / "t.npz", "t.json"),
    ):
        (here / init).write_bytes(b"weights")
        command = ("train", config, "-o", out, "--state", state, "--set", f"init={here / init}")
        refused(run, here / init, *command)
    assert not (here / "run").exists()


def test_quantise_and_fit_inspect(make_model: MakeModel, here: Path) -> None:
    """A model whose own graph has the name of what is made."""
    pytest.importorskip("nncf")
    from blindsr.export.quantisation import quantise
    from blindsr.inspection.fit import fit_inspector

    model = make_model()
    card = json.loads((model / "card.json").read_text(encoding="utf-8"))
    for name, make in (("int8.xml", quantise), ("inspect.json", fit_inspector)):
        np_file = model / name
        (model / card["files"]["base"]["path"]).rename(np_file)
        card["files"]["base"]["path"] = name
        card["files"]["weights"] = card["files"]["base"]
        (model / "card.json").write_text(json.dumps(card), encoding="utf-8")
        with pytest.raises(InputError, match="would overwrite"):
            make(model, here)
    assert np.isfinite(Upscaler(model, device="cpu", threads=1).upscale(np.zeros((8, 8), np.float32))).all()
