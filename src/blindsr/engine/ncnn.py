"""Networks of other programs as ncnn runs them: a .param and a .bin file. Needs the extra [peers]."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from blindsr.engine.foreign import ForeignNetwork, Pixels
from blindsr.errors import MissingExtraError, ModelError
from blindsr.system.files import read_whole
from blindsr.system.untrusted import brief, parse_json

__all__ = ["io_names", "load_ncnn", "ncnn_files"]

_MAGIC = "7767517"
_LARGEST = 16 << 20  # bytes of a .param file; those of large networks have 200 kB
_NO_MEMORY = -100  # what ncnn says where there is not enough


def ncnn_files(file: Path) -> dict[str, Path]:
    """The files of a network by role, from its .param or its .bin; and NAME.json, if that lies beside them.

    Raises:
        ModelError: One of the two is missing.
    """
    files = {"ncnn": file.with_suffix(".param"), "ncnn_weights": file.with_suffix(".bin")}
    for path in files.values():
        if not path.is_file():
            raise ModelError(f"{path}: not there; ncnn needs {file.stem}.param and {file.stem}.bin")
    planes = file.with_suffix(".json")
    return files | ({"planes": planes} if planes.is_file() else {})


def load_ncnn(files: Mapping[str, Path], threads: int | None = None) -> ForeignNetwork:
    """Load a network.

    One that must be told the degradation takes more planes than RGB. They are read from the JSON file beside
    it, {"planes": [...]}, each filled with one number.

    Args:
        files: As `ncnn_files` gives them.
        threads: CPU threads; None for all cores.

    Raises:
        ModelError: A file is missing or damaged, or the network takes other planes than there are.
        MissingExtraError: ncnn is not installed.
    """
    param = files["ncnn"]
    source, target, channels = io_names(param)
    planes = _planes_of(files["planes"]) if "planes" in files else []
    colours = channels - len(planes)
    if colours not in (1, 3):
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
    net.opt.use_fp16_arithmetic = False  # of Arm: too coarse for residual sums
    if threads is not None:
        net.opt.num_threads = threads
    for path, load in ((param, net.load_param), (files["ncnn_weights"], net.load_model)):
        if load(str(path)) != 0:
            raise ModelError(f"{path}: ncnn cannot read it")

    def run(picture: Pixels) -> Pixels:
        told = [np.full((1, *picture.shape[1:]), value, np.float32) for value in planes]
        fed = np.ascontiguousarray(np.concatenate([picture, *told]))
        extractor = net.create_extractor()
        # The clone owns its memory: a Mat made from an array only points into it.
        extractor.input(source, ncnn.Mat(fed).clone())
        failed, result = extractor.extract(target)
        if failed == _NO_MEMORY:
            raise MemoryError(
                f"{param}: ncnn has not enough memory for {picture.shape[2]}x{picture.shape[1]}"
            )
        if failed:
            raise ModelError(f"{param}: ncnn could not run it (code {failed})")
        made = np.array(result, np.float32)
        return made[None] if made.ndim == 2 else made  # of one plane ncnn makes a matrix

    return ForeignNetwork(run, colours)


def io_names(param: Path) -> tuple[str, str, int]:
    """Names of a network's input and output, and how many planes it takes, as its .param file tells.

    A line is a layer: type, name, counts of inputs and outputs, their names, then key=value. The input is
    that of the layer "Input"; the output the one that no layer takes. The planes are those of the convolution
    that the input goes into: as many as its weights (key 6) have for each of its outputs (key 0) and places
    (keys 1 and 11); 3 where it goes into something else.

    Raises:
        ModelError: It is no such file, or has not one input and one output.
    """
    try:
        lines = read_whole(param, _LARGEST).decode("utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{param}: cannot be read as a text of ncnn's ({brief(error)})") from error
    if lines[0].strip() != _MAGIC:
        raise ModelError(f"{param}: not a .param file of ncnn (it does not begin with {_MAGIC})")
    inputs: list[str] = []
    made: list[str] = []
    taken: set[str] = set()
    same: set[str] = set()  # the input's names
    channels = 0
    try:
        for line in filter(str.strip, lines[2:]):
            kind, _, *rest = line.split()
            counts = int(rest[0]), int(rest[1])
            names = rest[2 : 2 + sum(counts)]
            takes, makes = names[: counts[0]], names[counts[0] :]
            taken.update(takes)
            made += makes
            if kind == "Input":
                inputs += names
            if kind == "Input" or (kind == "Split" and same.issuperset(takes)):
                same.update(makes)
            elif kind == "Convolution" and not channels and same.issuperset(takes):
                channels = _planes_into(dict(entry.split("=", 1) for entry in rest[2 + sum(counts) :]))
    except (ValueError, KeyError, IndexError, ZeroDivisionError) as error:
        raise ModelError(f"{param}: a damaged .param file ({error!r})") from error
    outputs = [name for name in made if name not in taken]
    if len(inputs) != 1 or len(outputs) != 1:
        raise ModelError(
            f"{param}: its inputs are {inputs[:9]} and its outputs {outputs[:9]}; a network that can be run "
            "here has one of each"
        )
    return inputs[0], outputs[0], channels or 3


def _planes_into(options: Mapping[str, str]) -> int:
    """Planes that a convolution takes."""
    across, down = int(options["1"]), int(options.get("11", options["1"]))
    return int(options["6"]) // (int(options["0"]) * across * down)


def _planes_of(file: Path) -> Sequence[float]:
    """The numbers of the JSON file."""
    try:
        return [float(number) for number in parse_json(read_whole(file))["planes"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f'{file}: should hold {{"planes": [numbers]}} for the network beside it ({error!r})'
        ) from error
