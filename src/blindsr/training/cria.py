"""The recipe of Cria-CL: pixel criteria first, then all of them in contrast (arXiv 2207.12767)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from blindsr.dataset import CropBatch, CropDataset, PairBatch, PairCache, PairDataset, PhotoCache
from blindsr.dataset.cutting import Cutter, cut_patches
from blindsr.dataset.layouts import training_pairs, training_photos
from blindsr.dataset.photos import split_holdout
from blindsr.dataset.pool import BatchLimits, PoolBatch, PoolDataset
from blindsr.degradation import degrade
from blindsr.errors import ConfigError
from blindsr.loss import CRITERIA
from blindsr.loss.adversarial import Adversarial
from blindsr.loss.criterion import VIEWS, Criterion, Restored
from blindsr.network import Cria, Discriminator, build_discriminator, build_named, build_network
from blindsr.network.checkpoint import load_features
from blindsr.network.cria import Views
from blindsr.network.esrgan import initialise_trunk
from blindsr.training.config import CriaConfig, OptimiserSection
from blindsr.training.initial import read_initial
from blindsr.training.pool import GroupDegradation, PairPool
from blindsr.training.recipe import (
    Losses,
    Recipe,
    Stage,
    degradation_space,
    degrades_in_batches,
    need_one_device,
)
from blindsr.training.validation import Restore, Validation

PIXEL, ALL = "pixel", "all"
"""The stages: pixel criteria alone, and all of them."""


@dataclass(frozen=True)
class Declared:
    """A criterion as the configuration declares it.

    Args:
        name: What logs call it: its own name, or what the key `as` says.
        criterion: What judges.
        weight: Of its value in the sum.
        view: What it judges in the second stage: "structure" or "output".
        polarity: See `Criterion`.
        stage: 1 for a criterion of both stages, 2 for one of the second alone.
    """

    name: str
    criterion: Criterion
    weight: float
    view: str
    polarity: str
    stage: int

    @classmethod
    def of(cls, spec: Mapping[str, Any]) -> Declared:
        """Read a declaration.

        Raises:
            ConfigError: It names what does not exist; the message says what does.
        """
        arguments = dict(spec)
        name, weight = arguments.get("name"), arguments.pop("weight", 1.0)
        view, stage = arguments.pop("view", "output"), arguments.pop("stage", 2)
        polarity, label = arguments.pop("polarity", None), arguments.pop("as", name)
        own = ("weight", "view", "stage", "polarity", "as")
        criterion = build_named(CRITERIA, arguments, "criteria", own)
        polarity = criterion.polarities[0] if polarity is None else polarity
        for key, value, known in (
            ("view", view, VIEWS),
            ("polarity", polarity, criterion.polarities),
            ("stage", stage, (1, 2)),
        ):
            if value not in known:
                raise ConfigError(
                    f"criteria: {key} of {name} is one of {', '.join(map(str, known))}, not {value!r}"
                )
        if isinstance(weight, bool) or not isinstance(weight, (int, float)) or weight < 0:
            raise ConfigError(f"criteria: weight of {name} is a number of 0 or more, not {weight!r}")
        if stage == 1 and (criterion.needs or polarity != "attract"):
            raise ConfigError(
                f"criteria: {name} has no place in the first stage, which is of regression alone"
            )
        return cls(str(label), criterion, float(weight), view, polarity, stage)

    @property
    def needs(self) -> tuple[str, ...]:
        """What must be there for it."""
        return (*self.criterion.needs, *(["regression"] if self.polarity == "repel" else []))


class CriaRecipe(Recipe):
    """One step of Cria-CL.

    In the first stage the criteria of stage 1 judge both the structure view and the output. In the second
    every criterion judges the view that it was declared for; the discriminator learns in the same step, from
    the same batch. For the first `texture_optimiser.after` steps of it the discriminator alone learns: beside
    a network that is trained already, one that starts from nothing may never catch up.
    """

    network: Cria
    methods = ("views",)

    def __init__(self, config: CriaConfig) -> None:
        self.config, self.companions, self.fixed = config, {}, []
        self.workers = config.data.workers
        network = build_network(config.network)
        if not isinstance(network, Cria):
            raise ConfigError("recipe cria trains a network of cria alone, not of basenet and condition")
        if network.scale != config.data.scale:
            raise ConfigError(f"network.cria.scale is {network.scale} but data.scale is {config.data.scale}")
        if config.data.patch % network.multiple:
            raise ConfigError(
                f"data.patch {config.data.patch}: the network needs a multiple of {network.multiple}"
            )
        self.network = network
        self.parameters = {"network": list(network.parameters())}
        self.criteria = [Declared.of(spec) for spec in config.criteria]
        names = [declared.name for declared in self.criteria]
        if len(set(names)) < len(names):
            raise ConfigError("criteria: to declare one twice, give one of them another name by the key as")
        needed = {need for declared in self.criteria for need in declared.needs}
        if config.pixel_steps and not any(declared.stage == 1 for declared in self.criteria):
            raise ConfigError("criteria: pixel_steps needs a criterion of stage 1")
        if "discriminator" in needed or config.features.network == "discriminator":
            if config.discriminator is None:
                raise ConfigError("discriminator: these criteria need one")
            need_one_device(config, "a discriminator")
            adversarial = [d.criterion for d in self.criteria if isinstance(d.criterion, Adversarial)]
            self._discriminate = (adversarial or [Adversarial()])[0].discriminator
            self.companions["discriminator"] = build_discriminator(config.discriminator)
            self.parameters["discriminator"] = list(self.companions["discriminator"].parameters())
        if "regression" in needed and config.contrast.regression == "frozen":
            frozen = build_network(config.network)
            self.companions["regression"] = frozen.requires_grad_(False).eval()
        self._features: Callable[[Tensor], Any] | None = None
        if "features" in needed:
            section = config.features
            if section.network == "discriminator":
                self._features = self._discriminator_features
            else:
                features = load_features(section.network, section.weights, section.layers)
                self.fixed.append(features)
                self._features = features

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
                self._pool = PairPool(self._cutter, degradation, slots, data.group, data.scale, device)

    def phase(self, place: float) -> str:
        """See `Recipe.phase`: the two stages."""
        return PIXEL if place < self.config.pixel_steps else ALL

    def enter(self, phase: str) -> None:
        """See `Recipe.enter`: what the second stage is contrasted with is the network that it begins with."""
        if phase == ALL and "regression" in self.companions:
            self.companions["regression"].load_state_dict(self.network.state_dict())

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
        """See `Recipe.section`: each stage has a schedule of its own."""
        config = self.config
        if group == "network" and place < config.pixel_steps:
            return config.optimiser, place, min(config.pixel_steps, config.steps)
        sections = {"network": config.texture_optimiser, "discriminator": config.discriminator_optimiser}
        return sections[group], max(0, place - config.pixel_steps), config.steps - config.pixel_steps

    def stage(self, step: int, place: float) -> Stage:
        """See `Recipe.stage`."""
        if self.phase(place) == PIXEL:
            return Stage(PIXEL, ("network",))
        groups = self.begun(place)
        if groups == ("discriminator",):
            return Stage("discriminator", groups)
        return Stage(ALL, groups, measured=(step + 1) % self.config.log_every == 0)

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
            drawn = {"picks": batch.picks, "offset": batch.offset, "poses": batch.poses}
            return {name: torch.from_numpy(array) for name, array in drawn.items()}
        if isinstance(batch, PairBatch):  # 8 bit: they become photos on the training device
            return {"lr": torch.from_numpy(batch.lr), "hr": torch.from_numpy(batch.hr)}
        lr, hr = self.degraded(batch)
        return {"lr": lr, "hr": hr}

    def losses(self, network: Any, inputs: Mapping[str, Tensor], stage: Stage) -> Losses:  # noqa: ANN401
        """See `Recipe.losses`."""
        lr, hr = self._images(inputs)  # (N, 3, h, w) and (N, 3, sh, sw)
        if stage.name == "discriminator":
            with torch.no_grad():
                output = network.views(lr).output
            alone, _ = self._discriminator_loss(hr, output)
            return Losses([(alone, stage.groups)], {"total": alone, "discriminator": alone})
        views: Views = network.views(lr)
        seen = {"structure": views.structure, "output": views.output}
        if stage.name == PIXEL:
            return self._first_stage(seen, hr)
        return self._second_stage(seen, views.mask, lr, hr, stage.measured)

    @torch.no_grad()
    def _images(self, inputs: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """LR (N, 3, h, w) and HR (N, 3, sh, sw) of a batch, RGB in [0, 1]."""
        if "picks" in inputs:
            patch = self.config.data.patch
            return self._pool.draw(inputs["picks"], inputs["offset"], inputs["poses"], patch)
        return _unit(inputs["lr"]), _unit(inputs["hr"])

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

    def _first_stage(self, seen: dict[str, Tensor], hr: Tensor) -> Losses:
        made = Restored(seen, hr)
        terms = {}
        for declared in self.criteria:
            if declared.stage == 1:
                values = [declared.criterion(made, view, "attract") for view in VIEWS]
                terms[declared.name] = torch.stack(values).mean()
        total = sum(d.weight * terms[d.name] for d in self.criteria if d.name in terms)
        assert isinstance(total, Tensor)
        return Losses([(total, ("network",))], {"total": total, **terms})

    def _second_stage(
        self, seen: dict[str, Tensor], mask: Tensor | None, lr: Tensor, hr: Tensor, measured: bool
    ) -> Losses:
        regression = seen["structure"].detach()
        if "regression" in self.companions:
            with torch.no_grad():
                regression = self.companions["regression"](lr)
        texture = None if mask is None else 1 - mask.mean(1, keepdim=True)  # (N, 1, sH, sW)
        judge = self.companions.get("discriminator")
        objectives: list[tuple[Tensor, tuple[str, ...]]] = []
        logged: dict[str, Tensor] = {}
        real = None
        if judge is not None:
            logged["discriminator"], real = self._discriminator_loss(hr, seen["output"].detach())
            objectives.append((logged["discriminator"], ("discriminator",)))
        # The network is differentiated by its own weights alone, so the discriminator judges as it is.
        made = Restored(seen, hr, regression, texture, self._features, judge, real)
        terms = {d.name: d.criterion(made, d.view, d.polarity) for d in self.criteria}
        total = sum(d.weight * terms[d.name] for d in self.criteria)
        assert isinstance(total, Tensor)
        objectives.append((total, ("network",)))
        if measured:
            logged |= self._gradients(seen, terms)
        return Losses(objectives, {"total": total, **logged, **terms})

    def _discriminator_loss(self, hr: Tensor, output: Tensor) -> tuple[Tensor, Tensor]:
        """The discriminator's loss, and what it says of the truth: (N, 1, h', w'), without a gradient."""
        judge = self.companions["discriminator"]
        real = judge(hr)
        return self._discriminate(real, judge(output)), real.detach()

    def _gradients(self, seen: dict[str, Tensor], terms: dict[str, Tensor]) -> dict[str, Tensor]:
        """The contrast of the criteria, made visible: where each would move the image that it judges.

        Returns:
            The norm of each weighted criterion's gradient with respect to its view, and the cosine between
            each two.
        """
        gradients = {}
        for declared in self.criteria:
            (gradient,) = torch.autograd.grad(
                declared.weight * terms[declared.name], seen[declared.view], retain_graph=True
            )
            gradients[declared.name] = gradient.detach().float().flatten()
        logged = {f"gradient/{name}": gradient.norm() for name, gradient in gradients.items()}
        for (a, x), (b, y) in combinations(gradients.items(), 2):
            logged[f"cosine/{a}, {b}"] = nn.functional.cosine_similarity(x, y, dim=0)
        return logged

    def _discriminator_features(self, x: Tensor) -> list[Tensor]:
        """The discriminator's own features, where no other network's weights are at hand."""
        judge = self.companions["discriminator"]
        assert isinstance(judge, Discriminator)
        return judge.features(x)

    @torch.no_grad()
    def _restore(self, lr: Tensor) -> Tensor:
        """(1, 3, h, w) -> (1, 3, sh, sw)."""
        return self.network.restore(lr).float().clamp(0, 1)


def _unit(images: Tensor) -> Tensor:
    """Photos in 8 bit to [0, 1]; others are as they are."""
    return images.float() / 255 if images.dtype == torch.uint8 else images
