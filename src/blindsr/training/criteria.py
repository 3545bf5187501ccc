"""The criteria of Cria-CL as a configuration declares them, and how they judge a batch (arXiv 2207.12767)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, cast

import torch
from torch import Tensor, nn

from blindsr.checkpoint.reading import load_features
from blindsr.errors import ConfigError
from blindsr.loss import CRITERIA
from blindsr.loss.adversarial import Adversarial
from blindsr.loss.criterion import VIEWS, Criterion, Distance, Restored, Taught
from blindsr.network import Discriminator, build_discriminator, build_named
from blindsr.network.views import Views
from blindsr.training.config import CriteriaConfig, OptimiserSection
from blindsr.training.recipe import Losses, Stage, need_one_device

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
        teacher: How far the teacher's image is its target where a photo is damaged, 0 to 1.
    """

    name: str
    criterion: Criterion
    weight: float
    view: str
    polarity: str
    stage: int
    teacher: float = 0.0

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
        teacher = arguments.pop("teacher", 0.0)
        own = ("weight", "view", "stage", "polarity", "as", "teacher")
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
        if isinstance(teacher, bool) or not isinstance(teacher, (int, float)) or not 0 <= teacher <= 1:
            raise ConfigError(f"criteria: teacher of {name} is a number of 0 to 1, not {teacher!r}")
        if teacher and not (isinstance(criterion, Distance) and polarity == "attract"):
            raise ConfigError(f"criteria: {name} is no distance from a target, so it can follow no teacher")
        return cls(str(label), criterion, float(weight), view, polarity, stage, float(teacher))

    def judge(self, made: Restored) -> Tensor:
        """What it says of a batch, a scalar."""
        if self.teacher:
            assert isinstance(self.criterion, Distance)
            return self.criterion.with_teacher(made, self.view, self.teacher)
        judged: Tensor = self.criterion(made, self.view, self.polarity)
        return judged

    @property
    def needs(self) -> tuple[str, ...]:
        """What must be there for it."""
        return (*self.criterion.needs, *(["regression"] if self.polarity == "repel" else []))


class Criteria:
    """Everything that judges in a run, and the two stages in which it does.

    In the first stage the criteria of stage 1 judge both the structure view and the output. In the second
    every criterion judges the view that it was declared for; the discriminator learns in the same step, from
    the same batch. For the first `texture_optimiser.after` steps of it the discriminator alone learns: beside
    a network that is trained already, one that starts from nothing may never catch up.

    Args:
        config: Of the run.

    Attributes:
        declared: The criteria.
        auxiliary: The discriminator, if one is needed.
        parameters: Its weights, as a parameter group.
        fixed: The networks that make features.
        freezes: Whether the network of the end of the first stage is what the second is contrasted with.

    Raises:
        ConfigError: What is declared cannot be.
    """

    def __init__(self, config: CriteriaConfig) -> None:
        self.config = config
        self.auxiliary: dict[str, nn.Module] = {}
        self.parameters: dict[str, list[nn.Parameter]] = {}
        self.fixed: list[nn.Module] = []
        self.declared = [Declared.of(spec) for spec in config.criteria]
        names = [declared.name for declared in self.declared]
        if len(set(names)) < len(names):
            raise ConfigError("criteria: to declare one twice, give one of them another name by the key as")
        followed = any(declared.teacher for declared in self.declared)
        if followed != (config.teacher is not None):
            missing = "criteria: none follows the teacher (by a key teacher: 0.8, say)"
            raise ConfigError("teacher: these criteria need one" if followed else missing)
        needed = {need for declared in self.declared for need in declared.needs}
        if config.pixel_steps and not any(declared.stage == 1 for declared in self.declared):
            raise ConfigError("criteria: pixel_steps needs a criterion of stage 1")
        self.freezes = "regression" in needed and config.contrast.regression == "frozen"
        if "discriminator" in needed or config.features.network == "discriminator":
            if config.discriminator is None:
                raise ConfigError("discriminator: these criteria need one")
            need_one_device(config, "a discriminator")
            adversarial = [d.criterion for d in self.declared if isinstance(d.criterion, Adversarial)]
            self._discriminate = (adversarial or [Adversarial()])[0].discriminator
            judge = build_discriminator(config.discriminator)
            self.auxiliary["discriminator"] = judge
            self.parameters["discriminator"] = list(judge.parameters())
        self._features: Callable[[Tensor], Any] | None = None
        if "features" in needed:
            section = config.features
            if section.network == "discriminator":
                self._features = self._discriminator_features
            else:
                features = load_features(section.network, section.weights, section.layers)
                self.fixed.append(features)
                self._features = features

    def phase(self, place: float) -> str:
        """See `Recipe.phase`: the two stages."""
        return PIXEL if place < self.config.pixel_steps else ALL

    def section(self, group: str, place: float) -> tuple[OptimiserSection, float, float]:
        """See `Recipe.section`: each stage has a schedule of its own, and the discriminator the second's."""
        config = self.config
        if group != "discriminator" and place < config.pixel_steps:
            return config.optimiser, place, min(config.pixel_steps, config.steps)
        section = config.discriminator_optimiser if group == "discriminator" else config.texture_optimiser
        return section, max(0, place - config.pixel_steps), config.steps - config.pixel_steps

    def stage(self, step: int, place: float, begun: tuple[str, ...]) -> Stage:
        """See `Recipe.stage`; of the parameter groups that have begun."""
        if self.phase(place) == PIXEL:
            return Stage(PIXEL, tuple(group for group in begun if group != "discriminator"))
        if begun == ("discriminator",):
            return Stage("discriminator", begun)
        return Stage(ALL, begun, measured=(step + 1) % self.config.log_every == 0)

    def losses(
        self,
        views: Views,
        hr: Tensor,
        stage: Stage,
        frozen: Callable[[], Tensor] | None = None,
        taught: Taught | None = None,
    ) -> Losses:
        """What a batch costs the network, and the discriminator; objectives name the groups of the stage.

        Args:
            views: What the network made of it, (N, 3, sh, sw) each, RGB in [0, 1].
            hr: The ground truth, same shape.
            stage: What kind of step it is.
            frozen: What the network of the end of the first stage makes of it, if the criteria want that.
            taught: What a teacher makes of it, if the criteria want that.
        """
        learners = tuple(group for group in stage.groups if group != "discriminator")
        seen = {"structure": views.structure, "output": views.output}
        if stage.name == PIXEL:
            return self._first_stage(seen, hr, learners, taught)
        regression = seen["structure"].detach() if frozen is None else frozen()
        return self._second_stage(seen, views.share, regression, hr, stage.measured, learners, taught)

    def discriminator_alone(self, hr: Tensor, output: Tensor, stage: Stage) -> Losses:
        """What a batch costs the discriminator, (N, 3, sh, sw) each."""
        loss, _ = self._discriminator_loss(hr, output)
        return Losses([(loss, stage.groups)], {"total": loss, "discriminator": loss})

    def _first_stage(
        self, seen: dict[str, Tensor], hr: Tensor, learners: tuple[str, ...], taught: Taught | None
    ) -> Losses:
        made = Restored(seen, hr, taught=taught)
        terms = {}
        for declared in self.declared:
            if declared.stage == 1:
                values = [replace(declared, view=view).judge(made) for view in VIEWS]
                terms[declared.name] = torch.stack(values).mean()
        total = sum(d.weight * terms[d.name] for d in self.declared if d.name in terms)
        assert isinstance(total, Tensor)
        return Losses([(total, learners)], {"total": total, **terms})

    def _second_stage(
        self,
        seen: dict[str, Tensor],
        share: Tensor | None,
        regression: Tensor,
        hr: Tensor,
        measured: bool,
        learners: tuple[str, ...],
        taught: Taught | None,
    ) -> Losses:
        judge = self.auxiliary.get("discriminator")
        objectives: list[tuple[Tensor, tuple[str, ...]]] = []
        logged: dict[str, Tensor] = {}
        real = None
        if judge is not None:
            logged["discriminator"], real = self._discriminator_loss(hr, seen["output"].detach())
            objectives.append((logged["discriminator"], ("discriminator",)))
        # The network is differentiated by its own weights alone, so the discriminator judges as it is.
        made = Restored(seen, hr, regression, share, self._features, judge, real, taught)
        terms = {d.name: d.judge(made) for d in self.declared}
        total = sum(d.weight * terms[d.name] for d in self.declared)
        assert isinstance(total, Tensor)
        objectives.append((total, learners))
        if measured:
            logged |= self._gradients(seen, terms)
        return Losses(objectives, {"total": total, **logged, **terms})

    def _discriminator_loss(self, hr: Tensor, output: Tensor) -> tuple[Tensor, Tensor]:
        """The discriminator's loss, and what it says of the truth: (N, 1, h', w'), without a gradient."""
        judge = self.auxiliary["discriminator"]
        real = judge(hr)
        return self._discriminate(real, judge(output)), real.detach()

    def _gradients(self, seen: dict[str, Tensor], terms: dict[str, Tensor]) -> dict[str, Tensor]:
        """The contrast of the criteria, made visible: where each would move the image that it judges.

        Returns:
            The norm of each weighted criterion's gradient with respect to its view, and the cosine between
            each two.
        """
        gradients = {}
        for declared in self.declared:
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
        judge = self.auxiliary["discriminator"]
        return cast(Discriminator, judge).features(x)
