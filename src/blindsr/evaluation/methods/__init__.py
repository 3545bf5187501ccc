"""What is evaluated: models, ours and others', and interpolation, the only method that is no model."""

from __future__ import annotations

from blindsr.evaluation.methods.interpolation import INTERPOLATIONS
from blindsr.evaluation.methods.method import Method, Restorer
from blindsr.evaluation.methods.model import ModelRestorer, model_method

__all__ = ["INTERPOLATIONS", "Method", "ModelRestorer", "Restorer", "find_method", "split_title"]


def find_method(text: str, device: str = "auto", threads: int | None = None) -> Method:
    """A method as it is written on a command line.

    Args:
        text: "bicubic", "input", or what `blindsr upscale --model` takes: a model by name, folder or file
            (with "@int8", "@fp32", "@texture=1" or "@scale=1" after it, if you like); with "TITLE=" before
            it tables call it so.
        device: See `blindsr.engine.choose_engine`; what runs on the CPU alone is run there whatever it says.
        threads: CPU threads; None leaves the choice to each runtime.

    Raises:
        ModelError: No such model or file, or a faulty card.
        InputError: A setting is none.
    """
    own_title, written = split_title(text)
    if written in INTERPOLATIONS:
        plain = INTERPOLATIONS[written]
        return Method(own_title or plain.title, plain.identity, plain.load)
    return model_method(written, own_title, device, threads)


def split_title(text: str) -> tuple[str | None, str]:
    """What tables are to call a method, if that is said, and the method.

    Example:
        >>> split_title("theirs=net.onnx"), split_title("official.pth@scale=1")
        (('theirs', 'net.onnx'), (None, 'official.pth@scale=1'))
    """
    title, equals, rest = text.partition("=")
    # The "=" of a setting comes after its "@".
    return (title.strip() or None, rest) if equals and "@" not in title else (None, text)
