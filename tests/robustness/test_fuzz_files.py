"""A few seconds of each fuzzer; `python -m tests.robustness.fuzz KIND` goes on."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from blindsr.errors import InputError

from . import fuzz

# Of each kind as many as take about two seconds.
COUNTS = {"archives": 120, "cards": 400, "checkpoints": 150, "journal": 250, "profiles": 400, "states": 150}


@pytest.mark.parametrize("name", fuzz.KINDS)
def test_mutated_files_are_read_or_refused(tmp_path: Path, name: str) -> None:
    kind = fuzz.KINDS[name](tmp_path)
    with fuzz.bounded_memory():
        counts, findings = fuzz.fuzz(kind, 1, range(COUNTS[name]))
    assert findings == []
    assert (
        counts["read"] >= len(kind.sound) - (name == "checkpoints") * 4
    )  # whose official ones are incomplete
    assert counts["refused"] > COUNTS[name] // 10 or name == "journal"


def test_inputs_are_told_by_seed_and_number(tmp_path: Path) -> None:
    kind = fuzz.cards(tmp_path)
    inputs = [kind.input(3, number)[0] for number in range(200, 300)]
    assert inputs == [kind.input(3, number)[0] for number in range(200, 300)] and len(set(inputs)) > 90


@pytest.mark.parametrize("fault", ["a fault", "lines", "long"])
def test_what_must_not_happen_is_found(tmp_path: Path, fault: str) -> None:
    def read(content: bytes) -> None:
        if fault == "a fault":
            raise KeyError("x")
        raise InputError("one\ntwo" if fault == "lines" else "x" * 5000)

    kind = fuzz.Kind(tmp_path)
    kind.sound.append((b"sound", lambda content, rng: bytes(rng.randrange(256) for _ in range(9)), read))
    counts, findings = fuzz.fuzz(kind, 0, range(5))
    assert counts["findings"] == len(findings) == 5
    assert ("KeyError" if fault == "a fault" else "several lines") in findings[0]


def test_mutations_change_something() -> None:
    rng = random.Random(0)
    content = bytes(range(256)) * 4
    assert sum(fuzz.mutate(content, rng) != content for _ in range(200)) > 190
