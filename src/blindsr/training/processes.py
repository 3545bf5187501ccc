"""The processes of a run: which there are, here and on other machines, and which batches are whose.

A step is made of `shards` batches. Batch k is a function of the seed, the step and k alone, so that the same
run can go on with more or fewer processes than it began with: each takes its share of the batches, and
gradients and losses are means over all of them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

import torch
from lightning.fabric import Fabric
from lightning.fabric.strategies import DDPStrategy
from torch.utils.data import Dataset

from blindsr.errors import ConfigError
from blindsr.training.config import TrainConfig

T = TypeVar("T")


def of_launcher() -> int:
    """Processes that torchrun has started, on all machines; 0 where it has not."""
    return int(os.environ["WORLD_SIZE"]) if "TORCHELASTIC_RUN_ID" in os.environ else 0


def is_first() -> bool:
    """Whether this is the process that speaks for all of a run."""
    return int(os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0"))) == 0


def launch(config: TrainConfig) -> Fabric:
    """Start the processes of a run, or join those that a launcher has started.

    Raises:
        ConfigError: They cannot share out the batches of a step evenly.
    """
    devices, machines, alone = config.devices, 1, config.devices in (1, "1")
    if started := of_launcher():
        devices = int(os.environ["LOCAL_WORLD_SIZE"])
        machines, alone = started // devices, started == 1
    fabric = Fabric(
        accelerator=config.accelerator,
        devices=devices,
        num_nodes=machines,
        # Steps that leave the ConditionNet alone have parameters without a gradient.
        strategy="auto" if alone else DDPStrategy(find_unused_parameters=True),
    )
    fabric.launch()
    if all_shards(config, fabric) % fabric.world_size:
        raise ConfigError(
            f"shards: {config.shards} batches cannot be shared out evenly among {fabric.world_size} processes"
        )
    return fabric


def all_shards(config: TrainConfig, fabric: Fabric) -> int:
    """How many batches a step has, those of all processes together."""
    return config.shards or fabric.world_size


def own_shards(config: TrainConfig, fabric: Fabric) -> range:
    """Numbers of the batches of a step that are this process's."""
    each = all_shards(config, fabric) // fabric.world_size
    return range(fabric.global_rank * each, (fabric.global_rank + 1) * each)


class Sharded(Dataset[list[Any]]):
    """Several data sets as one: item k is the list of their items k."""

    def __init__(self, shards: Sequence[Dataset[Any]]) -> None:
        self.shards = shards

    def __len__(self) -> int:
        return len(self.shards[0])  # type: ignore[arg-type]

    def __getitem__(self, step: int) -> list[Any]:
        return [shard[step] for shard in self.shards]


def apart(fabric: Fabric, network: Any) -> AbstractContextManager[Any]:  # noqa: ANN401
    """Within it, gradients are added without those of other processes."""
    return nullcontext() if fabric.world_size == 1 else fabric.no_backward_sync(network)


def agreed(decided: T, fabric: Fabric) -> T:
    """What the first of several processes says: none may go on, or end, without the others."""
    return decided if fabric.world_size == 1 else fabric.broadcast(decided)


def averaged(losses: dict[str, float], fabric: Fabric) -> dict[str, float]:
    """Means of losses over all processes, which have the same ones."""
    if fabric.world_size == 1 or not losses:
        return losses
    means = fabric.all_reduce(torch.tensor(list(losses.values()), device=fabric.device), reduce_op="mean")
    return dict(zip(losses, torch.as_tensor(means).tolist(), strict=True))
