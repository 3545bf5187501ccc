"""The colours' benchmark reads charts by itself, and must read them right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from skimage.color import rgb2lab

FARTHEST = 0.35  # what 8 bit and a good JPEG leave of a patch's mean


@pytest.fixture(scope="module")
def colour(benchmark: Callable[[str], ModuleType]) -> ModuleType:
    return benchmark("colour")


def test_cielab_is_that_of_others(colour: ModuleType) -> None:
    codes = np.linspace(0, 1, 99).reshape(-1, 11, 3)
    np.testing.assert_allclose(colour.lab_of_codes(codes, 1, 13), rgb2lab(codes, illuminant="D65"), atol=6)
    gray = colour.lab_of_codes(codes[:, :, :1], 1, 13)
    np.testing.assert_allclose(gray[..., 1:], 0, atol=0.05)
    white = colour.lab_of_codes(np.full((1, 1, 3), 0.5807), *colour.PQ)
    np.testing.assert_allclose(white, [[[100, 0, 0]]], atol=0.1)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Display P3, profile .png", "Display P3, profile .jpg"),
        ("Display P3, profile .png", "Display P3, nclx .avif"),
        ("Display P3, profile .png", "Display P3, numbers .jxl"),
        ("BT.2020 PQ, cICP .png", "BT.2020 PQ, numbers, 12 bit .jxl"),
        ("Adobe RGB, 16 bit .tif", "Adobe RGB .jpg"),
        ("BT.2020 HLG, cICP .png", "BT.2020 HLG, nclx, 10 bit .avif"),
        ("gray, gamma 1.8, profile .png", "gray, gamma 1.8, gAMA .png"),
        ("CMYK .tif", "CMYK, 16 bit .tif"),
    ],
)
def test_the_same_told_in_two_ways(colour: ModuleType, tmp_path: Path, one: str, other: str) -> None:
    charts = {f"{chart.name} {chart.suffix}": chart for chart in colour.charts()}
    found = []
    for name in (one, other):
        path = tmp_path / f"{len(found)}{charts[name].suffix}"
        charts[name].write(path)
        found.append(colour.lab_of(path))
    mean, _ = colour.distances(*found)
    assert mean < FARTHEST


def test_distances(colour: ModuleType, tmp_path: Path) -> None:
    codes = colour.lab_of_codes(colour.chart(), 1, 13)
    large = codes.repeat(4, 0).repeat(4, 1)
    assert colour.distances(codes, large) == (0, 0)
    large[: 4 * colour.SIDE, : 4 * colour.SIDE, 0] += 5
    mean, worst = colour.distances(codes, large)
    assert worst > 2 and mean == pytest.approx(worst / 24)
    edges = codes.repeat(4, 0).repeat(4, 1)
    edges[:: 4 * colour.SIDE] += 20
    assert colour.distances(codes, edges) == (0, 0)
