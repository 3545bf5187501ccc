"""Training images: the field's data sets, folders of photos, the tasks and crops made of them, and pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blindsr.system.lazy import lazy_names

if TYPE_CHECKING:
    from blindsr.dataset.crops import CropBatch, CropDataset
    from blindsr.dataset.pairs import PairBatch, PairCache, PairDataset
    from blindsr.dataset.photos import PhotoCache
    from blindsr.dataset.tasks import TaskBatch, TaskDataset

# Loaded on first use: evaluation and `blindsr data` need the layouts alone, where there may be no PyTorch.
_HOMES = {
    "CropBatch": "blindsr.dataset.crops",
    "CropDataset": "blindsr.dataset.crops",
    "PairBatch": "blindsr.dataset.pairs",
    "PairCache": "blindsr.dataset.pairs",
    "PairDataset": "blindsr.dataset.pairs",
    "PhotoCache": "blindsr.dataset.photos",
    "TaskBatch": "blindsr.dataset.tasks",
    "TaskDataset": "blindsr.dataset.tasks",
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

__getattr__ = lazy_names(__name__, _HOMES)
