"""How much memory there is, and how it is shared out. Counting only."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from blindsr.errors import InputError

PROGRAM = 200 << 20
"""Bytes that the program takes before the first photo: Python, NumPy, libvips, the engine and a model."""

SMALLEST = 384 << 20
"""The least that may be asked for, bytes."""

NUMBER = r"\d{1,15}(?:\.\d{1,15})?"
"""A number in an option: as many digits as make sense, which Python always reads."""

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


@dataclass(frozen=True)
class Memory:
    """A bound on the memory of the whole process, shared out.

    The shares are functions of the bound alone, never of what happens to be free while a photo is worked on:
    the same settings must give the same tiles, and so the same bytes.

    Nothing in it changes, so threads may share one.

    Args:
        total: Bytes that the process may take.

    Raises:
        InputError: It is less than `SMALLEST`.

    Example:
        >>> blindsr.Memory.parse("1.5G")
        Memory(total=1610612736)
    """

    total: int

    def __post_init__(self) -> None:
        if self.total < SMALLEST:
            raise InputError(f"memory {show_bytes(self.total)}: give at least {show_bytes(SMALLEST)}")

    @classmethod
    def parse(cls, text: str) -> Memory:
        """Read a size such as "1.5G", "800M" or "2147483648".

        Raises:
            InputError: The text is no such size, or too little.
        """
        return cls(read_bytes(text, "memory"))

    @classmethod
    def safe_share(cls) -> Memory:
        """A quarter to a half of what is free now: the photos of a batch then never make the machine swap.

        A power of two, so that an interrupted batch goes on with the same bound, although a little more or
        less may be free.
        """
        return cls(max(SMALLEST, (1 << (available() // 2).bit_length()) >> 1))

    @property
    def samples(self) -> int:
        """Bytes that the samples of one photo, or of one result, may take before they go to disk.

        While one photo is restored, the next one is decoded and the last result encoded: four such shares.
        """
        return (self.total - PROGRAM) // 8

    @property
    def codec(self) -> int:
        """Bytes that a decoder or encoder may take that holds a whole picture."""
        return (self.total - PROGRAM) // 4

    @property
    def tile(self) -> int:
        """Bytes that the network may take for one tile, with the rows of the result in hand."""
        return (self.total - PROGRAM) // 3


def available() -> int:
    """Bytes of memory that this process could still take: of the machine, or of its control group if less."""
    free = _free_of_machine()
    for limit, used in (
        ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
        ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ):
        try:
            free = min(free, int(Path(limit).read_text()) - int(Path(used).read_text()))
        except (OSError, ValueError):  # no such file, or "max": no limit
            continue
    return max(free, 0)


def peak() -> int | None:
    """Most memory that this process has taken so far, bytes; None where the system does not tell.

    Linux's own count: that of `getrusage` begins with the peak of the process that started this one.
    """
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) << 10
    except OSError:
        pass
    if sys.platform == "win32":
        return None
    import resource

    taken = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return taken if sys.platform == "darwin" else taken << 10


def read_bytes(text: str, what: str) -> int:
    """A number of bytes as a person would write it: "1.5G", "800M", "2147483648".

    Args:
        text: The number.
        what: What it is the size of, for the message.

    Raises:
        InputError: The text is no such number.
    """
    match = re.fullmatch(rf"\s*({NUMBER})\s*([KMGT]?)(?:i?B)?\s*", text, re.ASCII | re.IGNORECASE)
    if match is None:
        raise InputError(f"{what} {text[:40]!r}: give a size such as 1.5G or 800M")
    return int(float(match[1]) * _UNITS[match[2].upper()])


def show_bytes(count: int) -> str:
    """A number of bytes as a person would say it: "1.5 GiB", "384 MiB"."""
    for unit, name in ((1 << 30, "GiB"), (1 << 20, "MiB")):
        if count >= unit:
            return f"{count / unit:.3g} {name}"
    return f"{count} bytes"


def _free_of_machine() -> int:
    """Free memory of the machine; half of all there is where the system does not tell."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10
    except OSError:
        pass
    if sys.platform == "win32":
        return _free_of_windows()
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


if sys.platform == "win32":
    import ctypes

    def _free_of_windows() -> int:
        """What GlobalMemoryStatusEx calls available."""
        # MEMORYSTATUSEX: two 32-bit numbers, then seven of 64 bits, of which the second is ullAvailPhys.
        status = (ctypes.c_uint64 * 8)()
        ctypes.c_uint32.from_buffer(status).value = ctypes.sizeof(status)
        ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))
        return int(status[2])
