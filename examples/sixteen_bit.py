"""Restore a 16-bit picture with transparency: depth, alpha, profile and resolution stay.

    python examples/sixteen_bit.py scan.tif

A large one is restored tile by tile within a bound on memory, and waits on disk where it does not fit.
"""

import sys
from pathlib import Path

import blindsr


def main(scan: str) -> None:
    target = Path(scan).with_suffix(".x4.tif")
    blindsr.Upscaler(memory="1.5G").upscale_file(scan, target)
    for path in (scan, target):
        picture = blindsr.read(path)
        print(f"{path}: {picture}")


if __name__ == "__main__":
    main(*sys.argv[1:])
