"""Places in a photo to train on, and the sampler that takes each HR crop with a degradation of its own.

Batches tell where crops lie, in numbers; `blindsr.dataset.cutting` cuts them on the training device.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from blindsr.dataset.photos import PhotoCache
from blindsr.errors import InputError

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Space(Protocol[T_co]):
    """What tasks are drawn from, such as a `DegradationSpace`."""

    @property
    def scale(self) -> int:
        """HR side / LR side."""
        ...

    def sample(self, rng: np.random.Generator) -> T_co:
        """Draw one task; the same state of `rng` gives the same task."""
        ...


@dataclass(frozen=True)
class Crop:
    """A square of a photo in one of its eight poses.

    Args:
        top: First row.
        left: First column.
        size: Side, in pixels.
        mirrored: Whether left and right change places.
        flipped: Whether top and bottom change places.
        transposed: Whether rows become columns, after that.
    """

    top: int
    left: int
    size: int
    mirrored: bool
    flipped: bool
    transposed: bool

    @classmethod
    def draw(cls, shape: tuple[int, ...], size: int, rng: np.random.Generator) -> Crop:
        """Draw a place and a pose, all equally likely, in a photo (H, W, ...) of at least `size` each way."""
        top, left = int(rng.integers(shape[0] - size + 1)), int(rng.integers(shape[1] - size + 1))
        mirrored, flipped, transposed = (bool(rng.random() < 0.5) for _ in range(3))
        return cls(top, left, size, mirrored, flipped, transposed)

    def cut(self, pixels: NDArray[np.uint8], scale: int = 1) -> NDArray[np.uint8]:
        """The crop out of a photo that is `scale` times as large as the one it was drawn for.

        Args:
            pixels: (H, W, 3).
            scale: Of this photo, so that one crop cuts both sides of a pair.

        Returns:
            View of the photo, (3, size * scale, size * scale).
        """
        top, left, size = self.top * scale, self.left * scale, self.size * scale
        crop = pixels[top : top + size, left : left + size]
        if self.mirrored:
            crop = crop[:, ::-1]
        if self.flipped:
            crop = crop[::-1]
        if self.transposed:
            crop = crop.swapaxes(0, 1)
        return crop.transpose(2, 0, 1)


def draw_places(
    photos: PhotoCache, chosen: Iterable[int], size: int, rng: np.random.Generator, shrink: float = 1.0
) -> list[tuple[int, ...]]:
    """Draw a crop of each of some photos, as rows that `Cutter` takes.

    Args:
        photos: The photos.
        chosen: Which ones.
        size: Side of a crop, in pixels.
        rng: Source of all randomness.
        shrink: Below 1, a crop is cut from up to so many times more pixels each way, to be shrunk to `size`.

    Returns:
        For each: the number of its first pixel among all photos' pixels, the width of its photo, the side of
        what is cut, and whether it is mirrored, flipped and transposed (see `Crop`).
    """
    places: list[tuple[int, ...]] = []
    for photo in chosen:
        height, width = photos.shape(photo)
        side = size
        if shrink < 1:
            side = int(rng.integers(size, min(math.floor(size / shrink), height, width) + 1))
        crop = Crop.draw((height, width), side, rng)
        first = photos.first_pixel(photo) + crop.top * width + crop.left
        places.append((first, width, side, crop.mirrored, crop.flipped, crop.transposed))
    return places


@dataclass(frozen=True)
class CropBatch(Generic[T]):
    """What one training step needs, before crops are cut and degraded on the training device.

    Attributes:
        step: The step it belongs to; the batch is a function of the seed, the rank and this number alone.
        places: Where HR crops are, (N, 6), see `draw_places`.
        tasks: One degradation for each crop; the crops of a group, which lie in a row, share theirs.
        seeds: One noise seed for each crop; a group has one, and its crops are the items 0, 1, ... of it (see
            `degrade`), so that a group is degraded in one go.
        offset: Where each crop is cut after the degradation, (N, 2) LR pixels (row, column).
    """

    step: int
    places: NDArray[np.int64]
    tasks: tuple[T, ...]
    seeds: tuple[int, ...]
    offset: NDArray[np.int64]

    def __str__(self) -> str:
        drawn = dict.fromkeys(zip(map(str, self.tasks), self.seeds, strict=True))
        return f"step {self.step}: " + "; ".join(f"{task} (seed {seed})" for task, seed in drawn)


class CropDataset(Dataset[CropBatch[T]]):
    """Item k is the batch of step k: a pure function of (seed, rank, k), so a run resumes anywhere exactly.

    Crops are `margin` LR pixels larger than what is trained on, and cut after the degradation at a random
    offset: see `TaskDataset`.

    Args:
        photos: Where HR crops come from.
        space: Where degradations are drawn from; its scale is the one trained.
        batch: Number N of crops in a batch.
        patch: Side of a trained LR patch.
        margin: LR pixels cut off.
        steps: Length of the run.
        seed: Of all draws.
        rank: Of this process, so that each draws other batches.
        group: So many crops in a row share one degradation, which saves time in applying it.
        shrink: See `draw_places`.

    Raises:
        InputError: The batch is not made of whole groups.
    """

    def __init__(
        self,
        photos: PhotoCache,
        space: Space[T],
        *,
        batch: int,
        patch: int,
        margin: int,
        steps: int,
        seed: int = 0,
        rank: int = 0,
        group: int = 1,
        shrink: float = 1.0,
    ) -> None:
        if group < 1 or batch < 1 or batch % group:
            raise InputError(f"a batch of {batch} crops is not made of whole groups of {group}")
        self.photos, self.space, self.steps, self.seed, self.rank = photos, space, steps, seed, rank
        self.batch, self.patch, self.margin, self.group, self.shrink = batch, patch, margin, group, shrink

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> CropBatch[T]:
        rng = np.random.default_rng([self.seed, self.rank, step])
        groups = self.batch // self.group
        drawn = [self.space.sample(rng) for _ in range(groups)]
        size = (self.patch + self.margin) * self.space.scale
        chosen = rng.integers(len(self.photos), size=self.batch).tolist()
        places = draw_places(self.photos, chosen, size, rng, self.shrink)
        seeds = rng.integers(2**31, size=groups)
        offset = rng.integers(self.margin + 1, size=(self.batch, 2))
        return CropBatch(
            step,
            np.array(places),
            tuple(task for task in drawn for _ in range(self.group)),
            tuple(int(s) for s in seeds.repeat(self.group)),
            offset,
        )
