"""The shipped models restore: better than bicubic, worse when misled, without a colour cast."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.data import astronaut, coffee

from blindsr.degradation import Degradation, degrade_image, resize
from blindsr.inspection.reading import Inspector
from blindsr.metrics import psnr
from blindsr.models.catalogue import SHIPPED, find_model
from blindsr.upscaling.upscaler import Upscaler

NAMES = sorted(folder.name for folder in SHIPPED.iterdir() if folder.is_dir())
TASKS = ("blur=0.4", "blur=2.6", "blur=1.3,noise=15", "blur=2.6,noise=30", "blur=0.8,noise=5,jpeg=50")


@pytest.fixture(scope="module")
def photos() -> list[NDArray[np.float32]]:
    """Two HR photos, 192 x 192, that no model was trained on.

    Sharp ones: of a photo that was soft before it was degraded a blind network restores more than there was.
    """
    crops = astronaut()[:192, 128:320], coffee()[100:292, 150:342]
    return [np.asarray(crop, np.float32) / 255 for crop in crops]  # type: ignore[misc]


def test_there_are_shipped_models() -> None:
    assert {"cmdsr-x4", "cria-x4-compact"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_restores_better_than_bicubic(name: str, photos: list[NDArray[np.float32]]) -> None:
    upscaler = Upscaler(name, device="cpu", threads=1)
    scale = upscaler.model.scale
    # Trained for the eye under heavier degradations, a model with a texture view sharpens the sharp too.
    tasks = TASKS if upscaler.model.texture is None else [task for task in TASKS if "2.6" in task]
    for text in tasks:
        gains = []
        for seed, hr in enumerate(photos):
            lr = degrade_image(hr, Degradation.parse(text, scale=scale), seed)
            sr = upscaler.upscale(lr)
            bicubic = resize(lr.transpose(2, 0, 1)[None], hr.shape[:2])[0].transpose(1, 2, 0)
            gains.append(psnr(sr, hr, border=scale) - psnr(bicubic, hr, border=scale))
        assert np.mean(gains) > 0, text


@pytest.mark.parametrize("name", NAMES)
def test_there_is_no_colour_cast(name: str, photos: list[NDArray[np.float32]]) -> None:
    upscaler = Upscaler(name, device="cpu", threads=1)
    bound = 2 if upscaler.model.texture is None else 4  # levels
    for text in TASKS:
        for seed, hr in enumerate(photos):
            lr = degrade_image(hr, Degradation.parse(text, scale=upscaler.model.scale), seed)
            cast = (upscaler.upscale(lr) - hr).mean((0, 1)) * 255
            assert np.abs(cast).max() < bound, f"{text}: colours drift by {cast}"


@pytest.mark.parametrize("name", NAMES)
def test_more_texture_is_sharper(name: str, photos: list[NDArray[np.float32]]) -> None:
    if find_model(name).texture is None:
        pytest.skip(f"{name} has no texture view")
    lr = degrade_image(photos[0], Degradation.parse("blur=1.3,noise=5"), 0)
    sharpness = []
    for texture in (0.0, 0.5, 1.0):
        sr = Upscaler(name, device="cpu", threads=1, texture=texture).upscale(lr)
        sharpness.append(float(np.abs(np.diff(sr, axis=1)).mean()))
    assert sharpness == sorted(sharpness) and sharpness[-1] > 1.1 * sharpness[0]


@pytest.mark.parametrize("name", NAMES)
def test_the_support_set_of_another_task_misleads(name: str, photos: list[NDArray[np.float32]]) -> None:
    upscaler = Upscaler(name, device="cpu", threads=1)
    if not upscaler.model.adaptive:
        pytest.skip(f"{name} does not adapt")
    scale = upscaler.model.scale
    tasks = [Degradation.parse(text, scale=scale) for text in ("blur=0.4", "blur=2.6,noise=30")]
    losses = []
    for own, other in (tasks, tasks[::-1]):
        for seed, hr in enumerate(photos):
            lr = degrade_image(hr, own, seed)
            misled = upscaler.upscale(lr, support=upscaler.adapt([degrade_image(hr, other, seed)]))
            losses.append(psnr(upscaler.upscale(lr), hr, border=scale) - psnr(misled, hr, border=scale))
    assert np.mean(losses) > 0.1


@pytest.mark.parametrize("name", NAMES)
def test_the_card_tells_where_the_weights_come_from(name: str) -> None:
    model = find_model(name)
    assert model.description
    assert model.provenance.get("steps")
    assert model.provenance.get("hardware")
    assert model.provenance.get("photos")
    assert model.metrics


@pytest.mark.parametrize("name", NAMES)
def test_tiles_leave_no_seam(name: str, photos: list[NDArray[np.float32]]) -> None:
    lr = photos[0][:101, :83]
    whole = Upscaler(name, device="cpu", tile=1000).upscale(lr)
    for tile in (16, 37, 64):
        tiled = Upscaler(name, device="cpu", tile=tile).upscale(lr)
        assert np.abs(tiled - whole).max() < 1 / 255


@pytest.mark.parametrize("name", NAMES)
def test_conditions_tell_noise_and_blur(name: str, photos: list[NDArray[np.float32]]) -> None:
    upscaler = Upscaler(name, device="cpu", threads=1)
    if not upscaler.model.adaptive:
        pytest.skip(f"{name} does not adapt")
    inspector = Inspector(upscaler.model)

    def read(text: str) -> tuple[float, float]:
        task = Degradation.parse(text, scale=upscaler.model.scale)
        readings = [
            inspector.read(upscaler.adapt([degrade_image(hr, task, seed)]).condition)
            for seed, hr in enumerate(photos)
        ]
        blur, noise = np.mean([(r.blur.value, r.noise.value) for r in readings], axis=0)
        return float(blur), float(noise)

    for noise in (0, 15, 30):
        assert abs(read(f"blur=1.3,noise={noise}")[1] - noise) < 8
    assert read("blur=0.4")[0] + 0.5 < read("blur=2.6")[0]
