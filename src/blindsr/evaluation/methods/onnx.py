"""Any ONNX file with one picture in and one out, run by OpenVINO."""

from __future__ import annotations

from pathlib import Path

from blindsr.errors import ModelError
from blindsr.evaluation.methods.method import Method, NetworkRestorer, Pixels, find_out
from blindsr.evaluation.methods.runtime import runtime
from blindsr.evaluation.result_cache import code_digest, digest
from blindsr.system.files import sha256


def onnx_method(file: Path, title: str | None, device: str, threads: int | None) -> Method:
    """An ONNX file whose graph makes (1, 3, s * H, s * W) of (1, 3, H, W).

    Its scale and pixel range are found by `find_out`. It runs on the CPU, whatever the device.
    """
    own_title = title or file.stem
    code = code_digest(("engine",))
    identity = digest("onnx", code, sha256(file), runtime("openvino"), threads)
    return Method(own_title, identity, lambda: load_onnx(file, own_title, threads))


def load_onnx(file: Path, title: str, threads: int | None) -> NetworkRestorer:
    """Compile the graph and find out what it is."""
    from blindsr.engine.openvino import compile_graph

    graph = compile_graph(file, threads)
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise ModelError(
            f"{file}: has {len(graph.inputs)} inputs and {len(graph.outputs)} outputs; "
            "a network to be compared with has one picture in and one out"
        )
    name = min(graph.inputs[0])

    def network(planes: Pixels) -> Pixels:
        try:
            (result,) = graph({name: planes[None]})
        except RuntimeError as error:
            reason = " ".join(str(error).split())[-200:]
            raise ModelError(
                f"{file}: cannot run on a picture of {planes.shape[2]}x{planes.shape[1]} ({reason})"
            ) from error
        if result.ndim != 4:
            raise ModelError(f"{file}: gives an array of shape {result.shape}, not (1, 3, H, W)")
        restored: Pixels = result[0]
        return restored

    return find_out(network, title)
