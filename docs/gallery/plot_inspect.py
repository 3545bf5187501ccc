"""
What a condition tells
======================

The adapting model reads a photo's degradation as one vector, its condition. An inspector puts it in a
photographer's terms: blur, noise, compression, each with its expected error. Here are the readings of
photos whose noise we know.
"""

import matplotlib.pyplot as plt
import numpy as np
from skimage import data

import blindsr
from blindsr.degradation import Degradation, degrade_image

photos = [
    (whole[:256, :256] / 255).astype(np.float32)
    for whole in (data.chelsea(), data.coffee(), data.astronaut(), data.rocket()[150:])
]
upscaler = blindsr.Upscaler("cmdsr-x4", threads=1)
inspector = blindsr.Inspector(upscaler.model)

# %%
# Every photo under eight levels of noise, then under seven widths of blur.


def read(text):
    """What it says of each photo under a degradation."""
    for photo in photos:
        lr = degrade_image(photo, Degradation.parse(text, scale=4), seed=0)
        yield inspector.read(upscaler.adapt(lr).condition)


noises, widths = [0, 5, 10, 15, 20, 30, 40, 50], [0.2, 0.7, 1.2, 1.7, 2.2, 2.7, 3.2]
noise_read = [[reading.noise.value for reading in read(f"blur=1.0,noise={noise}")] for noise in noises]
blur_read = [[reading.blur.value for reading in read(f"blur={width}")] for width in widths]

figure, axes = plt.subplots(1, 2, figsize=(7.2, 3.1), layout="constrained")
for axis, true, values, unit in [
    (axes[0], noises, noise_read, "noise, levels of 255"),
    (axes[1], widths, blur_read, "blur, HR pixels"),
]:
    axis.plot(true, true, color="gray", linewidth=1, label="as it is")
    axis.plot(true, values, "o", markersize=4)
    axis.set_xlabel(f"true {unit}")
    axis.set_ylabel("read from the photo")
axes[0].legend()
plt.show()
