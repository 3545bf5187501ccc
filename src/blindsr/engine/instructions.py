"""What this machine's CPU has instructions for, and what was measured of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path

__all__ = [
    "INSTRUCTION_SETS",
    "InstructionSet",
    "cpu_features",
    "has_bf16_instructions",
    "instruction_set",
    "int8_is_faster",
]

_CPUINFO = Path("/proc/cpuinfo")
_BF16 = {"avx512_bf16", "amx_bf16", "bf16", "AVX512_SPR"}
"""Products of bfloat16 numbers: AVX-512, AMX, Arm; by Linux's names and by NumPy's."""

_WORTH = 1.1
"""How many times as fast int8 must be: for less nobody would give up fp32's exactness."""


@dataclass(frozen=True)
class InstructionSet:
    """What CPUs of one kind compute convolutions with.

    Args:
        name: What it is called here.
        features: What tells of it: Linux's names and, for other systems, NumPy's groups that include it.
        dot: Whether it multiplies 8-bit numbers and sums them in 32 bits in one instruction.
        int8: How many times as fast int8 is as fp32, by model, where that was measured
            (`python benchmarks/int8.py` prints this machine's).
    """

    name: str
    features: frozenset[str]
    dot: bool = False
    int8: Mapping[str, float] = field(default_factory=dict)


INSTRUCTION_SETS = (
    InstructionSet("amx", frozenset({"amx_int8"}), dot=True),
    InstructionSet(
        "avx512_vnni",
        frozenset({"avx512_vnni", "AVX512_CLX", "AVX512_ICL", "AVX512_SPR"}),
        dot=True,
        int8={"cmdsr-x4": 3.1},
    ),
    InstructionSet("avx_vnni", frozenset({"avx_vnni"}), dot=True),
    InstructionSet("avx512", frozenset({"avx512bw", "AVX512_SKX", "X86_V4"})),
    InstructionSet(
        "avx2", frozenset({"avx2", "AVX2", "X86_V3"}), int8={"cria-x4-compact": 1.9, "cmdsr-x4": 1.7}
    ),
    InstructionSet("arm_dot", frozenset({"asimddp", "i8mm", "ASIMDDP"}), dot=True),
    InstructionSet("other", frozenset()),
)
"""The first one that a CPU has is the one it is known by."""


def instruction_set() -> InstructionSet:
    """The row of `INSTRUCTION_SETS` that this machine's CPU belongs to."""
    features = cpu_features()
    found = (one for one in INSTRUCTION_SETS if not one.features.isdisjoint(features))
    return next(found, INSTRUCTION_SETS[-1])


def int8_is_faster() -> bool:
    """Whether networks run faster in int8 than in fp32 on this machine's CPU.

    As measured; where nobody has measured it, wherever there are instructions made for it.
    """
    own = instruction_set()
    return min(own.int8.values()) >= _WORTH if own.int8 else own.dot


def has_bf16_instructions() -> bool:
    """Whether the CPU multiplies bfloat16 numbers; without that they are many times slower than fp32 ones."""
    return not _BF16.isdisjoint(cpu_features())


@cache
def cpu_features() -> frozenset[str]:
    """What the CPU can do, by Linux's names; where there is no Linux by NumPy's."""
    try:
        text = _CPUINFO.read_text(encoding="ascii", errors="replace").lower()
    except OSError:
        text = ""
    line = re.search(r"^(?:flags|features)\s*:(.*)", text, re.MULTILINE)
    if line is not None:
        return frozenset(line[1].split())
    return frozenset(name for name, there in _numpy_features().items() if there)


def _numpy_features() -> dict[str, bool]:
    """What NumPy found out about the CPU when it was imported; nothing where it does not tell."""
    try:
        found = import_module("numpy._core._multiarray_umath").__cpu_features__
    except (ImportError, AttributeError):  # private, and NumPy 1 has it elsewhere
        return {}
    return dict(found)
