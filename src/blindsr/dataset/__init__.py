"""Training images: folders of photos and the tasks made of them."""

from blindsr.dataset.photos import PhotoCache
from blindsr.dataset.tasks import TaskBatch, TaskDataset

__all__ = ["PhotoCache", "TaskBatch", "TaskDataset"]
