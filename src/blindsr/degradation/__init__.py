"""How a low-resolution photo comes to be: seeded operators on NumPy arrays and on torch batches alike."""

from blindsr.degradation.blur import blur, gaussian_kernel
from blindsr.degradation.jpeg import jpeg
from blindsr.degradation.manifest import Record, degrade_folder
from blindsr.degradation.noise import gaussian_noise, poisson_noise
from blindsr.degradation.pipeline import Degradation, degrade, degrade_image, modcrop
from blindsr.degradation.resize import imresize, resize
from blindsr.degradation.space import PAPER, REAL, SPACES, DegradationSpace

__all__ = [
    "PAPER",
    "REAL",
    "SPACES",
    "Degradation",
    "DegradationSpace",
    "Record",
    "blur",
    "degrade",
    "degrade_folder",
    "degrade_image",
    "gaussian_kernel",
    "gaussian_noise",
    "imresize",
    "jpeg",
    "modcrop",
    "poisson_noise",
    "resize",
]
