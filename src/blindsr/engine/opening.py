"""Models by whatever a user calls them: a name, a folder, a file of another program; settings after "@"."""

from __future__ import annotations

import hashlib
import json
import logging
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from blindsr.engine import PRECISIONS, load_network
from blindsr.engine.cache import user_cache
from blindsr.engine.identity import package_version
from blindsr.engine.ncnn import ncnn_files
from blindsr.engine.probe import Probed, probe_network
from blindsr.engine.trial import apart, is_switched_off, run_apart
from blindsr.errors import InputError, MissingExtraError, ModelError
from blindsr.models import catalogue
from blindsr.models.card import UNKNOWN_LICENCE, Model
from blindsr.system.files import sha256
from blindsr.system.untrusted import parse_json

__all__ = ["SUFFIXES", "Request", "is_foreign", "load_model", "read_request"]

log = logging.getLogger(__name__)

SUFFIXES = (".onnx", ".param", ".bin", ".pth", ".pt", ".ckpt", ".safetensors")
"""Of files that are a model by themselves."""

_SECONDS = 1800
"""Most time to find out what a network takes: a large one needs minutes where it shares the CPU."""
_VERSION = 1  # of what is found out, and how


@dataclass(frozen=True)
class Request:
    """A model and how it is to be run, as a command line has it: "cmdsr-x4@int8", "official.pth@scale=1".

    Args:
        model: Name, folder or file.
        precision: One of `PRECISIONS`.
        texture: As of `Upscaler`; None for the model's own.
        scale: What the model enlarges by, where its file does not tell.
        settings: All of them as they were written; empty for none.
    """

    model: str
    precision: str = "auto"
    texture: float | None = None
    scale: int | None = None
    settings: str = ""


def read_request(text: str) -> Request:
    """Read what is written for a model: after its name "@" and what to set of it, with commas between.

    Args:
        text: Such as "cmdsr-x4", "cria-x4-compact@texture=1,fp32" or "official.pth@scale=1".

    Raises:
        InputError: There is no such thing to set.

    Example:
        >>> read_request("official.pth@scale=1")
        Request(model='official.pth', precision='auto', texture=None, scale=1, settings='scale=1')
    """
    name, at, settings = text.rpartition("@")
    if not at or Path(text).exists():
        return Request(text)
    found: dict[str, Any] = {}
    for setting in settings.split(","):
        key, _, value = setting.strip().partition("=")
        try:
            if key in PRECISIONS and not value:
                found["precision"] = key
            elif key == "texture":
                found["texture"] = float(value)
            elif key == "scale":
                found["scale"] = int(value)
            else:
                raise ValueError
        except ValueError:
            known = ", ".join((*PRECISIONS, "texture=0..1", "scale=N"))
            raise InputError(f"--model {text}: {setting!r} cannot be set; there are {known}") from None
    return Request(name, settings=settings, **found)


def is_foreign(name_or_path: str | Path) -> bool:
    """Whether a model is a file by itself, of another program or a checkpoint: by its name, there or not."""
    path = Path(name_or_path).expanduser()
    return path.suffix.lower() in SUFFIXES and not path.is_dir()


def load_model(name_or_path: str | Path, *, scale: int | None = None) -> Model:
    """Find a model: one with a card, or a file of another program, or a checkpoint.

    What a file does not tell (scale, pixel range, how far its network sees) is found out by running it, once:
    in a process of its own, under bounds on memory and time. It is kept in the user's cache by the file's
    digest.

    Args:
        name_or_path: The name of an available model, a model's folder, the path of its card; or a file: ONNX,
            ncnn's .param or .bin with the other beside it, a checkpoint of ours or an official one of CMDSR,
            Cria-CL or ESRGAN, or any PyTorch or .safetensors file that spandrel knows.
        scale: What it enlarges by, for checkpoints whose layout does not tell; None takes what it tells.

    Raises:
        ModelError: No such model, a faulty card or file, a network that is none for pictures, or one of
            another scale.
        MissingExtraError: The kind of file needs what is not installed.

    Example:
        >>> blindsr.load_model("cmdsr-x4").scale
        4
    """
    if str(name_or_path) in catalogue.available_models() or not is_foreign(name_or_path):
        model = catalogue.find_model(name_or_path)
    else:
        model = _load_file(Path(name_or_path).expanduser(), scale)
    if scale is not None and model.scale != scale:
        raise ModelError(f"{name_or_path}: it is a model for x{model.scale}, not x{scale}")
    return model


def file_digests(file: Path) -> dict[str, str]:
    """SHA-256 of every file that a model without a card is read from.

    Raises:
        ModelError: One is missing or cannot be read.
    """
    files = ncnn_files(file) if file.suffix.lower() in (".param", ".bin") else {"file": file}
    return {role: _digest(path) for role, path in files.items()}


def _digest(path: Path) -> str:
    if not path.is_file():
        raise ModelError(f"{path}: no such file")
    try:
        return sha256(path)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror or error})") from None


def _load_file(file: Path, scale: int | None) -> Model:
    """A model from a file without a card."""
    suffix = file.suffix.lower()
    if suffix in (".param", ".bin"):
        files = ncnn_files(file)
        return _probed_model(file, "ncnn", files)
    _digest(file)  # that it is there
    if suffix == ".onnx":
        return _probed_model(file, "onnx", {"onnx": file})
    return _checkpoint_model(file, scale) or _probed_model(file, "spandrel", {"spandrel": file})


def _checkpoint_model(file: Path, scale: int | None) -> Model | None:
    """The model of a checkpoint of ours or an official one; None for a file that is neither."""
    try:
        from blindsr.checkpoint.description import describe, support_patch
        from blindsr.checkpoint.reading import find_weights, is_known, is_ours, network_of, read_content
    except ImportError as error:
        raise MissingExtraError(f"{file}: running a PyTorch file", "torch", str(error.name)) from None
    content = read_content(file)
    if not is_ours(content) and find_weights(content) is None:
        return None
    try:
        network, spec = network_of(content, file, scale)
    except ModelError:
        if is_known(content):
            raise
        return None  # of ESRGAN's layout there are more networks than ours
    capabilities = {"modulation_size": 0, "condition_size": 0} | describe(network, support_patch(content))
    return _model(
        file,
        "checkpoint",
        {"checkpoint": file},
        {"checkpoint": _digest(file)},
        capabilities | {"network": spec},
    )


def _probed_model(file: Path, runner: str, files: Mapping[str, Path]) -> Model:
    """The model of a network that must be run to be known."""
    digests = {role: _digest(path) for role, path in files.items()}
    found = _known(runner, files, digests)
    capabilities = asdict(found) | {"network": {"channels": found.channels}}
    del capabilities["channels"]
    plain = {"adaptive": False, "support": None, "modulation_size": 0, "condition_size": 0}
    return _model(file, runner, files, digests, capabilities | plain | {"measured": True})


def _model(
    file: Path,
    runner: str,
    files: Mapping[str, Path],
    digests: Mapping[str, str],
    capabilities: Mapping[str, Any],
) -> Model:
    kind = {"onnx": "ONNX", "ncnn": "ncnn", "spandrel": "PyTorch", "checkpoint": "checkpoint"}[runner]
    return Model(
        name=file.stem,
        description=f"{kind} file {file.name}",
        files=dict(files),
        digests=dict(digests),
        licence=UNKNOWN_LICENCE,
        provenance={"source": file.name},
        **capabilities,
    )


def _known(runner: str, files: Mapping[str, Path], digests: Mapping[str, str]) -> Probed:
    """What the user's cache knows of a network, or what is found out of it now."""
    package = {"onnx": "openvino", "ncnn": "ncnn", "spandrel": "spandrel"}[runner]
    known = [_VERSION, runner, package_version(package), package_version("torch"), sorted(digests.items())]
    key = hashlib.sha256(json.dumps(known).encode("ascii")).hexdigest()
    cache = user_cache("probed")
    kept = None if cache is None else cache.load(key)
    if kept is not None:
        found = _read_probed(kept)
        if found is not None:
            return found
    found = _find_out(runner, files)
    if cache is not None:
        cache.store(key, json.dumps(asdict(found)).encode("ascii"))
    return found


def _read_probed(content: bytes | str) -> Probed | None:
    """What was found out, as it was kept; None where that is something else."""
    try:
        entries = parse_json(content)
        window = entries.pop("window")
        found = Probed(**entries, window=None if window is None else (int(window[0]), int(window[1])))
        kinds = {name: type(value) for name, value in asdict(found).items() if name != "window"}
    except (ValueError, KeyError, TypeError, IndexError, AttributeError):
        return None
    wanted = {"pixel_range": float, "tiled": bool}
    sound = all(kind is wanted.get(name, int) for name, kind in kinds.items())
    sound = sound and min(found.scale, found.multiple, found.tile_memory) >= 1 and found.halo >= 0
    sound = sound and min(found.window or (1,)) >= 1 and found.pixel_range in (1.0, 255.0)
    return found if sound else None


def _find_out(runner: str, files: Mapping[str, Path]) -> Probed:
    """Run the network in a process of its own; in this one where there is no Python to start."""
    main = next(iter(files.values()))
    _refuse_missing(runner)
    if not is_switched_off():
        log.warning("%s: finding out what it takes and how far it sees, once", main)
        argument = json.dumps([runner, {role: str(path.absolute()) for role, path in files.items()}])
        said = run_apart(__name__, argument, [*files.values()], str(main), _SECONDS)
        found = None if said is None else _read_probed(said.splitlines()[-1] if said else "")
        if found is not None:
            return found
        if said is not None:
            raise ModelError(f"{main}: running it gave no answer, so it is not run")
    return _probe(runner, files)


def _refuse_missing(runner: str) -> None:
    """Say what is not installed before a process is started that would miss it."""
    if runner == "ncnn" and not _installed("ncnn"):
        raise MissingExtraError("running ncnn's networks", "peers", "ncnn")


def _installed(package: str) -> bool:
    try:
        return sys.modules.get(package) is not None or find_spec(package) is not None
    except (ImportError, ValueError):
        return False


def _probe(runner: str, files: Mapping[str, Path]) -> Probed:
    main = next(iter(files.values()))
    try:
        return probe_network(load_network(runner, files), str(main))
    except (RuntimeError, MemoryError) as error:
        reason = " ".join(str(error).split())[-200:] or "not enough memory"
        raise ModelError(f"{main}: it does not run ({reason})") from error


def _probe_apart(argument: str) -> str:
    """The process's own part."""
    runner, files = json.loads(argument)
    return json.dumps(asdict(_probe(runner, {role: Path(path) for role, path in files.items()})))


if __name__ == "__main__":
    apart(_probe_apart)
