"""Methods that are models, ours and others': all run by an `Upscaler`, as users run them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from blindsr.engine import identity_of_choice
from blindsr.engine.opening import Request, file_digests, is_foreign, load_model, read_request
from blindsr.evaluation.methods.method import Method, Pixels
from blindsr.evaluation.methods.runtime import runtime
from blindsr.evaluation.result_cache import MODEL_CODE, code_digest, digest
from blindsr.models.card import Model

if TYPE_CHECKING:
    from blindsr.upscaling.upscaler import Adaptation, Upscaler


@dataclass(frozen=True)
class ModelRestorer:
    """A model.

    Args:
        upscaler: The model.
        support: What it is adapted to; None adapts it to each picture by itself.
    """

    upscaler: Upscaler
    support: Adaptation | None = None

    @property
    def scale(self) -> int:
        """The model's."""
        return self.upscaler.model.scale

    def restore(self, lr: Pixels, scale: int) -> Pixels:
        """See `Restorer.restore`."""
        return self.upscaler.upscale(lr, support=self.support)


def model_method(text: str, title: str | None, device: str, threads: int | None) -> Method:
    """A model by name, folder or file; after it "@" and what to set of it, see `read_request`.

    A file is not looked into before it is needed: one that cannot be run takes no part, and the others go on.

    Raises:
        ModelError: No such model or file, or a faulty card.
        InputError: There is no such thing to set.
    """
    request = read_request(text)
    if is_foreign(request.model):
        return _file_method(request, title, device, threads)
    model = load_model(request.model, scale=request.scale)
    identity = digest("own", code_digest(MODEL_CODE), _results_of(model, request, device), threads)
    at = f"@{request.settings}" if request.settings else ""

    def load() -> ModelRestorer:
        return _restorer(model, request, device, threads)

    return Method(title or f"{model.name}{at}", identity, load)


def _file_method(request: Request, title: str | None, device: str, threads: int | None) -> Method:
    """A file without a card."""
    file = Path(request.model).expanduser()
    # Of what is run on the CPU alone, and what on the device that was asked for, only a look inside tells.
    libraries = runtime("openvino", "ncnn", "torch", "spandrel", "numpy")
    identity = digest(
        "file", code_digest(MODEL_CODE), file_digests(file), request.settings, libraries, device, threads
    )
    at = f"@{request.settings}" if request.settings else ""

    def load() -> ModelRestorer:
        model = load_model(file, scale=request.scale)
        on_cpu = not {"checkpoint", "spandrel"} & set(model.files)
        return _restorer(model, request, "cpu" if on_cpu else device, threads)

    return Method(title or f"{file.stem}{at}", identity, load)


def _results_of(model: Model, request: Request, device: str) -> dict[str, object]:
    """What the bytes of the results depend on."""
    from blindsr.upscaling.upscaler import result_identity

    engine = identity_of_choice(model, device, request.precision)
    return result_identity(engine, model.texture if request.texture is None else request.texture)


def _restorer(model: Model, request: Request, device: str, threads: int | None) -> ModelRestorer:
    from blindsr.upscaling.upscaler import Upscaler

    precision, texture = request.precision, request.texture
    return ModelRestorer(
        Upscaler(model, device=device, threads=threads, texture=texture, precision=precision)
    )
