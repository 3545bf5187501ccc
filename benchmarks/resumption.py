"""What a compact state loses against an exact checkpoint: the losses of the next steps, on the same batches.

    python benchmarks/resumption.py configs/cmdsr_x4_attentive.yaml --set init=cmdsr-x4

Trains at a constant rate, keeps a checkpoint and a state, and goes on from each: exactly, and from the state,
whose first moment is gone, with and without a warm-up. The batches are the same, so the differences are the
moments' (and the rates' during the warm-up).
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from places import TRAINING_PHOTOS

from blindsr.training import Progress, load_config, train

OPTIMISERS = ("optimiser", "condition_optimiser", "texture_optimiser", "discriminator_optimiser")


def main(
    config: Annotated[Path, typer.Argument(help="A configuration of `blindsr train`.")],
    photos: Annotated[Path, typer.Option(help="Folder of sharp photos.")] = TRAINING_PHOTOS,
    before: Annotated[int, typer.Option(help="Steps before the checkpoint.")] = 200,
    after: Annotated[int, typer.Option(help="Steps after it.")] = 120,
    every: Annotated[int, typer.Option(help="Steps in a row of the table.")] = 20,
    warmup: Annotated[int, typer.Option(help="Steps of the warm-up from the state.")] = 40,
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 1,
    more: Annotated[list[str] | None, typer.Option("--set", help="As of `blindsr train`.")] = None,
) -> None:
    """Print sizes and losses."""
    logging.disable(logging.WARNING)

    def settings(steps: int, rise: int) -> list[str]:
        base = [
            f"data.photos={photos}", f"threads={threads}", f"steps={steps}", f"log_every={every}",
            "checkpoint_every=1000000", "checkpoint_seconds=1000000", "validation.every=1000000",
            "data.holdout=0", *(more or []),
        ]  # fmt: skip
        sections = [name for name in OPTIMISERS if name in type(load_config(config, base)).model_fields]
        constant = ("schedule=stable", "floor=1", "decay=1e-6", f"warmup={rise}", "after=0")
        return [*base, *(f"{name}.{setting}" for name in sections for setting in constant)]

    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        state = here / "run.npz"
        checkpoint = train(load_config(config, settings(before, 0)), here / "run", state=state)
        for path in (checkpoint, state):
            print(f"{path.name}: {path.stat().st_size / 2**20:.2f} MiB")

        def losses(name: str, steps: int, rise: int, resume: Path | None) -> list[float]:
            """Go on from the checkpoint, or without one from a copy of the state."""
            reports: list[Progress] = []
            copied = None if resume else here / f"{name}.npz"
            if copied is not None:
                for suffix in (".npz", ".json"):
                    shutil.copy(state.with_suffix(suffix), copied.with_suffix(suffix))
            train(load_config(config, settings(steps, rise)), here / name, resume, reports.append, copied)
            return [progress.losses["total"] for progress in reports]

        curves = {
            "exact": losses("exact", before + after, 0, checkpoint),
            "state": losses("state", after, 0, None),
            f"state, warm-up of {warmup}": losses("rising", after, warmup, None),
        }
    print(f"\n| steps | {' | '.join(curves)} |\n|---|{'---|' * len(curves)}")
    for i, row in enumerate(zip(*curves.values(), strict=True)):
        print(f"| {i * every + 1}-{(i + 1) * every} | {' | '.join(f'{value:.4f}' for value in row)} |")
    means = [sum(values) / len(values) for values in curves.values()]
    print(f"| mean | {' | '.join(f'{mean:.4f}' for mean in means)} |")


if __name__ == "__main__":
    typer.run(main)
