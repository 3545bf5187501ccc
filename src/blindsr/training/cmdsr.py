"""The recipe of CMDSR: task contrastive loss for the ConditionNet, L1 for all (arXiv 2104.03926)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from blindsr.degradation import TaskSpace
from blindsr.loss import structural_dissimilarity
from blindsr.network import CMDSR, build_network, expect
from blindsr.training.config import CMDSRConfig, OptimiserSection
from blindsr.training.equalised import by_gain, start_equalised
from blindsr.training.recipe import Losses, Stage
from blindsr.training.tasks import TaskRecipe, scale_gradient

HALVES = ("cmdsr, first half", "cmdsr, second half")
CONDITION_ALONE = "cmdsr, condition"


class Turns:
    """The steps of the official trainer, as a function of their number.

    There every `every`-th step over half of a batch is preceded by one of the ConditionNet alone, on the
    whole batch; that one is not counted there, and is here.

    Args:
        every: Steps over halves from one step of the ConditionNet to the next; even.
    """

    def __init__(self, every: int) -> None:
        self.every = every

    def half_step(self, step: int) -> tuple[int, bool]:
        """Steps over halves that came before this one, and whether this one is of the ConditionNet alone."""
        cycle, place = divmod(step, self.every + 1)
        return cycle * self.every + max(0, place - 1), place == 0

    def name(self, step: int) -> str:
        """The name of its stage."""
        taken, alone = self.half_step(step)
        return CONDITION_ALONE if alone else HALVES[taken % 2]


class InTurn(Dataset[Any]):
    """The batches of another data set, each as often as there are steps on it.

    Args:
        batches: The other.
        turns: The steps.
        steps: How many.
    """

    def __init__(self, batches: Dataset[Any], turns: Turns, steps: int) -> None:
        self.batches, self.turns, self.steps = batches, turns, steps

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> Any:  # noqa: ANN401
        return self.batches[self.turns.half_step(step)[0] // 2]


class CMDSRRecipe(TaskRecipe):
    """One step of CMDSR.

    Every step updates the BaseNet and the modulations by L1 (and 1 - SSIM, if the configuration gives it a
    weight) on photos of both support sets, each restored under the condition of its own set. Every
    `loss.condition_every`-th step also updates the ConditionNet, by the task contrastive loss, a share of
    the same, and (if it has a weight) how well a linear layer reads the task from the condition. The two
    support sets of the tasks are one batch, whose gradient is the mean of both.

    With `loss.halves: in_turn` the steps are those of the official trainer (Train_CMDSR.py of
    https://github.com/guanghaoyin/CMDSR, MIT): one set after the other, and before them, now and then, the
    ConditionNet alone, by the contrastive loss and a share of L1 on the first sets.
    """

    config: CMDSRConfig
    methods = ("conditions", "restore_tasks")

    def __init__(self, config: CMDSRConfig) -> None:
        self.config = config
        fault = f"recipe {config.recipe} trains a network of basenet and condition, not cria"
        self.take(expect(build_network(config.network), CMDSR, fault))
        self._turns = Turns(config.loss.condition_every) if config.loss.halves == "in_turn" else None
        if config.equalised:
            start_equalised(self.network.basenet)

    def shares(self, group: str) -> list[tuple[float, list[nn.Parameter]]]:
        """See `Recipe.shares`."""
        if self.config.equalised and group == "basenet":
            return by_gain(self.parameters[group])
        return super().shares(group)

    def dataset(self, rank: int, phase: str = "") -> Dataset[Any]:
        """See `Recipe.dataset`."""
        dataset = super().dataset(rank, phase)
        return dataset if self._turns is None else InTurn(dataset, self._turns, self.config.steps)

    def patches(self, stage: Stage) -> int:
        """See `Recipe.patches`."""
        return super().patches(stage) // (1 if self._turns is None else 2)

    def _space(self) -> TaskSpace:
        return self._one_stage_space()

    def section(self, group: str, place: float) -> tuple[OptimiserSection, float, float]:
        """See `Recipe.section`."""
        sections = {"basenet": self.config.optimiser, "condition": self.config.condition_optimiser}
        return sections[group], place, self.config.steps

    def stage(self, step: int, place: float) -> Stage:
        """See `Recipe.stage`."""
        if self._turns is not None:
            name = self._turns.name(step)
            group = "condition" if name == CONDITION_ALONE else "basenet"
            return Stage(name, tuple(one for one in self.begun(place) if one == group))
        due = step % self.config.loss.condition_every == 0
        return Stage("cmdsr", tuple(name for name in self.begun(place) if name != "condition" or due))

    def losses(self, network: CMDSR, inputs: Mapping[str, Tensor], stage: Stage) -> Losses:
        """See `Recipe.losses`."""
        loss, m = self.config.loss, self.config.data.restored
        lr, hr = self.halves(inputs)  # (2T, n, 3, h, w) and (2T, n, 3, sh, sw)
        learn_condition = "condition" in stage.groups
        if stage.name in HALVES:
            lr, hr = (images.chunk(2)[HALVES.index(stage.name)] for images in (lr, hr))
        conditions, fed = None, None
        if self.network.adaptive:
            with torch.set_grad_enabled(learn_condition):
                fed = conditions = network.conditions(lr)  # (2T, C)
            if learn_condition:
                # The ConditionNet gets its share of the L1 gradient, BaseNet and modulations all of it.
                fed = scale_gradient(conditions, loss.condition_pixel)
        if stage.name == CONDITION_ALONE:  # judged by the first sets
            lr, hr = lr.chunk(2)[0], hr.chunk(2)[0]
            fed = None if fed is None else fed.chunk(2)[0]
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
