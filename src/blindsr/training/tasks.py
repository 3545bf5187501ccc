"""What every recipe of an adaptive network shares: batches of tasks, and what teaches a ConditionNet."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from blindsr.dataset import PhotoCache, TaskBatch, TaskDataset
from blindsr.dataset.cutting import Cutter, cut_patches
from blindsr.dataset.layouts import training_photos
from blindsr.dataset.photos import split_holdout
from blindsr.degradation import Degradation, DegradationSpace, TaskSpace, degrade
from blindsr.degradation.batched import OneStageBatch, OneStageLimits
from blindsr.errors import ConfigError
from blindsr.loss import PARAMETERS, task_contrastive, task_parameters, task_regression
from blindsr.network import CMDSR
from blindsr.training.config import CMDSRConfig, UnifiedConfig
from blindsr.training.recipe import Recipe, Stage, degradation_space, degrades_in_batches, need_one_device
from blindsr.training.validation import Restore, Validation
from blindsr.upscaling.support import repeated, select_support


class TaskRecipe(Recipe):
    """A recipe whose batches are of tasks: of each two support sets, some patches of which are restored."""

    config: CMDSRConfig | UnifiedConfig
    network: CMDSR

    def take(self, network: CMDSR) -> None:
        """Take the network that is to be trained, and sort its weights into groups.

        Raises:
            ConfigError: It does not go with the configuration.
        """
        config = self.config
        self.auxiliary, self.fixed = {}, []
        self.workers = config.data.workers
        self.network = network
        if self.network.basenet.scale != config.data.scale:
            raise ConfigError(
                f"network.basenet.scale is {self.network.basenet.scale} but data.scale is {config.data.scale}"
            )
        networks = [self.network.basenet, self.network.modulations]
        self.parameters = {"basenet": [p for m in networks if m is not None for p in m.parameters()]}
        if self.network.condition_net is not None:
            least = self.network.condition_net.least
            if config.data.patch < least:
                raise ConfigError(f"data.patch {config.data.patch}: the ConditionNet needs {least} or more")
            self.parameters["condition"] = list(self.network.condition_net.parameters())
            if config.loss.regression:
                need_one_device(config, "loss.regression")
                reader = nn.Linear(self.network.condition_net.size, PARAMETERS)
                self.auxiliary["reader"] = reader
                self.parameters["condition"] += reader.parameters()

    @property
    def spec(self) -> dict[str, Any]:
        """See `Recipe.spec`."""
        return self.config.network

    def load_data(self, device: torch.device) -> None:
        """See `Recipe.load_data`."""
        data = self.config.data
        side = (data.patch + data.margin) * data.scale
        held_out, files = split_holdout(training_photos(data.photos), data.holdout)
        self._photos = PhotoCache(files, data.cache, side)
        self._held_out = PhotoCache(held_out, data.cache) if held_out else None
        self._cutter = Cutter(self._photos, side, data.shrink, device)
        self._tasks = self._space()
        limits = self._limits(side) if degrades_in_batches(data, device) else None
        self._batched = None if limits is None else OneStageBatch(limits, device)

    def dataset(self, rank: int, phase: str = "") -> Dataset[Any]:
        """See `Recipe.dataset`."""
        data = self.config.data
        return TaskDataset(
            self._photos, self._space(), tasks=data.tasks, support=data.support,
            patch=data.patch, margin=data.margin, steps=self.config.steps, seed=self.config.seed, rank=rank,
            single_photo=data.single_photo, photo_a_task=data.photo_a_task, neighbours=data.neighbours,
            shrink=data.shrink,
            limits=None if self._batched is None else self._batched.limits,
        )  # fmt: skip

    def prepare(self, batch: TaskBatch) -> dict[str, Tensor]:
        """See `Recipe.prepare`: patches cut and degraded task by task, or what it takes to do it at once."""
        known = {"negatives": torch.from_numpy(batch.negatives)}
        if isinstance(self._tasks, DegradationSpace):  # others have no such numbers
            tasks = [task for task in batch.degradations if isinstance(task, Degradation)]
            known["parameters"] = task_parameters(tasks)
        if self._batched is None:
            lr, hr = self.degraded(batch)
            return known | {"lr": lr, "hr": hr}
        places = torch.from_numpy(batch.places)
        known["offset"] = torch.from_numpy(batch.offset)
        known |= {f"column/{name}": torch.from_numpy(column) for name, column in batch.columns.items()}
        if not self._cutter.on_device:
            return known | {"crops": self._cutter(places.flatten(0, 1))}
        return known | {"places": places}

    def validation(self) -> Validation | None:
        """See `Recipe.validation`."""
        if self._held_out is None:
            return None
        return Validation.of_photos(self._held_out, self.config.validation, self.config.data.scale)

    def restore(self) -> Restore:
        """See `Recipe.restore`: each photo is restored under its own condition."""
        return partial(restore_photo, self.network, self.config.data.support, self.config.data.patch)

    def patches(self, stage: Stage) -> int:
        """See `Recipe.patches`."""
        return 2 * self.config.data.tasks * self.config.data.restored

    def halves(self, inputs: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Both support sets of every task, the first ones of all tasks before the second ones.

        Returns:
            LR (2T, n, 3, h, w) and HR (2T, n, 3, sh, sw), RGB in [0, pixel_range].
        """
        pair = (inputs["lr"], inputs["hr"]) if "lr" in inputs else self._made(inputs)
        lr, hr = (torch.cat(patches.chunk(2, 1)) * self.network.pixel_range for patches in pair)
        return lr, hr

    def distinction(
        self, conditions: Tensor, inputs: Mapping[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """What the ConditionNet alone is trained by: the sum, and its terms.

        Args:
            conditions: Of the first support sets of all tasks, then of the second ones, (2T, C).
            inputs: What is known of the tasks.
        """
        loss = self.config.loss
        first, second = conditions.float().chunk(2)  # (T, C) each
        by_channel = loss.distance == "channel"
        terms = {"contrastive": task_contrastive(first, second, inputs["negatives"], by_channel)}
        total = loss.contrastive * terms["contrastive"]
        if "reader" in self.auxiliary:
            read = self.auxiliary["reader"](conditions)
            terms["regression"] = task_regression(read, inputs["parameters"].repeat(2, 1))
            total = total + loss.regression * terms["regression"]
        return total, terms

    @torch.no_grad()
    def degraded(self, batch: TaskBatch) -> tuple[Tensor, Tensor]:
        """Cut patches, apply each task's degradation on the training device and cut the margins off.

        Returns:
            LR (T, 2n, 3, h, w) and HR (T, 2n, 3, sh, sw), RGB in [0, 1].
        """
        size, scale = self.config.data.patch, self.config.data.scale
        places = torch.from_numpy(batch.places)  # (T, 2n, 6)
        hr_all = self._cutter(places.flatten(0, 1)).unflatten(0, places.shape[:2])
        lrs, hrs = [], []
        tasks = zip(hr_all, batch.degradations, batch.seeds, batch.offset.tolist(), strict=True)
        for hr, degradation, seed, (top, left) in tasks:
            lr = degrade(hr, degradation, seed)
            lrs.append(lr[..., top : top + size, left : left + size])
            top, left, side = top * scale, left * scale, size * scale
            hrs.append(hr[..., top : top + side, left : left + side])
        return torch.stack(lrs), torch.stack(hrs)

    @torch.no_grad()
    def _made(self, inputs: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """As `degraded`, of all tasks in one go, from what `prepare` made ready."""
        assert self._batched is not None
        size, scale, tasks = self.config.data.patch, self.config.data.scale, len(inputs["offset"])
        hr = inputs["crops"] if "crops" in inputs else self._cutter(inputs["places"].flatten(0, 1))
        prefix = "column/"
        columns = {k.removeprefix(prefix): v for k, v in inputs.items() if k.startswith(prefix)}
        lr = self._batched(hr, columns)
        offset = inputs["offset"].repeat_interleave(len(hr) // tasks, 0, output_size=len(hr))
        lr, hr = cut_patches(lr, offset, size), cut_patches(hr, offset * scale, size * scale)
        return lr.unflatten(0, (tasks, -1)), hr.unflatten(0, (tasks, -1))

    def _space(self) -> TaskSpace:
        """Where tasks are drawn from."""
        return degradation_space(self.config)

    def _limits(self, side: int) -> OneStageLimits | None:
        """What the degradation of a whole batch at once needs; None where there is none."""
        return OneStageLimits.of([self._one_stage_space()], side)

    def _one_stage_space(self) -> DegradationSpace:
        space = degradation_space(self.config)
        if not isinstance(space, DegradationSpace):
            raise ConfigError(f"data.degradations: the tasks of recipe {self.config.recipe} are of one stage")
        return space


@torch.no_grad()
def restore_photo(network: CMDSR, support: int, patch: int, lr: Tensor) -> Tensor:
    """Restore an LR photo, adapted to its own support set.

    Args:
        network: The network.
        support: Patches in a support set, unless the network takes a fixed number.
        patch: Their side, LR pixels.
        lr: (1, 3, h, w), RGB in [0, 1].

    Returns:
        (1, 3, sh, sw), RGB in [0, 1].
    """
    modulation = None
    if network.condition_net is not None:
        count = network.condition_net.support or support
        patches = select_support(lr[0].permute(1, 2, 0).cpu().numpy(), count, patch)
        if network.condition_net.support is not None:
            patches = repeated(patches, count)
        modulation = network.modulation(
            network.condition(torch.from_numpy(patches).to(lr.device) * network.pixel_range)
        )
    return network.restore(lr, modulation=modulation).float().clamp(0, 1)


def scale_gradient(x: Tensor, gain: float) -> Tensor:
    """The same value, with `gain` times the gradient."""
    return x.detach() + gain * (x - x.detach())
