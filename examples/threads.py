"""Several threads share one `Upscaler`, as those of a server do: one model in memory, every result its own.

python examples/threads.py a.jpg b.jpg c.jpg
"""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import blindsr


def main(*photos: str) -> None:
    upscaler = blindsr.Upscaler()

    def restore(photo: str) -> str:
        target = Path(photo).with_suffix(".x4.png")
        upscaler.upscale(photo).save(target)
        return f"{photo} -> {target}"

    # Each result is, to the last bit, what one thread alone would get.
    with ThreadPoolExecutor(max_workers=3) as pool:
        for line in pool.map(restore, photos):
            print(line)


if __name__ == "__main__":
    main(*sys.argv[1:])
