"""Files of other programs through the upscaler: tiles, alpha, 16 bit, threads, batches, memory."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from blindsr.batch.plan import plan_batch
from blindsr.batch.run import run_batch
from blindsr.engine.opening import load_model
from blindsr.errors import InputError
from blindsr.picture import Picture
from blindsr.picture.sizing import OutputSize
from blindsr.system.memory import Memory
from blindsr.upscaling.upscaler import Upscaler

from ..conftest import Run, made_photo
from ..engine.foreign import write_onnx

LEVEL = 1 / 255


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_onnx(tmp_path / "2x-other.onnx", convolutions=3)


def restored(source: Path | Any, photo: Any, **options: Any) -> Any:
    return Upscaler(source, device="cpu", threads=1, **options).upscale(photo)


@pytest.mark.parametrize(
    "options",
    [
        {"convolutions": 3},
        {"convolutions": 2, "unshuffle": 2},
        {"convolutions": 2, "channels": 1},
        {"convolutions": 2, "last": True, "bias": 5.0},
    ],
)
def test_tiles_are_the_whole(tmp_path: Path, options: dict[str, Any]) -> None:
    file = write_onnx(tmp_path / "a.onnx", **options)
    photo = made_photo(50, 70).astype(np.float32) / np.float32(255)
    whole, tiled = (restored(file, photo, tile=tile) for tile in (1000, 12))
    assert whole.shape == (100, 140, 3)
    assert np.abs(whole - tiled).max() <= LEVEL


def test_windows_of_one_size_are_the_whole(tmp_path: Path) -> None:
    """A graph that takes one size alone, beside the same graph of any."""
    free = write_onnx(tmp_path / "free.onnx", convolutions=3)
    fixed = write_onnx(tmp_path / "fixed.onnx", convolutions=3, sides=(32, 40))
    for height, width in ((100, 70), (9, 11), (20, 24), (17, 90)):
        photo = made_photo(height, width).astype(np.float32) / np.float32(255)
        whole, tiled = restored(free, photo, tile=1000), restored(fixed, photo)
        assert np.abs(whole - tiled).max() <= LEVEL, (height, width)


def test_alpha_gray_and_16_bit(file: Path, tmp_path: Path) -> None:
    rgba = np.dstack([made_photo(20, 24), np.full((20, 24), 77, np.uint8)])
    made = restored(file, rgba)
    assert made.shape == (40, 48, 4) and (made[:, :, 3] == 77).all()
    deep = made_photo(20, 24).astype(np.uint16) * 257
    assert restored(file, deep).dtype == np.uint16
    assert restored(file, deep[:, :, 0]).shape == (40, 48)
    assert isinstance(restored(file, Picture(np.zeros((8, 9, 3), np.float32))), Picture)
    picture = Upscaler(file, device="cpu").upscale(deep, size=OutputSize(width=30))
    assert picture.shape == (25, 30, 3)


def test_eight_threads_share_one(file: Path) -> None:
    upscaler = Upscaler(file, device="cpu", threads=1, tile=16)
    photos = [made_photo(40, 40, seed) for seed in range(8)]
    alone = [upscaler.upscale(photo) for photo in photos]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(upscaler.upscale, photos))
    assert all(np.array_equal(one, other) for one, other in zip(alone, together, strict=True))


def test_a_batch_goes_on_and_knows_another_file(file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for seed in range(3):
        Image.fromarray(made_photo(20, 24, seed)).save(folder / f"{seed}.png")
    (folder / "bad.png").write_bytes(b"no photo")  # for which the journal is kept

    def statuses(**options: Any) -> list[str]:
        upscaler = Upscaler(file, device="cpu", threads=1, memory=Memory(1 << 30), **options)
        plan = plan_batch([folder], tmp_path / "out", label="x2")
        return sorted(outcome.status for outcome in run_batch(plan, upscaler))

    done, skipped = ["done"] * 3 + ["failed"], ["failed"] + ["skipped"] * 3
    assert statuses() == done
    assert statuses() == skipped
    (tmp_path / "out" / "1_x2.png").unlink()
    assert statuses() == ["done", "failed", "skipped", "skipped"]
    assert statuses(tile=16) == done, "measured halos are not exact to the last bit"
    write_onnx(file, convolutions=3, seed=1)
    assert statuses(tile=16) == done


def test_the_command_takes_a_file(file: Path, tmp_path: Path, run: Run) -> None:
    Image.fromarray(made_photo(20, 24)).save(tmp_path / "a.png")
    assert run("upscale", tmp_path / "a.png", "--model", file, "--device", "cpu")[0] == 0
    assert Image.open(tmp_path / "a_x2.png").size == (48, 40)
    code, _, error = run("upscale", tmp_path / "a.png", "--model", f"{file}@scale=4", "--overwrite")
    assert code == 2 and "model for x2, not x4" in error
    code, _, error = run("upscale", tmp_path / "a.png", "--model", f"{file}@fp32", "--precision", "fp32")
    assert code == 2 and "--precision and @fp32: give only one of them" in error
    code, _, error = run("upscale", tmp_path / "a.png", "--model", file, "-o", file)
    assert code == 2, "the model is not overwritten"
    code, out, _ = run("models", file)
    assert code == 0 and "unknown" in out and "3 pixels around a tile, as measured" in out


def test_what_looks_at_the_whole_is_run_whole(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = write_onnx(tmp_path / "a.onnx", convolutions=1, normalised=True)
    model = load_model(file)
    assert not model.tiled
    upscaler = Upscaler(replace(model, tile_memory=60_000), device="cpu", threads=1, memory=Memory(400 << 20))
    tiles: list[int] = []
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            upscaler.upscale(made_photo(60, 60), on_tile=lambda done, total: tiles.append(total))
    assert tiles == [1, 1] and [one.message for one in caplog.records] == [
        "model a looks at the whole photo, so it is not cut into tiles"
    ]
    Image.fromarray(made_photo(60, 60)).save(tmp_path / "a.png")
    with pytest.raises(
        InputError, match=r"60x60 need about 331 MiB, and there are .* raise --memory, or give --tile N"
    ):
        upscaler.upscale_file(tmp_path / "a.png", tmp_path / "b.png")
    cut = Upscaler(model, device="cpu", threads=1, tile=24)
    cut.upscale(made_photo(150, 60), on_tile=lambda done, total: tiles.append(total))
    assert tiles[-1] > 1, "somebody wants it"


def test_a_window_that_looks_at_the_whole_takes_no_more(tmp_path: Path) -> None:
    file = write_onnx(tmp_path / "a.onnx", normalised=True, sides=(32, 32))
    upscaler = Upscaler(file, device="cpu", threads=1)
    assert upscaler.upscale(made_photo(20, 30)).shape == (40, 60, 3)
    with pytest.raises(InputError, match="takes 32x32 pixels: give --tile N"):
        upscaler.upscale(made_photo(20, 40))
    assert Upscaler(file, device="cpu", tile=16).upscale(made_photo(20, 40)).shape == (40, 80, 3)
