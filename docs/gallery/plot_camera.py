"""
Adapt to a camera
=================

Photos of one camera share its blur, its noise and its compression. What a single photo shows disturbs its
condition; over several it averages out. So a profile, read once, restores each of them a little better than
the photo alone.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt
import numpy as np
from skimage import data

import blindsr
from blindsr.degradation import Degradation, degrade_image
from blindsr.metrics import psnr

# %%
# A camera of our own: the same degradation for eight different photos, the noise of each being another draw.

sources = [data.chelsea(), data.coffee(), data.astronaut(), data.rocket()]
truths = [
    (source[top : top + 192, left : left + 192] / 255).astype(np.float32)
    for source in sources
    for top, left in [(20, 60), (100, 230)]
]
camera = Degradation.parse("blur=1.6,noise=6,jpeg=75", scale=4)
photos = [degrade_image(truth, camera, seed) for seed, truth in enumerate(truths)]

# %%
# Each photo is restored under its own condition, and under the profile of the seven others, which never
# saw it.

upscaler = blindsr.Upscaler("cmdsr-x4", threads=1)
own, others = [], []
for i, (photo, truth) in enumerate(zip(photos, truths, strict=True)):
    profile = upscaler.adapt([other for k, other in enumerate(photos) if k != i])
    own.append(psnr(upscaler.upscale(photo), truth, border=4))
    others.append(psnr(upscaler.upscale(photo, support=profile), truth, border=4))

figure, axis = plt.subplots(figsize=(7.2, 2.6), layout="constrained")
gains = np.subtract(others, own)
axis.bar(range(1, 9), gains, color=["tab:green" if gain > 0 else "tab:red" for gain in gains])
axis.axhline(gains.mean(), color="gray", linewidth=1, label=f"mean: {gains.mean():+.2f} dB")
axis.set_xlabel("photo")
axis.set_ylabel("gain of the profile, dB")
axis.legend()

# %%
# A profile is a small file, for every later photo of that camera (``blindsr adapt`` writes the same).

with TemporaryDirectory() as folder:
    file = Path(folder) / "camera.profile"
    blindsr.write_profile(upscaler.adapt(photos), upscaler.model, file)
    profile = blindsr.read_profile(file, upscaler.model)
    print(profile, file.stat().st_size, "bytes")
reading = blindsr.Inspector(upscaler.model).read(profile.condition)
print(f"blur {reading.blur.value:.1f} (true 1.6), noise {reading.noise.value:.1f} (true 6)")
