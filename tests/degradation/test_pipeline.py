"""The whole degradation: its order, its text form, its errors."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest
from numpy.typing import NDArray

from blindsr.degradation import (
    Degradation,
    blur,
    degrade,
    degrade_image,
    gaussian_kernel,
    gaussian_noise,
    jpeg,
    modcrop,
    poisson_noise,
    resize,
)
from blindsr.errors import InputError


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
@pytest.mark.parametrize("angle", [0.0, 0.6])
def test_is_its_operators_in_order(scale: int, angle: float) -> None:
    x = np.random.default_rng(scale).random((2, 3, 48, 36), dtype=np.float32)
    task = Degradation(
        scale, 2.0, 1.2, angle, 11, noise=12, poisson=8, gray_noise=True, noise_scale=0.75, jpeg=70
    )
    lr = (48 // scale, 36 // scale)
    entry = (round(lr[0] * 0.75), round(lr[1] * 0.75))
    y = resize(blur(x, gaussian_kernel(2.0, 1.2, angle, 11)), entry)
    y = gaussian_noise(poisson_noise(y, 8, 3, gray=True), 12, 3, gray=True).clip(0, 1)
    y = resize(y, lr).clip(0, 1)
    plain = degrade(x, dataclasses.replace(task, jpeg=None), seed=3, quantise=False)
    np.testing.assert_allclose(plain, y, atol=1e-5)
    np.testing.assert_array_equal(degrade(x, task, seed=3), jpeg(plain, 70))


def test_nothing_but_bicubic_by_default(batch: NDArray[np.float32]) -> None:
    result = degrade(batch, Degradation(), seed=0, quantise=False)
    np.testing.assert_allclose(result, resize(batch, (8, 12)).clip(0, 1), atol=1e-6)
    rounded = degrade(batch, Degradation(), seed=0)
    np.testing.assert_allclose(rounded * 255, np.rint(result * 255), atol=1e-4)


def test_result_stays_in_range(batch: NDArray[np.float32]) -> None:
    for text in ("noise=75", "noise=75,noise_scale=1.4", "poisson=50,noise_scale=0.6", "noise=75,jpeg=30"):
        result = degrade(batch, Degradation.parse(text), seed=1)
        assert result.min() >= 0 and result.max() <= 1


def test_coloured_noise_is_correlated_and_white_is_not() -> None:
    flat = np.full((1, 3, 256, 256), 0.5, np.float32)

    def correlation(noise_scale: float) -> float:
        noise = degrade(flat, Degradation(noise=20, noise_scale=noise_scale), 2, quantise=False) - 0.5
        return float((noise[..., 1:] * noise[..., :-1]).mean() / noise.var())

    assert abs(correlation(1.0)) < 0.05
    assert correlation(0.5) > 0.5


def test_seed_is_all_that_randomness_depends_on(batch: NDArray[np.float32]) -> None:
    task = Degradation.parse("blur=1,noise=20,poisson=10,noise_scale=1.2")
    first = degrade(batch, task, seed=4)
    np.testing.assert_array_equal(degrade(batch, task, seed=4), first)
    assert np.abs(degrade(batch, task, seed=5) - first).mean() > 0.02
    np.testing.assert_allclose(degrade(batch[2:], task, seed=4, first_item=2), first[2:], atol=1.01 / 255)


def test_degrade_image_is_a_batch_of_one(photo: NDArray[np.float32]) -> None:
    task = Degradation.parse("blur=1,noise=5,jpeg=80")
    picture = np.ascontiguousarray(photo[0].transpose(1, 2, 0))
    result = degrade_image(picture, task, 8)
    np.testing.assert_array_equal(result, degrade(photo, task, 8)[0].transpose(1, 2, 0))
    with pytest.raises(InputError, match="a picture must be"):
        degrade_image(picture[0], task, 8)


def test_sides_must_be_multiples_of_the_scale() -> None:
    picture = np.zeros((50, 43, 3), np.float32)
    with pytest.raises(InputError, match=r"43x50.*scale 4.*modcrop"):
        degrade_image(picture, Degradation(), 0)
    assert degrade_image(modcrop(picture, 4), Degradation(), 0).shape == (12, 10, 3)
    with pytest.raises(InputError, match="cannot be shrunk"):
        modcrop(picture[:3], 4)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Degradation()),
        ("blur=2.6,noise=15,jpeg=60", Degradation(sigma_x=2.6, sigma_y=2.6, noise=15, jpeg=60)),
        (" blur = 2x1@30 , kernel=7 ", Degradation(sigma_x=2, sigma_y=1, angle=math.pi / 6, kernel_size=7)),
        ("blur=3x1", Degradation(sigma_x=3, sigma_y=1)),
        (
            "scale=2,poisson=9,gray=true,noise_scale=0.7",
            Degradation(2, poisson=9, gray_noise=True, noise_scale=0.7),
        ),
    ],
)
def test_text_form(text: str, expected: Degradation) -> None:
    parsed = Degradation.parse(text)
    assert parsed == expected
    assert Degradation.parse(str(parsed)) == parsed


def test_scale_of_the_text_wins() -> None:
    assert Degradation.parse("noise=1", scale=3).scale == 3
    assert Degradation.parse("noise=1,scale=2", scale=3).scale == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nois=15", "'nois'; did you mean 'noise'"),
        ("jpg=15", "'jpg'; did you mean 'jpeg'"),
        ("xyzzy=1", "the keys are blur, kernel"),
        ("noise", "not of the form key=value"),
        ("noise=much", "cannot read noise=much"),
        ("jpeg=60.5", "cannot read jpeg=60.5"),
        ("blur=2x", "cannot read blur=2x"),
        ("blur=2@30", "cannot read blur=2@30"),
        ("gray=maybe", "cannot read gray=maybe"),
        ("noise=1,noise=2", "noise is given twice"),
        ("noise=-1", "noise must be 0 or more"),
        ("noise=nan", "noise must be a finite number"),
        ("jpeg=0", "quality from 1 to 100"),
        ("blur=1,kernel=4", "kernel_size must be odd"),
        ("blur=2x0@10", "must both be 0"),
        ("scale=0", "scale must be 1 or more"),
        ("noise=1,noise_scale=0", "noise_scale must be above 0"),
    ],
)
def test_faulty_texts_say_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        Degradation.parse(text)
    assert message in str(caught.value)


def test_dictionary_form_is_exact_and_strict() -> None:
    task = Degradation(3, 1.2345678901, 0.7, 0.123456789, 21, 7.1, 2.2, True, 1.3, 55)
    assert Degradation.from_dict(json.loads(json.dumps(task.as_dict()))) == task
    with pytest.raises(InputError, match="did you mean 'sigma_x'"):
        Degradation.from_dict({"sigmax": 1.0})
    for values in ({"jpeg": 60.0}, {"scale": "4"}, {"gray_noise": 1}, {"noise": True}, {"noise": None}):
        with pytest.raises(InputError, match="must be"):
            Degradation.from_dict(values)
