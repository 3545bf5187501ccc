"""Networks of other projects as ncnn runs them: a .param and a .bin file. Needs the extra [peers]."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from blindsr.errors import MissingExtraError, ModelError
from blindsr.evaluation.methods.method import Method, NetworkRestorer, Pixels, find_out
from blindsr.evaluation.methods.runtime import runtime
from blindsr.evaluation.result_cache import digest
from blindsr.system.files import sha256

_MAGIC = "7767517"
_SUFFIXES = (".param", ".bin")


def ncnn_method(file: Path, title: str | None, device: str, threads: int | None) -> Method:
    """A network by its .param or its .bin file; the other lies beside it.

    A network that must be told the degradation takes more planes than RGB. They are read from a JSON file
    beside it, NAME.json: {"planes": [...]}, each filled with one number. Its scale and pixel range are found
    by `find_out`. It runs on the CPU, whatever the device.

    Raises:
        ModelError: A file is missing, or the JSON file is none.
    """
    own_title = title or file.stem
    files = {suffix: file.with_suffix(suffix) for suffix in _SUFFIXES}
    for path in files.values():
        if not path.is_file():
            raise ModelError(f"{path}: not there; ncnn needs {file.stem}.param and {file.stem}.bin")
    planes = _planes_beside(file.with_suffix(".json"))
    digests = [sha256(path) for path in files.values()]
    identity = digest("ncnn", digests, planes, runtime("ncnn"), threads)
    return Method(
        own_title,
        identity,
        lambda: load_ncnn(files[".param"], files[".bin"], own_title, planes, threads),
    )


def load_ncnn(
    param: Path, weights: Path, title: str, planes: Sequence[float], threads: int | None
) -> NetworkRestorer:
    """Load the network and find out what it is."""
    source, target, channels = ends_of(param)
    if channels != 3 + len(planes):
        raise ModelError(
            f"{param}: takes {channels} planes, and RGB are 3: a network that must be told the degradation; "
            f'write {param.stem}.json beside it, {{"planes": [...]}} with {channels - 3} numbers'
        )
    try:
        import ncnn
    except ImportError:
        raise MissingExtraError("running ncnn's networks", "peers", "ncnn") from None
    net = ncnn.Net()
    net.opt.use_vulkan_compute = False
    if threads is not None:
        net.opt.num_threads = threads
    for path, load in ((param, net.load_param), (weights, net.load_model)):
        if load(str(path)) != 0:
            raise ModelError(f"{path}: ncnn cannot read it")

    def network(picture: Pixels) -> Pixels:
        told = [np.full(picture.shape[1:], value, np.float32) for value in planes]
        fed = np.ascontiguousarray(np.concatenate([picture, np.stack(told)]) if told else picture)
        extractor = net.create_extractor()
        # The clone owns its memory: a Mat made from an array only points into it.
        extractor.input(source, ncnn.Mat(fed).clone())
        failed, result = extractor.extract(target)
        if failed:
            raise ModelError(f"{param}: ncnn could not run it (code {failed})")
        return np.array(result, np.float32)

    return find_out(network, title)


def ends_of(param: Path) -> tuple[str, str, int]:
    """Names of a network's input and output, and how many planes it takes, as its .param file tells.

    A line is a layer: type, name, counts of inputs and outputs, their names, then key=value. The input is
    that of the layer "Input"; the output the one that no layer takes. The planes are those of the first
    convolution: as many as its weights (key 6) have for each of its outputs (key 0) and places (key 1).

    Raises:
        ModelError: It is no such file, or has not one input and one output.
    """
    try:
        lines = param.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{param}: cannot be read as a text of ncnn's ({error})") from error
    if lines[0].strip() != _MAGIC:
        raise ModelError(f"{param}: not a .param file of ncnn (it does not begin with {_MAGIC})")
    inputs: list[str] = []
    made: list[str] = []
    taken: set[str] = set()
    channels = 0
    try:
        for line in filter(str.strip, lines[2:]):
            kind, _, *rest = line.split()
            counts = int(rest[0]), int(rest[1])
            names = rest[2 : 2 + sum(counts)]
            taken.update(names[: counts[0]])
            made += names[counts[0] :]
            if kind == "Input":
                inputs += names
            elif kind == "Convolution" and not channels:
                options = dict(entry.split("=", 1) for entry in rest[2 + sum(counts) :])
                across, down = int(options["1"]), int(options.get("11", options["1"]))
                channels = int(options["6"]) // (int(options["0"]) * across * down)
    except (ValueError, KeyError, IndexError, ZeroDivisionError) as error:
        raise ModelError(f"{param}: a damaged .param file ({error!r})") from error
    outputs = [name for name in made if name not in taken]
    if len(inputs) != 1 or len(outputs) != 1:
        raise ModelError(
            f"{param}: its inputs are {inputs} and its outputs {outputs}; a network to be compared with has "
            "one of each"
        )
    return inputs[0], outputs[0], channels


def _planes_beside(file: Path) -> list[float]:
    """The numbers of the JSON file, if there is one."""
    if not file.is_file():
        return []
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return [float(number) for number in content["planes"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f'{file}: should hold {{"planes": [numbers]}} for the network beside it ({error!r})'
        ) from error
