"""The few array operations that NumPy and PyTorch spell differently, so that every operator is written once.

PyTorch is touched only when a tensor comes in: with NumPy arrays this package works without it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from blindsr.errors import InputError

if TYPE_CHECKING:
    import torch

#: A NumPy array or a tensor; what goes in is what comes out, on the same device.
Array = TypeVar("Array", NDArray[Any], "torch.Tensor")

# How many numbers the intermediate result of `apply_separable` may hold before it goes term by term (64 MiB).
_INTERMEDIATE = 2**24
# Rows of a matrix that `apply_separable` multiplies at a time.
_BLOCK = 128


def is_tensor(x: object) -> bool:
    """Tell whether `x` is a PyTorch tensor, without importing PyTorch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(x, torch.Tensor)


def check_batch(x: NDArray[Any] | torch.Tensor, channels: int | None = None) -> None:
    """Refuse anything but a float32 batch.

    Args:
        x: what the caller calls a batch.
        channels: the number of channels the operator needs; None takes any.

    Raises:
        InputError: `x` is not an array or a tensor, not (N, C, H, W), empty, not float32, or has the wrong
            number of channels.
    """
    if not (isinstance(x, np.ndarray) or is_tensor(x)):
        raise InputError(f"a batch must be a NumPy array or a PyTorch tensor, this is {type(x).__name__}")
    dtype = str(x.dtype).removeprefix("torch.")
    if x.ndim != 4 or dtype != "float32" or 0 in x.shape:
        raise InputError(f"a batch must be float32 (N, C, H, W) in [0, 1], this is {dtype} {tuple(x.shape)}")
    if channels is not None and x.shape[1] != channels:
        raise InputError(f"this operator needs {channels} channels (RGB), the batch has {x.shape[1]}")


@contextmanager
def full_precision(x: NDArray[Any] | torch.Tensor) -> Iterator[None]:
    """Compute in plain float32 and without gradients inside the block.

    Autocast (bf16) and reduced-precision matrix products (TF32) would make a GPU's pixels differ from
    NumPy's by more than a level of 255. Nothing to do for NumPy. Within `torch.compile` the precision of
    matrix products is left to whoever runs the compiled graph: a graph cannot set it.
    """
    if not is_tensor(x):
        yield
        return
    import torch

    device = cast("torch.Tensor", x).device.type
    if torch.compiler.is_compiling():
        with torch.no_grad(), torch.autocast(device, enabled=False):
            yield
        return
    precision = torch.get_float32_matmul_precision()
    if precision == "highest" and not torch.is_grad_enabled() and not torch.is_autocast_enabled(device):
        yield  # inside such a block already
        return
    if precision != "highest":
        torch.set_float32_matmul_precision("highest")
    try:
        with torch.no_grad(), torch.autocast(device, enabled=False):
            yield
    finally:
        if precision != "highest":
            torch.set_float32_matmul_precision(precision)


def constant(values: NDArray[Any], like: Array) -> Array:
    """Bring a small NumPy array to where `like` lives; floats become float32, integers keep their type."""
    if np.issubdtype(values.dtype, np.floating):
        values = values.astype(np.float32)
    if isinstance(like, np.ndarray):
        return values
    import torch

    return torch.tensor(values, device=like.device)


def arange(n: int, like: Array) -> Array:
    """Return the int32 numbers 0..n-1 where `like` lives."""
    if isinstance(like, np.ndarray):
        return np.arange(n, dtype=np.int32)
    import torch

    return torch.arange(n, dtype=torch.int32, device=like.device)


def to_float(x: Array) -> Array:
    """Convert to float32."""
    if isinstance(x, np.ndarray):
        return x.astype(np.float32)
    import torch

    return x.to(torch.float32)


def sqrt(x: Array) -> Array:
    """Return the square root, element by element."""
    root: Array = np.sqrt(x) if isinstance(x, np.ndarray) else x.sqrt()
    return root


def floor(x: Array) -> Array:
    """Return the largest whole number not above each element."""
    whole: Array = np.floor(x) if isinstance(x, np.ndarray) else x.floor()
    return whole


def log(x: Array) -> Array:
    """Return the natural logarithm, element by element."""
    logarithm: Array = np.log(x) if isinstance(x, np.ndarray) else x.log()
    return logarithm


def cos(x: Array) -> Array:
    """Return the cosine of radians, element by element."""
    cosine: Array = np.cos(x) if isinstance(x, np.ndarray) else x.cos()
    return cosine


def channel_mean(x: Array) -> Array:
    """Return the mean over the channels: (N, C, H, W) to (N, 1, H, W)."""
    if isinstance(x, np.ndarray):
        return np.asarray(x.mean(axis=1, keepdims=True))
    return x.mean(dim=1, keepdim=True)


def concat(parts: Sequence[Array], axis: int) -> Array:
    """Join arrays along an axis they have; a single one is returned as it is."""
    if len(parts) == 1:
        return parts[0]
    if isinstance(parts[0], np.ndarray):
        return np.concatenate(parts, axis=axis)
    import torch

    return torch.cat(cast("list[torch.Tensor]", list(parts)), dim=axis)


def stack(parts: Sequence[Array], axis: int) -> Array:
    """Join arrays along a new axis."""
    if isinstance(parts[0], np.ndarray):
        return np.stack(parts, axis=axis)
    import torch

    return torch.stack(cast("list[torch.Tensor]", list(parts)), dim=axis)


def apply_separable(x: Array, rows: NDArray[np.float64], columns: NDArray[np.float64]) -> Array:
    """Apply a linear operator given as a sum of rank-one operators: sum_i R_i x C_i^T.

    Args:
        x: batch, (N, C, H, W).
        rows: the matrices R_i, (terms, h_out, H).
        columns: the matrices C_i, (terms, w_out, W).

    Returns:
        Batch, (N, C, h_out, w_out).
    """
    count, channels, height = x.shape[:3]
    terms, w_out = len(rows), columns.shape[1]
    group = max(1, min(terms, _INTERMEDIATE // (count * channels * height * w_out)))
    total: Array | None = None
    for start in range(0, terms, group):
        left, right = rows[start : start + group], columns[start : start + group]
        some = len(left)
        # With (row, term) as one axis of both factors, the sum over terms is part of the second product.
        parts = []
        for out, inside in _bands(right):
            band = right[:, out, inside]
            product = x[:, :, :, inside] @ constant(band.reshape(-1, band.shape[2]).T, x)
            parts.append(product.reshape(count, channels, height * some, band.shape[1]))
        wide = concat(parts, axis=3)
        parts = []
        for out, inside in _bands(left):
            band = left[:, out, inside].transpose(1, 2, 0)
            inside = slice(inside.start * some, inside.stop * some)
            parts.append(constant(band.reshape(band.shape[0], -1), x) @ wide[:, :, inside])
        part = concat(parts, axis=2)
        total = part if total is None else total + part
    assert total is not None
    return total


def correlate(x: Array, kernel: NDArray[np.floating]) -> Array:
    """Correlate every channel with a kernel, where it lies wholly inside, through the Fourier transform.

    Args:
        x: batch, (N, C, H, W).
        kernel: (k_h, k_w), at most (H, W).

    Returns:
        Batch, (N, C, H - k_h + 1, W - k_w + 1).
    """
    height, width = x.shape[2:]
    # Zeros beyond the image never reach what is kept; a length of small prime factors is much faster.
    size = (smooth_length(height), smooth_length(width))
    spectrum = np.fft.rfft2(kernel, size).conj().astype(np.complex64)
    result: Array
    if isinstance(x, np.ndarray):
        result = np.fft.irfft2(np.fft.rfft2(x, size) * spectrum, size).astype(np.float32)
    else:
        import torch

        transformed = torch.fft.rfft2(x, size) * torch.from_numpy(spectrum).to(x.device)
        result = torch.fft.irfft2(transformed, size)
    return result[:, :, : height - kernel.shape[0] + 1, : width - kernel.shape[1] + 1]


def take(x: Array, index: NDArray[np.int64], axis: int) -> Array:
    """Return the given places along an axis, in their order."""
    if isinstance(x, np.ndarray):
        return np.take(x, index, axis)
    import torch

    return torch.index_select(x, axis, torch.from_numpy(index).to(x.device))


@lru_cache(maxsize=1024)
def smooth_length(least: int) -> int:
    """Return the smallest length of at least `least` without prime factors above 5."""
    length = least
    while True:
        rest = length
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return length
        length += 1


def _bands(matrices: NDArray[np.float64]) -> Iterator[tuple[slice, slice]]:
    """Cut (terms, n_out, n) matrices into blocks of rows, each with the columns that are not all zero.

    Blurs and resizes look at a few neighbours only: on a large image most of a matrix is zeros.
    """
    for start in range(0, matrices.shape[1], _BLOCK):
        out = slice(start, start + _BLOCK)
        used = np.flatnonzero(matrices[:, out].any(axis=(0, 1)))
        # An all-zero block (a kernel of zeros) still has to make its rows.
        yield out, slice(int(used[0]), int(used[-1]) + 1) if used.size else slice(0, 1)
