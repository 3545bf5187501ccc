"""Two-stage tasks of a whole batch, every image its own but for the sizes, without a loop over images.

Images that come to different sizes do not make an array. So the tasks of a batch share how they are resized,
and nothing else; from batch to batch the sizes are as free as ever.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from blindsr.degradation.backend import full_precision
from blindsr.degradation.batched.blur import Blur
from blindsr.degradation.batched.jpeg import Jpeg, quality_column
from blindsr.degradation.batched.kernels import kernel_columns, kernel_pixels
from blindsr.degradation.batched.noise import add_noise, noise_columns
from blindsr.degradation.batched.validation import (
    check_images,
    check_kernel,
    check_kernel_limit,
    check_side,
    check_tasks,
    common_scale,
)
from blindsr.degradation.pipeline import to_levels
from blindsr.degradation.resize import resize_matrix
from blindsr.degradation.two_stage import TwoStage, TwoStageSpace
from blindsr.errors import InputError

# How many matrices, and how many tables of blurs, are kept: sizes drawn from a range hardly ever come again,
# those of a few choices do.
_KEPT = 128


@dataclasses.dataclass(frozen=True, slots=True)
class Resizing:
    """How the images of a batch come from HR to LR: what its tasks share.

    Args:
        sides: of the square images, in pixels: HR, after the first stage, after the second, LR.
        filters: of the three steps between them, of `FILTERS`.
    """

    sides: tuple[int, int, int, int]
    filters: tuple[str, str, str]

    @classmethod
    def of(cls, task: TwoStage, side: int) -> Resizing:
        """Return how a task resizes an HR image of `side` pixels."""
        (first, _), (second, _), (lr, _) = task.sizes((side, side))
        return cls((side, first, second, lr), (task.first.filter, task.second.filter, task.filter))


def share_sizes(tasks: Sequence[TwoStage]) -> list[TwoStage]:
    """Give all tasks the sizes and the resizing filters of the first; everything else remains their own.

    Args:
        tasks: of one scale, as drawn.

    Returns:
        As many tasks, fit for one batch.
    """
    return [
        dataclasses.replace(
            task,
            first=dataclasses.replace(task.first, resize=tasks[0].first.resize, filter=tasks[0].first.filter),
            second=dataclasses.replace(
                task.second, resize=tasks[0].second.resize, filter=tasks[0].second.filter
            ),
            filter=tasks[0].filter,
        )
        for task in tasks
    ]


@dataclasses.dataclass(frozen=True)
class TwoStageLimits:
    """What the arrays of a batch of two-stage tasks must have room for. NumPy only, and picklable.

    Args:
        scale: HR side / LR side, of all tasks.
        side: of the square HR images, in pixels; a multiple of the scale.
        largest_kernel: side of the largest kernel of all three blurs, in pixels, odd.

    Raises:
        InputError: a value is none of these.
    """

    scale: int
    side: int
    largest_kernel: int = 21

    def __post_init__(self) -> None:
        check_side(self.scale, self.side)
        check_kernel_limit(self.largest_kernel)

    @classmethod
    def of(cls, spaces: Sequence[TwoStageSpace], side: int) -> TwoStageLimits:
        """Return the limits that hold every task of some spaces.

        Args:
            spaces: at least one; all of one scale.
            side: of the square HR images, in pixels.

        Raises:
            InputError: there is no space, their scales differ, or the side is no multiple of the scale.
        """
        scale = common_scale([space.scale for space in spaces])
        sizes = [
            size
            for space in spaces
            for size in (*space.first.kernel_sizes, *space.second.kernel_sizes, *space.sinc_sizes)
        ]
        return cls(scale, side, max(sizes))

    def columns(
        self, tasks: Sequence[TwoStage], seeds: Sequence[int], items: Sequence[int] | None = None
    ) -> dict[str, NDArray[Any]]:
        """Return the parameters of a batch by name, each an array whose first axis is the images.

        Image i is degraded as it is by `degrade(hr[i : i + 1], tasks[i], seeds[i], first_item=items[i])`.

        Args:
            tasks: one an image; all with the same `Resizing`, as those of `share_sizes` are.
            seeds: seed of each image's noise.
            items: number of each image; 0, an image alone, if they are not given.

        Returns:
            Arrays that `TwoStageBatch` takes as tensors on its device.

        Raises:
            InputError: a task is of another kind, scale or resizing or outside the limits, or seeds or items
                are missing.
        """
        items = check_tasks(tasks, TwoStage, self.scale, seeds, items)
        shared = Resizing.of(tasks[0], self.side)
        blurs = [kernel for task in tasks for kernel in (task.first.kernel, task.second.kernel, task.sinc)]
        for i, task in enumerate(tasks):
            if (own := Resizing.of(task, self.side)) != shared:
                raise InputError(
                    f"batched degradation: task {i} is resized by {own}, the first by {shared}; "
                    "share_sizes makes tasks alike"
                )
            for kernel in blurs[3 * i : 3 * i + 3]:
                check_kernel(i, 1 if kernel is None else kernel.size, self.largest_kernel)
        stages = [
            noise_columns([task.first for task in tasks], [2 * seed for seed in seeds], items),
            noise_columns([task.second for task in tasks], [2 * seed + 1 for seed in seeds], items),
        ]
        qualities = [
            (
                task.first.jpeg,
                None if task.jpeg_last else task.second.jpeg,
                task.second.jpeg if task.jpeg_last else None,
            )
            for task in tasks
        ]
        return {
            **{name: column.reshape(-1, 3) for name, column in kernel_columns(blurs).items()},
            **{name: np.stack([stage[name] for stage in stages], axis=1) for name in stages[0]},
            "jpeg": np.stack([quality_column(row) for row in qualities]),
        }


class TwoStageBatch:
    """Degrades batches of two-stage tasks, every image by its own, as `degrade` does one after the other.

    A call launches the same operations for any number of images. What depends on the batch's sizes alone is
    made when a size is first met, which waits for the device; so a call is not for a CUDA graph.

    Args:
        limits: what the arrays must have room for.
        device: where the batches live: the CPU or a CUDA device.
    """

    def __init__(self, limits: TwoStageLimits, device: torch.device | str = "cpu") -> None:
        self.limits = limits
        self._jpeg = Jpeg(device)

        def matrix(length: int, out: int, filter: str) -> Tensor:
            return torch.from_numpy(resize_matrix(length, out, None, filter).astype(np.float32)).to(device)

        def blur(side: int) -> Blur:
            return Blur(side, limits.largest_kernel, device)

        self._matrix = lru_cache(maxsize=_KEPT)(matrix)
        self._blur = lru_cache(maxsize=_KEPT)(blur)

    def columns(
        self, tasks: Sequence[TwoStage], seeds: Sequence[int], items: Sequence[int] | None = None
    ) -> dict[str, NDArray[Any]]:
        """Return the parameters of a batch; see `TwoStageLimits.columns`, which needs no device."""
        return self.limits.columns(tasks, seeds, items)

    def __call__(self, hr: Tensor, columns: Mapping[str, Tensor], resizing: Resizing) -> Tensor:
        """Make LR images from HR images.

        Args:
            hr: HR batch, (N, 3, side, side), float32 RGB in [0, 1].
            columns: those of `columns`, as tensors on the same device.
            resizing: what the tasks share: `Resizing.of` any of them.

        Returns:
            LR batch, (N, 3, side / scale, side / scale), in [0, 1], rounded to 8 bits.

        Raises:
            InputError: the batch has another shape or type, or the resizing belongs to another one.
        """
        side, scale = self.limits.side, self.limits.scale
        check_images(hr, side)
        if (resizing.sides[0], resizing.sides[3]) != (side, side // scale):
            raise InputError(f"batched degradation: {resizing} is not for x{scale} and {side} pixels")
        with full_precision(hr):
            kernels = kernel_pixels(columns, self.limits.largest_kernel)  # (N, 3, largest, largest)
            x = hr
            for stage in (0, 1):
                x = self._blurred(x, kernels, columns, stage)
                x = self._resized(x, resizing, stage).clip(0.0, 1.0)
                noise = {name: columns[name][:, stage] for name in ("noise", "poisson", "gray", "keys")}
                x = add_noise(x, noise, x.shape[3]).clip(0.0, 1.0)
                x = self._jpeg(x, columns["jpeg"][:, stage])
            x = self._blurred(self._resized(x, resizing, 2), kernels, columns, 2).clip(0.0, 1.0)
            return to_levels(self._jpeg(x, columns["jpeg"][:, 2]))

    def _blurred(self, x: Tensor, kernels: Tensor, columns: Mapping[str, Tensor], step: int) -> Tensor:
        """Blur each image by its kernel of one of the three steps."""
        return self._blur(x.shape[3])(x, kernels[:, step], columns["size"][:, step])

    def _resized(self, x: Tensor, resizing: Resizing, step: int) -> Tensor:
        """Bring the images from one of the shared sizes to the next."""
        before, after = resizing.sides[step : step + 2]
        if before == after:
            return x
        matrix = self._matrix(before, after, resizing.filters[step])
        return matrix @ (x @ matrix.mT)
