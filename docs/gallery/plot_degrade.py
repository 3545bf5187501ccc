"""
What may have happened to a photo
=================================

Blind restoration is trained on photos that were degraded on purpose. Here is one photo under degradations
as ``blindsr degrade`` and ``blindsr evaluate`` take them: each is a line of text, and the same seed gives
the same pixels on any machine.
"""

import matplotlib.pyplot as plt
import numpy as np
from skimage import data

from blindsr.degradation import CAMERA, REAL_ESRGAN, Degradation, degrade_image

photo = (data.chelsea()[40:232, 100:340] / 255).astype(np.float32)  # a cat, CC0; HR, (192, 240, 3) in [0, 1]

# %%
# The width of the blur is in HR pixels, the noise in levels of 255, and ``jpeg`` is the quality of the file.

written = ["", "blur=1.3", "blur=2.6", "noise=15", "jpeg=40", "blur=1.3,noise=10,jpeg=60"]
figure, axes = plt.subplots(2, 3, figsize=(7.2, 4.2), layout="constrained")
for axis, text in zip(axes.flat, written, strict=True):
    axis.imshow(degrade_image(photo, Degradation.parse(text, scale=4), seed=0))
    axis.set_title(text or "shrunk, nothing else")
    axis.axis("off")

# %%
# Real photos went through more than one such chain. A space of tasks draws one for each photo: ``camera``
# those of ordinary photos (above), ``real-esrgan`` harsh ones (below).

figure, axes = plt.subplots(2, 3, figsize=(7.2, 4.2), layout="constrained")
for row, (name, space) in zip(axes, [("camera", CAMERA), ("real-esrgan", REAL_ESRGAN)], strict=True):
    for seed, axis in enumerate(row):
        task = space.sample(np.random.default_rng(seed))
        axis.imshow(degrade_image(photo, task, seed))
        axis.set_title(f"{name}, draw {seed}")
        axis.axis("off")
plt.show()
