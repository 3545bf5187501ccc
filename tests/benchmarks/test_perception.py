"""The tables of looks: what meets, how sure the numbers are, and what is not restored twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from blindsr.errors import InputError
from blindsr.evaluation.benchmarks import folder_benchmark
from blindsr.evaluation.methods import Method
from blindsr.evaluation.metric_specs import METRIC_SPECS
from blindsr.evaluation.runner import Result

from ..conftest import MakeModel, made_photo


@pytest.fixture(scope="module")
def perception(benchmark: Callable[[str], ModuleType]) -> ModuleType:
    return benchmark("perception")


@pytest.fixture(scope="module")
def kept(benchmark: Callable[[str], ModuleType]) -> ModuleType:
    return benchmark("kept")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three photos to be degraded."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for seed in range(3):
        Image.fromarray(made_photo(64, 80, seed)).save(folder / f"{seed}.png")
    return folder


class Repeater:
    """Enlarges by repeating pixels, and counts how often it is asked."""

    scale = 4

    def __init__(self) -> None:
        self.times = 0

    def restore(self, lr: np.ndarray, scale: int) -> np.ndarray:
        self.times += 1
        return lr.repeat(scale, 0).repeat(scale, 1) * np.float32(0.987)


def test_a_mean_and_its_error_count_pictures_not_draws(perception: ModuleType) -> None:
    values = np.array([[1.0, 2.0, 6.0], [3.0, 2.0, 4.0]])  # two draws of three pictures: means 2, 2, 5
    found = perception.Estimate.of(values)
    assert found.mean == pytest.approx(3)
    assert found.error == pytest.approx(np.std([2, 2, 5], ddof=1) / np.sqrt(3))
    again = perception.Estimate.of(np.concatenate([values, values]))
    assert again == found  # the same draws once more are no news
    assert np.isnan(perception.Estimate.of(values[:, :1]).error)
    assert found.write(1, "+") == "+3.0 ± 1.0"


def test_only_what_is_drawn_comes_again(perception: ModuleType, photos: Path) -> None:
    found = perception.cells(folder_benchmark("own", str(photos), 4, True), list(perception.CASES)[:5], 4)
    counts = {case: len(cell.benchmark.samples) for case, cell in found.items()}
    assert counts == {"clean": 3, "camera": 12, "real-esrgan": 12, "noise15": 12, "jpeg40": 3}
    assert found["noise15"].degradation.noise == 15
    assert found["jpeg40"].degradation.jpeg == 40
    with pytest.raises(InputError, match=r"--cases nois: there are clean, camera"):
        perception.cells(folder_benchmark("own", str(photos), 4, True), ["nois"], 4)


def test_leads_are_paired_by_photo_and_draw(perception: ModuleType) -> None:
    """A model that is always better by one has a lead without error, however much the pictures differ."""
    values = np.array([20.0, 35.0, 28.0, 21.0, 33.0, 30.0])

    def results(title: str, lead: float) -> list[Result]:
        return [
            Result("own", "x", str(i % 3), title, scores={"psnr": v + lead}) for i, v in enumerate(values)
        ]

    specs = [METRIC_SPECS["psnr"]]
    scores = perception.scores_of(results("theirs", 0) + results("ours", 1), specs, pictures=3)
    assert scores["ours"]["psnr"].shape == (2, 3)
    lines = perception.table(scores, specs, "theirs").splitlines()
    assert lines[0] == "| | PSNR (dB) |"
    assert lines[2].startswith("| theirs | 27.83 ± ")
    assert lines[4] == "| &nbsp; less theirs | +1.00 ± 0.00 |"
    failed = [*results("theirs", 0), Result("own", "x", "0", "ours", error="no memory")]
    with pytest.raises(InputError, match=r"1 pictures failed; the first: no memory"):
        perception.scores_of(failed, specs, pictures=3)


def test_what_is_kept_is_not_restored_again(kept: ModuleType, tmp_path: Path) -> None:
    repeater, other = Repeater(), Repeater()
    lr = made_photo(12, 16).astype(np.float32) / 255
    first = kept.kept(Method("slow", "a", lambda: repeater), tmp_path).load()
    once, again = first.restore(lr, 4), first.restore(lr, 4)
    assert repeater.times == 2  # of which the first warmed it up
    assert np.array_equal(once, again)
    expected = np.round(repeater.restore(lr, 4) * 255)
    assert np.array_equal(np.round(once * 255), expected)
    later = kept.kept(Method("called otherwise", "a", lambda: other), tmp_path).load()
    assert np.array_equal(later.restore(lr, 4), once) and other.times == 0
    changed = lr.copy()
    changed[0, 0, 0] += np.float32(1 / 255)
    assert not np.array_equal(later.restore(changed, 4), once) and other.times == 2
    different = kept.kept(Method("slow", "another file", lambda: other), tmp_path).load()
    different.restore(lr, 4)
    assert other.times == 4
    assert different.scale == 4


def test_the_photos_kept_back_are_cut_to_their_middle(perception: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    for i in range(9):  # eight are kept back: all but the last
        Image.fromarray(made_photo(40, 600 if i == 0 else 56, i)).save(tmp_path / "train" / f"{i}.png")
    folder = perception.cut_kept_back(tmp_path, tmp_path / "cut")
    assert [file.name for file in sorted(folder.iterdir())] == [f"{i}.png" for i in range(8)]
    with Image.open(folder / "0.png") as image:
        assert np.array_equal(np.asarray(image), made_photo(40, 600, 0)[:, 44:556])
    with Image.open(folder / "1.png") as image:
        assert np.array_equal(np.asarray(image), made_photo(40, 56, 1))
    smaller = perception.cut_kept_back(tmp_path, tmp_path / "cut", largest=32)
    with Image.open(smaller / "1.png") as image:
        assert smaller.name == "cut-32" and np.array_equal(
            np.asarray(image), made_photo(40, 56, 1)[4:36, 12:44]
        )


def test_the_command(
    perception: ModuleType,
    photos: Path,
    make_model: MakeModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(perception, "QUALITY_RECORDS", tmp_path / "records.jsonl")
    app = typer.Typer()
    app.command()(perception.main)
    folder = make_model(scale=4)
    options = ["--data", f"own={photos}", "--peer", "none", "--metrics", str(tmp_path), "--threads", "1"]
    models = ["--model", "bicubic", "--model", str(folder)]
    written = tmp_path / "values.json"
    options += ["--draws", "2", "--json", str(written), "--photos", "2"]
    told = CliRunner().invoke(app, [*options, *models, "--cases", "clean,noise15"])
    assert told.exit_code == 0, told.output
    assert "own, clean: 2 pictures, 1 draws" in told.stdout
    assert "own, noise15: 2 pictures, 2 draws" in told.stdout
    values = json.loads(written.read_text())["own"]["noise15"]["bicubic"]["psnr"]
    assert np.shape(values) == (2, 2)
    assert values[0] != values[1]  # another draw
    size = (tmp_path / "records.jsonl").stat().st_size
    again = CliRunner().invoke(app, [*options, *models, "--cases", "clean,noise15"])
    assert again.stdout == told.stdout
    assert (tmp_path / "records.jsonl").stat().st_size == size
    wrong = CliRunner().invoke(app, [*options, *models, "--reference", "nobody"])
    assert wrong.exit_code == 2
    assert "perception: --reference nobody: there are bicubic" in wrong.output


def test_ours_run_in_fp32_unless_told(perception: ModuleType, make_model: MakeModel) -> None:
    folder = str(make_model(texture=0.5))
    found = perception.methods_of([folder], [0.5, 1], [], Path(), 1)
    assert [method.title for method in found] == ["tiny@texture=0.5,fp32", "tiny@texture=1,fp32"]
    (own,) = perception.methods_of([f"{folder}@fp32"], [], [], Path(), 1)
    assert own.title == "tiny@fp32"
    assert replace(own).identity == perception.methods_of([folder], [], [], Path(), 1)[0].identity
