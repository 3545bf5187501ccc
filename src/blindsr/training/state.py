"""The compact state of a model: what a later run, on any machine, goes on from, small enough to be committed.

A checkpoint of a run holds three numbers beside every weight, and resumes to the last bit. A state holds
about seven bytes a weight: the weights themselves, how far their average is from them in bfloat16, and Adam's
second moment in 8 bit on a logarithmic scale. The first moment is dropped: the warm-up of the next run makes
it again. Beside it lies a JSON file that says what it is and how it came to be.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from blindsr.errors import ConfigError, ModelError
from blindsr.system.files import atomic_path, read_whole
from blindsr.system.npz import NPZ, NPZ_FAULTS, read_npz
from blindsr.system.untrusted import brief, parse_json
from blindsr.training.config import TrainConfig
from blindsr.training.ema import WeightAverage

if TYPE_CHECKING:
    from blindsr.training.recipe import Recipe

FORMAT = "blindsr-state-1"
_BLOCK, _OCTAVES, _LEVELS = 256, 24.0, 254
"""Second moments are told relative to the largest of their block, over so many powers of two, in so many
steps beside zero: to 3 %, which is 1.6 % of a step. Smaller ones are told as the smallest of the scale."""


class StateKeeper:
    """Says when a run's state is to be written: now and then, last before its rate falls, or else at its end.

    Args:
        write: Writes it.
        seconds: After which it is written anew; None: not before it has to be.
    """

    def __init__(self, write: Callable[[], None], seconds: float | None) -> None:
        self._write, self._seconds = write, seconds
        self._written, self._final, self._falling = time.monotonic(), False, False

    def due(self, falling: bool) -> bool:
        """Whether it is to be written now, `falling` saying whether the rate falls towards the end."""
        self._falling = falling
        late = self._seconds is not None and time.monotonic() - self._written >= self._seconds
        return not self._final and (falling or late)

    def keep(self) -> None:
        """Write it."""
        self._write()
        self._written, self._final = time.monotonic(), self._falling

    def end(self) -> None:
        """The run is over."""
        if not self._final:
            self.keep()


def written_with(path: Path) -> list[Path]:
    """The files that a state is written to: itself, and the JSON beside it."""
    return [path, path.with_suffix(".json")]


def write_state(
    path: Path,
    config: TrainConfig,
    recipe: Recipe,
    optimisers: dict[str, torch.optim.Adam],
    average: WeightAverage,
    record: dict[str, Any],
) -> None:
    """Write a state, and the JSON beside it.

    Whenever this is cut short, the two are those of one state: between the writes the JSON speaks of both,
    the new one and the one before.

    Args:
        path: The file, .npz.
        config: Of the run that reached it.
        recipe: Its network and auxiliary networks are kept.
        optimisers: Their second moments are kept.
        average: The averaged weights.
        record: What the JSON says of the run: "step", "patches", "phase", "runs", ...
    """
    weights = _floating(_tensors(recipe))
    away = [average.average[name] - tensor for name, tensor in _floating(recipe.network.state_dict()).items()]
    moments = {name: _second_moments(optimiser) for name, optimiser in optimisers.items()}
    codes = {name: _to_codes(values) for name, values in moments.items()}
    header = {
        "format": FORMAT,
        "network": recipe.spec,
        "shapes": {name: list(tensor.shape) for name, tensor in weights.items()},
        "updates": average.updates,
        "steps": {name: _steps(optimiser) for name, optimiser in optimisers.items()},
    }
    arrays: dict[str, NDArray[Any]] = {
        "header": np.frombuffer(json.dumps(header).encode(), np.uint8),
        "weights": _planes(_flat(weights.values()).numpy()),
        "average": _planes(_flat(away).to(torch.bfloat16).view(torch.int16).numpy()),
    }
    for name, (code, tops) in codes.items():
        arrays[f"moment/{name}"], arrays[f"tops/{name}"] = code, tops
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    content = buffer.getvalue()
    path.parent.mkdir(parents=True, exist_ok=True)
    described = {
        "format": FORMAT,
        "model": config.name,
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        **record,
        "configuration": _placeless(config.model_dump()),
    }
    with suppress(ModelError):
        _, before = _read_files(path)
        _write_record(path, described | {"before": before})
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
    _write_record(path, described)


def read_state(
    path: Path, recipe: Recipe, optimisers: dict[str, torch.optim.Adam], average: WeightAverage
) -> dict[str, Any]:
    """Go on from a state. Companions that it does not have stay as they are.

    Args:
        path: The file, .npz, with its JSON beside it.
        recipe: Its networks take the weights.
        optimisers: They take the second moments.
        average: Takes the averaged weights.

    Returns:
        What the JSON says.

    Raises:
        ModelError: It is damaged, or no state; or not the one that its JSON speaks of.
        ConfigError: It is another network's.
    """
    content, record = _read_files(path)
    kept = _unpack(path, content, sum(tensor.numel() for tensor in _tensors(recipe).values()))
    if kept.network != recipe.spec:
        raise ConfigError(f"{path}: it is of {kept.network}, the configuration says {recipe.spec}")
    own = {k: tuple(v.shape) for k, v in _floating(_tensors(recipe)).items()}
    known = {name: tensor for name, tensor in kept.weights.items() if own.get(name) == tuple(tensor.shape)}
    network = {name for name in own if name.startswith("network/")}
    if not network == kept.away.keys() <= known.keys():
        raise ConfigError(f"{path}: its weights are not those of the configuration's network")
    with torch.no_grad():
        for name, tensor in _tensors(recipe).items():
            if name in known:
                tensor.copy_(known[name])
        average.load_state_dict(kept.averaged(), kept.updates)
    for name, optimiser in optimisers.items():
        if name in kept.moments:
            _set_moments(optimiser, *kept.moments[name])
    return record


def read_average(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The averaged weights of a state's network, and its hyper-parameters.

    Raises:
        ModelError: It is damaged, or no state; or not the one that its JSON speaks of.
    """
    content, _ = _read_files(path)
    kept = _unpack(path, content, len(content))
    return kept.averaged(), kept.network


def read_record(path: Path) -> dict[str, Any]:
    """What a state's JSON says.

    Raises:
        ModelError: It is damaged, or no state's; or the state is not the one that it speaks of.
    """
    return _read_files(path)[1]


@dataclass(frozen=True)
class _Contents:
    """What a file holds.

    Args:
        network: Hyper-parameters.
        weights: Of the network and its auxiliary networks.
        away: How far the network's averages are from them.
        updates: Weights that the average has taken in.
        moments: By optimiser: second moments and the number of steps that they are of.
    """

    network: Any
    weights: dict[str, Tensor]
    away: dict[str, Tensor]
    updates: int
    moments: dict[str, tuple[Tensor, int]]

    @classmethod
    def of(cls, content: bytes, most: int) -> _Contents:
        """Read it, at most so many bytes of numbers; raises one of `NPZ_FAULTS` where it is not whole."""
        found = read_npz(content, most)
        header = parse_json(found["header"].tobytes())
        shapes = {name: tuple(shape) for name, shape in header["shapes"].items()}
        weights = _cut(torch.from_numpy(_whole(found["weights"], np.float32)), shapes)
        away = torch.from_numpy(_whole(found["average"], np.int16)).view(torch.bfloat16).float()
        averaged = {name: shape for name, shape in shapes.items() if name.startswith("network/")}
        moments = {}
        for name, steps in header["steps"].items():
            values = _to_values(found[f"moment/{name}"], found[f"tops/{name}"])
            moments[name] = torch.from_numpy(values), int(steps)
        return cls(header["network"], weights, _cut(away, averaged), int(header["updates"]), moments)

    def averaged(self) -> dict[str, Tensor]:
        """The network's averaged weights."""
        return {name.removeprefix("network/"): self.weights[name] + away for name, away in self.away.items()}


def _unpack(path: Path, content: bytes, weights: int) -> _Contents:
    """What a file of about so many weights holds.

    Raises:
        ModelError: It is not whole, or far larger.
    """
    try:
        return _Contents.of(content, 64 * weights + 2**20)
    except (*NPZ_FAULTS, AttributeError, ArithmeticError) as error:
        raise ModelError(f"{path}: not a whole state ({brief(error)})") from None


def _placeless(value: Any) -> Any:  # noqa: ANN401
    """A configuration as JSON, in which paths are names: where they lie is a matter of one machine."""
    if isinstance(value, dict):
        return {key: _placeless(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_placeless(one) for one in value]
    return value.name if isinstance(value, Path) else value


def _write_record(path: Path, record: dict[str, Any]) -> None:
    with atomic_path(written_with(path)[1]) as temporary:
        temporary.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def _read_files(path: Path) -> tuple[bytes, dict[str, Any]]:
    beside = path.with_suffix(".json")
    try:
        content, record = read_whole(path, NPZ), parse_json(read_whole(beside))
    except OSError as error:
        raise ModelError(f"{error.filename}: cannot be read ({error.strerror})") from None
    except ValueError:
        raise ModelError(f"{beside}: not JSON") from None
    known = {"step": int, "patches": int, "runs": list}
    if (
        not isinstance(record, dict)
        or record.get("format") != FORMAT
        or not all(isinstance(record.get(key), kind) for key, kind in known.items())
        or not all(0 <= record[key] < 1 << 50 for key in ("step", "patches"))
    ):
        raise ModelError(f"{beside}: does not speak of a state")
    digest, before = hashlib.sha256(content).hexdigest(), record.pop("before", {})
    if isinstance(before, dict) and before.get("sha256") == digest:  # the write of the next one was cut short
        return content, before
    if record.get("sha256") != digest:
        raise ModelError(f"{path}: not what {beside.name} speaks of (another SHA-256); get both again")
    return content, record


def _tensors(recipe: Recipe) -> dict[str, Tensor]:
    """All that is kept of a recipe's networks, by name."""
    modules = {"network": recipe.network, **{f"companions/{k}": v for k, v in recipe.auxiliary.items()}}
    return {f"{where}/{k}": v for where, module in modules.items() for k, v in module.state_dict().items()}


def _floating(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in tensors.items() if tensor.is_floating_point()}


def _flat(tensors: Iterable[Tensor]) -> Tensor:
    return torch.cat([torch.zeros(0), *(tensor.detach().float().cpu().flatten() for tensor in tensors)])


def _cut(flat: Tensor, shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Take a flat tensor apart again.

    Raises:
        ValueError: It has not as many numbers as the shapes.
    """
    sizes = [math.prod(shape) for shape in shapes.values()]
    if sum(sizes) != len(flat):
        raise ValueError(f"{len(flat)} numbers for {sum(sizes)} weights")
    parts = flat.split(sizes)
    return {name: part.view(shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}


def _planes(values: NDArray[Any]) -> NDArray[np.uint8]:
    """The bytes of numbers, all first ones before all second ones, (size, n): exponents compress well."""
    return np.ascontiguousarray(values.view(np.uint8).reshape(len(values), values.itemsize).T)


def _whole(planes: NDArray[np.uint8], kind: type) -> NDArray[Any]:
    """What `_planes` took apart."""
    size = np.dtype(kind).itemsize
    if planes.dtype != np.uint8 or planes.ndim != 2 or planes.shape[0] != size:
        raise ValueError("bytes of another kind of number")
    return np.ascontiguousarray(planes.T).reshape(-1).view(kind)


def _second_moments(optimiser: torch.optim.Adam) -> NDArray[np.float32]:
    """Adam's second moments side by side; zeros where it has not stepped yet."""
    parts = []
    for group in optimiser.param_groups:
        for parameter in group["params"]:
            moment = optimiser.state.get(parameter, {}).get("exp_avg_sq")
            parts.append(torch.zeros_like(parameter) if moment is None else moment)
    moments: NDArray[np.float32] = _flat(parts).numpy()
    return moments


def _steps(optimiser: torch.optim.Adam) -> int:
    return max((int(state["step"]) for state in optimiser.state.values() if state), default=0)


def _to_codes(values: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Second moments in 8 bit, and the largest of each block; what overflowed is the largest number."""
    padded = np.zeros(-(-len(values) // _BLOCK) * _BLOCK, np.float32)
    padded[: len(values)] = np.nan_to_num(values)
    blocks = padded.reshape(-1, _BLOCK)
    tops = blocks.max(1, keepdims=True, initial=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        octaves = np.log2(blocks / tops)
    codes = 1 + np.rint(_LEVELS * (1 + octaves / _OCTAVES))
    codes = np.where(blocks > 0, codes.clip(1, _LEVELS + 1), 0).astype(np.uint8)
    return codes.reshape(-1)[: len(values)], tops[:, 0]


def _to_values(codes: NDArray[np.uint8], tops: NDArray[np.float32]) -> NDArray[np.float32]:
    """What `_to_codes` made codes of, nearly.

    Raises:
        ValueError: They are none of its.
    """
    if codes.dtype != np.uint8 or codes.ndim != 1 or tops.dtype != np.float32:
        raise ValueError("moments of another kind")
    if tops.shape != (-(-len(codes) // _BLOCK),) or not (np.isfinite(tops) & (tops >= 0)).all():
        raise ValueError("moments that are none")
    octaves = ((codes.astype(np.float32) - 1) / _LEVELS - 1) * _OCTAVES
    top = np.repeat(tops, _BLOCK)[: len(codes)]
    return np.where(codes > 0, top * np.exp2(octaves), 0).astype(np.float32)


def _set_moments(optimiser: torch.optim.Adam, moments: Tensor, steps: int) -> None:
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    sizes = [parameter.numel() for parameter in parameters]
    if sum(sizes) != len(moments) or steps < 1:
        return  # the group is another one now, or never stepped: its moments begin anew
    settings = optimiser.param_groups[0]
    for parameter, value in zip(parameters, moments.split(sizes), strict=True):
        device = parameter.device if settings["capturable"] or settings["fused"] else torch.device("cpu")
        second = torch.zeros_like(parameter, memory_format=torch.preserve_format)
        second.copy_(value.view(parameter.shape))
        optimiser.state[parameter] = {
            "step": torch.tensor(float(steps), device=device),
            "exp_avg": torch.zeros_like(parameter, memory_format=torch.preserve_format),
            "exp_avg_sq": second,
        }
