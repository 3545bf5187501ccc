"""What a condition tells of a photo: blur, noise and compression, each with its expected error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blindsr.errors import InputError, ModelError
from blindsr.models.card import Model
from blindsr.system.files import read_whole
from blindsr.system.untrusted import brief, parse_json, shorten

__all__ = ["Estimate", "Inspector", "Reading", "advice", "decode", "saved_quality"]

FORMAT = "blindsr inspector"
VERSION = 1

SIGMA = (0.0, 4.0)
"""Range of a blur that is told, HR pixels."""
NOISE = (0.0, 50.0)
"""Range of a noise level that is told, levels of 255; the model has learnt no stronger noise."""
QUALITY = (30.0, 100.0)
"""Range of a JPEG quality that is told."""
VISIBLE_QUALITY = 90
"""JPEG below this counts as something that a condition should tell; above, it does next to no harm."""

_FAULTS = (KeyError, TypeError, ValueError, IndexError, OverflowError, AttributeError)
"""What a damaged file raises."""

_TELLING = 0.8  # an estimate whose error is a larger part of a guess's error tells nothing
_TELLING_VERDICT = (
    0.75  # mean share of right verdicts, of photos with JPEG and of photos without; chance has 0.5
)


@dataclass(frozen=True)
class Estimate:
    """One number, and how far off such numbers were for photos that the regression never saw.

    Args:
        value: The estimate.
        error: Mean absolute error of estimates like this one.
        guess: Mean absolute error of guessing the median of all photos instead.
    """

    value: float
    error: float
    guess: float

    @property
    def telling(self) -> bool:
        """Whether it is better than a guess by enough to be worth a word."""
        return self.error <= _TELLING * self.guess


@dataclass(frozen=True)
class Reading:
    """What a condition says of its photo.

    Nothing in it changes, so threads may share one.

    Args:
        blur: Standard deviation of the blur before the photo was shrunk to its size, in HR pixels, of which
            the model's scale tells how many make one of the photo's.
        noise: Standard deviation of the noise before any JPEG, levels of 255.
        jpeg_seen: Whether it looks as if it had been through a JPEG of a quality below 90.
        jpeg_right: How often such a verdict was right: mean of the shares among photos with and without.
        quality: Quality of that JPEG; means something only where one was seen.

    Example:
        >>> upscaler = blindsr.Upscaler("cmdsr-x4")
        >>> reading = blindsr.Inspector(upscaler.model).read(upscaler.adapt("photo.jpg").condition)
        >>> reading.noise.error  # levels of 255
        2.0
    """

    blur: Estimate
    noise: Estimate
    jpeg_seen: bool
    jpeg_right: float
    quality: Estimate

    @property
    def jpeg_telling(self) -> bool:
        """Whether the model can tell photos with JPEG from photos without."""
        return self.jpeg_right >= _TELLING_VERDICT

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; `telling` says which of them are better than a guess."""

        def plain(estimate: Estimate) -> dict[str, Any]:
            numbers = {"value": estimate.value, "error": estimate.error, "guess": estimate.guess}
            return {**{k: round(v, 3) for k, v in numbers.items()}, "telling": estimate.telling}

        return {
            "blur": plain(self.blur),
            "noise": plain(self.noise),
            "jpeg": {
                "seen": self.jpeg_seen,
                "right": round(self.jpeg_right, 3),
                "telling": self.jpeg_telling,
                "quality": plain(self.quality) if self.jpeg_seen else None,
            },
        }


class Inspector:
    """Reads conditions of one model: a small network of one hidden layer, run by NumPy.

    Nothing in it changes, so threads may share one.

    Args:
        model: A model with an `inspect` file, which "blindsr fit-inspect" makes.

    Raises:
        InputError: The model does not adapt.
        ModelError: The model has no such file, or the file is damaged or was made for other weights.

    Example:
        >>> inspector = blindsr.Inspector(blindsr.load_model("cmdsr-x4"))
        >>> inspector
        <Inspector of 'cmdsr-x4'>
        >>> camera = blindsr.Upscaler("cmdsr-x4").adapt(["photo.jpg", "other.jpg"])
        >>> sorted(inspector.read(camera.condition).as_dict())
        ['blur', 'jpeg', 'noise']
    """

    def __init__(self, model: Model) -> None:
        if not model.adaptive:
            raise InputError(f"model {model.name} does not adapt, so it reads nothing that could be told")
        if "inspect" not in model.files:
            raise ModelError(
                f'model {model.name}: nobody has fitted what its conditions tell; "blindsr fit-inspect" does'
            )
        self._name, self._path = model.name, model.files["inspect"]
        content = _read(self._path, model)
        size = model.condition_size
        try:
            layers = [np.asarray(content[key], np.float64) for key in ("hidden", "output")]
            hidden, output = layers
            if hidden.ndim != 2 or len(hidden) != size + 1 or output.shape != (hidden.shape[1] + 1, 4):
                raise ValueError(f"layers of {hidden.shape} and {output.shape}")
            if not (np.isfinite(hidden).all() and np.isfinite(output).all()):
                raise ValueError("a number is not finite")
            self.hidden, self.output = hidden, output
            self.spread = float(content["spread"])
            self._errors: Mapping[str, Any] = content["errors"]
            self._read(np.zeros(size, np.float32))  # every estimate must find its error
        except _FAULTS as error:
            raise self._damaged(error) from error

    def __repr__(self) -> str:
        return f"<Inspector of {shorten(self._name)}>"

    def read(self, condition: NDArray[np.float32]) -> Reading:
        """Tell what a condition stands for.

        Args:
            condition: (C,) or (1, C).

        Raises:
            ModelError: The file has no error for such an estimate.
        """
        try:
            return self._read(condition)
        except _FAULTS as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> ModelError:
        return ModelError(f"{self._path}: damaged ({brief(error)}); fit it again with blindsr fit-inspect")

    def _read(self, condition: NDArray[np.float32]) -> Reading:
        activations = activate(condition.reshape(1, -1).astype(np.float64), self.hidden, self.output)
        blur, noise, chance, quality = (float(column[0]) for column in decode(activations))
        seen = chance > 0.5
        errors = self._errors
        return Reading(
            blur=_estimate(errors["blur"], blur, noise),
            noise=_estimate(errors["noise"], noise, noise),
            jpeg_seen=seen,
            jpeg_right=float(errors["jpeg"]["right"]),
            quality=_estimate(errors["quality"], quality, noise),
        )


def activate(
    conditions: NDArray[np.float64], hidden: NDArray[np.float64], output: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Run the network: conditions (K, C) through layers (C + 1, H) and (H + 1, 4), biases last -> (K, 4)."""
    inner = np.maximum(conditions @ hidden[:-1] + hidden[-1], 0)
    activations: NDArray[np.float64] = inner @ output[:-1] + output[-1]
    return activations


def decode(activations: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """The network's outputs (K, 4) in their units.

    Returns:
        Blur, noise, the chance that there is a visible JPEG, and its quality, (K,) each.
    """
    chance = 1 / (1 + np.exp(-activations[:, 2].clip(-50, 50)))
    return (
        activations[:, 0].clip(*SIGMA),
        np.square(2 * activations[:, 1].clip(0, None)).clip(*NOISE),
        chance,
        (65 + 20 * activations[:, 3]).clip(*QUALITY),
    )


def saved_quality(path: Path) -> tuple[int, bool] | None:
    """The quality at which a JPEG file was last saved, by its own quantisation tables.

    Args:
        path: Any picture.

    Returns:
        Quality 1 to 100 on the scale of the Independent JPEG Group, and whether the table is exactly that one
        (encoders of cameras have tables of their own); None if the file is no JPEG.
    """
    from PIL import Image

    from blindsr.degradation.jpeg import quantisation_tables

    try:
        with Image.open(path, formats=["JPEG"]) as image:
            luma = next(iter(getattr(image, "quantization", {}).values()), None)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None
    if luma is None:
        return None
    # Sorted, so that the order in which a reader hands the frequencies over does not matter.
    table = np.sort(np.asarray(luma, np.float64))
    distances = [np.abs(np.sort(quantisation_tables(q)[0].ravel()) - table).sum() for q in range(1, 101)]
    nearest = int(np.argmin(distances))
    return nearest + 1, bool(distances[nearest] == 0)


def _estimate(errors: Mapping[str, Any], value: float, noise: float) -> Estimate:
    """A value with the error of those like it: of the first range that holds it and the noise."""
    for low, high, quietest, loudest, error in errors["ranges"]:
        if low <= value <= high and quietest <= noise <= loudest:
            return Estimate(value, float(error), float(errors["guess"]))
    raise ValueError(f"no error is given for {value:g} under noise of {noise:g}")


def _read(path: Path, model: Model) -> dict[str, Any]:
    """The file's content, if it is for these weights."""
    try:
        content = parse_json(read_whole(path))
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}); the model is incomplete") from error
    except ValueError as error:
        raise ModelError(f"{path}: not valid JSON ({error})") from error
    if not isinstance(content, dict) or (content.get("format"), content.get("version")) != (FORMAT, VERSION):
        raise ModelError(
            f"{path}: not an inspector of version {VERSION}; fit it again with blindsr fit-inspect"
        )
    if content.get("condition_sha256") != model.digests["condition"]:
        raise ModelError(
            f"{path}: fitted for other weights than those of model {model.name};"
            " fit it again with blindsr fit-inspect"
        )
    return content


def advice(reading: Reading, saved: int | None = None) -> list[str]:
    """Lines that help a photographer, where there is something to say.

    Args:
        reading: Of the photo.
        saved: Quality at which the file was last saved, if it is a JPEG.
    """
    lines = []
    if reading.noise.telling and reading.noise.value >= 25:
        lines.append("strong noise: it will go, and detail finer than it with it; expect a smooth result")
    if reading.blur.telling and reading.blur.value >= 2.5:
        lines.append("strong blur: edges will become clearer, but the finest detail is gone from the photo")
    if reading.jpeg_telling and reading.jpeg_seen and reading.quality.value < 60:
        lines.append(
            "strong compression: an earlier, less compressed copy of this photo would restore better"
        )
    if reading.jpeg_telling and reading.jpeg_seen and (saved or 0) >= reading.quality.value + 20:
        lines.append(
            "the file's own quality tells of its last save only: it seems to have been saved worse before"
        )
    return lines
