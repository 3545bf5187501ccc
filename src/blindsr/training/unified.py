"""The recipe of both systems in one network: CMDSR's tasks and conditions, Cria-CL's criteria."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from blindsr.dataset import TaskBatch
from blindsr.dataset.pool import BatchLimits, PoolBatch, TaskPoolDataset, parts_of
from blindsr.degradation import DegradationSpace
from blindsr.degradation.batched import OneStageLimits
from blindsr.errors import ConfigError
from blindsr.loss.criterion import Taught
from blindsr.network import Unified, build_network, expect
from blindsr.network.unified import rename_cria
from blindsr.training.config import OptimiserSection, UnifiedConfig
from blindsr.training.criteria import ALL, Criteria
from blindsr.training.initial import load_condition_net, read_initial
from blindsr.training.pool import GroupDegradation, PairPool, drawn_from_pool
from blindsr.training.recipe import Losses, Stage, degrades_in_batches
from blindsr.training.tasks import TaskRecipe, scale_gradient
from blindsr.training.teacher import Teacher, teacher_of


class UnifiedRecipe(TaskRecipe):
    """One step of the unified network.

    A batch is that of CMDSR: tasks, and of each two support sets, of which some patches are restored under
    the condition of their set. What judges them is what judges in Cria-CL, in its two stages; so the
    ConditionNet learns to tell what each criterion has to know of a photo. Its share of that gradient, and
    the weight of its own loss, are those of `loss`.
    """

    network: Unified
    methods = ("conditions", "view_tasks")

    def __init__(self, config: UnifiedConfig) -> None:
        self.config: UnifiedConfig = config
        self._teacher: Teacher | None = None
        fault = "recipe unified trains a network of basenet, condition and unified"
        network = expect(build_network(config.network), Unified, fault)
        self.take(network)
        self.criteria = Criteria(config)
        self.fixed = self.criteria.fixed
        self.auxiliary |= self.criteria.auxiliary
        if network.projector is not None:
            self.parameters["basenet"] += network.projector.parameters()
        self.parameters |= self.criteria.parameters
        if self.criteria.freezes:
            raise ConfigError("contrast.regression: here it is the structure view")

    def initialise(self, path: str) -> None:
        """Start from the same network, or from one of either system.

        From a CMDSR comes all but the projector (see `load_initial`), from a Cria-CL with a trunk of the same
        size all but the adaptation: the modulation changes nothing at first, and the ConditionNet comes from
        where `init_condition` says.
        """
        weights, spec = read_initial(path)
        if "cria" not in spec:
            super().initialise(path)
            return
        own = self.network.state_dict()
        found = {rename_cria(name): tensor for name, tensor in weights.items()}
        adaptation = {name for name in own if name.startswith(("condition_net.", "modulations."))}
        wrong = [n for n in own if n not in adaptation and (n not in found or found[n].shape != own[n].shape)]
        if wrong or found.keys() - own.keys():
            named = ", ".join([*wrong, *(found.keys() - own.keys())][:3])
            raise ConfigError(f"init {path}: its network is {spec}, which does not fit in {named}")
        if self.network.modulations is not None:
            found["modulations.weight"] = torch.zeros_like(own["modulations.weight"])
        self.network.load_state_dict(own | found)
        if self.config.init_condition is not None:
            load_condition_net(self.network, self.config.init_condition)

    def load_data(self, device: torch.device) -> None:
        """See `Recipe.load_data`."""
        super().load_data(device)
        data = self.config.data
        if not data.pool:
            return
        batched = degrades_in_batches(data, device)
        self._group_limits = BatchLimits.of(self._tasks, self._cutter.size) if batched else None
        self._teacher = teacher_of(self.config, device)
        restored = range(data.restored)
        self._pool = PairPool(
            self._cutter, GroupDegradation(self._group_limits, device), data.pool // data.group, data.group,
            data.scale, device, 2 * data.support, [*restored, *(data.support + i for i in restored)],
            self._teacher,
        )  # fmt: skip

    def dataset(self, rank: int, phase: str = "") -> Dataset[Any]:
        """See `Recipe.dataset`."""
        data = self.config.data
        if not data.pool:
            return super().dataset(rank, phase)
        self._groups = TaskPoolDataset(
            self._photos, self._space(), tasks=data.tasks, support=data.support, patch=data.patch,
            margin=data.margin, steps=self.config.steps, group=data.group, pool=data.pool, reuse=data.reuse,
            seed=self.config.seed, rank=rank, single_photo=data.single_photo, photo_a_task=data.photo_a_task,
            shrink=data.shrink,
            limits=self._group_limits,
        )  # fmt: skip
        return self._groups

    def prepare(self, batch: TaskBatch | PoolBatch) -> dict[str, Tensor]:
        """See `Recipe.prepare`; a pool is filled here, and drawn from in the step."""
        if isinstance(batch, PoolBatch):
            self._pool.fill(batch, self._groups)
            return drawn_from_pool(batch)
        return super().prepare(batch)

    def origins(self) -> dict[str, Any]:
        """See `Recipe.origins`."""
        return {} if self._teacher is None else {"teacher": self._teacher.record}

    def phase(self, place: float) -> str:
        """See `Recipe.phase`."""
        return self.criteria.phase(place)

    def section(self, group: str, place: float) -> tuple[OptimiserSection, float, float]:
        """See `Recipe.section`; the ConditionNet has one schedule for the whole run."""
        if group == "condition":
            return self.config.condition_optimiser, place, self.config.steps
        return self.criteria.section(group, place)

    def stage(self, step: int, place: float) -> Stage:
        """See `Recipe.stage`."""
        due = step % self.config.loss.condition_every == 0
        begun = tuple(name for name in self.begun(place) if name != "condition" or due)
        if set(begun) <= {"condition", "discriminator"} and self.phase(place) == ALL:
            begun = tuple(name for name in begun if name != "condition")  # the discriminator begins alone
        return self.criteria.stage(step, place, begun)

    def losses(self, network: Any, inputs: Mapping[str, Tensor], stage: Stage) -> Losses:  # noqa: ANN401
        """See `Recipe.losses`."""
        loss, m = self.config.loss, self.config.data.restored
        lr, hr = self.halves(inputs)  # (2T, n, 3, h, w) and (2T, n, 3, sh, sw)
        truth = hr[:, :m].flatten(0, 1)  # (2T m, 3, sh, sw)
        learns = "condition" in stage.groups
        conditions, fed = None, None
        if self.network.adaptive:
            with torch.set_grad_enabled(learns):
                fed = conditions = network.conditions(lr)  # (2T, C)
            if learns:
                fed = scale_gradient(conditions, loss.condition_pixel)
        if stage.name == "discriminator":
            with torch.no_grad():
                output = network.view_tasks(lr[:, :m], fed).output
            return self.criteria.discriminator_alone(truth, output, stage)
        views = network.view_tasks(lr[:, :m], fed)
        losses = self.criteria.losses(views, truth, stage, taught=self._taught(inputs))
        if learns and conditions is not None:
            judged, terms = self.distinction(conditions, inputs)
            # Its graph is part of the network's, which is the last to be differentiated.
            total, groups = losses.objectives[-1]
            losses.objectives[-1] = total + judged, groups
            losses.logged |= terms
        return losses

    @torch.no_grad()
    def _made(self, inputs: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """LR (T, 2n, 3, h, w) and HR (T, 2m, 3, sh, sw) of the pool; or as of other recipes."""
        if "picks" not in inputs:
            return super()._made(inputs)
        return self._pool.draw(inputs["picks"], inputs["offset"], inputs["poses"], self.config.data.patch)

    @torch.no_grad()
    def _taught(self, inputs: Mapping[str, Tensor]) -> Taught | None:
        """What the teacher made of the patches that are restored, (2T m, 3, sh, sw); None without one."""
        if self._teacher is None:
            return None
        drawn = (inputs["picks"], inputs["offset"], inputs["poses"])
        taught = self._pool.draw_taught(*drawn, self.config.data.patch)
        if taught is None:
            return None
        image = torch.cat(taught.image.chunk(2, 1))  # (2T, m, 3, sh, sw), the first sets of all tasks first
        share = taught.share.repeat(2)[:, None].expand(-1, image.shape[1])
        return Taught(image.flatten(0, 1), share.flatten())

    def _limits(self, side: int) -> OneStageLimits | None:
        """See `TaskRecipe`; tasks of other kinds than one stage come to a batch by way of a pool."""
        data = self.config.data
        if data.pool:
            return None
        spaces = [space for space in parts_of(self._tasks) if isinstance(space, DegradationSpace)]
        if len(spaces) == len(parts_of(self._tasks)):
            return OneStageLimits.of(spaces, side)
        if data.degrade == "batched":
            raise ConfigError(
                "data.degrade: batched needs a pool for tasks that are not of one stage, say data.pool=1024"
            )
        return None
