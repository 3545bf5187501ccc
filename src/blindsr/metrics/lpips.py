"""Learned perceptual image patch similarity."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from blindsr.errors import InputError, MissingExtraError, ModelError
from blindsr.metrics.convention import PEAK, comparable

if TYPE_CHECKING:
    from torch import Tensor

    from blindsr.network.features import FeatureNetwork

_SMALLEST = {"alex": 31, "vgg": 16, "squeeze": 17}
"""Pixels a picture needs each way: with fewer the network's last pooling has nothing left."""

_EPSILON = 1e-10


@dataclass(frozen=True, eq=False)
class LPIPSNetwork:
    """A network that tells how different pictures look.

    Args:
        name: Of its architecture: "squeeze", "alex" or "vgg". Values compare only where it is the same.
        device: Where it runs, as PyTorch names it.
        distances: From two batches, (N, 3, H, W), RGB in [-1, 1], on that device, to (N,).
    """

    name: str
    device: str
    distances: Callable[[Tensor, Tensor], Tensor]


def lpips(
    output: NDArray[np.floating],
    ground_truth: NDArray[np.floating],
    *,
    network: LPIPSNetwork,
    border: int = 0,
    quantise: bool = True,
) -> float:
    """Learned perceptual image patch similarity, version 0.1: how different two pictures look.

    Zhang, Isola, Efros, Shechtman and Wang, "The unreasonable effectiveness of deep features as a perceptual
    metric", CVPR 2018, arXiv 1801.03924: equation 1 with the linear weights that its authors published.

    Args:
        output: The restored picture, RGB in [0, 1], (H, W, 3), or gray, (H, W, 1).
        ground_truth: What it should be, same shape and range.
        network: From `read_squeeze` or `installed_network`. The literature mostly has AlexNet.
        border: Pixels left out along every edge; the literature leaves out none.
        quantise: Clip and round both to 8 bit first, as saving them would.

    Returns:
        0 for equal pictures, about 1 for very different ones; lower is better.

    Raises:
        InputError: The shapes differ or are no picture's, or too little lies inside the border (SqueezeNet
            needs 17 pixels each way).
    """
    import torch

    planes = comparable(output, ground_truth, "rgb", border, quantise)
    height, width = planes[0].shape[1:]
    smallest = _SMALLEST[network.name]
    if min(height, width) < smallest:
        raise InputError(
            f"LPIPS on {network.name} needs at least {smallest} pixels each way inside the border of "
            f"{border}, and the picture has {width}x{height} there"
        )
    a, b = (
        torch.from_numpy(np.asarray(2 / PEAK * plane - 1, np.float32))
        .expand(3, -1, -1)[None]
        .to(network.device)
        for plane in planes
    )
    with torch.no_grad():
        return float(network.distances(a, b)[0])


def read_squeeze(features: Path, heads: Path, device: str = "cpu") -> LPIPSNetwork:
    """LPIPS on SqueezeNet 1.1, from files; torchvision is not needed.

    Args:
        features: Weights of SqueezeNet 1.1 under torchvision's names ("features.0.weight", ...): an .npz
            file, a PyTorch checkpoint, or .safetensors. Half precision will do.
        heads: The linear weights of LPIPS 0.1 for this network ("lin0.model.1.weight", ...), in such a file.
        device: Where to run: "cpu", "cuda", ...

    Raises:
        ModelError: A file is missing or damaged, or holds other weights.
        MissingExtraError: PyTorch is not installed.
    """
    try:
        import torch
    except ModuleNotFoundError as error:
        raise MissingExtraError("LPIPS", "torch", "torch") from error
    from blindsr.checkpoint.reading import load_features, read_weights
    from blindsr.network.features import SQUEEZENET_CHANNELS

    network = load_features("squeezenet", features).to(device)
    wanted = {f"lin{i}.model.1.weight": (1, channels, 1, 1) for i, channels in enumerate(SQUEEZENET_CHANNELS)}
    read = read_weights(heads, wanted, "linear weights of LPIPS on SqueezeNet")
    linear = [head.to(device) for head in read.values()]

    def distances(x: Tensor, y: Tensor) -> Tensor:
        # Plain float32 and no choice of algorithms: a GPU gives a CPU's value, and always the same.
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
            return _distances(x, y, network, linear)

    return LPIPSNetwork("squeeze", device, distances)


def installed_network(name: Literal["alex", "vgg", "squeeze"], device: str = "cpu") -> LPIPSNetwork:
    """LPIPS by the installed package `lpips` of its authors, which gets its networks through torchvision.

    That package downloads a network's features when it is first used.

    Args:
        name: "alex", "vgg" or "squeeze".
        device: Where to run: "cpu", "cuda", ...

    Raises:
        InputError: There is no such network.
        MissingExtraError: The package is not installed.
        ModelError: It is installed but does not work.
    """
    if name not in ("alex", "vgg", "squeeze"):
        raise InputError(f'the networks of LPIPS are "alex", "vgg" and "squeeze", not {name!r}')
    try:
        import lpips as package
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"LPIPS on {name}", "lpips", error.name or "lpips") from error
    except (ImportError, RuntimeError) as error:  # a torchvision that does not fit PyTorch
        raise ModelError(f"the package lpips is installed and does not start: {error}") from error
    network = package.LPIPS(net=name, version="0.1", verbose=False).to(device).eval()
    return LPIPSNetwork(name, device, lambda x, y: network(x, y).reshape(-1))


def _distances(x: Tensor, y: Tensor, network: FeatureNetwork, heads: Sequence[Tensor]) -> Tensor:
    """Two batches, (N, 3, H, W), in [-1, 1] -> (N,)."""
    from torch.nn import functional as F

    total = x.new_zeros(len(x))
    layers = (network.stages((z + 1) / 2) for z in (x, y))
    for a, b, head in zip(*layers, heads, strict=True):  # (N, c, h, w)
        squares = (_unit(a) - _unit(b)).square_()
        total += F.conv2d(squares, head).mean(dim=(1, 2, 3))
    return total


def _unit(x: Tensor) -> Tensor:
    """Every pixel's features at length 1."""
    return x / (x.square().sum(dim=1, keepdim=True).sqrt_() + _EPSILON)
