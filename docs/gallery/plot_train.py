"""
Train a small network, and watch conditions separate
====================================================

A network much smaller than the shipped one, trained from random weights for less than a minute. It restores
little yet; but its ConditionNet soon tells degradations apart, because the contrastive loss asks for
nothing else.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from PIL import Image
from skimage import data

from blindsr.checkpoint.reading import load_network
from blindsr.degradation import Degradation, degrade_image
from blindsr.training import train
from blindsr.training.config import parse_config

torch.set_num_threads(1)

# %%
# Three photos to learn from, and one that is set apart. The recipe is that of ``configs/cmdsr_x4.yaml``,
# smaller.

place = Path(tempfile.mkdtemp())
photos = place / "photos"
photos.mkdir()
for name in ("astronaut", "coffee", "rocket"):
    Image.fromarray(getattr(data, name)()).save(photos / f"{name}.png")
recipe = {
    "name": "small",
    "recipe": "cmdsr",
    "steps": 120,
    "network": {
        "basenet": {
            "name": "srresnet",
            "scale": 4,
            "channels": 8,
            "blocks": 1,
            "tail": "direct",
            "skip": True,
        },
        "condition": {"name": "attentive", "size": 32, "width": 8},
        "pixel_range": 1.0,
    },
    "data": {
        "photos": str(photos),
        "cache": str(place / "cache"),
        "holdout": 1,
        "degradations": "real",
        "tasks": 8,
        "support": 2,
        "restored": 1,
        "patch": 32,
    },
    "optimiser": {"lr": 5e-4, "schedule": "cosine", "warmup": 20, "clip": 100},
    "condition_optimiser": {"lr": 1e-3, "schedule": "cosine", "warmup": 20, "clip": 10},
    "loss": {"structural": 50, "condition_every": 1, "regression": 1.0},
    "validation": {"every": 120, "crop": 96},
    "checkpoint_every": 10,
    "keep": 20,
    "ema": 0.9,
    "log_every": 10,
    "accelerator": "cpu",
    "threads": 1,
}
told = []
train(parse_config(recipe, "small"), out=place / "run", report=told.append)

# %%
# The losses as they were reported.

figure, axes = plt.subplots(1, 2, figsize=(7.2, 2.4), layout="constrained")
names = [name for name in told[0].losses if "/" not in name]
for axis, group in zip(axes, [names[:1], names[1:]], strict=True):
    for name in group:
        axis.plot(
            [now.step for now in told], [now.losses.get(name, np.nan) for now in told], ".-", label=name
        )
    axis.set_xlabel("step")
    axis.legend()

# %%
# Crops of a photo that it never saw, under five degradations: their conditions in the plane in which they
# differ most, early and at the end. One colour is one degradation.

truth = (data.chelsea() / 255).astype(np.float32)
tasks = ["blur=0.2", "blur=3", "noise=15", "noise=40", "jpeg=30"]
crops = [truth[y : y + 128, x : x + 128] for y in (10, 90, 170) for x in (20, 120, 220, 320)]


def conditions(checkpoint):
    """Of every crop under every task, (tasks, crops, C)."""
    network, _ = load_network(checkpoint)
    found = []
    for text in tasks:
        task = Degradation.parse(text, scale=4)
        lr = np.stack([degrade_image(crop, task, seed) for seed, crop in enumerate(crops)])
        with torch.no_grad():
            support = torch.from_numpy(np.ascontiguousarray(lr.transpose(0, 3, 1, 2)))
            found.append(torch.cat([network.condition(one[None]) for one in support]).numpy())
    return np.stack(found)


figure, axes = plt.subplots(1, 2, figsize=(7.2, 3.3), layout="constrained")
for axis, step in zip(axes, (10, 120), strict=True):
    of = conditions(place / "run" / f"step-{step:08d}.ckpt")
    flat = of.reshape(-1, of.shape[2]) - of.mean((0, 1))
    plane = np.linalg.svd(flat, full_matrices=False)[2][:2]
    for text, points in zip(tasks, (of - of.mean((0, 1))) @ plane.T, strict=True):
        axis.plot(*points.T, "o", markersize=4, label=text)
    own = np.linalg.norm(of - of.mean(1, keepdims=True), axis=2).mean()
    centres = of.mean(1)
    apart = np.linalg.norm(centres[:, None] - centres[None], axis=2)[np.triu_indices(5, 1)].mean()
    axis.set_title(
        f"step {step}: centres {apart / own:.1f} times as far apart\nas crops of one task lie from their own"
    )
axes[1].legend()
plt.show()
