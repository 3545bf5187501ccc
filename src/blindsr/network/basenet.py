"""What every BaseNet of CMDSR shares: modulated convolutions and the interface they are driven through."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn


class ModulatedConv2d(nn.Conv2d):
    """A convolution whose input channels are scaled by the modulation of the task.

    CMDSR multiplies the weight along its input channels (arXiv 2104.03926, section III-C). Because
    ``conv(x; W * s) == conv(s * x; W)`` this scales the input instead: the same function and the same
    gradients for a batch of tasks as for one image, without per-sample weights or grouped convolutions.
    """

    scales_weight: bool = False
    """See `CMDSR.modulate_weights`."""

    def forward(self, x: Tensor, scale: Tensor | None = None) -> Tensor:
        """Convolve.

        Args:
            x: Features, (N, C, H, W).
            scale: One scale a channel, (N, C) or (1, C); None leaves the convolution as it is.

        Returns:
            Features, (N, C_out, H', W').
        """
        if scale is None:
            return super().forward(x)
        if self.scales_weight:
            inputs = scale.view(self.groups, 1, -1, 1, 1)  # (groups, 1, C / groups, 1, 1): of one condition
            weight = (self.weight.unflatten(0, (self.groups, -1)) * inputs).flatten(0, 1)
            convolved: Tensor = self._conv_forward(x, weight, self.bias)
            return convolved
        return super().forward(x * scale[:, :, None, None])


class ScaledConv2d(ModulatedConv2d):
    """A convolution whose output channels are scaled by the modulation of the task.

    Where many convolutions see the same features, as in a dense block, scaling what each one makes costs
    fewer scales and less work than scaling what each one sees.
    """

    def forward(self, x: Tensor, scale: Tensor | None = None) -> Tensor:
        """Convolve.

        Args:
            x: Features, (N, C, H, W).
            scale: One scale a channel of the output, (N, C_out) or (1, C_out); None: all ones.

        Returns:
            Features, (N, C_out, H', W').
        """
        if scale is None:
            return super().forward(x)
        if self.scales_weight:
            assert self.bias is not None
            one = scale[0]  # of one condition
            convolved: Tensor = self._conv_forward(x, self.weight * one[:, None, None, None], self.bias * one)
            return convolved
        return super().forward(x) * scale[:, :, None, None]


class BaseNet(nn.Module, ABC):
    """A super-resolution network whose convolutions can be modulated.

    Attributes:
        scale: Integer magnification.
        halo: Receptive radius in LR pixels: an output pixel depends on no LR pixel further away.
        modulated: Channels that the modulation scales at each modulated convolution, those that it sees (or,
            of a `ScaledConv2d`, that it makes), in the order in which the modulation vector lists them.
        carry: Channels of features that come out beside the image.
    """

    scale: int
    halo: int
    modulated: tuple[int, ...]
    carry: int = 0

    @abstractmethod
    def forward(self, x: Tensor, modulation: Tensor | None = None) -> Tensor:
        """Restore a batch.

        Args:
            x: LR batch, (N, 3, H, W), RGB in the network's pixel range.
            modulation: All scales side by side, (N, M) or (1, M) with M = sum(modulated); None: all ones.

        Returns:
            SR batch, (N, 3, scale * H, scale * W), not clipped; `carry` channels more where there are such.
        """

    def split(self, modulation: Tensor | None) -> list[Tensor | None]:
        """Cut a modulation (N, M) into one (N, C_i) for each modulated convolution."""
        if modulation is None:
            return [None] * len(self.modulated)
        return list(torch.split(modulation, list(self.modulated), dim=1))


def conv3x3(c_in: int, c_out: int) -> nn.Conv2d:
    """A plain 3x3 convolution that keeps the size."""
    return nn.Conv2d(c_in, c_out, 3, padding=1)


class BicubicUpscale(nn.Module):
    """Bicubic interpolation by a whole factor: (N, 3, H, W) -> (N, 3, scale H, scale W).

    Keys' kernel with a = -0.75 and repeated edges, as `torch.nn.functional.interpolate` has it. Written as a
    convolution and a pixel shuffle, because inference engines run those much faster than their cubic resize.

    Args:
        scale: Magnification, 2 to 4.
    """

    kernel: Tensor

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale = scale
        # HR pixel i of an LR pixel lies at (i + 0.5) / scale - 0.5; five taps hold the kernel's four.
        at = (torch.arange(scale, dtype=torch.float64) + 0.5) / scale - 0.5
        distance = (torch.arange(-2, 3, dtype=torch.float64)[None] - at[:, None]).abs()  # (scale, 5)
        a = -0.75
        near = (a + 2) * distance**3 - (a + 3) * distance**2 + 1
        far = a * (distance**3 - 5 * distance**2 + 8 * distance - 4)
        taps = torch.where(distance <= 1, near, torch.where(distance < 2, far, 0.0))
        plane = torch.einsum("ih,jw->ijhw", taps, taps).reshape(scale**2, 5, 5)
        kernel = torch.zeros(3, scale**2, 3, 5, 5, dtype=torch.float64)
        for channel in range(3):
            kernel[channel, :, channel] = plane
        # Not a weight: it is known from the scale, so checkpoints do not hold it.
        self.register_buffer("kernel", kernel.flatten(0, 1).float(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Enlarge a batch."""
        x = nn.functional.pad(x, (2, 2, 2, 2), mode="replicate")
        return nn.functional.pixel_shuffle(nn.functional.conv2d(x, self.kernel), self.scale)


def add_image(made: Tensor, image: Tensor) -> Tensor:
    """Add an image to the first three channels of what was made, (N, 3 + K, H, W)."""
    if made.shape[1] == 3:
        return made + image
    return torch.cat([made[:, :3] + image, made[:, 3:]], 1)


def start_small(*convolutions: nn.Conv2d) -> None:
    """Let what is added to an image be little at first."""
    scale_residual(list(convolutions), gain=0.1)
    for convolution in convolutions:
        assert convolution.bias is not None
        nn.init.zeros_(convolution.bias)


def scale_residual(convolutions: list[nn.Conv2d], gain: float) -> None:
    """Make residual branches start small, so that a deep sum is well conditioned at the first step."""
    with torch.no_grad():
        for convolution in convolutions:
            convolution.weight.mul_(gain)
