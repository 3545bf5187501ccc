"""One battery over every metric of two pictures, then what PSNR and SSIM are known to measure."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from skimage.color import rgb2ycbcr
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from blindsr.degradation import resize
from blindsr.errors import InputError
from blindsr.metrics import HIGHER_IS_BETTER, METRICS, LPIPSNetwork, lpips, psnr, ssim
from blindsr.metrics.color import rgb_to_y

SHARED = Path(__file__).parents[2] / ".." / "shared" / "data"
PERFECT = {"psnr": math.inf, "ssim": 1.0, "lpips": 0.0}

Metric = Callable[..., float]
Pair = tuple[NDArray[np.float64], NDArray[np.float64]]


@pytest.fixture(params=[*METRICS, "lpips"])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def metric(name: str, squeeze: LPIPSNetwork) -> Metric:
    return partial(lpips, network=squeeze) if name == "lpips" else METRICS[name]


@pytest.fixture(params=["y", "rgb"])
def channel(request: pytest.FixtureRequest, name: str) -> dict[str, str]:
    """Options that choose what is compared; LPIPS always has the colours."""
    if name == "lpips" and request.param == "y":
        pytest.skip("LPIPS sees colours")
    return {} if name == "lpips" else {"channel": request.param}


def smooth_picture(height: int = 61, width: int = 74, channels: int = 3) -> NDArray[np.float64]:
    """A picture with edges, gradients and flat parts, on the grid of 8 bit."""
    rows, columns = np.mgrid[0:height, 0:width]
    planes = [
        0.5 + 0.4 * np.sin(rows / (5 + 2 * i)) * np.cos(columns / (9 - 2 * i)) + 0.1 * (columns > 30 + 9 * i)
        for i in range(channels)
    ]
    return np.asarray(np.round(np.clip(np.stack(planes, -1), 0, 1) * 255) / 255)


def add_noise(picture: NDArray[np.float64], sigma: float, seed: int = 0) -> NDArray[np.float64]:
    noisy = picture + np.random.default_rng(seed).normal(0, sigma, picture.shape)
    return np.asarray(np.round(np.clip(noisy, 0, 1) * 255) / 255)


@pytest.fixture
def pair() -> Pair:
    picture = smooth_picture()
    return add_noise(picture, 0.05), picture


@pytest.mark.parametrize("border", [0, 4])
def test_a_picture_equals_itself(name: str, metric: Metric, channel: dict[str, str], border: int) -> None:
    picture = smooth_picture()
    assert metric(picture, picture.copy(), border=border, **channel) == pytest.approx(PERFECT[name])


def test_order_does_not_matter(metric: Metric, pair: Pair, channel: dict[str, str]) -> None:
    a, b = pair
    assert metric(a, b, border=2, **channel) == pytest.approx(metric(b, a, border=2, **channel))


def test_more_noise_measures_worse(name: str, metric: Metric) -> None:
    picture = smooth_picture()
    values = [metric(add_noise(picture, sigma), picture, border=4) for sigma in (0.01, 0.03, 0.1, 0.3)]
    assert values == sorted(values, reverse=HIGHER_IS_BETTER[name])
    assert len(set(values)) == 4


def test_a_gray_picture_is_measured(name: str, metric: Metric) -> None:
    picture = smooth_picture(channels=1)
    assert metric(picture, picture.copy(), border=4) == pytest.approx(PERFECT[name])
    assert metric(add_noise(picture, 0.1), picture, border=4) != pytest.approx(PERFECT[name])


def test_what_lies_in_the_border_is_not_measured(name: str, metric: Metric) -> None:
    picture = smooth_picture()
    framed = picture.copy()
    framed[:4], framed[-4:], framed[:, :4], framed[:, -4:] = 0, 1, 1, 0
    assert metric(framed, picture, border=4) == pytest.approx(PERFECT[name])
    assert metric(framed, picture, border=3) < 100
    assert metric(framed, picture, border=3) != pytest.approx(PERFECT[name])


def test_border_is_a_crop(metric: Metric, pair: Pair) -> None:
    a, b = pair
    expected = metric(a[5:-5, 5:-5], b[5:-5, 5:-5], border=0)
    assert metric(a, b, border=5) == pytest.approx(expected, rel=1e-12)


def test_quantising_measures_what_a_saved_file_would(name: str, metric: Metric) -> None:
    picture = smooth_picture()
    almost = picture + np.where(np.indices(picture.shape).sum(0) % 2, 0.4 / 255, -0.4 / 255)
    almost[picture == 1.0] = 1.3  # out of range is clipped, as saving would
    assert metric(almost, picture, border=0) == pytest.approx(PERFECT[name])
    assert metric(almost, picture, border=0, quantise=False) != pytest.approx(PERFECT[name])


def test_single_precision_measures_the_same(metric: Metric, pair: Pair) -> None:
    a, b = pair
    assert metric(a.astype(np.float32), b.astype(np.float32), border=4) == metric(a, b, border=4)


def test_inputs_are_left_alone(metric: Metric, pair: Pair, channel: dict[str, str]) -> None:
    a, b = pair
    before = a.copy(), b.copy()
    metric(a, b, border=4, **channel)
    assert np.array_equal(a, before[0])
    assert np.array_equal(b, before[1])


@pytest.mark.parametrize(
    ("shapes", "options", "words"),
    [
        (((20, 20, 3), (20, 21, 3)), {}, "same size"),
        (((20, 20), (20, 20)), {}, r"\(H, W, 3\)"),
        (((20, 20, 4), (20, 20, 4)), {}, r"\(H, W, 3\)"),
        (((20, 20, 3), (20, 20, 3)), {"border": 10}, "leaves nothing of a picture of 20x20"),
        (((20, 20, 3), (20, 20, 3)), {"border": -1}, "leaves nothing"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    metric: Metric, shapes: tuple[tuple[int, ...], tuple[int, ...]], options: dict[str, object], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        metric(np.zeros(shapes[0]), np.zeros(shapes[1]), **{"border": 0, **options})


@pytest.mark.parametrize("metric", METRICS.values())
def test_an_unknown_channel_is_refused(metric: Metric) -> None:
    with pytest.raises(InputError, match='channel is "y" or "rgb"'):
        metric(smooth_picture(), smooth_picture(), border=0, channel="Y")


def test_ssim_says_how_large_a_picture_must_be() -> None:
    small = np.zeros((18, 30, 3))
    with pytest.raises(InputError, match=r"at least 11 pixels .* 22x10"):
        ssim(small, small, border=4)
    assert ssim(np.zeros((19, 30, 3)), np.zeros((19, 30, 3)), border=4) == pytest.approx(1.0)


def test_psnr_of_a_known_error() -> None:
    black = np.zeros((16, 16, 3))
    assert psnr(black + 1 / 255, black, border=0, channel="rgb") == pytest.approx(20 * math.log10(255))
    assert psnr(np.ones_like(black), black, border=0, channel="rgb") == pytest.approx(0.0, abs=1e-9)
    # Luma runs from 16 to 235, and the peak is 255 all the same.
    assert psnr(np.ones_like(black), black, border=0) == pytest.approx(20 * math.log10(255 / 219))


def test_ssim_of_flat_pictures_is_the_luminance_term() -> None:
    c1 = (0.01 * 255) ** 2
    a, b = 100.0, 150.0
    expected = (2 * a * b + c1) / (a * a + b * b + c1)
    flat = np.ones((32, 32, 3))
    assert ssim(flat * a / 255, flat * b / 255, border=0, channel="rgb") == pytest.approx(expected)


def test_ssim_of_a_negative_is_negative() -> None:
    stripes = np.repeat((np.indices((32, 32)).sum(0) % 2)[..., None] * 0.5 + 0.25, 3, axis=2)
    assert ssim(1 - stripes, stripes, border=0) < -0.9


def test_luma_is_rgb2ycbcr() -> None:
    corners = np.array([[[0, 0, 0], [1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1]]], float)
    assert rgb_to_y(corners)[0] == pytest.approx([16, 235, 81.481, 144.553, 40.966])
    picture = add_noise(smooth_picture(), 0.2)
    assert rgb_to_y(picture) == pytest.approx(rgb2ycbcr(picture)[..., 0], abs=1e-9)


@pytest.mark.parametrize("size", [(61, 74), (11, 130), (257, 139)])
@pytest.mark.parametrize("sigma", [0.02, 0.2])
def test_against_scikit_image(size: tuple[int, int], sigma: float) -> None:
    picture = smooth_picture(*size)
    noisy = add_noise(picture, sigma)
    options = {
        "data_range": 255.0,
        "gaussian_weights": True,
        "sigma": 1.5,
        "use_sample_covariance": False,
    }  # its window is 11x11 and its mean leaves out the positions that hang over the edge
    y_noisy, y = np.round(rgb_to_y(noisy)), np.round(rgb_to_y(picture))
    rgb_noisy, rgb = noisy * 255, picture * 255
    for measured, expected in (
        (psnr(noisy, picture, border=0), peak_signal_noise_ratio(y, y_noisy, data_range=255)),
        (
            psnr(noisy, picture, border=0, channel="rgb"),
            peak_signal_noise_ratio(rgb, rgb_noisy, data_range=255),
        ),
        (ssim(noisy, picture, border=0), structural_similarity(y_noisy, y, **options)),
        (
            ssim(noisy, picture, border=0, channel="rgb"),
            structural_similarity(rgb_noisy, rgb, channel_axis=2, **options),
        ),
    ):
        assert measured == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("dataset", "decibels", "similarity", "tolerance"),
    [("Set5", 28.42, 0.8104, 5e-5), ("Set14", 26.00, 0.7027, 1e-3)],
)
def test_bicubic_measures_what_the_literature_has(
    dataset: str, decibels: float, similarity: float, tolerance: float
) -> None:
    """Bicubic x4 of the rounded luma; Set14's SSIM only to 0.001: see `convention`."""
    folder = SHARED / dataset / "x4" / "HR"
    if not folder.is_dir():
        pytest.skip(f"{dataset} is not beside the repository (../shared/data)")
    values = []
    for file in sorted(folder.glob("*.png")):
        pixels = np.asarray(Image.open(file), np.float64) / 255
        luma = np.round(rgb_to_y(pixels)) / 255 if pixels.ndim == 3 else pixels
        height, width = luma.shape
        batch = luma.astype(np.float32)[None, None]
        restored = resize(resize(batch, (height // 4, width // 4)), (height, width))[0, 0, :, :, None]
        truth = luma[:, :, None]
        values.append((psnr(restored, truth, border=4), ssim(restored, truth, border=4)))
    mean_psnr, mean_ssim = np.mean(values, axis=0)
    assert mean_psnr == pytest.approx(decibels, abs=0.005)
    assert mean_ssim == pytest.approx(similarity, abs=tolerance)
