"""Text of strangers: what it holds is bounded, and each fault is one line."""

from __future__ import annotations

import json
import math

import pytest

from blindsr.system.untrusted import brief, parse_json, shorten


@pytest.mark.parametrize("value", [{"a": [1, 2.5, None, True, "é"]}, [], 7, "text", [[[[[[1]]]]]], 10**400])
def test_what_json_holds(value: object) -> None:
    assert parse_json(json.dumps(value)) == parse_json(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "nan", "NaN", "-Infinity", '{"a": 1e999}', "[" * 100_000, '{"a":' * 100_000, "9" * 5000,
        "[" * 100 + "]" * 100, b"\xff", "[1] 2", '{"a": [[NaN]]}',
    ],
)  # fmt: skip
def test_what_it_holds_not(text: str | bytes) -> None:
    with pytest.raises(ValueError) as caught:
        parse_json(text)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 200


def test_numbers_that_are_not_finite_where_they_are_wanted() -> None:
    first, second = parse_json("[NaN, 1e999]", finite=False)
    assert math.isnan(first) and math.isinf(second)


def test_values_in_messages() -> None:
    itself: list[object] = []
    itself.append(itself)
    for value in ("a" * 10**6, 10**5000, -(10**5000), [1] * 10**5, itself, "\x1b[2J\n", float("nan")):
        assert len(shorten(value)) < 80 and shorten(value).isprintable()
    assert shorten("a") == "'a'" and shorten(12) == "12"
    assert brief(ValueError("one\n  two")) == "one two" and brief(OSError(2, "gone", "file")) == "gone"
    assert brief(EOFError()) == "EOFError"
    assert brief(ValueError("no \x1b[2Jbox \x04")) == "no \\x1b[2Jbox \\x04"
