"""Train by several processes on the machines of a Ray cluster; where one is lost, all begin again.

    python examples/train_on_ray.py configs/cmdsr_x4.yaml /shared/runs/cmdsr 4 shards=8

Recipe, photos and the folder of results lie where all machines see them. The processes share out the batches
of each step as under torchrun (docs/training.md), and begin again at the last checkpoint, which is also where
the same command goes on. It needs the extras [train] and [cluster], of Ray its core alone.
"""

import os
import socket
import sys
from pathlib import Path

import ray

from blindsr.errors import BlindSRError
from blindsr.training import Progress, load_config, train
from blindsr.training.checkpoint import has_checkpoint

RESTARTS = 3


class Process:
    """One process of a run. On a GPU give it one: `ray.remote(num_gpus=1)` below."""

    def __init__(self, rank: int, count: int) -> None:
        # What torchrun tells the processes that it starts.
        os.environ |= {
            "TORCHELASTIC_RUN_ID": "ray",
            "RANK": str(rank),
            "GROUP_RANK": str(rank),
            "WORLD_SIZE": str(count),
            "LOCAL_RANK": "0",
            "LOCAL_WORLD_SIZE": "1",
        }

    def place(self) -> tuple[str, str]:
        """Address and a free port of this machine, where the others find the first process."""
        with socket.socket() as free:
            free.bind(("", 0))
            return ray.util.get_node_ip_address(), str(free.getsockname()[1])

    def train(self, first: tuple[str, str], recipe: str, out: str, settings: list[str]) -> str:
        os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"] = first
        folder = Path(out)
        resume = folder if has_checkpoint(folder) else None
        return str(train(load_config(Path(recipe), settings), folder, resume=resume, report=report))


def report(now: Progress) -> None:
    print(f"step {now.step}", flush=True)


def run(recipe: str, out: str, count: int, settings: list[str]) -> str:
    """One attempt; gives the last checkpoint."""
    start = ray.remote(num_cpus=1, scheduling_strategy="SPREAD")(Process)
    processes = [start.remote(rank, count) for rank in range(count)]
    try:
        first = ray.get(processes[0].place.remote())
        ends = [process.train.remote(first, recipe, out, settings) for process in processes]
        waiting = ends
        while waiting:  # as they come: those that wait for one that was lost might never end
            done, waiting = ray.wait(waiting)
            ray.get(done)
        return str(ray.get(ends[0]))
    finally:
        for process in processes:
            ray.kill(process)


def main(recipe: str, out: str, count: str, *settings: str) -> None:
    ray.init()  # the cluster of this machine, or of RAY_ADDRESS; where there is none, this machine alone
    for attempt in range(RESTARTS + 1):
        try:
            print(run(str(Path(recipe).absolute()), str(Path(out).absolute()), int(count), [*settings]))
            return
        except ray.exceptions.RayError as lost:  # a process itself, or one that waited for it
            if attempt == RESTARTS or isinstance(getattr(lost, "cause", None), BlindSRError):
                raise
            print(f"a process was lost ({type(lost).__name__}); all begin again", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
