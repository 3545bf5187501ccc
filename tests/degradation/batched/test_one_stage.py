"""One-stage tasks of a batch are those of `degrade`, image by image, without a loop."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from blindsr.degradation import SPACES, Degradation, DegradationSpace, degrade
from blindsr.degradation.batched import OneStageBatch, OneStageLimits
from blindsr.errors import InputError

Images = Callable[[int, int], Tensor]
Tensors = Callable[[Any], dict[str, Tensor]]
Launches = Callable[[Callable[[], object]], tuple[int, set[str]]]

#: Every way in which an image may differ from its neighbours in the batch.
MIXED = [
    Degradation.parse(text)
    for text in (
        "",
        "jpeg=60",
        "noise=10",
        "poisson=20,gray=true",
        "blur=2.6",
        "blur=0.2,kernel=7",
        "blur=4x0.5@70,kernel=21,noise=3,poisson=7,noise_scale=0.5,jpeg=100",
        "blur=1x3@10,kernel=11,noise=50,gray=true,noise_scale=1.5",
        "blur=3,kernel=1,noise=20,noise_scale=1.23,jpeg=1",
        "noise_scale=0.5,blur=1",
        "noise=75,poisson=50,gray=true,jpeg=49",
    )
]


def one_by_one(hr: Tensor, tasks: list[Degradation], seeds: list[int], items: list[int]) -> Tensor:
    """The reference."""
    rows = zip(range(len(hr)), tasks, seeds, items, strict=True)
    return torch.cat([degrade(hr[i : i + 1], task, seed, first_item=item) for i, task, seed, item in rows])


def draw(space: DegradationSpace, count: int) -> tuple[list[Degradation], list[int], list[int]]:
    """Tasks, seeds and numbers of images."""
    rng = np.random.default_rng(1)
    tasks = [space.sample(rng) for _ in range(count)]
    seeds = [int(seed) for seed in rng.integers(-(2**40), 2**40, count)]
    return tasks, seeds, [int(item) for item in rng.integers(0, 99, count)]


@pytest.mark.parametrize(("scale", "side"), [(4, 128), (2, 96), (3, 111), (1, 40)])
@pytest.mark.parametrize("name", ["real", "paper"])
def test_is_degrade_image_by_image(
    name: str, scale: int, side: int, images: Images, tensors: Tensors
) -> None:
    space = dataclasses.replace(SPACES[name], scale=scale)
    assert isinstance(space, DegradationSpace)
    tasks, seeds, items = draw(space, 40)
    hr = images(40, side)
    batch = OneStageBatch(OneStageLimits.of([space], side))
    result = batch(hr, tensors(batch.columns(tasks, seeds, items)))
    difference = ((result - one_by_one(hr, tasks, seeds, items)) * 255).abs().round()
    assert result.shape == (40, 3, side // scale, side // scale) and result.dtype == torch.float32
    saved = torch.tensor([task.jpeg is not None for task in tasks])
    # Without JPEG only what lies half-way between two levels may fall to the other.
    assert difference[~saved].max() <= 1 and (difference[~saved] > 0).float().mean() < 1e-4
    # JPEG makes a block's worth of small differences of one such level.
    assert (difference > 0).float().mean() < 2e-3 and difference.mean() < 4e-3


def test_neighbours_of_other_kinds_do_not_matter(images: Images, tensors: Tensors) -> None:
    hr, count = images(len(MIXED), 96), len(MIXED)
    batch = OneStageBatch(OneStageLimits(4, 96, 21, (0.5, 1.5)))
    seeds, items = list(range(count)), [7] * count
    result = batch(hr, tensors(batch.columns(MIXED, seeds, items)))
    expected = one_by_one(hr, MIXED, seeds, items)
    assert ((result - expected).abs() > 1e-3).float().mean() < 1e-4
    np.testing.assert_allclose(result.numpy(), expected.numpy(), atol=1.01 / 255)
    torch.testing.assert_close((result * 255).round() / 255, result, rtol=0, atol=0)
    # No numbers are those of an image alone.
    alone = batch(hr, tensors(batch.columns(MIXED, seeds)))
    assert ((alone - one_by_one(hr, MIXED, seeds, [0] * count)).abs() > 1e-3).float().mean() < 1e-4
    # Nor does it matter which images are in the batch.
    some = batch(hr[3:5], tensors(batch.columns(MIXED[3:5], seeds[3:5], items[3:5])))
    torch.testing.assert_close(some, result[3:5], rtol=0, atol=1.01 / 255)


def test_a_kernel_larger_than_the_image(images: Images, tensors: Tensors) -> None:
    """The reflection goes on without end."""
    task = Degradation(2, 6.0, 3.0, 0.4, 41)
    hr = images(4, 12)
    batch = OneStageBatch(OneStageLimits(2, 12, 41))
    result = batch(hr, tensors(batch.columns([task] * 4, [0] * 4)))
    np.testing.assert_allclose(result.numpy(), degrade(hr, task, 0).numpy(), atol=1.01 / 255)


@pytest.mark.parametrize("name", ["real", "paper"])
def test_waits_for_nothing_and_launches_little(
    name: str, images: Images, tensors: Tensors, launches: Launches
) -> None:
    space = SPACES[name]
    assert isinstance(space, DegradationSpace)
    tasks, seeds, items = draw(space, 16)
    hr = images(16, 96)
    batch = OneStageBatch(OneStageLimits.of([space], 96))
    columns = tensors(batch.columns(tasks, seeds, items))
    few = tensors(batch.columns(tasks[:3], seeds[:3], items[:3]))
    count, host = launches(lambda: batch(hr, columns))
    assert not host
    assert launches(lambda: batch(hr[:3], few))[0] == count
    loop, waits = launches(lambda: one_by_one(hr, tasks, seeds, items))
    assert waits  # that the loop brings constants from the host shows that this test can see it
    assert 5 * count < loop


def test_values_are_never_looked_at(tensors: Tensors, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tensors of shapes alone will do: nothing depends on values, and nothing is left on another device."""
    # PyTorch has no autocast to switch off for such tensors.
    monkeypatch.setattr("blindsr.degradation.batched.one_stage.full_precision", lambda _: torch.no_grad())
    space = SPACES["real"]
    assert isinstance(space, DegradationSpace)
    batch = OneStageBatch(OneStageLimits.of([space], 96), "meta")
    columns = tensors(batch.columns(*draw(space, 5)))
    result = batch(
        torch.empty(5, 3, 96, 96, device="meta"), {name: c.to("meta") for name, c in columns.items()}
    )
    assert result.shape == (5, 3, 24, 24)


@pytest.mark.slow
@pytest.mark.parametrize("noise_scale", [(1.0, 1.0), (0.5, 1.5)])
def test_compiles_to_one_graph(noise_scale: tuple[float, float], images: Images, tensors: Tensors) -> None:
    batch = OneStageBatch(OneStageLimits(4, 64, 21, noise_scale))
    tasks = MIXED[:6]
    hr, columns = images(6, 64).requires_grad_(), tensors(batch.columns(tasks, range(6)))
    compiled = torch.compile(batch, backend="eager", fullgraph=True)
    result = compiled(hr, columns)
    assert not result.requires_grad
    torch.testing.assert_close(result, batch(hr, columns), rtol=0, atol=0)


def test_gradients_and_reduced_precision_do_not_enter(images: Images, tensors: Tensors) -> None:
    batch = OneStageBatch(OneStageLimits(4, 64, 21, (0.5, 1.5)))
    hr, columns = images(6, 64).requires_grad_(), tensors(batch.columns(MIXED[:6], range(6)))
    expected = batch(hr, columns)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = batch(hr, columns)
    assert not expected.requires_grad and result.dtype == torch.float32
    torch.testing.assert_close(result, expected, rtol=0, atol=0)


def test_limits_hold_every_task_of_their_spaces() -> None:
    real, paper = SPACES["real"], SPACES["paper"]
    assert isinstance(real, DegradationSpace) and isinstance(paper, DegradationSpace)
    assert OneStageLimits.of([paper], 160) == OneStageLimits(4, 160, 15, (1.0, 1.0), jpeg=False)
    both = OneStageLimits.of([paper, real], 160)
    assert both == OneStageLimits(4, 160, 21, (0.5, 1.5)) and both.entries == range(20, 61)
    for space in (real, paper):
        both.columns(*draw(space, 50))
    with pytest.raises(InputError, match="one scale"):
        OneStageLimits.of([real, dataclasses.replace(paper, scale=2)], 160)
    with pytest.raises(InputError, match="at least one space"):
        OneStageLimits.of([], 160)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"side": 98}, "98 pixels is no multiple of the scale 4"),
        ({"side": 0}, "0 pixels"),
        ({"largest_kernel": 20}, "odd side, got 20"),
        ({"noise_scale": (1.5, 0.5)}, "noise_scale must be a range"),
    ],
)
def test_faulty_limits_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        OneStageLimits(**{"scale": 4, "side": 96, **values})


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (Degradation(2), "task 1 has the scale 2, the batch 4"),
        (Degradation(sigma_x=1, sigma_y=1, kernel_size=23), "task 1 has a kernel of 23 pixels.* 21"),
        (Degradation(noise=1, noise_scale=1.6), "task 1 has a noise_scale of 1.6.* 0.5 to 1.5"),
        ("blur=1", "task 1 must be a Degradation, got 'blur=1'"),
    ],
)
def test_what_does_not_fit_is_named(task: Any, message: str) -> None:
    limits = OneStageLimits(4, 96, 21, (0.5, 1.5))
    with pytest.raises(InputError, match=message):
        limits.columns([Degradation(), task], [0, 0])


def test_what_does_not_matter_may_be_outside_the_limits() -> None:
    unused = Degradation(kernel_size=99, noise_scale=9.0)
    OneStageLimits(4, 96).columns([unused], [0])


def test_jpeg_is_refused_where_the_limits_leave_it_out() -> None:
    limits = OneStageLimits(4, 96, jpeg=False)
    with pytest.raises(InputError, match="task 1 has JPEG"):
        limits.columns([Degradation(), Degradation(jpeg=90)], [0, 0])


def test_every_image_needs_a_task_and_a_seed() -> None:
    limits = OneStageLimits(4, 96)
    for tasks, seeds, items in (([], [], None), ([Degradation()], [], None), ([Degradation()], [1], [1, 2])):
        with pytest.raises(InputError, match="every image needs"):
            limits.columns(tasks, seeds, items)


@pytest.mark.parametrize("hr", [torch.zeros(1, 3, 96, 92), torch.zeros(1, 1, 96, 96), torch.zeros(3, 96, 96)])
def test_images_of_another_shape_are_refused(hr: Tensor, tensors: Tensors) -> None:
    batch = OneStageBatch(OneStageLimits(4, 96))
    with pytest.raises(InputError, match=r"must be float32 \(N, 3, 96, 96\)"):
        batch(hr, tensors(batch.columns([Degradation()], [0])))
