"""Kill a server again and again while it has jobs, and see whether one is lost, or a photo is done twice.

    python benchmarks/kill_server.py --kills 500

Jobs are sent under keys, so that one whose answer was cut off can be sent again. At seeded random moments
(while it starts, while photos come, while they are restored or written) the server gets a SIGKILL and is
started anew. After each start what was done must be done still, by the very same files; at the end every job
must be there once, every photo be done, and every result be what the upscaler alone makes of it, byte for
byte. Ends with status 1 where that is not so.
"""

from __future__ import annotations

import hashlib
import sqlite3
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from serving import Client, Server
from speed import photos

import blindsr

Done = dict[tuple[str, int], tuple[str, int]]
"""Of each photo that is done its result's digest, and when the file was written."""


class Sender(threading.Thread):
    """Sends jobs until the server dies, or all are sent; what was not answered is sent again next time.

    Args:
        client: Who sends.
        jobs: Keys, and the photos of each.
        answered: Gets the ids of the jobs that were taken in, by key.
    """

    def __init__(self, client: Client, jobs: dict[str, list[Path]], answered: dict[str, str]) -> None:
        super().__init__()
        self._client, self._jobs, self._answered = client, jobs, answered
        self.faults: list[str] = []

    def run(self) -> None:
        """Send."""
        for key, files in self._jobs.items():
            if key in self._answered:
                continue
            try:
                status, job = self._client.post(files, key)
            except (OSError, ValueError, EOFError) as error:
                if self._client.server.process.poll() is None and not isinstance(error, ConnectionError):
                    time.sleep(0.2)
                return
            except Exception:  # half an answer
                return
            if status == 429:
                time.sleep(0.2)
            elif status == 202:
                self._answered[key] = job["id"]
            elif status != 409:
                self.faults.append(f"{key}: {status} {job}")


def done_photos(folder: Path) -> Done:
    """What is done, as the database has it that no server works on now, and as the files are."""
    if not (folder / "jobs.sqlite").exists():
        return {}
    with closing(sqlite3.connect(folder / "jobs.sqlite")) as database:
        tables = database.execute("SELECT COUNT(*) FROM sqlite_master WHERE name = 'photo'").fetchone()[0]
        rows = database.execute("SELECT job, n FROM photo WHERE status = 'done'").fetchall() if tables else []
    found: Done = {}
    for job, n in rows:
        (file,) = (folder / "files" / job).glob(f"{n}.result.*")
        found[job, n] = hashlib.sha256(file.read_bytes()).hexdigest(), file.stat().st_mtime_ns
    return found


def check_kept(before: Done, after: Done) -> Iterator[str]:
    """What was done before and is not any more, or was done a second time."""
    for photo, made in before.items():
        if after.get(photo) != made:
            yield f"{photo}: {'lost' if photo not in after else 'done twice'}"


def main(
    model: Annotated[str, typer.Option(help="Name of a model.")] = "cmdsr-x4",
    kills: Annotated[int, typer.Option(min=1, help="How often it is killed.")] = 500,
    jobs: Annotated[int, typer.Option(min=1, help="Jobs.")] = 60,
    size: Annotated[int, typer.Option(min=16, help="Side of a photo, LR pixels.")] = 96,
    longest: Annotated[float, typer.Option(help="Most seconds of a life after the start.")] = 6.0,
    seed: Annotated[int, typer.Option(help="Of the moments.")] = 0,
) -> None:
    """Print how often it was killed, and what was lost or done twice."""
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as place:
        folder, sources = Path(place) / "jobs", Path(place) / "photos"
        sources.mkdir()
        files = photos(sources, size, 6)
        wanted = {f"job-{n}": [files[i] for i in rng.integers(0, 6, rng.integers(1, 4))] for n in range(jobs)}
        options = ("--models", model, "--threads", "1", "--memory", "1G", "--queue", "1000")
        answered: dict[str, str] = {}
        before: Done = {}
        faults: list[str] = []
        # So many jobs a life that the last kills still find some.
        for life in range(kills):
            starts = life % 5 == 4  # it is killed before it can be reached
            server = Server(folder, *options, ready=not starts)
            due = dict(list(wanted.items())[: 1 + (life + 1) * jobs // kills])
            sender = Sender(Client(server), due, answered)
            if not starts:
                sender.start()
            time.sleep(rng.uniform(0, longest))
            server.kill()
            if not starts:
                sender.join()
            faults += sender.faults
            after = done_photos(folder)
            faults += check_kept(before, after)
            before = after
            if (life + 1) % 25 == 0:
                print(
                    f"{life + 1} kills: {len(answered)} jobs taken in, {len(before)} photos done", flush=True
                )
        faults += finish(Server(folder, *options), folder, wanted, answered, before, model)
    print(f"{kills} kills, {len(wanted)} jobs; {len(faults)} faults")
    for fault in faults:
        print(fault)
    raise SystemExit(1 if faults else 0)


def finish(
    server: Server,
    folder: Path,
    wanted: dict[str, list[Path]],
    answered: dict[str, str],
    before: Done,
    model: str,
) -> list[str]:
    """Let it do the rest; gives what is wrong in the end."""
    client = Client(server)
    while len(answered) < len(wanted):
        sender = Sender(client, wanted, answered)
        sender.run()
        if sender.faults:
            return sender.faults
    listed = client.get("/v1/jobs")["jobs"]
    while not all(job["ended"] for job in listed):
        time.sleep(0.3)
        listed = client.get("/v1/jobs")["jobs"]
    faults = [f"{job['id']}: {job['status']}" for job in listed if job["status"] != "done"]
    if sorted(job["id"] for job in listed) != sorted(answered.values()):
        faults.append(f"{len(listed)} jobs are there, {len(set(answered.values()))} were taken in")
    upscaler = blindsr.Upscaler(model, threads=1)
    expected: dict[Path, bytes] = {}
    for key, files in wanted.items():
        for n, file in enumerate(files):
            if file not in expected:
                target = file.with_suffix(f".restored{file.suffix}")
                upscaler.upscale_file(file, target)
                expected[file] = target.read_bytes()
            status, content = client.ask("GET", f"/v1/jobs/{answered[key]}/files/{n}")
            if status != 200 or content != expected[file]:
                faults.append(
                    f"{key}/{n}: {status}, {len(content)} bytes, other than those of the upscaler alone"
                )
    if server.end() != 0:
        faults.append("the server did not end in good order")
    faults += check_kept(before, done_photos(folder))
    left = [file.name for file in folder.rglob("*.photo")] + [file.name for file in folder.rglob("*.part*")]
    return faults + [f"left over: {name}" for name in left]


if __name__ == "__main__":
    typer.run(main)
