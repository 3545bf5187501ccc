"""One degradation, described by its parameters, and its application: how an LR photo comes from an HR one."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from blindsr.degradation.backend import Array, apply_separable, check_batch, full_precision
from blindsr.degradation.blur import compose_blur, gaussian_kernel, kernel_terms
from blindsr.degradation.jpeg import jpeg
from blindsr.degradation.noise import gaussian_noise, poisson_noise
from blindsr.degradation.resize import resize, resize_matrix
from blindsr.degradation.validation import check_keys, check_number
from blindsr.errors import InputError


class Task(Protocol):
    """What `degrade` applies: one degradation of whatever kind, with all its parameters."""

    @property
    def scale(self) -> int:
        """HR side / LR side."""
        ...

    def as_dict(self) -> dict[str, Any]:
        """Return the parameters as plain values, for JSON."""
        ...

    def apply(self, x: Array, seed: int, first_item: int = 0) -> Array:
        """Make LR images from HR images whose sides are multiples of the scale; see `degrade`.

        Returns:
            LR batch in [0, 1]; rounded to 8 bits only if saving comes last.
        """
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class Degradation:
    """One task: everything that makes an LR photo from an HR one, in the order of the fields.

    Args:
        scale: HR side / LR side, 1 or more.
        sigma_x: blur along the ellipse's first axis, in HR pixels; both sigmas 0 is no blur.
        sigma_y: blur along the second axis, in HR pixels.
        angle: direction of the first axis in radians, from x (to the right) towards y (downwards).
        kernel_size: side of the blur kernel in HR pixels, odd.
        noise: Gaussian noise, standard deviation in levels of 255.
        poisson: shot noise, standard deviation at white in levels of 255.
        gray_noise: one noise for all channels instead of one each.
        noise_scale: size, relative to the LR size, at which noise enters; other than 1 makes it coloured.
        jpeg: JPEG quality 1..100; None saves without loss.

    Raises:
        InputError: a value is outside its range.
    """

    scale: int = 4
    sigma_x: float = 0.0
    sigma_y: float = 0.0
    angle: float = 0.0
    kernel_size: int = 15
    noise: float = 0.0
    poisson: float = 0.0
    gray_noise: bool = False
    noise_scale: float = 1.0
    jpeg: int | None = None

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            _check_type(field.name, getattr(self, field.name))
        for name in ("sigma_x", "sigma_y", "noise", "poisson"):
            if getattr(self, name) < 0:
                raise InputError(f"degradation: {name} must be 0 or more, got {getattr(self, name):g}")
        if (self.sigma_x > 0) != (self.sigma_y > 0):
            raise InputError(
                f"degradation: sigma_x and sigma_y must both be 0 (no blur) or both above it, "
                f"got {self.sigma_x:g} and {self.sigma_y:g}"
            )
        if self.scale < 1:
            raise InputError(f"degradation: scale must be 1 or more, got {self.scale}")
        if self.kernel_size < 1 or self.kernel_size % 2 == 0:
            raise InputError(f"degradation: kernel_size must be odd, got {self.kernel_size}")
        if self.noise_scale <= 0:
            raise InputError(f"degradation: noise_scale must be above 0, got {self.noise_scale:g}")
        if self.jpeg is not None and not 1 <= self.jpeg <= 100:
            raise InputError(f"degradation: jpeg must be a quality from 1 to 100, got {self.jpeg}")

    def as_dict(self) -> dict[str, Any]:
        """Return the parameters as plain values, for JSON; `from_dict` reads them back."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Degradation:
        """Build a degradation from plain values.

        Raises:
            InputError: a key is unknown, or a value has the wrong type or range.
        """
        check_keys("degradation", values, [field.name for field in dataclasses.fields(cls)])
        return cls(**values)

    @classmethod
    def parse(cls, text: str, scale: int = 4) -> Degradation:
        """Read a degradation as it is written on a command line, e.g. "blur=2.6,noise=15,jpeg=60".

        Keys: `blur` (isotropic sigma 2.6, or 2x1@30 for sigmas 2 and 1 at 30 degrees), `kernel` (its side),
        `noise`, `poisson`, `gray` (true or false), `noise_scale`, `jpeg`, `scale`. An empty text is bicubic
        downsampling.

        Args:
            text: parts of the form key=value, separated by commas.
            scale: the scale where the text does not say.

        Returns:
            The degradation; what the text leaves out has its default.

        Raises:
            InputError: the text is not of this form, or a value is outside its range.
        """
        values: dict[str, Any] = {}
        for part in filter(None, (part.strip() for part in text.split(","))):
            key, equals, value = (piece.strip() for piece in part.partition("="))
            if not equals:
                raise InputError(f"degradation {text!r}: {part!r} is not of the form key=value")
            check_keys("degradation", [key], _WRITTEN_KEYS)
            if key in values:
                raise InputError(f"degradation {text!r}: {key} is given twice")
            values[key] = value
        fields: dict[str, Any] = {"scale": scale}
        for key, value in values.items():
            try:
                if key == "blur":
                    fields.update(_parse_blur(value))
                elif key == "gray":
                    fields["gray_noise"] = _SWITCH[value.lower()]
                else:
                    kind = int if key in ("kernel", "jpeg", "scale") else float
                    fields["kernel_size" if key == "kernel" else key] = kind(value)
            except (ValueError, KeyError):
                raise InputError(
                    f"degradation {text!r}: cannot read {key}={value}; write e.g. {_WRITTEN_KEYS[key]}"
                ) from None
        return cls(**fields)

    def apply(self, x: Array, seed: int, first_item: int = 0) -> Array:
        """Make LR images: blur, antialiased bicubic downsampling, noise, clipping, JPEG; see `degrade`."""
        check_batch(x, channels=3 if self.jpeg is not None else None)
        height, width = x.shape[2:]
        size = (height // self.scale, width // self.scale)
        entry = (self.entry_side(size[0]), self.entry_side(size[1]))
        with full_precision(x):
            result = apply_separable(x, *_blur_and_shrink(self, (height, width), entry))
            if self.poisson > 0:
                result = poisson_noise(result, self.poisson, seed, self.gray_noise, first_item)
            if self.noise > 0:
                result = gaussian_noise(result, self.noise, seed, self.gray_noise, first_item)
            result = result.clip(0.0, 1.0)
            if entry != size:
                result = resize(result, size).clip(0.0, 1.0)
            if self.jpeg is not None:
                return jpeg(result, self.jpeg)
        return result

    def entry_side(self, side: int) -> int:
        """Return how many pixels an LR side of `side` pixels has where noise enters."""
        noisy = self.noise > 0 or self.poisson > 0
        return max(1, round(side * self.noise_scale)) if noisy and self.noise_scale != 1 else side

    def __str__(self) -> str:
        """Write the degradation as `parse` reads it, with numbers to six digits and defaults left out."""
        parts = []
        if self.sigma_x == self.sigma_y > 0:
            parts.append(f"blur={self.sigma_x:g}")
        elif self.sigma_x > 0:
            parts.append(f"blur={self.sigma_x:g}x{self.sigma_y:g}@{math.degrees(self.angle):g}")
        if self.sigma_x > 0 and self.kernel_size != 15:
            parts.append(f"kernel={self.kernel_size}")
        for name in ("noise", "poisson"):
            if getattr(self, name) > 0:
                parts.append(f"{name}={getattr(self, name):g}")
        if self.noise > 0 or self.poisson > 0:
            parts += ["gray=true"] if self.gray_noise else []
            parts += [f"noise_scale={self.noise_scale:g}"] if self.noise_scale != 1 else []
        if self.jpeg is not None:
            parts.append(f"jpeg={self.jpeg}")
        return ",".join([*parts, f"scale={self.scale}"])


def degrade(x: Array, degradation: Task, seed: int, quantise: bool = True, first_item: int = 0) -> Array:
    """Make LR images from HR images by a task of any kind.

    The same parameters and seed give the same result on NumPy and on any torch device, to 1e-5 before
    rounding to 8 bits (a JPEG within the task rounds as well). Tensors are processed without gradients.

    Args:
        x: HR batch, (N, C, H, W), float32 RGB in [0, 1]; H and W multiples of the scale; C = 3 for JPEG.
        degradation: the task, the same for the whole batch.
        seed: seed of the noise; image i gets its own, independent of the batch's size.
        quantise: round to 8 bits at the end, as a photo is stored. JPEG rounds in any case.
        first_item: number of the batch's first image: image i of a batch is degraded as it is alone with
            first_item=i.

    Returns:
        LR batch, (N, C, H / scale, W / scale), in [0, 1].

    Raises:
        InputError: the batch is malformed, or its sides are not multiples of the scale.
    """
    check_batch(x)
    height, width = x.shape[2:]
    if height % degradation.scale or width % degradation.scale:
        raise InputError(
            f"an HR image of {width}x{height} pixels does not divide by the scale {degradation.scale}: "
            "crop it to a multiple (modcrop)"
        )
    with full_precision(x):
        result = degradation.apply(x, seed, first_item)
        if quantise:
            result = to_levels(result)
    return result


def to_levels(x: Array) -> Array:
    """Round a batch in [0, 1] to 8 bits, as a photo is stored."""
    levels: Array = (x * 255.0).round() / 255.0
    return levels


def degrade_image(picture: NDArray[np.float32], degradation: Task, seed: int) -> NDArray[np.float32]:
    """Make an LR picture from an HR picture.

    Args:
        picture: HR, (H, W, 3), float32 RGB in [0, 1]; H and W multiples of the scale (see `modcrop`).
        degradation: the task.
        seed: seed of the noise.

    Returns:
        LR, (H / scale, W / scale, 3), float32 RGB in [0, 1]; every value is a multiple of 1/255.

    Raises:
        InputError: the picture is malformed, or its sides are not multiples of the scale.
    """
    if picture.ndim != 3:
        raise InputError(f"a picture must be (H, W, C), this is {picture.shape}")
    batch = np.ascontiguousarray(picture.transpose(2, 0, 1)[None])
    return np.ascontiguousarray(degrade(batch, degradation, seed)[0].transpose(1, 2, 0))


def modcrop(picture: NDArray[Any], scale: int) -> NDArray[Any]:
    """Cut the right and bottom of a picture so that its sides are multiples of the scale.

    Args:
        picture: (H, W, C), any type.
        scale: 1 or more, at most H and W.

    Returns:
        View of the picture, (H - H % scale, W - W % scale, C).

    Raises:
        InputError: the picture is smaller than the scale.
    """
    height, width = picture.shape[:2]
    if scale < 1 or min(height, width) < scale:
        raise InputError(f"a picture of {width}x{height} pixels cannot be shrunk by {scale}")
    return picture[: height - height % scale, : width - width % scale]


# The keys of a written degradation, each with an example for error messages.
_WRITTEN_KEYS = {
    "blur": "blur=2.6 or blur=2x1@30",
    "kernel": "kernel=15",
    "noise": "noise=15",
    "poisson": "poisson=10",
    "gray": "gray=true",
    "noise_scale": "noise_scale=0.7",
    "jpeg": "jpeg=60",
    "scale": "scale=4",
}
_SWITCH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_WHOLE = ("scale", "kernel_size", "jpeg")


def _check_type(name: str, value: object) -> None:
    """Refuse a value whose type does not suit the field, NaN and infinity."""
    if name == "gray_noise":
        if not isinstance(value, bool):
            raise InputError(f"degradation: {name} must be true or false, got {value!r}")
    elif value is not None or name != "jpeg":
        check_number(f"degradation: {name}", value, whole=name in _WHOLE)


def _parse_blur(value: str) -> dict[str, float]:
    """Read "2.6", "2x1" or "2x1@30" (sigmas, degrees)."""
    sigmas, at, degrees = value.partition("@")
    first, x, second = sigmas.partition("x")
    if at and not x:
        raise ValueError(value)
    return {
        "sigma_x": float(first),
        "sigma_y": float(second if x else first),
        "angle": math.radians(float(degrees)) if at else 0.0,
    }


def _blur_and_shrink(
    degradation: Degradation, size: tuple[int, int], out: tuple[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return blur and downsampling as one operator for `apply_separable`.

    Both are linear and nothing is rounded between them, so the product of their small matrices goes over the
    pixels once: resize(blur(x)) to float32 accuracy at a tenth of the arithmetic.
    """
    rows, columns = resize_matrix(size[0], out[0]), resize_matrix(size[1], out[1])
    if degradation.sigma_x == 0:
        return rows[None], columns[None]
    d = degradation
    down, across = kernel_terms(gaussian_kernel(d.sigma_x, d.sigma_y, d.angle, d.kernel_size))
    return compose_blur(rows, down), compose_blur(columns, across)
