"""Runs a model's ONNX graphs on the CPU with OpenVINO."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from threading import Lock
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blindsr.engine.inputs import fill_inputs, input_names
from blindsr.errors import ModelError
from blindsr.folders import user_folder
from blindsr.model import Model

__all__ = [
    "CompiledGraph",
    "OpenVINOEngine",
    "compile_graph",
    "import_openvino",
    "import_quietly",
    "shared_core",
]

log = logging.getLogger(__name__)

_SR = ("sr",)

_core: Any = None
_making_core = Lock()


class CompiledGraph:
    """A graph ready to run on the CPU: float32 in and out, whatever its layers compute in.

    Args:
        path: The file it came from.
        compiled: What OpenVINO compiled.
    """

    def __init__(self, path: Path, compiled: Any) -> None:  # noqa: ANN401  (OpenVINO has no types)
        self.path = path
        self._compiled = compiled
        # Each end may have several names: optimising merges tensors, and their names with them.
        self.inputs = [frozenset(end.get_names()) for end in compiled.inputs]
        self.outputs = [frozenset(end.get_names()) for end in compiled.outputs]

    def __call__(self, feed: Mapping[str, NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        """Run the graph.

        Args:
            feed: An array for each input, by name.

        Returns:
            The outputs in the graph's order. They lie in the engine's memory and hold until the next call.
        """
        contiguous = {name: np.ascontiguousarray(value, np.float32) for name, value in feed.items()}
        return list(self._compiled(contiguous, share_inputs=True, share_outputs=True).values())


class OpenVINOEngine:
    """OpenVINO on the CPU, tuned for the latency of one image, any image size without recompiling.

    Args:
        model: The model to run.
        threads: CPU threads; None for all cores.
        precision: Of the base graph: "fp32" or "int8". The ConditionNet, which runs once, is always in fp32.
        fold: Compile the modulation into the graph as a constant, anew for every modulation, instead of
            feeding it as an input. The result is the same; it exists so that the two can be compared.

    Raises:
        ModelError: A graph cannot be read, or its inputs or outputs are not what the card promises.
    """

    def __init__(
        self, model: Model, threads: int | None = None, fold: bool = False, precision: str = "fp32"
    ) -> None:
        self._model = model
        self._threads = threads
        self._role = "base" if precision == "fp32" else precision
        self._fold = fold and model.adaptive
        # The ConditionNet is compiled when first asked for: a folder under one support set needs it once. So
        # is a folded base, which waits for its modulation.
        self._condition: CompiledGraph | None = None
        self._base: CompiledGraph | None = None
        self._folded_with = b""
        if not self._fold:
            self._base = self._compile(self._role, input_names(model), ("sr",))

    def condition(self, support: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """See `Engine.condition`."""
        if self._condition is None:
            self._condition = self._compile("condition", ("support",), ("condition", "modulation"))
        condition, modulation = self._condition({"support": self._to_graph(support)})
        return condition.copy(), modulation.copy()

    def upscale(
        self, lr: NDArray[np.float32], modulation: NDArray[np.float32] | None, texture: float | None = None
    ) -> NDArray[np.float32]:
        """See `Engine.upscale`."""
        feed = fill_inputs(self._model, lr, modulation, texture)
        feed["lr"] = self._to_graph(feed["lr"])
        if self._fold:
            self._fold_in(feed.pop("modulation"))
        assert self._base is not None
        try:
            (sr,) = self._base(feed)
        except RuntimeError as error:
            if "alloc" in str(error).lower():  # it wraps std::bad_alloc, and has no error of its own for it
                raise MemoryError(_first_line(error)) from error
            raise
        # The division makes the copy that is needed anyway.
        restored: NDArray[np.float32] = sr / np.float32(self._model.pixel_range)
        return restored.transpose(0, 3, 1, 2)

    def _to_graph(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """[0, 1] -> the graph's range."""
        if self._model.pixel_range == 1:
            return pixels
        ranged: NDArray[np.float32] = pixels * np.float32(self._model.pixel_range)
        return ranged

    def _compile(self, role: str, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> CompiledGraph:
        """Compile one of the model's graphs and check the names of its ends."""
        graph = compile_graph(
            self._model.file(role), self._threads, interleaved=() if role == "condition" else _SR
        )
        for kind, ends, wanted in (("inputs", graph.inputs, inputs), ("outputs", graph.outputs, outputs)):
            if len(ends) != len(wanted) or any(w not in names for names, w in zip(ends, wanted, strict=True)):
                found = [" = ".join(sorted(names)) for names in ends]
                raise ModelError(f"{graph.path}: its {kind} are {found}, not {list(wanted)}")
        return graph

    def _fold_in(self, modulation: NDArray[np.float32]) -> None:
        """Compile the base graph with this modulation, unless it is the one already compiled in."""
        if self._folded_with != modulation.tobytes():
            path = self._model.file(self._role)
            # Every condition is another graph: caching them all would only fill the disk.
            constants = {"modulation": modulation}
            self._base = compile_graph(path, self._threads, cache=False, constants=constants, interleaved=_SR)
            self._folded_with = modulation.tobytes()


def compile_graph(
    path: Path,
    threads: int | None = None,
    cache: bool = True,
    constants: Mapping[str, NDArray[np.float32]] | None = None,
    interleaved: Sequence[str] = (),
) -> CompiledGraph:
    """Read a graph and compile it for the CPU.

    Args:
        path: An ONNX file, or an .xml file of OpenVINO's with its .bin beside it.
        threads: CPU threads; None for all cores.
        cache: Keep the compiled graph in the user's cache folder, which makes the next start quicker.
        constants: Inputs to replace by these values.
        interleaved: Outputs (N, C, H, W) that are to come as (N, H, W, C): the engine turns them on all its
            threads, NumPy on one.

    Raises:
        ModelError: The file is no graph that OpenVINO can read and compile.
    """
    openvino = import_openvino()
    core = shared_core()
    options = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    if threads is not None:
        options["INFERENCE_NUM_THREADS"] = str(threads)
    try:
        graph = core.read_model(path)
        for name, value in (constants or {}).items():
            parameter = graph.input(name).get_node()
            constant = openvino.opset13.constant(np.ascontiguousarray(value, np.float32))
            for target in parameter.output(0).get_target_inputs():
                target.replace_source_output(constant.output(0))
            graph.remove_parameter(parameter)
            graph.validate_nodes_and_infer_types()
        if interleaved:
            steps = openvino.preprocess.PrePostProcessor(graph)
            for name in interleaved:
                steps.output(name).model().set_layout(openvino.Layout("NCHW"))
                steps.output(name).tensor().set_layout(openvino.Layout("NHWC"))
            graph = steps.build()
        folder = _cache_folder() if cache else None
        if folder is not None:
            try:
                cached = {**options, "CACHE_DIR": str(folder)}
                return CompiledGraph(path, core.compile_model(graph, "CPU", cached))
            except RuntimeError as error:  # a damaged or locked cache must not stop anyone
                log.warning("compiling without the cache in %s: %s", folder, _first_line(error))
        return CompiledGraph(path, core.compile_model(graph, "CPU", options))
    except RuntimeError as error:
        raise ModelError(f"{path}: OpenVINO cannot use this graph ({_first_line(error)})") from error


def import_openvino() -> ModuleType:
    """Import OpenVINO without its telemetry."""
    return import_quietly("openvino")


def import_quietly(package: str) -> ModuleType:
    """Import OpenVINO, or a package of its family, without its telemetry.

    They report every import over the network if openvino-telemetry is installed, and have a silent stand-in
    for when it is not; hiding that package during the import selects the stand-in.
    """
    hidden = "openvino_telemetry"
    if package in sys.modules or hidden in sys.modules:
        return import_module(package)
    sys.modules[hidden] = None  # type: ignore[assignment]  # the documented way to make an import fail
    try:
        return import_module(package)
    finally:
        del sys.modules[hidden]


def shared_core() -> Any:  # noqa: ANN401  (OpenVINO has no types)
    """The process's one Core: it is made on first use and never dropped.

    On Linux a Core's CPU plugin gives the calling thread a stack for signal handlers, and gives back the one
    before it when the Core and all that it compiled are gone. Of two Cores that end in the order they were
    made, the second gives back the first one's stack, which is no longer in memory: the next Ctrl-C, or any
    signal that Python handles, is then a segmentation fault.
    """
    global _core
    with _making_core:  # two threads must not make one each
        if _core is None:
            _core = import_openvino().Core()
        return _core


def _cache_folder() -> Path | None:
    """A writable folder for compiled graphs in the user's cache, or None where there is none."""
    base = user_folder("cache")
    if base is None:
        return None
    folder = base / "openvino"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:  # a read-only home, a file in the way
        return None
    return folder if os.access(folder, os.W_OK | os.X_OK) else None


def _first_line(error: Exception) -> str:
    """What an engine's long message says, on one line."""
    lines = (line.strip() for line in reversed(str(error).splitlines()))
    reasons = (line for line in lines if line and not line.startswith("Exception from"))
    return next(reasons, "no reason given")[:200]
