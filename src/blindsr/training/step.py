"""One training step: losses, gradients, optimisers and the average, on buffers that stay where they are.

On a CPU a step is a plain call. On a CUDA device every kind of step is recorded once as a graph and replayed
with new inputs in the same buffers: one launch in place of thousands, each of which would take longer to
launch than to run. Nothing within a step may therefore ask the device for a number, depend on one that the
host has, or make a tensor of the host's numbers: learning rates, the average's decay and the number of the
step are written into tensors beforehand.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from blindsr.training.checkpoint import Position
from blindsr.training.config import TrainConfig
from blindsr.training.ema import WeightAverage
from blindsr.training.meter import LossMeter
from blindsr.training.recipe import Recipe, Stage
from blindsr.training.schedule import learning_rate

Inputs = dict[str, Tensor]

_WARM_UP = 3
"""Steps of a kind that run as they are before one is recorded: optimisers and libraries allocate in them."""
_AHEAD = 2
"""Steps that the host may be ahead of the device."""


class TrainingStep:
    """Everything that a batch does to a run.

    Args:
        recipe: What is trained, and how.
        network: `recipe.network`, or what wraps it where several devices train.
        average: Follows it.
        config: Of the run.
        device: Where it trains.
        bfloat16: Whether products are taken in bfloat16.
        apart: Within this context processes do not exchange the gradients that are added.
    """

    def __init__(
        self,
        recipe: Recipe,
        network: Any,  # noqa: ANN401
        average: WeightAverage,
        config: TrainConfig,
        device: torch.device,
        bfloat16: bool,
        apart: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> None:
        self.recipe, self.network, self.average = recipe, network, average
        self.device, self.bfloat16, self._apart = device, bfloat16, apart
        self.meter = LossMeter(device)
        self._alone = network is recipe.network
        self._recording = device.type == "cuda" and config.graphs and self._alone
        if self._recording:
            torch.backends.cudnn.benchmark = True  # shapes are always the same
        self._losses = torch.compile(recipe.losses) if config.compile else recipe.losses
        self.optimisers = {name: self._adam(recipe.shares(name), recipe, name) for name in recipe.parameters}
        self._buffers: dict[Any, Inputs] = {}
        self._graphs: dict[Any, torch.cuda.CUDAGraph] = {}
        self._names: dict[Any, list[str]] = {}
        self._seen: Counter[Any] = Counter()
        self._issued: deque[torch.cuda.Event] = deque()

    def __call__(self, at: Position, stage: Stage, shards: list[Inputs]) -> None:
        """Take a step.

        Args:
            at: Its number, and its place in the schedule.
            stage: What kind of step it is.
            shards: What the recipe prepared of each of the step's batches.
        """
        place = at.place
        self._set_rates(stage, place)
        self.average.count()
        self.meter.begin(at.step)
        if self._recording and len(shards) == 1:
            self.meter.count(self._replay(place, stage, shards[0]))
            return
        for names in self._run(place, stage, shards):
            self.meter.count(names)

    def autocast(self) -> AbstractContextManager[Any]:
        """The precision of the run, as a context."""
        if not self.bfloat16:
            return nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)

    def rates(self, stage: Stage, place: float) -> dict[str, float]:
        """Learning rate of every parameter group that a stage updates."""
        return {name: learning_rate(*self.recipe.section(name, place)) for name in stage.groups}

    def _adam(
        self, shares: list[tuple[float, list[torch.nn.Parameter]]], recipe: Recipe, name: str
    ) -> torch.optim.Adam:
        section, _, _ = recipe.section(name, 0)
        groups: list[dict[str, Any]] = []
        for share, parameters in shares:
            rate: Any = section.lr * share
            if self._recording:  # a recorded step reads its rate from a tensor
                rate = torch.tensor(rate, device=self.device)
            # A weight stored 1 / share times as large has gradients share times as large, beside which Adam's
            # constant must be as large as beside its own.
            groups.append({"params": parameters, "lr": rate, "eps": 1e-8 / share, "share": share})
        return torch.optim.Adam(
            groups, section.lr, section.betas, fused=self.device.type in ("cpu", "cuda"),
            capturable=self._recording,
        )  # fmt: skip

    def _set_rates(self, stage: Stage, place: float) -> None:
        for name, rate in self.rates(stage, place).items():
            section, _, _ = self.recipe.section(name, place)
            for group in self.optimisers[name].param_groups:
                group["betas"] = section.betas
                if isinstance(group["lr"], Tensor):
                    group["lr"].fill_(rate * group["share"])
                else:
                    group["lr"] = rate * group["share"]

    def _run(self, place: float, stage: Stage, shards: Sequence[Inputs]) -> list[list[str]]:
        """The step itself; returns the names of what each of its batches logged."""
        names = []
        for number, inputs in enumerate(shards, 1):
            on_device = {name: tensor.to(self.device) for name, tensor in inputs.items()}
            # Processes exchange their gradients once, with those of the last batch.
            with nullcontext() if number == len(shards) else self._apart():
                names.append(self._differentiate(stage, on_device, len(shards)))
        for name in stage.groups:
            section, _, _ = self.recipe.section(name, place)
            if section.clip:
                # Parameters by group: a clip of the whole network would mix the two optimisations.
                torch.nn.utils.clip_grad_norm_(self.recipe.parameters[name], section.clip)
            self.optimisers[name].step()
        self._forget_gradients()
        self.average.follow(self.recipe.network)
        return names

    def _differentiate(self, stage: Stage, inputs: Mapping[str, Tensor], count: int) -> list[str]:
        """Add the gradients of one of so many batches; returns the names of what was logged."""
        judge = self.recipe.losses if stage.measured else self._losses  # gradients within are not compiled
        with self.autocast():
            losses = judge(self.network, inputs, stage)
        for loss, groups in losses.objectives:
            share = loss / count if count > 1 else loss
            if not self._alone:  # gradients are exchanged by hooks, which want all of them
                share.backward()
                continue
            parameters = [p for name in groups if name in stage.groups for p in self.recipe.parameters[name]]
            if parameters:  # others get no gradient, and nothing is computed for them
                torch.autograd.backward(share, inputs=parameters)
        return self.meter.add(losses.logged)

    def _forget_gradients(self) -> None:
        for optimiser in self.optimisers.values():
            optimiser.zero_grad()

    def _replay(self, place: float, stage: Stage, inputs: Inputs) -> list[str]:
        """A step on a CUDA device: as it is at first, then recorded, then replayed."""
        key = (stage, *((name, tuple(t.shape), t.dtype) for name, t in sorted(inputs.items())))
        if key not in self._buffers:
            self._buffers[key] = {n: torch.empty_like(t, device=self.device) for n, t in inputs.items()}
        buffers = self._buffers[key]
        for name, tensor in inputs.items():  # pinned memory is read while the host goes on
            buffers[name].copy_(tensor if tensor.is_cuda else tensor.pin_memory(), non_blocking=True)
        if self._seen[key] < _WARM_UP or stage.measured:
            here, side = torch.cuda.current_stream(self.device), torch.cuda.Stream(self.device)
            side.wait_stream(here)
            with torch.cuda.stream(side):
                (self._names[key],) = self._run(place, stage, [buffers])
            here.wait_stream(side)
        else:
            if key not in self._graphs:
                self._graphs[key] = torch.cuda.CUDAGraph()
                with torch.cuda.graph(self._graphs[key]):
                    self._run(place, stage, [buffers])
            self._graphs[key].replay()
        self._seen[key] += 1
        self._keep_pace()
        return self._names[key]

    def _keep_pace(self) -> None:
        """Wait until the device is no further behind than `_AHEAD` steps: time is told by the host."""
        event = torch.cuda.Event()
        event.record()
        self._issued.append(event)
        if len(self._issued) > _AHEAD:
            self._issued.popleft().synchronize()
