"""What is measured under which convention, and measures that need files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from blindsr.errors import InputError, MissingExtraError, ModelError
from blindsr.evaluation.measures import Convention, find_measures, measures_from
from blindsr.evaluation.metrics import fit_niqe, lpips, niqe, read_niqe, read_squeeze, write_niqe
from blindsr.evaluation.metrics.niqe import FEATURES

from ..conftest import made_photo
from .metrics.conftest import random_features, random_heads


@pytest.fixture
def parameters(tmp_path: Path) -> Path:
    write_niqe(fit_niqe(np.random.default_rng(0).normal(size=(200, FEATURES))), tmp_path / "niqe.npz")
    return tmp_path / "niqe.npz"


def test_niqe_and_lpips_see_the_whole_picture(tmp_path: Path, parameters: Path) -> None:
    import torch

    features, heads = tmp_path / "features.npz", tmp_path / "heads.pth"
    np.savez(features, **random_features())
    torch.save(random_heads(), heads)
    known = measures_from(parameters, (features, heads))
    assert list(known) == ["psnr", "ssim", "niqe", "lpips"]
    restored, truth = (made_photo(200, 200, seed).astype(np.float32) / 255 for seed in (0, 1))
    convention = Convention("y", border=40)
    judged, looks = known["niqe"], known["lpips"]
    assert judged.of(restored, None, convention) == niqe(restored, parameters=read_niqe(parameters))
    expected = lpips(restored, truth, network=read_squeeze(features, heads))
    assert looks.of(restored, truth, convention) == pytest.approx(expected, abs=1e-6)
    assert not judged.needs_truth and looks.needs_truth
    assert not judged.higher_is_better and not looks.higher_is_better


def test_other_parameters_are_another_measure(tmp_path: Path, parameters: Path) -> None:
    first = measures_from(parameters)["niqe"]
    write_niqe(fit_niqe(np.random.default_rng(1).normal(size=(200, FEATURES))), tmp_path / "other.npz")
    other = measures_from(tmp_path / "other.npz")["niqe"]
    assert first.key(Convention()) != other.key(Convention())
    assert first.key(Convention()) == measures_from(parameters)["niqe"].key(Convention())


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    for name in ("niqe", "lpips"):
        with pytest.raises(InputError, match=f"metric {name}: needs .*give --{name}"):
            find_measures([name])
    with pytest.raises(ModelError, match="no such file"):
        measures_from(lpips=(tmp_path / "no.npz", tmp_path / "no.pth"))


@pytest.mark.parametrize(("name", "package"), [("lpips-alex", "lpips"), ("pyiqa:musiq", "pyiqa")])
def test_packages_of_others_are_named(name: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, package, None)
    with pytest.raises(MissingExtraError, match=rf"blindsr\[{package}\]"):
        find_measures([name])
