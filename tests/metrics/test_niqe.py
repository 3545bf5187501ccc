"""NIQE: against a second implementation and MATLAB's value, its polarity, and the fit of its parameters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import convolve
from scipy.special import gamma

from blindsr.errors import InputError, ModelError
from blindsr.metrics import (
    HIGHER_IS_BETTER,
    NIQEParameters,
    fit_niqe,
    niqe,
    read_niqe,
    sharp_statistics,
    write_niqe,
)
from blindsr.metrics.niqe import block_statistics
from blindsr.picture.resampling import cubic

from .conftest import SHARED

Array = NDArray[np.float64]


def texture(height: int, width: int, seed: int) -> Array:
    """Gray noise whose amplitude falls as 1 / frequency, as in photos; on the grid of 8 bit."""
    white = np.fft.rfft2(np.random.default_rng(seed).normal(size=(height, width)))
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
    frequency[0, 0] = np.inf
    pink = np.fft.irfft2(white / frequency, s=(height, width))
    return np.asarray(np.round(np.clip(0.5 + 0.15 * pink / pink.std(), 0, 1) * 255) / 255)[:, :, None]


@pytest.fixture(scope="module")
def parameters() -> NIQEParameters:
    """Fitted to 54 blocks of made textures."""
    return fit_niqe(np.concatenate([sharp_statistics(texture(288, 576, seed), 0) for seed in (1, 2, 3)]))


def reference_features(luma: Array) -> Array:
    """Equations 1 to 8 block by block, with SciPy, the whole grid of shapes searched every time."""
    offsets = np.arange(-3, 4)
    window = np.exp(-(offsets[:, None] ** 2 + offsets**2) / (2 * (7 / 6) ** 2))
    window /= window.sum()
    shapes = np.arange(0.2, 10.001, 0.001)
    grid = gamma(2 / shapes) ** 2 / (gamma(1 / shapes) * gamma(3 / shapes))

    def fit(values: Array) -> list[float]:
        left = np.sqrt(np.mean(values[values < 0] ** 2))
        right = np.sqrt(np.mean(values[values > 0] ** 2))
        skew = left / right
        ratio = np.mean(np.abs(values)) ** 2 / np.mean(values**2)
        ratio *= (skew**3 + 1) * (skew + 1) / (skew**2 + 1) ** 2
        shape = shapes[np.argmin((grid - ratio) ** 2)]
        factor = np.sqrt(gamma(1 / shape) / gamma(3 / shape))
        left, right = left * factor, right * factor
        return [shape, (right - left) * gamma(2 / shape) / gamma(1 / shape), left, right]

    def of_block(block: Array) -> list[float]:
        shape, _, left, right = fit(block)
        found = [shape, (left + right) / 2]
        for down, across in ((0, 1), (1, 0), (1, 1), (1, -1)):
            found += fit(block * np.roll(np.roll(block, down, 0), across, 1))
        return found

    def halve(plane: Array) -> Array:
        reach = np.arange(-4, 6)
        taps = cubic((reach - 0.5) / 2)
        positions = 2 * np.arange(len(plane) // 2)[:, None] + reach
        positions = np.where(positions < 0, -1 - positions, positions)
        positions = np.where(positions >= len(plane), 2 * len(plane) - 1 - positions, positions)
        return np.asarray(np.einsum("ktw,t->kw", plane[positions], taps / taps.sum()))

    scales = []
    for size in (96, 48):
        mean = convolve(luma, window, mode="nearest")
        contrast = np.sqrt(np.abs(convolve(luma**2, window, mode="nearest") - mean**2))
        normalised = (luma - mean) / (contrast + 1)
        scales.append(
            [
                of_block(normalised[top : top + size, left : left + size])
                for top in range(0, len(luma), size)
                for left in range(0, luma.shape[1], size)
            ]
        )
        luma = halve(halve(luma).T).T
    return np.concatenate([np.array(scale) for scale in scales], axis=1)


def test_against_a_second_implementation() -> None:
    picture = texture(192, 288, 0)
    features, _ = block_statistics(picture)
    assert features == pytest.approx(reference_features(picture[:, :, 0] * 255), rel=1e-6, abs=1e-9)


def test_the_value_of_matlab() -> None:
    """The authors' program in MATLAB R2021a measures 5.72957338, on luma as rgb2ycbcr rounds it."""
    if not SHARED.is_dir():
        pytest.skip("the authors' parameters are not beside the repository (../shared/metrics)")
    baboon = np.asarray(Image.open(SHARED / "baboon.png"), np.float64) / 255
    measured = niqe(baboon, parameters=read_niqe(SHARED / "niqe_pris_params.npz"))
    assert round(measured, 4) == 5.7296
    assert measured == pytest.approx(5.72957338, abs=1e-6)


def test_what_is_like_the_pristine_measures_best(parameters: NIQEParameters) -> None:
    picture = texture(288, 288, 9)
    pristine = niqe(picture, parameters=parameters)
    assert pristine > 0
    assert not HIGHER_IS_BETTER["niqe"]
    rng = np.random.default_rng(0)
    noise = rng.normal(size=picture.shape)
    noisy = [niqe(picture + sigma * noise, parameters=parameters) for sigma in (0.02, 0.1, 0.3)]
    assert [pristine, *noisy] == sorted([pristine, *noisy])
    blurred = convolve(picture, np.full((5, 5, 1), 1 / 25), mode="nearest")
    assert niqe(blurred, parameters=parameters) > 2 * pristine


def test_a_picture_measured_by_itself_is_0() -> None:
    picture = texture(576, 672, 4)
    own = fit_niqe(sharp_statistics(picture, 0))
    assert niqe(picture, parameters=own) == pytest.approx(0, abs=1e-6)


def test_border_is_a_crop_and_odd_pixels_do_not_count(parameters: NIQEParameters) -> None:
    picture = texture(300, 301, 5)
    expected = niqe(picture[3:195, 3:291], parameters=parameters)
    assert niqe(picture[:250], parameters=parameters, border=3) == expected


def test_precision_and_quantising(parameters: NIQEParameters) -> None:
    picture = texture(192, 192, 6)
    before = picture.copy()
    measured = niqe(picture, parameters=parameters)
    assert np.array_equal(picture, before)
    assert niqe(picture.astype(np.float32), parameters=parameters) == measured
    almost = picture + np.where(np.indices(picture.shape).sum(0) % 2, 0.4 / 255, -0.4 / 255)
    assert niqe(almost, parameters=parameters) == measured
    assert niqe(almost, parameters=parameters, quantise=False) != measured


def test_colours_are_measured_on_their_luma(parameters: NIQEParameters) -> None:
    colours = np.concatenate([texture(192, 192, seed) for seed in (6, 7, 8)], axis=2)
    luma = np.round(colours @ [65.481, 128.553, 24.966] + 16) / 255
    expected = niqe(luma[:, :, None], parameters=parameters)
    assert niqe(colours, parameters=parameters) == expected


def test_flat_blocks_have_no_statistics(parameters: NIQEParameters) -> None:
    picture = texture(192, 288, 7)
    # The window reaches three pixels into the neighbours, at half size six.
    picture[:, 90:198] = 0.7
    features, _ = block_statistics(picture)
    assert np.isnan(features[[1, 4]]).any(axis=1).all()
    assert np.isfinite(features[[0, 2, 3, 5]]).all()
    assert np.isfinite(niqe(picture, parameters=parameters))
    with pytest.raises(
        InputError, match="two textured blocks of 96x96 pixels; this picture of 288x192 has 0 of 6"
    ):
        niqe(np.full_like(picture, 0.7), parameters=parameters)


@pytest.mark.parametrize(
    ("shape", "border", "words"),
    [
        ((95, 300, 3), 0, "blocks of 96x96 pixels, and this picture has 300x95$"),
        ((99, 300, 3), 2, "has 296x95 inside the border of 2"),
        ((100, 100, 3), 0, "has 0 of 1"),
        ((200, 200), 0, r"\(H, W, 3\)"),
        ((200, 200, 4), 0, r"\(H, W, 3\)"),
        ((200, 200, 3), 100, "leaves nothing"),
    ],
)
def test_what_cannot_be_measured(
    parameters: NIQEParameters, shape: tuple[int, ...], border: int, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        niqe(np.zeros(shape), parameters=parameters, border=border)


def test_only_sharp_blocks_are_fitted() -> None:
    picture = texture(192, 288, 3)
    blurred = convolve(picture, np.full((9, 9, 1), 1 / 81), mode="nearest")
    picture[:, 96:] = blurred[:, 96:]
    features, contrast = block_statistics(picture)
    assert contrast[[0, 3]].min() > 2 * contrast[[1, 2, 4, 5]].max()
    assert np.array_equal(sharp_statistics(picture), features[[0, 3]])
    assert np.array_equal(sharp_statistics(picture, 0), features)
    with pytest.raises(InputError, match="0 to below 1, not 1"):
        sharp_statistics(picture, 1)
    with pytest.raises(InputError, match="no block of 96x96 pixels in this picture has any texture"):
        sharp_statistics(np.zeros((100, 100, 3)))


def test_a_fit_needs_enough_blocks() -> None:
    features = np.random.default_rng(0).normal(size=(37, 36))
    fitted = fit_niqe(features)
    assert fitted.mean == pytest.approx(features.mean(0))
    assert fitted.covariance == pytest.approx(np.cov(features.T))
    with pytest.raises(InputError, match="more than 36 sharp blocks to be fitted, and these photos have 36"):
        fit_niqe(features[:36])
    with pytest.raises(InputError, match=r"not on \(36, 37\)"):
        fit_niqe(features.T)


def test_parameters_are_written_and_read(tmp_path: Path, parameters: NIQEParameters) -> None:
    one, other = tmp_path / "one.npz", tmp_path / "other.npz"
    write_niqe(parameters, one)
    write_niqe(parameters, other)
    assert one.read_bytes() == other.read_bytes()
    again = read_niqe(one)
    assert np.array_equal(again.mean, parameters.mean)
    assert np.array_equal(again.covariance, parameters.covariance)
    assert np.load(one)["gaussian_window"].sum() == pytest.approx(1)
    with pytest.raises(InputError, match=r"niqe\.mat: .* name it such as niqe\.npz"):
        write_niqe(parameters, tmp_path / "niqe.mat")
    with pytest.raises(InputError, match="nowhere: no such folder"):
        write_niqe(parameters, tmp_path / "nowhere" / "niqe.npz")


def test_files_that_are_no_parameters(tmp_path: Path, parameters: NIQEParameters) -> None:
    good = {"mu_pris_param": parameters.mean, "cov_pris_param": parameters.covariance}
    write_niqe(parameters, tmp_path / "good.npz")
    np.savez(tmp_path / "other.npz", mean=parameters.mean)
    np.savez(tmp_path / "size.npz", **{**good, "mu_pris_param": np.zeros(18)})
    np.savez(tmp_path / "nan.npz", **{**good, "mu_pris_param": np.full(36, np.nan)})
    np.savez(tmp_path / "sign.npz", **{**good, "cov_pris_param": -parameters.covariance})
    np.savez(tmp_path / "skew.npz", **{**good, "cov_pris_param": np.triu(parameters.covariance)})
    np.savez(tmp_path / "text.npz", **{**good, "mu_pris_param": np.array(["a"] * 36)})
    np.save(tmp_path / "array.npy", np.zeros(36))
    (tmp_path / "cut.npz").write_bytes((tmp_path / "good.npz").read_bytes()[:1000])
    (tmp_path / "empty.npz").write_bytes(b"")
    for file, words in (
        ("none.npz", "no such file"),
        ("other.npz", "no parameters of NIQE"),
        ("size.npz", r"a mean of \(18,\) and a covariance of \(36, 36\)"),
        ("nan.npz", "not every number is finite"),
        ("sign.npz", "its covariance is none"),
        ("skew.npz", "its covariance is none"),
        ("text.npz", r"not an \.npz file of NIQE's parameters"),
        ("array.npy", r"not an \.npz file of NIQE's parameters"),
        ("cut.npz", r"not an \.npz file of NIQE's parameters"),
        ("empty.npz", r"not an \.npz file of NIQE's parameters"),
        (".", r"not an \.npz file of NIQE's parameters"),
    ):
        with pytest.raises(ModelError, match=words):
            read_niqe(tmp_path / file)
