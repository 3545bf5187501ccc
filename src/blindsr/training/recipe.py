"""What a recipe is: everything of a training run that is not the loop."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any

from lightning.fabric import Fabric
from torch import Tensor, nn
from torch.utils.data import Dataset

from blindsr.degradation import TaskSpace, read_space
from blindsr.errors import ConfigError, InputError
from blindsr.network import Restorer
from blindsr.training.config import CMDSRConfig, CriaConfig, OptimiserSection
from blindsr.training.initial import load_initial
from blindsr.training.schedule import learning_rate
from blindsr.training.validation import Restore, Validation


class Recipe(ABC):
    """One paradigm of training.

    Attributes:
        network: What is trained, averaged and exported.
        companions: Networks that checkpoints keep beside it (and that may be trained), by name.
        fixed: Networks that only judge: on the training device, and in no checkpoint.
        workers: Processes that make batches; 0: the training process itself.
        parameters: What is optimised, in groups; each has an Adam of its own.
        methods: Methods of `network` that run it, beside calling it.
    """

    network: Restorer
    companions: dict[str, nn.Module]
    fixed: list[nn.Module]
    workers: int
    parameters: dict[str, list[nn.Parameter]]
    methods: tuple[str, ...] = ()

    @abstractmethod
    def load_data(self) -> None:
        """Find the photos and decode them; the processes of a machine do it one after the other."""

    @abstractmethod
    def dataset(self, rank: int) -> Dataset[Any]:
        """The batches of this run; item k is that of step k, and tells as text where it comes from."""

    @abstractmethod
    def validation(self) -> Validation | None:
        """What is measured on the photos held out; None without such photos."""

    @abstractmethod
    def restore(self) -> Restore:
        """How validation restores a photo by `network` as it is."""

    @abstractmethod
    def section(self, group: str, step: int) -> tuple[OptimiserSection, int, int]:
        """How a parameter group is optimised: the section, and the step's place among so many steps."""

    @abstractmethod
    def updated(self, step: int) -> list[str]:
        """Which parameter groups this step updates."""

    def begun(self, step: int) -> list[str]:
        """Parameter groups that this step does not leave as they are by their section's `after`."""
        sections = {name: self.section(name, step) for name in self.parameters}
        return [name for name, (section, place, _) in sections.items() if place >= section.after]

    @abstractmethod
    def losses(self, network: Any, batch: Any, fabric: Fabric) -> dict[str, Tensor]:  # noqa: ANN401
        """Run the networks on a batch.

        Args:
            network: `self.network`, as Fabric wrapped it.
            batch: One item of the dataset.
            fabric: Says on which device.

        Returns:
            Scalars: "total", which is to be differentiated, and what else is to be logged. A name without a
            slash is that of a loss.
        """

    def initialise(self, path: str) -> None:
        """Start from the weights that the configuration names as `init`."""
        load_initial(self.network, path, self.spec)

    @property
    @abstractmethod
    def spec(self) -> dict[str, Any]:
        """Hyper-parameters of the network."""

    def rate(self, group: str, step: int) -> float:
        """Learning rate of a parameter group."""
        return learning_rate(*self.section(group, step))


def degradation_space(config: CMDSRConfig | CriaConfig) -> TaskSpace:
    """The space that a configuration names or spells out.

    Raises:
        ConfigError: No space of that name, or a range that it does not have.
    """
    try:
        return replace(read_space(config.data.degradations), scale=config.data.scale)
    except InputError as error:
        raise ConfigError(f"data.degradations: {error}") from None


def need_one_device(config: CMDSRConfig | CriaConfig, why: str) -> None:
    """Refuse several devices: companions that are trained have no gradients in common there.

    Raises:
        ConfigError: The configuration asks for more than one.
    """
    if str(config.devices) != "1":
        raise ConfigError(f"devices: with {why} one device trains, not more")
