"""Texture where a mask says so: between both views, and the same in any tiles."""

from __future__ import annotations

import doctest
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from blindsr.errors import InputError
from blindsr.picture import open_photo, read
from blindsr.upscaling.mask import TextureMask, read_mask
from blindsr.upscaling.upscaler import Upscaler

from ..conftest import MakeModel, made_photo


def restored(upscaler: Upscaler, photo: Path, mask: TextureMask | None) -> np.ndarray:
    target = photo.with_name("result.tif")
    with open_photo(photo) as opened, upscaler.restore(opened, target, mask=mask) as writer:
        writer.save()
    return read(target).pixels


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    Image.fromarray(made_photo(50, 70)).save(tmp_path / "a.png")
    return tmp_path / "a.png"


@pytest.fixture
def model(make_model: MakeModel) -> Path:
    return make_model(adaptive=False, texture=0.8)


def test_white_is_all_and_black_is_none(model: Path, photo: Path) -> None:
    upscaler = Upscaler(model, threads=1)
    plain = restored(upscaler, photo, None)
    structure = restored(upscaler.with_texture(0.0), photo, None)
    assert (plain != structure).any()
    white, black = (TextureMask(np.full((3, 5), level, np.uint8)) for level in (255, 0))
    assert (restored(upscaler, photo, white) == plain).all()
    assert (restored(upscaler, photo, black) == structure).all()


def test_each_place_gets_its_own(model: Path, photo: Path) -> None:
    upscaler = Upscaler(model, threads=1)
    halves = TextureMask(np.repeat([[0, 255]], 40, axis=1).astype(np.uint8))
    made = restored(upscaler, photo, halves)
    width = made.shape[1]
    assert (
        made[:, : width // 2 - 8] == restored(upscaler.with_texture(0.0), photo, None)[:, : width // 2 - 8]
    ).all()
    assert (made[:, width // 2 + 8 :] == restored(upscaler, photo, None)[:, width // 2 + 8 :]).all()


def test_tiles_change_nothing(model: Path, photo: Path) -> None:
    mask = TextureMask(np.random.default_rng(0).integers(0, 256, (7, 9)).astype(np.uint8))
    whole = restored(Upscaler(model, threads=1), photo, mask)
    assert (restored(Upscaler(model, threads=1, tile=16), photo, mask) == whole).all()


def test_a_model_without_texture_takes_no_mask(make_model: MakeModel, photo: Path) -> None:
    with pytest.raises(InputError, match="has no texture"):
        restored(Upscaler(make_model(), threads=1), photo, TextureMask(np.zeros((1, 1), np.uint8)))


def test_masks_from_files(tmp_path: Path) -> None:
    levels = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
    Image.fromarray(levels).save(tmp_path / "gray.png")
    Image.fromarray(np.repeat(levels[..., None], 3, axis=2)).save(tmp_path / "colour.png")
    for name in ("gray.png", "colour.png"):
        weights = read_mask(tmp_path / name).weights(slice(0, 3), slice(0, 4), height=3, width=4)
        np.testing.assert_allclose(weights, levels / 255, atol=1e-6)
    (tmp_path / "none.png").write_bytes(b"none")
    with pytest.raises(InputError, match=r"none\.png"):
        read_mask(tmp_path / "none.png")


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 40), st.integers(1, 40), st.integers(0, 39))
def test_any_part_is_a_part_of_the_whole(
    rows: int, columns: int, height: int, width: int, start: int
) -> None:
    mask = TextureMask(np.random.default_rng(0).integers(0, 256, (rows, columns)).astype(np.uint8))
    whole = mask.weights(slice(0, height), slice(0, width), height=height, width=width)
    assert whole.shape == (height, width) and whole.min() >= 0 and whole.max() <= 1
    start = min(start, height - 1)
    part = mask.weights(slice(start, height), slice(0, width), height=height, width=width)
    assert (part == whole[start:]).all()


def test_the_example_of_a_mask() -> None:
    from blindsr.upscaling import mask

    tried = doctest.testmod(mask, extraglobs={"np": np})
    assert tried.attempted and not tried.failed
