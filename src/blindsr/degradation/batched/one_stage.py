"""One-stage tasks of a whole batch, every image its own, without a loop over images."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from blindsr.degradation.backend import full_precision
from blindsr.degradation.batched.blur import Blur
from blindsr.degradation.batched.jpeg import Jpeg, quality_column
from blindsr.degradation.batched.kernels import gaussian_pixels, kernel_columns
from blindsr.degradation.batched.noise import add_noise, noise_columns
from blindsr.degradation.batched.validation import (
    check_images,
    check_kernel,
    check_kernel_limit,
    check_side,
    check_tasks,
    common_scale,
)
from blindsr.degradation.kernels import Kernel
from blindsr.degradation.pipeline import Degradation, to_levels
from blindsr.degradation.resize import resize_matrix
from blindsr.degradation.space import DegradationSpace
from blindsr.errors import InputError

_KERNEL = ("size", "sigma_x", "sigma_y", "angle")


@dataclasses.dataclass(frozen=True)
class OneStageLimits:
    """What the arrays of a batch of one-stage tasks must have room for. NumPy only, and picklable.

    Args:
        scale: HR side / LR side, of all tasks.
        side: of the square HR images, in pixels; a multiple of the scale.
        largest_kernel: side of the largest blur kernel, in HR pixels, odd.
        noise_scale: lowest and highest size, relative to the LR size, at which noise enters.
        jpeg: whether there may be JPEG; without it a call is shorter by half.

    Raises:
        InputError: a value is none of these.
    """

    scale: int
    side: int
    largest_kernel: int = 21
    noise_scale: tuple[float, float] = (1.0, 1.0)
    jpeg: bool = True

    def __post_init__(self) -> None:
        check_side(self.scale, self.side)
        check_kernel_limit(self.largest_kernel)
        if not 0 < self.noise_scale[0] <= self.noise_scale[1]:
            raise InputError(
                f"batched degradation: noise_scale must be a range above 0, got {self.noise_scale}"
            )

    @classmethod
    def of(cls, spaces: Sequence[DegradationSpace], side: int) -> OneStageLimits:
        """Return the limits that hold every task of some spaces.

        Args:
            spaces: at least one; all of one scale.
            side: of the square HR images, in pixels.

        Raises:
            InputError: there is no space, their scales differ, or the side is no multiple of the scale.
        """
        scale = common_scale([space.scale for space in spaces])
        ends = [(1.0, 1.0)] + [space.noise_scale for space in spaces if space.coloured_probability > 0]
        return cls(
            scale=scale,
            side=side,
            largest_kernel=max(max(space.kernel_sizes) for space in spaces),
            noise_scale=(min(low for low, _ in ends), max(high for _, high in ends)),
            jpeg=any(space.jpeg_probability > 0 for space in spaces),
        )

    @property
    def lr_side(self) -> int:
        """Side of the LR images, in pixels."""
        return self.side // self.scale

    @property
    def entries(self) -> range:
        """The sides, in pixels, at which noise can enter; that of the LR images is always among them."""
        ends = [max(1, round(self.lr_side * factor)) for factor in self.noise_scale]
        return range(min(self.lr_side, *ends), max(self.lr_side, *ends) + 1)

    def columns(
        self, tasks: Sequence[Degradation], seeds: Sequence[int], items: Sequence[int] | None = None
    ) -> dict[str, NDArray[Any]]:
        """Return the parameters of a batch by name, each an array whose first axis is the images.

        Image i is degraded as it is by `degrade(hr[i : i + 1], tasks[i], seeds[i], first_item=items[i])`.

        Args:
            tasks: one an image.
            seeds: seed of each image's noise.
            items: number of each image; 0, an image alone, if they are not given.

        Returns:
            Arrays that `OneStageBatch` takes as tensors on its device.

        Raises:
            InputError: a task is of another kind or scale or outside the limits, or seeds or items are
                missing.
        """
        items = check_tasks(tasks, Degradation, self.scale, seeds, items)
        entries, possible = [task.entry_side(self.lr_side) for task in tasks], self.entries
        for i, (task, entry) in enumerate(zip(tasks, entries, strict=True)):
            check_kernel(i, task.kernel_size if task.sigma_x > 0 else 1, self.largest_kernel)
            if entry not in possible:
                raise InputError(
                    f"batched degradation: task {i} has a noise_scale of {task.noise_scale:g}, "
                    f"the limits are {self.noise_scale[0]:g} to {self.noise_scale[1]:g}"
                )
            if task.jpeg is not None and not self.jpeg:
                raise InputError(f"batched degradation: task {i} has JPEG, which the limits leave out")
        blurs = kernel_columns(
            [
                Kernel("gaussian", d.kernel_size, d.sigma_x, d.sigma_y, d.angle) if d.sigma_x > 0 else None
                for d in tasks
            ]
        )
        return {
            **{name: blurs[name] for name in _KERNEL},
            **noise_columns(tasks, seeds, items),
            "entry": np.array(entries, dtype=np.int64),
            "jpeg": quality_column([task.jpeg for task in tasks]),
        }


class OneStageBatch:
    """Degrades batches of one-stage tasks, every image by its own, as `degrade` does one after the other.

    A call is a chain of operations on tensors of fixed shapes: it waits for nothing on the host and can be
    captured in a CUDA graph, or compiled. All tables are made here. Those of the sizes at which noise enters
    grow with the number of these sizes and the square of the side: 2 MB for HR images of 160 pixels at x4 and
    the ranges of `REAL`, 63 MB for 512 pixels.

    Args:
        limits: what the arrays must have room for.
        device: where the batches live: the CPU or a CUDA device.
    """

    def __init__(self, limits: OneStageLimits, device: torch.device | str = "cpu") -> None:
        self.limits = limits
        self._blur = Blur(limits.side, limits.largest_kernel, device)
        self._jpeg = Jpeg(device) if limits.jpeg else None
        entries, lr = limits.entries, limits.lr_side
        self._first, self._coloured = entries[0], len(entries) > 1
        # Matrices are found by the side at which noise enters, with zeros where that is not the largest.
        down = np.zeros((len(entries), entries[-1], limits.side), np.float32)
        up = np.zeros((len(entries), lr, entries[-1]), np.float32)
        for i, entry in enumerate(entries):
            down[i, :entry] = resize_matrix(limits.side, entry)
            up[i, :, :entry] = np.eye(lr) if entry == lr else resize_matrix(entry, lr)
        self._down = torch.from_numpy(down).to(device)
        self._up = torch.from_numpy(up).to(device)

    def columns(
        self, tasks: Sequence[Degradation], seeds: Sequence[int], items: Sequence[int] | None = None
    ) -> dict[str, NDArray[Any]]:
        """Return the parameters of a batch; see `OneStageLimits.columns`, which needs no device."""
        return self.limits.columns(tasks, seeds, items)

    def __call__(self, hr: Tensor, columns: Mapping[str, Tensor]) -> Tensor:
        """Make LR images from HR images.

        Args:
            hr: HR batch, (N, 3, side, side), float32 RGB in [0, 1].
            columns: those of `columns`, as tensors on the same device.

        Returns:
            LR batch, (N, 3, side / scale, side / scale), in [0, 1], rounded to 8 bits.

        Raises:
            InputError: the batch has another shape or type.
        """
        check_images(hr, self.limits.side)
        with full_precision(hr):
            kernels = gaussian_pixels(columns, self.limits.largest_kernel)
            x = self._blur(hr, kernels, columns["size"])
            if self._coloured:
                place = columns["entry"] - self._first
                down, up = (table.index_select(0, place)[:, None] for table in (self._down, self._up))
                x = down @ (x @ down.mT)  # (N, 3, entry, entry), zero beyond each image's own
                x = add_noise(x, columns, columns["entry"]).clip(0.0, 1.0)
                x = (up @ (x @ up.mT)).clip(0.0, 1.0)
            else:
                x = self._down[0] @ (x @ self._down[0].mT)
                x = add_noise(x, columns, self.limits.lr_side).clip(0.0, 1.0)
            return to_levels(x if self._jpeg is None else self._jpeg(x, columns["jpeg"]))
