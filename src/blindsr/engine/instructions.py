"""What this machine's CPU has instructions for."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import Path

__all__ = ["has_int8_instructions"]

_CPUINFO = Path("/proc/cpuinfo")
_IN_CPUINFO = {"avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm"}
"""How Linux calls products of 8-bit numbers summed in 32 bits: VNNI, AMX, Arm's dot product."""
_IN_NUMPY = {"AVX512_CLX", "AVX512_ICL", "AVX512_SPR", "ASIMDDP"}
"""The same as NumPy knows them, on every system: groups of features that include it."""


@cache
def has_int8_instructions() -> bool:
    """Whether the CPU multiplies 8-bit numbers faster than fp32 ones; without that int8 gains little."""
    try:
        words = set(_CPUINFO.read_text(encoding="ascii", errors="replace").lower().split())
        return not _IN_CPUINFO.isdisjoint(words)
    except OSError:  # no Linux
        return any(_numpy_features().get(name, False) for name in _IN_NUMPY)


def _numpy_features() -> dict[str, bool]:
    """What NumPy found out about the CPU when it was imported; nothing where it does not tell."""
    try:
        found = import_module("numpy._core._multiarray_umath").__cpu_features__
    except (ImportError, AttributeError):  # private, and NumPy 1 has it elsewhere
        return {}
    return dict(found)
