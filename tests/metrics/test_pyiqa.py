"""The door to pyiqa, with a stand-in that has its interface."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from blindsr.errors import InputError, MissingExtraError, ModelError
from blindsr.metrics import installed_metric


class Model:
    """As pyiqa's: batches of RGB in [0, 1], the distorted one first."""

    def __init__(self, mode: str, lower_better: bool) -> None:
        self.metric_mode, self.lower_better = mode, lower_better

    def __call__(self, x: torch.Tensor, y: torch.Tensor | None = None) -> torch.Tensor:
        assert x.shape[:2] == (1, 3)
        assert x.dtype == torch.float32
        return (x if y is None else 2 * x - y).mean(dim=(1, 2, 3))[:, None]


def create_metric(name: str, device: torch.device) -> Model:
    assert device.type == "cpu"
    if name == "offline":
        raise OSError("no route to host")
    return Model("FR", True) if name == "dists" else Model("NR", False)


@pytest.fixture(autouse=True)
def _stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["dists", "musiq", "offline"]
    package = SimpleNamespace(list_models=lambda: names, create_metric=create_metric)
    monkeypatch.setitem(sys.modules, "pyiqa", package)


def test_of_a_picture_alone() -> None:
    metric = installed_metric("musiq")
    assert (metric.compares, metric.higher_is_better) == (False, True)
    picture = np.zeros((9, 9, 3))
    picture[2:-2, 2:-2] = [0.2, 0.4, 0.6]
    assert metric(picture, border=2) == pytest.approx(0.4, abs=1e-6)
    assert metric(picture) < 0.4
    assert metric(np.full((5, 5, 1), 0.1234), quantise=False) == pytest.approx(0.1234)
    assert metric(np.full((5, 5, 1), 0.1234)) == pytest.approx(31 / 255)


def test_of_two_pictures() -> None:
    metric = installed_metric("dists")
    assert (metric.compares, metric.higher_is_better) == (True, False)
    assert metric(np.full((5, 5, 3), 0.6), np.full((5, 5, 3), 0.2)) == pytest.approx(1.0)


def test_what_is_refused() -> None:
    picture = np.zeros((5, 6, 3))
    with pytest.raises(InputError, match="dists needs a ground truth"):
        installed_metric("dists")(picture)
    with pytest.raises(InputError, match="musiq is measured without"):
        installed_metric("musiq")(picture, picture)
    with pytest.raises(InputError, match="same size"):
        installed_metric("dists")(picture, picture[1:])
    with pytest.raises(InputError, match="leaves nothing"):
        installed_metric("musiq")(picture, border=3)
    with pytest.raises(InputError, match=r"no metric 'musik'; did you mean musiq\?"):
        installed_metric("musik")
    with pytest.raises(ModelError, match="cannot set up offline, whose files it downloads: no route"):
        installed_metric("offline")


def test_without_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "pyiqa", None)
    with pytest.raises(MissingExtraError, match=r'the metric musiq .* pip install "blindsr\[pyiqa\]"'):
        installed_metric("musiq")
    monkeypatch.delitem(sys.modules, "pyiqa")
    (tmp_path / "pyiqa.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModelError, match="installed and does not start: operator torchvision::nms"):
        installed_metric("musiq")
