"""Keep what the photos of one camera share in a file, and restore later ones by it.

python examples/camera_profile.py new.jpg phone.profile old-1.jpg old-2.jpg old-3.jpg
"""

import sys
from pathlib import Path

import blindsr


def main(new: str, profile: str, *known: str) -> None:
    upscaler = blindsr.Upscaler("cmdsr-x4")
    if known:
        camera = blindsr.read_camera(upscaler, known)
        for fault in camera.faults:
            print(f"left out: {fault}")
        blindsr.write_profile(camera.adaptation, upscaler.model, profile)
    adaptation = blindsr.read_profile(profile, upscaler.model)
    blur = blindsr.Inspector(upscaler.model).read(adaptation.condition).blur
    print(f"{adaptation}: blur of {blur.value:.1f} pixels of the result, give or take {blur.error:.1f}")
    upscaler.upscale(new, support=adaptation).save(Path(new).with_suffix(".restored.png"))


if __name__ == "__main__":
    main(*sys.argv[1:])
