"""What a method is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from blindsr.engine.probe import probe_picture

Pixels = NDArray[np.float32]

_SIDE = 64  # of the picture that warms up, LR pixels


class Restorer(Protocol):
    """A loaded method.

    Attributes:
        scale: What it enlarges by; None where it takes any scale.
    """

    @property
    def scale(self) -> int | None: ...

    def restore(self, lr: Pixels, scale: int) -> Pixels:
        """Restore one picture.

        Args:
            lr: RGB in [0, 1], (H, W, 3).
            scale: What is wanted; its own, if it has one.

        Returns:
            RGB in [0, 1], (scale * H, scale * W, 3).
        """
        ...


@dataclass
class Method:
    """A column of the tables. It is loaded when first needed: kept results need neither it nor its time.

    Args:
        title: How tables call it.
        identity: What its results depend on besides the LR picture and this package's code, the files'
            content and the runtime's version among them; threads too, because they decide its times.
        load: Makes it ready.
    """

    title: str
    identity: str
    load: Callable[[], Restorer] = field(repr=False)

    @cached_property
    def restorer(self) -> Restorer:
        """The loaded method, warmed up: what a first call prepares is in no picture's time.

        Raises:
            ModelError: A file is missing, damaged, or no network that can be run.
            MissingExtraError: It needs what is not installed.
        """
        restorer = self.load()
        restorer.restore(probe_picture(_SIDE, _SIDE).transpose(1, 2, 0), restorer.scale or 2)
        return restorer
