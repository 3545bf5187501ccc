"""The recipe of Cria-CL: pixel criteria first, then all of them in contrast (arXiv 2207.12767)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from blindsr.checkpoint.esrgan import initialise_trunk
from blindsr.dataset import CropBatch, CropDataset, PairBatch, PairCache, PairDataset, PhotoCache
from blindsr.dataset.cutting import Cutter, cut_patches
from blindsr.dataset.layouts import training_pairs, training_photos
from blindsr.dataset.photos import split_holdout
from blindsr.dataset.pool import BatchLimits, PoolBatch, PoolDataset
from blindsr.degradation import degrade
from blindsr.errors import ConfigError
from blindsr.loss.criterion import Taught
from blindsr.network import Cria, build_network, expect
from blindsr.training.config import CriaConfig, OptimiserSection
from blindsr.training.criteria import ALL, Criteria
from blindsr.training.initial import read_initial
from blindsr.training.pool import GroupDegradation, PairPool, drawn_from_pool
from blindsr.training.recipe import Losses, Recipe, Stage, degradation_space, degrades_in_batches
from blindsr.training.teacher import Teacher, teacher_of
from blindsr.training.validation import Restore, Validation


class CriaRecipe(Recipe):
    """One step of Cria-CL, in the two stages of `Criteria`."""

    network: Cria
    methods = ("views",)

    def __init__(self, config: CriaConfig) -> None:
        self.config, self.auxiliary, self.fixed = config, {}, []
        self.workers = config.data.workers
        self._teacher: Teacher | None = None
        fault = "recipe cria trains a network of cria alone, not of basenet and condition"
        network = expect(build_network(config.network), Cria, fault)
        if network.scale != config.data.scale:
            raise ConfigError(f"network.cria.scale is {network.scale} but data.scale is {config.data.scale}")
        if config.data.patch % network.multiple:
            raise ConfigError(
                f"data.patch {config.data.patch}: the network needs a multiple of {network.multiple}"
            )
        self.network = network
        self.criteria = Criteria(config)
        self.fixed = self.criteria.fixed
        self.parameters = {"network": list(network.parameters()), **self.criteria.parameters}
        self.auxiliary |= self.criteria.auxiliary
        if self.criteria.freezes:
            frozen = build_network(config.network)
            self.auxiliary["regression"] = frozen.requires_grad_(False).eval()

    @property
    def spec(self) -> dict[str, Any]:
        """See `Recipe.spec`."""
        return self.config.network

    def load_data(self, device: torch.device) -> None:
        """See `Recipe.load_data`."""
        data = self.config.data
        self._held_out: PhotoCache | PairCache | None = None
        self._source: PhotoCache | PairCache
        if data.pairs is not None:
            pairs = training_pairs(data.pairs, data.root, data.scale)
            held_out, rest = split_holdout(pairs, data.holdout)
            self._source = PairCache(rest, data.cache)
            self._held_out = PairCache(held_out, data.cache) if held_out else None
        else:
            assert data.photos is not None
            photos, files = split_holdout(training_photos(data.photos), data.holdout)
            side = (data.patch + data.margin) * data.scale
            self._source = PhotoCache(files, data.cache, side)
            self._held_out = PhotoCache(photos, data.cache) if photos else None
            self._cutter = Cutter(self._source, side, data.shrink, device)
            batched = degrades_in_batches(data, device)
            self._limits = BatchLimits.of(degradation_space(self.config), side) if batched else None
            if data.pool:
                degradation = GroupDegradation(self._limits, device)
                slots = data.pool // data.group
                self._teacher = teacher_of(self.config, device)
                self._pool = PairPool(
                    self._cutter, degradation, slots, data.group, data.scale, device, teacher=self._teacher
                )

    def origins(self) -> dict[str, Any]:
        """See `Recipe.origins`."""
        return {} if self._teacher is None else {"teacher": self._teacher.record}

    def phase(self, place: float) -> str:
        """See `Recipe.phase`: the two stages."""
        return self.criteria.phase(place)

    def enter(self, phase: str) -> None:
        """See `Recipe.enter`: what the second stage is contrasted with is the network that it begins with."""
        if phase == ALL and "regression" in self.auxiliary:
            self.auxiliary["regression"].load_state_dict(self.network.state_dict())

    def dataset(self, rank: int, phase: str = "") -> Dataset[Any]:
        """See `Recipe.dataset`."""
        data, steps, seed = self.config.data, self.config.steps, self.config.seed
        if isinstance(self._source, PairCache):
            return PairDataset(
                self._source, batch=data.batch, patch=data.patch, scale=data.scale, steps=steps, seed=seed,
                rank=rank,
            )  # fmt: skip
        if data.pool:
            self._groups = PoolDataset(
                self._source, degradation_space(self.config), batch=data.batch, patch=data.patch,
                margin=data.margin, steps=steps, group=data.group, pool=data.pool, reuse=data.reuse,
                seed=seed, rank=rank, shrink=data.shrink, limits=self._limits,
            )  # fmt: skip
            return self._groups
        return CropDataset(
            self._source, degradation_space(self.config), batch=data.batch, patch=data.patch,
            margin=data.margin, steps=steps, seed=seed, rank=rank, group=data.group, shrink=data.shrink,
        )  # fmt: skip

    def validation(self) -> Validation | None:
        """See `Recipe.validation`."""
        section, scale = self.config.validation, self.config.data.scale
        if isinstance(self._held_out, PairCache):
            return Validation.of_pairs(self._held_out, section, scale)
        return None if self._held_out is None else Validation.of_photos(self._held_out, section, scale)

    def restore(self) -> Restore:
        """See `Recipe.restore`: the output, both views together."""
        return self._restore

    def section(self, group: str, place: float) -> tuple[OptimiserSection, float, float]:
        """See `Recipe.section`."""
        return self.criteria.section(group, place)

    def stage(self, step: int, place: float) -> Stage:
        """See `Recipe.stage`."""
        return self.criteria.stage(step, place, self.begun(place))

    def patches(self, stage: Stage) -> int:
        """See `Recipe.patches`."""
        return self.config.data.batch

    def initialise(self, path: str) -> None:
        """Start from the same network's weights, or those of another with the same trunk (ESRGAN, say)."""
        weights, spec = read_initial(path)
        if spec == self.spec:
            self.network.load_state_dict(weights)
            return
        try:
            initialise_trunk(self.network, weights)
        except ValueError as error:
            raise ConfigError(f"init {path}: its trunk is not the configuration's: {error}") from None

    def prepare(self, batch: CropBatch[Any] | PairBatch | PoolBatch) -> dict[str, Tensor]:
        """See `Recipe.prepare`; a pool is filled here, and drawn from in the step."""
        if isinstance(batch, PoolBatch):
            self._pool.fill(batch, self._groups)
            return drawn_from_pool(batch)
        if isinstance(batch, PairBatch):  # 8 bit: they become photos on the training device
            return {"lr": torch.from_numpy(batch.lr), "hr": torch.from_numpy(batch.hr)}
        lr, hr = self.degraded(batch)
        return {"lr": lr, "hr": hr}

    def losses(self, network: Any, inputs: Mapping[str, Tensor], stage: Stage) -> Losses:  # noqa: ANN401
        """See `Recipe.losses`."""
        lr, hr = self._images(inputs)  # (N, 3, h, w) and (N, 3, sh, sw)
        taught = self._taught(inputs)
        if stage.name == "discriminator":
            with torch.no_grad():
                output = network.views(lr).output
            return self.criteria.discriminator_alone(hr, output, stage)
        frozen = partial(self._frozen, lr) if self.criteria.freezes else None
        return self.criteria.losses(network.views(lr), hr, stage, frozen, taught)

    @torch.no_grad()
    def _frozen(self, lr: Tensor) -> Tensor:
        """What the network of the end of the first stage makes of LR patches."""
        output: Tensor = self.auxiliary["regression"](lr)
        return output

    @torch.no_grad()
    def _images(self, inputs: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """LR (N, 3, h, w) and HR (N, 3, sh, sw) of a batch, RGB in [0, 1]."""
        if "picks" in inputs:
            patch = self.config.data.patch
            lr, hr = self._pool.draw(inputs["picks"], inputs["offset"], inputs["poses"], patch)
            return lr.flatten(0, 1), hr.flatten(0, 1)
        return _unit(inputs["lr"]), _unit(inputs["hr"])

    @torch.no_grad()
    def _taught(self, inputs: Mapping[str, Tensor]) -> Taught | None:
        """What the teacher made of the batch, (N, 3, sh, sw); None without one."""
        if self._teacher is None:
            return None
        drawn = (inputs["picks"], inputs["offset"], inputs["poses"])
        taught = self._pool.draw_taught(*drawn, self.config.data.patch)
        return None if taught is None else Taught(taught.image.flatten(0, 1), taught.share)

    @torch.no_grad()
    def degraded(self, batch: CropBatch[Any]) -> tuple[Tensor, Tensor]:
        """Cut crops and degrade them on the training device, group by group.

        Returns:
            LR (N, 3, h, w) and HR (N, 3, sh, sw), RGB in [0, 1].
        """
        size, scale, group = self.config.data.patch, self.config.data.scale, self.config.data.group
        hr = self._cutter(torch.from_numpy(batch.places))
        lr = [
            degrade(hr[first : first + group], batch.tasks[first], batch.seeds[first])
            for first in range(0, len(hr), group)
        ]
        offset = torch.from_numpy(batch.offset).to(hr.device)
        return cut_patches(torch.cat(lr), offset, size), cut_patches(hr, offset * scale, size * scale)

    @torch.no_grad()
    def _restore(self, lr: Tensor) -> Tensor:
        """(1, 3, h, w) -> (1, 3, sh, sw)."""
        return self.network.restore(lr).float().clamp(0, 1)


def _unit(images: Tensor) -> Tensor:
    """Photos in 8 bit to [0, 1]; others are as they are."""
    return images.float() / 255 if images.dtype == torch.uint8 else images
