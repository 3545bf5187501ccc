"""Who takes part in an evaluation: our models, interpolation, and networks of other projects."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from blindsr.errors import ModelError
from blindsr.evaluation.methods.interpolation import INTERPOLATIONS
from blindsr.evaluation.methods.method import Method, Restorer
from blindsr.evaluation.methods.ncnn import ncnn_method
from blindsr.evaluation.methods.onnx import onnx_method
from blindsr.evaluation.methods.own import own_method
from blindsr.evaluation.methods.pytorch import pytorch_method

__all__ = ["INTERPOLATIONS", "LOADERS", "Method", "Restorer", "find_method"]

LOADERS: dict[str, Callable[[Path, str | None, str, int | None], Method]] = {
    ".param": ncnn_method,
    ".bin": ncnn_method,
    ".onnx": onnx_method,
    ".pth": pytorch_method,
    ".pt": pytorch_method,
    ".ckpt": pytorch_method,
    ".safetensors": pytorch_method,
}
"""Who takes which kind of file, by its suffix: (file, title, device, threads) -> method."""


def find_method(text: str, device: str = "auto", threads: int | None = None) -> Method:
    """A method as it is written on a command line.

    Args:
        text: "bicubic", "input", the name or folder of a model of ours (with "@int8", "@fp32" or "@texture=1"
            after it, if you like), or a file of another project's; with "TITLE=" before it tables call it so.
        device: For our models and PyTorch files; see `blindsr.engine.choose_engine`.
        threads: CPU threads; None leaves the choice to each runtime.

    Raises:
        ModelError: No such model or file, or a faulty one.
        MissingExtraError: Its kind needs what is not installed.
    """
    title, equals, rest = text.partition("=")
    # The "=" of a setting comes after its "@".
    named = equals and "@" not in title
    written, own_title = (rest, title.strip() or None) if named else (text, None)
    if written in INTERPOLATIONS:
        plain = INTERPOLATIONS[written]
        return Method(own_title or plain.title, plain.identity, plain.load)
    file = Path(written).expanduser()
    loader = LOADERS.get(file.suffix.lower())
    if loader is None or file.is_dir():
        return own_method(written, own_title, device, threads)
    if not file.is_file():
        raise ModelError(f"{file}: no such file")
    return loader(file, own_title, device, threads)
