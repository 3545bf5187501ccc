"""Every script of examples/ runs as it is, on small made photos and models called as the shipped ones."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import blindsr
from blindsr.picture import Picture

from .children import finished
from .conftest import add_inspector, made_photo, save_photos, write_model

FOLDER = Path(__file__).resolve().parents[1] / "examples"
SCRIPTS = sorted(script.stem for script in FOLDER.glob("*.py"))

Example = Callable[..., str]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small models with the names of the shipped ones."""
    folder = tmp_path_factory.mktemp("models")
    add_inspector(write_model(folder / "cmdsr-x4"))
    write_model(folder / "cria-x4-compact", adaptive=False, texture=0.85)
    return folder


@pytest.fixture
def example(models: Path, tmp_path: Path) -> Example:
    """Runs a script in a folder with three photos, 0.png to 2.png, and gives what it prints."""
    save_photos(tmp_path, 3, 40, 56)

    def run(name: str, *arguments: str) -> str:
        done = finished(
            sys.executable,
            FOLDER / f"{name}.py",
            *arguments,
            cwd=tmp_path,
            env={"BLINDSR_MODELS": str(models)},
        )
        assert done.returncode == 0, done.stderr
        return str(done.stdout)

    return run


def test_one_photo(example: Example, tmp_path: Path) -> None:
    assert example("one_photo", "0.png") == "<Picture 224x160 RGB, 8 bit>\n"
    assert Image.open(tmp_path / "0_x4.png").size == (224, 160)
    assert "blindsr-comparison" in (tmp_path / "0.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_folder_with_one_adaptation(example: Example, tmp_path: Path) -> None:
    save_photos(tmp_path / "photos", 4, 24, 32)
    told = example("folder", "photos", "restored")
    assert told.count("done: 32x24 to 128x96") == 4
    assert sorted(one.name for one in (tmp_path / "restored").iterdir()) == [f"{i}_x4.png" for i in range(4)]


@pytest.mark.slow
def test_a_camera_s_profile_made_and_used(example: Example, tmp_path: Path) -> None:
    made = example("camera_profile", "0.png", "a.profile", "1.png", "2.png", "missing.png")
    assert "left out: missing.png: " in made and "to 2 photos>: blur of " in made
    first = (tmp_path / "0.restored.png").read_bytes()
    used = example("camera_profile", "0.png", "a.profile")
    assert "to 2 photos>" in used and (tmp_path / "0.restored.png").read_bytes() == first


@pytest.mark.slow
def test_sixteen_bit_with_alpha(example: Example, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).random((20, 30, 3), np.float32)
    alpha = np.linspace(0, 1, 600, dtype=np.float32).reshape(20, 30)
    Picture(pixels, alpha=alpha, bit_depth=16, dpi=(300, 300)).save(tmp_path / "scan.tif")
    assert example("sixteen_bit", "scan.tif").splitlines()[1] == (
        "scan.x4.tif: <Picture 120x80 RGB with alpha, 16 bit, XMP>"
    )
    assert blindsr.read(tmp_path / "scan.x4.tif").dpi == pytest.approx((300, 300))


@pytest.mark.slow
def test_arrays(example: Example) -> None:
    told = example("arrays", "0.png")
    assert re.fullmatch(
        r"array: \(160, 224, 3\)\nfloats: float32 [01]\.\d\d to [01]\.\d\d\nimage: \(224, 160\) uint16\n"
        r"bytes: <Picture 224x160 RGB, 8 bit>\n",
        told,
    ), told


@pytest.mark.slow
def test_threads(example: Example, tmp_path: Path) -> None:
    names = [f"{i}.png" for i in range(3)]
    assert example("threads", *names).splitlines() == [f"{i}.png -> {i}.x4.png" for i in range(3)]
    assert {Image.open(tmp_path / f"{i}.x4.png").size for i in range(3)} == {(224, 160)}


@pytest.mark.slow
def test_degrade_and_measure(example: Example, tmp_path: Path) -> None:
    Image.fromarray(made_photo(97, 130)).save(tmp_path / "sharp.png")
    lines = example("degrade_and_measure", "sharp.png").splitlines()
    assert [line.partition(":")[0] for line in lines] == ["cmdsr-x4", "cria-x4-compact"]
    assert all(float(line.split()[2]) > 10 for line in lines)


@pytest.mark.slow
def test_ten_steps_of_training(example: Example, tmp_path: Path) -> None:
    save_photos(tmp_path / "sharp", 3, 130, 150)
    lines = example("train_ten_steps", "sharp", "run").splitlines()
    assert [line.partition(":")[0] for line in lines[:2]] == ["step 5", "step 10"]
    assert lines[2] == "<Model 'tiny-x4', x4, adapts to photos> <Picture 600x520 RGB, 8 bit>"


def test_each_script_has_a_test_and_a_line_in_the_list() -> None:
    listed = re.findall(r"\| \[(\w+)\.py\]\(\1\.py\)", (FOLDER / "README.md").read_text(encoding="utf-8"))
    assert sorted(listed) == SCRIPTS
    tried = re.findall(r'example\("(\w+)"', Path(__file__).read_text(encoding="utf-8"))
    assert sorted({*tried, "train_on_ray"}) == SCRIPTS  # tests/training/test_processes.py runs that one
