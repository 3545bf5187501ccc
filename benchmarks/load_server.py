"""Many clients at once: how much a server gets done, how quickly it answers, what it takes, how fair it is.

    python benchmarks/load_server.py --clients 50 --each 20

Every client has a token of its own and sends its photos one by one, all clients at once; then it asks for all
its jobs every few seconds, and fetches every result. The same photos are restored by the batch command first,
for comparison. Times are those until an answer began; results count apart. A fair server has done as much for
each while all of them wait: told is, at every tenth of the work, the fewest and the most photos of a client.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from serving import Client, Server, together
from speed import photos


def batch_seconds(sources: Path, model: str, threads: int, memory: str, out: Path) -> float:
    """How long the batch command takes, without its start: that of a run with one photo is taken off."""
    first = sorted(sources.iterdir())[0]
    times = []
    for source in (first, sources):
        command = [
            sys.executable,
            "-m",
            "blindsr",
            "upscale",
            str(source),
            "-o",
            str(out / source.name / "x.jpg"),
        ]
        command[-1] = str(out / f"of-{source.name}")
        start = time.perf_counter()
        options = ["--model", model, "--threads", str(threads), "--memory", memory]
        subprocess.run([*command, *options], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        times.append(time.perf_counter() - start)
    count = len(list(sources.iterdir()))
    return (times[1] - times[0]) * count / (count - 1)


class Watcher(threading.Thread):
    """Looks how many photos of each client are done, every few seconds until all are."""

    def __init__(self, clients: list[Client], each: int, every: float) -> None:
        super().__init__()
        self._clients, self._each, self._every = clients, each, every
        self.ended = 0.0
        """When the last one had ended."""
        self.spread: dict[int, tuple[int, int]] = {}
        """Of each tenth of the work the fewest and the most photos of a client that were done."""

    def run(self) -> None:
        """Look."""
        total = len(self._clients) * self._each
        done = 0
        while done < total:
            counts = []
            for client in self._clients:
                jobs = client.get("/v1/jobs")["jobs"]
                counts.append(sum(job["status"] == "done" for job in jobs))
                if any(job["status"] == "failed" for job in jobs):
                    raise SystemExit("a job failed")
                self.ended = max([self.ended, *(job["ended"] or 0.0 for job in jobs)])
            done = sum(counts)
            self.spread[10 * done // total] = min(counts), max(counts)
            if done < total:
                time.sleep(self._every)


def send(client: Client, files: list[Path]) -> None:
    """Send photos one by one, and come again where there is no room."""
    for file in files:
        while (status := client.post([file])[0]) == 429:
            time.sleep(1)
        if status != 202:
            raise SystemExit(f"a photo was not taken: {status}")


def fetch(client: Client, times: list[float]) -> None:
    """Fetch all results."""
    for job in client.get("/v1/jobs")["jobs"]:
        status, content = client.ask("GET", job["photos"][0]["href"])
        if status != 200 or not content:
            raise SystemExit(f"no result: {status}")
        times.append(client.times.pop()[0])


def main(
    clients: Annotated[int, typer.Option(min=2, help="Clients.")] = 50,
    each: Annotated[int, typer.Option(min=1, max=100, help="Photos of each.")] = 20,
    size: Annotated[int, typer.Option(min=16, help="Side of a photo, LR pixels.")] = 256,
    model: Annotated[str, typer.Option(help="Name of a model.")] = "cmdsr-x4",
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 2,
    every: Annotated[float, typer.Option(min=0, help="Seconds until a client asks again.")] = 5,
    memory: Annotated[str, typer.Option(help="The server's bound.")] = "1G",
) -> None:
    """Print throughput, times, memory and fairness."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "photos").mkdir()
        (folder / "out").mkdir()
        files = photos(folder / "photos", size, each)
        batch = each / batch_seconds(folder / "photos", model, threads, memory, folder / "out")
        tokens = [f"token-of-client-{n:04}" for n in range(clients)]
        (folder / "tokens").write_text("\n".join(tokens))
        server = Server(
            folder / "jobs", "--token-file", str(folder / "tokens"), "--models", model,
            "--threads", str(threads), "--memory", memory, "--queue", str(each),
        )  # fmt: skip
        try:
            start_memory = server.memory("VmRSS")
            asking = [Client(server, token) for token in tokens]
            send(asking[0], files[:1])  # the model is loaded
            while asking[0].get("/v1/jobs")["jobs"][0]["status"] != "done":
                time.sleep(0.05)
            asking[0].ask("DELETE", asking[0].get("/v1/jobs")["jobs"][0]["href"])
            asking[0].times.clear()
            begun, start = time.time(), time.perf_counter()
            watcher = Watcher(asking, each, every)
            watcher.start()
            together([partial(send, client, files) for client in asking])
            sent = time.perf_counter() - start
            watcher.join()
            results: list[float] = []
            together([partial(fetch, client, results) for client in asking])
            peak = server.memory()
        finally:
            server.kill()
    waited = sorted(one for client in asking for one in client.times)
    count = clients * each
    print(f"{clients} clients x {each} photos of {size}x{size}, {model}, {threads} threads")
    print(f"batch command: {batch:.2f} photos/s")
    rate = count / (watcher.ended - begun)
    print(f"server: {rate:.2f} photos/s, {100 * rate / batch:.0f} % of it; taken in within {sent:.1f} s")
    times = [one for one, _ in waited]
    within = ", ".join(f"{share} % within {np.quantile(times, share / 100):.3f} s" for share in (50, 99))
    print(f"requests: {len(times)}, {within}, slowest {waited[-1][0]:.3f} s ({waited[-1][1][:40]})")
    print(f"results: median {np.median(results):.3f} s, slowest {max(results):.3f} s until they began")
    print(f"memory: {start_memory / 2**20:.0f} MiB before, {peak / 2**20:.0f} MiB at most, {memory} allowed")
    for tenth, (fewest, most) in sorted(watcher.spread.items()):
        print(f"at {10 * tenth} %: {fewest} to {most} photos of each client done")


if __name__ == "__main__":
    typer.run(main)
