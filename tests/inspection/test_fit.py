"""The fit of what conditions tell: it learns what there is to learn, and ends up in the model's folder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from blindsr.degradation import REAL, Degradation, gaussian_kernel
from blindsr.errors import InputError
from blindsr.inspection.fit import (
    Samples,
    blur_width,
    draw_samples,
    error_rows,
    fit_inspector,
    fit_network,
)
from blindsr.inspection.reading import Inspector, activate, decode
from blindsr.models.catalogue import find_model
from blindsr.upscaling.upscaler import Upscaler

from ..conftest import MakeModel, made_photo, save_photos


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return save_photos(tmp_path / "sharp", 4, 64, 72)


def made_samples(seed: int, count: int = 3000) -> Samples:
    """Conditions from which everything can be read: a random affine view of the truth."""
    rng = np.random.default_rng(seed)
    blur, noise = rng.uniform(0, 4, count), rng.uniform(0, 40, count)
    quality = np.where(rng.random(count) < 0.5, 0.0, rng.integers(30, 100, count).astype(np.float64))
    truth = np.column_stack([blur, np.sqrt(noise), np.where(quality > 0, quality, 120) / 20])
    mixed = truth @ np.random.default_rng(99).normal(0, 1, (3, 6))
    return Samples(mixed + rng.normal(0, 0.01, mixed.shape), blur, noise, quality)


def test_it_learns_what_there_is_to_learn() -> None:
    hidden, output = fit_network(made_samples(0), seed=0)
    test = made_samples(1)
    blur, noise, chance, quality = decode(activate(test.conditions, hidden, output))
    assert np.abs(blur - test.blur).mean() < 0.2
    assert np.abs(noise - test.noise).mean() < 1.5
    assert np.abs(quality - test.quality)[test.visible].mean() < 6, "a guess has 15"
    rows = {(row.factor, row.photos): row for row in error_rows((blur, noise, chance, quality), test)}
    assert rows["JPEG or not", "all"].error < 0.1
    assert rows["blur", "all"].error < 0.2 < 0.9 < rows["blur", "all"].guess < 1.1


def test_a_fit_repeats() -> None:
    samples = made_samples(0, count=300)
    for first, second in zip(fit_network(samples, 3), fit_network(samples, 3), strict=True):
        assert (first == second).all()
    assert (fit_network(samples, 3)[0] != fit_network(samples, 4)[0]).any()


def test_the_width_of_a_blur_is_that_of_its_kernel() -> None:
    assert blur_width(Degradation()) == 0
    assert blur_width(Degradation(sigma_x=1.0, sigma_y=1.0, kernel_size=21)) == pytest.approx(1, abs=1e-3)
    cut = Degradation(sigma_x=4.0, sigma_y=4.0, kernel_size=7)
    kernel = gaussian_kernel(4, 4, 0, 7).sum(0)
    assert (
        blur_width(cut) == pytest.approx(np.sqrt((kernel * np.arange(-3, 4) ** 2).sum()))
        and blur_width(cut) < 2
    )
    turned = Degradation(sigma_x=2.0, sigma_y=1.0, angle=0.4, kernel_size=31)
    assert blur_width(turned) == pytest.approx(np.sqrt((4 + 1) / 2), abs=0.01)


def test_samples_know_the_truth(make_model: MakeModel, photos: Path) -> None:
    upscaler = Upscaler(make_model(), device="cpu")
    files = sorted(photos.iterdir())[:2]
    samples = draw_samples(upscaler, files, REAL, crops=4, seed=0)
    assert samples.conditions.shape == (2 * 4 * 3, 5)
    assert (samples.noise >= 0).all() and (samples.noise == 0).any() and (samples.noise > 1).any()
    assert set(np.unique(samples.quality)) <= {0, *range(30, 101)}
    assert samples.blur.max() < 4
    again = draw_samples(upscaler, files[:1], REAL, crops=4, seed=0)
    assert (again.conditions == samples.conditions[:12]).all()
    assert (again.noise == samples.noise[:12]).all()
    other = draw_samples(upscaler, files[:1], REAL, crops=4, seed=1)
    assert (other.blur != samples.blur[:12]).any()


def test_small_photos_are_left_out(
    make_model: MakeModel, photos: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    upscaler = Upscaler(make_model(), device="cpu")
    small = tmp_path / "small.png"
    Image.fromarray(made_photo(40, 60)).save(small)
    samples = draw_samples(upscaler, [small, photos / "0.png"], REAL, crops=1, seed=0)
    assert len(samples.blur) == 3 and "small.png" in caplog.text
    with pytest.raises(InputError, match="at least 48 pixels"):
        draw_samples(upscaler, [small], REAL, crops=1, seed=0)


def test_the_model_has_what_was_fitted(make_model: MakeModel, photos: Path) -> None:
    folder = make_model()
    seen: list[tuple[int, int]] = []
    rows = fit_inspector(folder, photos, holdout=1, crops=2, on_photo=lambda *at: seen.append(at))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    model = find_model(folder)
    reading = Inspector(model).read(Upscaler(model, device="cpu").adapt([photos / "0.png"]).condition)
    assert 0 <= reading.blur.value <= 4 and reading.blur.error > 0
    told = json.loads((folder / "card.json").read_text())["metrics"]["inspect"]["errors"]
    assert [row["factor"] for row in told] == [row.factor for row in rows]
    assert told[0] == {
        "factor": "blur",
        "photos": "all",
        "error": pytest.approx(rows[0].error, rel=0.01),
        "guess": pytest.approx(rows[0].guess, rel=0.01),
    }
    first = (folder / "inspect.json").read_bytes()
    fit_inspector(folder, photos, holdout=1, crops=2)
    assert (folder / "inspect.json").read_bytes() == first


def test_there_must_be_photos_to_fit_and_to_measure(make_model: MakeModel, photos: Path) -> None:
    with pytest.raises(InputError, match="hold out fewer"):
        fit_inspector(make_model(), photos, holdout=4)
    with pytest.raises(InputError, match="model that adapts"):
        fit_inspector(make_model(adaptive=False), photos, holdout=1)
