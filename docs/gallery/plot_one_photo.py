"""
One photo
=========

A photo goes in, four times as large it comes out. The default model also says how much of the texture is
certain.
"""

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image
from skimage import data

import blindsr

photo = data.chelsea()[60:140, 95:215]  # part of a cat's portrait, CC0; LR, (80, 120, 3) in levels of 255

# %%
# An array gives an array of the same kind; a path, bytes or a PIL image would give a picture that can be
# saved.

restored = blindsr.upscale(photo)
print(photo.shape, "->", restored.shape, restored.dtype)

# %%
# Beside it what interpolation makes of the same pixels.

larger = np.asarray(Image.fromarray(photo).resize((480, 320), Image.Resampling.BICUBIC))
figure, axes = plt.subplots(1, 2, figsize=(7.2, 2.7), layout="constrained")
for axis, (title, pixels) in zip(axes, [("bicubic", larger), ("blindsr", restored)], strict=True):
    axis.imshow(pixels)
    axis.set_title(title)
    axis.axis("off")
