"""What a run measures on the photos held out: PSNR and SSIM by degradation, and a strip of pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from blindsr.dataset import PairCache, PhotoCache
from blindsr.degradation import Degradation, degrade
from blindsr.degradation.resize import resize
from blindsr.evaluation.metrics import psnr, ssim
from blindsr.evaluation.metrics.convention import Channel
from blindsr.files import atomic_path
from blindsr.training.config import ValidationSection

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

Restore = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""From an LR photo, (1, 3, h, w), to its restoration, (sh, sw, 3); RGB in [0, 1]."""

Sample = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Ground truth, (H, W, 3), and LR photo, (1, 3, h, w); RGB in [0, 1]."""


class Validation:
    """Photos under fixed degradations.

    Args:
        cells: Samples by what the table calls their degradation.
        channel: What is measured: "y" or "rgb".
        border: Pixels left out along every edge.
    """

    def __init__(self, cells: dict[str, list[Sample]], channel: Channel, border: int) -> None:
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
        cells: dict[str, list[Sample]] = {}
        for text in section.degradations:
            degradation = Degradation.parse(text, scale=scale)
            cells[text] = [
                (hr, degrade(hr.transpose(2, 0, 1)[None], degradation, seed)) for seed, hr in enumerate(crops)
            ]
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
                    _unit(lr[top : top + height, left : left + width]).transpose(2, 0, 1)[None],
                )
            )
        return cls({"pairs": samples}, "rgb", 4)

    def run(self, restore: Restore, step: int, writer: SummaryWriter | None, out: Path) -> str:
        """Measure a network as it is.

        Args:
            restore: Restores by the network that is to be judged.
            step: For the log.
            writer: TensorBoard's, or None.
            out: Folder for the strip, validation-<step>.png: LR (bicubic), SR and HR, a row a degradation.

        Returns:
            A table, one line a degradation.
        """
        lines = [f"{'degradation':<24} {'PSNR':>7} {'SSIM':>7} {'bicubic':>8}"]
        rows: list[NDArray[np.float32]] = []
        means = []
        for number, (text, samples) in enumerate(self.cells.items()):
            scores = []
            for i, (hr, lr) in enumerate(samples):
                sr = restore(lr)
                bicubic = resize(lr, hr.shape[:2])[0].transpose(1, 2, 0)
                scores.append(
                    (
                        psnr(sr, hr, channel=self.channel, border=self.border),
                        ssim(sr, hr, channel=self.channel, border=self.border),
                        psnr(bicubic, hr, channel=self.channel, border=self.border),
                    )
                )
                if i == number % len(samples):
                    rows.append(np.concatenate([bicubic, sr, hr], 1))
            mean = np.mean(scores, 0)
            means.append(mean)
            lines.append(f"{text:<24} {mean[0]:7.3f} {mean[1]:7.4f} {mean[2]:8.3f}")
            if writer is not None:
                writer.add_scalar(f"psnr/{text}", mean[0], step)
                writer.add_scalar(f"ssim/{text}", mean[1], step)
        mean = np.mean(means, 0)
        lines.append(f"{'mean':<24} {mean[0]:7.3f} {mean[1]:7.4f} {mean[2]:8.3f}")
        if writer is not None:
            self._write_strip(rows, writer, step, out)
        return "\n".join(lines)

    @staticmethod
    def _write_strip(rows: list[NDArray[np.float32]], writer: SummaryWriter, step: int, out: Path) -> None:
        from PIL import Image

        width = max(row.shape[1] for row in rows)
        rows = [np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0))) for row in rows]
        strip = np.rint(np.concatenate(rows).clip(0, 1) * 255).astype(np.uint8)
        writer.add_image("LR, SR, HR", strip, step, dataformats="HWC")
        with atomic_path(out / f"validation-{step:08d}.png") as temporary:
            Image.fromarray(strip).save(temporary)


def _unit(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """[0, 255] -> [0, 1]."""
    return pixels.astype(np.float32) / np.float32(255)
