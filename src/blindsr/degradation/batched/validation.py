"""What a batch of tasks must have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor

from blindsr.degradation.pipeline import Task
from blindsr.errors import InputError

_Task = TypeVar("_Task", bound=Task)


def check_side(scale: int, side: int) -> None:
    """Refuse HR images that do not divide by the scale."""
    if scale < 1 or side < 1 or side % scale:
        raise InputError(f"batched degradation: a side of {side} pixels is no multiple of the scale {scale}")


def common_scale(scales: Sequence[int]) -> int:
    """Return the scale that all spaces have; refuse several, and none."""
    if len(set(scales)) != 1:
        raise InputError("batched degradation: needs at least one space, and one scale for all")
    return scales[0]


def check_kernel(i: int, size: int, largest: int) -> None:
    """Refuse a kernel of task `i` that is larger than the limit."""
    if size > largest:
        raise InputError(
            f"batched degradation: task {i} has a kernel of {size} pixels, the limit is {largest}"
        )


def check_kernel_limit(largest: int) -> None:
    """Refuse a largest kernel that has no centre."""
    if largest < 1 or largest % 2 == 0:
        raise InputError(f"batched degradation: the largest kernel must have an odd side, got {largest}")


def check_tasks(
    tasks: Sequence[_Task], kind: type[_Task], scale: int, seeds: Sequence[int], items: Sequence[int] | None
) -> Sequence[int]:
    """Refuse anything but tasks of one kind and scale, with a seed and a number each.

    Returns:
        The images' numbers; those of images alone where there are none.
    """
    items = [0] * len(tasks) if items is None else items
    if not len(tasks) == len(seeds) == len(items) > 0:
        raise InputError(
            f"batched degradation: every image needs a task, a seed and a number, got {len(tasks)}, "
            f"{len(seeds)} and {len(items)}"
        )
    for i, task in enumerate(tasks):
        if not isinstance(task, kind):
            raise InputError(f"batched degradation: task {i} must be a {kind.__name__}, got {task!r}")
        if task.scale != scale:
            raise InputError(f"batched degradation: task {i} has the scale {task.scale}, the batch {scale}")
    return items


def check_images(hr: Tensor, side: int) -> None:
    """Refuse images of another shape or type than those the batch was made for."""
    if hr.ndim != 4 or tuple(hr.shape[1:]) != (3, side, side) or hr.dtype != torch.float32:
        raise InputError(
            f"batched degradation: HR images must be float32 (N, 3, {side}, {side}), "
            f"these are {hr.dtype} {tuple(hr.shape)}"
        )
