"""
Degrade, restore, measure
=========================

How far is a restoration from what the photo was? PSNR and SSIM of three methods, the more noise the LR
photo has.
"""

import matplotlib.pyplot as plt
import numpy as np
from skimage import data

import blindsr
from blindsr.degradation import Degradation, degrade_image, resize
from blindsr.metrics import psnr, ssim

truth = (data.coffee()[60:300, 120:440] / 255).astype(np.float32)  # a cup, CC0; (240, 320, 3)
adapting = blindsr.Upscaler("cmdsr-x4", threads=1)
sharp = blindsr.Upscaler("cria-x4-compact", threads=1)


def bicubic(lr):
    """As MATLAB enlarges; it takes a batch, (1, 3, H, W)."""
    return resize(lr.transpose(2, 0, 1)[None], scale=4)[0].transpose(1, 2, 0).clip(0, 1)


methods = {
    "bicubic": bicubic,
    "cmdsr-x4": adapting.upscale,
    "cria-x4-compact": sharp.upscale,
}

# %%
# Both metrics are measured on luma, four pixels of border left out, as the field does.

levels = [0, 5, 10, 20, 30]
scores = {name: [] for name in methods}
for noise in levels:
    lr = degrade_image(truth, Degradation.parse(f"blur=1.0,noise={noise}", scale=4), seed=0)
    for name, restore in methods.items():
        restored = restore(lr)
        scores[name].append((psnr(restored, truth, border=4), ssim(restored, truth, border=4)))

figure, axes = plt.subplots(1, 2, figsize=(7.2, 2.8), layout="constrained")
for axis, metric, at in zip(axes, ["PSNR, dB", "SSIM"], [0, 1], strict=True):
    for name, values in scores.items():
        axis.plot(levels, [value[at] for value in values], "o-", label=name)
    axis.set_xlabel("noise, levels of 255")
    axis.set_ylabel(metric)
axes[0].legend()

# %%
# And what they look like at 20 levels. The metrics prefer the model that adds nothing; the eye may not.

lr = degrade_image(truth, Degradation.parse("blur=1.0,noise=20", scale=4), seed=0)
figure, axes = plt.subplots(2, 2, figsize=(7.2, 5.6), layout="constrained")
panels = {**{name: restore(lr) for name, restore in methods.items()}, "ground truth": truth}
for axis, (name, pixels) in zip(axes.flat, panels.items(), strict=True):
    axis.imshow(pixels)
    axis.set_title(name)
    axis.axis("off")
plt.show()
