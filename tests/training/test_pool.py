"""The pool of pairs: it holds what `degrade` makes, and LR and HR are cut and turned alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from blindsr.checkpoint.reading import read_tensors
from blindsr.dataset import PhotoCache
from blindsr.dataset.cutting import Cutter
from blindsr.dataset.pool import BatchLimits, PoolDataset
from blindsr.degradation import CAMERA, REAL, MixedSpace, degrade
from blindsr.errors import ConfigError
from blindsr.picture import find_pictures
from blindsr.training import Progress, load_config, train
from blindsr.training.pool import GroupDegradation, PairPool

CPU = torch.device("cpu")
SPACE = MixedSpace((REAL, CAMERA), scale=2)


@pytest.fixture
def photos(photo_folder: Path, tmp_path: Path) -> PhotoCache:
    return PhotoCache(find_pictures(photo_folder), tmp_path / "cache")


def dataset_of(photos: PhotoCache, limits: BatchLimits | None) -> PoolDataset:
    return PoolDataset(
        photos,
        SPACE,
        batch=6,
        patch=12,
        margin=4,
        steps=30,
        group=4,
        pool=16,
        reuse=2.0,
        seed=3,
        limits=limits,
    )


@pytest.mark.parametrize("batched", [True, False])
def test_pairs_are_what_degrade_makes(photos: PhotoCache, batched: bool) -> None:
    limits = BatchLimits.of(SPACE, 32) if batched else None
    dataset, cutter = dataset_of(photos, limits), Cutter(photos, 32)
    pool = PairPool(cutter, GroupDegradation(limits, CPU), slots=4, group=4, scale=2, device=CPU)
    different = total = 0
    for step in (0, 1, 2, 9, 3):
        batch = dataset[step]
        pool.fill(batch, dataset)
        for number in range(*batch.kept):
            crops = dataset.crops(number)
            hr = cutter(torch.from_numpy(crops.places))
            pairs = zip(hr.split(1), crops.tasks, crops.seeds, strict=True)
            lr = torch.cat([degrade(image, task, seed) for image, task, seed in pairs])
            place = slice(number % 4 * 4, number % 4 * 4 + 4)
            assert torch.equal(pool._hr[place, 0], (hr * 255).round().to(torch.uint8))
            difference = (pool._lr[place, 0].float() - lr * 255).abs()
            different, total = different + int((difference > 0.5).sum()), total + difference.numel()
    assert different <= (5e-3 if batched else 0) * total  # blocks of JPEG may fall to either side


def test_patches_are_cut_and_turned_alike(photos: PhotoCache) -> None:
    dataset, cutter = dataset_of(photos, None), Cutter(photos, 32)
    pool = PairPool(cutter, GroupDegradation(None, CPU), slots=4, group=4, scale=2, device=CPU)
    batch = dataset[5]
    pool.fill(batch, dataset)
    # LR that tells where it was.
    pool._lr = torch.nn.functional.max_pool2d(pool._hr[:, 0].float(), 2).to(torch.uint8)[:, None]
    drawn = pool.draw(*(torch.from_numpy(a) for a in (batch.picks, batch.offset, batch.poses)), 12)  # type: ignore[call-arg]
    lr, hr = (patches[:, 0] for patches in drawn)
    assert lr.shape == (6, 3, 12, 12) and hr.shape == (6, 3, 24, 24)
    torch.testing.assert_close(lr, torch.nn.functional.max_pool2d(hr, 2))
    for i, (pick, (top, left), (mirrored, flipped, transposed)) in enumerate(
        zip(batch.picks, batch.offset, batch.poses, strict=True)
    ):
        patch = pool._lr[pick, 0].numpy()[:, top : top + 12, left : left + 12]
        patch = patch[:, :, ::-1] if mirrored else patch
        patch = patch[:, ::-1] if flipped else patch
        patch = patch.transpose(0, 2, 1) if transposed else patch
        np.testing.assert_array_equal((lr[i] * 255).round().numpy(), patch)


@pytest.fixture
def pool_file(cria_config_file: Path, tmp_path: Path) -> Path:
    content: dict[str, Any] = yaml.safe_load(cria_config_file.read_text())
    content["data"] |= {
        "degradations": ["real", "camera"], "group": 2, "pool": 8, "reuse": 1.5, "degrade": "batched",
    }  # fmt: skip
    path = tmp_path / "pool.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_a_run_on_a_pool_resumes_to_the_last_bit(pool_file: Path, tmp_path: Path) -> None:
    whole: list[Progress] = []
    train(load_config(pool_file, ["checkpoint_every=3"]), tmp_path / "a", report=whole.append)
    rest: list[Progress] = []
    train(load_config(pool_file), tmp_path / "b", tmp_path / "a" / "step-00000003.ckpt", rest.append)
    assert [p.losses for p in rest] == [p.losses for p in whole[3:]]
    states = [read_tensors(tmp_path / run / "step-00000006.ckpt")["state"] for run in "ab"]
    assert all(torch.equal(tensor, states[1][name]) for name, tensor in states[0].items())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("data.pool=7", "a pool of 7 is not of whole groups of 2, or holds no batch of 2"),
        ("data.batch=10", "a pool of 8 .* holds no batch of 10"),
        ("data.reuse=0.5", r"data\.reuse"),
        ("data.pool=0", "batched needs a pool"),
        ("data={pairs: City100, pool: 4, group: 2, batch: 2}", "not of pairs"),
    ],
)
def test_a_pool_holds_whole_groups_and_a_batch(pool_file: Path, wrong: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(pool_file, [wrong])
