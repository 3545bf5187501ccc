"""Training criteria: functions of tensors."""

from blindsr.loss.task_contrastive import task_contrastive

__all__ = ["task_contrastive"]
