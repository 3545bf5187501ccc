"""Full-reference metrics: pure functions of two pictures, and the table by which they are named."""

from __future__ import annotations

from collections.abc import Callable

from blindsr.evaluation.metrics.psnr import psnr
from blindsr.evaluation.metrics.ssim import ssim

__all__ = ["METRICS", "psnr", "ssim"]

METRICS: dict[str, Callable[..., float]] = {"psnr": psnr, "ssim": ssim}
