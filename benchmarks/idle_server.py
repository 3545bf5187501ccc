"""What a server takes that nobody uses: CPU time and memory, before any model, and after one has left.

python benchmarks/idle_server.py --seconds 60
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer
from serving import Client, Server
from speed import photos


def cpu_seconds(pid: int) -> float:
    """CPU time that a process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def watch(server: Server, seconds: float, what: str) -> None:
    """Print what it takes in this time."""
    before = cpu_seconds(server.process.pid)
    time.sleep(seconds)
    share = 100 * (cpu_seconds(server.process.pid) - before) / seconds
    print(f"{what}: {share:.2f} % of a core, {server.memory('VmRSS') / 2**20:.0f} MiB", flush=True)


def main(
    model: Annotated[str, typer.Option(help="Name of a model.")] = "cria-x4-compact",
    seconds: Annotated[float, typer.Option(help="How long to look.")] = 60.0,
) -> None:
    """Print CPU and memory of a server without a model, with one, and after it has left."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        file = photos(folder, 256, 1)
        server = Server(folder / "jobs", "--threads", "2", "--memory", "1G", "--idle", "10s")
        try:
            time.sleep(10)
            watch(server, seconds, "no model yet")
            client = Client(server)
            client.post(file, model=model)
            while not client.get("/v1/jobs")["jobs"][0]["ended"]:
                time.sleep(0.2)
            print(f"a photo restored: {server.memory('VmRSS') / 2**20:.0f} MiB")
            time.sleep(30)
            watch(server, seconds, "the model has left")
        finally:
            server.kill()


if __name__ == "__main__":
    typer.run(main)
