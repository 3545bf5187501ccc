"""How much a task takes from a photo beside its size: one number for tasks of all kinds."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from blindsr.degradation.injection import Injection
from blindsr.degradation.kernels import Kernel
from blindsr.degradation.pipeline import Degradation, Task
from blindsr.degradation.two_stage import Stage, TwoStage
from blindsr.errors import InputError

NOISE = 10.0
"""Levels of 255 of noise that take 63 %."""


def damage(task: Task) -> float:
    """How much a task takes from a photo, beyond what shrinking takes.

    Each of its parts takes a share of what the parts before it have left: ``1 - (1 - p1) (1 - p2) ...``. Of
    noise it is ``1 - exp(-s / 10)``, s being its standard deviation in levels of 255 at middle gray; of blur
    ``1 - exp(-r^2)``, r being its standard deviation in LR pixels; of a sinc filter the part of the LR
    image's frequencies that it stops; of JPEG of quality q ``1 - q / 100``; of an image that was smaller
    than the LR image in between, the part of its side that was missing. What comes before the photo has been
    shrunk to its LR size counts less, as far as shrinking averages it away.

    It is a measure by which tasks are put in order, not one of what is seen.

    Args:
        task: Of one stage, of two, or an injection.

    Returns:
        From 0, shrinking alone, to nearly 1.

    Raises:
        InputError: It is a task of another kind.

    Example:
        >>> from blindsr.degradation import Degradation
        >>> damage(Degradation())
        0.0
        >>> round(damage(Degradation(noise=10)), 2), round(damage(Degradation(noise=10, jpeg=50)), 2)
        (0.63, 0.82)
    """
    if isinstance(task, Degradation):
        return _together(_of_degradation(task))
    if isinstance(task, TwoStage):
        return _together(_of_two_stages(task))
    if isinstance(task, Injection):
        return _together(_of_injection(task))
    raise InputError(f"damage: it is not known of a {type(task).__name__}")


def _together(parts: Iterable[float]) -> float:
    return 1.0 - math.prod(1.0 - part for part in parts)


def _of_noise(gaussian: float, shot: float) -> float:
    """Of standard deviations in levels of 255, that of shot noise at white."""
    return 1 - math.exp(-math.hypot(gaussian, shot * math.sqrt(0.5)) / NOISE)


def _of_blur(sigma: float) -> float:
    """Of a standard deviation in LR pixels."""
    return 1 - math.exp(-(sigma**2))


def _of_jpeg(quality: int | None) -> float:
    return 0.0 if quality is None else 1 - quality / 100


def _of_kernel(kernel: Kernel | None, size: float) -> float:
    """Of a blur that an image gets which is so many times as large as the LR image."""
    if kernel is None:
        return 0.0
    if kernel.family == "sinc":
        return max(0.0, 1 - kernel.cutoff * size / math.pi)
    return _of_blur(math.sqrt((kernel.sigma_x**2 + kernel.sigma_y**2) / 2) / size)


def _of_degradation(task: Degradation) -> Iterable[float]:
    yield _of_blur(math.sqrt((task.sigma_x**2 + task.sigma_y**2) / 2) / task.scale)
    averaged = min(1.0, 1 / task.noise_scale)
    yield _of_noise(task.noise * averaged, task.poisson * averaged)
    yield _of_jpeg(task.jpeg)


def _of_stage(stage: Stage, before: float, after: float, saved: float) -> Iterable[float]:
    """A stage's parts, by the sizes of the image relative to its LR size: before, after, and when saved."""
    averaged = min(1.0, 1 / after)
    yield _of_kernel(stage.kernel, before)
    yield max(0.0, 1 - after)
    yield _of_noise(stage.noise * averaged, stage.poisson * averaged)
    yield _of_jpeg(stage.jpeg) * min(1.0, 1 / saved)


def _of_two_stages(task: TwoStage) -> Iterable[float]:
    first, second = task.scale * task.first.resize, task.second.resize
    yield from _of_stage(task.first, task.scale, first, first)
    yield from _of_stage(task.second, first, second, 1.0 if task.jpeg_last else second)
    yield _of_kernel(task.sinc, 1.0)


def _of_injection(task: Injection) -> Iterable[float]:
    kernel = np.abs(task.bank.kernels[task.kernel]).astype(np.float64)
    places = np.arange(len(kernel)) - (len(kernel) - 1) / 2
    across, down = (kernel.sum(axis) / kernel.sum() for axis in (0, 1))
    spread = sum(float(line @ places**2 - (line @ places) ** 2) for line in (across, down)) / 2
    own = (task.scale**2 - 1) / 12  # a kernel shrinks as well, and to average so many pixels is no blur
    yield _of_blur(math.sqrt(max(0.0, spread - own)) / task.scale)
    if task.noise is not None:
        yield _of_noise(255 * float(task.bank.noise[task.noise].astype(np.float64).std()), 0.0)
    yield _of_jpeg(task.jpeg)
