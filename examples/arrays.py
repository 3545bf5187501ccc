"""Photos that are no files: NumPy arrays, PIL images, bytes.

python examples/arrays.py photo.jpg
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

import blindsr


def main(photo: str) -> None:
    upscaler = blindsr.Upscaler()

    # Array in, array out: uint8, uint16 or floating point in [0, 1]; gray, RGB or either with alpha.
    with Image.open(photo) as image:
        levels = np.asarray(image)
        print("array:", upscaler.upscale(levels).shape)
        unit = upscaler.upscale(levels.astype(np.float32) / 255)
        print("floats:", unit.dtype, f"{unit.min():.2f} to {unit.max():.2f}")

        # A PIL image is taken as its file is, with its profile, EXIF and orientation.
        restored = upscaler.upscale(image)
    print("image:", restored.to_pil().size, restored.to_array("uint16").dtype)

    # Bytes of a file, as from an upload or a database; an open binary file does as well.
    print("bytes:", upscaler.upscale(Path(photo).read_bytes()))


if __name__ == "__main__":
    main(*sys.argv[1:])
