"""Two-stage tasks of a batch are those of `degrade`, image by image, without a loop."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from blindsr.degradation import SPACES, Kernel, Stage, TwoStage, TwoStageSpace, degrade
from blindsr.degradation.batched import Resizing, TwoStageBatch, TwoStageLimits, share_sizes
from blindsr.errors import InputError

Images = Callable[[int, int], Tensor]
Tensors = Callable[[Any], dict[str, Tensor]]
Launches = Callable[[Callable[[], object]], tuple[int, set[str]]]

#: Every way in which an image may differ from its neighbours in the batch.
MIXED = [
    TwoStage(),
    TwoStage(first=Stage(Kernel("gaussian", 21, 2.0, 0.7, 0.5), noise=10)),
    TwoStage(first=Stage(Kernel("plateau", 7, 1.0, 1.0, beta=2.0), poisson=20, gray_noise=True)),
    TwoStage(second=Stage(Kernel("generalised", 9, 1.0, 1.0, beta=0.6), noise=10, gray_noise=True)),
    TwoStage(second=Stage(poisson=15), sinc=Kernel("sinc", 21, cutoff=math.pi / 3)),
    TwoStage(first=Stage(jpeg=40)),
    TwoStage(second=Stage(jpeg=60), jpeg_last=False),
    TwoStage(second=Stage(jpeg=90), jpeg_last=True),
    TwoStage(
        first=Stage(Kernel("sinc", 13, cutoff=2.0), noise=1, poisson=1, jpeg=95),
        second=Stage(Kernel("gaussian", 7, 0.4, 0.4), noise=2, gray_noise=True, jpeg=95),
        sinc=Kernel("sinc", 7, cutoff=3.0),
        jpeg_last=False,
    ),
]


def one_by_one(hr: Tensor, tasks: Sequence[TwoStage], seeds: list[int], items: list[int]) -> Tensor:
    """The reference."""
    rows = zip(range(len(hr)), tasks, seeds, items, strict=True)
    return torch.cat([degrade(hr[i : i + 1], task, seed, first_item=item) for i, task, seed, item in rows])


def space(name: str, scale: int = 4) -> TwoStageSpace:
    """A space by its name."""
    chosen = SPACES[name]
    assert isinstance(chosen, TwoStageSpace)
    return dataclasses.replace(chosen, scale=scale)


def draw(chosen: TwoStageSpace, count: int, seed: int = 1) -> tuple[list[TwoStage], list[int], list[int]]:
    """Tasks that share their sizes, seeds and numbers of images."""
    rng = np.random.default_rng(seed)
    tasks = share_sizes([chosen.sample(rng) for _ in range(count)])
    seeds = [int(seed) for seed in rng.integers(-(2**40), 2**40, count)]
    return tasks, seeds, [int(item) for item in rng.integers(0, 99, count)]


def unsaved(task: TwoStage) -> TwoStage:
    """The task without JPEG."""
    first, second = (dataclasses.replace(stage, jpeg=None) for stage in (task.first, task.second))
    return dataclasses.replace(task, first=first, second=second)


@pytest.mark.parametrize("saved", [False, True], ids=["lossless", "jpeg"])
@pytest.mark.parametrize(("scale", "side"), [(4, 128), (2, 96)])
@pytest.mark.parametrize("name", ["real-esrgan", "camera"])
def test_is_degrade_image_by_image(
    name: str, scale: int, side: int, saved: bool, images: Images, tensors: Tensors
) -> None:
    chosen, hr, differences = space(name, scale), images(12, side), []
    batch = TwoStageBatch(TwoStageLimits.of([chosen], side))
    for seed in range(4):
        tasks, seeds, items = draw(chosen, 12, seed)
        tasks = tasks if saved else [unsaved(task) for task in tasks]
        columns = tensors(batch.columns(tasks, seeds, items))
        result = batch(hr, columns, Resizing.of(tasks[0], side))
        assert result.shape == (12, 3, side // scale, side // scale) and result.dtype == torch.float32
        differences.append(((result - one_by_one(hr, tasks, seeds, items)) * 255).abs().round())
    difference = torch.cat(differences)
    if saved:
        # Where a level or a coefficient falls to the other side by float32's accuracy, JPEG makes blocks of
        # differences of it, in a few images of a hundred; as it does between arrays and tensors.
        assert (difference > 0).float().mean() < 1e-2 and difference.mean() < 2e-2
        assert (difference > 0).flatten(1).any(dim=1).float().mean() < 0.25
    else:
        assert difference.max() <= 1 and (difference > 0).float().mean() < 1e-4


@pytest.mark.parametrize("factors", [(0.6, 1.1), (1.0, 1.0), (0.25, 1.0), (1.2, 0.5)])
@pytest.mark.parametrize("filter", ["area", "bilinear", "bicubic"])
def test_neighbours_of_other_kinds_do_not_matter(
    filter: str, factors: tuple[float, float], images: Images, tensors: Tensors
) -> None:
    first = TwoStage(
        4, Stage(resize=factors[0], filter=filter), Stage(resize=factors[1], filter=filter), filter
    )
    tasks = share_sizes([first, *MIXED])
    hr, seeds, items = images(len(tasks), 96), list(range(len(tasks))), [3] * len(tasks)
    batch, resizing = TwoStageBatch(TwoStageLimits(4, 96)), Resizing.of(first, 96)
    result = batch(hr, tensors(batch.columns(tasks, seeds, items)), resizing)
    difference = ((result - one_by_one(hr, tasks, seeds, items)) * 255).abs().round()
    assert difference[:6].max() <= 1 and (difference > 0).float().mean() < 2e-3
    some = batch(hr[3:5], tensors(batch.columns(tasks[3:5], seeds[3:5], items[3:5])), resizing)
    torch.testing.assert_close(some, result[3:5], rtol=0, atol=1.01 / 255)


@pytest.mark.parametrize("name", ["real-esrgan", "camera"])
def test_waits_for_nothing_and_launches_little(
    name: str, images: Images, tensors: Tensors, launches: Launches
) -> None:
    chosen, hr = space(name), images(16, 96)
    tasks, seeds, items = draw(chosen, 16)
    batch, resizing = TwoStageBatch(TwoStageLimits.of([chosen], 96)), Resizing.of(tasks[0], 96)
    columns = tensors(batch.columns(tasks, seeds, items))
    few = tensors(batch.columns(tasks[:3], seeds[:3], items[:3]))
    batch(hr, columns, resizing)  # makes the tables of these sizes
    count, host = launches(lambda: batch(hr, columns, resizing))
    assert not host
    assert launches(lambda: batch(hr[:3], few, resizing))[0] == count
    assert 5 * count < launches(lambda: one_by_one(hr, tasks, seeds, items))[0]


def test_values_are_never_looked_at(tensors: Tensors, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tensors of shapes alone will do: nothing depends on values, and nothing is left on another device."""
    # PyTorch has no autocast to switch off for such tensors.
    monkeypatch.setattr("blindsr.degradation.batched.two_stage.full_precision", lambda _: torch.no_grad())
    tasks, seeds, items = draw(space("camera"), 5)
    batch = TwoStageBatch(TwoStageLimits(4, 96), "meta")
    columns = {name: c.to("meta") for name, c in tensors(batch.columns(tasks, seeds, items)).items()}
    result = batch(torch.empty(5, 3, 96, 96, device="meta"), columns, Resizing.of(tasks[0], 96))
    assert result.shape == (5, 3, 24, 24)


def test_shared_sizes_leave_everything_else_alone() -> None:
    rng = np.random.default_rng(0)
    drawn = [space("real-esrgan").sample(rng) for _ in range(20)]
    shared = share_sizes(drawn)
    assert shared[0] == drawn[0] and len({Resizing.of(task, 160) for task in shared}) == 1
    for before, after in zip(drawn, shared, strict=True):
        assert share_sizes([before, after])[1] == before


def test_limits_hold_every_task_of_their_spaces() -> None:
    limits = TwoStageLimits.of([space("real-esrgan"), space("camera")], 160)
    assert limits == TwoStageLimits(4, 160, 21)
    limits.columns(*draw(space("real-esrgan"), 50))
    for spaces in ([], [space("camera"), space("camera", 2)]):
        with pytest.raises(InputError, match="at least one space, and one scale"):
            TwoStageLimits.of(spaces, 160)


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (TwoStage(2), "task 1 has the scale 2, the batch 4"),
        (TwoStage(sinc=Kernel("sinc", 23, cutoff=1.0)), "task 1 has a kernel of 23 pixels.* 21"),
        (TwoStage(first=Stage(Kernel("gaussian", 25, 1, 1))), "task 1 has a kernel of 25 pixels.* 21"),
        (TwoStage(second=Stage(resize=0.7)), "task 1 is resized by .*share_sizes"),
        (TwoStage(filter="area"), "task 1 is resized by .*share_sizes"),
        (Stage(), "task 1 must be a TwoStage"),
    ],
)
def test_what_does_not_fit_is_named(task: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        TwoStageLimits(4, 96).columns([TwoStage(), task], [0, 0])
    with pytest.raises(InputError, match="every image needs"):
        TwoStageLimits(4, 96).columns([TwoStage()], [0, 0])


def test_images_and_sizes_of_another_batch_are_refused(tensors: Tensors) -> None:
    batch = TwoStageBatch(TwoStageLimits(4, 96))
    columns = tensors(batch.columns([TwoStage()], [0]))
    with pytest.raises(InputError, match=r"must be float32 \(N, 3, 96, 96\)"):
        batch(torch.zeros(1, 3, 64, 64), columns, Resizing.of(TwoStage(), 96))
    for other in (Resizing.of(TwoStage(), 64), Resizing.of(TwoStage(2), 96)):
        with pytest.raises(InputError, match="is not for x4 and 96 pixels"):
            batch(torch.zeros(1, 3, 96, 96), columns, other)
