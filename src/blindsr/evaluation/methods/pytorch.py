"""PyTorch files of other projects, whose architecture spandrel recognises."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from blindsr.errors import MissingExtraError, ModelError
from blindsr.evaluation.methods.method import Method, NetworkRestorer, Pixels
from blindsr.evaluation.methods.own import checkpoint_method
from blindsr.evaluation.methods.runtime import runtime
from blindsr.evaluation.result_cache import digest
from blindsr.system.files import sha256


def pytorch_method(file: Path, title: str | None, device: str, threads: int | None) -> Method:
    """A checkpoint of ours, an official one of CMDSR or Cria-CL, or any file that spandrel knows.

    Raises:
        ModelError: The file cannot be read, or holds more than tensors.
        MissingExtraError: PyTorch is not installed.
    """
    if file.suffix != ".safetensors" and _is_ours(file):
        return checkpoint_method(file, title, device, threads)
    own_title = title or file.stem
    place = "cpu" if device == "auto" else device
    identity = digest("spandrel", sha256(file), runtime("spandrel", "torch"), place, threads)
    return Method(own_title, identity, lambda: load_with_spandrel(file, own_title, place, threads))


def load_with_spandrel(file: Path, title: str, device: str, threads: int | None) -> NetworkRestorer:
    """Let spandrel build the network; its descriptor tells scale and channels, and its range is [0, 1]."""
    try:
        import torch
        from spandrel import ImageModelDescriptor, ModelLoader
    except ImportError as error:
        raise MissingExtraError(
            f"{file}: no checkpoint of CMDSR or Cria-CL; running other PyTorch files",
            "spandrel",
            str(error.name),
        ) from None
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        found = ModelLoader(device=device).load_from_file(str(file))
    except (OSError, RuntimeError, ValueError) as error:
        raise ModelError(f"{file}: spandrel cannot use it ({' '.join(str(error).split())[:200]})") from error
    if not isinstance(found, ImageModelDescriptor) or (found.input_channels, found.output_channels) != (3, 3):
        raise ModelError(f"{file}: no network from one RGB picture to another")
    found.eval()

    def network(planes: Pixels) -> Pixels:
        with torch.inference_mode():
            result = found(torch.from_numpy(planes)[None].to(device))
        restored: Pixels = np.ascontiguousarray(result[0].float().cpu().numpy())
        return restored

    return NetworkRestorer(title, network, int(found.scale), 1.0)


def _is_ours(file: Path) -> bool:
    """Whether a PyTorch file holds a network of ours, or an official one of CMDSR or Cria-CL."""
    try:
        from blindsr.checkpoint.reading import is_known, read_tensors
    except ImportError as error:
        raise MissingExtraError("running a PyTorch file", "torch", str(error.name)) from None
    return is_known(read_tensors(file))
