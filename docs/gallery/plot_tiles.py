"""
Tiles without seams
===================

A large photo is restored tile by tile. Each tile is given to the network with a halo of its real neighbours
as wide as the network sees, so the cut cannot be found in the result. With a halo that is too narrow it
can.
"""

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
from skimage import data

import blindsr

photo = data.coffee()[100:228, 150:342]  # a cup, CC0; LR, (128, 192, 3)

# %%
# In one piece, in tiles of 48 pixels, and in the same tiles by a model whose card claims that it sees
# only 2 pixels.

model = blindsr.load_model("cmdsr-x4")
print(f"{model.name} sees {model.halo} LR pixels each way")
support = blindsr.Upscaler(model, threads=1).adapt(photo)
whole = blindsr.Upscaler(model, threads=1).upscale(photo, support=support)
tiled = blindsr.Upscaler(model, threads=1, tile=48).upscale(photo, support=support)
narrow = blindsr.Upscaler(replace(model, halo=2), threads=1, tile=48).upscale(photo, support=support)

# %%
# The differences, thirty times as large.

figure, axes = plt.subplots(1, 3, figsize=(7.2, 2.0), layout="constrained")
axes[0].imshow(whole)
axes[0].set_title("in one piece")
for axis, title, other in [(axes[1], "tiles with their halo", tiled), (axes[2], "halo too narrow", narrow)]:
    difference = np.abs(whole.astype(int) - other).max(2)
    axis.imshow(difference * 30, cmap="gray", vmin=0, vmax=255)
    axis.set_title(f"{title}: at most {difference.max()}")
for axis in axes:
    axis.axis("off")
plt.show()
