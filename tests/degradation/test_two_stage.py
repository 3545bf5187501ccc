"""The two-stage degradation: its order, what it keeps, and what is drawn for it."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from blindsr.degradation import (
    CAMERA,
    REAL_ESRGAN,
    Kernel,
    Stage,
    StageSpace,
    TwoStage,
    TwoStageSpace,
    blur,
    degrade,
    gaussian_noise,
    jpeg,
    poisson_noise,
    read_space,
    resize,
)
from blindsr.errors import InputError

TASK = TwoStage(
    scale=4,
    first=Stage(Kernel("gaussian", 11, 2.0, 0.8, 0.4), 0.7, "area", noise=6, jpeg=80),
    second=Stage(
        Kernel("plateau", 7, 1.0, 1.0, beta=1.5), 1.2, "bilinear", poisson=9, gray_noise=True, jpeg=70
    ),
    filter="bicubic",
    sinc=Kernel("sinc", 9, cutoff=2.2),
    jpeg_last=True,
)


def without_jpeg(task: TwoStage) -> TwoStage:
    return replace(task, first=replace(task.first, jpeg=None), second=replace(task.second, jpeg=None))


def draw(space: TwoStageSpace, count: int) -> list[TwoStage]:
    rng = np.random.default_rng(0)
    return [space.sample(rng) for _ in range(count)]


@pytest.mark.parametrize("jpeg_last", [True, False])
def test_is_its_operators_in_order(photo: NDArray[np.float32], jpeg_last: bool) -> None:
    task = replace(TASK, jpeg_last=jpeg_last)
    assert task.first.kernel and task.second.kernel and task.sinc
    y = resize(blur(photo, task.first.kernel.pixels()), (67, 45), filter="area")
    y = jpeg(gaussian_noise(y.clip(0, 1), 6, seed=10), 80)
    y = resize(blur(y, task.second.kernel.pixels()), (29, 19), filter="bilinear")
    y = poisson_noise(y.clip(0, 1), 9, seed=11, gray=True).clip(0, 1)
    if not jpeg_last:
        y = jpeg(y, 70)
    y = blur(resize(y, (24, 16)), task.sinc.pixels()).clip(0, 1)
    if jpeg_last:
        y = jpeg(y, 70)
    np.testing.assert_allclose(degrade(photo, task, seed=5, quantise=False), y, atol=1e-6)
    np.testing.assert_allclose(degrade(photo, task, seed=5) * 255, np.rint(y * 255), atol=1e-3)


@pytest.mark.parametrize("scale", [1, 2, 4])
@pytest.mark.parametrize("space", [REAL_ESRGAN, CAMERA], ids=["published", "camera"])
def test_tensor_equals_array_at_every_scale(
    space: TwoStageSpace, scale: int, photo: NDArray[np.float32]
) -> None:
    for seed, task in enumerate(draw(replace(space, scale=scale), 6)):
        plain = without_jpeg(task)
        expected = degrade(photo, plain, seed, quantise=False)
        assert expected.shape == (1, 3, 96 // scale, 64 // scale) and expected.dtype == np.float32
        result = degrade(torch.from_numpy(photo), plain, seed, quantise=False).numpy()
        np.testing.assert_allclose(result, expected, atol=1e-5)
        both = degrade(torch.from_numpy(photo), task, seed).numpy(), degrade(photo, task, seed)
        # A coefficient on the edge of a quantisation step may fall to either side, and the second stage on.
        assert np.abs(both[0] - both[1]).mean() < 0.002
        assert all(one.min() >= 0 and one.max() <= 1 for one in both)


def test_brightness_and_colour_are_kept() -> None:
    colour = np.array([0.6, 0.45, 0.3], np.float32).reshape(1, 3, 1, 1)
    x = np.broadcast_to(colour, (1, 3, 96, 96)).copy()
    means = np.array(
        [degrade(x, task, i).mean(axis=(0, 2, 3)) for i, task in enumerate(draw(REAL_ESRGAN, 60))]
    )
    # JPEG of so low a quality has steps of some levels even for a block's mean: over many tasks they cancel.
    np.testing.assert_allclose(means.mean(axis=0), colour.ravel(), atol=0.01)
    plain = without_jpeg(
        replace(TASK, first=replace(TASK.first, noise=0.0), second=replace(TASK.second, poisson=0.0))
    )
    np.testing.assert_allclose(degrade(x, plain, 0, quantise=False), x[:, :, :24, :24], atol=1e-5)


def test_seed_is_all_that_randomness_depends_on(batch: NDArray[np.float32]) -> None:
    task = without_jpeg(TASK)
    first = degrade(batch, task, seed=4)
    np.testing.assert_array_equal(degrade(batch, task, seed=4), first)
    assert np.abs(degrade(batch, task, seed=5) - first).mean() > 0.005
    np.testing.assert_allclose(degrade(batch[2:], task, seed=4, first_item=2), first[2:], atol=1.01 / 255)


def test_stages_have_noise_of_their_own() -> None:
    x = np.full((1, 3, 64, 64), 0.5, np.float32)
    one = degrade(x, TwoStage(1, first=Stage(noise=10)), 3, quantise=False) - x
    other = degrade(x, TwoStage(1, second=Stage(noise=10)), 3, quantise=False) - x
    assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.05


def test_nothing_but_bicubic_by_default(batch: NDArray[np.float32]) -> None:
    result = degrade(batch, TwoStage(), seed=0, quantise=False)
    np.testing.assert_allclose(result, resize(batch, (8, 12)).clip(0, 1), atol=1e-6)


def test_published_space() -> None:
    tasks = draw(REAL_ESRGAN, 3000)
    firsts, seconds = [task.first for task in tasks], [task.second for task in tasks]
    kernels = [stage.kernel for stage in firsts if stage.kernel]
    drawn = [kernel for kernel in kernels if kernel.family != "sinc"]
    near = {
        "second blur": (sum(s.kernel is not None for s in seconds) / 3000, 0.8),
        "sinc": (1 - len(drawn) / len(kernels), 0.1),
        "generalised": (sum(k.family == "generalised" for k in drawn) / len(drawn), 0.15),
        "plateau": (sum(k.family == "plateau" for k in drawn) / len(drawn), 0.15),
        "anisotropic": (sum(k.sigma_x != k.sigma_y for k in drawn) / len(drawn), 0.31),
        "enlarged": (sum(s.resize > 1 for s in firsts) / 3000, 0.2),
        "shrunk": (sum(s.resize < 1 for s in firsts) / 3000, 0.7),
        "gaussian noise": (sum(s.noise > 0 for s in firsts) / 3000, 0.5),
        "shot noise": (sum(s.poisson > 0 for s in firsts) / 3000, 0.5),
        "gray": (sum(s.gray_noise for s in firsts) / 3000, 0.4),
        "final sinc": (sum(task.sinc is not None for task in tasks) / 3000, 0.8),
        "jpeg last": (sum(task.jpeg_last for task in tasks) / 3000, 0.5),
    }
    for name, (measured, expected) in near.items():
        assert measured == pytest.approx(expected, abs=0.04), name
    assert len(kernels) == 3000 and {kernel.size for kernel in kernels} == set(range(7, 22, 2))
    assert all(min(k.sigma_x, k.sigma_y) >= 0.2 and max(k.sigma_x, k.sigma_y) <= 3 for k in drawn)
    assert all(0.15 <= s.resize <= 1.5 and s.jpeg and 30 <= s.jpeg <= 95 for s in firsts)
    assert all(0.3 <= s.resize <= 1.2 and s.jpeg and 30 <= s.jpeg <= 95 for s in seconds)
    assert draw(REAL_ESRGAN, 5) == tasks[:5] and len(set(tasks)) == 3000


def test_camera_damages_less_than_published(photo: NDArray[np.float32]) -> None:
    clean = resize(photo, (24, 16)).clip(0, 1)
    errors = [
        np.mean([np.abs(degrade(photo, task, i) - clean).mean() for i, task in enumerate(draw(space, 30))])
        for space in (CAMERA, REAL_ESRGAN)
    ]
    assert errors[0] < 0.7 * errors[1]


def test_dictionary_and_text_form() -> None:
    for task in (TASK, TwoStage(), *draw(CAMERA, 20)):
        assert TwoStage.from_dict(json.loads(json.dumps(task.as_dict()))) == task
    assert str(TASK) == (
        "blur gaussian 2x0.8@22.9 (11) area 0.7 noise 6 jpeg 80; "
        "blur plateau 1 beta 1.5 (7) bilinear 1.2 poisson 9 (gray); bicubic to 1/4 sinc 2.2 (9) jpeg 70"
    )
    assert str(replace(TASK, jpeg_last=False)).endswith("jpeg 70 then bicubic to 1/4 sinc 2.2 (9)")


def test_a_configuration_changes_some_ranges_and_keeps_the_others() -> None:
    space = read_space({"kind": "two-stage", "second": {"noise": [0, 3]}, "sinc_probability": 0.1})
    assert isinstance(space, TwoStageSpace)
    assert space == replace(
        REAL_ESRGAN, second=replace(REAL_ESRGAN.second, noise=(0, 3)), sinc_probability=0.1
    )
    assert replace(space, scale=2).sample(np.random.default_rng(0)).scale == 2


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"frist": {}}, "did you mean 'first'"),
        ({"first": {"nois": [0, 1]}}, "first: unknown key 'nois'; did you mean 'noise'"),
        ({"first": [1, 2]}, "first must be a mapping"),
        ({"scale": 0}, "scale must be 1 or more"),
        ({"sinc_probability": 2}, "must lie in [0, 1]"),
        ({"sinc_cutoff": [1, 4]}, "at most pi"),
        ({"sinc_sizes": []}, "at least one size"),
        ({"filters": ["nearest"]}, "filter must be one of area"),
        ({"filters": "area"}, "filters must be a list"),
        ({"first": {"sigma": [2, 1]}}, "sigma must be a range"),
        ({"first": {"sigma": [0, 1]}}, "sigmas must be above 0"),
        ({"first": {"kernel_sizes": [8]}}, "size must be odd"),
        ({"first": {"kernel_shares": [1, 2]}}, "kernel_shares must be 6 weights"),
        ({"first": {"resize_shares": [0, 0, 0]}}, "resize_shares must be 3 weights"),
        ({"first": {"resize": [1.2, 1.5]}}, "a range that holds 1"),
        ({"first": {"resize": [0, 1.5]}}, "resize must be above 0"),
        ({"first": {"jpeg": [0, 50]}}, "quality from 1 to 100"),
        ({"first": {"jpeg": [50.5, 60]}}, "whole numbers"),
        ({"second": {"noise": ["a", "b"]}}, "must be numbers"),
        ({"second": {"filters": []}}, "filters must be a list"),
    ],
)
def test_impossible_spaces_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(InputError) as caught:
        TwoStageSpace.from_dict(values)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"scale": "4"}, "scale must be a whole number"),
        ({"first": {"noise": -1}}, "noise must be 0 or more"),
        ({"first": {"resize": 0}}, "resize must be above 0"),
        ({"first": {"kernel": {"family": "box"}}}, "family must be one of"),
        ({"first": {"kernel": 3}}, "kernel must be a mapping"),
        ({"second": {"gray_noise": 1}}, "gray_noise must be true or false"),
        ({"second": {"jpeg": 0}}, "quality from 1 to 100"),
        ({"second": {"filter": "nearest"}}, "filter must be one of"),
        ({"filter": "nearest"}, "filter must be one of"),
        ({"jpeg_last": 1}, "jpeg_last must be true or false"),
        ({"sinc": {"family": "sinc", "cutoff": 9}}, "at most pi"),
        ({"third": {}}, "unknown key 'third'"),
    ],
)
def test_impossible_tasks_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(InputError) as caught:
        TwoStage.from_dict(values)
    assert message in str(caught.value)


def test_sides_must_be_multiples_of_the_scale_and_jpeg_needs_colour(photo: NDArray[np.float32]) -> None:
    with pytest.raises(InputError, match="scale 4"):
        degrade(photo[:, :, :90], TASK, 0)
    with pytest.raises(InputError, match="needs 3 channels"):
        degrade(photo[:, :1], TASK, 0)
    assert degrade(photo[:, :1], without_jpeg(TASK), 0).shape == (1, 1, 24, 16)
    assert degrade(photo[:, :, :4, :4], TASK, 0).shape == (1, 3, 1, 1)
    assert math.isclose(StageSpace().poisson[1], 3 * 255 / 16, abs_tol=0.05)
