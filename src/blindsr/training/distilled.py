"""A recipe of CMDSR in parts: conditions of the true degradation first, which the ConditionNet then imitates.

How exactly a degradation is read is what decides how well an adaptive network restores, and it is learned
slowly through the BaseNet: what one photo's patches tell is little, and restoring is a faint judge of it. So
an *oracle*, a small network that is given the true degradation, makes the conditions at first. Then the
ConditionNet learns to make them too, which is a regression, cheap and without the BaseNet; and last both
restore together. KDSR (arXiv 2211.16928) and LightBSR (arXiv 2506.22710) train in such parts.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from blindsr.dataset import TaskDataset
from blindsr.errors import ConfigError
from blindsr.loss import PARAMETERS, imitation
from blindsr.network import CMDSR, Oracle
from blindsr.training.cmdsr import CMDSRRecipe
from blindsr.training.config import DistilledConfig, OptimiserSection, PhaseSection
from blindsr.training.recipe import Losses, Stage, need_one_device
from blindsr.training.tasks import scale_gradient


class DistilledRecipe(CMDSRRecipe):
    """One step of a phase, as `DistilledConfig.phases` declare them."""

    config: DistilledConfig

    def __init__(self, config: DistilledConfig) -> None:
        super().__init__(config)
        net = self.network.condition_net
        if net is None:
            raise ConfigError("recipe distilled needs a ConditionNet (network.condition)")
        need_one_device(config, "an oracle")
        self.oracle = Oracle(PARAMETERS, net.size)
        self.auxiliary["oracle"] = self.oracle
        self.parameters["oracle"] = list(self.oracle.parameters())
        self._phases = {phase.name: phase for phase in config.phases}

    def phase(self, place: float) -> str:
        """See `Recipe.phase`."""
        share = place / self.config.steps
        return next((p.name for p in self.config.phases if share < p.until), self.config.phases[-1].name)

    def dataset(self, rank: int, phase: str = "") -> TaskDataset:
        """See `Recipe.dataset`: a phase may want batches of another shape."""
        dataset, chosen = super().dataset(rank, phase), self._phases[phase or self.phase(0)]
        assert isinstance(dataset, TaskDataset)
        dataset.tasks = chosen.tasks or dataset.tasks
        dataset.support = chosen.support or dataset.support
        return dataset

    def section(self, group: str, place: float) -> tuple[OptimiserSection, float, float]:
        """See `Recipe.section`: a group's schedule spans the phases from its first to its last."""
        sections = {
            "basenet": self.config.optimiser,
            "condition": self.config.condition_optimiser,
            "oracle": self.config.oracle_optimiser,
        }
        begin, end = self._span(group)
        return sections[group], max(0.0, place - begin), end - begin

    def stage(self, step: int, place: float) -> Stage:
        """See `Recipe.stage`."""
        name = self.phase(place)
        groups = [group for group in self.begun(place) if group in self._phases[name].trains]
        return Stage(name, tuple(groups))

    def patches(self, stage: Stage) -> int:
        """See `Recipe.patches`."""
        phase = self._phases[stage.name]
        if phase.feeds is None:
            return 0
        return 2 * (phase.tasks or self.config.data.tasks) * (phase.restored or self.config.data.restored)

    def initialise(self, path: str) -> None:
        """See `Recipe.initialise`; the oracle begins with the mean condition of some tasks."""
        super().initialise(path)
        first = self.prepare(self.dataset(0, self.phase(0))[0])
        inputs = {name: tensor.to(self._cutter.device) for name, tensor in first.items()}
        with torch.no_grad():
            patches, _ = self.halves(inputs)
            self.oracle.start(self.network.conditions(patches.cpu()).mean(0))

    def losses(self, network: CMDSR, inputs: Mapping[str, Tensor], stage: Stage) -> Losses:
        """See `Recipe.losses`."""
        phase, loss = self._phases[stage.name], self.config.loss
        lr, hr = self.halves(inputs)  # (2T, n, 3, h, w) and (2T, n, 3, sh, sw)
        learns = "condition" in stage.groups
        given = self.oracle(inputs["parameters"])  # (T, C)
        terms: dict[str, Tensor] = {}
        total = lr.new_zeros(())
        own = None
        if learns or phase.feeds in ("own", "both"):
            with torch.set_grad_enabled(learns):
                own = network.conditions(lr)  # (2T, C)
        if phase.feeds is not None:
            m = phase.restored or self.config.data.restored
            fed = self._fed(phase, given, own)
            restored, terms = self.restoration(network.restore_tasks(lr[:, :m], fed), hr[:, :m])
            total = total + restored
        if learns and own is not None:
            terms["imitation"] = imitation(self._modulation(own), self._modulation(given))
            total = total + loss.imitation * terms["imitation"]
            judged, own_terms = self.distinction(own, inputs)
            total, terms = total + judged, terms | own_terms
        return Losses([(total, stage.groups)], {"total": total, **terms})

    def _fed(self, phase: PhaseSection, given: Tensor, own: Tensor | None) -> Tensor:
        """The conditions that the BaseNet restores the two halves by, (2T, C)."""
        if phase.feeds == "oracle" or own is None:
            return given.repeat(2, 1)
        own = scale_gradient(own, self.config.loss.condition_pixel)
        return own if phase.feeds == "own" else torch.cat([given, own.chunk(2)[1]])

    def _modulation(self, conditions: Tensor) -> Tensor:
        """Modulations, whose own weights are not to be moved by what the conditions are compared for."""
        modulations = self.network.modulations
        assert modulations is not None
        weight, bias = (p.detach() for p in (modulations.weight, modulations.bias))
        return torch.nn.functional.linear(conditions, weight * modulations.gain, bias)

    def _span(self, group: str) -> tuple[float, float]:
        """Where the phases that train a group begin and end, in places of the schedule."""
        begins = [0.0, *(phase.until for phase in self.config.phases)]
        trained = [i for i, phase in enumerate(self.config.phases) if group in phase.trains]
        if not trained:
            return 0.0, float(self.config.steps)
        return begins[trained[0]] * self.config.steps, begins[trained[-1] + 1] * self.config.steps
