"""
Criteria, and what they pull at
===============================

An objective for real photos sums criteria as if one image could please them all. Their gradients show what
each asks for: where on the picture it pulls, and whether two of them pull the same way.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from skimage import data

from blindsr.degradation import Degradation, degrade_image
from blindsr.engine.opening import load_model
from blindsr.engine.torch import load_weights
from blindsr.loss.criterion import Restored
from blindsr.loss.lattice import Lattice
from blindsr.loss.perceptual import Perceptual
from blindsr.loss.pixel import Pixel
from blindsr.loss.structural import Structural

torch.set_num_threads(1)
truth = (data.chelsea()[60:156, 100:228] / 255).astype(np.float32)
lr = degrade_image(truth, Degradation.parse("blur=1.0,noise=4", scale=4), seed=0)


def as_batch(pixels):
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)[None]))


# %%
# The shipped network's two views of one photo. The perceptual criterion needs deep features; no weights
# of VGG are shipped, so these are the ones by which the shipped ConditionNet tells degradations apart.

network = load_weights(load_model("cria-x4-compact")).eval()
encoder = load_weights(load_model("cmdsr-x4")).condition_net.encoder.eval()
with torch.no_grad():
    output = network(as_batch(lr))
output.requires_grad_(True)
batch = Restored(
    {"output": output}, as_batch(truth), features=lambda images: [encoder[:4](images), encoder(images)]
)
criteria = {"pixel": Pixel(), "structural": Structural(), "perceptual": Perceptual(), "lattice": Lattice()}

# %%
# The gradient of each with respect to the output: bright where it asks for a change. The pixel criterion
# is a mean absolute difference: it pulls at every pixel with the same force, right or nearly right. The
# others choose.

gradients = {
    name: torch.autograd.grad(criterion(batch, "output", "attract"), output, retain_graph=True)[0]
    for name, criterion in criteria.items()
}
figure, axes = plt.subplots(2, 3, figsize=(7.2, 4.0), layout="constrained")
for axis, (name, gradient) in zip(axes.flat, gradients.items(), strict=False):
    size = gradient[0].norm(dim=0)
    axis.imshow(size / size.quantile(0.99), cmap="magma", vmin=0, vmax=1)
    axis.set_title(name)
axes.flat[4].imshow(output.detach()[0].permute(1, 2, 0).clip(0, 1))
axes.flat[4].set_title("the output that they judge")
axes.flat[5].imshow(truth)
axes.flat[5].set_title("ground truth")
for axis in axes.flat:
    axis.axis("off")

# %%
# Cosines of the gradients: 1 would be the same wish, 0 wishes that do not touch, below 0 a contradiction.

flat = torch.stack([gradient.flatten() / gradient.norm() for gradient in gradients.values()])
cosines = flat @ flat.T
figure, axis = plt.subplots(figsize=(3.6, 3.0), layout="constrained")
axis.imshow(cosines, cmap="coolwarm", vmin=-1, vmax=1)
axis.set_xticks(range(4), gradients, rotation=30)
axis.set_yticks(range(4), gradients)
for y, x in np.ndindex(4, 4):
    axis.text(x, y, f"{cosines[y, x]:.2f}", ha="center", va="center", fontsize=8)
plt.show()
