"""Training images: the field's data sets, folders of photos, the tasks and crops made of them, and pairs."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from blindsr.dataset.crops import CropBatch, CropDataset
    from blindsr.dataset.pairs import PairBatch, PairCache, PairDataset
    from blindsr.dataset.photos import PhotoCache
    from blindsr.dataset.tasks import TaskBatch, TaskDataset

# Loaded on first use: evaluation and `blindsr data` need the layouts alone, where there may be no PyTorch.
_HOMES = {
    "CropBatch": "crops",
    "CropDataset": "crops",
    "PairBatch": "pairs",
    "PairCache": "pairs",
    "PairDataset": "pairs",
    "PhotoCache": "photos",
    "TaskBatch": "tasks",
    "TaskDataset": "tasks",
}

__all__ = [
    "CropBatch",
    "CropDataset",
    "PairBatch",
    "PairCache",
    "PairDataset",
    "PhotoCache",
    "TaskBatch",
    "TaskDataset",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401  (a module's attribute is of any type)
    """Import what the public name stands for, once."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
