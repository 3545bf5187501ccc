"""Degraded test sets by name: what the papers test on, made twice and made again from their manifests."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from blindsr.degradation import (
    PROTOCOLS,
    Degradation,
    Direct,
    Kernel,
    RandomDegradation,
    TwoStage,
    blur,
    degrade,
    degrade_image,
    degrade_protocol,
    find_tasks,
    gaussian_kernel,
)
from blindsr.degradation.protocols import title_of
from blindsr.errors import InputError

from ..conftest import save_photos

Batch = NDArray[np.float32]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return save_photos(tmp_path / "HR", 2, 50, 61)


def test_what_the_papers_test_on() -> None:
    widths = {
        (name, scale): [getattr(task, "sigma_x", None) for task in find_tasks(name, scale)]
        for name, scale in (("dasr-iso", 4), ("dasr-iso", 2), ("gaussian8", 4), ("gaussian8", 2))
    }
    assert widths["dasr-iso", 4] == [0, 1.2, 2.4, 3.6]
    assert widths["dasr-iso", 2] == [0, 0.6, 1.2, 1.8]
    # Both papers' lists: 1.8, 2.0, ..., 3.2 at x4.
    assert widths["gaussian8", 4] == [1.8, 2.0, 2.2, 2.4, 2.6, 2.8, 3.0, 3.2]
    assert widths["gaussian8", 2][0] == 0.8 and widths["gaussian8", 2][-1] == 1.6
    aniso = find_tasks("dasr-aniso", 4)
    assert len(aniso) == 27 and [title_of(task) for task in aniso[9:11]] == [
        "blur=2x0.2@0,kernel=21,noise=5",
        "blur=2x1@10,kernel=21,noise=5",
    ]
    assert title_of(find_tasks("cmdsr", 4)[0]) == "blur=2.6,kernel=7,noise=15"


def test_an_anisotropic_kernel_has_the_covariance_of_its_sigmas_and_angle() -> None:
    """Turned by the angle from x to the right towards y downwards, the sigmas are standard deviations."""
    task = find_tasks("dasr-aniso", 4)[2]
    assert isinstance(task, Degradation)
    found = gaussian_kernel(task.sigma_x, task.sigma_y, task.angle, 61)
    y, x = np.mgrid[-30:31, -30:31]
    covariance = [[(found * a * b).sum() for b in (x, y)] for a in (x, y)]
    turn = np.array(
        [[math.cos(math.pi / 6), -math.sin(math.pi / 6)], [math.sin(math.pi / 6), math.cos(math.pi / 6)]]
    )
    assert np.abs(np.array(covariance) - turn @ np.diag([3.5**2, 1.5**2]) @ turn.T).max() < 1e-3


def test_direct_downsampling_keeps_the_first_pixel_of_each_block(photo: Batch) -> None:
    task = find_tasks("gaussian8-direct", 4)[0]
    lr = degrade(photo, task, seed=0, quantise=False)
    whole = ndimage.correlate(photo[0, 1].astype(np.float64), gaussian_kernel(1.8, 1.8, 0, 21), mode="mirror")
    assert lr.shape == (1, 3, 24, 16) and np.abs(lr[0, 1] - whole[::4, ::4]).max() < 1e-5
    assert title_of(task) == "gaussian 1.8 (21),direct"
    assert np.array_equal(
        blur(photo, Kernel("gaussian", 21, 1.8, 1.8).pixels())[:, :, ::4, ::4].clip(0, 1), lr
    )
    noisy = degrade(photo, Direct(4, Kernel("gaussian", 21, 1.8, 1.8), noise=10.0), seed=3, quantise=False)
    assert (noisy - lr).std() * 255 == pytest.approx(10, abs=1)
    with pytest.raises(InputError, match="scale of 1 or more"):
        Direct(0, Kernel("gaussian", 21, 1.8, 1.8))


@pytest.mark.parametrize("name", PROTOCOLS)
def test_arrays_and_tensors_give_the_same(name: str, photo: Batch) -> None:
    task = find_tasks(name, 4)[-1]
    first = degrade(photo, task, seed=5, quantise=False)
    second = degrade(torch.from_numpy(photo), task, seed=5, quantise=False)
    # A JPEG within a task rounds: a pixel in a thousand may fall on the other side.
    apart = np.abs(first - second.numpy())
    assert (apart > 1e-4).mean() < (1e-3 if isinstance(task, RandomDegradation) else 1e-9)


def test_every_photo_draws_its_own_and_always_the_same(batch: Batch) -> None:
    (task,) = find_tasks("real-esrgan", 4)
    assert isinstance(task, RandomDegradation) and task.task(1) == task.task(1) != task.task(2)
    whole = degrade(batch, task, seed=7)
    for i in range(len(batch)):
        alone = degrade(batch[i : i + 1], task, seed=7, first_item=i)
        assert np.array_equal(whole[i : i + 1], alone)
    assert task.task(7, 0) != task.task(7, 1)


def test_made_twice_and_again_from_the_manifest(source: Path, tmp_path: Path) -> None:
    for name in ("1", "2"):
        degrade_protocol(source, tmp_path / name, "real-esrgan", 4, seed=3)
    manifest = json.loads((tmp_path / "1" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["protocol"] == "real-esrgan" and "2107.10833" in manifest["source"]
    assert manifest == json.loads((tmp_path / "2" / "manifest.json").read_text(encoding="utf-8"))
    for entry in manifest["photos"]:
        file = tmp_path / "1" / entry["file"]
        assert hashlib.sha256(file.read_bytes()).hexdigest() == entry["sha256"]
        hr = np.asarray(Image.open(source / entry["source"]), np.float32)[:48, :60] / 255
        again = degrade_image(hr, TwoStage.from_dict(entry["degradation"]), entry["seed"])
        assert np.array_equal(np.asarray(Image.open(file)), np.rint(again * 255))
    assert manifest["photos"][0]["degradation"] != manifest["photos"][1]["degradation"]


def test_each_task_has_a_folder_and_a_manifest(source: Path, tmp_path: Path) -> None:
    out = source / "LR"  # inside the source: what one task made is no photo for the next
    records = degrade_protocol(source, out, "dasr-iso", 4, seed=0)
    folders = sorted(path.name for path in out.iterdir())
    assert folders == ["bicubic", *(f"blur={w},kernel=21" for w in (1.2, 2.4, 3.6))]
    assert len(records) == 8 and all((out / folder / "manifest.json").is_file() for folder in folders)
    manifest = json.loads((out / folders[1] / "manifest.json").read_text(encoding="utf-8"))
    assert Degradation.from_dict(manifest["degradation"]).sigma_x == 1.2
    assert "degradation" not in manifest["photos"][0]


def test_what_is_not_defined_is_refused() -> None:
    with pytest.raises(InputError, match="did you mean 'dasr-iso'"):
        find_tasks("dasr_iso", 4)
    with pytest.raises(InputError, match="its scales are 4, not 2"):
        find_tasks("dasr-aniso", 2)
