"""A result in memory is handed out once all of it is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from blindsr.errors import ModelError
from blindsr.picture import Picture, PictureWriter
from blindsr.upscaling.stitching import Canvas
from blindsr.upscaling.upscaler import Upscaler

from ..conftest import MakeModel, made_photo

PICTURE = Picture(np.zeros((4, 5, 3), np.float32))


def box(height: int, width: int, channels: int = 3) -> NDArray[np.float32]:
    return np.full((height, width, channels), 0.5, np.float32)


def test_what_was_never_placed_is_noticed() -> None:
    canvas = Canvas(PICTURE, 8, 10)
    canvas.place(0, 0, box(8, 9), None)
    with pytest.raises(ValueError, match="nothing was ever placed at row 0, column 9 of the result"):
        canvas.finished()
    canvas.place(0, 9, box(7, 1), None)
    with pytest.raises(ValueError, match="row 7, column 9"):
        canvas.finished()
    canvas.place(6, 8, box(2, 2), None)  # over what is there: after tiles that were too large
    pixels, alpha = canvas.finished()
    assert (pixels == 0.5).all() and alpha is None


@pytest.mark.parametrize("shape", [(2, 2, 1), (2, 2, 4), (2, 2)])
def test_a_box_of_other_channels(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="pixels of shape"):
        Canvas(PICTURE, 8, 10).place(0, 0, np.zeros(shape, np.float32), None)


def test_a_box_beyond_the_result() -> None:
    with pytest.raises(ValueError, match="leaves a picture of 10x8"):
        Canvas(PICTURE, 8, 10).place(7, 0, box(2, 2), None)


@pytest.mark.parametrize("most", [None, 0])
def test_no_file_is_written_of_half_a_picture(tmp_path: Path, most: int | None) -> None:
    from blindsr.picture import Limits

    limits = Limits() if most is None else Limits(samples=most, folder=tmp_path)
    with PictureWriter(tmp_path / "a.png", PICTURE, 8, 10, limits=limits) as writer:
        writer.place(0, 0, box(8, 5), None)
        with pytest.raises(ValueError, match="row 0, column 5"):
            writer.save()
        assert not list(tmp_path.glob("*.png"))
        writer.place(0, 5, box(8, 5), None)
        writer.save()
    assert (tmp_path / "a.png").exists()


def test_an_engine_of_ones_own_that_makes_too_little(
    make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unset memory is no picture, whoever made the engine."""
    upscaler = Upscaler(make_model(adaptive=False), device="cpu")
    whole = upscaler.engine.upscale

    def small(lr: NDArray[np.float32], *given: Any) -> NDArray[np.float32]:
        return whole(lr, *given)[:, :, ::2, ::2]

    monkeypatch.setattr(upscaler.engine, "upscale", small)
    with pytest.raises((ValueError, ModelError)):
        upscaler.upscale(made_photo(20, 30))
