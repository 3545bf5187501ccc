"""What this machine's CPU has instructions for."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import Path

__all__ = ["has_bf16_instructions", "has_int8_instructions"]

_CPUINFO = Path("/proc/cpuinfo")
_INT8 = {"avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm"}
"""How Linux calls products of 8-bit numbers summed in 32 bits: VNNI, AMX, Arm's dot product."""
_INT8_IN_NUMPY = {"AVX512_CLX", "AVX512_ICL", "AVX512_SPR", "ASIMDDP"}
"""The same as NumPy knows them, on every system: groups of features that include it."""
_BF16 = {"avx512_bf16", "amx_bf16", "bf16"}
"""Products of bfloat16 numbers: AVX-512, AMX, Arm."""
_BF16_IN_NUMPY = {"AVX512_SPR"}


def has_int8_instructions() -> bool:
    """Whether the CPU multiplies 8-bit numbers faster than fp32 ones; without that int8 gains little."""
    return _has(_INT8, _INT8_IN_NUMPY)


def has_bf16_instructions() -> bool:
    """Whether the CPU multiplies bfloat16 numbers; without that they are many times slower than fp32 ones."""
    return _has(_BF16, _BF16_IN_NUMPY)


def _has(in_cpuinfo: set[str], in_numpy: set[str]) -> bool:
    """Whether the CPU has one of these, as Linux calls them, or where there is no Linux NumPy."""
    words = _cpuinfo()
    if words is not None:
        return not in_cpuinfo.isdisjoint(words)
    return any(_numpy_features().get(name, False) for name in in_numpy)


@cache
def _cpuinfo() -> frozenset[str] | None:
    """The words in which Linux describes the CPU; None on other systems."""
    try:
        return frozenset(_CPUINFO.read_text(encoding="ascii", errors="replace").lower().split())
    except OSError:
        return None


def _numpy_features() -> dict[str, bool]:
    """What NumPy found out about the CPU when it was imported; nothing where it does not tell."""
    try:
        found = import_module("numpy._core._multiarray_umath").__cpu_features__
    except (ImportError, AttributeError):  # private, and NumPy 1 has it elsewhere
        return {}
    return dict(found)
