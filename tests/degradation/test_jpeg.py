"""The JPEG round trip against a real encoder and decoder (Pillow's libjpeg)."""

from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from blindsr.degradation import jpeg
from blindsr.degradation.jpeg import quantisation_tables
from blindsr.errors import InputError

PILLOW = {"420": 2, "444": 0}


def pillow_file(photo: NDArray[np.float32], quality: int, subsampling: str) -> Image.Image:
    levels = np.rint(photo[0].transpose(1, 2, 0) * 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(levels).save(file, "JPEG", quality=quality, subsampling=PILLOW[subsampling])
    return Image.open(file)


def psnr(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    return float(-10 * np.log10(np.mean((a.astype(np.float64) - b) ** 2) + 1e-12))


@pytest.mark.parametrize("subsampling", ["420", "444"])
@pytest.mark.parametrize("quality", [10, 30, 60, 90, 100])
@pytest.mark.parametrize("size", [(96, 64), (95, 61), (17, 33), (50, 9)])
def test_close_to_a_real_jpeg(
    photo: NDArray[np.float32], quality: int, subsampling: str, size: tuple[int, int]
) -> None:
    photo = photo[:, :, : size[0], : size[1]]
    decoded = np.asarray(pillow_file(photo, quality, subsampling), np.float32).transpose(2, 0, 1)[None] / 255
    ours = jpeg(photo, quality, subsampling)
    assert ours.shape == photo.shape
    assert psnr(ours, decoded) > 44
    if quality < 100:
        assert psnr(ours, decoded) > psnr(photo, decoded) + 10


@pytest.mark.parametrize("quality", [1, 10, 30, 49, 50, 51, 75, 90, 99, 100])
def test_tables_are_the_encoders(photo: NDArray[np.float32], quality: int) -> None:
    written = pillow_file(photo, quality, "420").quantization  # type: ignore[attr-defined]
    for ours, theirs in zip(quantisation_tables(quality), (written[0], written[1]), strict=True):
        np.testing.assert_array_equal(ours.ravel(), theirs)


def test_result_is_in_whole_levels_and_in_range(photo: NDArray[np.float32]) -> None:
    wild = (photo - 0.5) * 3 + 0.5  # far outside [0, 1] in places
    result = jpeg(wild, 40)
    assert result.min() >= 0 and result.max() <= 1
    np.testing.assert_allclose(result * 255, np.rint(result * 255), atol=1e-4)


@pytest.mark.parametrize("quality", [25, 50, 75])
def test_ties_go_where_the_encoder_sends_them(quality: int) -> None:
    """Flat blocks of every gray level: at quality 50 each second one lies halfway between two steps."""
    levels = np.repeat(np.repeat(np.arange(256).reshape(16, 16), 8, axis=0), 8, axis=1)
    flat = np.broadcast_to((levels / 255).astype(np.float32), (1, 3, 128, 128))
    decoded = np.asarray(pillow_file(flat, quality, "444"), np.float32).transpose(2, 0, 1)[None]
    np.testing.assert_allclose(jpeg(flat, quality, "444") * 255, decoded, atol=1e-3)


@pytest.mark.parametrize("level", [0, 77, 128, 255])
def test_flat_gray_survives_high_quality(level: int) -> None:
    flat = np.full((1, 3, 24, 24), level / 255, np.float32)
    np.testing.assert_allclose(jpeg(flat, 100), flat, atol=1e-6)


def test_lower_quality_loses_more(photo: NDArray[np.float32]) -> None:
    losses = [psnr(jpeg(photo, quality), photo) for quality in (10, 30, 50, 70, 90)]
    assert losses == sorted(losses) and losses[-1] - losses[0] > 2


def test_chroma_is_halved_only_on_request(photo: NDArray[np.float32]) -> None:
    assert psnr(jpeg(photo, 100, "444"), photo) > psnr(jpeg(photo, 100, "420"), photo) + 3


def test_images_of_a_batch_do_not_touch(batch: NDArray[np.float32]) -> None:
    np.testing.assert_array_equal(jpeg(batch, 50)[1:2], jpeg(batch[1:2], 50))


@pytest.mark.parametrize("quality", [0, 101, -5, 60.0, True])
def test_impossible_qualities_are_refused(photo: NDArray[np.float32], quality: int) -> None:
    with pytest.raises(InputError, match="quality"):
        jpeg(photo, quality)


def test_other_faults_are_refused(photo: NDArray[np.float32]) -> None:
    with pytest.raises(InputError, match="subsampling"):
        jpeg(photo, 50, "411")
    with pytest.raises(InputError, match="3 channels"):
        jpeg(photo[:, :1], 50)
