"""The degradations that training draws from: ranges of one stage, and the table of all spaces."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from blindsr.degradation.injection import Injection, InjectionSpace
from blindsr.degradation.pipeline import Degradation
from blindsr.degradation.two_stage import CAMERA, REAL_ESRGAN, TwoStage, TwoStageSpace
from blindsr.degradation.validation import check_keys, check_ranges
from blindsr.errors import InputError


@dataclasses.dataclass(frozen=True)
class DegradationSpace:
    """Ranges and probabilities from which tasks are sampled. Ranges are uniform and include both ends.

    Args:
        scale: HR side / LR side.
        blur_probability: share of tasks with blur.
        sigma: range of the blur's standard deviation in HR pixels.
        sigma_step: distance of the sigmas that occur, from the range's lower end; 0 is continuous.
        anisotropic_probability: share of the blurred tasks with two independent sigmas in a random direction.
        kernel_sizes: sides of the blur kernel in HR pixels, equally likely.
        noise_probability: share of tasks with noise.
        noise: range of the Gaussian noise's standard deviation in levels of 255.
        noise_skew: exponent of the uniform number that becomes a place in the noise range; above 1, weak
            noise is more frequent than strong noise.
        noise_step: distance of the noise levels that occur, from the range's lower end; 0 is continuous.
        poisson_probability: share of the noisy tasks with shot noise.
        poisson: range of the shot noise's standard deviation at white in levels of 255.
        poisson_alone_probability: share of the tasks with shot noise that have no Gaussian noise.
        gray_probability: share of the noisy tasks whose noise is the same in all channels.
        coloured_probability: share of the noisy tasks whose noise enters at another size than the LR image's.
        noise_scale: range of that size, relative to the LR size.
        jpeg_probability: share of tasks with JPEG.
        jpeg: range of the JPEG quality.

    Raises:
        InputError: a range is upside down, or a probability is not in [0, 1].
    """

    scale: int = 4
    blur_probability: float = 1.0
    sigma: tuple[float, float] = (0.2, 4.0)
    sigma_step: float = 0.0
    anisotropic_probability: float = 0.0
    kernel_sizes: tuple[int, ...] = (15,)
    noise_probability: float = 1.0
    noise: tuple[float, float] = (0.0, 50.0)
    noise_skew: float = 1.0
    noise_step: float = 0.0
    poisson_probability: float = 0.0
    poisson: tuple[float, float] = (0.0, 50.0)
    poisson_alone_probability: float = 0.5
    gray_probability: float = 0.0
    coloured_probability: float = 0.0
    noise_scale: tuple[float, float] = (0.5, 1.5)
    jpeg_probability: float = 0.0
    jpeg: tuple[int, int] = (30, 100)

    def __post_init__(self) -> None:
        check_ranges("degradation space", self, ("scale", "kernel_sizes", "jpeg"), _RANGES)
        if not self.noise_skew > 0:
            raise InputError(f"degradation space: noise_skew must be above 0, got {self.noise_skew!r}")
        for name in ("sigma_step", "noise_step"):
            if not getattr(self, name) >= 0:
                raise InputError(f"degradation space: {name} must be 0 or more, got {getattr(self, name)!r}")
        if not self.kernel_sizes:
            raise InputError("degradation space: kernel_sizes must name at least one size")
        # The ends of the ranges must themselves be degradations; Degradation names what is wrong with them.
        for end in (0, 1):
            for size in self.kernel_sizes:
                Degradation(
                    scale=self.scale,
                    sigma_x=self.sigma[end],
                    sigma_y=self.sigma[end],
                    kernel_size=size,
                    noise=self.noise[end],
                    poisson=self.poisson[end],
                    noise_scale=self.noise_scale[end],
                    jpeg=self.jpeg[end],
                )

    def as_dict(self) -> dict[str, Any]:
        """Return the ranges as plain values; `from_dict` reads them back."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> DegradationSpace:
        """Build a space from plain values (lists may stand for tuples).

        Raises:
            InputError: a key is unknown, or a value has the wrong type or range.
        """
        check_keys("degradation space", values, [field.name for field in dataclasses.fields(cls)])
        return cls(**values)

    def sample(self, rng: np.random.Generator) -> Degradation:
        """Draw one task.

        Args:
            rng: source of all randomness; the same state gives the same task.

        Returns:
            A degradation of this space.
        """
        sigma_x = sigma_y = angle = noise = poisson = 0.0
        kernel_size = self.kernel_sizes[int(rng.integers(len(self.kernel_sizes)))]
        if rng.random() < self.blur_probability:
            sigma_x = sigma_y = _uniform(rng, self.sigma, self.sigma_step)
            if rng.random() < self.anisotropic_probability:
                sigma_y = _uniform(rng, self.sigma, self.sigma_step)
                angle = rng.random() * math.pi
        gray, noise_scale = False, 1.0
        if rng.random() < self.noise_probability:
            noise = _uniform(rng, self.noise, self.noise_step, self.noise_skew)
            if rng.random() < self.poisson_probability:
                poisson = _uniform(rng, self.poisson, 0.0)
                noise = 0.0 if rng.random() < self.poisson_alone_probability else noise
            gray = bool(rng.random() < self.gray_probability)
            if rng.random() < self.coloured_probability:
                noise_scale = _uniform(rng, self.noise_scale, 0.0)
        quality = None
        if rng.random() < self.jpeg_probability:
            quality = int(rng.integers(self.jpeg[0], self.jpeg[1] + 1))
        return Degradation(
            scale=self.scale,
            sigma_x=sigma_x,
            sigma_y=sigma_y,
            angle=angle,
            kernel_size=kernel_size,
            noise=noise,
            poisson=poisson,
            gray_noise=gray,
            noise_scale=noise_scale,
            jpeg=quality,
        )

    def neighbour(self, task: Degradation, rng: np.random.Generator) -> Degradation:
        """Draw a task that differs from this one in one factor alone: its blur, its noise or its JPEG.

        Blur is drawn as often as the other two together: it is the hardest to see. Where the space has
        nothing else to offer for the factor (or for any), the task may come back unchanged.

        Args:
            task: one of this space.
            rng: source of all randomness; the same state gives the same task.
        """
        factor = _FACTORS[int(rng.integers(len(_FACTORS)))]
        for _ in range(20):
            other = self.sample(rng)
            drawn = dataclasses.replace(task, **{name: getattr(other, name) for name in factor})
            if drawn != task:
                return drawn
        return task


_BLUR = ("sigma_x", "sigma_y", "angle", "kernel_size")
_FACTORS = (_BLUR, _BLUR, ("noise", "poisson", "gray_noise", "noise_scale"), ("jpeg",))

_RANGES = ("sigma", "noise", "poisson", "noise_scale", "jpeg")


def _uniform(rng: np.random.Generator, bounds: tuple[float, float], step: float, skew: float = 1.0) -> float:
    """Draw from a range: continuously, or from its steps."""
    low, high = bounds
    if step == 0:
        return float(low + (high - low) * rng.random() ** skew)
    count = math.floor((high - low) / step + 1e-9) + 1
    return round(low + step * int(rng.integers(count)), 9)


@dataclasses.dataclass(frozen=True)
class MixedSpace:
    """Several spaces, each drawn from as often as the others.

    Args:
        spaces: at least one.
        scale: HR side / LR side, whatever theirs are.

    Raises:
        InputError: there is no space.
    """

    spaces: tuple[TaskSpace, ...]
    scale: int = 4

    def __post_init__(self) -> None:
        if not self.spaces:
            raise InputError("degradation space: a mixture needs at least one space")
        rescaled = tuple(dataclasses.replace(space, scale=self.scale) for space in self.spaces)
        object.__setattr__(self, "spaces", rescaled)

    def sample(self, rng: np.random.Generator) -> Degradation | TwoStage | Injection:
        """Draw a space, and one task of it."""
        return self.spaces[int(rng.integers(len(self.spaces)))].sample(rng)


#: Anything that tasks are drawn from.
TaskSpace: TypeAlias = DegradationSpace | TwoStageSpace | InjectionSpace | MixedSpace

#: CMDSR's training tasks (arXiv 2104.03926, section IV): isotropic 15x15 blur of sigma 0.2, 0.3, ..., 4.0 and
#: noise of 0, 1, ..., 75 levels. `dataclasses.replace(PAPER, jpeg_probability=1.0)` adds its JPEG of 30..80.
PAPER = DegradationSpace(sigma_step=0.1, noise=(0.0, 75.0), noise_step=1.0, jpeg=(30, 80))

#: Wider than the paper by what real photos add: shot, gray and coloured noise, other kernels, mild JPEG.
REAL = DegradationSpace(
    blur_probability=0.95,
    anisotropic_probability=0.2,
    kernel_sizes=(7, 11, 15, 21),
    noise_probability=0.6,
    noise_skew=2.0,
    poisson_probability=0.2,
    gray_probability=0.15,
    coloured_probability=0.3,
    jpeg_probability=0.35,
)

#: The spaces that a configuration can name.
SPACES: dict[str, TaskSpace] = {
    "paper": PAPER,
    "real": REAL,
    "real-esrgan": REAL_ESRGAN,
    "camera": CAMERA,
}

#: The kinds of spaces that a configuration can spell out, by the value of its key "kind".
KINDS: dict[str, type[DegradationSpace] | type[TwoStageSpace] | type[InjectionSpace]] = {
    "one-stage": DegradationSpace,
    "two-stage": TwoStageSpace,
    "injection": InjectionSpace,
}


def read_space(chosen: str | Mapping[str, Any] | Sequence[str | Mapping[str, Any]]) -> TaskSpace:
    """Return the space that a configuration names or spells out.

    Args:
        chosen: a name of `SPACES`; or ranges, whose key "kind" is one of `KINDS` ("one-stage" without it); or
            a list of such, which are mixed.

    Raises:
        InputError: there is no such name, kind or key, or a value has the wrong type or range.
    """
    if isinstance(chosen, str):
        check_keys("degradation space", [chosen], SPACES, "name")
        return SPACES[chosen]
    if not isinstance(chosen, Mapping):
        return MixedSpace(tuple(read_space(part) for part in chosen))
    ranges = dict(chosen)
    kind = ranges.pop("kind", "one-stage")
    check_keys("degradation space", [kind], KINDS, "kind")
    return KINDS[kind].from_dict(ranges)
