"""Training images: folders of photos, the tasks and crops made of them, and pairs of LR and HR photos."""

from blindsr.dataset.crops import CropBatch, CropDataset
from blindsr.dataset.pairs import PairBatch, PairCache, PairDataset
from blindsr.dataset.photos import PhotoCache
from blindsr.dataset.tasks import TaskBatch, TaskDataset

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
