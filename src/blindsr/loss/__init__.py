"""Training criteria: functions of tensors, and the table by which a configuration names them."""

from blindsr.loss.adversarial import Adversarial
from blindsr.loss.criteria_contrastive import CriteriaContrastive
from blindsr.loss.criterion import Criterion, Restored
from blindsr.loss.imitation import imitation
from blindsr.loss.lattice import Lattice
from blindsr.loss.perceptual import Perceptual
from blindsr.loss.pixel import Pixel
from blindsr.loss.structural import Structural, structural_dissimilarity
from blindsr.loss.task_contrastive import task_contrastive
from blindsr.loss.task_regression import PARAMETERS, task_parameters, task_regression

__all__ = [
    "CRITERIA",
    "PARAMETERS",
    "Criterion",
    "Restored",
    "imitation",
    "structural_dissimilarity",
    "task_contrastive",
    "task_parameters",
    "task_regression",
]

CRITERIA: dict[str, type[Criterion]] = {
    "pixel": Pixel,
    "structural": Structural,
    "lattice": Lattice,
    "perceptual": Perceptual,
    "adversarial": Adversarial,
    "contrastive": CriteriaContrastive,
}
