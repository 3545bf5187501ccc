"""Speed of the whole command at two commits: start-up, one photo, a folder; processes in turn.

    python benchmarks/command.py --before a375cfe --after HEAD

Each commit is checked out into a temporary folder of its own (`git worktree`) and run by this Python, so that
both have the same libraries; each keeps its compiled graphs in a cache of its own, which a first round fills
and does not count. Every number is of a whole process, from its start to its end. The two take turns, and who
begins alternates: a machine that drifts favours none. A ratio is the median over the rounds of after divided
by before of the same round, so below 1 the later commit is faster; "CPU" is the same of the processor time
of all threads, which other work on the machine disturbs less.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Annotated

import typer
from places import ROOT
from speed import photos

Run = Callable[[Sequence[str]], "Cost"]


@dataclass(frozen=True)
class Cost:
    """What one process took.

    Args:
        seconds: From its start to its end.
        cpu: Processor time of all its threads, seconds.
    """

    seconds: float
    cpu: float


@contextmanager
def checked_out(commit: str, folder: Path) -> Iterator[Path]:
    """A commit's files in a new folder, which git forgets at the end of the block."""
    git = ("git", "-C", str(ROOT), "worktree")
    subprocess.run([*git, "add", "--quiet", "--detach", str(folder), commit], check=True)
    try:
        yield folder
    finally:
        subprocess.run([*git, "remove", "--force", str(folder)], check=True)


def processor_time() -> float:
    """Seconds that the processes started so far have computed, all threads; finer than `os.times`."""
    taken = resource.getrusage(resource.RUSAGE_CHILDREN)
    return taken.ru_utime + taken.ru_stime


def runner(tree: Path, cache: Path, work: Path) -> Run:
    """What runs Python on a checkout, in a folder of work; a run that fails ends the benchmark."""
    environment = {**os.environ, "PYTHONPATH": str(tree / "src"), "XDG_CACHE_HOME": str(cache)}
    environment.pop("BLINDSR_MODELS", None)

    def run(arguments: Sequence[str]) -> Cost:
        before, start = processor_time(), time.perf_counter()
        done = subprocess.run(
            [sys.executable, *arguments], cwd=work, env=environment, capture_output=True, text=True
        )
        seconds, cpu = time.perf_counter() - start, processor_time() - before
        if done.returncode:
            sys.exit(f"{' '.join(arguments)}: status {done.returncode} in {tree}\n{done.stderr}")
        return Cost(seconds, cpu)

    return run


def measure(sides: Sequence[Run], arguments: Sequence[str], rounds: int) -> list[list[Cost]]:
    """What both sides take, round by round.

    Args:
        sides: The two.
        arguments: Of Python.
        rounds: Those that count.
    """
    costs: list[list[Cost]] = []
    for number in range(rounds + 1):
        taken = {side: sides[side](arguments) for side in ((0, 1), (1, 0))[number % 2]}
        costs.append([taken[0], taken[1]])
    return costs[1:]  # the first round fills the caches


def row(title: str, costs: Sequence[Sequence[Cost]]) -> str:
    """A line of the table."""
    milliseconds = [1000 * median(pair[side].seconds for pair in costs) for side in (0, 1)]
    ratio = median(after.seconds / before.seconds for before, after in costs)
    cpu = median(after.cpu / before.cpu for before, after in costs)
    return f"| {title} | {milliseconds[0]:.0f} | {milliseconds[1]:.0f} | {ratio:.2f} | {cpu:.2f} |"


def tasks(size: int, count: int, threads: int) -> dict[str, list[str]]:
    """Arguments of Python for each line of the table."""
    upscale = ["-m", "blindsr", "upscale", "--overwrite", "--threads", str(threads), "-o", "out"]
    return {
        "`import blindsr`": ["-c", "import blindsr"],
        "`blindsr --help`": ["-m", "blindsr", "--help"],
        f"a photo of {size}x{size}": [*upscale, "photos/0.jpg"],
        "the same, `--model cmdsr-x4`": [*upscale, "photos/0.jpg", "--model", "cmdsr-x4"],
        f"a folder of {count}, `--model cmdsr-x4`": [*upscale, "photos", "--model", "cmdsr-x4"],
    }


def main(
    before: Annotated[str, typer.Option(help="The commit to compare with.")],
    after: Annotated[str, typer.Option(help="The later commit.")] = "HEAD",
    size: Annotated[int, typer.Option(help="Side of the made photos, pixels.")] = 128,
    count: Annotated[int, typer.Option(help="Photos in the folder.")] = 6,
    rounds: Annotated[int, typer.Option(help="Counted rounds.")] = 7,
    threads: Annotated[int, typer.Option(help="CPU threads of the command.")] = 2,
) -> None:
    """Print a table of times and ratios."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "work" / "photos").mkdir(parents=True)
        photos(folder / "work" / "photos", size, count)
        with checked_out(before, folder / "before") as old, checked_out(after, folder / "after") as new:
            sides = [runner(tree, folder / f"{tree.name}-cache", folder / "work") for tree in (old, new)]
            print(f"{before} and {after}, {threads} threads, medians of {rounds} rounds in turn\n")
            print(
                f"| whole process | ms, {before} | ms, {after} | ratio | ratio, CPU |\n|---|---|---|---|---|"
            )
            for title, arguments in tasks(size, count, threads).items():
                print(row(title, measure(sides, arguments, rounds)), flush=True)


if __name__ == "__main__":
    typer.run(main)
