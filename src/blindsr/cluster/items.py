"""What travels between processes: names of photos of a batch, and how each ended. Never a pixel."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, TypeVar

from blindsr.batch.plan import LONGEST_NAME
from blindsr.system.lines import json_line
from blindsr.system.untrusted import parse_json

__all__ = ["STATE", "Ended", "Item", "Status", "fault_of_path", "read_lines", "write_lines"]

STATE = ".blindsr-cluster"
"""Folder in that of the results which has all that a run knows of itself."""

Status = Literal["done", "skipped", "failed", "left_out"]
"""As in `batch.stages.Outcome`; "left_out" are files without a suffix whose content is no photo."""


@dataclass(frozen=True)
class Item:
    """A photo of which something is to be made.

    Args:
        key: Its place in the order of all; no other has the same.
        place: The store that it lies in.
        name: Of it in the store; its folders are those of the result below the folder of results.
        size: Bytes; None where nobody has told.
        version: Of the file as it was listed; empty where nobody has looked.
        fault: Why it has no result; empty if it may have one.
        rivals: Names of photos before it whose results might have the same name.
        sure: Whether it is a photo by its name; else its first bytes tell.
        options: What a list says of this photo alone, by the names of options.
    """

    key: str
    place: str
    name: str
    size: int | None = None
    version: str = ""
    fault: str = ""
    rivals: tuple[tuple[str, str], ...] = ()
    sure: bool = True
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Ended:
    """How a photo ended.

    Args:
        key: Of its `Item`.
        source: Its whole name.
        target: Name of the result in the store of results; empty where there is none.
        status: How it ended.
        error: Why it failed; one line, else empty.
        kind: Of the error: "photo", "name", "crash", "memory", "time", "read", "write"; else empty.
        version: Of the photo, as it was read.
        target_version: Of the result, as it was written.
        input_size: (width, height), pixels; None where it was not read.
        output_size: (width, height), pixels; None where there is no result.
        seconds: By stage: "pull", "decode", "restore", "encode", "push".
        node: Name of the machine.
        report: What became of what the photo carried, as `--json` tells it.
    """

    key: str
    source: str
    target: str = ""
    status: Status = "done"
    error: str = ""
    kind: str = ""
    version: str = ""
    target_version: str = ""
    input_size: tuple[int, int] | None = None
    output_size: tuple[int, int] | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    node: str = ""
    report: Mapping[str, Any] = field(default_factory=dict)


Line = TypeVar("Line", Item, Ended)


def write_lines(lines: Iterable[Line]) -> bytes:
    """Items or ends as JSON lines; what is as it always is, is left out."""
    return b"".join(json_line(_told(line)) for line in lines)


def read_lines(kind: type[Line], content: bytes) -> Iterator[Line]:
    """What `write_lines` wrote.

    Raises:
        ValueError: Somebody else wrote it.
    """
    for line in content.splitlines():
        try:
            values = parse_json(line)
            for name in ("input_size", "output_size"):
                if values.get(name) is not None:
                    values[name] = tuple(values[name])
            if "rivals" in values:
                values["rivals"] = tuple((place, name) for place, name in values["rivals"])
            yield kind(**values)
        except (TypeError, AttributeError) as error:
            raise ValueError(f"no line of this program's: {line[:60]!r}") from error


def fault_of_path(name: str) -> str:
    """Why a photo of this name gets no result: it might lie elsewhere than below the folder of results.

    Example:
        >>> fault_of_path("scans/a.jpg"), fault_of_path("../a.jpg")
        ('', 'its name has an empty part or one of dots, which could lead elsewhere; rename it')
    """
    parts = name.split("/")
    if any(part in ("", ".", "..") for part in parts):
        return "its name has an empty part or one of dots, which could lead elsewhere; rename it"
    if any(sign in name for sign in _SEPARATORS):
        return "its name has a character that no file's name may have here; rename it"
    if any(part == STATE for part in parts):
        return f"{STATE} is where this program keeps what it knows of a run; rename it"
    longest = max(len(os.fsencode(part)) for part in parts)
    if longest > LONGEST_NAME:
        return f"a part of its name has {longest} bytes, {LONGEST_NAME} are allowed; rename it"
    return ""


_SEPARATORS = "\0" if os.name != "nt" else '\0\\:*?"<>|'


def _told(line: Item | Ended) -> dict[str, Any]:
    usual = _USUAL[type(line)]
    return {name: value for name, value in vars(line).items() if value not in (usual[name], {}, ())}


_USUAL: dict[type, dict[str, Any]] = {
    kind: {one.name: one.default for one in fields(kind)} for kind in (Item, Ended)
}
"""What values are where nobody has said anything."""
