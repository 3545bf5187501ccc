"""Tiles cover the image once, carry their halo, and leave no trace in the result."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from blindsr.errors import InputError
from blindsr.models.catalogue import find_model
from blindsr.picture.rim import margins
from blindsr.upscaling.tiling import AUTO_PIXELS, Box, plan_tiles, plan_windows, whole
from blindsr.upscaling.upscaler import Upscaler

from ..conftest import MakeModel, made_photo


@settings(max_examples=200, deadline=None)
@given(
    height=st.integers(1, 300),
    width=st.integers(1, 300),
    tile=st.one_of(st.just("auto"), st.integers(1, 320)),
    halo=st.integers(0, 70),
    multiple=st.one_of(st.just(1), st.integers(2, 9)),
)
def test_geometry(height: int, width: int, tile: int | str, halo: int, multiple: int) -> None:
    covered = np.zeros((height, width), int)
    shapes = set()
    (above, below), (before, after) = (margins(side, halo, multiple) for side in (height, width))
    for piece in plan_tiles(height, width, tile, halo, multiple=multiple):
        window, core = piece.window, piece.core
        assert 0 <= core.top < core.bottom <= height and 0 <= core.left < core.right <= width
        assert all(end % multiple == 0 for end in (window.top, window.bottom, window.left, window.right))
        assert -above <= window.top and window.bottom <= height + below
        assert -before <= window.left and window.right <= width + after
        # The halo is whole wherever the image, or its margin, goes on.
        assert window.top <= max(-above, core.top - halo)
        assert window.bottom >= min(height + below, core.bottom + halo)
        assert window.left <= max(-before, core.left - halo)
        assert window.right >= min(width + after, core.right + halo)
        if isinstance(tile, int):
            longest = max(window.bottom - window.top, window.right - window.left)
            # No tile is smaller than a group of pixels, at either end of which a group may be cut.
            assert longest <= 2 * halo + max(tile, 1 if multiple == 1 else 3 * multiple)
        kept = piece.kept(3)
        assert (kept.top, kept.right) == (3 * (core.top - window.top), 3 * (core.right - window.left))
        covered[core.slices] += 1
        shapes.add((window.bottom - window.top, window.right - window.left))
    assert (covered == 1).all()
    assert len(shapes) == 1


@given(
    height=st.integers(1, 90), width=st.integers(1, 90), halo=st.integers(0, 40), multiple=st.integers(1, 9)
)
def test_an_image_in_one_tile(height: int, width: int, halo: int, multiple: int) -> None:
    tile = whole(height, width, halo, multiple)
    assert tile.core == Box(0, height, 0, width)
    assert [tile] == plan_tiles(height, width, "auto", halo, multiple=multiple)


@pytest.mark.parametrize(
    ("height", "width"),
    [(384, 384), (368, 368), (300, 800), (700, 1100), (4000, 3000), (40, 20000), (3000, 90)],
)
@pytest.mark.parametrize("halo", [0, 20, 100])
def test_auto_stays_within_its_memory_and_near_the_whole_image(height: int, width: int, halo: int) -> None:
    tiles = plan_tiles(height, width, "auto", halo)
    areas = [(t.window.bottom - t.window.top) * (t.window.right - t.window.left) for t in tiles]
    extended = whole(height, width, halo).window.area
    assert max(areas) <= AUTO_PIXELS
    assert (len(tiles) == 1) == (extended <= AUTO_PIXELS)
    if halo <= 20:
        assert sum(areas) < 1.35 * extended


@pytest.mark.parametrize("most", [1, 2000, 50_000])
@pytest.mark.parametrize("halo", [0, 7, 40])
@pytest.mark.parametrize("multiple", [1, 4, 16])
def test_the_limit_holds_whatever_windows_begin_at(most: int, halo: int, multiple: int) -> None:
    least = max(16, 3 * halo, 2 * halo + 3 * multiple) ** 2
    for height, width in ((403, 701), (1000, 64), (3, 900)):
        for tile in plan_tiles(height, width, "auto", halo, most, multiple=multiple):
            assert tile.window.area <= max(most, least)


def test_auto_has_an_answer_for_a_halo_that_no_tile_can_hold() -> None:
    tiles = plan_tiles(5000, 5000, "auto", 600)
    assert 1 < len(tiles) < 100


@pytest.mark.parametrize("tile", [0, -3, "big", 1.5])
def test_bad_tile(tile: object) -> None:
    with pytest.raises(InputError, match="tile"):
        plan_tiles(10, 10, tile, 2)  # type: ignore[arg-type]


def test_box() -> None:
    box = Box(2, 5, 1, 9)
    assert box.scaled(3) == Box(6, 15, 3, 27)
    assert box.relative_to(Box(1, 9, 1, 9)) == Box(1, 4, 0, 8)


@pytest.fixture(scope="module")
def upscaler(tmp_path_factory: pytest.TempPathFactory) -> Upscaler:
    from ..conftest import write_model

    return Upscaler(
        find_model(write_model(tmp_path_factory.mktemp("models") / "tiny", scale=3)), device="cpu"
    )


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(height=st.integers(1, 70), width=st.integers(1, 70), tile=st.integers(1, 60), seed=st.integers(0, 99))
def test_tiled_equals_untiled(upscaler: Upscaler, height: int, width: int, tile: int, seed: int) -> None:
    photo = made_photo(height, width, seed).astype(np.float32) / 255
    upscaler.tile = "auto"
    whole = upscaler.upscale(photo)
    upscaler.tile = tile
    assert np.abs(upscaler.upscale(photo) - whole).max() < 1e-5


@pytest.mark.parametrize(("scale", "multiple"), [(1, 1), (1, 4), (2, 2), (1, 3)])
@pytest.mark.parametrize(("height", "width", "tile"), [(61, 70, 16), (2, 75, 9), (41, 33, 1)])
def test_tiled_equals_untiled_where_pixels_are_grouped(
    make_model: MakeModel, scale: int, multiple: int, height: int, width: int, tile: int
) -> None:
    photo = made_photo(height, width).astype(np.float32) / 255
    upscaler = Upscaler(make_model(scale=scale, multiple=multiple, adaptive=False), device="cpu")
    upscaler.tile = "auto"
    whole = upscaler.upscale(photo)
    assert whole.shape == (scale * height, scale * width, 3)
    upscaler.tile = tile
    steps: list[int] = []
    tiled = upscaler.upscale(photo, on_tile=lambda done, total: steps.append(total))
    assert np.abs(tiled - whole).max() < 1e-5 and steps[0] > 1


def test_tiles_off_the_groups_would_be_seen(make_model: MakeModel) -> None:
    """The comparison above can fail: with tiles that begin anywhere it does."""
    photo = made_photo(64, 72).astype(np.float32) / 255
    upscaler = Upscaler(make_model(scale=1, multiple=4, adaptive=False), device="cpu")
    restored = upscaler.upscale(photo)
    for shift, seen in ((4, False), (3, True)):
        lr = np.ascontiguousarray(photo[shift : shift + 60].transpose(2, 0, 1)[None])
        shifted = upscaler.engine.upscale(lr, None)[0].transpose(1, 2, 0).clip(0, 1)
        inside = np.abs(shifted - restored[shift : shift + 60])[24:-24, 24:-24]
        assert (inside.max() > 1e-3) == seen


def test_a_halo_too_small_would_be_seen(make_model: MakeModel, tmp_path: Path) -> None:
    """The comparison above can fail: with half the halo it does."""
    photo = made_photo(60, 60).astype(np.float32) / 255
    whole = Upscaler(make_model("right")).upscale(photo)
    narrow = Upscaler(make_model("wrong", halo=2), tile=16).upscale(photo)
    assert np.abs(narrow - whole).max() > 1e-3


@pytest.mark.parametrize("multiple", [1, 4])
@pytest.mark.parametrize(("window", "halo"), [(64, 0), (64, 7), (64, 16), (40, 3)])
@pytest.mark.parametrize("length", [1, 5, 40, 48, 49, 63, 64, 65, 100, 257])
def test_windows_of_one_size_cover_all_and_keep_their_halo(
    length: int, window: int, halo: int, multiple: int
) -> None:
    tiles = plan_windows(length, length, (window, window), halo, multiple)
    end = 0
    for tile in (one for one in tiles if one.core.left == 0):
        rows, core = (tile.window.top, tile.window.bottom), (tile.core.top, tile.core.bottom)
        assert rows[1] - rows[0] == window and rows[0] % multiple == 0
        assert core[0] == end and core[1] > core[0]
        assert core[0] == 0 or core[0] - rows[0] >= halo
        assert core[1] == length or rows[1] - core[1] >= halo
        # Beyond the photo there is what every photo has there.
        assert core[0] > 0 or -rows[0] >= min(halo, 8) or length + 2 * min(halo, 8) > window
        end = core[1]
    assert end == length


def test_windows_without_room_for_their_halo() -> None:
    with pytest.raises(ValueError, match="no room"):
        plan_windows(100, 100, (32, 32), 16)
