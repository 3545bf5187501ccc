"""Training: a strict configuration, one loop, and a recipe per paradigm."""

from blindsr.training.config import TrainConfig, load_config
from blindsr.training.journal import Progress
from blindsr.training.loop import train

__all__ = ["Progress", "TrainConfig", "load_config", "train"]
