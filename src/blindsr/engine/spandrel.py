"""PyTorch files of other programs, whose architecture spandrel recognises. Needs the extra [spandrel]."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from blindsr.engine.foreign import ForeignNetwork, Pixels
from blindsr.errors import MissingExtraError, ModelError
from blindsr.system.untrusted import brief

__all__ = ["load_spandrel"]

_MOST_MULTIPLE = 64


def load_spandrel(file: Path, device: str = "cpu", threads: int | None = None) -> ForeignNetwork:
    """Let spandrel build a network from the tensors of a file, which are read as tensors only.

    Args:
        file: Of PyTorch, or .safetensors.
        device: "cpu", "cuda" (or "cuda:1", ...) or "mps".
        threads: CPU threads; None leaves PyTorch's own setting. It holds for the whole process.

    Raises:
        ModelError: The file holds more than tensors, or spandrel does not know the network, or it is none
            from one picture to another.
        MissingExtraError: spandrel is not installed.
    """
    try:
        import torch
        from spandrel import ImageModelDescriptor, ModelLoader

        from blindsr.checkpoint.reading import read_content
        from blindsr.engine.torch import raise_memory_error
    except ImportError as error:
        raise MissingExtraError(
            f"{file}: no checkpoint of CMDSR, Cria-CL or ESRGAN; running other PyTorch files",
            "spandrel",
            str(error.name),
        ) from None
    if threads is not None:
        torch.set_num_threads(threads)
    content = dict(read_content(file))
    try:
        found: Any = ModelLoader(device=device).load_from_state_dict(content)
    except Exception as error:  # (of what it does not know it raises errors of every kind)
        raise ModelError(f"{file}: spandrel cannot use it ({brief(error)})") from error
    channels = getattr(found, "input_channels", None)
    if not isinstance(found, ImageModelDescriptor) or channels not in (1, 3):
        raise ModelError(f"{file}: no network from one RGB picture, or gray one, to another")
    if found.output_channels != channels:
        raise ModelError(f"{file}: makes {found.output_channels} planes of {channels}")
    found.eval()

    @torch.inference_mode()
    def run(planes: Pixels) -> Pixels:
        try:
            result = found(torch.from_numpy(np.ascontiguousarray(planes))[None].to(device))
        except RuntimeError as error:
            raise_memory_error(error)
            raise
        made: Pixels = np.ascontiguousarray(result[0].float().cpu().numpy())
        return made

    needs = getattr(found, "size_requirements", None)
    multiple = getattr(needs, "multiple_of", 1)
    return ForeignNetwork(run, channels, multiple=multiple if 1 <= multiple <= _MOST_MULTIPLE else 1)
