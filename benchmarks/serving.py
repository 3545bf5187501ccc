"""A server in a process of its own, and a client of few lines, for the benchmarks of `blindsr serve`."""

from __future__ import annotations

import http.client
import json
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit


class Server:
    """`blindsr serve` in a process of its own.

    Args:
        folder: Where its jobs are kept.
        options: Further ones of the command.
        ready: Whether to wait until it can be reached.
    """

    def __init__(self, folder: Path, *options: str, ready: bool = True) -> None:
        command = [sys.executable, "-m", "blindsr", "serve", "--port", "0", "--folder", str(folder), *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.place = ""
        if not ready:
            return
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"the server ended with status {self.process.wait()}")
        self.place = urlsplit(line.strip()).netloc

    def kill(self) -> None:
        """End it at once, in whatever it does."""
        self.process.kill()
        self.process.wait()

    def end(self) -> int:
        """End it in good order; gives its status."""
        self.process.terminate()
        return self.process.wait(60)

    def memory(self, what: str = "VmHWM") -> int:
        """Its peak of memory, or what it holds now ("VmRSS"), bytes."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(f"{what}:"):
                return int(line.split()[1]) << 10
        raise SystemExit("this system tells no process's memory")


class Client:
    """One who asks a server; each request's time until its answer began is kept.

    Args:
        server: The server.
        token: His token; empty for none.
    """

    def __init__(self, server: Server, token: str = "") -> None:
        self.server, self._token = server, token
        self.times: list[tuple[float, str]] = []

    def ask(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        """One request; gives the status and what was answered."""
        own = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        connection = http.client.HTTPConnection(self.server.place, timeout=120)
        try:
            start = time.perf_counter()
            connection.request(method, path, body or None, {**own, **(headers or {})})
            answer = connection.getresponse()
            self.times.append((time.perf_counter() - start, f"{method} {path}"))
            return answer.status, answer.read()
        finally:
            connection.close()

    def get(self, path: str) -> Any:  # noqa: ANN401  (whatever JSON can hold)
        """What JSON says there."""
        status, content = self.ask("GET", path)
        if status != 200:
            raise SystemExit(f"GET {path}: {status} {content[:300].decode(errors='replace')}")
        return json.loads(content)

    def post(self, photos: Sequence[Path], key: str = "", **fields: str) -> tuple[int, Any]:
        """Send photos as a job; gives the status, and the job."""
        boundary = secrets.token_hex(16)
        parts = []
        for name, value in fields.items():
            parts.append(f'Content-Disposition: form-data; name="{name}"\r\n\r\n{value}'.encode())
        for photo in photos:
            head = f'Content-Disposition: form-data; name="files"; filename="{photo.name}"\r\n\r\n'
            parts.append(head.encode() + photo.read_bytes())
        body = b"".join(f"--{boundary}\r\n".encode() + part + b"\r\n" for part in parts)
        headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        headers |= {"Idempotency-Key": key} if key else {}
        status, content = self.ask("POST", "/v1/jobs", body + f"--{boundary}--\r\n".encode(), headers)
        return status, json.loads(content)


def together(works: Sequence[Any]) -> None:
    """Run functions at once, each in a thread, to their ends."""
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
