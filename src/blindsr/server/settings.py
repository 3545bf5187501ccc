"""What a server is told when it is started, and how that is written."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path

from blindsr.errors import InputError
from blindsr.system.memory import SMALLEST, Memory, show_bytes

SERVER_MEMORY = 160 << 20
"""Bytes that the server takes beside a restorer: the web framework, requests in hand, one photo inspected."""

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that a server is told.

    Args:
        folder: Where jobs are kept.
        host: Address to listen at.
        port: Port to listen at; 0 takes any that is free.
        tokens: What clients show to be let in; none lets everybody in. Each is a client of its own.
        metrics_token: What opens /metrics; None opens it to every client.
        models: Names of the models that may be asked for; none means all available ones.
        hosts: Names of this server, as browsers call it, beside its address and those of the loopback.
        root_path: What a proxy puts before every path, such as "/photos".
        page: Whether the page is served.
        max_pixels: Largest photo that is taken, pixels.
        max_upload: Largest request that is taken, bytes.
        queue: Photos of one client that may wait.
        memory: Bound on the memory of the process; None for the least that a server needs.
        threads: CPU threads; None for all cores.
        keep: Seconds that an ended job is kept.
        idle: Seconds after which a model that nobody uses leaves the memory.
        cluster: Address of the Ray cluster whose workers restore; None for this machine alone.
        workers: How many there may be; None for as many as there is room for.
        patience: Seconds that a client may be silent in the middle of a request or an answer.
    """

    folder: Path
    host: str = "127.0.0.1"
    port: int = 8000
    tokens: tuple[str, ...] = ()
    metrics_token: str | None = None
    models: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    root_path: str = ""
    page: bool = True
    max_pixels: int = 1 << 27
    max_upload: int = 512 << 20
    queue: int = 200
    memory: Memory | None = None
    threads: int | None = None
    keep: float = 86400.0
    idle: float = 300.0
    cluster: str | None = None
    workers: int | None = None
    patience: float = 30.0

    @property
    def pixels_in_hand(self) -> int:
        """Pixels of one client's photos that may wait."""
        return 16 * self.max_pixels

    @property
    def restoring_memory(self) -> Memory:
        """What is left of the bound for restoring.

        Raises:
            InputError: It is too little.
        """
        least = SMALLEST + SERVER_MEMORY
        total = least if self.memory is None else self.memory.total
        if total < least:
            raise InputError(f"--memory {show_bytes(total)}: a server needs at least {show_bytes(least)}")
        return Memory(total - SERVER_MEMORY)


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine alone."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def read_duration(text: str, option: str) -> float:
    """Seconds of a text such as "24h", "90m", "7d" or "30s".

    Raises:
        InputError: It is none.
    """
    match = re.fullmatch(r"\s*([0-9]{1,9}(?:\.[0-9]{1,6})?)\s*([smhd])\s*", text.lower())
    if match is None or not (seconds := float(match[1]) * _UNITS[match[2]]):
        raise InputError(f"{option} {text[:40]!r}: give a time such as 24h, 90m or 7d")
    return seconds


def read_root_path(text: str) -> str:
    """What a proxy puts before every path, in one form: "/photos", or nothing.

    Raises:
        InputError: It is no path.
    """
    path = text.strip("/")
    if not re.fullmatch(r"[A-Za-z0-9._~/-]*", path) or any(
        part in ("", ".", "..") for part in path.split("/")[1:]
    ):
        raise InputError(f"--root-path {text[:40]!r}: give the path that the proxy serves, such as /photos")
    return f"/{path}" if path else ""
