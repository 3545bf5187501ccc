"""What is measured under which convention, and measures that need files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from blindsr.errors import InputError, MissingExtraError, ModelError
from blindsr.evaluation.metric_specs import Convention, find_metric_specs, metric_specs_from
from blindsr.metrics import (
    fit_niqe,
    lpips,
    niqe,
    read_niqe,
    read_squeeze,
    without_grid,
    write_niqe,
)
from blindsr.metrics.niqe import FEATURES
from blindsr.picture import quantise

from ..conftest import made_photo
from ..metrics.conftest import random_features, random_heads


@pytest.fixture
def parameters(tmp_path: Path) -> Path:
    write_niqe(fit_niqe(np.random.default_rng(0).normal(size=(200, FEATURES))), tmp_path / "niqe.npz")
    return tmp_path / "niqe.npz"


def test_niqe_and_lpips_see_the_whole_picture(tmp_path: Path, parameters: Path) -> None:
    import torch

    features, heads = tmp_path / "features.npz", tmp_path / "heads.pth"
    np.savez(features, **random_features())
    torch.save(random_heads(), heads)
    known = metric_specs_from(parameters, (features, heads))
    assert list(known) == ["psnr", "ssim", "niqe", "lpips", "lpips-no-grid"]
    restored, truth = (made_photo(200, 200, seed).astype(np.float32) / 255 for seed in (0, 1))
    convention = Convention("y", border=40)
    judged, looks = known["niqe"], known["lpips"]
    assert judged.of(restored, None, convention) == niqe(restored, parameters=read_niqe(parameters))
    expected = lpips(restored, truth, network=read_squeeze(features, heads))
    assert looks.of(restored, truth, convention) == pytest.approx(expected, abs=1e-6)
    assert not judged.needs_truth and looks.needs_truth
    assert not judged.higher_is_better and not looks.higher_is_better


def test_lpips_without_the_grid_is_of_saved_pictures(tmp_path: Path) -> None:
    import torch

    features, heads = tmp_path / "features.npz", tmp_path / "heads.pth"
    np.savez(features, **random_features())
    torch.save(random_heads(), heads)
    looks = metric_specs_from(lpips=(features, heads))["lpips-no-grid"]
    restored, truth = (made_photo(64, 64, seed).astype(np.float32) / 255 for seed in (0, 1))
    restored[::2, ::2] += np.float32(3.3 / 255)
    network = read_squeeze(features, heads)
    for scale in (2, 4):
        cleaned = without_grid(quantise(restored, 8) / np.float32(255), period=scale).clip(0, 1)
        expected = lpips(cleaned, truth, network=network, quantise=False)
        assert looks.of(restored, truth, Convention().at(scale)) == pytest.approx(expected, abs=1e-6)
    assert not looks.higher_is_better and looks.needs_truth


def test_the_period_is_the_scale_unless_told() -> None:
    assert Convention().at(3) == Convention(border=3, period=3)
    assert Convention(border=5).at(3) == Convention(border=5, period=3)
    assert Convention(period=2, beyond=6).at(4) == Convention(border=10, period=2)


def test_other_parameters_are_another_measure(tmp_path: Path, parameters: Path) -> None:
    first = metric_specs_from(parameters)["niqe"]
    write_niqe(fit_niqe(np.random.default_rng(1).normal(size=(200, FEATURES))), tmp_path / "other.npz")
    other = metric_specs_from(tmp_path / "other.npz")["niqe"]
    assert first.key(Convention()) != other.key(Convention())
    assert first.key(Convention()) == metric_specs_from(parameters)["niqe"].key(Convention())


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    for name, option in (("niqe", "niqe"), ("lpips", "lpips"), ("lpips-no-grid", "lpips")):
        with pytest.raises(InputError, match=f"metric {name}: needs .*give --{option}"):
            find_metric_specs([name])
    with pytest.raises(ModelError, match="no such file"):
        metric_specs_from(lpips=(tmp_path / "no.npz", tmp_path / "no.pth"))


@pytest.mark.parametrize(("name", "package"), [("lpips-alex", "lpips"), ("pyiqa:musiq", "pyiqa")])
def test_packages_of_others_are_named(name: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, package, None)
    with pytest.raises(MissingExtraError, match=rf"blindsr\[{package}\]"):
        find_metric_specs([name])
