"""Training criteria: functions of tensors."""

from blindsr.loss.structural import structural_dissimilarity
from blindsr.loss.task_contrastive import task_contrastive

__all__ = ["structural_dissimilarity", "task_contrastive"]
