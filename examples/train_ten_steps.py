"""Train ten steps of a small network, and restore a photo with what came of it.

    python examples/train_ten_steps.py sharp-photos/ runs/tiny

Ten steps teach it nothing: `configs/` has the recipes of the shipped models. It needs the extra [train].
"""

import sys
from pathlib import Path

import blindsr
from blindsr.export.graphs import export_checkpoint
from blindsr.training import Progress, load_config, train

RECIPE = Path(__file__).parents[1] / "configs" / "cmdsr_x4.yaml"


def report(now: Progress) -> None:
    losses = ", ".join(f"{name} {value:.3g}" for name, value in now.losses.items())
    print(f"step {now.step}: {losses}")


def main(photos: str, out: str) -> None:
    config = load_config(
        RECIPE,
        [
            f"data.photos={photos}",
            "data.holdout=1",
            f"data.cache={out}/cache",
            "data.tasks=2",
            "steps=10",
            "log_every=5",
            "network.basenet.channels=8",
            "network.basenet.blocks=1",
            "network.condition.width=8",
            "optimiser.warmup=2",
            "condition_optimiser.warmup=2",
            "validation.every=10",
            "validation.crop=96",
            "accelerator=cpu",
        ],
    )
    checkpoint = train(config, out=Path(out), report=report)
    model = export_checkpoint(checkpoint, Path(out) / "model", "tiny-x4")
    first = min(Path(photos).iterdir())
    print(blindsr.load_model(model), blindsr.upscale(first, model=model))


if __name__ == "__main__":
    main(*sys.argv[1:])
