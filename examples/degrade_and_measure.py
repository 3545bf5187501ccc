"""Degrade a sharp photo in a known way, restore it by several models, and measure against what it was.

python examples/degrade_and_measure.py sharp.png
"""

import sys

import blindsr
from blindsr.degradation import Degradation, degrade_image
from blindsr.metrics import psnr, ssim

SCALE = 4


def main(sharp: str, *models: str) -> None:
    whole = blindsr.read(sharp).pixels
    height, width = (side // SCALE * SCALE for side in whole.shape[:2])
    truth = whole[:height, :width]
    lr = degrade_image(truth, Degradation.parse("blur=1.3,noise=15", scale=SCALE), seed=0)
    for model in models or ("cmdsr-x4", "cria-x4-compact"):
        restored = blindsr.upscale(lr, model=model)
        scores = (metric(restored, truth, border=SCALE) for metric in (psnr, ssim))
        print("{}: PSNR {:.2f} dB, SSIM {:.4f}".format(model, *scores))


if __name__ == "__main__":
    main(*sys.argv[1:])
