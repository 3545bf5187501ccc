"""Upscaling needs no PyTorch: it works where none of the training's packages can be imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from .children import finished
from .conftest import MakeModel, add_inspector, made_photo, save_photos

WITHOUT_EXTRAS = """
import importlib.abc, sys

BLOCKED = {"torch", "torchvision", "lightning", "onnx", "onnxscript", "safetensors", "tensorboard", "yaml"}

class Block(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None

sys.meta_path.insert(0, Block())
"""


def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return finished(sys.executable, "-c", code, *arguments)


COMMAND_WITHOUT_EXTRAS = (
    WITHOUT_EXTRAS
    + """
import blindsr
from blindsr.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
assert not BLOCKED & set(sys.modules), BLOCKED & set(sys.modules)
"""
)


def test_upscale_without_pytorch(make_model: MakeModel, tmp_path: Path) -> None:
    Image.fromarray(made_photo(20, 30)).save(tmp_path / "a.png")
    done = run(COMMAND_WITHOUT_EXTRAS, "upscale", str(tmp_path / "a.png"), "--model", str(make_model()))
    assert done.returncode == 0, done.stderr
    assert Image.open(tmp_path / "a_x4.png").size == (120, 80)


@pytest.mark.slow
def test_adapt_and_inspect_without_pytorch(make_model: MakeModel, tmp_path: Path) -> None:
    Image.fromarray(made_photo(20, 30)).save(tmp_path / "a.jpg")
    model, profile = str(add_inspector(make_model())), str(tmp_path / "a.profile")
    for command in (
        ["adapt", str(tmp_path / "a.jpg"), "-o", profile],
        ["inspect", str(tmp_path / "a.jpg"), "--profile", profile],
    ):
        done = run(COMMAND_WITHOUT_EXTRAS, *command, "--model", model)
        assert done.returncode == 0, done.stderr
    assert "last saved at quality 75" in done.stdout


@pytest.mark.slow
def test_a_model_is_pulled_without_pytorch(make_model: MakeModel, tmp_path: Path) -> None:
    """Nor are NumPy and the engine loaded: a folder is copied, and nothing is run."""
    heavy = 'assert not {"numpy", "openvino", "pyvips"} & set(sys.modules)'
    source, place = str(make_model()), tmp_path / "shelf"
    done = run(COMMAND_WITHOUT_EXTRAS + heavy, "pull", source, "--to", str(place), "--name", "mine")
    assert done.returncode == 0, done.stderr
    assert (place / "mine" / "base.onnx").exists()


def test_a_download_is_checked_without_pytorch(tmp_path: Path) -> None:
    save_photos(tmp_path / "Set5", 5, 8, 8)
    done = run(COMMAND_WITHOUT_EXTRAS, "data", "Set5", str(tmp_path))
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_measuring_without_pytorch(tmp_path: Path) -> None:
    save_photos(tmp_path, 4, 300, 400)
    parameters = str(tmp_path / "niqe.npz")
    done = run(COMMAND_WITHOUT_EXTRAS, "fit-niqe", str(tmp_path), "-o", parameters, "--sharpness", "0")
    assert done.returncode == 0, done.stderr
    code = (
        WITHOUT_EXTRAS
        + """
from pathlib import Path
import blindsr
from blindsr.metrics import METRICS, niqe, read_niqe, read_squeeze
from blindsr.picture import read
pixels = read(sys.argv[1]).pixels
assert niqe(pixels, parameters=read_niqe(Path(sys.argv[2]))) > 0
assert all(metric(pixels, pixels, border=4) >= 1 for metric in METRICS.values())
try:
    read_squeeze(Path("features.npz"), Path("heads.pth"))
except blindsr.MissingExtraError as error:
    assert 'LPIPS needs the extra [torch]' in str(error)
else:
    raise AssertionError("LPIPS without PyTorch")
"""
    )
    done = run(code, str(tmp_path / "0.png"), parameters)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_python_face_without_pytorch(make_model: MakeModel) -> None:
    code = (
        WITHOUT_EXTRAS
        + """
import numpy as np, blindsr
rgba = np.arange(8 * 9 * 4, dtype=np.uint8).reshape(8, 9, 4)
assert blindsr.upscale(rgba, model=sys.argv[1]).shape == (32, 36, 4)
try:
    blindsr.Upscaler(sys.argv[1], device="cuda")
except blindsr.MissingExtraError as error:
    assert 'blindsr[torch]' in str(error)
else:
    raise AssertionError("cuda without PyTorch")
"""
    )
    done = run(code, str(make_model()))
    assert done.returncode == 0, done.stderr


def test_pytorch_is_not_imported_even_where_it_is_installed(make_model: MakeModel) -> None:
    code = """
import sys, numpy as np, blindsr
blindsr.upscale(np.zeros((8, 8, 3), np.uint8), model=sys.argv[1], device="cpu")
assert "torch" not in sys.modules
"""
    done = run(code, str(make_model()))
    assert done.returncode == 0, done.stderr


def test_import_alone_loads_nothing_heavy() -> None:
    heavy = {"numpy", "openvino", "pyvips", "torch", "rich"}
    done = run(f"import sys, blindsr; print(sorted({heavy} & set(sys.modules)))")
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_help_loads_nothing_heavy() -> None:
    code = """
import sys
from blindsr.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code
sys.exit(bool({"numpy", "openvino", "pyvips", "torch"} & set(sys.modules)))
"""
    assert run(code, "--help").returncode == 0
