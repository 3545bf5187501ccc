"""A trained network becomes a model folder: its ONNX graphs, the weights and a card, each verified."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import logging
import subprocess
import sys
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from blindsr.checkpoint.description import describe, support_patch
from blindsr.checkpoint.reading import network_of, read_content
from blindsr.engine.openvino import OpenVINOEngine
from blindsr.errors import InputError, MissingExtraError, ModelError
from blindsr.models.card import CARD, UNKNOWN_LICENCE, SupportSpec, write_card
from blindsr.models.catalogue import find_model
from blindsr.network import Restorer
from blindsr.system.files import atomic_path, read_whole, refuse_overwriting, sha256
from blindsr.system.untrusted import parse_json

log = logging.getLogger(__name__)

WRITTEN = ("base.onnx", "condition.onnx", "weights.safetensors", CARD)
"""Files of the folder that is made."""
WRITTEN_BY_HAND = ("description", "licence", "provenance", "metrics", "texture")
TOLERANCE = 1e-4  # greatest difference between graph and network, relative to the output's largest value
TEXTURES = (0.0, 0.3, 1.0)  # at which a network with a texture view is compared with its graph


class ConditionGraph(nn.Module):
    """support (P, 3, h, w) -> condition (1, C) and modulation (1, M)."""

    def __init__(self, network: Restorer) -> None:
        super().__init__()
        self.network = network

    def forward(self, support: Tensor) -> tuple[Tensor, Tensor]:
        """Both vectors of one task."""
        condition = self.network.condition(support)
        return condition, self.network.modulation(condition)


def export_checkpoint(
    checkpoint: Path,
    out: Path,
    name: str | None = None,
    card: dict[str, Any] | None = None,
    scale: int | None = None,
) -> Path:
    """Export a checkpoint of ours, or an official one, to a model folder that needs no PyTorch.

    The base graph takes ``lr`` (1, 3, H, W), any H and W that are multiples of what the network wants; if the
    network adapts, ``modulation`` (1, M); if its texture can be turned up and down, ``texture`` (1,). The
    condition graph of a network that adapts takes ``support`` (P, 3, h, w). The graphs are run and compared
    with the network; if they differ the folder loses its card, and a folder without a card is no model.

    Args:
        checkpoint: The checkpoint, as `blindsr.checkpoint.reading` reads it; of a training run the averaged
            weights are taken.
        out: Folder to write; made if absent.
        name: The model's name; default the folder's.
        card: More entries of the card (description, licence, provenance, metrics, and texture: how much of a
            texture view is usual). A licence that nobody gives is unknown.
        scale: For official Cria-CL and ESRGAN files, whose layout does not tell it; None: 4.

    Returns:
        `out`.

    Raises:
        InputError: A file that is made would overwrite the checkpoint.
        MissingExtraError: onnx or onnxscript is not installed.
        ModelError: The checkpoint cannot be used, or a graph does not reproduce the network.
    """
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
        from safetensors.torch import save
    except ImportError as error:
        raise MissingExtraError("export", "train", str(error.name)) from None
    refuse_overwriting([out / name for name in WRITTEN], [checkpoint])
    content = read_content(checkpoint)
    network, spec = network_of(content, checkpoint, scale)
    capabilities = describe(network, support_patch(content))
    out.mkdir(parents=True, exist_ok=True)
    files = {"base": out / "base.onnx"}
    modulation = None
    if capabilities["support"] is not None:
        files["condition"] = out / "condition.onnx"
        modulation = _export_condition(network, capabilities["support"], files["condition"])
    write_base(network, modulation, files["base"])
    files["weights"] = out / "weights.safetensors"
    with atomic_path(files["weights"]) as temporary:
        # (`save_file` makes a file that its owner alone may read.)
        temporary.write_bytes(save({k: v.contiguous() for k, v in network.state_dict().items()}))
    entries: dict[str, Any] = {
        "name": name or out.name,
        "description": "",
        **capabilities,
        "support": None if capabilities["support"] is None else asdict(capabilities["support"]),
        "files": {key: {"path": file.name, "sha256": sha256(file)} for key, file in files.items()},
        "network": spec,
        "licence": UNKNOWN_LICENCE,
        "metrics": {},
    }
    if card and "texture" in card and not network.texture:
        raise InputError(f"{checkpoint}: the card gives a texture, and this network has none")
    entries.update(card or {})
    entries["provenance"] = entries.get("provenance", {}) | _provenance(checkpoint, content)
    write_card(out, entries)
    difference = _verify(network, out)
    log.info("%s: the graphs differ from the network by %.1e (relative)", out, difference)
    if not difference <= TOLERANCE:
        (out / "card.json").unlink()
        raise ModelError(f"{out}: the exported graphs differ from the network by {difference:.1e} (relative)")
    tile_memory = measure_tile_memory(out)
    if tile_memory is not None:
        write_card(out, entries | {"tile_memory": tile_memory})
    return out


def measure_tile_memory(folder: Path) -> int | None:
    """Bytes that the engine takes for each LR pixel of a tile, measured in a process of its own.

    Args:
        folder: A model's folder.

    Returns:
        The growth of the process's peak memory from a small tile to a large one, rounded up to whole 200
        bytes; None where the system does not tell the peak.
    """
    program = (
        "import sys, numpy\n"
        "from blindsr.engine import choose_engine\n"
        "from blindsr.system.memory import peak\n"
        "from blindsr.models.catalogue import find_model\n"
        "model = find_model(sys.argv[1])\n"
        "engine = choose_engine(model, 'cpu')\n"
        "scales = numpy.ones((1, model.modulation_size), numpy.float32) if model.adaptive else None\n"
        "for side in map(int, sys.argv[2:]):\n"
        "    for _ in range(2):\n"
        "        engine.upscale(numpy.zeros((1, 3, side, side), numpy.float32), scales)\n"
        "    print(peak())\n"
    )
    small, large = 64, 256
    command = [sys.executable, "-c", program, str(folder.resolve()), str(small), str(large)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise ModelError(f"{folder}: the exported model does not run ({ended.stderr.strip()[-200:]})")
    before, after = ended.stdout.split()
    if before == "None":
        return None
    taken = int(after) - int(before)
    return max(1, -(-taken // (200 * (large**2 - small**2)))) * 200


def read_entries(path: Path) -> dict[str, Any]:
    """Entries for a model card that a person wrote: a JSON object of "description", "licence" and the like.

    Raises:
        InputError: The file cannot be read, is not a JSON object, or names an entry that the export decides.
    """
    try:
        entries = parse_json(read_whole(path))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error})") from None
    if not isinstance(entries, dict):
        raise InputError(f"{path}: not a JSON object")
    for key in entries:
        if key not in WRITTEN_BY_HAND:
            raise InputError(f"{path}: {key!r} is set by the exporter; give {', '.join(WRITTEN_BY_HAND)}")
    return entries


def _export_condition(network: Restorer, spec: SupportSpec, path: Path) -> Tensor:
    """Write the condition graph; gives a modulation, (1, M)."""
    generator = torch.Generator().manual_seed(1)
    support = torch.rand(spec.count, 3, spec.patch, spec.patch, generator=generator) * network.pixel_range
    assert network.adapts is not None
    least = network.adapts.least
    axes = {2: torch.export.Dim("patch_height", min=least), 3: torch.export.Dim("patch_width", min=least)}
    if not spec.fixed_count:
        axes[0] = torch.export.Dim("patches", min=1)
    graph = ConditionGraph(network).eval()
    _export(graph, {"support": support}, ["condition", "modulation"], [axes], path)
    with torch.no_grad():
        modulation: Tensor = graph(support)[1]
    return modulation


def write_base(
    network: Restorer, modulation: Tensor | None, path: Path, modulate_weights: bool = True
) -> None:
    """Write the base graph.

    Args:
        network: The network.
        modulation: One that it could be given, (1, M); None for a network that does not adapt.
        path: The ONNX file.
        modulate_weights: Let the modulation scale weights, not features; see `CMDSR.modulate_weights`.
    """
    restorer = copy.deepcopy(network)
    if modulate_weights:
        restorer.modulate_weights()
    step = network.multiple
    lr = torch.rand(1, 3, 24 * step, 20 * step, generator=torch.Generator().manual_seed(0))
    height, width = torch.export.Dim("height", min=1), torch.export.Dim("width", min=1)
    inputs = {"lr": lr * network.pixel_range}
    if modulation is not None:
        inputs["modulation"] = modulation
    if network.texture:
        inputs["texture"] = torch.ones(1)
    axes = [{2: step * height, 3: step * width}, *[None] * (len(inputs) - 1)]
    _export(restorer, inputs, ["sr"], axes, path)


def _export(
    network: nn.Module,
    inputs: dict[str, Tensor],
    output_names: list[str],
    axes: list[Any],
    path: Path,
) -> None:
    """Write one graph of inputs in the order of the network's; `axes` names each one's dynamic dimensions."""
    # The exporter prints its progress, and warns of its own future and of what is neither there nor needed.
    logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            network, tuple(inputs.values()), dynamo=True, input_names=list(inputs), output_names=output_names,
            dynamic_shapes=axes, opset_version=18, verbose=False,
        )  # fmt: skip
    assert program is not None
    model = program.model_proto
    # The exporter notes where in the source each node comes from, with this machine's paths.
    for part in (
        *model.graph.node,
        *model.graph.value_info,
        *model.graph.input,
        *model.graph.output,
        model.graph,
    ):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    with atomic_path(path) as temporary:
        temporary.write_bytes(model.SerializeToString(deterministic=True))


def _verify(network: Restorer, folder: Path) -> float:
    """Run the written model as users will, and compare it with the network: greatest relative difference."""
    model = find_model(folder)
    engine = OpenVINOEngine(model)
    generator = torch.Generator().manual_seed(2)
    worst = 0.0
    for height, width in ((24, 20), (31, 45)):
        lr = torch.rand(1, 3, height * model.multiple, width * model.multiple, generator=generator)
        modulation = None
        with torch.no_grad():
            if model.support is not None:
                side = model.support.patch
                support = torch.rand(model.support.count, 3, side, side, generator=generator)
                condition = network.condition(support * network.pixel_range)
                modulation = network.modulation(condition)
                for want, got in zip((condition, modulation), engine.condition(support.numpy()), strict=True):
                    worst = max(worst, _difference(want, got))
        for texture in TEXTURES if network.texture else (None,):
            want = _restored(network, lr, modulation, texture)
            got = engine.upscale(lr.numpy(), None if modulation is None else modulation.numpy(), texture)
            worst = max(worst, _difference(want, got))
    return worst


@torch.no_grad()
def _restored(network: Restorer, lr: Tensor, modulation: Tensor | None, texture: float | None) -> Tensor:
    """What the network itself makes of an LR image in [0, 1], in [0, 1]."""
    inputs = {"modulation": modulation, "texture": None if texture is None else torch.tensor([texture])}
    given = {name: value for name, value in inputs.items() if value is not None}
    sr: Tensor = network(lr * network.pixel_range, **given) / network.pixel_range
    return sr


def _difference(want: Tensor, got: NDArray[np.float32]) -> float:
    """Greatest difference, relative to the largest value."""
    return float(np.abs(want.numpy() - got).max() / max(float(want.abs().max()), 1e-6))


def _provenance(checkpoint: Path, content: Mapping[str, Any]) -> dict[str, Any]:
    if "config" not in content:
        return {"source": checkpoint.name}
    try:
        told = [content["step"], content["config"], content.get("teachers", [])]
        steps, config, teachers = json.loads(json.dumps(told, allow_nan=False))
    except (KeyError, TypeError, ValueError, RecursionError):
        raise ModelError(f"{checkpoint}: damaged: it does not say how it was trained") from None
    known = {"trained_with": "blindsr", "steps": steps, "config": config}
    return known | ({"teachers": teachers} if teachers else {})
