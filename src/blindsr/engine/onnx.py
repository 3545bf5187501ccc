"""ONNX files of other programs: one picture in, one out, run by OpenVINO."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from blindsr.engine.foreign import ForeignNetwork, Pixels
from blindsr.engine.openvino import CompiledGraph, compile_graph
from blindsr.engine.trial import refuse_other_files
from blindsr.errors import ModelError

__all__ = ["load_onnx"]

_PLANES = (1, 3)


def load_onnx(file: Path, threads: int | None = None) -> ForeignNetwork:
    """Compile a graph that makes a larger picture of one, and read what it says of its ends.

    The picture may be (1, C, H, W) or (1, H, W, C), of any kind of numbers; C is 3 for RGB or 1 for gray. Of
    what the graph does not say, (1, 3, H, W) is taken.

    Args:
        file: The ONNX file.
        threads: CPU threads; None for all cores.

    Raises:
        ModelError: OpenVINO cannot use it, or it takes or gives something else than one picture.
    """
    refuse_other_files(file)
    graph = compile_graph(file, threads, any_numbers=True)
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise ModelError(
            f"{file}: has {len(graph.inputs)} inputs and {len(graph.outputs)} outputs; a network that can be "
            "run here has one picture in and one out"
        )
    shape = graph.input_shapes[0]
    if len(shape) != 4 or shape[0] not in (None, 1):
        raise ModelError(f"{file}: takes an array of shape {_shown(shape)}, not one picture (1, 3, H, W)")
    last = shape[3] in _PLANES and shape[1] not in _PLANES
    channels, sides = (shape[3], shape[1:3]) if last else (shape[1], shape[2:])
    if channels not in (None, *_PLANES):
        raise ModelError(f"{file}: takes pictures of {channels} planes; RGB has 3 and gray 1")
    if (sides[0] is None) != (sides[1] is None):
        raise ModelError(
            f"{file}: takes pictures of one fixed side ({_shown(shape)}); export it with both free"
        )
    window = None if sides[0] is None or sides[1] is None else (sides[0], sides[1])
    return ForeignNetwork(_OnPlanes(graph, file, last), channels or 3, window)


class _OnPlanes:
    """Runs a graph on planes, wherever it has them: `last` tells whether behind the sides."""

    def __init__(self, graph: CompiledGraph, file: Path, last: bool) -> None:
        self._graph, self._file, self._last = graph, file, last
        self._name = min(graph.inputs[0])

    def __call__(self, planes: Pixels) -> Pixels:
        """(C, H, W) -> (C, scale * H, scale * W)."""
        batch = planes.transpose(1, 2, 0)[None] if self._last else planes[None]
        (result,) = self._graph({self._name: batch})
        if result.ndim != 4 or result.shape[0] != 1:
            raise ModelError(f"{self._file}: gives an array of shape {result.shape}, not one picture")
        made = result[0].transpose(2, 0, 1) if self._last else result[0]
        return np.ascontiguousarray(made)


def _shown(shape: tuple[int | None, ...]) -> str:
    return f"({', '.join('any' if side is None else str(side) for side in shape)})"
