"""The recipe of CMDSR: BaseNet and ConditionNet optimised in turn (arXiv 2104.03926, section III-D)."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from lightning.fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor, nn

from blindsr.dataset import PhotoCache, TaskBatch, TaskDataset
from blindsr.dataset.layouts import training_photos
from blindsr.dataset.photos import split_holdout
from blindsr.degradation import DegradationSpace, degrade
from blindsr.errors import ConfigError
from blindsr.loss import (
    PARAMETERS,
    structural_dissimilarity,
    task_contrastive,
    task_parameters,
    task_regression,
)
from blindsr.network import CMDSR, build_network
from blindsr.support import select_support
from blindsr.training.config import CMDSRConfig, OptimiserSection
from blindsr.training.recipe import Recipe, degradation_space, need_one_device
from blindsr.training.validation import Restore, Validation


class CMDSRRecipe(Recipe):
    """One step of CMDSR.

    Every step updates the BaseNet and the modulations by L1 (and 1 - SSIM, if the configuration gives it a
    weight) on photos of both support sets, each restored under the condition of its own set. Every
    `loss.condition_every`-th step also updates the ConditionNet, by the task contrastive loss, a share of
    the same, and (if it has a weight) how well a linear layer reads the task from the condition. The paper
    restores the two halves one after the other; here they are one batch, whose gradient is the mean of both.
    """

    network: CMDSR
    methods = ("conditions", "restore_tasks")

    def __init__(self, config: CMDSRConfig) -> None:
        self.config, self.companions, self.fixed = config, {}, []
        self.workers = config.data.workers
        network = build_network(config.network)
        if not isinstance(network, CMDSR):
            raise ConfigError("recipe cmdsr trains a network of basenet and condition, not cria")
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
                self.companions["reader"] = reader
                self.parameters["condition"] += reader.parameters()

    @property
    def spec(self) -> dict[str, Any]:
        """See `Recipe.spec`."""
        return self.config.network

    def load_data(self) -> None:
        """See `Recipe.load_data`."""
        data = self.config.data
        held_out, files = split_holdout(training_photos(data.photos), data.holdout)
        self._photos = PhotoCache(files, data.cache, (data.patch + data.margin) * data.scale)
        self._held_out = PhotoCache(held_out, data.cache) if held_out else None

    def dataset(self, rank: int) -> TaskDataset:
        """See `Recipe.dataset`."""
        data, space = self.config.data, degradation_space(self.config)
        if not isinstance(space, DegradationSpace):
            raise ConfigError("data.degradations: the tasks of recipe cmdsr are of one stage")
        return TaskDataset(
            self._photos, space, tasks=data.tasks, support=data.support,
            patch=data.patch, margin=data.margin, steps=self.config.steps, seed=self.config.seed, rank=rank,
            single_photo=data.single_photo, neighbours=data.neighbours,
        )  # fmt: skip

    def validation(self) -> Validation | None:
        """See `Recipe.validation`."""
        if self._held_out is None:
            return None
        return Validation.of_photos(self._held_out, self.config.validation, self.config.data.scale)

    def restore(self) -> Restore:
        """See `Recipe.restore`: each photo is restored under its own condition."""
        return partial(restore_photo, self.network, self.config.data.support, self.config.data.patch)

    def section(self, group: str, step: int) -> tuple[OptimiserSection, int, int]:
        """See `Recipe.section`."""
        sections = {"basenet": self.config.optimiser, "condition": self.config.condition_optimiser}
        return sections[group], step, self.config.steps

    def updated(self, step: int) -> list[str]:
        """See `Recipe.updated`."""
        due = step % self.config.loss.condition_every == 0
        return [name for name in self.begun(step) if name != "condition" or due]

    def losses(self, network: CMDSR, batch: TaskBatch, fabric: Fabric) -> dict[str, Tensor]:
        """See `Recipe.losses`."""
        lr, hr = self.degraded(batch, fabric.device)  # (T, 2n, 3, h, w) and (T, 2n, 3, sh, sw)
        loss, m, n = self.config.loss, self.config.data.restored, self.config.data.support
        lr = torch.cat([lr[:, :n], lr[:, n:]])  # (2T, n, 3, h, w): first halves, then second halves
        hr = torch.cat([hr[:, :n], hr[:, n:]])
        learn_condition = "condition" in self.updated(batch.step)
        conditions, fed = None, None
        if self.network.adaptive:
            with torch.set_grad_enabled(learn_condition):
                fed = conditions = network.conditions(lr)  # (2T, C)
            if learn_condition:
                # The ConditionNet gets its share of the L1 gradient, BaseNet and modulations all of it.
                fed = _scale_gradient(conditions, loss.condition_pixel)
        sr = network.restore_tasks(lr[:, :m], fed)
        hr = hr[:, :m]
        terms = {"pixel": (sr - hr).abs().mean() * (255.0 / self.network.pixel_range)}
        total = terms["pixel"]
        if loss.structural:
            images = (image.flatten(0, 1) / self.network.pixel_range for image in (sr, hr))
            terms["structural"] = structural_dissimilarity(*images)
            total = total + loss.structural * terms["structural"]
        if learn_condition and conditions is not None:
            first, second = conditions.float().chunk(2)  # (T, C) each
            negatives = torch.from_numpy(batch.negatives).to(fabric.device)
            terms["contrastive"] = task_contrastive(first, second, negatives)
            total = total + loss.contrastive * terms["contrastive"]
            if "reader" in self.companions:
                told = task_parameters(batch.degradations).to(fabric.device).repeat(2, 1)
                terms["regression"] = task_regression(self.companions["reader"](conditions), told)
                total = total + loss.regression * terms["regression"]
        return {"total": total, **terms}

    def degraded(self, batch: TaskBatch, device: torch.device) -> tuple[Tensor, Tensor]:
        """Apply each task's degradation on the training device and cut the margins off.

        Returns:
            LR (T, 2n, 3, h, w) and HR (T, 2n, 3, sh, sw), RGB in [0, pixel_range].
        """
        size, scale = self.config.data.patch, self.config.data.scale
        hr_all = torch.from_numpy(batch.hr).to(device, non_blocking=True).float().div_(255)
        lrs, hrs = [], []
        tasks = zip(hr_all, batch.degradations, batch.seeds, batch.offset.tolist(), strict=True)
        for hr, degradation, seed, (top, left) in tasks:
            lr = degrade(hr, degradation, seed)
            lrs.append(lr[..., top : top + size, left : left + size])
            top, left, side = top * scale, left * scale, size * scale
            hrs.append(hr[..., top : top + side, left : left + side])
        return torch.stack(lrs) * self.network.pixel_range, torch.stack(hrs) * self.network.pixel_range


@torch.no_grad()
def restore_photo(network: CMDSR, support: int, patch: int, lr: NDArray[np.float32]) -> NDArray[np.float32]:
    """Restore an LR photo, adapted to its own support set.

    Args:
        network: The network.
        support: Patches in a support set, unless the network takes a fixed number.
        patch: Their side, LR pixels.
        lr: (1, 3, h, w), RGB in [0, 1].

    Returns:
        (sh, sw, 3), RGB in [0, 1].
    """
    device = next(network.parameters()).device
    modulation = None
    if network.condition_net is not None:
        count = network.condition_net.support or support
        patches = torch.from_numpy(select_support(lr[0].transpose(1, 2, 0), count, patch)).to(device)
        modulation = network.modulation(network.condition(patches * network.pixel_range))
    sr = network(torch.from_numpy(lr).to(device) * network.pixel_range, modulation) / network.pixel_range
    restored: NDArray[np.float32] = sr[0].float().clamp(0, 1).permute(1, 2, 0).cpu().numpy()
    return restored


def _scale_gradient(x: Tensor, gain: float) -> Tensor:
    """The same value, with `gain` times the gradient."""
    return x.detach() + gain * (x - x.detach())
