"""Kill workers, nodes and drivers of a cluster at random, and compare every byte with one machine's.

    python benchmarks/kill_cluster.py --count 2000 --kills 50 --driver-kills 10

Made photos lie in a bucket of an S3 server. A Ray cluster of a head and several nodes, each with processes of
its own, restores them into another bucket, while processes get SIGKILL at seeded random moments: the process
that has a model, a worker, a whole node (a new one joins), or the driver, whose command is then given again.
At the end every result must be there once, with the bytes of a batch on this machine alone, and nothing else
but what the run knows of itself. How often a result was written is counted by the server. Ends with status 1
where anything is not so.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import Annotated

import numpy as np
import typer
from kill_resume import make_tree

TOKEN = f"BLINDSR_KILL={token_hex(8)}"
"""In the environment of all processes that may be killed, and of no other."""

NODE = {"num_cpus": 1, "object_store_memory": 80 << 20, "memory": 2 << 30}
KINDS = ("model", "worker", "node")
PATIENCE = 900.0  # seconds without a new result after which something hangs


def own_processes(part: str) -> list[int]:
    """Processes of this benchmark whose command line has a part."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if TOKEN.encode() in (folder / "environ").read_bytes().split(b"\0"):
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ")
                if part.encode() in command and int(folder.name) != os.getpid():
                    found.append(int(folder.name))
    return found


class Places:
    """An S3 server with a bucket of photos and one of results, which counts how often each was written."""

    def __init__(self, photos: Path) -> None:
        import logging

        import fsspec
        from moto.server import ThreadedMotoServer

        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._server = ThreadedMotoServer(port=0, verbose=False)
        self._server.start()
        os.environ |= {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": "http://{}:{}".format(*self._server.get_host_and_port()),
        }
        self._files = fsspec.filesystem("s3", use_listings_cache=False)
        for bucket in ("photos", "results"):
            self._files.call_s3("create_bucket", Bucket=bucket)
        self._files.call_s3(
            "put_bucket_versioning", Bucket="results", VersioningConfiguration={"Status": "Enabled"}
        )
        for file in photos.rglob("*.jpg"):
            self._files.put_file(str(file), f"photos/in/{file.relative_to(photos).as_posix()}")

    def results(self) -> list[str]:
        """Names of the results that are there."""
        return [name for name in self._pages("list_objects_v2", "Contents") if not name.startswith(".")]

    def writes(self) -> Counter[str]:
        """How often each was written."""
        return Counter(self._pages("list_object_versions", "Versions"))

    def read(self, name: str) -> bytes:
        content: bytes = self._files.cat_file(f"results/out/{name}")
        return content

    def close(self) -> None:
        self._server.stop()

    def _pages(self, method: str, key: str) -> Iterator[str]:
        more: dict[str, str] = {}
        while True:
            page = self._files.call_s3(method, Bucket="results", Prefix="out/", **more)
            yield from (found["Key"].removeprefix("out/") for found in page.get(key, ()))
            if not page.get("IsTruncated"):
                return
            if "NextContinuationToken" in page:
                more = {"ContinuationToken": page["NextContinuationToken"]}
            else:
                more = {"KeyMarker": page["NextKeyMarker"], "VersionIdMarker": page["NextVersionIdMarker"]}


class Machines:
    """A Ray cluster whose nodes come and go; the head has no worker."""

    def __init__(self, count: int) -> None:
        from ray.cluster_utils import Cluster

        head = {"num_cpus": 0, "object_store_memory": 80 << 20, "include_dashboard": False}
        self._cluster = Cluster(initialize_head=True, head_node_args=head)
        self._nodes = [self._cluster.add_node(**NODE) for _ in range(count)]
        self.address = self._cluster.address

    def kill(self, kind: str, rng: np.random.Generator) -> bool:
        """Kill a process or a node; whether there was one."""
        if kind == "node":
            number = int(rng.integers(len(self._nodes)))
            self._cluster.remove_node(self._nodes[number], allow_graceful=False)
            self._nodes[number] = self._cluster.add_node(**NODE)
            return True
        found = own_processes("blindsr.cluster.workshop" if kind == "model" else "ray::_Actor")
        if not found:
            return False
        with suppress(ProcessLookupError):
            os.kill(int(rng.choice(found)), signal.SIGKILL)
        return True

    def close(self) -> None:
        self._cluster.shutdown()


class Driver:
    """The command, which is given again whenever it was killed."""

    def __init__(self, command: list[str]) -> None:
        self._command = command
        self.start()

    def start(self) -> None:
        self.process: subprocess.Popen[bytes] = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.start()


def disturb(
    places: Places,
    machines: Machines,
    driver: Driver,
    moments: list[tuple[int, str]],
    rng: np.random.Generator,
) -> Counter[str]:
    """Kill as soon as so many results are there, until the command has ended; gives how often what was."""
    killed: Counter[str] = Counter()
    seen, last = 0, time.monotonic()
    while driver.process.poll() is None:
        there = len(places.results())
        if there > seen:
            seen, last = there, time.monotonic()
        if time.monotonic() - last > PATIENCE:
            driver.process.kill()
            raise SystemExit(f"no new result for {PATIENCE:g} s, {seen} are there")
        while moments and moments[0][0] <= there and driver.process.poll() is None:
            kind = moments.pop(0)[1]
            time.sleep(rng.uniform(0, 1))
            print(f"{there} results are there: a {kind} is killed", flush=True)
            if kind == "driver":
                driver.kill()
                killed[kind] += 1
            else:
                # Where every worker is only just starting there is nothing to be killed yet.
                while not machines.kill(kind, rng) and driver.process.poll() is None:
                    time.sleep(0.2)
                killed[kind] += 1
        time.sleep(0.3)
    return killed


def faults_of(places: Places, whole: Path) -> list[str]:
    """What differs from the batch on one machine: one line each."""
    there = {file.relative_to(whole).as_posix(): file for file in whole.rglob("*.png")}
    here = set(places.results())
    faults = [f"missing: {name}" for name in sorted(there.keys() - here)]
    faults += [f"left over: {name}" for name in sorted(here - there.keys())]
    both = sorted(here & there.keys())
    return faults + [f"differs: {name}" for name in both if there[name].read_bytes() != places.read(name)]


def main(
    model: Annotated[str, typer.Option(help="Name or folder of a model.")] = "cmdsr-x4",
    count: Annotated[int, typer.Option(min=2, help="Photos.")] = 2000,
    size: Annotated[int, typer.Option(min=16, help="Side of a photo, LR pixels.")] = 48,
    nodes: Annotated[int, typer.Option(min=1, help="Nodes beside the head.")] = 3,
    kills: Annotated[int, typer.Option(min=0, help="Processes of models, workers and nodes to kill.")] = 50,
    driver_kills: Annotated[int, typer.Option(min=0, help="Drivers to kill.")] = 10,
    seed: Annotated[int, typer.Option(help="Of the moments.")] = 0,
) -> None:
    """Print what was killed, how often results were written, and whether they are the same."""
    name, _, value = TOKEN.partition("=")
    os.environ |= {name: value, "RAY_USAGE_STATS_ENABLED": "0"}
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as folder:
        make_tree(Path(folder) / "in", count, size)
        command = [sys.executable, "-m", "blindsr", "upscale", "--model", model, "--format", "png", "--json"]
        start = time.perf_counter()
        whole = Path(folder) / "whole"
        alone = [*command, str(Path(folder) / "in"), "-o", str(whole)]
        subprocess.run(alone, check=True, stdout=subprocess.DEVNULL)
        print(f"one machine: {count} photos in {time.perf_counter() - start:.1f} s", flush=True)
        places, machines = Places(Path(folder) / "in"), None
        try:
            machines = Machines(nodes)
            many = [*command, "s3://photos/in", "-o", "s3://results/out", "--cluster", machines.address]
            kinds = [*rng.choice(KINDS, kills), *["driver"] * driver_kills]
            rng.shuffle(kinds)
            at = sorted(int(moment) for moment in rng.integers(0, max(1, int(count * 0.9)), len(kinds)))
            start = time.perf_counter()
            driver = Driver([*many, "--memory", "1G", "--tries", "10"])
            try:
                killed = disturb(places, machines, driver, list(zip(at, kinds, strict=True)), rng)
            finally:
                driver.process.kill()
            seconds = time.perf_counter() - start
            status = driver.process.wait()
            faults, writes = faults_of(places, whole), places.writes()
        finally:
            if machines is not None:
                machines.close()
            places.close()
    again = {name: times for name, times in writes.items() if times > 1 and not name.startswith(".")}
    print(f"cluster of {nodes} nodes: {seconds:.1f} s, status {status}; killed: {told(killed)}")
    print(f"results written more than once: {len(again)} of {count} (killed between result and record)")
    print(f"{sum(killed.values())} kills; {len(faults)} faults")
    for fault in faults:
        print(fault)
    raise SystemExit(1 if faults or status else 0)


def told(killed: Counter[str]) -> str:
    """ "12 model, 3 node"."""
    return ", ".join(f"{count} {kind}" for kind, count in killed.most_common()) or "nothing"


if __name__ == "__main__":
    typer.run(main)
