"""Our own models, and checkpoints that hold such a network."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from blindsr.engine import PRECISIONS, identity_of_choice
from blindsr.errors import InputError, MissingExtraError
from blindsr.evaluation.methods.method import Method, NetworkRestorer, Pixels
from blindsr.evaluation.methods.runtime import runtime
from blindsr.evaluation.result_cache import OWN_CODE, code_digest, digest
from blindsr.models.card import Model
from blindsr.models.catalogue import load_model
from blindsr.system.files import sha256

if TYPE_CHECKING:
    from blindsr.engine import Engine
    from blindsr.upscaling.upscaler import Adaptation, Upscaler


@dataclass(frozen=True)
class OwnRestorer:
    """A model of ours.

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


@dataclass(frozen=True)
class EngineRestorer:
    """A network on an engine, adapted to each picture by itself."""

    engine: Engine
    model: Model

    @property
    def scale(self) -> int:
        """The model's."""
        return self.model.scale

    def restore(self, lr: Pixels, scale: int) -> Pixels:
        """See `Restorer.restore`."""
        from blindsr.picture import Picture
        from blindsr.picture.colours import Colours
        from blindsr.upscaling.support import gather_support

        modulation = None
        if self.model.support is not None:
            support = gather_support([Colours(Picture(lr))], 1, self.model.support)
            _, modulation = self.engine.condition(support)

        def network(planes: Pixels) -> Pixels:
            restored: Pixels = self.engine.upscale(planes[None], modulation)[0]
            return restored

        # The engine has its own pixel range; what it is given and gives is in [0, 1].
        restorer = NetworkRestorer(self.model.name, network, scale, 1.0, self.model.halo, self.model.multiple)
        return restorer.restore(lr, scale)


def own_method(text: str, title: str | None, device: str, threads: int | None) -> Method:
    """A model of ours by name or folder; after it "@" and what to set of it: "@int8", "@texture=1,fp32".

    Raises:
        ModelError: No such model, or a faulty one.
        InputError: There is no such thing to set.
    """
    name, at, settings = text.rpartition("@") if "@" in text and not Path(text).exists() else (text, "", "")
    model = load_model(name)
    precision, texture = _read_settings(text, settings) if at else ("auto", None)

    def load() -> OwnRestorer:
        from blindsr.upscaling.upscaler import Upscaler

        upscaler = Upscaler(model, device=device, threads=threads, texture=texture, precision=precision)
        return OwnRestorer(upscaler)

    from blindsr.upscaling.upscaler import result_identity

    engine = identity_of_choice(model, device, precision)
    results = result_identity(engine, model.texture if texture is None else texture)
    identity = digest("own", code_digest(OWN_CODE), results, threads)
    return Method(title or f"{model.name}{at}{settings}", identity, load)


def _read_settings(text: str, settings: str) -> tuple[str, float | None]:
    """Precision and texture that a method asks for."""
    precision, texture = "auto", None
    for setting in settings.split(","):
        key, _, value = setting.strip().partition("=")
        try:
            if key in PRECISIONS and not value:
                precision = key
            elif key == "texture":
                texture = float(value)
            else:
                raise ValueError
        except ValueError:
            known = ", ".join((*PRECISIONS, "texture=0..1"))
            raise InputError(f"--model {text}: {setting!r} cannot be set; there are {known}") from None
    return precision, texture


def checkpoint_method(file: Path, title: str | None, device: str, threads: int | None) -> Method:
    """An official checkpoint of CMDSR or Cria-CL, or one of our training, run by PyTorch.

    Raises:
        ModelError: The file is missing or cannot be read.
        MissingExtraError: PyTorch is not installed.
    """
    own_title = title or file.stem

    def load() -> EngineRestorer:
        return load_checkpoint(file, own_title, "cpu" if device == "auto" else device, threads)

    identity = digest("checkpoint", code_digest(OWN_CODE), sha256(file), runtime("torch"), device, threads)
    return Method(own_title, identity, load)


def load_checkpoint(file: Path, title: str, device: str, threads: int | None) -> EngineRestorer:
    """Start the PyTorch engine on a checkpoint's network."""
    try:
        from safetensors.torch import save_file

        from blindsr.checkpoint.reading import network_of, read_tensors
        from blindsr.engine.torch import TorchEngine
        from blindsr.export.graphs import describe, support_patch
    except ImportError as error:
        raise MissingExtraError("running a checkpoint", "torch", str(error.name)) from None
    content = read_tensors(file)
    network, spec = network_of(content, file)
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "weights.safetensors"
        save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, weights)
        told = {"modulation_size": 0, "condition_size": 0} | describe(network, support_patch(content))
        files = {"weights": weights}
        model = Model(name=title, description="", files=files, digests={}, licence="", network=spec, **told)
        return EngineRestorer(TorchEngine(model, device, threads), model)
