"""Blur kernels by their parameters: those of Real-ESRGAN (Wang et al. 2021, arXiv 2107.10833, section 3)."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blindsr.degradation.blur import elliptic_form, gaussian_kernel
from blindsr.degradation.validation import check_keys, check_number
from blindsr.errors import InputError

#: What a kernel may be.
FAMILIES = ("gaussian", "generalised", "plateau", "sinc")


@dataclasses.dataclass(frozen=True, slots=True)
class Kernel:
    """One blur kernel. Its pixels sum to 1.

    Args:
        family: "gaussian"; "generalised", exp(-q^beta / 2), and "plateau", 1 / (1 + q^beta), where q is the
            squared distance from the centre in units of the ellipse's axes; or "sinc", which rings.
        size: side in pixels, odd.
        sigma_x: the ellipse's first semi-axis in pixels; not for "sinc", as those that follow.
        sigma_y: its second semi-axis.
        angle: direction of the first axis in radians, from x (to the right) towards y (downwards).
        beta: shape; only for "generalised" and "plateau".
        cutoff: the frequency above which "sinc" passes nothing, in radians a pixel, at most pi.

    Raises:
        InputError: a value is outside its range, or belongs to another family.
    """

    family: str
    size: int = 21
    sigma_x: float = 0.0
    sigma_y: float = 0.0
    angle: float = 0.0
    beta: float = 1.0
    cutoff: float = 0.0

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise InputError(f"kernel: family must be one of {', '.join(FAMILIES)}, got {self.family!r}")
        for field in dataclasses.fields(self)[1:]:
            check_number(f"kernel: {field.name}", getattr(self, field.name), whole=field.name == "size")
        if self.size < 1 or self.size % 2 == 0:
            raise InputError(f"kernel: size must be odd, got {self.size}")
        if self.family == "sinc":
            if not 0 < self.cutoff <= math.pi:
                raise InputError(f"kernel: cutoff must be above 0 and at most pi, got {self.cutoff:g}")
            if self.sigma_x or self.sigma_y:
                raise InputError("kernel: a sinc has a cutoff and no sigmas")
        else:
            if not (self.sigma_x > 0 and self.sigma_y > 0):
                raise InputError(f"kernel: sigmas must be above 0, got {self.sigma_x:g} and {self.sigma_y:g}")
            if not self.beta > 0:
                raise InputError(f"kernel: beta must be above 0, got {self.beta:g}")
            if self.cutoff:
                raise InputError("kernel: only a sinc has a cutoff")

    def pixels(self) -> NDArray[np.float64]:
        """Sample the kernel at the pixel centres: (size, size), sum 1."""
        if self.family == "sinc":
            return sinc_kernel(self.cutoff, self.size)
        if self.family == "gaussian":
            return gaussian_kernel(self.sigma_x, self.sigma_y, self.angle, self.size)
        form = elliptic_form(self.sigma_x, self.sigma_y, self.angle, self.size)
        kernel = np.exp(-0.5 * form**self.beta) if self.family == "generalised" else 1 / (1 + form**self.beta)
        return np.asarray(kernel / kernel.sum(), dtype=np.float64)

    def as_dict(self) -> dict[str, Any]:
        """Return the parameters as plain values; `from_dict` reads them back."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Kernel:
        """Build a kernel from plain values.

        Raises:
            InputError: a key is unknown or missing, or a value has the wrong type or range.
        """
        check_keys("kernel", values, [field.name for field in dataclasses.fields(cls)])
        if "family" not in values:
            raise InputError(f"kernel: family is missing; it is one of {', '.join(FAMILIES)}")
        return cls(**values)

    def __str__(self) -> str:
        """Name the kernel and what shapes it, e.g. "plateau 2x0.7@30 beta 1.4 (13)"."""
        if self.family == "sinc":
            return f"sinc {self.cutoff:.3g} ({self.size})"
        text = f"{self.family} {self.sigma_x:.3g}"
        if self.sigma_y != self.sigma_x:
            text += f"x{self.sigma_y:.3g}@{math.degrees(self.angle):.3g}"
        return text + (f" beta {self.beta:.3g}" if self.family != "gaussian" else "") + f" ({self.size})"


def sinc_kernel(cutoff: float, size: int) -> NDArray[np.float64]:
    """Sample the circular low-pass filter, which leaves ringing at edges (arXiv 2107.10833, eq. 6).

    Args:
        cutoff: in radians a pixel, above 0 and at most pi.
        size: side in pixels, odd.

    Returns:
        Kernel, (size, size), float64, sum 1, some of it negative.
    """
    radius = size // 2
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    squares, places = np.unique(x * x + y * y, return_inverse=True)
    distance = np.sqrt(squares[1:])  # the first is the centre
    profile = np.empty(len(squares))
    profile[0] = cutoff**2 / (4 * math.pi)
    profile[1:] = cutoff * _bessel_j1(cutoff * distance) / (2 * math.pi * distance)
    kernel = profile[places.reshape(size, size)]
    return np.asarray(kernel / kernel.sum(), dtype=np.float64)


def _bessel_j1(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The Bessel function of the first kind and order 1, from its integral (DLMF 10.9.2)."""
    # The midpoint rule on a periodic integrand is exact to rounding once there are clearly more nodes than x.
    nodes = 32 + 2 * math.ceil(float(x.max(initial=0.0)))
    angle = (np.arange(nodes) + 0.5) * (math.pi / nodes)
    return np.asarray(np.cos(angle - x[:, None] * np.sin(angle)).mean(axis=1), dtype=np.float64)
