"""How a low-resolution photo comes to be: seeded operators on NumPy arrays and on torch batches alike."""

from blindsr.degradation.blur import blur, gaussian_kernel
from blindsr.degradation.direct import Direct
from blindsr.degradation.injection import BankBuilder, Injection, InjectionBank, InjectionSpace, noise_patches
from blindsr.degradation.jpeg import jpeg
from blindsr.degradation.kernel_estimation import KernelEstimate, estimate_kernel
from blindsr.degradation.kernels import Kernel
from blindsr.degradation.manifest import Record, degrade_folder
from blindsr.degradation.noise import gaussian_noise, poisson_noise
from blindsr.degradation.pipeline import Degradation, Task, degrade, degrade_image, modcrop
from blindsr.degradation.protocols import PROTOCOLS, Protocol, degrade_protocol, find_tasks
from blindsr.degradation.random_degradation import RandomDegradation
from blindsr.degradation.resize import imresize, resize
from blindsr.degradation.space import PAPER, REAL, SPACES, DegradationSpace, MixedSpace, TaskSpace, read_space
from blindsr.degradation.two_stage import CAMERA, REAL_ESRGAN, Stage, StageSpace, TwoStage, TwoStageSpace

__all__ = [
    "CAMERA",
    "PAPER",
    "PROTOCOLS",
    "REAL",
    "REAL_ESRGAN",
    "SPACES",
    "BankBuilder",
    "Degradation",
    "DegradationSpace",
    "Direct",
    "Injection",
    "InjectionBank",
    "InjectionSpace",
    "Kernel",
    "KernelEstimate",
    "MixedSpace",
    "Protocol",
    "RandomDegradation",
    "Record",
    "Stage",
    "StageSpace",
    "Task",
    "TaskSpace",
    "TwoStage",
    "TwoStageSpace",
    "blur",
    "degrade",
    "degrade_folder",
    "degrade_image",
    "degrade_protocol",
    "estimate_kernel",
    "find_tasks",
    "gaussian_kernel",
    "gaussian_noise",
    "imresize",
    "jpeg",
    "modcrop",
    "noise_patches",
    "poisson_noise",
    "read_space",
    "resize",
]
