"""What a network takes and how far it sees, compared with how it was made."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from blindsr.engine import probe
from blindsr.engine.foreign import ForeignNetwork
from blindsr.engine.onnx import load_onnx
from blindsr.engine.probe import UNKNOWN_HALO, probe_network, probe_picture
from blindsr.errors import ModelError

from .foreign import Pixels, repeat, write_onnx


def mean_of_neighbours(planes: Pixels, radius: int) -> Pixels:
    """Of every pixel the mean of those `radius` away along the axes and itself; zeros beyond the rim."""
    padded = np.pad(planes, [(0, 0), (radius, radius), (radius, radius)])
    height, width = planes.shape[1:]
    places = [(radius, radius), (0, radius), (2 * radius, radius), (radius, 0), (radius, 2 * radius)]
    return np.mean([padded[:, y : y + height, x : x + width] for y, x in places], axis=0, dtype=np.float32)


@pytest.mark.parametrize(("scale", "pixel_range", "bias"), [(3, 1.0, 0.0), (2, 255.0, 5.0), (1, 1.0, 0.02)])
def test_scale_and_range(scale: int, pixel_range: float, bias: float) -> None:
    found = probe_network(ForeignNetwork(lambda planes: repeat(planes, scale) + np.float32(bias)), "it")
    assert (found.scale, found.pixel_range, found.halo, found.multiple) == (scale, pixel_range, 0, 1)
    assert found.tiled and found.tile_memory > 0
    assert probe_picture(64, 64).min() >= 0.1 and probe_picture(64, 64).max() <= 0.9


@pytest.mark.parametrize("convolutions", [1, 3, 7])
def test_the_halo_is_the_receptive_radius(tmp_path: Path, convolutions: int) -> None:
    file = write_onnx(tmp_path / "a.onnx", convolutions=convolutions)
    assert probe_network(load_onnx(file, 1), "it").halo == convolutions


@pytest.mark.parametrize("radius", [5, 20])
def test_near_and_far_sights_are_told_apart(radius: int) -> None:
    def network(planes: Pixels) -> Pixels:
        return repeat((3 * planes + mean_of_neighbours(planes, radius)) / 4, 2)

    found = probe_network(ForeignNetwork(network), "it")
    assert (found.halo, found.tiled) == (radius, True)


def test_a_sight_that_fades_ends_where_nothing_can_be_seen_of_it() -> None:
    """What comes from 30 pixels away is a fiftieth of a level at most: it is looked past."""

    def network(planes: Pixels) -> Pixels:
        near, far = mean_of_neighbours(planes, 4), mean_of_neighbours(planes, 30)
        return (3 * planes + near) / 4 + np.float32(0.02 / 255) * far

    found = probe_network(ForeignNetwork(network), "it")
    assert (found.halo, found.tiled) == (4, True)


def test_a_network_that_looks_at_the_whole_is_not_for_tiles(tmp_path: Path) -> None:
    found = probe_network(load_onnx(write_onnx(tmp_path / "a.onnx", normalised=True), 1), "it")
    assert (found.tiled, found.halo) == (False, UNKNOWN_HALO)


@pytest.mark.parametrize("unshuffle", [2, 4])
def test_groups_of_pixels_are_found(tmp_path: Path, unshuffle: int) -> None:
    file = write_onnx(tmp_path / "a.onnx", convolutions=2, unshuffle=unshuffle)
    found = probe_network(load_onnx(file, 1), "it")
    assert found.multiple == unshuffle
    assert 2 * unshuffle <= found.halo <= 3 * unshuffle - 1, "the groups' sight, to the end of the last one"


def test_groups_that_pad_themselves_are_found_by_their_places() -> None:
    """Any size runs, and pixels are treated by where they lie in blocks of six."""

    def network(planes: Pixels) -> Pixels:
        shade = 1 - 0.2 * ((np.arange(planes.shape[2]) % 6 == 0) & True)
        return repeat(planes * shade.astype(np.float32), 2)

    assert probe_network(ForeignNetwork(network), "it").multiple == 6


def test_of_a_fixed_size_the_halo_is_found_inside_it(tmp_path: Path) -> None:
    network = load_onnx(write_onnx(tmp_path / "a.onnx", convolutions=3, sides=(48, 64)), 1)
    found = probe_network(network, "it")
    assert (found.window, found.halo, found.multiple, found.tiled) == ((48, 64), 3, 1, True)


def test_gray_networks_are_given_the_colours_one_by_one(tmp_path: Path) -> None:
    network = load_onnx(write_onnx(tmp_path / "a.onnx", channels=1, convolutions=1), 1)
    assert network.channels == 1
    runs: list[Pixels] = []

    def run(planes: Pixels) -> Pixels:
        runs.append(planes)
        return network.run(planes)

    watched = ForeignNetwork(run, channels=1)
    colours = probe_picture(12, 16)
    restored = watched.restore(colours, 1.0)
    assert restored.shape == (3, 24, 32) and len(runs) == 3
    gray = np.repeat(colours[:1], 3, axis=0)
    assert np.array_equal(watched.restore(gray, 1.0)[1], restored[0]) and len(runs) == 4


@pytest.mark.parametrize(
    ("network", "fault"),
    [
        (lambda planes: planes[:, :50], "no enlarged picture"),
        (lambda planes: planes[:1], "no enlarged picture"),
        (lambda planes: planes * np.float32(np.nan), "does not resemble"),
        (lambda planes: np.full_like(planes, 0.9), "does not resemble"),
    ],
)
def test_what_is_no_such_network_is_refused(network: object, fault: str) -> None:
    with pytest.raises(ModelError, match=f"^it: .*{fault}"):
        probe_network(ForeignNetwork(network), "it")  # type: ignore[arg-type]


def test_no_halo_is_taken_that_tiles_disprove() -> None:
    """No change tells, but a tile does: what is made of a pixel depends on its place."""

    def network(planes: Pixels) -> Pixels:
        place = np.arange(planes.shape[2], dtype=np.float32) / 500
        return planes * (1 - place)

    assert not probe_network(ForeignNetwork(network), "it").tiled
    assert probe._first_below(np.float32([3, np.nan, 0, 0]), 1) == 2
    assert probe._first_below(np.float32([3, 2]), 1) is None
