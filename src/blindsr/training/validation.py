"""What a run measures on the photos held out: PSNR and SSIM by degradation, and a strip of pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from blindsr.dataset import PairCache, PhotoCache
from blindsr.degradation import Degradation, degrade
from blindsr.degradation.resize import resize
from blindsr.loss.structural import structural_similarity
from blindsr.metrics.color import RGB_TO_Y, Y_OFFSET
from blindsr.metrics.convention import PEAK, Channel
from blindsr.system.files import atomic_path
from blindsr.training.config import ValidationSection

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

Restore = Callable[[Tensor], Tensor]
"""From an LR photo, (1, 3, h, w), to its restoration, (1, 3, sh, sw); RGB in [0, 1], on one device."""

Pair = tuple[Tensor, Tensor]
"""Ground truth, (1, 3, H, W), and LR photo, (1, 3, h, w); RGB in [0, 1]."""


@dataclass(frozen=True)
class Scores:
    """What a validation measured.

    Args:
        rows: PSNR and SSIM of the network and PSNR of bicubic interpolation, by degradation; the last row is
            "mean".
    """

    rows: dict[str, tuple[float, float, float]]

    def __str__(self) -> str:
        lines = [f"{'degradation':<24} {'PSNR':>7} {'SSIM':>7} {'bicubic':>8}"]
        lines += [f"{name:<24} {a:7.3f} {b:7.4f} {c:8.3f}" for name, (a, b, c) in self.rows.items()]
        return "\n".join(lines)


class Validation:
    """Photos under fixed degradations, measured on the device that they are restored on.

    The metrics are those of `blindsr.metrics` in their conventions, for tensors.

    Args:
        cells: Pairs by what the table calls their degradation.
        channel: What is measured: "y" or "rgb".
        border: Pixels left out along every edge.
    """

    def __init__(self, cells: dict[str, list[Pair]], channel: Channel, border: int) -> None:
        self.cells, self.channel, self.border = cells, channel, border

    @classmethod
    def of_photos(cls, photos: PhotoCache, section: ValidationSection, scale: int) -> Validation:
        """Central crops of sharp photos, degraded; luma, as the SR literature measures."""
        side = section.crop - section.crop % scale
        crops = []
        for i in range(len(photos)):
            photo = photos[i]
            height, width = (min(side, n - n % scale) for n in photo.shape[:2])
            top, left = (photo.shape[0] - height) // 2, (photo.shape[1] - width) // 2
            crops.append(_unit(photo[top : top + height, left : left + width]))
        cells: dict[str, list[Pair]] = {}
        for text in section.degradations:
            degradation = Degradation.parse(text, scale=scale)
            cells[text] = [(hr, degrade(hr, degradation, seed)) for seed, hr in enumerate(crops)]
        return cls(cells, "y", scale)

    @classmethod
    def of_pairs(cls, pairs: PairCache, section: ValidationSection, scale: int) -> Validation:
        """Central crops of real pairs; RGB and a border of 4, as the real-scene literature measures."""
        samples = []
        for i in pairs.fitting(scale):
            hr, lr = pairs[i]
            # A multiple of 8, for networks that need one.
            height, width = (max(8, min(section.crop // scale, n) // 8 * 8) for n in lr.shape[:2])
            top, left = (lr.shape[0] - height) // 2, (lr.shape[1] - width) // 2
            below, right = (top + height) * scale, (left + width) * scale
            samples.append(
                (
                    _unit(hr[top * scale : below, left * scale : right]),
                    _unit(lr[top : top + height, left : left + width]),
                )
            )
        return cls({"pairs": samples}, "rgb", 4)

    @torch.no_grad()
    def run(
        self, restore: Restore, step: int, writer: SummaryWriter | None, out: Path, device: torch.device
    ) -> Scores:
        """Measure a network as it is.

        Args:
            restore: Restores by the network that is to be judged.
            step: For the log.
            writer: TensorBoard's, or None.
            out: Folder for the strip, validation-<step>.png: LR (bicubic), SR and HR, a row a degradation.
            device: Where the network is.
        """
        found: dict[str, Tensor] = {}
        strip: list[Tensor] = []
        for number, (text, pairs) in enumerate(self.cells.items()):
            scores = []
            for i, pair in enumerate(pairs):
                hr, lr = (image.to(device) for image in pair)
                sr, bicubic = restore(lr), resize(lr, (hr.shape[2], hr.shape[3]))
                truth, made, enlarged = (self._planes(image) for image in (hr, sr, bicubic))
                similarity = structural_similarity(made / PEAK, truth / PEAK).mean()
                scores.append(torch.stack([_psnr(made, truth), similarity, _psnr(enlarged, truth)]))
                if i == number % len(pairs):
                    strip.append(torch.cat([bicubic, sr, hr], 3)[0])
            found[text] = torch.stack(scores).mean(0)
        found["mean"] = torch.stack(list(found.values())).mean(0)
        rows: dict[str, tuple[float, float, float]] = {}
        for text, values in found.items():
            psnr, ssim, bicubic_psnr = values.tolist()
            rows[text] = (psnr, ssim, bicubic_psnr)
            if writer is not None and text != "mean":
                writer.add_scalar(f"psnr/{text}", psnr, step)
                writer.add_scalar(f"ssim/{text}", ssim, step)
        if writer is not None:
            self._write_strip([row.permute(1, 2, 0).cpu().numpy() for row in strip], writer, step, out)
        return Scores(rows)

    def _planes(self, image: Tensor) -> Tensor:
        """What is compared of (1, 3, H, W): (C, H', W') in whole levels, as the metrics' `planes` has it."""
        b = self.border
        # Apple's devices have no double precision.
        kind = torch.float32 if image.device.type == "mps" else torch.float64
        inside = image[0, :, b : image.shape[2] - b, b : image.shape[3] - b].clamp(0, 1)
        levels = (inside * PEAK + 0.5).floor().to(kind)  # halves are rounded up, as a picture that is saved
        if self.channel == "rgb":
            return levels
        luma = sum(weight * plane for weight, plane in zip(RGB_TO_Y.tolist(), levels / PEAK, strict=True))
        assert isinstance(luma, Tensor)
        return (luma + Y_OFFSET).round()[None]

    @staticmethod
    def _write_strip(rows: list[NDArray[np.float32]], writer: SummaryWriter, step: int, out: Path) -> None:
        from PIL import Image

        width = max(row.shape[1] for row in rows)
        rows = [np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0))) for row in rows]
        strip = np.rint(np.concatenate(rows).clip(0, 1) * 255).astype(np.uint8)
        writer.add_image("LR, SR, HR", strip, step, dataformats="HWC")
        with atomic_path(out / f"validation-{step:08d}.png") as temporary:
            Image.fromarray(strip).save(temporary)


def _psnr(a: Tensor, b: Tensor) -> Tensor:
    """Decibels, of planes in levels of 255."""
    return 10 * torch.log10(PEAK**2 / (a - b).square().mean())


def _unit(pixels: NDArray[np.uint8]) -> Tensor:
    """(H, W, 3) in [0, 255] -> (1, 3, H, W) in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])).float() / 255
