"""Cria-CL's compact network against the published one: parameters, speed on a CPU, memory of a tile.

    python benchmarks/compact.py configs/cria_x4.yaml

Speed does not depend on the weights, so both have random ones. Each is exported as it is shipped and run by
the engine that users have, in turn in one run; the ratio is the median over the rounds.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import numpy as np
import torch
import typer

from blindsr.checkpoint.reading import FORMAT
from blindsr.engine.openvino import OpenVINOEngine
from blindsr.export.graphs import export_checkpoint
from blindsr.models.catalogue import find_model
from blindsr.network import build_network
from blindsr.training import load_config


def export(spec: dict[str, Any], folder: Path) -> Path:
    """A network of these hyper-parameters with random weights, as a model."""
    torch.manual_seed(0)
    checkpoint = folder.with_suffix(".ckpt")
    torch.save({"format": FORMAT, "network": spec, "state": build_network(spec).state_dict()}, checkpoint)
    return export_checkpoint(checkpoint, folder)


def main(
    config: Annotated[Path, typer.Argument(help="The compact network's recipe.")] = Path(
        "configs/cria_x4.yaml"
    ),
    side: Annotated[int, typer.Option(help="Side of the LR photo, pixels.")] = 128,
    rounds: Annotated[int, typer.Option()] = 3,
    threads: Annotated[int, typer.Option()] = 2,
) -> None:
    """Print the table."""
    compact = load_config(config).network
    specs = {"compact": compact, "published": {"cria": {"scale": compact["cria"]["scale"]}}}
    lr = np.random.default_rng(0).random((1, 3, side, side), np.float32)
    with tempfile.TemporaryDirectory() as folder:
        models = {name: find_model(export(spec, Path(folder) / name)) for name, spec in specs.items()}
        engines = {name: OpenVINOEngine(model, threads) for name, model in models.items()}
        seconds: dict[str, list[float]] = {name: [] for name in engines}
        for turn in range(rounds + 1):
            for name, engine in engines.items():
                begin = time.perf_counter()
                engine.upscale(lr, None)
                if turn:  # the first turn makes the engine ready
                    seconds[name].append(time.perf_counter() - begin)
        print(f"| {side}x{side}, {threads} threads | parameters | ms | times as fast | bytes a tile pixel |")
        print("|---|---|---|---|---|")
        for name, model in models.items():
            count = sum(p.numel() for p in build_network(specs[name]).parameters())
            ratio = median(a / b for a, b in zip(seconds["published"], seconds[name], strict=True))
            cells = [name, f"{count:,}", f"{1e3 * median(seconds[name]):.0f}", f"{ratio:.1f}"]
            print(f"| {' | '.join(cells)} | {model.tile_memory:,} |")


if __name__ == "__main__":
    typer.run(main)
