"""Photos taken twice: LR/HR pairs decoded once, and the sampler that cuts both sides at the same place."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from blindsr.dataset.crops import Crop
from blindsr.dataset.layouts import fits
from blindsr.dataset.photos import PhotoCache
from blindsr.errors import InputError

log = logging.getLogger(__name__)


class PairCache:
    """LR/HR pairs as 8-bit RGB arrays on disk, as `PhotoCache` keeps photos.

    Args:
        files: The pairs: HR file, LR file.
        cache: Folder for the decoded pixels.

    Raises:
        InputError: There are no pairs, or a file cannot be decoded.
    """

    def __init__(self, files: Sequence[tuple[Path, Path]], cache: Path) -> None:
        if not files:
            raise InputError("no LR/HR pairs to train on")
        self._files = list(files)
        self._hr, self._lr = (PhotoCache([pair[side] for pair in files], cache) for side in (0, 1))

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, i: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """HR and LR of pair i, (H, W, 3) RGB in [0, 255] each: read-only views, nothing is copied."""
        return self._hr[i], self._lr[i]

    def files(self, i: int) -> tuple[Path, Path]:
        """HR and LR file of pair i."""
        return self._files[i]

    def fitting(self, scale: int, smallest: int = 1) -> list[int]:
        """The pairs that are large enough; those that are not are left out, with a warning.

        Args:
            scale: HR side / LR side; 1 for pairs whose two sides have the same size. See `fits`.
            smallest: Least width and height of the LR photo that is of use, in pixels.

        Raises:
            InputError: The sides of a pair are not in this ratio, or no pair is left.
        """
        chosen = []
        for i, (hr_file, lr_file) in enumerate(self._files):
            hr, lr = self[i]
            height, width = lr.shape[:2]
            if not fits(hr.shape, lr.shape, scale):
                raise InputError(
                    f"{hr_file} ({hr.shape[1]}x{hr.shape[0]} pixels) is not {scale} times the size of "
                    f"{lr_file} ({width}x{height}): train at another scale, or cut them to match"
                )
            if min(height, width) >= smallest:
                chosen.append(i)
        if len(chosen) < len(self):
            log.warning(
                "%d LR photos are smaller than %d pixels; left out with their HR",
                len(self) - len(chosen),
                smallest,
            )
        if not chosen:
            raise InputError(f"none of the {len(self)} LR photos is at least {smallest} pixels wide and high")
        return chosen


@dataclass(frozen=True)
class PairBatch:
    """What one training step on real pairs needs.

    Attributes:
        step: The step it belongs to; the batch is a function of the seed, the rank and this number alone.
        lr: LR patches, (N, 3, p, p) uint8 RGB.
        hr: HR patches of the same places, (N, 3, p * scale, p * scale) uint8 RGB.
        sources: Where each patch comes from, as a message names it.
    """

    step: int
    lr: NDArray[np.uint8]
    hr: NDArray[np.uint8]
    sources: tuple[str, ...]

    def __str__(self) -> str:
        return f"step {self.step}: {'; '.join(self.sources)}"


class PairDataset(Dataset[PairBatch]):
    """Item k is the batch of step k: a pure function of (seed, rank, k), so a run resumes anywhere exactly.

    Args:
        pairs: Where patches come from, all pairs equally likely.
        batch: Number N of patches in a batch.
        patch: Side p of an LR patch.
        scale: HR side / LR side.
        steps: Length of the run.
        seed: Of all draws.
        rank: Of this process, so that each draws other batches.

    Raises:
        InputError: The sides of a pair do not fit together, or no LR photo is as large as a patch.
    """

    def __init__(
        self,
        pairs: PairCache,
        *,
        batch: int,
        patch: int,
        scale: int,
        steps: int,
        seed: int = 0,
        rank: int = 0,
    ) -> None:
        self.pairs, self.batch, self.patch, self.scale = pairs, batch, patch, scale
        self.steps, self.seed, self.rank = steps, seed, rank
        self._usable = pairs.fitting(scale, patch)

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> PairBatch:
        rng = np.random.default_rng([self.seed, self.rank, step])
        lr = np.empty((self.batch, 3, self.patch, self.patch), np.uint8)
        hr = np.empty((self.batch, 3, self.patch * self.scale, self.patch * self.scale), np.uint8)
        sources = []
        for i, drawn in enumerate(rng.integers(len(self._usable), size=self.batch)):
            pair = self._usable[drawn]
            sharp, blurred = self.pairs[pair]
            crop = Crop.draw(blurred.shape, self.patch, rng)
            lr[i], hr[i] = crop.cut(blurred), crop.cut(sharp, self.scale)
            names = " and ".join(file.name for file in self.pairs.files(pair))
            sources.append(f"{names} (LR row {crop.top}, column {crop.left})")
        return PairBatch(step, lr, hr, tuple(sources))
