"""
How much texture
================

The default model has two views of a photo: the structure, which the pixels make certain, and the texture,
which pleases the eye. ``texture`` says how much of the second is added to the first, from 0 to 1.
"""

import matplotlib.pyplot as plt
from skimage import data

import blindsr

photo = data.chelsea()[60:110, 90:150]  # fur above an eye of a cat, CC0; LR, (50, 60, 3)

# %%
# The model is loaded once; another texture shares its engine.

upscaler = blindsr.Upscaler("cria-x4-compact", threads=1)
textures = [0, 0.5, 0.85, 1]
restored = [upscaler.with_texture(texture).upscale(photo) for texture in textures]

figure, axes = plt.subplots(2, 2, figsize=(7.2, 6.4), layout="constrained")
for axis, texture, pixels in zip(axes.flat, textures, restored, strict=True):
    axis.imshow(pixels)
    axis.set_title(f"texture {texture:g}" + " (the default)" * (texture == 0.85))
    axis.axis("off")

# %%
# What texture adds, around gray: it lies where there is detail, and leaves what is smooth alone.

added = restored[-1].astype(float) - restored[0]
figure, axis = plt.subplots(figsize=(3.6, 3.2), layout="constrained")
axis.imshow((added / 60 + 0.5).clip(0, 1))
axis.set_title("texture 1 less texture 0")
axis.axis("off")
plt.show()
