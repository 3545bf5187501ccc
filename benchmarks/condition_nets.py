"""Which ConditionNet: patches encoded one by one and averaged, or stacked on the channel axis as published?

    python benchmarks/condition_nets.py --photos data/train --steps 1500

Trains the shipped configuration with each (and without any), on the same batches for the same number of
steps, in processes of one thread side by side, and prints what each reaches on the photos held out. The
stacked net gets as many patches as the configuration's support sets hold: it can take no other number.
"""

from __future__ import annotations

import multiprocessing
import time
from pathlib import Path
from typing import Annotated

import typer

from blindsr.network import build_network
from blindsr.training import Progress, load_config, train

CONFIG = Path(__file__).parents[1] / "configs" / "cmdsr_x4.yaml"
KINDS = {
    "patches": "network.condition={name: patches, size: 128, width: 32}",
    "stacked": "network.condition={name: stacked, support: %d, size: 128, width: 32}",
    "none": "network.condition=null",
}


def run(kind: str, photos: Path, steps: int, out: Path) -> tuple[str, str, float, int]:
    """Train one: its name, its last validation table, seconds, and parameters of the ConditionNet."""
    support = load_config(CONFIG).data.support
    change = KINDS[kind] % support if "%d" in KINDS[kind] else KINDS[kind]
    settings = [f"steps={steps}", f"data.photos={photos}", f"validation.every={steps}", "threads=1", change]
    tables: list[str] = []

    def keep(state: Progress) -> None:
        if state.table is not None:
            tables.append(state.table)

    start = time.perf_counter()
    config = load_config(CONFIG, [*settings, f"name=condition-{kind}"])
    train(config, out / kind, report=keep)
    seconds = time.perf_counter() - start
    net = build_network(config.network).condition_net
    return kind, tables[-1], seconds, 0 if net is None else sum(p.numel() for p in net.parameters())


def main(
    photos: Annotated[Path, typer.Option(help="Folder of sharp photos.")] = Path("data/train"),
    steps: Annotated[int, typer.Option(help="Steps of each run.")] = 1500,
    kind: Annotated[list[str] | None, typer.Option(help=f"Of {', '.join(KINDS)}; default all.")] = None,
    processes: Annotated[int, typer.Option(help="Runs side by side.")] = 2,
    out: Annotated[Path, typer.Option(help="Folder for the runs.")] = Path("runs/condition_nets"),
) -> None:
    """Train them and print their tables."""
    arguments = [(name, photos, steps, out) for name in kind or list(KINDS)]
    with multiprocessing.get_context("spawn").Pool(processes, maxtasksperchild=1) as pool:
        for name, table, seconds, size in pool.starmap(run, arguments, chunksize=1):
            minutes = seconds / 60
            print(f"\n{name}: {steps} steps in {minutes:.0f} min, {size} parameters in the ConditionNet")
            print(table)


if __name__ == "__main__":
    typer.run(main)
