"""What validation measures is what the metrics measure."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from blindsr.checkpoint.reading import FORMAT
from blindsr.dataset import PhotoCache
from blindsr.degradation.resize import resize
from blindsr.evaluation.methods import ModelRestorer, find_method
from blindsr.metrics import psnr, ssim
from blindsr.network import build_network
from blindsr.training import load_config, train
from blindsr.training.config import ValidationSection
from blindsr.training.tasks import restore_photo
from blindsr.training.validation import Validation

CPU = torch.device("cpu")


def pairs(count: int) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(3)
    made = []
    for _ in range(count):
        coarse = torch.rand(1, 3, 6, 8, generator=generator)
        hr = torch.nn.functional.interpolate(coarse, size=(40, 52), mode="bicubic").clamp(0, 1)
        made.append((hr, torch.nn.functional.avg_pool2d(hr, 2)))
    return made


def restored(lr: Tensor) -> Tensor:
    """Something that is not the truth, and leaves [0, 1] as well."""
    noise = torch.randn(1, 3, 40, 52, generator=torch.Generator().manual_seed(int(lr.sum() * 100)))
    return torch.nn.functional.interpolate(lr, scale_factor=2.0, mode="nearest") * 1.2 - 0.05 + 0.05 * noise


@pytest.mark.parametrize("channel", ["y", "rgb"])
@pytest.mark.parametrize("border", [0, 2, 5])
def test_scores_are_those_of_the_metrics(channel: Any, border: int, tmp_path: Path) -> None:
    cells = {"one": pairs(3), "other": pairs(1)}
    scores = Validation(cells, channel, border).run(restored, 0, None, tmp_path, CPU)
    assert list(scores.rows) == ["one", "other", "mean"]
    rows = []
    for name, samples in cells.items():
        found = []
        for hr, lr in samples:
            truth, made, bicubic = (
                image[0].permute(1, 2, 0).numpy() for image in (hr, restored(lr), resize(lr, (40, 52)))
            )
            settings: Any = {"channel": channel, "border": border}
            found.append(
                [
                    psnr(made, truth, **settings),
                    ssim(made, truth, **settings),
                    psnr(bicubic, truth, **settings),
                ]
            )
        rows.append(np.mean(found, 0))
        assert scores.rows[name][0] == pytest.approx(rows[-1][0], abs=1e-3)
        assert scores.rows[name][1] == pytest.approx(rows[-1][1], abs=1e-4)
        assert scores.rows[name][2] == pytest.approx(rows[-1][2], abs=1e-3)
        assert 10 < rows[-1][0] < 40 and 0.1 < rows[-1][1] < 0.99
    assert scores.rows["mean"] == pytest.approx(np.mean(rows, 0).tolist(), abs=1e-3)


def test_the_truth_is_without_fault(tmp_path: Path) -> None:
    samples = pairs(1)
    scores = Validation({"one": samples}, "y", 2).run(lambda _: samples[0][0], 0, None, tmp_path, CPU)
    assert scores.rows["one"][0] == float("inf") and scores.rows["one"][1] == pytest.approx(1)


@pytest.mark.parametrize("size", [(32, 32), (26, 50), (100, 28)])
@pytest.mark.parametrize("pixel_range", [1.0, 255.0])
def test_a_photo_with_few_places_for_a_fixed_number_of_patches(
    size: tuple[int, int], pixel_range: float, tmp_path: Path
) -> None:
    """LR photos of 16 x 16, 13 x 25 and 50 x 14 pixels, and 20 patches of 12 x 12 or of the photo's side."""
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "small.png")
    photos = PhotoCache([tmp_path / "small.png"], tmp_path / "cache")
    section = ValidationSection(crop=256, degradations=("blur=1.3,noise=15",))
    validation = Validation.of_photos(photos, section, 2)
    network = build_network(
        {
            "basenet": {"name": "srresnet", "scale": 2, "channels": 4, "blocks": 1},
            "condition": {"name": "stacked", "support": 20, "size": 8, "width": 4},
            "pixel_range": pixel_range,
        }
    )
    (lr,) = (lr for _, lr in validation.cells["blur=1.3,noise=15"])
    assert lr.shape[2:] == (size[0] // 2, size[1] // 2)
    for patch in (12, min(lr.shape[2:]), 64):  # many places, those of a line, none
        restore = partial(restore_photo, network, 20, patch)
        psnr_of_it, similarity, _ = validation.run(restore, 0, None, tmp_path, CPU).rows["mean"]
        assert np.isfinite([psnr_of_it, similarity]).all()


@pytest.mark.parametrize("side", [1, 5, 24])
def test_what_is_measured_is_what_users_get(tmp_path: Path, side: int) -> None:
    """The restoration of a photo by a network in training is that of the checkpoint, to its rim."""
    torch.manual_seed(0)
    spec = {
        "basenet": {"name": "srresnet", "scale": 2, "channels": 4, "blocks": 1},
        "condition": {"name": "patches", "size": 8, "width": 4},
        "pixel_range": 255.0,
    }
    network = build_network(spec)
    torch.save({"format": FORMAT, "network": spec, "state": network.state_dict()}, tmp_path / "a.ckpt")
    restorer = find_method(str(tmp_path / "a.ckpt"), "cpu", 1).load()
    assert isinstance(restorer, ModelRestorer)
    spec_of_support = restorer.upscaler.model.support
    assert spec_of_support is not None
    lr = torch.rand(1, 3, side, 7, generator=torch.Generator().manual_seed(0))
    measured = restore_photo(network, spec_of_support.count, spec_of_support.patch, lr)
    given = restorer.restore(lr[0].permute(1, 2, 0).numpy(), 2)
    np.testing.assert_allclose(measured[0].permute(1, 2, 0).numpy(), given, atol=1e-5)


def test_a_run_with_a_fixed_number_of_patches_and_small_photos(config_file: Path, tmp_path: Path) -> None:
    scores = []
    settings = [
        "network.condition={name: stacked, support: 20, size: 8, width: 4}", "data.support=20", "steps=1",
        "validation.crop=32", "data.patch=16", "data.margin=0", "validation.degradations=[blur=1.3]",
    ]  # fmt: skip
    train(load_config(config_file, settings), tmp_path / "run", report=lambda p: scores.append(p.scores))
    assert scores[-1] is not None and np.isfinite(scores[-1].rows["mean"]).all()
