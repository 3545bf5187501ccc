"""Learned perceptual image patch similarity."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from blindsr.errors import InputError, MissingExtraError, ModelError
from blindsr.evaluation.metrics.convention import PEAK, comparable

if TYPE_CHECKING:
    from torch import Tensor

_SMALLEST = {"alex": 31, "vgg": 16, "squeeze": 17}
"""Pixels a picture needs each way: with fewer the network's last pooling has nothing left."""

# What each of SqueezeNet's seven measured stages adds: "pool", or a fire module by its number in the file.
_STAGES: tuple[tuple[int | Literal["pool"], ...], ...] = (
    (),
    ("pool", 3, 4),
    ("pool", 6, 7),
    ("pool", 9),
    (10,),
    (11,),
    (12,),
)
_CHANNELS = (64, 128, 256, 384, 384, 512, 512)
_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)
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
    wanted: dict[str, tuple[int, ...]] = {"features.0.weight": (64, 3, 3, 3), "features.0.bias": (64,)}
    into = 64
    for stage, channels in zip(_STAGES, _CHANNELS, strict=True):
        for number in stage:
            if number == "pool":
                continue
            squeezed, half = channels // 8, channels // 2
            for part, shape in (
                ("squeeze", (squeezed, into, 1, 1)),
                ("expand1x1", (half, squeezed, 1, 1)),
                ("expand3x3", (half, squeezed, 3, 3)),
            ):
                wanted[f"features.{number}.{part}.weight"] = shape
                wanted[f"features.{number}.{part}.bias"] = shape[:1]
            into = channels
    weights = _read_weights(features, wanted, "features of SqueezeNet 1.1", device)
    wanted = {f"lin{i}.model.1.weight": (1, channels, 1, 1) for i, channels in enumerate(_CHANNELS)}
    linear = list(_read_weights(heads, wanted, "linear weights of LPIPS on SqueezeNet", device).values())

    def distances(x: Tensor, y: Tensor) -> Tensor:
        # Plain float32 and no choice of algorithms: a GPU gives a CPU's value, and always the same.
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
            return _distances(x, y, weights, linear)

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


def _distances(x: Tensor, y: Tensor, weights: Mapping[str, Tensor], heads: Sequence[Tensor]) -> Tensor:
    """Two batches, (N, 3, H, W), in [-1, 1] -> (N,)."""
    import torch
    from torch.nn import functional as F

    def convolve(x: Tensor, name: str, stride: int = 1, padding: int = 0) -> Tensor:
        weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
        return F.relu(F.conv2d(x, weight, bias, stride=stride, padding=padding))

    def advance(x: Tensor, stage: Sequence[int | Literal["pool"]]) -> Tensor:
        for number in stage:
            if number == "pool":
                x = F.max_pool2d(x, 3, stride=2, ceil_mode=True)
            else:
                name = f"features.{number}"
                x = convolve(x, f"{name}.squeeze")
                parts = convolve(x, f"{name}.expand1x1"), convolve(x, f"{name}.expand3x3", padding=1)
                x = torch.cat(parts, dim=1)
        return x

    shift, scale = (x.new_tensor(values)[:, None, None] for values in (_SHIFT, _SCALE))
    x, y = (convolve((z - shift) / scale, "features.0", stride=2) for z in (x, y))
    total = x.new_zeros(len(x))
    for stage, head in zip(_STAGES, heads, strict=True):
        x, y = advance(x, stage), advance(y, stage)  # (N, c, h, w)
        squares = (_unit(x) - _unit(y)).square_()
        total += F.conv2d(squares, head).mean(dim=(1, 2, 3))
    return total


def _unit(x: Tensor) -> Tensor:
    """Every pixel's features at length 1."""
    return x / (x.square().sum(dim=1, keepdim=True).sqrt_() + _EPSILON)


def _read_weights(
    path: Path, wanted: Mapping[str, tuple[int, ...]], what: str, device: str
) -> dict[str, Tensor]:
    """The wanted tensors of a file, in float32, in the order in which they are wanted."""
    import torch

    from blindsr.network.checkpoint import read_tensors

    content: Mapping[str, object]
    if path.suffix.lower() == ".npz":
        try:
            with np.load(path, allow_pickle=False) as arrays:
                content = {name: torch.from_numpy(arrays[name]) for name in wanted if name in arrays}
        except FileNotFoundError:
            raise ModelError(f"{path}: no such file") from None
        except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile) as error:
            raise ModelError(f"{path}: not a whole .npz file of numbers ({error})") from None
    elif path.suffix.lower() == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            content = load_file(path)
        except FileNotFoundError:
            raise ModelError(f"{path}: no such file") from None
        except (OSError, SafetensorError) as error:
            raise ModelError(f"{path}: not a whole .safetensors file ({error})") from None
    else:
        content = read_tensors(path)
    found = {}
    for name, shape in wanted.items():
        tensor = content.get(name)
        if not isinstance(tensor, torch.Tensor) or tuple(tensor.shape) != shape:
            has = f"has {tuple(tensor.shape)}" if isinstance(tensor, torch.Tensor) else "is missing"
            raise ModelError(f"{path}: not the {what}: {name}, to be {shape}, {has}")
        found[name] = tensor.to(device, torch.float32)
    return found
