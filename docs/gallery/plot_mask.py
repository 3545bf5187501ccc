"""
Texture by a mask
=================

A face must stay who it is, and letters must stay what they say; a coat may get all the texture it can. A
gray picture says where: white gets the texture, black gets none, gray some of it.
"""

import matplotlib.pyplot as plt
import numpy as np
from skimage import data

import blindsr

photo = data.astronaut()[70:170, 165:285]  # Eileen Collins, NASA, public domain; (100, 120, 3)

# %%
# A soft ellipse over the face: black inside, white around it.

rows, columns = np.mgrid[:100, :120]
distance = ((rows - 48) / 46) ** 2 + ((columns - 58) / 32) ** 2
mask = (255 * ((distance - 0.8) / 0.4).clip(0, 1)).astype(np.uint8)

upscaler = blindsr.Upscaler("cria-x4-compact", threads=1, texture=1)
everywhere = upscaler.upscale(photo)
masked = upscaler.upscale(photo, mask=mask)

figure, axes = plt.subplots(2, 2, figsize=(7.2, 6.2), layout="constrained")
panels = [
    ("texture everywhere", everywhere),
    ("texture by the mask", masked),
    ("the mask", mask),
    ("what it took away", np.abs(everywhere.astype(int) - masked).max(2) * 4),
]
for axis, (title, pixels) in zip(axes.flat, panels, strict=True):
    axis.imshow(pixels, cmap="gray", vmin=0, vmax=255)
    axis.set_title(title)
    axis.axis("off")

# %%
# Where the mask is white both are the same, to a level; where it is black it is the structure view.

inside = np.kron(mask == 0, np.ones((4, 4), bool))
outside = np.kron(mask == 255, np.ones((4, 4), bool))
difference = np.abs(everywhere.astype(int) - masked).max(2)
print(f"mean difference under black: {difference[inside].mean():.1f} levels")
print(f"mean difference under white: {difference[outside].mean():.1f} levels")
