"""Networks of other programs, known only from outside: one picture in, one out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blindsr.engine.inputs import check_result, fill_inputs
from blindsr.errors import ModelError
from blindsr.models.card import Model

__all__ = ["ForeignEngine", "ForeignNetwork", "Pixels"]

Pixels = NDArray[np.float32]


@dataclass(frozen=True)
class ForeignNetwork:
    """A network that is ready to run.

    Args:
        run: From an LR picture, (channels, H, W), to the restored one, (channels, scale * H, scale * W), both
            float32 in the network's own range. It raises MemoryError where there is not enough, and
            ModelError or RuntimeError where the network cannot run on such a picture.
        channels: Planes that it takes: 3 for RGB, 1 for a network of gray pictures.
        window: The one (height, width) that it takes, LR pixels; None: any.
        multiple: Sides must be multiples of this as far as its file tells, LR pixels.
    """

    run: Callable[[Pixels], Pixels]
    channels: int = 3
    window: tuple[int, int] | None = None
    multiple: int = 1

    def restore(self, lr: Pixels, pixel_range: float) -> Pixels:
        """Run it on colours: a network of gray pictures is given them one by one.

        Args:
            lr: (3, H, W), RGB in [0, 1].
            pixel_range: Pixels of the network are in [0, pixel_range].

        Returns:
            What the network made, in [0, 1] if it is a picture; (3, scale * H, scale * W) if it is one.

        Raises:
            MemoryError: As `run`.
            ModelError: As `run`.
            RuntimeError: As `run`.
        """
        ranged = lr * np.float32(pixel_range)
        if self.channels == 3:
            sr = self.run(ranged)
        elif np.array_equal(lr[0], lr[1]) and np.array_equal(lr[0], lr[2]):
            sr = np.repeat(self.run(ranged[:1]), 3, axis=0)
        else:
            sr = np.concatenate([self.run(ranged[plane : plane + 1]) for plane in range(3)])
        restored: Pixels = sr / np.float32(pixel_range)
        return restored


class ForeignEngine:
    """An `Engine` for a network of another program.

    Threads may share it where they may share the network.

    Args:
        model: What was found out of the network.
        network: The network.
        identity: See `Engine.identity`.

    Attributes:
        identity: See `Engine.identity`.
    """

    def __init__(self, model: Model, network: ForeignNetwork, identity: Mapping[str, Any]) -> None:
        self._model, self._network = model, network
        self.identity = identity

    def condition(self, support: Pixels) -> tuple[Pixels, Pixels]:
        """See `Engine.condition`; a network of another program has none.

        Raises:
            ModelError: Always.
        """
        raise ModelError(f"model {self._model.name} does not adapt, so it reads no support set")

    def upscale(self, lr: Pixels, modulation: Pixels | None, texture: float | None = None) -> Pixels:
        """See `Engine.upscale`."""
        fill_inputs(self._model, lr, modulation, texture)
        try:
            sr = self._network.restore(lr[0], self._model.pixel_range)[None]
        except RuntimeError as error:
            reason = " ".join(str(error).split())[-200:]
            raise ModelError(
                f"model {self._model.name}: its network cannot run on an LR image of shape {lr.shape} "
                f"({reason})"
            ) from error
        check_result(self._model, lr, sr)
        return sr
