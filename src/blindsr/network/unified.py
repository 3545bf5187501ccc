"""Both systems in one network: CMDSR's adaptation below, Cria-CL's two views on top."""

from __future__ import annotations

import math

from torch import Tensor

from blindsr.errors import ConfigError
from blindsr.network.basenet import BaseNet, start_small
from blindsr.network.cmdsr import CMDSR
from blindsr.network.condition import ConditionNet
from blindsr.network.lattice import LatticeFilter
from blindsr.network.views import SpatialProjector, ViewRestorer, Views


def rename_cria(name: str) -> str:
    """What a weight of a `Cria` is called in a unified network with its trunk."""
    return name if name.startswith("projector.") else f"basenet.{name}"


class Unified(CMDSR, ViewRestorer):
    """A BaseNet that adapts to the task, and a spatial projector that makes two views of what it restores.

    The ConditionNet and the modulation are CMDSR's (arXiv 2104.03926), the views are Cria-CL's (arXiv
    2207.12767). The BaseNet's own image is where the structure view starts from: with a CMDSR's weights the
    network restores, at texture 0, nearly as that does before it has learned anything. And it is the
    condition that tells how much texture a photo can be given.

    Args:
        basenet: The network that restores; with `carry`, the projector sees so many features more.
        condition_net: The network that reads the degradation; None makes a plain blind network.
        projector: Width of the projector; 0 leaves it out, and there is the structure view alone.
        projector_blocks: Residual blocks in each of its branches.
        lattice_filter: See `Cria`.

    Raises:
        ConfigError: Values that do not go together.
    """

    def __init__(
        self,
        basenet: BaseNet,
        condition_net: ConditionNet | None,
        projector: int = 16,
        projector_blocks: int = 2,
        lattice_filter: int = 0,
    ) -> None:
        super().__init__(basenet, condition_net)
        if basenet.carry and not projector:
            raise ConfigError("basenet.carry needs a projector to carry features to")
        self.texture = projector > 0
        reach = float(basenet.halo)
        if projector:
            if projector_blocks < 1:
                raise ConfigError(f"projector.blocks must be 1 or more, not {projector_blocks}")
            self.projector = SpatialProjector(3 + basenet.carry, projector, projector_blocks, "views")
            start_small(self.projector.structure_out, self.projector.texture_out)
            reach += self.projector.reach / self.scale
        if lattice_filter:
            self.lattice_filter = LatticeFilter(self.scale, lattice_filter)
            reach += self.lattice_filter.reach
        self.halo = math.ceil(reach)

    def views(self, lr: Tensor, modulation: Tensor | None = None) -> Views:
        """Restore a batch, and tell the views apart.

        Args:
            lr: LR batch, (N, 3, H, W), RGB in [0, 1].
            modulation: (N, M), or (1, M) for all of them; None for a network that does not adapt.

        Returns:
            Both views at HR size, (N, 3, scale H, scale W), not clipped, and the mask.
        """
        return self.filtered(self._views(lr, modulation))

    def view_tasks(self, lr: Tensor, condition: Tensor | None) -> Views:
        """Views of m photos of each of T tasks: (T, m, 3, H, W) under (T, C) -> (T m, 3, sH, sW) each."""
        return self.views(lr.flatten(0, 1), self.modulation_of_tasks(condition, lr.shape[1]))

    def forward(self, lr: Tensor, modulation: Tensor | None = None, texture: Tensor | None = None) -> Tensor:
        """Restore LR photos under a modulation.

        Args:
            lr: As in `views`, like the modulation.
            texture: How much of the texture view is added to the structure view, (1,) or (N,); None: all.

        Returns:
            SR batch, (N, 3, scale * H, scale * W), not clipped.
        """
        return self.blended(self._views(lr, modulation), texture)

    def _views(self, lr: Tensor, modulation: Tensor | None) -> Views:
        """The views as the weights make them."""
        return self.project(self.basenet(lr, modulation), anchored=True)
