"""Masks: where the texture view has its say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from blindsr.errors import InputError
from blindsr.picture import Picture, write
from blindsr.upscaling.masking import TextureMask
from blindsr.upscaling.tiling import Box
from blindsr.upscaling.upscaler import Upscaler

from ..conftest import MakeModel, Run, made_photo, save_photos

PHOTO = made_photo(60, 70)


@pytest.fixture
def upscaler(make_model: MakeModel) -> Upscaler:
    return Upscaler(make_model(adaptive=False, texture=0.5), device="cpu", threads=1, tile=24, texture=1)


def halves(height: int, width: int) -> NDArray[np.uint8]:
    """White on the right."""
    mask = np.zeros((height, width), np.uint8)
    mask[:, width // 2 :] = 255
    return mask


def test_white_is_all_of_it_and_black_none(upscaler: Upscaler) -> None:
    plain = Upscaler(upscaler.model, device="cpu", threads=1, texture=0)
    with_texture, without = upscaler.upscale(PHOTO), plain.upscale(PHOTO)
    assert not np.array_equal(with_texture, without)
    for level, expected in ((255, with_texture), (0, without)):
        found = upscaler.upscale(PHOTO, mask=np.full((3, 5), level, np.uint8))
        np.testing.assert_array_equal(found, expected)
    found = upscaler.upscale(PHOTO, mask=halves(60, 70))
    np.testing.assert_array_equal(found[:, :136], without[:, :136])
    np.testing.assert_array_equal(found[:, 144:], with_texture[:, 144:])
    gray = upscaler.upscale(PHOTO, mask=np.full((1, 1), 0.5))
    half = Upscaler(upscaler.model, device="cpu", threads=1, texture=0.5).upscale(PHOTO)
    assert np.abs(gray.astype(int) - half).max() <= 1, "the texture is added, so half of it is half way"


def test_tiles_do_not_show(upscaler: Upscaler) -> None:
    rng = np.random.default_rng(0)
    mask = (rng.random((17, 23)) * 255).astype(np.uint8)
    whole = Upscaler(upscaler.model, device="cpu", threads=1, texture=1)
    np.testing.assert_array_equal(upscaler.upscale(PHOTO, mask=mask), whole.upscale(PHOTO, mask=mask))


@pytest.mark.parametrize("sides", [(60, 70), (240, 280), (13, 400), (480, 9), (1, 1)])
def test_a_window_is_a_part_of_the_whole(sides: tuple[int, int]) -> None:
    levels = np.random.default_rng(1).integers(0, 256, sides).astype(np.uint8)
    mask = TextureMask(levels)
    whole = mask.window(Box(0, 240, 0, 280), 240, 280)
    assert whole.shape == (240, 280) and whole.min() >= 0 and whole.max() <= 1
    assert whole.mean() == pytest.approx(levels.mean() / 255, abs=0.02)
    for top, bottom, left, right in ((0, 8, 0, 8), (100, 160, 7, 279), (239, 240, 0, 280)):
        part = mask.window(Box(top, bottom, left, right), 240, 280)
        np.testing.assert_array_equal(part, whole[top:bottom, left:right])


def test_colours_and_what_is_transparent() -> None:
    box = Box(0, 1, 0, 1)
    red = TextureMask.read(Picture(np.array([[[1, 0, 0]]], np.float32)))
    assert red.window(box, 1, 1)[0, 0] == pytest.approx(1 / 3, abs=1 / 255)
    clear = TextureMask.read(Picture(np.ones((1, 1, 3), np.float32), alpha=np.zeros((1, 1), np.float32)))
    assert clear.window(box, 1, 1)[0, 0] == 0
    assert red.digest != clear.digest and red.digest == TextureMask.read(red).digest


def test_it_needs_a_texture_to_place(make_model: MakeModel) -> None:
    upscaler = Upscaler(make_model(), device="cpu", threads=1)
    with pytest.raises(InputError, match="model tiny has no texture that a mask could place; leave --mask"):
        upscaler.upscale(PHOTO, mask=halves(6, 6))


def test_from_the_command_line(run: Run, make_model: MakeModel, tmp_path: Path) -> None:
    folder, mask = save_photos(tmp_path / "photos", 2, 40, 50), tmp_path / "mask.png"
    write(Picture((halves(20, 25) / np.float32(255))[:, :, None]), mask)
    model = make_model(adaptive=False, texture=1.0)
    command = ("upscale", folder, "--model", model, "-o", tmp_path / "out", "--mask", mask)
    code, _, error = run(*command)
    assert code == 0, error
    first = {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()}
    expected = tmp_path / "alone.png"
    Upscaler(model, device="cpu").upscale_file(folder / "0.png", expected, mask=mask)
    assert first["0_x4.png"] == expected.read_bytes()
    Upscaler(model, device="cpu").upscale_file(folder / "0.png", tmp_path / "without.png")
    assert first["0_x4.png"] != (tmp_path / "without.png").read_bytes()
    code, _, error = run("upscale", folder / "0.png", "--model", model, "-o", mask, "--mask", mask)
    assert code == 2 and "mask.png" in error, "what is read is not written over"
    code, _, error = run(*command[:-1], tmp_path / "absent.png", "--overwrite")
    assert code == 2 and len(error.splitlines()) == 1 and "absent.png" in error


def test_another_mask_makes_other_results(upscaler: Upscaler) -> None:
    one, other = (TextureMask.read(np.full((2, 2), level, np.uint8)) for level in (0, 255))
    identities = [upscaler.identity(mask=mask) for mask in (None, one, other)]
    assert len({str(identity) for identity in identities}) == 3
