"""What a recipe is: everything of a training run that is not the loop."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from blindsr.degradation import TaskSpace, read_space
from blindsr.errors import ConfigError, InputError
from blindsr.network import Restorer
from blindsr.training import processes
from blindsr.training.config import CMDSRConfig, CriteriaConfig, CropSection, DataSection, OptimiserSection
from blindsr.training.initial import load_initial
from blindsr.training.schedule import decays_from
from blindsr.training.validation import Restore, Validation


@dataclass(frozen=True)
class Stage:
    """One kind of step: steps of a stage do the same operations on tensors of the same shapes.

    Args:
        name: What logs and messages call it.
        groups: The parameter groups that it updates.
        measured: It also logs the gradients of the criteria.
    """

    name: str
    groups: tuple[str, ...]
    measured: bool = False


@dataclass
class Losses:
    """What a step makes of a batch.

    Args:
        objectives: Scalars to be minimised, each with the parameter groups that it is differentiated by.
        logged: Scalars by name; one without a slash is that of a loss.
    """

    objectives: list[tuple[Tensor, tuple[str, ...]]]
    logged: dict[str, Tensor]


class Recipe(ABC):
    """One paradigm of training.

    Attributes:
        network: What is trained, averaged and exported.
        auxiliary: Networks that checkpoints keep beside it (and that may be trained), by name.
        fixed: Networks that only judge: on the training device, and in no checkpoint.
        workers: Processes that draw batches; 0: the training process itself.
        parameters: What is optimised, in groups; each has an Adam of its own.
        methods: Methods of `network` that run it, beside calling it.
    """

    network: Restorer
    auxiliary: dict[str, nn.Module]
    fixed: list[nn.Module]
    workers: int
    parameters: dict[str, list[nn.Parameter]]
    methods: tuple[str, ...] = ()

    @abstractmethod
    def load_data(self, device: torch.device) -> None:
        """Find the photos and decode them; the processes of a machine do it one after the other.

        Args:
            device: Where the run trains, so where patches are cut and degraded.
        """

    def phase(self, place: float) -> str:
        """The part of the run that a place of the schedule lies in; batches may differ between parts."""
        return ""

    def enter(self, phase: str) -> None:  # noqa: B027 - most recipes have nothing to do
        """A phase begins now (and is not resumed)."""

    @abstractmethod
    def dataset(self, rank: int, phase: str = "") -> Dataset[Any]:
        """The batches of a phase; item k is that of step k, and tells as text where it comes from."""

    @abstractmethod
    def prepare(self, batch: Any) -> dict[str, Tensor]:  # noqa: ANN401
        """Bring an item of the dataset to what `losses` takes: what cannot be part of a recorded step."""

    @abstractmethod
    def validation(self) -> Validation | None:
        """What is measured on the photos held out; None without such photos."""

    @abstractmethod
    def restore(self) -> Restore:
        """How validation restores a photo by `network` as it is."""

    @abstractmethod
    def section(self, group: str, place: float) -> tuple[OptimiserSection, float, float]:
        """How a parameter group is optimised: the section, and the place in a schedule of such a length."""

    def decays(self, place: float, places: float) -> bool:
        """Whether a "stable" rate is falling towards the end of the run, at this place of `places`."""
        for group in self.parameters:
            section, at, length = self.section(group, place)
            lasts = place - at + length >= places  # the last part of the run
            if section.schedule == "stable" and lasts and at > decays_from(section, length):
                return True
        return False

    def shares(self, group: str) -> list[tuple[float, list[nn.Parameter]]]:
        """Parameters of a group by their share of its learning rate: most recipes have all of it for all."""
        return [(1.0, self.parameters[group])]

    @abstractmethod
    def stage(self, step: int, place: float) -> Stage:
        """What kind of step comes."""

    @abstractmethod
    def patches(self, stage: Stage) -> int:
        """Patches that the network restores in a step."""

    def begun(self, place: float) -> tuple[str, ...]:
        """Parameter groups that their section's `after` does not leave as they are."""
        sections = {name: self.section(name, place) for name in self.parameters}
        return tuple(name for name, (section, at, _) in sections.items() if at >= section.after)

    @abstractmethod
    def losses(self, network: Any, inputs: Mapping[str, Tensor], stage: Stage) -> Losses:  # noqa: ANN401
        """Run the networks on a batch. Tensors in, tensors out: it may be recorded (see `TrainingStep`).

        Args:
            network: `self.network`, or what wraps it where several devices train.
            inputs: What `prepare` gave, on the training device.
            stage: What kind of step it is.
        """

    def initialise(self, path: str) -> None:
        """Start from the weights that the configuration names as `init`."""
        load_initial(self.network, path, self.spec)

    def origins(self) -> dict[str, Any]:
        """What its weights learn from beside photos: its "teacher", if it has one."""
        return {}

    @property
    @abstractmethod
    def spec(self) -> dict[str, Any]:
        """Hyper-parameters of the network."""


def degradation_space(config: CMDSRConfig | CriteriaConfig) -> TaskSpace:
    """The space that a configuration names or spells out.

    Raises:
        ConfigError: No space of that name, or a range that it does not have.
    """
    try:
        return replace(read_space(config.data.degradations), scale=config.data.scale)
    except InputError as error:
        raise ConfigError(f"data.degradations: {error}") from None


def degrades_in_batches(data: DataSection | CropSection, device: torch.device) -> bool:
    """Whether patches are degraded all in one go: a GPU launches less then, a CPU computes more."""
    return data.degrade == "batched" or (data.degrade == "auto" and device.type == "cuda")


def need_one_device(config: CMDSRConfig | CriteriaConfig, why: str) -> None:
    """Refuse several devices: auxiliary networks that are trained have no gradients in common there.

    Raises:
        ConfigError: The configuration asks for more than one, or for several batches in a step.
    """
    if str(config.devices) != "1" or processes.of_launcher():
        raise ConfigError(f"devices: with {why} one device trains, not more")
    if config.shards not in (None, 1):
        raise ConfigError(f"shards: with {why} a step has one batch, not more")
