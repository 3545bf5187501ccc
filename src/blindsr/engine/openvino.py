"""Runs a model's ONNX graphs on the CPU with OpenVINO."""

from __future__ import annotations

import hashlib
import json
import logging
import sys
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from threading import Lock, RLock
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blindsr.engine.cache import user_cache
from blindsr.engine.identity import openvino_identity
from blindsr.engine.inputs import check_condition, check_result, fill_inputs, input_names
from blindsr.engine.instructions import cpu_features
from blindsr.errors import ModelError
from blindsr.models.card import Model

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

_KEPT_REQUESTS = 4
"""Requests that a graph keeps for its next runs, each with the memory of its last result."""

_core: Any = None
_making_core = Lock()
_importing = RLock()


class CompiledGraph:
    """A graph ready to run on the CPU: float32 in and out, whatever its layers compute in.

    Any number of threads may run it at once: each run has an inference request to itself.

    Args:
        path: The file it came from.
        compiled: What OpenVINO compiled.
    """

    def __init__(self, path: Path, compiled: Any) -> None:  # noqa: ANN401  (OpenVINO has no types)
        self.path = path
        self._compiled = compiled
        self._idle: deque[Any] = deque(maxlen=_KEPT_REQUESTS)  # the last one in is the first one out
        # Each end may have several names: optimising merges tensors, and their names with them.
        self.inputs = [frozenset(end.get_names()) for end in compiled.inputs]
        self.outputs = [frozenset(end.get_names()) for end in compiled.outputs]

    @property
    def input_shapes(self) -> list[tuple[int | None, ...]]:
        """Of each input the sides that it takes; None for any."""
        shapes = (end.get_partial_shape() for end in self._compiled.inputs)
        return [tuple(None if side.is_dynamic else side.get_length() for side in shape) for shape in shapes]

    def __call__(self, feed: Mapping[str, NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        """Run the graph.

        Args:
            feed: An array for each input, by name.

        Returns:
            The outputs in the graph's order. They are the caller's own.

        Raises:
            MemoryError: There is not enough memory for inputs of this size.
            RuntimeError: The graph cannot run on these inputs.
        """
        with self.run(feed) as outputs:
            return [output.copy() for output in outputs]

    @contextmanager
    def run(self, feed: Mapping[str, NDArray[np.float32]]) -> Iterator[list[NDArray[np.float32]]]:
        """Run the graph without copying what it makes: as `__call__`, but to be used as a context manager.

        Yields:
            The outputs. They lie in the engine's memory, and hold until the block ends.
        """
        contiguous = {name: np.ascontiguousarray(value, np.float32) for name, value in feed.items()}
        try:
            request = self._idle.pop()
        except IndexError:
            request = self._compiled.create_infer_request()
        try:
            outputs = list(request.infer(contiguous, share_inputs=True, share_outputs=True).values())
        except RuntimeError as error:
            if "alloc" in str(error).lower():  # it wraps std::bad_alloc, and has no error of its own for it
                raise MemoryError(_first_line(error)) from error
            raise
        # A request whose run was broken off never comes back: who knows what it is in the middle of.
        try:
            yield outputs
        finally:
            self._idle.append(request)

    def check_ends(self, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        """Compare the graph's ends with what a card promises.

        Raises:
            ModelError: Other names, or numbers of another type than float32.
        """
        for kind, ends, names, wanted in (
            ("inputs", self._compiled.inputs, self.inputs, inputs),
            ("outputs", self._compiled.outputs, self.outputs, outputs),
        ):
            if len(names) != len(wanted) or any(w not in own for own, w in zip(names, wanted, strict=True)):
                found = [" = ".join(sorted(own)) for own in names]
                raise ModelError(f"{self.path}: its {kind} are {found}, not {list(wanted)}")
            for end, name in zip(ends, wanted, strict=True):
                kind_of_number = end.get_element_type().get_type_name()
                if kind_of_number != "f32":
                    raise ModelError(
                        f"{self.path}: its {kind[:-1]} {name} is of {kind_of_number}, not of f32 (float32)"
                    )


class OpenVINOEngine:
    """OpenVINO on the CPU, tuned for the latency of one image, any image size without recompiling.

    Threads may share it: what one call gives is what it would give alone.

    Args:
        model: The model to run.
        threads: CPU threads; None for all cores. The result is the same with any number.
        precision: Of the base graph: "fp32" or "int8". The ConditionNet, which runs once, is always in fp32.
        fold: Compile the modulation into the graph as a constant, anew for every modulation, instead of
            feeding it as an input. The result is nearly the same; it exists so that the two can be compared.

    Attributes:
        identity: See `Engine.identity`.

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
        self.identity = openvino_identity(model, precision, fold=self._fold)
        # The ConditionNet is compiled when first asked for: a folder under one support set needs it once. So
        # is a folded base, which waits for its modulation.
        self._compiling = Lock()
        self._condition: CompiledGraph | None = None
        self._base: CompiledGraph | None = None
        self._folded: tuple[bytes, CompiledGraph] | None = None
        if not self._fold:
            self._base = self._compile(self._role, input_names(model), _SR)

    def condition(self, support: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """See `Engine.condition`."""
        with self._compiling:
            if self._condition is None:
                self._condition = self._compile("condition", ("support",), ("condition", "modulation"))
            graph = self._condition
        try:
            condition, modulation = graph({"support": self._to_graph(support)})
        except RuntimeError as error:
            raise self._cannot_run(graph, "a support set", support, error) from error
        check_condition(self._model, condition, modulation)
        return condition, modulation

    def upscale(
        self, lr: NDArray[np.float32], modulation: NDArray[np.float32] | None, texture: float | None = None
    ) -> NDArray[np.float32]:
        """See `Engine.upscale`."""
        feed = fill_inputs(self._model, lr, modulation, texture)
        feed["lr"] = self._to_graph(feed["lr"])
        graph = self._base or self._fold_in(feed.pop("modulation"))
        try:
            with graph.run(feed) as (result,):
                # The division makes the copy that is needed anyway.
                restored: NDArray[np.float32] = result / np.float32(self._model.pixel_range)
        except RuntimeError as error:
            raise self._cannot_run(graph, "an LR image", lr, error) from error
        sr = restored.transpose(0, 3, 1, 2)
        check_result(self._model, lr, sr)
        return sr

    def _to_graph(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """[0, 1] -> the graph's range."""
        if self._model.pixel_range == 1:
            return pixels
        ranged: NDArray[np.float32] = pixels * np.float32(self._model.pixel_range)
        return ranged

    def _compile(self, role: str, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> CompiledGraph:
        """Compile one of the model's graphs and check its ends."""
        graph = compile_graph(
            self._model.file(role), self._threads, interleaved=() if role == "condition" else _SR
        )
        graph.check_ends(inputs, outputs)
        return graph

    def _fold_in(self, modulation: NDArray[np.float32]) -> CompiledGraph:
        """The base graph with this modulation, compiled unless the last one was the same."""
        key = modulation.tobytes()
        with self._compiling:
            if self._folded is None or self._folded[0] != key:
                path = self._model.file(self._role)
                # Every condition is another graph: caching them all would only fill the disk.
                constants = {"modulation": modulation}
                graph = compile_graph(path, self._threads, False, constants=constants, interleaved=_SR)
                graph.check_ends([name for name in input_names(self._model) if name not in constants], _SR)
                self._folded = key, graph
            return self._folded[1]

    def _cannot_run(
        self, graph: CompiledGraph, what: str, given: NDArray[np.float32], error: RuntimeError
    ) -> ModelError:
        return ModelError(
            f"model {self._model.name}: {graph.path.name} cannot run on {what} of shape {given.shape} "
            f"({_first_line(error)})"
        )


def compile_graph(
    path: Path,
    threads: int | None = None,
    cache: bool = True,
    constants: Mapping[str, NDArray[np.float32]] | None = None,
    interleaved: Sequence[str] = (),
    any_numbers: bool = False,
) -> CompiledGraph:
    """Read a graph and compile it for the CPU.

    Args:
        path: An ONNX file, or an .xml file of OpenVINO's with its .bin beside it.
        threads: CPU threads; None for all cores.
        cache: Keep the compiled graph in the user's cache folder, which makes the next start quicker.
        constants: Inputs to replace by these values; such a graph is never kept.
        interleaved: Outputs (N, C, H, W) that are to come as (N, H, W, C): the engine turns them on all its
            threads, NumPy on one.
        any_numbers: Inputs and outputs that are not of float32 are taken and given as if they were.

    Raises:
        ModelError: The file is no graph that OpenVINO can read and compile.
    """
    core = shared_core()
    options = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    if threads is not None:
        options["INFERENCE_NUM_THREADS"] = str(threads)
    try:
        contents = _read_files(path)
        kept = user_cache() if cache and not constants and contents is not None else None
        key = ""
        if kept is not None:
            assert contents is not None
            key = _cache_key(contents, options, [*interleaved, *(["f32"] if any_numbers else [])])
            blob = kept.load(key)
            if blob is not None:
                try:
                    return CompiledGraph(path, core.import_model(blob, "CPU", options))
                except RuntimeError as error:
                    log.warning("%s: compiled anew (%s)", path, _first_line(error))
        # An ONNX graph is read by its path: from bytes OpenVINO leaves out inputs that have no use.
        by_bytes = contents is not None and path.suffix == ".xml"
        graph = core.read_model(*(contents or ())) if by_bytes else core.read_model(path)
        compiled = core.compile_model(
            _adjusted(graph, constants or {}, interleaved, any_numbers), "CPU", options
        )
        # If somebody has replaced the file meanwhile, nobody knows which one was compiled.
        if kept is not None and (by_bytes or _read_files(path) == contents):
            kept.store(key, compiled.export_model().getvalue())
        return CompiledGraph(path, compiled)
    except OSError as error:
        raise ModelError(f"{error.filename or path}: cannot be read ({error.strerror})") from error
    except RuntimeError as error:
        raise ModelError(f"{path}: OpenVINO cannot use this graph ({_first_line(error)})") from error


def _read_files(path: Path) -> tuple[bytes, ...] | None:
    """Everything that a graph is made of.

    None for an ONNX graph that keeps some of its weights in other files, which OpenVINO must find by itself.
    """
    content = path.read_bytes()
    if path.suffix == ".xml":
        return content, path.with_suffix(".bin").read_bytes()
    # What ONNX calls a weight's file; the word elsewhere in the graph costs no more than the cache.
    return None if b"location" in content else (content,)


def _cache_key(contents: Sequence[bytes], options: Mapping[str, str], interleaved: Sequence[str]) -> str:
    """Stands for all that a compiled graph depends on: the graph, OpenVINO, how it compiles, and the CPU."""
    cpu = [shared_core().get_property("CPU", "FULL_DEVICE_NAME"), sorted(cpu_features())]
    digests = [hashlib.sha256(content).hexdigest() for content in contents]
    parts = [digests, version("openvino"), import_openvino().get_version(), options, list(interleaved), cpu]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode("ascii")).hexdigest()


def _adjusted(
    graph: Any,  # noqa: ANN401
    constants: Mapping[str, NDArray[np.float32]],
    interleaved: Sequence[str],
    any_numbers: bool,
) -> Any:  # noqa: ANN401
    """The graph with inputs replaced by constants and outputs turned, as `compile_graph` has them."""
    openvino = import_openvino()
    for name, value in constants.items():
        parameter = graph.input(name).get_node()
        constant = openvino.opset13.constant(np.ascontiguousarray(value, np.float32))
        for target in parameter.output(0).get_target_inputs():
            target.replace_source_output(constant.output(0))
        graph.remove_parameter(parameter)
        graph.validate_nodes_and_infer_types()
    if not interleaved and not any_numbers:
        return graph
    steps = openvino.preprocess.PrePostProcessor(graph)
    for name in interleaved:
        steps.output(name).model().set_layout(openvino.Layout("NCHW"))
        steps.output(name).tensor().set_layout(openvino.Layout("NHWC"))
    if any_numbers:
        for number in range(len(graph.inputs)):
            steps.input(number).tensor().set_element_type(openvino.Type.f32)
        for number in range(len(graph.outputs)):
            steps.output(number).tensor().set_element_type(openvino.Type.f32)
    return steps.build()


def import_openvino() -> ModuleType:
    """Import OpenVINO without its telemetry."""
    return import_quietly("openvino")


def import_quietly(package: str) -> ModuleType:
    """Import OpenVINO, or a package of its family, without its telemetry.

    They report every import over the network if openvino-telemetry is installed, and have a silent stand-in
    for when it is not; hiding that package during the import selects the stand-in.
    """
    hidden = "openvino_telemetry"
    with _importing:  # what is hidden is hidden from all threads: none may undo it under another
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
            openvino = import_openvino()
            # Its table of NumPy's types is made by the first who asks, under a lock of C++ and with the GIL
            # given away: two threads who ask first at once, such as two first photos, wait for ever.
            openvino.Type.f32.to_dtype()
            _core = openvino.Core()
        return _core


def _first_line(error: Exception) -> str:
    """What an engine's long message says, on one line."""
    lines = (line.strip() for line in reversed(str(error).splitlines()))
    reasons = (line for line in lines if line and not line.startswith("Exception from"))
    return next(reasons, "no reason given")[:200]
