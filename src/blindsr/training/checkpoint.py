"""Checkpoints of a run: all that it needs to go on to the very same end, and its weights alone."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from blindsr.checkpoint.reading import FORMAT, is_ours, read_tensors
from blindsr.errors import ConfigError, ModelError
from blindsr.system.files import atomic_path
from blindsr.system.untrusted import brief, shorten
from blindsr.training.config import TrainConfig
from blindsr.training.ema import WeightAverage
from blindsr.training.recipe import Recipe

LATEST = "latest.ckpt"
"""What is written every few seconds, for a run that is killed."""
WEIGHTS = "weights.ckpt"
"""What a finished run leaves to be exported: the averaged weights, and nothing else."""


@dataclass
class Position:
    """Where a run is.

    Args:
        step: Steps taken, those of the runs that it goes on from included; so the number of the next one.
        place: The next step's place in the schedule, see `Clock`.
        phase: See `Recipe.phase`; None before the first step.
        patches: Patches that the network has restored, likewise of all runs.
        runs: What is known of those runs, see `RunJournal.runs`.
    """

    step: int = 0
    place: float = 0.0
    phase: str | None = None
    patches: int = 0
    runs: list[dict[str, Any]] = field(default_factory=list)


class Checkpoints:
    """The files that a run leaves in its folder.

    Args:
        folder: Made with the first file.
        config: Of the run.
        recipe: Its networks.
        optimisers: By parameter group.
        average: The averaged weights.
    """

    def __init__(
        self,
        folder: Path,
        config: TrainConfig,
        recipe: Recipe,
        optimisers: dict[str, torch.optim.Adam],
        average: WeightAverage,
    ) -> None:
        self.folder, self.config, self.recipe = folder, config, recipe
        self.optimisers, self.average = optimisers, average
        self._written = time.monotonic()

    def due(self, at: Position) -> str | None:
        """The file that is to be written now, if one is."""
        if at.step % self.config.checkpoint_every == 0:
            return self.name(at)
        late = time.monotonic() - self._written >= self.config.checkpoint_seconds
        return LATEST if late else None

    def name(self, at: Position) -> str:
        """What a checkpoint that is kept is called."""
        return f"step-{at.step:08d}.ckpt"

    def write(self, name: str, at: Position, runs: list[dict[str, Any]]) -> Path:
        """Write a checkpoint, wholly or not at all, and remove the oldest of those by steps.

        Args:
            name: Of the file.
            at: Where the run is.
            runs: What is known of it, and of those before it.
        """
        content = {
            "format": FORMAT,
            "network": self.config.network,
            "state": self.recipe.network.state_dict(),
            "companions": {name: module.state_dict() for name, module in self.recipe.auxiliary.items()},
            "ema": self.average.state_dict(),
            "ema_updates": self.average.updates,
            "optimisers": {name: optimiser.state_dict() for name, optimiser in self.optimisers.items()},
            **asdict(at),
            "runs": runs,
            **with_teachers(runs),
            "config": self.config.model_dump(mode="json"),
            "rng": torch.get_rng_state(),
            "rng_cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }
        path = self._save(name, content)
        others = sorted(other for other in self.folder.glob("step-*.ckpt") if other != path)
        room = self.config.keep - (name != LATEST)  # another run may have left some of later steps
        for old in others[: max(0, len(others) - room)]:
            old.unlink()
        if name != LATEST:
            (self.folder / LATEST).unlink(missing_ok=True)
        self._written = time.monotonic()
        return path

    def write_weights(self, at: Position, runs: list[dict[str, Any]]) -> Path:
        """Write the averaged weights alone: what `init` and `blindsr export` take."""
        content = {
            "format": FORMAT,
            "network": self.config.network,
            "state": self.average.state_dict(),
            "step": at.step,
            "config": self.config.model_dump(mode="json"),  # an export looks into it
            **with_teachers(runs),  # and into this
        }
        return self._save(WEIGHTS, content)

    def _save(self, name: str, content: dict[str, Any]) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / name
        with atomic_path(path) as temporary:
            torch.save(content, temporary)
        return path


def with_teachers(runs: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The teachers of some runs, each once, as an entry of a record; no entry where there were none.

    Args:
        runs: See `RunJournal.runs`; those of a state may be of anyone.
    """
    found: list[Any] = []
    for run in runs:
        if isinstance(run, Mapping):
            before = run.get("init_teachers")
            found += before if isinstance(before, list) else []
            found += [run["teacher"]] if "teacher" in run else []
    teachers = [one for i, one in enumerate(found) if one not in found[:i]]
    return {"teachers": teachers} if teachers else {}


def restore_checkpoint(
    path: Path, recipe: Recipe, optimisers: dict[str, torch.optim.Adam], average: WeightAverage
) -> Position:
    """Go on from a checkpoint.

    Args:
        path: A file, or the folder of a run, of which the newest is taken.
        recipe: Its networks take the weights.
        optimisers: They take their moments, by parameter group.
        average: Takes the averaged weights.

    Returns:
        Where the run was.

    Raises:
        ModelError: There is none, or it is another kind of file.
        ConfigError: It is of a run with other networks or criteria.
    """
    path = newest_checkpoint(path)
    content = read_tensors(path)
    if not is_ours(content) or "optimisers" not in content:
        raise ModelError(f"{path}: not a checkpoint of a training run")
    try:
        return _restore(path, content, recipe, optimisers, average)
    except (KeyError, ValueError, TypeError, AttributeError, RuntimeError, ArithmeticError) as error:
        raise ModelError(f"{path}: damaged ({brief(error)}); resume from another checkpoint") from None


def _restore(
    path: Path,
    content: dict[str, Any],
    recipe: Recipe,
    optimisers: dict[str, torch.optim.Adam],
    average: WeightAverage,
) -> Position:
    """See `restore_checkpoint`, of what was read; a damaged one raises what comes."""
    if content["network"] != recipe.spec:
        spec = shorten(content["network"], 300)
        raise ConfigError(f"{path}: it was trained as {spec}, the configuration says {recipe.spec}")
    auxiliary = content.get("companions", {})  # as files have always called them
    if auxiliary.keys() != recipe.auxiliary.keys() or content["optimisers"].keys() != optimisers.keys():
        raise ConfigError(f"{path}: it was trained with other criteria than the configuration says")
    recipe.network.load_state_dict(content["state"])
    for name, network in recipe.auxiliary.items():
        try:
            network.load_state_dict(auxiliary[name])
        except RuntimeError:
            raise ConfigError(f"{path}: its {name} is not the one that the configuration says") from None
    average.load_state_dict(content["ema"], content["ema_updates"])
    for name, optimiser in optimisers.items():
        saved = content["optimisers"][name]
        if len(saved["param_groups"]) != len(optimiser.param_groups):
            raise ConfigError(
                f"{path}: it was trained with another value of equalised than the configuration has"
            )
        _load_moments(optimiser, saved)
    torch.set_rng_state(content["rng"])
    if content["rng_cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(content["rng_cuda"])
    step = int(content["step"])
    place = float(content.get("place", step))
    phase = content.get("phase", recipe.phase(max(0, place - 1)))
    each = recipe.patches(recipe.stage(step, place))  # former checkpoints did not count them
    patches = int(content.get("patches", step * each))
    return Position(step, place, phase, patches, content.get("runs", []))


def newest_checkpoint(path: Path) -> Path:
    """`path` itself, or the newest checkpoint in it if it is a folder.

    Raises:
        ModelError: There is none.
    """
    if not path.is_dir():
        return path
    latest = path / LATEST
    if latest.exists():  # it goes when a later one is written
        return latest
    checkpoints = sorted(path.glob("step-*.ckpt"))
    if not checkpoints:
        raise ModelError(f"{path}: no checkpoint (step-*.ckpt) to resume from")
    return checkpoints[-1]


def has_checkpoint(folder: Path) -> bool:
    """Whether a run has left a checkpoint in this folder."""
    return (folder / LATEST).exists() or any(folder.glob("step-*.ckpt"))


def _load_moments(optimiser: torch.optim.Adam, saved: dict[str, Any]) -> None:
    """Take the moments of a checkpoint; how this run optimises (fused, recorded) is its own affair."""
    own = [{k: v for k, v in group.items() if k != "params"} for group in optimiser.param_groups]
    optimiser.load_state_dict(saved)
    for group, settings in zip(optimiser.param_groups, own, strict=True):
        group.update(settings)
        for parameter in group["params"]:  # counted where this run's optimiser looks for it
            state = optimiser.state.get(parameter)
            if state:
                if any(state[name].shape != parameter.shape for name in ("exp_avg", "exp_avg_sq")):
                    raise ValueError("moments of other weights")
                device = parameter.device if settings["capturable"] or settings["fused"] else "cpu"
                state["step"] = torch.as_tensor(state["step"], dtype=torch.float32, device=device)
