"""What the CPU has instructions for, by Linux's words and by NumPy's."""

from __future__ import annotations

from pathlib import Path

import pytest

from blindsr.engine import instructions


@pytest.mark.parametrize(
    ("flags", "int8", "bf16"),
    [
        ("fpu sse avx2 avx512_vnni", True, False),
        ("fpu avx_vnni", True, False),
        ("fp asimd asimddp", True, False),
        ("fpu avx2 avx512_bf16", False, True),
        ("fpu amx_bf16", False, True),
        ("fp asimd bf16", False, True),
        ("fpu avx2", False, False),
    ],
)
def test_instructions_by_linux(
    flags: str, int8: bool, bf16: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpuinfo").write_text(f"processor : 0\nflags\t\t: {flags}\n", encoding="ascii")
    monkeypatch.setattr(instructions, "_CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(instructions, "_cpuinfo", instructions._cpuinfo.__wrapped__)
    assert instructions.has_int8_instructions() is int8
    assert instructions.has_bf16_instructions() is bf16


def test_instructions_by_numpy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instructions, "_CPUINFO", tmp_path / "none")
    monkeypatch.setattr(instructions, "_cpuinfo", instructions._cpuinfo.__wrapped__)
    known = instructions._numpy_features()
    assert known and all(isinstance(there, bool) for there in known.values())
    monkeypatch.setattr(instructions, "_numpy_features", lambda: {"AVX512_ICL": True})
    assert instructions.has_int8_instructions()
    monkeypatch.setattr(instructions, "_numpy_features", lambda: {"AVX2": True})
    assert not instructions.has_int8_instructions()
