"""What a network is measured against: bicubic interpolation, and the LR picture itself."""

from __future__ import annotations

from blindsr.degradation.resize import resize
from blindsr.evaluation.methods.method import Method, Pixels


class Bicubic:
    """Bicubic interpolation as MATLAB's `imresize` has it, in floating point."""

    scale = None

    def restore(self, lr: Pixels, scale: int) -> Pixels:
        """See `Restorer.restore`."""
        height, width = lr.shape[:2]
        enlarged: Pixels = resize(lr.transpose(2, 0, 1)[None], (height * scale, width * scale))[0]
        return enlarged.transpose(1, 2, 0).clip(0, 1)


class Unchanged:
    """The LR picture as it is: for pairs of one size."""

    scale = 1

    def restore(self, lr: Pixels, scale: int) -> Pixels:
        """See `Restorer.restore`."""
        return lr


INTERPOLATIONS = {
    "bicubic": Method("bicubic", "bicubic", Bicubic),
    "input": Method("input", "input", Unchanged),
}
