from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from blindsr.errors import ConfigError
from blindsr.network.basenet import BicubicUpscale
from blindsr.network.lattice import LatticeFilter

SCALES = (2, 3, 4)


def lattice(scale: int, cells: int, levels: float, seed: int = 0) -> Tensor:
    """The same pattern in every cell, of zero mean, (1, 3, side, side)."""
    cell = torch.from_numpy(np.random.default_rng(seed).normal(0, levels / 255, (1, 3, scale, scale))).float()
    return (cell - cell.mean((2, 3), keepdim=True)).tile(1, 1, cells, cells)


def restored(scale: int, cells: int) -> Tensor:
    """What a perfect network could make of an LR photo: nothing of it repeats from cell to cell."""
    rng = np.random.default_rng(7)
    lr = torch.from_numpy(rng.random((1, 3, cells // 4, cells // 4))).float()
    smooth = torch.nn.functional.interpolate(lr, size=(cells, cells), mode="bicubic").clamp(0.05, 0.95)
    return BicubicUpscale(scale)(smooth)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("colour", [0.0, 0.5, 1.0])
def test_a_lattice_in_a_flat_colour_is_gone(scale: int, colour: float) -> None:
    flat = torch.full((1, 3, 32 * scale, 32 * scale), colour)
    difference = LatticeFilter(scale)(flat + lattice(scale, 32, 3.0)) - flat
    assert float(difference.abs().max()) * 255 < 0.01
    # ... even at the rim, and whatever each colour's own pattern is.
    torch.testing.assert_close(LatticeFilter(scale)(flat), flat)


@pytest.mark.parametrize("scale", SCALES)
def test_a_ramp_is_no_lattice(scale: int) -> None:
    y, x = torch.meshgrid(torch.arange(40.0 * scale), torch.arange(40.0 * scale), indexing="ij")
    ramp = ((x + 2 * y) / (200 * scale)).expand(1, 3, -1, -1)
    made = LatticeFilter(scale)(ramp + lattice(scale, 40, 3.0))
    inside = slice(8 * scale, -8 * scale)  # the bicubic kernel sees the ramp's end as a bend
    assert float((made - ramp)[..., inside, inside].abs().max()) * 255 < 0.3


@pytest.mark.parametrize("scale", SCALES)
def test_what_a_photo_has_stays_and_the_lattice_goes(scale: int) -> None:
    photo, pattern = restored(scale, 48), lattice(scale, 48, 3.0)
    judge = LatticeFilter(scale)
    unharmed = float((judge(photo) - photo).square().mean().sqrt()) * 255
    cleaned = float((judge(photo + pattern) - photo).square().mean().sqrt()) * 255
    before = float(pattern.square().mean().sqrt()) * 255
    assert unharmed < 0.3
    assert cleaned < 0.2 * before


def test_an_edge_on_the_grid_is_neither_softened_nor_repeated() -> None:
    """Beside a sharp edge that runs along the cells lies nothing but a faint trace of it."""
    scale = 4
    image = torch.full((1, 3, 160, 160), 0.2)
    image[..., 82:] = 0.8  # within a cell: all the cells along it are alike
    change = (LatticeFilter(scale)(image) - image).abs() * 255
    assert float(change.max()) < 1.0
    plain = LatticeFilter(scale, level=1e6)  # every cell counts alike
    assert float((plain(image) - image).abs().max()) * 255 > 5


def test_no_cell_changes_its_mean_and_no_gradient_is_lost() -> None:
    photo = (restored(4, 24) + lattice(4, 24, 2.0)).requires_grad_()
    made = LatticeFilter(4)(photo)
    means = [torch.nn.functional.avg_pool2d(image.detach(), 4) for image in (photo, made)]
    torch.testing.assert_close(*means, atol=1e-6, rtol=0)
    made.sum().backward()
    assert photo.grad is not None
    torch.testing.assert_close(float(photo.grad.sum()), float(photo.numel()), rtol=1e-4, atol=0)


def test_it_computes_in_single_precision_under_autocast() -> None:
    image = torch.full((1, 3, 32, 32), 0.7) + lattice(4, 8, 3.0)
    with torch.autocast("cpu", torch.bfloat16):
        made = LatticeFilter(4)(image)
    assert made.dtype == torch.float32
    torch.testing.assert_close(made, LatticeFilter(4)(image), rtol=0, atol=0)


@pytest.mark.parametrize("cells", [1, 2, 4, -3])
def test_a_window_without_a_middle_is_refused(cells: int) -> None:
    with pytest.raises(ConfigError, match="odd and 3 or more"):
        LatticeFilter(4, cells)
