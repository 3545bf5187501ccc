"""
Transparency without fringes
============================

Under what is transparent a file may hold any colour, often black or white. A program that enlarges colours
and transparency apart pulls that colour into the edges. Here colours weigh as much as they can be seen.
"""

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

import blindsr

# %%
# An orange disc, with green hidden where it is transparent.

rows, columns = np.mgrid[:48, :48]
alpha = (np.hypot(rows - 23.5, columns - 23.5) < 20).astype(float)
photo = np.empty((48, 48, 4), np.uint8)
photo[..., :3] = np.where(alpha[..., None] > 0, (240, 140, 30), (0, 255, 0))
photo[..., 3] = 255 * alpha

restored = blindsr.upscale(photo, model="cmdsr-x4")
planes = [Image.fromarray(photo[..., i]).resize((192, 192), Image.Resampling.BICUBIC) for i in range(4)]
apart = np.stack([np.asarray(plane) for plane in planes], 2)

# %%
# Both laid on gray.


def on_gray(pixels):
    part = pixels[..., 3:] / 255.0
    return pixels[..., :3] / 255.0 * part + 0.5 * (1 - part)


figure, axes = plt.subplots(1, 3, figsize=(7.2, 2.6), layout="constrained")
panels = [
    ("colours in the file", photo[..., :3]),
    ("each plane by itself", on_gray(apart)),
    ("blindsr", on_gray(restored)),
]
for axis, (title, pixels) in zip(axes, panels, strict=True):
    axis.imshow(pixels)
    axis.set_title(title)
    axis.axis("off")
plt.show()
