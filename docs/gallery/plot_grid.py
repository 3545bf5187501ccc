"""
A lattice, and a metric that is blind to it
===========================================

A network that ends in a pixel shuffle may leave a faint lattice of the scale's period. LPIPS on SqueezeNet
rewards it, so models are chosen here by LPIPS of the picture without its lattice: ``without_grid`` finds
what repeats and takes it away.
"""

import matplotlib.pyplot as plt
import numpy as np
from skimage import data

from blindsr.metrics import psnr, without_grid

truth = (data.chelsea()[60:188, 90:250] / 255).astype(np.float32)

# %%
# A lattice of two levels on a picture that has none, drawn here eight times as strong.

cell = np.random.default_rng(0).normal(size=(4, 4, 1)).astype(np.float32)
lattice = np.tile(2 / 255 * (cell - cell.mean()) / cell.std(), (32, 40, 1))
with_lattice = truth + lattice
cleaned = without_grid(with_lattice, period=4)

figure, axes = plt.subplots(1, 3, figsize=(7.2, 2.2), layout="constrained")
panels = [
    ("with the lattice, x 8", truth + 8 * lattice),
    ("what without_grid took away, x 8", 0.5 + 8 * (with_lattice - cleaned)),
    ("what it takes from the picture alone, x 8", 0.5 + 8 * (truth - without_grid(truth, period=4))),
]
for axis, (title, pixels) in zip(axes, panels, strict=True):
    axis.imshow(pixels.clip(0, 1))
    axis.set_title(title, fontsize=8)
    axis.axis("off")

# %%
# It is the lattice that goes, and next to nothing else.

before, after = (psnr(pixels, truth, border=4) for pixels in (with_lattice, cleaned))
print(f"PSNR with the lattice {before:.1f} dB, after it {after:.1f} dB")
