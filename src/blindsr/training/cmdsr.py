"""The recipe of CMDSR: task contrastive loss for the ConditionNet, L1 for all (arXiv 2104.03926)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from blindsr.degradation import TaskSpace
from blindsr.loss import structural_dissimilarity
from blindsr.network import CMDSR, build_network, expect
from blindsr.training.config import CMDSRConfig, OptimiserSection
from blindsr.training.recipe import Losses, Stage
from blindsr.training.tasks import TaskRecipe, scale_gradient


class CMDSRRecipe(TaskRecipe):
    """One step of CMDSR.

    Every step updates the BaseNet and the modulations by L1 (and 1 - SSIM, if the configuration gives it a
    weight) on photos of both support sets, each restored under the condition of its own set. Every
    `loss.condition_every`-th step also updates the ConditionNet, by the task contrastive loss, a share of
    the same, and (if it has a weight) how well a linear layer reads the task from the condition. The official
    code restores the two halves one after the other; here they are one batch, whose gradient is the mean of
    both.
    """

    config: CMDSRConfig
    methods = ("conditions", "restore_tasks")

    def __init__(self, config: CMDSRConfig) -> None:
        self.config = config
        fault = f"recipe {config.recipe} trains a network of basenet and condition, not cria"
        self.take(expect(build_network(config.network), CMDSR, fault))

    def _space(self) -> TaskSpace:
        return self._one_stage_space()

    def section(self, group: str, place: float) -> tuple[OptimiserSection, float, float]:
        """See `Recipe.section`."""
        sections = {"basenet": self.config.optimiser, "condition": self.config.condition_optimiser}
        return sections[group], place, self.config.steps

    def stage(self, step: int, place: float) -> Stage:
        """See `Recipe.stage`."""
        due = step % self.config.loss.condition_every == 0
        groups = tuple(name for name in self.begun(place) if name != "condition" or due)
        return Stage("cmdsr", groups)

    def losses(self, network: CMDSR, inputs: Mapping[str, Tensor], stage: Stage) -> Losses:
        """See `Recipe.losses`."""
        loss, m = self.config.loss, self.config.data.restored
        lr, hr = self.halves(inputs)  # (2T, n, 3, h, w) and (2T, n, 3, sh, sw)
        learn_condition = "condition" in stage.groups
        conditions, fed = None, None
        if self.network.adaptive:
            with torch.set_grad_enabled(learn_condition):
                fed = conditions = network.conditions(lr)  # (2T, C)
            if learn_condition:
                # The ConditionNet gets its share of the L1 gradient, BaseNet and modulations all of it.
                fed = scale_gradient(conditions, loss.condition_pixel)
        total, terms = self.restoration(network.restore_tasks(lr[:, :m], fed), hr[:, :m])
        if learn_condition and conditions is not None:
            judged, own_terms = self.distinction(conditions, inputs)
            total, terms = total + judged, terms | own_terms
        return Losses([(total, stage.groups)], {"total": total, **terms})

    def restoration(self, sr: Tensor, hr: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """What the BaseNet is trained by: the sum, and its terms. Both (..., 3, sh, sw)."""
        terms = {"pixel": (sr - hr).abs().mean() * (255.0 / self.network.pixel_range)}
        total = terms["pixel"]
        if self.config.loss.structural:
            images = (image.flatten(0, 1) / self.network.pixel_range for image in (sr, hr))
            terms["structural"] = structural_dissimilarity(*images)
            total = total + self.config.loss.structural * terms["structural"]
        return total, terms
