"""Restored pictures that are kept: what a slow peer made of an LR picture is not made again.

`ResultCache` keeps scores, and forgets them when the code changes that measures. A peer of 17 million
parameters takes minutes for what a new metric sees in seconds, and its pictures depend on no metric.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from places import RESTORED

from blindsr.evaluation.methods import Method
from blindsr.evaluation.result_cache import code_digest, digest
from blindsr.picture import Picture, read, write

Pixels = NDArray[np.float32]
RUN_BY = ("engine", "evaluation/methods", "upscaling")
"""Parts of the package that a peer's pictures depend on."""


@dataclass(frozen=True)
class Kept:
    """A method whose results are PNG files, rounded to 8 bit, by the digest of the LR picture.

    Args:
        method: Makes what is not there.
        folder: Where its results are; made if need be.
    """

    method: Method
    folder: Path

    @property
    def scale(self) -> int | None:
        """The method's."""
        return self.method.restorer.scale

    def restore(self, lr: Pixels, scale: int) -> Pixels:
        """See `Restorer.restore`."""
        told = hashlib.sha256(f"{lr.shape} {scale} ".encode() + lr.tobytes()).hexdigest()
        file = self.folder / f"{told[:32]}.png"
        if not file.is_file():
            self.folder.mkdir(parents=True, exist_ok=True)
            write(Picture(self.method.restorer.restore(lr, scale)), file)
        return read(file).pixels  # also the first time, so that it is the same every time


def kept(method: Method, folder: Path = RESTORED) -> Method:
    """The same method, whose restored pictures are kept; its seconds are not to be trusted."""
    identity = digest("kept", method.identity, code_digest(RUN_BY))
    return replace(method, identity=identity, load=lambda: Kept(method, folder / identity[:16]))
