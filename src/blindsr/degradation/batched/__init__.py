"""Degradations of a whole batch at once, every image by a task of its own. PyTorch only.

`degrade` applies one task to a batch; a batch of many tasks needs a call each, and a hundred small operations
a call. Here the parameters come as tensors, one number an image, and the operators take all images together:
the same pixels by one chain of operations, whatever the batch's size. Nothing in it waits for the host.

The operators of the package above remain the reference. What both do is written there once; what is here is
only what differs when every image has its own parameters.
"""

from blindsr.degradation.batched.one_stage import OneStageBatch, OneStageLimits
from blindsr.degradation.batched.two_stage import Resizing, TwoStageBatch, TwoStageLimits, share_sizes

__all__ = [
    "OneStageBatch",
    "OneStageLimits",
    "Resizing",
    "TwoStageBatch",
    "TwoStageLimits",
    "share_sizes",
]
