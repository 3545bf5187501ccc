"""Kill a batch again and again, resume it, and compare with one that was left alone.

    python benchmarks/kill_resume.py --model cmdsr-x4

Made photos in a tree are restored once undisturbed. Then the same command runs into another folder and gets a
SIGKILL at seeded random moments, at the start, between photos and while one is read, restored or written,
until it has done all. Every file must be the same, byte for byte, and nothing else may be left. Ends with
status 1 where that is not so.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from speed import photos

from blindsr.batch.journal import JOURNAL

FOLDERS = ("", "a", "a/b", "a/b/c", "d e", "f/g")


def make_tree(folder: Path, count: int, size: int) -> None:
    """Made photos, spread over folders that lie in one another."""
    folder.mkdir()
    for number, file in enumerate(photos(folder, size, count)):
        place = folder / FOLDERS[number % len(FOLDERS)]
        place.mkdir(parents=True, exist_ok=True)
        file.rename(place / f"photo {number:04}.jpg")


class Run:
    """One run of the command.

    Args:
        command: What to run; it tells of every photo by a line of JSON.
    """

    def __init__(self, command: list[str]) -> None:
        self.statuses: list[str] = []
        self.start = time.perf_counter()
        self.first = 0.0
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def follow(self, done: int | None = None) -> None:
        """Read on until so many photos were done, or to the end."""
        assert self.process.stdout is not None
        while done is None or self.statuses.count("done") < done:
            line = self.process.stdout.readline()
            if not line:
                break
            self.first = self.first or time.perf_counter() - self.start
            self.statuses.append(json.loads(line).get("status", ""))

    def kill(self) -> int:
        """Kill it, and take in what it told; its status, which is negative if it was still running."""
        self.process.kill()
        self.follow()
        return self.process.wait()


def compare(whole: Path, resumed: Path) -> list[str]:
    """What differs between two folders: one line each."""
    there, here = (
        {file.relative_to(folder): file for file in folder.rglob("*") if not file.is_dir()}
        for folder in (whole, resumed)
    )
    faults = [f"missing: {name}" for name in sorted(there.keys() - here.keys())]
    faults += [f"left over: {name}" for name in sorted(here.keys() - there.keys())]
    both = sorted(there.keys() & here.keys())
    return faults + [
        f"differs: {name}" for name in both if there[name].read_bytes() != here[name].read_bytes()
    ]


def main(
    model: Annotated[str, typer.Option(help="Name or folder of a model.")] = "cmdsr-x4",
    count: Annotated[int, typer.Option(min=2, help="Photos.")] = 200,
    size: Annotated[int, typer.Option(min=16, help="Side of a photo, LR pixels.")] = 64,
    kills: Annotated[int, typer.Option(min=1, help="Most kills; then it may end.")] = 20,
    seed: Annotated[int, typer.Option(help="Of the moments.")] = 0,
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 2,
) -> None:
    """Print how often it was killed, what each run did, and whether the results are the same."""
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        make_tree(folder / "in", count, size)
        command = [sys.executable, "-m", "blindsr", "upscale", str(folder / "in"), "--model", model]
        command += ["--json", "--format", "png", "--threads", str(threads), "-o"]
        whole = Run([*command, str(folder / "whole")])
        whole.follow()
        seconds = time.perf_counter() - whole.start
        if whole.process.wait() or whole.statuses.count("done") != count:
            raise SystemExit("the undisturbed run failed")
        print(f"undisturbed: {count} photos in {seconds:.1f} s")
        a_photo = (seconds - whole.first) / count
        killed = 0
        while True:
            run = Run([*command, str(folder / "resumed")])
            if killed == kills:
                run.follow()
                status = run.process.wait()
            else:
                # On average as many photos a run as let all kills happen; none means during the start.
                goal = int(rng.integers(0, 2 * count // kills + 1))
                run.follow(goal)
                time.sleep(rng.uniform(0, 2 * a_photo if goal else whole.first + a_photo))
                status = run.kill()
                killed += status < 0
            done, skipped = (run.statuses.count(name) for name in ("done", "skipped"))
            print(f"run {'killed' if status < 0 else 'ended'}: told of {done} done, {skipped} skipped")
            # Killed after its work was done: the next one would find no journal, and begin again.
            if status >= 0 or (done + skipped == count and not (folder / "resumed" / JOURNAL).exists()):
                break
        faults = compare(folder / "whole", folder / "resumed")
    print(f"{killed} kills; {len(faults)} faults")
    for fault in faults:
        print(fault)
    raise SystemExit(1 if faults or status > 0 else 0)


if __name__ == "__main__":
    typer.run(main)
