"""Text that anybody may have made: what it holds is bounded before anybody goes through it."""

from __future__ import annotations

import json
import math
from typing import Any

__all__ = ["brief", "one_line", "parse_json", "shorten"]

_DEPTH = 64


def parse_json(content: bytes | str, finite: bool = True) -> Any:  # noqa: ANN401  (whatever JSON can hold)
    """What a JSON document holds.

    Args:
        content: UTF-8, or a text.
        finite: Refuse NaN and infinities, which JSON has not and Python would take.

    Raises:
        ValueError: It is none, or one of endless nesting or numbers; the message has one line.
    """
    try:
        text = content.decode("utf-8") if isinstance(content, bytes) else content
        found = json.loads(text, parse_constant=_refuse_constant) if finite else json.loads(text)
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg}, line {error.lineno} column {error.colno}") from None
    except ValueError as error:  # more digits than Python turns into a number
        raise ValueError(str(error).partition(";")[0]) from None
    _check_nesting(found, finite)
    return found


def shorten(value: object, most: int = 60) -> str:
    """A value for a message, as Python writes it, on one line and never a long one."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an int of thousands of digits, a list in itself
        text = f"a very large {type(value).__name__}"
    return text if len(text) <= most else f"{text[:most]}..."


def brief(error: BaseException) -> str:
    """What an error of a library says, on one line."""
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return one_line(" ".join(said.split())[:200]) or type(error).__name__


def one_line(text: str) -> str:
    """The text on one line: what would break it, or command the terminal, is shown as Python writes it.

    An undecodable byte of a file's name is shown as such: "\\xff".
    """
    if text.isprintable():
        return text
    shown = []
    for sign in text:
        if "\udc80" <= sign <= "\udcff":
            shown.append(f"\\x{ord(sign) - 0xDC00:02x}")
        else:
            shown.append(sign if sign.isprintable() else repr(sign)[1:-1])
    return "".join(shown)


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no number in JSON")


def _check_nesting(found: object, finite: bool) -> None:
    """Refuse what is nested too deeply for whoever goes through it, and numbers that became infinite."""
    waiting: list[tuple[object, int]] = [(found, 0)]
    while waiting:
        value, depth = waiting.pop()
        if isinstance(value, (dict, list)):
            if depth >= _DEPTH:
                raise ValueError("nested too deeply")
            inner = value.values() if isinstance(value, dict) else value
            waiting += [(one, depth + 1) for one in inner if isinstance(one, (dict, list, float))]
        elif finite and isinstance(value, float) and not math.isfinite(value):  # as of 1e999
            raise ValueError("a number is too large")
