"""Restore one photo, and lay before and after on each other.

python examples/one_photo.py photo.jpg
"""

import sys
from pathlib import Path

import blindsr


def main(photo: str) -> None:
    source = Path(photo)
    restored = blindsr.upscale(source)
    print(restored)
    restored.save(source.with_name(f"{source.stem}_x4.png"))
    # One page that needs nothing else, with a divider to move between the two.
    blindsr.compare(source, restored).save(source.with_suffix(".html"))


if __name__ == "__main__":
    main(*sys.argv[1:])
