"""The pool of tasks: it holds what `degrade` makes of each, and its batches are of several kinds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from blindsr.checkpoint.reading import read_tensors
from blindsr.dataset import PhotoCache
from blindsr.dataset.cutting import Cutter
from blindsr.dataset.pool import BatchLimits, TaskPoolDataset
from blindsr.degradation import (
    CAMERA,
    REAL,
    REAL_ESRGAN,
    DegradationSpace,
    InjectionBank,
    InjectionSpace,
    MixedSpace,
    TaskSpace,
    TwoStageSpace,
    degrade,
)
from blindsr.errors import ConfigError
from blindsr.picture import find_pictures
from blindsr.training import Progress, load_config, tasks, train, unified
from blindsr.training.pool import GroupDegradation, PairPool
from blindsr.training.unified import UnifiedRecipe

CPU = torch.device("cpu")
BARE = DegradationSpace(blur_probability=0, noise_probability=0)
POOLED = ["data.pool=8", "data.group=2", "data.reuse=1.5", "data.degradations=[real, camera, real-esrgan]"]


def without_jpeg(space: Any) -> TaskSpace:
    """The space, none of whose tasks saves with loss."""
    if isinstance(space, TwoStageSpace):
        stages = {name: replace(getattr(space, name), jpeg_probability=0.0) for name in ("first", "second")}
        return replace(space, **stages)
    return replace(space, jpeg_probability=0.0)  # type: ignore[no-any-return]


@pytest.fixture
def photos(photo_folder: Path, tmp_path: Path) -> PhotoCache:
    return PhotoCache(find_pictures(photo_folder), tmp_path / "cache")


@pytest.fixture(params=["lossless", "jpeg", "injection"])
def space(request: pytest.FixtureRequest) -> MixedSpace:
    """Tasks of all kinds at x2: without JPEG, with it, and with one kind that has no batched form."""
    parts: tuple[Any, ...] = (REAL, CAMERA, REAL_ESRGAN, BARE)
    if request.param == "lossless":
        parts = tuple(without_jpeg(part) for part in parts)
    if request.param == "injection":
        noise = np.random.default_rng(5).normal(0, 0.05, (9, 3, 8, 8)).clip(-1, 1).astype(np.float16)
        kernel, first = np.full((1, 4, 4), 1 / 16, np.float32), np.zeros(9, np.int32)
        bank = InjectionBank(2, kernel, noise, ("photo",), first[:1], first)
        parts = (InjectionSpace(bank), without_jpeg(CAMERA))
    return MixedSpace(parts, scale=2)


@pytest.mark.parametrize("batched", [True, False])
def test_tasks_are_what_degrade_makes(photos: PhotoCache, space: MixedSpace, batched: bool) -> None:
    limits = BatchLimits.of(space, 32) if batched else None
    cutter = Cutter(photos, 32)
    dataset = TaskPoolDataset(
        photos, space, tasks=4, support=3, patch=12, margin=4, steps=30, group=4, pool=16, reuse=1.0, seed=3,
        limits=limits,
    )  # fmt: skip
    pool = PairPool(cutter, GroupDegradation(limits, CPU), 4, 4, 2, CPU, each=6, truths=[0, 1, 3, 4])
    different, largest, total, kinds = 0, 0.0, 0, set()
    for step in (0, 1, 5, 9, 20, 3):
        batch = dataset[step]
        pool.fill(batch, dataset)
        for number in range(*batch.kept):
            crops = dataset.crops(number)
            kinds |= {type(task) for task in crops.tasks}
            hr = cutter(torch.from_numpy(crops.places)).unflatten(0, (4, 6))
            for i, (task, seed) in enumerate(zip(crops.tasks, crops.seeds, strict=True)):
                kept = number % 4 * 4 + i
                assert torch.equal(pool._hr[kept], (hr[i, [0, 1, 3, 4]] * 255).round().to(torch.uint8))
                difference = (pool._lr[kept].float() - degrade(hr[i], task, seed) * 255).abs()
                different, total = different + int((difference > 0.5).sum()), total + difference.numel()
                largest = max(largest, float(difference.max()))
    assert len(kinds) == 2
    saved = any(getattr(part, "jpeg_probability", 1) for part in space.spaces if isinstance(part, type(REAL)))
    if not batched:
        assert largest <= 0.5
    elif saved:
        assert different <= 5e-3 * total  # blocks of JPEG may fall to either side
    else:
        assert largest <= 1.5 and different <= 1e-4 * total


def recipe_of(path: Path, *settings: str) -> UnifiedRecipe:
    torch.manual_seed(0)
    recipe = UnifiedRecipe(load_config(path, list(settings)))  # type: ignore[arg-type]
    recipe.load_data(CPU)
    return recipe


def test_batches_of_a_pool_have_one_shape(unified_config_file: Path) -> None:
    settings = [*POOLED, "data.tasks=3", "data.support=3", "data.restored=2", "data.degrade=batched"]
    recipe = recipe_of(unified_config_file, *settings)
    dataset = recipe.dataset(0)
    for step in range(5):
        inputs = recipe.prepare(dataset[step])
        lr, hr = recipe.halves(inputs)
        assert lr.shape == (6, 3, 3, 16, 16) and hr.shape == (6, 2, 3, 32, 32)
        # The first patches of the first sets lie where the first sets of LR patches lie.
        small = torch.nn.functional.interpolate(hr.flatten(0, 1), size=16, mode="area").unflatten(0, (6, 2))
        away = (lr[:, :2] - small).abs().mean((1, 2, 3, 4))
        swapped = (lr[:, :2] - small.roll(3, 0)).abs().mean((1, 2, 3, 4))
        assert float(away.mean()) < float(swapped.mean())
        assert inputs["negatives"].shape == (3,)


@pytest.mark.slow
@pytest.mark.parametrize("degrade_how", ["batched", "each"])
def test_a_run_on_a_pool_of_tasks_resumes_to_the_last_bit(
    unified_config_file: Path, tmp_path: Path, degrade_how: str
) -> None:
    settings = [*POOLED, f"data.degrade={degrade_how}", "data.workers=1"]
    whole: list[Progress] = []
    train(load_config(unified_config_file, [*settings, "checkpoint_every=4"]), tmp_path / "a",
          report=whole.append)  # fmt: skip
    rest: list[Progress] = []
    train(load_config(unified_config_file, settings), tmp_path / "b", tmp_path / "a" / "step-00000004.ckpt",
          rest.append)  # fmt: skip
    assert [p.losses for p in rest] == [p.losses for p in whole[4:]]
    states = [read_tensors(tmp_path / run / "step-00000006.ckpt")["state"] for run in "ab"]
    assert all(torch.equal(tensor, states[1][name]) for name, tensor in states[0].items())


def test_tasks_of_one_stage_alone_need_no_pool(unified_config_file: Path) -> None:
    mixed = "data.degradations=[{jpeg_probability: 0}, {blur_probability: 0, noise: [0, 9]}]"
    recipes = [recipe_of(unified_config_file, mixed, f"data.degrade={way}") for way in ("batched", "each")]
    assert recipes[0]._batched is not None and recipes[1]._batched is None
    different = total = 0
    for step in range(8):
        pairs = [recipe.halves(recipe.prepare(recipe.dataset(0)[step])) for recipe in recipes]
        torch.testing.assert_close(pairs[0][1], pairs[1][1])
        difference = ((pairs[0][0] - pairs[1][0]).abs() * 255).round()
        assert difference.max() <= 1
        different, total = different + int((difference > 0).sum()), total + difference.numel()
    assert different <= 1e-4 * total


def test_what_a_pool_of_tasks_cannot_be_is_refused(unified_config_file: Path) -> None:
    with pytest.raises(ConfigError, match=r"batched needs a pool .* data\.pool="):
        recipe_of(unified_config_file, "data.degrade=batched")
    for wrong, message in (
        (["data.pool=7"], "a pool of 7 is not of whole groups of 8"),
        (["data.pool=4", "data.group=2", "data.tasks=6"], "holds no batch of 6"),
        (["data.restored=3"], "3 of 2 patches of a support set"),
        (["data.degrade=batch"], r"data\.degrade"),
        (["data.reuse=0"], r"data\.reuse"),
    ):
        with pytest.raises(ConfigError, match=message):
            load_config(unified_config_file, wrong)


def test_without_a_pool_what_has_no_batched_form_is_degraded_one_by_one(
    unified_config_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a GPU, "auto" takes what there is."""
    for module in (tasks, unified):
        monkeypatch.setattr(module, "degrades_in_batches", lambda *_: True)
    recipe = recipe_of(unified_config_file)
    assert recipe._batched is None and "lr" in recipe.prepare(recipe.dataset(0)[0])
    assert recipe_of(unified_config_file, "data.degradations=real")._batched is not None
    assert recipe_of(unified_config_file, *POOLED)._group_limits is not None
