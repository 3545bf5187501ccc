"""Which side a support patch should have: a trained network on the photos held out, over several sides.

python benchmarks/support_patch.py runs/cmdsr-x4/step-00013000.ckpt --photos data/train
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import torch
import typer

from blindsr.checkpoint.reading import network_of, read_tensors
from blindsr.dataset import PhotoCache
from blindsr.dataset.photos import split_holdout
from blindsr.picture import find_pictures
from blindsr.training.config import parse_config
from blindsr.training.tasks import restore_photo
from blindsr.training.validation import Validation

SIDES = (16, 20, 24, 28, 32, 40, 48, 64)


def main(
    checkpoint: Annotated[Path, typer.Argument(help="Checkpoint of a training run.")],
    photos: Annotated[Path, typer.Option(help="Its folder of photos.")] = Path("data/train"),
    support: Annotated[int, typer.Option(help="Patches in a support set.")] = 20,
) -> None:
    """Print the mean over the validation's degradations for each side."""
    content = read_tensors(checkpoint)
    config = parse_config(content["config"], str(checkpoint))
    network, _ = network_of(content, checkpoint)
    held_out, _ = split_holdout(find_pictures(photos), config.data.holdout)
    cache = PhotoCache(held_out, config.data.cache)
    validation = Validation.of_photos(cache, config.validation, config.data.scale)
    print(f"trained on patches of {config.data.patch}; columns: PSNR, SSIM, PSNR of bicubic")
    least = 0 if network.condition_net is None else network.condition_net.least
    for side in (side for side in SIDES if side >= least):
        restore = partial(restore_photo, network, support, side)
        scores = validation.run(restore, 0, None, Path(), torch.device("cpu"))
        print(f"{side:3d}  {str(scores).splitlines()[-1]}")


if __name__ == "__main__":
    typer.run(main)
