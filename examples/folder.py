"""Restore a folder of photos of one camera with one adaptation; given again, it goes on where it ended.

python examples/folder.py photos/ restored/
"""

import sys

import blindsr


def main(photos: str, restored: str) -> None:
    upscaler = blindsr.Upscaler("cmdsr-x4")
    plan = blindsr.plan_batch(photos, restored, label="x4", format_="png")
    # What the photos share is read once, so that a photo that tells little is restored as the others are.
    camera = blindsr.read_camera(upscaler, [task.source for task in plan.tasks]).adaptation
    outcomes = blindsr.run_batch(plan, upscaler, adaptation=camera, on_photo=print)
    if any(outcome.status == "failed" for outcome in outcomes):
        sys.exit("some photos failed; the same command tries only those again")


if __name__ == "__main__":
    main(*sys.argv[1:])
