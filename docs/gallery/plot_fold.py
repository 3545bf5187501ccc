"""
Fold a profile into the weights
===============================

The modulation scales the input channels of each convolution. So for one camera it can be multiplied into
the weights once: what is left is a plain network with one input, which needs no condition any more.
"""

import matplotlib.pyplot as plt
import numpy as np
from skimage import data

import blindsr
from blindsr.degradation import Degradation, degrade_image
from blindsr.engine.openvino import OpenVINOEngine

camera = Degradation.parse("blur=1.6,noise=10", scale=4)
sources = [data.chelsea()[:256, :256], data.coffee()[:256, :256], data.astronaut()[:256, :256]]
photos = [
    degrade_image((source / 255).astype(np.float32), camera, seed) for seed, source in enumerate(sources)
]

# %%
# The profile of three photos, fed as a second input, and folded into the graph as a constant.

upscaler = blindsr.Upscaler("cmdsr-x4", threads=1)
profile = upscaler.adapt(photos)
lr = np.ascontiguousarray(photos[0].transpose(2, 0, 1)[None])  # engines take (1, 3, H, W)
fed = OpenVINOEngine(upscaler.model, threads=1).upscale(lr, profile.modulation)
folded = OpenVINOEngine(upscaler.model, threads=1, fold=True).upscale(lr, profile.modulation)
print(f"largest difference: {255 * np.abs(fed - folded).max():.5f} levels of 255")

# %%
# What the profile does to the channels: each inner convolution hears some of its inputs louder, others
# hardly.

figure, axes = plt.subplots(1, 2, figsize=(7.2, 2.8), layout="constrained", width_ratios=[1, 2])
axes[0].imshow(folded[0].transpose(1, 2, 0).clip(0, 1))
axes[0].set_title("restored by the folded network")
axes[0].axis("off")
for name, text in [("this camera", None), ("a noisy one", "blur=1.6,noise=40"), ("a sharp one", "blur=0.3")]:
    of = profile
    if text is not None:
        task = Degradation.parse(text, scale=4)
        of = upscaler.adapt([degrade_image((s / 255).astype(np.float32), task, 0) for s in sources])
    axes[1].plot(np.sort(of.modulation[0]), label=name, linewidth=1)
axes[1].set_xlabel("channels, in order of their scale")
axes[1].set_ylabel("scale")
axes[1].legend()
plt.show()
