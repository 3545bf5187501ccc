"""What a run measures on the photos held out: PSNR and SSIM by degradation, and a strip of pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from blindsr.dataset import PhotoCache
from blindsr.degradation import Degradation, degrade
from blindsr.degradation.resize import resize
from blindsr.evaluation.metrics import psnr, ssim
from blindsr.files import atomic_path
from blindsr.network import CMDSR
from blindsr.support import select_support
from blindsr.training.config import TrainConfig

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class Validation:
    """Central crops of the held-out photos under fixed degradations.

    Args:
        config: Of the run.
        photos: The photos held out.
    """

    def __init__(self, config: TrainConfig, photos: PhotoCache) -> None:
        scale, section = config.data.scale, config.validation
        side = section.crop - section.crop % scale
        self.scale = scale
        self.support, self.patch = config.data.support, config.data.patch
        self.cells = [(text, Degradation.parse(text, scale=scale)) for text in section.degradations]
        self.crops: list[NDArray[np.float32]] = []
        for i in range(len(photos)):
            photo = photos[i]
            height, width = (min(side, n - n % scale) for n in photo.shape[:2])
            top, left = (photo.shape[0] - height) // 2, (photo.shape[1] - width) // 2
            self.crops.append(
                photo[top : top + height, left : left + width].astype(np.float32) / np.float32(255)
            )

    @torch.no_grad()
    def run(
        self, network: CMDSR, device: torch.device, step: int, writer: SummaryWriter | None, out: Path
    ) -> str:
        """Measure the network as it is.

        Args:
            network: With the weights to be judged.
            device: Where it is.
            step: For the log.
            writer: TensorBoard's, or None.
            out: Folder for the strip, validation-<step>.png: LR (bicubic), SR and HR, a row a degradation.

        Returns:
            A table, Y channel, border of `scale` pixels cropped, one line a degradation.
        """
        network.eval()
        lines = [f"{'degradation':<24} {'PSNR':>7} {'SSIM':>7} {'bicubic':>8}"]
        rows: list[NDArray[np.float32]] = []
        means = []
        for text, degradation in self.cells:
            scores = []
            for seed, hr in enumerate(self.crops):
                lr = degrade(hr.transpose(2, 0, 1)[None], degradation, seed)
                sr = self._restore(network, lr, device)
                bicubic = resize(lr, hr.shape[:2])[0].transpose(1, 2, 0)
                scores.append(
                    (
                        psnr(sr, hr, border=self.scale),
                        ssim(sr, hr, border=self.scale),
                        psnr(bicubic, hr, border=self.scale),
                    )
                )
                if seed == len(rows) % len(self.crops) and len(rows) < len(self.cells):
                    rows.append(np.concatenate([bicubic, sr, hr], 1))
            mean = np.mean(scores, 0)
            means.append(mean)
            lines.append(f"{text:<24} {mean[0]:7.3f} {mean[1]:7.4f} {mean[2]:8.3f}")
            if writer is not None:
                writer.add_scalar(f"psnr/{text}", mean[0], step)
                writer.add_scalar(f"ssim/{text}", mean[1], step)
        network.train()
        mean = np.mean(means, 0)
        lines.append(f"{'mean':<24} {mean[0]:7.3f} {mean[1]:7.4f} {mean[2]:8.3f}")
        if writer is not None:
            self._write_strip(rows, writer, step, out)
        return "\n".join(lines)

    def _restore(self, network: CMDSR, lr: NDArray[np.float32], device: torch.device) -> NDArray[np.float32]:
        """(1, 3, h, w) -> (sh, sw, 3), in [0, 1], adapted to the photo's own support set."""
        modulation = None
        if network.condition_net is not None:
            count = network.condition_net.support or self.support
            patches = select_support(lr[0].transpose(1, 2, 0), count, self.patch)
            support = torch.from_numpy(patches).to(device) * network.pixel_range
            modulation = network.modulation(network.condition(support))
        sr = network(torch.from_numpy(lr).to(device) * network.pixel_range, modulation) / network.pixel_range
        restored: NDArray[np.float32] = sr[0].float().clamp(0, 1).permute(1, 2, 0).cpu().numpy()
        return restored

    @staticmethod
    def _write_strip(rows: list[NDArray[np.float32]], writer: SummaryWriter, step: int, out: Path) -> None:
        from PIL import Image

        width = max(row.shape[1] for row in rows)
        rows = [np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0))) for row in rows]
        strip = np.rint(np.concatenate(rows).clip(0, 1) * 255).astype(np.uint8)
        writer.add_image("LR, SR, HR", strip, step, dataformats="HWC")
        with atomic_path(out / f"validation-{step:08d}.png") as temporary:
            Image.fromarray(strip).save(temporary)
