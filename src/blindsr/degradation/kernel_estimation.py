"""The kernel by which a photo was blurred and shrunk, from the photo alone.

Sharp photos of nature and of what people build have a power spectrum that falls as 1 / f^alpha, alpha about
2 (Field 1987, doi 10.1364/JOSAA.4.002379): a law of the scene that knows no scale. A camera multiplies it by
the power of its kernel's transform, folds what lies above the Nyquist frequency back into the picture, and
adds noise. That model, with an anisotropic Gaussian kernel, is fitted to the photo's spectrum: what the power
falls off in each direction beyond the law is the kernel's. Goldstein and Fattal use the law for blind
deblurring in a like way (2012, doi 10.1007/978-3-642-33715-4_45).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from blindsr.degradation.blur import elliptic_form
from blindsr.errors import InputError

#: Side of the blocks whose spectra are averaged, in pixels; a photo has to hold one.
BLOCK = 48

# Natural spectra scatter about the law: exponents by this, powers in different directions by the other.
_ALPHA, _ALPHA_SPREAD, _DIRECTION_SPREAD = 2.0, 0.7, 0.5
# What is expected of a kernel before the photo is seen: its sigma in pixels of the photo, and the spread of
# the logarithms of the sigma and of the ratio of its two axes.
_SIGMA, _SIGMA_SPREAD, _RATIO_SPREAD = 0.6, 0.7, 0.7
# Rounding to 8 bits alone is noise of variance 1/12 levels^2; the logarithm's spread leaves room for all.
_NOISE, _NOISE_SPREAD = 0.3, 3.0
# Neighbouring frequencies deviate from the law together: all of them count as so many measurements ...
_EVIDENCE = 200
# ... of this deviation in log power; beyond twice of it they count by their amount, not its square (Huber).
_DEVIATION = 0.5
# Lower frequencies than so many waves a block are the window's; higher ones than so many radians a pixel are
# where little is left of the scene and JPEG's blocks show most.
_LEAST_WAVES, _HIGHEST = 2.5, 2.9


@dataclass(frozen=True)
class KernelEstimate:
    """What was found in a photo.

    Attributes:
        kernel: HR to LR, (k, k), float64, sum 1; k has the parity of the scale, so that its centre is that of
            the HR pixels which become an LR pixel.
        sigma_x: standard deviation along the ellipse's first axis, in HR pixels.
        sigma_y: along the second axis, in HR pixels.
        angle: direction of the first axis in radians, from x (to the right) towards y (downwards).
        alpha: exponent of the scene's spectrum.
        noise: standard deviation of the white part of the noise, in levels of 255.
    """

    kernel: NDArray[np.float64]
    sigma_x: float
    sigma_y: float
    angle: float
    alpha: float
    noise: float


def estimate_kernel(photo: NDArray[np.floating], scale: int) -> KernelEstimate:
    """Estimate by which kernel a photo was made from one `scale` times as large.

    Args:
        photo: (H, W, 3) or (H, W, 1), RGB or gray in [0, 1], at least `BLOCK` pixels each way.
        scale: HR side / LR side, 1 or more.

    Returns:
        The estimate.

    Raises:
        InputError: the photo is malformed, too small, or shows nothing; or the scale is not positive.
    """
    if photo.ndim != 3 or photo.shape[2] not in (1, 3):
        raise InputError(f"a photo must be (H, W, 3) or (H, W, 1), this is {photo.shape}")
    if scale < 1:
        raise InputError(f"a scale must be 1 or more, got {scale}")
    if min(photo.shape[:2]) < BLOCK:
        height, width = photo.shape[:2]
        raise InputError(
            f"a kernel is estimated from {BLOCK}x{BLOCK} pixels or more, this photo has {width}x{height}"
        )
    fit = _Fit(_block_spectrum(photo.mean(axis=2, dtype=np.float64) * 255), scale)
    best = fit.best()
    ellipse, (alpha, noise) = best[:3], best[3:5]
    covariance = _covariance(ellipse)
    variances, axes = np.linalg.eigh(covariance)
    sigma_x, sigma_y = math.sqrt(variances[1]), math.sqrt(variances[0])
    angle = math.atan2(axes[1, 1], axes[0, 1]) % math.pi
    size = 8 * scale + scale % 2
    kernel = np.exp(-0.5 * elliptic_form(sigma_x, sigma_y, angle, size))
    return KernelEstimate(
        kernel / kernel.sum(), sigma_x, sigma_y, angle, float(alpha), math.exp(float(noise) / 2)
    )


def _block_spectrum(gray: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average the power of half-overlapping windowed blocks: (BLOCK, BLOCK), in levels^2 a pixel (Welch)."""
    taper = np.sin(np.pi * (np.arange(BLOCK) + 0.5) / BLOCK) ** 2
    window = np.outer(taper, taper)
    total, count = np.zeros((BLOCK, BLOCK)), 0
    lefts = _starts(gray.shape[1])
    for top in _starts(gray.shape[0]):
        strip = gray[top : top + BLOCK]
        blocks = np.stack([strip[:, left : left + BLOCK] for left in lefts])
        means = (blocks * window).sum(axis=(1, 2), keepdims=True) / window.sum()
        total += (np.abs(np.fft.fft2((blocks - means) * window)) ** 2).sum(axis=0)
        count += len(blocks)
    return np.asarray(total / (count * (window**2).sum()))


def _starts(length: int) -> list[int]:
    """Where blocks begin that cover a line and overlap by half or more."""
    return [int(start) for start in np.linspace(0, length - BLOCK, math.ceil(2 * length / BLOCK) - 1)]


def _covariance(ellipse: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return e^(2m) exp([[u, v], [v, -u]]) of (m, u, v): any covariance, no direction of axes preferred."""
    m, u, v = ellipse
    ratio = math.hypot(u, v)
    spread = math.sinh(ratio) / ratio if ratio > 0 else 1.0
    shape = math.cosh(ratio) * np.eye(2) + spread * np.array([[u, v], [v, -u]])
    return np.asarray(math.exp(2 * m) * shape)


class _Fit:
    """The model of a photo's spectrum and its fit.

    Parameters: the kernel's (m, u, v), see `_covariance`; alpha; the logarithm of the noise's power; and the
    logarithm of the scene's at one radian a pixel, with its second and fourth harmonic in direction.
    """

    def __init__(self, spectrum: NDArray[np.float64], scale: int) -> None:
        y, x = np.meshgrid(*[np.fft.fftfreq(BLOCK) * 2 * math.pi] * 2, indexing="ij")
        radius = np.hypot(x, y)
        # The other half plane holds the same numbers.
        kept = ((y > 0) | ((y == 0) & (x > 0))) & (radius < _HIGHEST)
        kept &= radius >= _LEAST_WAVES * 2 * math.pi / BLOCK
        x, y, radius, power = x[kept], y[kept], radius[kept], spectrum[kept]
        if not power.max() > 1 / 12:
            raise InputError("the photo shows nothing: all of it is one colour")
        self.observed = np.log(np.maximum(power, 1e-6))
        # All frequencies of the HR photo that shrinking folds onto each of these: (aliases, frequencies).
        shifts = 2 * math.pi * (np.arange(scale) - (scale - 1) // 2)
        wx, wy = (
            ((w + shift.reshape(-1, 1)) / scale + math.pi) % (2 * math.pi) - math.pi
            for w, shift in ((x, np.tile(shifts, scale)), (y, np.repeat(shifts, scale)))
        )
        direction = np.arctan2(wy, wx)
        self.quadratic = np.stack([wx * wx, 2 * wx * wy, wy * wy])
        harmonics = [f(k * direction) for k in (2, 4) for f in (np.cos, np.sin)]
        self.scene = np.stack([np.ones_like(wx), *harmonics])  # (5, aliases, frequencies)
        self.distance = 0.5 * np.log(wx * wx + wy * wy)
        low, high = radius < 0.8, radius > 2.2
        level = float(np.mean(self.observed[low] + _ALPHA * np.log(radius[low] / scale)))
        self.floor = float(np.percentile(self.observed[high], 30))
        self.sigma = math.log(_SIGMA * scale)
        self.expected = np.array([self.sigma, 0, 0, _ALPHA, math.log(_NOISE), level, 0, 0, 0, 0])
        spreads = [_SIGMA_SPREAD, _RATIO_SPREAD, _RATIO_SPREAD, _ALPHA_SPREAD, _NOISE_SPREAD]
        self.precision = np.array([1 / s**2 for s in spreads] + [0.0] + [1 / _DIRECTION_SPREAD**2] * 4)
        self.weight = _EVIDENCE / len(self.observed)

    def best(self) -> NDArray[np.float64]:
        """Fit from four places: what looks like noise may be the scene's, and the other way round."""
        fits = []
        for noise in (self.floor - 0.2, self.floor - 3.0):
            for sigma in (self.sigma - 0.2, self.sigma + 0.4):
                start = self.expected.copy()
                start[0], start[4] = sigma, max(noise, math.log(1 / 12))
                fits.append(self.descend(start))
        return min(fits, key=lambda fit: fit[0])[1]

    def descend(self, parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Go to the nearest minimum (Levenberg and Marquardt): its cost and its parameters."""
        damping = 1e-2
        residual, slopes = self.residual(parameters)
        cost = self.cost(residual, parameters)
        for _ in range(100):
            kept = self.weight / np.maximum(1.0, np.abs(residual) / 2)
            hessian = (slopes * kept) @ slopes.T + np.diag(self.precision)
            gradient = (slopes * kept) @ residual + self.precision * (parameters - self.expected)
            while damping < 1e6:
                damped = hessian + damping * np.diag(np.diag(hessian))
                moved = parameters - np.linalg.solve(damped, gradient)
                # A step too far may leave what numbers can hold: it is refused like any that climbs.
                with np.errstate(all="ignore"):
                    there = self.residual(moved) if np.abs(moved).max() < 50 else None
                reached = math.inf if there is None else self.cost(there[0], moved)
                if there is not None and reached < cost:
                    break
                damping *= 5
            else:
                break
            gain = cost - reached
            parameters, cost, (residual, slopes) = moved, reached, there
            damping = max(damping / 5, 1e-7)
            if gain < 1e-6 * cost:
                break
        return cost, parameters

    def cost(self, residual: NDArray[np.float64], parameters: NDArray[np.float64]) -> float:
        """How badly the model fits, and how unlikely it is by itself."""
        size = np.abs(residual)
        misfit = np.where(size < 2, 0.5 * size**2, 2 * (size - 1)).sum() * self.weight
        return float(misfit + 0.5 * (self.precision * (parameters - self.expected) ** 2).sum())

    def residual(self, parameters: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Model less observation, in deviations: (frequencies,); and its derivatives, (parameters, ...)."""
        ellipse, alpha, noise, scene = parameters[:3], parameters[3], math.exp(parameters[4]), parameters[5:]
        terms = _covariance(ellipse)[[0, 0, 1], [0, 1, 1]]
        logarithm = np.tensordot(scene, self.scene, 1) - alpha * self.distance
        power = np.exp(logarithm - np.tensordot(terms, self.quadratic, 1))  # (aliases, frequencies)
        total = power.sum(axis=0) + noise
        step = 1e-5
        bends = []
        for i in range(3):
            nudged = ellipse.copy()
            nudged[i] += step
            change = (_covariance(nudged)[[0, 0, 1], [0, 1, 1]] - terms) / step
            bends.append(-(power * np.tensordot(change, self.quadratic, 1)).sum(axis=0))
        bends.append(-(power * self.distance).sum(axis=0))
        bends.append(np.full_like(total, noise))
        bends += list((power * self.scene).sum(axis=1))
        return (np.log(total) - self.observed) / _DEVIATION, np.stack(bends) / (total * _DEVIATION)
