"""Sharp pictures of many kinds, and what a call does to the machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.utils._python_dispatch import TorchDispatchMode

# Operators that only look at a tensor in another way.
_VIEWS = {
    *("view", "_unsafe_view", "reshape", "t", "transpose", "permute", "movedim", "expand", "slice", "select"),
    *("unsqueeze", "squeeze", "detach", "alias", "as_strided", "split", "unbind"),
}
# Operators that wait for a value, or bring one from the host.
_HOST = {
    *("_local_scalar_dense", "item", "nonzero", "is_nonzero", "equal", "masked_select", "unique", "_unique2"),
    "lift_fresh",
}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Sums in the same order on every machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def images(scene: NDArray[np.float32]) -> Callable[[int, int], torch.Tensor]:
    """Crops of the scene in colours of their own, with some grain: (count, 3, side, side), whole levels."""

    def crops(count: int, side: int) -> torch.Tensor:
        rng = np.random.default_rng(17)
        made = np.empty((count, 3, side, side), np.float32)
        for picture in made:
            y, x = rng.integers(0, scene.shape[0] - side, 2)
            gain, offset = rng.uniform(-0.9, 0.9, (3, 1, 1)), rng.uniform(0.1, 0.9, (3, 1, 1))
            picture[:] = offset + gain * (scene[y : y + side, x : x + side, 0] - 0.5)
            picture += rng.normal(0, 0.01, picture.shape)
        return torch.from_numpy(np.rint(made.clip(0, 1) * 255) / 255).float()

    return crops


@pytest.fixture
def tensors() -> Callable[[Mapping[str, NDArray[Any]]], dict[str, torch.Tensor]]:
    """Columns as tensors."""
    return lambda columns: {name: torch.from_numpy(column) for name, column in columns.items()}


class _Launches(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.names: Counter[str] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        name = func._schema.name.split("::")[1]
        # An index of truth values is turned into places, whose number the host must wait for.
        if name in ("index", "index_put") and any(i is not None and i.dtype == torch.bool for i in args[1]):
            name = "nonzero"
        self.names[name] += 1
        return func(*args, **(kwargs or {}))


@pytest.fixture
def launches() -> Callable[[Callable[[], object]], tuple[int, set[str]]]:
    """How many operations a call launches, and which of those bring something to the host or from it."""

    def count(call: Callable[[], object]) -> tuple[int, set[str]]:
        with _Launches() as seen:
            call()
        return sum(n for name, n in seen.names.items() if name not in _VIEWS), _HOST & set(seen.names)

    return count
