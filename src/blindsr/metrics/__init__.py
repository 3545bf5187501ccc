"""Metrics: pure functions of pictures, and the tables by which they are named.

All take the restored picture first and the keyword `border`; most take a ground truth second. What needs more
gets it as a keyword, to be bound once: `functools.partial(lpips, network=read_squeeze(features, heads))`.
"""

from __future__ import annotations

from collections.abc import Callable

from blindsr.metrics.grid import without_grid
from blindsr.metrics.lpips import LPIPSNetwork, installed_network, lpips, read_squeeze
from blindsr.metrics.niqe import (
    NIQEParameters,
    fit_niqe,
    niqe,
    read_niqe,
    sharp_statistics,
    write_niqe,
)
from blindsr.metrics.psnr import psnr
from blindsr.metrics.pyiqa import PyIQAMetric, installed_metric
from blindsr.metrics.ssim import ssim

__all__ = [
    "HIGHER_IS_BETTER",
    "METRICS",
    "LPIPSNetwork",
    "NIQEParameters",
    "PyIQAMetric",
    "fit_niqe",
    "installed_metric",
    "installed_network",
    "lpips",
    "niqe",
    "psnr",
    "read_niqe",
    "read_squeeze",
    "sharp_statistics",
    "ssim",
    "without_grid",
    "write_niqe",
]

METRICS: dict[str, Callable[..., float]] = {"psnr": psnr, "ssim": ssim}
"""Of a picture and its ground truth, by nothing else than these two."""

HIGHER_IS_BETTER: dict[str, bool] = {"psnr": True, "ssim": True, "lpips": False, "niqe": False}
"""The polarity of every metric of ours."""
