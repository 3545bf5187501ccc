"""Fits what a model's conditions tell: a small network from conditions to blur, noise and compression."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blindsr.dataset.layouts import training_photos
from blindsr.dataset.photos import split_holdout
from blindsr.degradation import REAL, Degradation, DegradationSpace, degrade, gaussian_kernel
from blindsr.errors import InputError
from blindsr.inspection import reading as inspection
from blindsr.inspection.reading import VISIBLE_QUALITY, activate, decode
from blindsr.models.card import CARD, add_to_card
from blindsr.models.catalogue import find_model
from blindsr.picture import as_rgb, read
from blindsr.system.files import atomic_path, refuse_overwriting
from blindsr.upscaling.upscaler import Upscaler

log = logging.getLogger(__name__)

FILE = "inspect.json"

_SIDE = 512  # of the HR crops: 20 support patches lie apart on an LR crop of 128
_VARIANTS = 3  # of noise and JPEG for each blurred crop: blurring takes longest
UNITS, MEMBERS = 32, 4  # benchmarks/inspect_regressors.py compares them with others
_EPOCHS, _BATCH, _RATE, _DECAY = 20, 128, 3e-3, 1e-2
_NOISE_FREE = 0.5  # levels; less than rounding to 8 bits leaves
_TOP = 1e9

Vector = NDArray[np.float64]
Parts = Sequence[tuple[str, NDArray[np.bool_]]]
OnPhoto = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Samples:
    """Conditions of degraded photos and the truth about them.

    Args:
        conditions: (K, C).
        blur: Standard deviation of the blur kernel as it is, cut off at its sides; HR pixels; mean over the
            directions; (K,).
        noise: Root mean square of what the noise changed in the LR photo, levels of 255, (K,).
        quality: JPEG quality; 0 for none, (K,).
    """

    conditions: Vector
    blur: Vector
    noise: Vector
    quality: Vector

    @property
    def visible(self) -> NDArray[np.bool_]:
        """Which have a JPEG of a quality that a condition should tell, (K,)."""
        return (self.quality > 0) & (self.quality < VISIBLE_QUALITY)


@dataclass(frozen=True)
class ErrorRow:
    """One line of the table of errors.

    Args:
        factor: "blur", "noise", "JPEG" or "JPEG quality".
        photos: Which of the degraded photos.
        count: How many.
        error: Mean absolute error; for "JPEG" the share of wrong verdicts.
        guess: The same for guessing the median; for "JPEG" for a coin.
    """

    factor: str
    photos: str
    count: int
    error: float
    guess: float

    def __str__(self) -> str:
        return f"{self.factor:<13} {self.photos:<24} {self.count:>6} {self.error:>8.2f} {self.guess:>8.2f}"


HEADING = f"{'':<13} {'':<24} {'count':>6} {'error':>8} {'guess':>8}"


def fit_inspector(
    folder: Path,
    photos: Path,
    holdout: int = 8,
    crops: int = 8,
    seed: int = 0,
    on_photo: OnPhoto | None = None,
) -> list[ErrorRow]:
    """Fit what a model's conditions tell, measure it on photos held out, and add both to the model's folder.

    Args:
        folder: A model's folder; `inspect.json` is written and the card names it.
        photos: Folder of sharp photos, the ones that the model was trained on.
        holdout: How many of them the training held out; they are not fitted, only measured.
        crops: Crops of each photo; each is blurred once and gets noise and JPEG three times.
        seed: Of all draws; the same one gives the same file.
        on_photo: Called after each photo with the number done and the number in all.

    Returns:
        The errors on the photos held out, under degradations of their own.

    Raises:
        InputError: Nothing to fit or nothing to measure.
        ModelError: The model cannot be used.
    """
    model = find_model(folder)
    if not (folder / CARD).is_file() or not model.adaptive:
        raise InputError(f"{folder}: give the folder of a model that adapts")
    others = [path for role, path in model.files.items() if role != "inspect"]
    refuse_overwriting([folder / FILE], others, "give that file another name")
    held_out, rest = split_holdout(training_photos(photos), holdout)
    if not held_out or not rest:
        raise InputError(f"{photos}: photos are needed to fit and others to measure; hold out fewer, or some")
    upscaler = Upscaler(model, device="cpu", threads=1)
    total = len(rest) + len(held_out)

    def fitted(done: int, _: int) -> None:
        if on_photo is not None:
            on_photo(done, total)

    space = replace(REAL, scale=model.scale)
    samples = draw_samples(upscaler, rest, space, crops, seed, fitted)
    # A few photos are to tell of all ranges, so each gives more.
    more = max(1, crops * 6)
    measured = draw_samples(
        upscaler, held_out, space, more, seed + 1, lambda done, _: fitted(len(rest) + done, total)
    )
    hidden, output = fit_network(samples, seed)
    centre = samples.conditions.mean(0)
    content = {
        "format": inspection.FORMAT,
        "version": inspection.VERSION,
        "condition_sha256": model.digests["condition"],
        "spread": _short(np.linalg.norm(samples.conditions - centre, axis=1).mean()),
        "errors": _errors_by_estimate(hidden, output, measured),
        "hidden": [[_short(number) for number in row] for row in hidden],
        "output": [[_short(number) for number in row] for row in output],
    }
    with atomic_path(folder / FILE) as temporary:
        temporary.write_text(json.dumps(content) + "\n", encoding="utf-8")
    rows = error_rows(decode(activate(measured.conditions, hidden, output)), measured)
    measures = {
        "convention": f"mean absolute error on {len(held_out)} photos held out; guess: of their median",
        "command": "python benchmarks/inspect_error.py",
        "errors": [
            {"factor": r.factor, "photos": r.photos, "error": _short(r.error, 3), "guess": _short(r.guess, 3)}
            for r in rows
        ],
    }
    add_to_card(folder, {"inspect": FILE}, "inspect", measures)
    return rows


def draw_samples(
    upscaler: Upscaler,
    photos: Sequence[Path],
    space: DegradationSpace,
    crops: int,
    seed: int,
    on_photo: OnPhoto | None = None,
) -> Samples:
    """Degrade photos at random and read a condition from each, as is done with a photo of a user's.

    Args:
        upscaler: With the model that reads the conditions.
        photos: HR photos; those that are too small for a support patch are left out, with a warning.
        space: Where degradations are drawn from.
        crops: Of each photo.
        seed: Of all draws; photo i of a list has draws of its own.
        on_photo: Called after each photo.

    Raises:
        InputError: A photo cannot be read, or none is large enough.
    """
    assert upscaler.model.support is not None
    least = upscaler.model.support.patch * space.scale
    conditions: list[NDArray[np.float32]] = []
    truths: list[tuple[float, float, float]] = []
    for number, file in enumerate(photos):
        pixels = read(file).pixels
        side = min(_SIDE, *pixels.shape[:2]) // space.scale * space.scale
        if side < least:
            log.warning("%s is smaller than %d pixels; left out", file, least)
        else:
            hr = as_rgb(pixels)
            rng = np.random.default_rng([seed, number])
            for _ in range(crops):
                top, left = (int(rng.integers(length - side + 1)) for length in hr.shape[:2])
                crop = hr[top : top + side, left : left + side].transpose(2, 0, 1)[None]
                for lr, truth in _degraded(np.ascontiguousarray(crop), space, rng):
                    conditions.append(upscaler.adapt([lr]).condition[0])
                    truths.append(truth)
        if on_photo is not None:
            on_photo(number + 1, len(photos))
    if not truths:
        raise InputError(f"none of the {len(photos)} photos is at least {least} pixels wide and high")
    blur, noise, quality = np.asarray(truths, np.float64).T
    return Samples(np.asarray(conditions, np.float64), blur, noise, quality)


def _degraded(
    hr: NDArray[np.float32], space: DegradationSpace, rng: np.random.Generator
) -> list[tuple[NDArray[np.float32], tuple[float, float, float]]]:
    """(1, 3, S, S) -> LR photos (s, s, 3) of one blur under several noises and JPEGs, each with its truth."""
    first = space.sample(rng)
    blurred = replace(first, noise=0.0, poisson=0.0, noise_scale=1.0, jpeg=None)
    clean = degrade(hr, blurred, 0, quantise=False)
    found = []
    for _ in range(_VARIANTS):
        task, seed = space.sample(rng), int(rng.integers(2**31))
        added = replace(task, scale=1, sigma_x=0.0, sigma_y=0.0, jpeg=None)
        noisy, level = clean, 0.0
        if added.noise > 0 or added.poisson > 0:
            noisy = degrade(clean, added, seed, quantise=False)
            # Noise that enters at another size takes the photo through two resizes, which are not noise: they
            # happen under noise of no consequence as well.
            silent = degrade(clean, replace(added, noise=1e-9, poisson=0.0), seed, quantise=False)
            level = 255 * float(np.sqrt(np.mean(np.square(noisy.astype(np.float64) - silent))))
        lr = degrade(noisy, Degradation(scale=1, jpeg=task.jpeg), seed)
        truth = blur_width(blurred), level, float(task.jpeg or 0)
        found.append((np.ascontiguousarray(lr[0].transpose(1, 2, 0)), truth))
    return found


def blur_width(degradation: Degradation) -> float:
    """Standard deviation of a blur as its kernel is, cut off at its sides; HR pixels, over all directions."""
    if degradation.sigma_x == 0:
        return 0.0
    d = degradation
    kernel = gaussian_kernel(d.sigma_x, d.sigma_y, d.angle, d.kernel_size)
    squares = np.square(np.arange(d.kernel_size) - d.kernel_size // 2)
    return float(np.sqrt((kernel * (squares[:, None] + squares)).sum() / 2))


def fit_network(
    samples: Samples, seed: int, units: int = UNITS, members: int = MEMBERS
) -> tuple[Vector, Vector]:
    """Fit the network by Adam on absolute errors, and on the cross-entropy of the verdict about JPEG.

    Several small networks are fitted from different starts and averaged, which is one network with as many
    times the hidden units. Inputs are the conditions' principal components, half whitened: noise moves a
    condition a hundred times as far as anything else, and full whitening would raise what is chance.

    Args:
        samples: To fit.
        seed: Of the starts and the batches.
        units: Hidden units of one network.
        members: How many networks are averaged.

    Returns:
        Layers with their biases as the last row: (C + 1, H) and (H + 1, 4).
    """
    conditions = samples.conditions
    centre = conditions.mean(0)
    _, singular, directions = np.linalg.svd(conditions - centre, full_matrices=False)
    spread = np.maximum(singular, 1e-5 * singular[0])
    whitening = directions.T / np.sqrt(spread)
    whitening /= np.sqrt(np.mean(np.square((conditions - centre) @ whitening)))
    inputs = (conditions - centre) @ whitening
    targets, weights = targets_of(samples)
    fitted = [_fit_member(inputs, targets, weights, units, seed=[seed, i]) for i in range(members)]
    first = np.concatenate([layers[0] for layers in fitted], axis=1)
    second = np.concatenate([layers[1][:-1] for layers in fitted]) / members
    bias = np.mean([layers[1][-1:] for layers in fitted], axis=0)
    weight = whitening @ first[:-1]
    return np.concatenate([weight, first[-1:] - centre @ weight]), np.concatenate([second, bias])


def targets_of(samples: Samples) -> tuple[Vector, Vector]:
    """What the network's outputs should be, as `decode` undoes it, and how much each counts: (K, 4) both."""
    visible = samples.visible
    quality = np.where(visible, (samples.quality - 65) / 20, 0)
    targets = np.column_stack([samples.blur, np.sqrt(samples.noise) / 2, visible, quality])
    # Photos with and without JPEG weigh the same in the verdict; the quality is fitted where there is one.
    share = visible.mean().clip(1e-6, 1 - 1e-6)
    verdict = np.where(visible, 0.5 / share, 0.5 / (1 - share))
    return targets, np.column_stack([np.ones((len(targets), 2)), verdict, visible / share])


def _fit_member(
    inputs: Vector, targets: Vector, weights: Vector, units: int, seed: list[int]
) -> tuple[Vector, Vector]:
    """One network of the average, on inputs as they are."""
    rng = np.random.default_rng(seed)
    count, size = inputs.shape
    layers = [
        np.concatenate([rng.normal(0, np.sqrt(2 / size), (size, units)), np.zeros((1, units))]),
        np.concatenate([rng.normal(0, np.sqrt(1 / units), (units, 4)), np.median(targets, axis=0)[None]]),
    ]
    moments = [(np.zeros_like(layer), np.zeros_like(layer)) for layer in layers]
    steps = max(1, _EPOCHS * count // _BATCH)
    for step in range(steps):
        chosen = rng.integers(count, size=_BATCH)
        x = np.column_stack([inputs[chosen], np.ones(_BATCH)])
        inner = x @ layers[0]
        rectified = np.column_stack([np.maximum(inner, 0), np.ones(_BATCH)])
        outputs = rectified @ layers[1]
        slope = np.sign(outputs - targets[chosen])
        slope[:, 2] = 1 / (1 + np.exp(-outputs[:, 2].clip(-50, 50))) - targets[chosen, 2]
        slope *= weights[chosen] / _BATCH
        gradients = x.T @ ((slope @ layers[1][:-1].T) * (inner > 0)), rectified.T @ slope
        rate = _RATE * 0.5 * (1 + np.cos(np.pi * step / steps))
        for layer, gradient, (mean, square) in zip(layers, gradients, moments, strict=True):
            mean += 0.1 * (gradient - mean)
            square += 0.001 * (gradient**2 - square)
            move = mean / (1 - 0.9 ** (step + 1)) / (np.sqrt(square / (1 - 0.999 ** (step + 1))) + 1e-8)
            layer[:-1] -= rate * _DECAY * layer[:-1]
            layer -= rate * move
    return layers[0], layers[1]


def error_rows(estimates: Sequence[Vector], samples: Samples) -> list[ErrorRow]:
    """The table of errors, by ranges of the truth.

    Args:
        estimates: Blur, noise, chance of a JPEG and its quality, as `decode` gives them.
        samples: With the truth.
    """
    blur, noise, chance, quality = estimates
    everything = np.ones(len(blur), np.bool_)
    clean, visible = samples.noise < _NOISE_FREE, samples.visible
    unsaved = samples.quality == 0
    rows: list[ErrorRow] = []

    def add(factor: str, estimate: Vector, truth: Vector, among: NDArray[np.bool_], parts: Parts) -> None:
        middle = np.median(truth[among])
        for name, part in parts:
            chosen = among & part
            if chosen.any():
                error = float(np.abs(estimate - truth)[chosen].mean())
                guess = float(np.abs(middle - truth)[chosen].mean())
                rows.append(ErrorRow(factor, name, int(chosen.sum()), error, guess))

    truth = samples.blur
    ranges = [
        ("below 1", truth < 1),
        ("1 to 2", (truth >= 1) & (truth < 2)),
        ("2 and more", truth >= 2),
    ]
    add("blur", blur, truth, everything, [("all", everything), *ranges])
    noise_free = [("without noise", everything), *((f"without noise, {n}", part) for n, part in ranges)]
    add("blur", blur, truth, clean, noise_free)
    truth = samples.noise
    levels = [
        ("none", clean),
        ("below 10", ~clean & (truth < 10)),
        ("10 to 25", (truth >= 10) & (truth < 25)),
        ("25 and more", truth >= 25),
    ]
    add("noise", noise, truth, everything, [("all", everything), *levels])
    for name, part in (("without noise", clean), ("with noise", ~clean), ("all", everything)):
        if (visible & part).any() and (unsaved & part).any():
            wrong = 1 - _right(chance, visible & part, unsaved & part)
            rows.append(ErrorRow("JPEG or not", name, int(((visible | unsaved) & part).sum()), wrong, 0.5))
    truth = samples.quality
    coarse = [("below 60", truth < 60), (f"60 to {VISIBLE_QUALITY}", truth >= 60)]
    add("JPEG quality", quality, truth, visible, [("all", everything), *coarse])
    return rows


def _right(chance: Vector, visible: NDArray[np.bool_], unsaved: NDArray[np.bool_]) -> float:
    """Share of right verdicts about JPEG: mean of the shares among photos with and without."""
    return float(((chance[visible] > 0.5).mean() + (chance[unsaved] <= 0.5).mean()) / 2)


def _errors_by_estimate(hidden: Vector, output: Vector, samples: Samples) -> dict[str, Any]:
    """What a user is told: the errors by ranges of the estimates, which is all that is known of a photo."""
    blur, noise, chance, quality = decode(activate(samples.conditions, hidden, output))
    quiet = ((0, 5), (5, 15), (15, _TOP))
    # Where noise leaves few estimates of a width, the error is that of all widths under such noise.
    widths = ((0, 1), (1, 2), (2, _TOP), (0, _TOP))
    blurs = [(low, high, *levels) for levels in quiet for low, high in widths]
    noises = [(low, high, 0, _TOP) for low, high in ((0, 2), (2, 5), (5, 10), (10, 25), (25, _TOP))]
    everything = np.ones(len(blur), np.bool_)
    unsaved = samples.quality == 0
    seen = samples.visible & (chance > 0.5)
    return {
        "blur": _ranges(blur, samples.blur, noise, blurs, everything),
        "noise": _ranges(noise, samples.noise, noise, noises, everything),
        "quality": _ranges(quality, samples.quality, noise, [(0, 60, 0, _TOP), (60, 100, 0, _TOP)], seen),
        "jpeg": {
            "right": _short(_right(chance, samples.visible, unsaved))
            if samples.visible.any() and unsaved.any()
            else 0.5
        },
    }


def _ranges(
    estimate: Vector,
    truth: Vector,
    noise: Vector,
    ranges: Sequence[tuple[float, ...]],
    among: NDArray[np.bool_],
) -> dict[str, Any]:
    """Mean error in each range of estimate and noise that has samples, and last of all together."""
    if not among.any():
        among = np.ones(len(estimate), np.bool_)
    errors = np.abs(estimate - truth)
    found = []
    for low, high, quietest, loudest in ranges:
        inside = (estimate >= low) & (estimate <= high) & (noise >= quietest) & (noise <= loudest) & among
        if inside.sum() >= 30:
            found.append([low, high, quietest, loudest, _short(errors[inside].mean())])
    found.append([-_TOP, _TOP, -_TOP, _TOP, _short(errors[among].mean())])
    return {"guess": _short(np.abs(truth[among] - np.median(truth[among])).mean()), "ranges": found}


def _short(number: Any, digits: int = 6) -> float:  # noqa: ANN401  (a number of Python's or of NumPy's)
    """So many significant digits: an estimate has fewer."""
    return float(f"{float(number):.{digits}g}")
