"""The metrics of the package pyiqa, where it is installed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from blindsr.errors import InputError, MissingExtraError, ModelError
from blindsr.metrics.convention import PEAK, planes
from blindsr.system.nearest import nearest

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class PyIQAMetric:
    """One metric of pyiqa, called like ours.

    Args:
        name: As pyiqa has it: "musiq", "clipiqa", "dists", ...
        compares: Whether it needs a ground truth.
        higher_is_better: Its polarity.
        device: Where it runs, as PyTorch names it.
    """

    name: str
    compares: bool
    higher_is_better: bool
    device: str
    _model: Any = field(repr=False)

    def __call__(
        self,
        output: NDArray[np.floating],
        ground_truth: NDArray[np.floating] | None = None,
        *,
        border: int = 0,
        quantise: bool = True,
    ) -> float:
        """Measure a picture by pyiqa; gray pictures are given to it as RGB.

        Chen and Mo, "IQA-PyTorch", https://github.com/chaofengc/IQA-PyTorch, which names each metric's paper.

        Args:
            output: The restored picture, RGB in [0, 1], (H, W, 3), or gray, (H, W, 1).
            ground_truth: What it should be, same shape and range, for a metric that compares.
            border: Pixels left out along every edge.
            quantise: Clip and round to 8 bit first, as saving would.

        Returns:
            The value, of this metric's own range; see `higher_is_better`.

        Raises:
            InputError: The shapes differ or are no picture's, the border leaves nothing, or the ground truth
                is missing or too much.
        """
        import torch

        if self.compares != (ground_truth is not None):
            need = "needs a ground truth" if self.compares else "is measured without a ground truth"
            raise InputError(f"{self.name} {need}")
        if ground_truth is not None and ground_truth.shape != output.shape:
            raise InputError(
                f"cannot compare a picture of {output.shape} with a ground truth of {ground_truth.shape}: "
                "both must have the same size"
            )

        def batch(picture: NDArray[np.floating]) -> Tensor:
            levels = planes(picture, "rgb", border, quantise) / PEAK  # (C, H, W)
            return torch.from_numpy(levels.astype(np.float32)).expand(3, -1, -1)[None].to(self.device)

        pictures = [output] if ground_truth is None else [output, ground_truth]
        with torch.no_grad():
            return float(self._model(*map(batch, pictures)).reshape(-1)[0])


def installed_metric(name: str, device: str = "cpu") -> PyIQAMetric:
    """A metric of the installed package pyiqa, which downloads what it needs when first used.

    Args:
        name: One of those that pyiqa lists.
        device: Where to run: "cpu", "cuda", ...

    Raises:
        InputError: pyiqa has no such metric.
        MissingExtraError: The package is not installed.
        ModelError: It is installed but does not work.
    """
    try:
        import pyiqa as package
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"the metric {name}", "pyiqa", error.name or "pyiqa") from error
    except (ImportError, RuntimeError) as error:  # a torchvision that does not fit PyTorch
        raise ModelError(f"the package pyiqa is installed and does not start: {error}") from error
    names = package.list_models()
    if name not in names:
        near = nearest(name, names, most=3)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise InputError(f"pyiqa has no metric {name!r}{hint}")
    import torch

    try:
        model = package.create_metric(name, device=torch.device(device))
    except OSError as error:
        raise ModelError(f"pyiqa cannot set up {name}, whose files it downloads: {error}") from error
    return PyIQAMetric(name, model.metric_mode == "FR", not model.lower_better, device, model)
