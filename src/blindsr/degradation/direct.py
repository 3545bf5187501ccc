"""Blur and direct downsampling: every s-th pixel of the blurred photo, nothing in between."""

from __future__ import annotations

import dataclasses
from typing import Any

from blindsr.degradation.backend import Array, check_batch, full_precision
from blindsr.degradation.blur import blur
from blindsr.degradation.kernels import Kernel
from blindsr.degradation.noise import gaussian_noise
from blindsr.degradation.validation import check_number
from blindsr.errors import InputError


@dataclasses.dataclass(frozen=True, slots=True)
class Direct:
    """One task: the s-fold downsampler of the classical model, y = (x * k) sampled at every s-th pixel + n.

    The first pixel of a block of s x s is kept, as in the programs that test with it.

    Args:
        scale: HR side / LR side, 1 or more.
        kernel: blur; it is all that there is against aliasing.
        noise: Gaussian noise, standard deviation in levels of 255.

    Raises:
        InputError: a value is outside its range.
    """

    scale: int
    kernel: Kernel
    noise: float = 0.0

    def __post_init__(self) -> None:
        check_number("direct degradation: scale", self.scale, whole=True)
        check_number("direct degradation: noise", self.noise)
        if self.scale < 1 or self.noise < 0:
            raise InputError(
                f"direct degradation: needs a scale of 1 or more and noise of 0 or more, got {self.scale} "
                f"and {self.noise:g}"
            )

    def as_dict(self) -> dict[str, Any]:
        """Return the parameters as plain values, for JSON."""
        return {"direct": True, **dataclasses.asdict(self)}

    def apply(self, x: Array, seed: int, first_item: int = 0) -> Array:
        """Make LR images from HR images; see `degrade`."""
        check_batch(x)
        with full_precision(x):
            result = blur(x, self.kernel.pixels())[:, :, :: self.scale, :: self.scale]
            if self.noise > 0:
                result = gaussian_noise(result, self.noise, seed, first_item=first_item)
            return result.clip(0.0, 1.0)

    def __str__(self) -> str:
        """Name what is done, in order."""
        noise = f",noise={self.noise:g}" if self.noise else ""
        return f"{self.kernel},direct{noise},scale={self.scale}"
