"""The field's degraded test sets by name: which tasks a paper tests on, with their parameters.

What papers leave open, their programs decide: blur is a correlation with reflected borders, downsampling is
MATLAB's bicubic with antialiasing, then comes noise, and the LR photo is rounded to 8 bit. Noise is random in
all of them; here it has a seed, so values compare with published ones up to its chance.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable
from pathlib import Path

from blindsr.degradation.direct import Direct
from blindsr.degradation.kernels import Kernel
from blindsr.degradation.manifest import Record, degrade_folder
from blindsr.degradation.pipeline import Degradation, Task
from blindsr.degradation.random_degradation import RandomDegradation
from blindsr.degradation.two_stage import CAMERA, REAL_ESRGAN, TwoStageSpace
from blindsr.degradation.validation import check_keys
from blindsr.errors import InputError

_SIDE = 21
"""Side of the kernels of IKC, DAN and DASR, HR pixels."""

# Wang et al. 2021, table 2: no blur and three widths; they grow with the scale as the training range does.
_DASR_WIDTHS = {2: (0.0, 0.6, 1.2, 1.8), 3: (0.0, 0.8, 1.6, 2.4), 4: (0.0, 1.2, 2.4, 3.6)}

# Table 3 shows its nine kernels as pictures alone. These are the numbers (sigmas, degrees) that later authors
# who test on them give; of the first kernel's second sigma, some have 0.5 instead of 0.2.
_DASR_KERNELS = (
    (2.0, 0.2, 0.0),
    (2.0, 1.0, 10.0),
    (3.5, 1.5, 30.0),
    (3.5, 2.0, 45.0),
    (3.5, 2.0, 90.0),
    (4.0, 1.5, 120.0),
    (4.0, 2.0, 135.0),
    (4.0, 3.0, 165.0),
    (4.0, 4.0, 180.0),
)
_DASR_NOISES = (0.0, 5.0, 10.0)

# Gu et al. 2019, section 4.1: the range of the eight widths by scale.
_GAUSSIAN8 = {2: (0.80, 1.60), 3: (1.35, 2.40), 4: (1.80, 3.20)}


@dataclasses.dataclass(frozen=True)
class Protocol:
    """What a paper tests under.

    Args:
        title: what it is, in a line.
        source: where its parameters are from.
        scales: those it is defined for.
        tasks: from one of them to its tasks, in order.
    """

    title: str
    source: str
    scales: tuple[int, ...]
    tasks: Callable[[int], list[Task]]


def _cmdsr(scale: int) -> list[Task]:
    return [Degradation(scale, sigma_x=2.6, sigma_y=2.6, kernel_size=7, noise=15.0)]


def _dasr_iso(scale: int) -> list[Task]:
    return [Degradation(scale, sigma_x=w, sigma_y=w, kernel_size=_SIDE) for w in _DASR_WIDTHS[scale]]


def _dasr_aniso(scale: int) -> list[Task]:
    return [
        Degradation(scale, sigma_x=x, sigma_y=y, angle=math.radians(degrees), kernel_size=_SIDE, noise=noise)
        for noise in _DASR_NOISES
        for x, y, degrees in _DASR_KERNELS
    ]


def _widths(scale: int) -> list[float]:
    """The eight widths of Gaussian8: evenly spaced, both ends included."""
    low, high = _GAUSSIAN8[scale]
    return [round(low + (high - low) * i / 7, 9) for i in range(8)]


def _gaussian8(scale: int) -> list[Task]:
    return [Degradation(scale, sigma_x=w, sigma_y=w, kernel_size=_SIDE) for w in _widths(scale)]


def _gaussian8_direct(scale: int) -> list[Task]:
    return [Direct(scale, Kernel("gaussian", _SIDE, w, w)) for w in _widths(scale)]


def _drawn(name: str, space: TwoStageSpace) -> Callable[[int], list[Task]]:
    return lambda scale: [RandomDegradation(name, dataclasses.replace(space, scale=scale))]


PROTOCOLS: dict[str, Protocol] = {
    "cmdsr": Protocol(
        "7x7 Gaussian blur of sigma 2.6, bicubic, noise 15",
        "Yin et al. 2022, arXiv 2104.03926: the test configuration of the authors' program",
        (2, 3, 4),
        _cmdsr,
    ),
    "dasr-iso": Protocol(
        "21x21 isotropic Gaussian blur of four widths, bicubic",
        "Wang et al. 2021 (DASR), arXiv 2104.00416, table 2",
        (4, 2, 3),
        _dasr_iso,
    ),
    "dasr-aniso": Protocol(
        "nine 21x21 anisotropic Gaussian kernels, bicubic, noise 0, 5 and 10",
        "Wang et al. 2021 (DASR), arXiv 2104.00416, table 3; numbers of its kernels: later authors",
        (4,),
        _dasr_aniso,
    ),
    "gaussian8": Protocol(
        "21x21 isotropic Gaussian blur of eight widths, bicubic",
        "Gu et al. 2019 (IKC), arXiv 1904.03377, section 4; the program of Luo et al. 2020 (DAN) too",
        (4, 2, 3),
        _gaussian8,
    ),
    "gaussian8-direct": Protocol(
        "21x21 isotropic Gaussian blur of eight widths, direct downsampling",
        "Luo et al. 2020 (DAN), arXiv 2010.02631, equation 1, which their program does not follow",
        (4, 2, 3),
        _gaussian8_direct,
    ),
    "real-esrgan": Protocol(
        "two-stage degradation, drawn for each photo",
        "Wang et al. 2021 (Real-ESRGAN), arXiv 2107.10833, and the authors' ranges",
        (4, 1, 2, 3),
        _drawn("real-esrgan", REAL_ESRGAN),
    ),
    "camera": Protocol(
        "two-stage degradation, drawn for each photo, in the ranges of ordinary photos",
        "ours",
        (4, 1, 2, 3),
        _drawn("camera", CAMERA),
    ),
}
"""The degraded test sets that a command can name."""


def find_tasks(name: str, scale: int) -> list[Task]:
    """The tasks of a test set.

    Args:
        name: one of `PROTOCOLS`.
        scale: HR side / LR side.

    Raises:
        InputError: there is no such test set, or it is not defined for this scale.
    """
    check_keys("degraded test set", [name], PROTOCOLS, "name")
    scales = PROTOCOLS[name].scales
    if scale not in scales:
        raise InputError(f"{name}: its scales are {', '.join(map(str, sorted(scales)))}, not {scale}")
    return PROTOCOLS[name].tasks(scale)


def title_of(task: Task) -> str:
    """A task as tables call it: as it is written, without its scale."""
    parts = [part for part in str(task).split(",") if not part.startswith("scale=")]
    return ",".join(parts) or "bicubic"


def degrade_protocol(source: Path, out: Path, name: str, scale: int, seed: int) -> list[Record]:
    """Make the LR photos of a degraded test set; see `degrade_folder`.

    Args:
        source: a photo, or a folder whose photos are taken at any depth.
        out: folder for the LR files. Where the test set has several tasks, each gets a folder below it.
        name: one of `PROTOCOLS`.
        scale: HR side / LR side.
        seed: see `degrade_folder`; a photo's noise is the same under all tasks.

    Returns:
        A record for each photo and task; files are relative to their task's folder.

    Raises:
        InputError: as `find_tasks` and `degrade_folder` do.
    """
    records: list[Record] = []
    for folder, task in folders_of(name, scale).items():
        about = about_protocol(name)
        records += degrade_folder(source, out / folder, task, seed, about=about, leave_out=out)
    return records


def folders_of(name: str, scale: int) -> dict[str, Task]:
    """The tasks of a test set by the folders that their LR photos lie in; "" is that of all results.

    Raises:
        InputError: As `find_tasks`.
    """
    tasks = find_tasks(name, scale)
    if len(tasks) == 1:
        return {"": tasks[0]}
    return {re.sub(r"[^\w.=@,-]+", "_", title_of(task)): task for task in tasks}


def about_protocol(name: str) -> dict[str, str]:
    """What a manifest says of a test set."""
    return {"protocol": name, "source": PROTOCOLS[name].source}
