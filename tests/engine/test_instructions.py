"""What the CPU has instructions for, by Linux's words and by NumPy's, and what was measured of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from blindsr.engine import instructions
from blindsr.engine.instructions import INSTRUCTION_SETS, InstructionSet


def on_linux(monkeypatch: pytest.MonkeyPatch, file: Path, text: str | None) -> None:
    if text is not None:
        file.write_text(text, encoding="ascii")
    monkeypatch.setattr(instructions, "_CPUINFO", file)
    monkeypatch.setattr(instructions, "cpu_features", instructions.cpu_features.__wrapped__)


@pytest.mark.parametrize(
    ("flags", "name", "int8", "bf16"),
    [
        ("fpu sse avx2 avx512bw avx512_vnni", "avx512_vnni", True, False),
        ("fpu avx2 avx_vnni", "avx_vnni", True, False),
        ("fp asimd asimddp", "arm_dot", True, False),
        ("fpu avx2 avx512bw avx512_bf16", "avx512", False, True),
        ("fpu avx2 avx512_vnni amx_bf16 amx_int8", "amx", True, True),
        ("fp asimd bf16", "other", False, True),
        ("fpu avx2", "avx2", True, False),
        ("fpu sse4_2", "other", False, False),
    ],
)
@pytest.mark.parametrize("line", ["flags\t\t: {}", "Features\t: {}"])
def test_instructions_by_linux(
    flags: str, name: str, int8: bool, bf16: bool, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = f"processor : 0\nmodel name : Bravo avx512_vnni amx_bf16\n{line.format(flags)}\n"
    on_linux(monkeypatch, tmp_path / "cpuinfo", text)
    assert instructions.cpu_features() == frozenset(flags.split())
    assert instructions.instruction_set().name == name
    assert instructions.int8_is_faster() is int8
    assert instructions.has_bf16_instructions() is bf16


@pytest.mark.parametrize("text", [None, "processor : 0\nisa : rv64\n"])
def test_instructions_by_numpy(text: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_linux(monkeypatch, tmp_path / "cpuinfo", text)
    known = instructions._numpy_features()
    assert known and all(isinstance(there, bool) for there in known.values())
    for features, name in (
        ({"AVX512_ICL": True, "AVX2": True}, "avx512_vnni"),
        ({"AVX2": True, "AVX512_ICL": False}, "avx2"),
        ({"ASIMDDP": True}, "arm_dot"),
        ({}, "other"),
    ):
        monkeypatch.setattr(instructions, "_numpy_features", lambda features=features: features)
        assert instructions.instruction_set().name == name


@pytest.mark.parametrize(
    ("measured", "dot", "expected"),
    [
        ({"a": 1.7, "b": 3.0}, False, True),
        ({"a": 0.9, "b": 3.0}, True, False),  # no model may become slower
        ({"a": 1.05}, True, False),
        ({}, True, True),
        ({}, False, False),
    ],
)
def test_what_was_measured_decides(
    measured: dict[str, float], dot: bool, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = InstructionSet("own", frozenset(), dot, measured)
    monkeypatch.setattr(instructions, "instruction_set", lambda: own)
    assert instructions.int8_is_faster() is expected


def test_the_table_has_one_row_for_every_cpu() -> None:
    names = [row.name for row in INSTRUCTION_SETS]
    assert len(set(names)) == len(names) and not INSTRUCTION_SETS[-1].features
    assert all(row.features for row in INSTRUCTION_SETS[:-1])
    told = [word for row in INSTRUCTION_SETS for word in row.features]
    assert len(set(told)) == len(told)
