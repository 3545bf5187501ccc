"""The two-stage degradation of Real-ESRGAN (Wang et al. 2021, arXiv 2107.10833, section 3) and its ranges.

Photos from the net were blurred, shrunk and compressed more than once: by the camera, and by those who passed
them on. So the classical model is applied twice, and a sinc filter gives the ringing that sharpening and
compression leave. Where the authors' published ranges say more than the paper, they are followed. Two things
are not theirs: bilinear and bicubic shrinking are antialiased, as in most software that shrinks photos, and
shot noise is the Gaussian of `poisson_noise`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Literal, cast

import numpy as np

from blindsr.degradation.backend import Array, check_batch, full_precision
from blindsr.degradation.blur import blur
from blindsr.degradation.jpeg import jpeg
from blindsr.degradation.kernels import Kernel
from blindsr.degradation.noise import gaussian_noise, poisson_noise
from blindsr.degradation.resize import FILTERS, resize
from blindsr.degradation.validation import check_keys, check_number, check_ranges
from blindsr.errors import InputError

_Filter = Literal["area", "bilinear", "bicubic"]
_RANGES = ("sigma", "generalised_beta", "plateau_beta", "resize", "noise", "poisson", "jpeg")


def _scaled(size: tuple[int, int], factor: float) -> tuple[int, int]:
    """Return a size times a factor, in whole pixels and at least one."""
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def _choose(rng: np.random.Generator, shares: tuple[float, ...]) -> int:
    """Draw a place by relative weights."""
    return int(rng.choice(len(shares), p=np.asarray(shares) / sum(shares)))


def _check_filter(what: str, name: object) -> None:
    """Refuse anything that is no resizing filter."""
    if name not in FILTERS:
        raise InputError(f"{what}: filter must be one of {', '.join(FILTERS)}, got {name!r}")


def _section(what: str, name: str, values: object) -> Mapping[str, Any]:
    """Return the values of a section."""
    if not isinstance(values, Mapping):
        raise InputError(f"{what}: {name} must be a mapping of keys to values, got {values!r}")
    return values


def _kernel(values: object) -> Kernel | None:
    """Build the kernel that plain values describe, if they do."""
    return None if values is None else Kernel.from_dict(_section("stage", "kernel", values))


@dataclasses.dataclass(frozen=True, slots=True)
class Stage:
    """One pass of the classical model, in the order of the fields.

    Args:
        kernel: blur; None is none.
        resize: size after it. First stage: relative to the HR size; second: to the LR size.
        filter: how it is resized, one of `FILTERS`.
        noise: Gaussian noise, standard deviation in levels of 255.
        poisson: shot noise, standard deviation at white in levels of 255.
        gray_noise: one noise for all channels instead of one each.
        jpeg: JPEG quality 1..100; None saves without loss.

    Raises:
        InputError: a value is outside its range.
    """

    kernel: Kernel | None = None
    resize: float = 1.0
    filter: str = "bicubic"
    noise: float = 0.0
    poisson: float = 0.0
    gray_noise: bool = False
    jpeg: int | None = None

    def __post_init__(self) -> None:
        if not (self.kernel is None or isinstance(self.kernel, Kernel)):
            raise InputError(f"stage: kernel must be a kernel or nothing, got {self.kernel!r}")
        for name in ("resize", "noise", "poisson"):
            check_number(f"stage: {name}", getattr(self, name))
            if getattr(self, name) < 0:
                raise InputError(f"stage: {name} must be 0 or more, got {getattr(self, name):g}")
        if self.resize == 0:
            raise InputError("stage: resize must be above 0, got 0")
        _check_filter("stage", self.filter)
        if not isinstance(self.gray_noise, bool):
            raise InputError(f"stage: gray_noise must be true or false, got {self.gray_noise!r}")
        if self.jpeg is not None:
            check_number("stage: jpeg", self.jpeg, whole=True)
            if not 1 <= self.jpeg <= 100:
                raise InputError(f"stage: jpeg must be a quality from 1 to 100, got {self.jpeg}")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Stage:
        """Build a stage from plain values.

        Raises:
            InputError: a key is unknown, or a value has the wrong type or range.
        """
        check_keys("stage", values, [field.name for field in dataclasses.fields(cls)])
        return cls(**{**values, "kernel": _kernel(values.get("kernel"))})

    def __str__(self) -> str:
        """Name what the stage does, in order."""
        parts = [] if self.kernel is None else [f"blur {self.kernel}"]
        parts.append(f"{self.filter} {self.resize:.3g}")
        if self.noise:
            parts.append(f"noise {self.noise:.3g}")
        if self.poisson:
            parts.append(f"poisson {self.poisson:.3g}")
        parts += ["(gray)"] if self.gray_noise and (self.noise or self.poisson) else []
        parts += [] if self.jpeg is None else [f"jpeg {self.jpeg}"]
        return " ".join(parts)

    def shrink(self, x: Array, size: tuple[int, int]) -> Array:
        """Blur a batch and bring it to a size."""
        if self.kernel is not None:
            x = blur(x, self.kernel.pixels())
        if tuple(x.shape[2:]) != size:
            x = resize(x, size, filter=cast("_Filter", self.filter))
        return x

    def add_noise(self, x: Array, seed: int, first_item: int) -> Array:
        """Add the noise to a batch and clip it."""
        x = x.clip(0.0, 1.0)
        if self.poisson > 0:
            x = poisson_noise(x, self.poisson, seed, self.gray_noise, first_item)
        if self.noise > 0:
            x = gaussian_noise(x, self.noise, seed, self.gray_noise, first_item)
        return x.clip(0.0, 1.0) if self.poisson > 0 or self.noise > 0 else x


@dataclasses.dataclass(frozen=True, slots=True)
class TwoStage:
    """One task: everything that makes an LR photo from an HR one by two stages.

    Args:
        scale: HR side / LR side, 1 or more.
        first: the first stage, whose JPEG ends it.
        second: the second stage, whose JPEG is saved as `jpeg_last` says.
        filter: how the result is brought to the LR size, one of `FILTERS`.
        sinc: filter of the LR image, as it comes to its size; None is none.
        jpeg_last: the second JPEG is saved of the LR image; otherwise before it is brought to its size.

    Raises:
        InputError: a value is outside its range.
    """

    scale: int = 4
    first: Stage = Stage()
    second: Stage = Stage()
    filter: str = "bicubic"
    sinc: Kernel | None = None
    jpeg_last: bool = True

    def __post_init__(self) -> None:
        check_number("two-stage degradation: scale", self.scale, whole=True)
        if self.scale < 1:
            raise InputError(f"two-stage degradation: scale must be 1 or more, got {self.scale}")
        for name in ("first", "second"):
            if not isinstance(getattr(self, name), Stage):
                raise InputError(
                    f"two-stage degradation: {name} must be a stage, got {getattr(self, name)!r}"
                )
        _check_filter("two-stage degradation", self.filter)
        if not (self.sinc is None or isinstance(self.sinc, Kernel)):
            raise InputError(f"two-stage degradation: sinc must be a kernel or nothing, got {self.sinc!r}")
        if not isinstance(self.jpeg_last, bool):
            raise InputError(
                f"two-stage degradation: jpeg_last must be true or false, got {self.jpeg_last!r}"
            )

    def as_dict(self) -> dict[str, Any]:
        """Return the parameters as plain values, for JSON; `from_dict` reads them back."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TwoStage:
        """Build a task from plain values.

        Raises:
            InputError: a key is unknown, or a value has the wrong type or range.
        """
        check_keys("two-stage degradation", values, [field.name for field in dataclasses.fields(cls)])
        built = dict(values)
        for name in ("first", "second"):
            if name in values:
                built[name] = Stage.from_dict(_section("two-stage degradation", name, values[name]))
        return cls(**{**built, "sinc": _kernel(values.get("sinc"))})

    def __str__(self) -> str:
        """Name what is done, in order."""
        end = f"{self.filter} to 1/{self.scale}" + ("" if self.sinc is None else f" {self.sinc}")
        second = dataclasses.replace(self.second, jpeg=None)
        if self.second.jpeg is not None:
            end = (
                f"{end} jpeg {self.second.jpeg}" if self.jpeg_last else f"jpeg {self.second.jpeg} then {end}"
            )
        return f"{self.first}; {second}; {end}"

    def sizes(self, size: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
        """Return the size that an HR image has after the first stage, after the second, and as LR."""
        lr = (size[0] // self.scale, size[1] // self.scale)
        return _scaled(size, self.first.resize), _scaled(lr, self.second.resize), lr

    def apply(self, x: Array, seed: int, first_item: int = 0) -> Array:
        """Make LR images from HR images; see `degrade`."""
        saves = self.first.jpeg is not None or self.second.jpeg is not None
        check_batch(x, channels=3 if saves else None)
        height, width = x.shape[2:]
        first, second, size = self.sizes((height, width))
        with full_precision(x):
            x = self.first.shrink(x, first)
            # Numbers of their own for each stage: the same noise twice would be a pattern.
            x = self.first.add_noise(x, 2 * seed, first_item)
            if self.first.jpeg is not None:
                x = jpeg(x, self.first.jpeg)
            x = self.second.shrink(x, second)
            x = self.second.add_noise(x, 2 * seed + 1, first_item)
            if self.second.jpeg is not None and not self.jpeg_last:
                x = jpeg(x, self.second.jpeg)
            if tuple(x.shape[2:]) != size:
                x = resize(x, size, filter=cast("_Filter", self.filter))
            if self.sinc is not None:
                x = blur(x, self.sinc.pixels())
            x = x.clip(0.0, 1.0)
            if self.second.jpeg is not None and self.jpeg_last:
                x = jpeg(x, self.second.jpeg)
        return x


@dataclasses.dataclass(frozen=True)
class StageSpace:
    """Ranges and probabilities from which a stage is drawn; the defaults are the published first stage.

    Args:
        blur_probability: share of stages with blur.
        kernel_sizes: sides of the kernel in pixels, equally likely.
        sinc_probability: share of the kernels that are sinc filters.
        kernel_shares: relative weights of the others: isotropic and anisotropic Gaussian, the same two
            generalised, and the same two with a plateau.
        sigma: range of the standard deviation in pixels.
        generalised_beta: range of its shape; as often below 1 as above, where the range has both.
        plateau_beta: range of its shape, likewise.
        resize_shares: relative weights of enlarging, shrinking and keeping the size.
        resize: range of the factor; enlarging and shrinking take their sides of 1.
        filters: how it is resized, equally likely.
        noise_probability: share of stages with noise.
        poisson_probability: share of the noisy stages whose noise is shot noise; the others' is Gaussian.
        noise: range of the Gaussian noise's standard deviation in levels of 255.
        poisson: range of the shot noise's standard deviation at white in levels of 255.
        gray_probability: share of the noisy stages whose noise is the same in all channels.
        jpeg_probability: share of stages with JPEG.
        jpeg: range of the JPEG quality.

    Raises:
        InputError: a range is upside down, a probability is not in [0, 1], or a value cannot be.
    """

    blur_probability: float = 1.0
    kernel_sizes: tuple[int, ...] = (7, 9, 11, 13, 15, 17, 19, 21)
    sinc_probability: float = 0.1
    kernel_shares: tuple[float, ...] = (0.45, 0.25, 0.12, 0.03, 0.12, 0.03)
    sigma: tuple[float, float] = (0.2, 3.0)
    generalised_beta: tuple[float, float] = (0.5, 4.0)
    plateau_beta: tuple[float, float] = (1.0, 2.0)
    resize_shares: tuple[float, float, float] = (0.2, 0.7, 0.1)
    resize: tuple[float, float] = (0.15, 1.5)
    filters: tuple[str, ...] = FILTERS
    noise_probability: float = 1.0
    poisson_probability: float = 0.5
    noise: tuple[float, float] = (1.0, 30.0)
    poisson: tuple[float, float] = (0.8, 47.8)
    gray_probability: float = 0.4
    jpeg_probability: float = 1.0
    jpeg: tuple[int, int] = (30, 95)

    def __post_init__(self) -> None:
        check_ranges("stage", self, ("kernel_sizes", "jpeg"), _RANGES, others=("filters",))
        for name, count in (("kernel_shares", 6), ("resize_shares", 3)):
            shares = getattr(self, name)
            if not (isinstance(shares, tuple) and len(shares) == count and min(shares) >= 0 < sum(shares)):
                raise InputError(f"stage: {name} must be {count} weights of 0 or more, got {shares!r}")
        if not self.kernel_sizes:
            raise InputError("stage: kernel_sizes must name at least one size")
        if not (isinstance(self.filters, tuple) and self.filters):
            raise InputError(f"stage: filters must be a list of {', '.join(FILTERS)}, got {self.filters!r}")
        if not self.resize[0] <= 1 <= self.resize[1]:
            raise InputError(f"stage: resize must be a range that holds 1, got {self.resize!r}")
        # The ends of the ranges must themselves be stages; these name what is wrong with them.
        for end in (0, 1):
            for size in self.kernel_sizes:
                for family, betas in (("generalised", self.generalised_beta), ("plateau", self.plateau_beta)):
                    Kernel(family, size, self.sigma[end], self.sigma[end], beta=betas[end])
            for name in self.filters:
                Stage(None, self.resize[end], name, self.noise[end], self.poisson[end], jpeg=self.jpeg[end])

    def sample(self, rng: np.random.Generator) -> Stage:
        """Draw one stage; the same state of `rng` gives the same stage."""
        kernel = self._kernel(rng) if rng.random() < self.blur_probability else None
        way = _choose(rng, self.resize_shares)
        low, high = ((1.0, self.resize[1]), (self.resize[0], 1.0), (1.0, 1.0))[way]
        factor = float(rng.uniform(low, high))
        filter = self.filters[int(rng.integers(len(self.filters)))]
        noise = poisson = 0.0
        gray = False
        if rng.random() < self.noise_probability:
            if rng.random() < self.poisson_probability:
                poisson = float(rng.uniform(*self.poisson))
            else:
                noise = float(rng.uniform(*self.noise))
            gray = bool(rng.random() < self.gray_probability)
        quality = None
        if rng.random() < self.jpeg_probability:
            quality = int(rng.integers(self.jpeg[0], self.jpeg[1] + 1))
        return Stage(kernel, factor, filter, noise, poisson, gray, quality)

    def _kernel(self, rng: np.random.Generator) -> Kernel:
        """Draw a kernel."""
        size = self.kernel_sizes[int(rng.integers(len(self.kernel_sizes)))]
        if rng.random() < self.sinc_probability:
            # Lower frequencies need more room, or the kernel would be cut within its main lobe.
            return Kernel("sinc", size, cutoff=float(rng.uniform(math.pi / (3 if size < 13 else 5), math.pi)))
        family, anisotropic = divmod(_choose(rng, self.kernel_shares), 2)
        sigma_x = sigma_y = float(rng.uniform(*self.sigma))
        angle = 0.0
        if anisotropic:
            sigma_y = float(rng.uniform(*self.sigma))
            angle = float(rng.uniform(0.0, math.pi))
        if family == 0:
            return Kernel("gaussian", size, sigma_x, sigma_y, angle)
        low, high = self.generalised_beta if family == 1 else self.plateau_beta
        if low <= 1 <= high:
            low, high = (low, 1.0) if rng.random() < 0.5 else (1.0, high)
        beta = float(rng.uniform(low, high))
        return Kernel("generalised" if family == 1 else "plateau", size, sigma_x, sigma_y, angle, beta)


@dataclasses.dataclass(frozen=True)
class TwoStageSpace:
    """Ranges and probabilities from which two-stage tasks are drawn; the defaults are the published ones.

    Args:
        scale: HR side / LR side.
        first: the first stage.
        second: the second stage.
        filters: how the result is brought to the LR size, equally likely.
        sinc_probability: share of tasks with a sinc filter at the end.
        sinc_sizes: sides of that filter in LR pixels, equally likely.
        sinc_cutoff: range of its cutoff in radians a pixel.
        jpeg_last_probability: share of tasks whose second JPEG is saved of the LR image.

    Raises:
        InputError: a range is upside down, a probability is not in [0, 1], or a value cannot be.
    """

    scale: int = 4
    first: StageSpace = StageSpace()
    second: StageSpace = StageSpace(
        blur_probability=0.8,
        sigma=(0.2, 1.5),
        resize_shares=(0.3, 0.4, 0.3),
        resize=(0.3, 1.2),
        noise=(1.0, 25.0),
        poisson=(0.8, 39.8),
    )
    filters: tuple[str, ...] = FILTERS
    sinc_probability: float = 0.8
    sinc_sizes: tuple[int, ...] = (7, 9, 11, 13, 15, 17, 19, 21)
    sinc_cutoff: tuple[float, float] = (math.pi / 3, math.pi)
    jpeg_last_probability: float = 0.5

    def __post_init__(self) -> None:
        what = "two-stage space"
        for name in ("first", "second"):
            if not isinstance(getattr(self, name), StageSpace):
                raise InputError(f"{what}: {name} must be a stage's ranges, got {getattr(self, name)!r}")
        others = ("first", "second", "filters")
        check_ranges(what, self, ("scale", "sinc_sizes"), ("sinc_cutoff",), others=others)
        if not self.sinc_sizes:
            raise InputError(f"{what}: sinc_sizes must name at least one size")
        if not (isinstance(self.filters, tuple) and self.filters):
            raise InputError(f"{what}: filters must be a list of {', '.join(FILTERS)}, got {self.filters!r}")
        for end in (0, 1):
            for size in self.sinc_sizes:
                for name in self.filters:
                    TwoStage(self.scale, filter=name, sinc=Kernel("sinc", size, cutoff=self.sinc_cutoff[end]))

    def as_dict(self) -> dict[str, Any]:
        """Return the ranges as plain values; `from_dict` reads them back."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TwoStageSpace:
        """Build a space from plain values (lists may stand for tuples); what is left out is as published.

        Raises:
            InputError: a key is unknown, or a value has the wrong type or range.
        """
        check_keys("two-stage space", values, [field.name for field in dataclasses.fields(cls)])
        published, built = cls(), dict(values)
        for name in ("first", "second"):
            if name in values:
                ranges = _section("two-stage space", name, values[name])
                known = [field.name for field in dataclasses.fields(StageSpace)]
                check_keys(f"two-stage space: {name}", ranges, known)
                built[name] = dataclasses.replace(getattr(published, name), **ranges)
        return cls(**built)

    def sample(self, rng: np.random.Generator) -> TwoStage:
        """Draw one task.

        Args:
            rng: source of all randomness; the same state gives the same task.

        Returns:
            A task of this space.
        """
        first, second = self.first.sample(rng), self.second.sample(rng)
        filter = self.filters[int(rng.integers(len(self.filters)))]
        sinc = None
        if rng.random() < self.sinc_probability:
            size = self.sinc_sizes[int(rng.integers(len(self.sinc_sizes)))]
            sinc = Kernel("sinc", size, cutoff=float(rng.uniform(*self.sinc_cutoff)))
        jpeg_last = bool(rng.random() < self.jpeg_last_probability)
        return TwoStage(self.scale, first, second, filter, sinc, jpeg_last)


#: The published ranges. Shot noise of scale s there has a standard deviation of 255 s / 16 levels at white.
REAL_ESRGAN = TwoStageSpace()

#: The same model with ranges for ordinary photos of today's cameras, saved well: a small network that has to
#: undo the worst of the published ranges smooths what needs no undoing.
CAMERA = TwoStageSpace(
    first=StageSpace(
        sinc_probability=0.05,
        sigma=(0.2, 2.4),
        resize_shares=(0.1, 0.6, 0.3),
        resize=(0.3, 1.2),
        noise_probability=0.7,
        noise=(0.5, 12.0),
        poisson=(0.5, 15.0),
        jpeg_probability=0.6,
        jpeg=(70, 98),
    ),
    second=StageSpace(
        blur_probability=0.4,
        sinc_probability=0.05,
        sigma=(0.2, 0.9),
        resize_shares=(0.2, 0.3, 0.5),
        resize=(0.6, 1.2),
        noise_probability=0.5,
        noise=(0.5, 6.0),
        poisson=(0.5, 8.0),
        jpeg_probability=0.8,
        jpeg=(70, 98),
    ),
    sinc_probability=0.4,
    sinc_cutoff=(math.pi / 2, math.pi),
    jpeg_last_probability=0.7,
)
