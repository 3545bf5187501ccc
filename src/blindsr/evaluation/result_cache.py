"""What was measured of each picture, kept line by line so that an interrupted evaluation goes on."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from blindsr.errors import InputError
from blindsr.system.files import lock, make_folder, open_in_place, read_whole
from blindsr.system.lines import append, json_line
from blindsr.system.untrusted import parse_json

PIXEL_CODE = (
    "degradation",
    "evaluation/methods",
    "evaluation/metric_specs.py",
    "evaluation/runner.py",
    "metrics",
    "picture",
    "upscaling/tiling.py",
)
"""Parts of this package that every measured value depends on."""

MODEL_CODE = ("checkpoint", "engine", "network", "upscaling")
"""Parts that what models restore depends on."""

_LARGEST = 1 << 28  # bytes; a line has some hundred


@dataclass(frozen=True)
class Measured:
    """One restored picture.

    Args:
        seconds: What restoring took, without reading, degrading and measuring.
        width: Columns of the restored picture.
        height: Its rows.
        scores: Values by the identity of what was measured.
    """

    seconds: float
    width: int
    height: int
    scores: Mapping[str, float] = field(default_factory=dict)

    def after(self, before: Measured | None) -> Measured:
        """With what was known before, whose seconds stay: a table of times stays what it was."""
        if before is None:
            return self
        return Measured(before.seconds, self.width, self.height, {**before.scores, **self.scores})


class Cache(Protocol):
    """What was measured of pictures, by the digest of all that it depends on."""

    def find(self, key: str) -> Measured | None:
        """What is known under a key."""

    def add(self, key: str, measured: Measured) -> Measured:
        """Note what was measured; gives all that is known under the key now."""


class ResultCache:
    """Measured pictures on disk by the digest of all that they depend on: one JSON object a line.

    Every line is on the disk before the next picture is restored. Lines are only added; of several with one
    key the later adds its scores to those before and keeps the seconds of the first, so that a table of times
    stays what it was. A line that was cut off, or is anything else, is passed over. Several processes may add
    to one file; each knows what was there when it began, and its own.

    Args:
        path: The file; made, with its folder, when the first line is added.

    Raises:
        InputError: It is there and cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: dict[str, Measured] = {}
        try:
            content = read_whole(path, _LARGEST)
        except FileNotFoundError:
            content = b""
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror})") from error
        for line in content.splitlines():
            self._take(line)

    def find(self, key: str) -> Measured | None:
        """What is known under a key."""
        return self._known.get(key)

    def add(self, key: str, measured: Measured) -> Measured:
        """Write a picture down.

        Returns:
            All that is known under the key now.

        Raises:
            InputError: The file cannot be written.
        """
        entry = {
            "key": key,
            "seconds": measured.seconds,
            "size": [measured.width, measured.height],
            "scores": dict(measured.scores),
        }
        line = json_line(entry)
        try:
            make_folder(self.path.parent)
            descriptor = open_in_place(self.path)
            try:
                with suppress(OSError):  # no locks here: then one evaluation at a time
                    lock(descriptor, wait=True)
                end = os.lseek(descriptor, 0, os.SEEK_END)
                os.lseek(descriptor, max(0, end - 1), os.SEEK_SET)
                cut_off = end > 0 and os.read(descriptor, 1) != b"\n"
                append(descriptor, b"\n" + line if cut_off else line, end)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise InputError(f"{self.path}: cannot be written ({error.strerror})") from error
        self._take(line)
        return self._known[key]

    def _take(self, line: bytes) -> None:
        try:
            entry = parse_json(line, finite=False)
            width, height = entry["size"]
            scores = {str(name): float(value) for name, value in entry["scores"].items()}
            key, new = str(entry["key"]), Measured(float(entry["seconds"]), int(width), int(height), scores)
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
            return
        self._known[key] = new.after(self._known.get(key))


def digest(*parts: object) -> str:
    """SHA-256 of values that JSON can hold, hexadecimal."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode("ascii")).hexdigest()


@cache
def code_digest(parts: tuple[str, ...] = PIXEL_CODE) -> str:
    """Digest of the code of some parts of this package."""
    package = Path(__file__).parents[1]
    found: dict[str, Any] = {}
    for part in parts:
        place = package / part
        for file in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            name = file.relative_to(package).as_posix()
            found[name] = hashlib.sha256(file.read_bytes()).hexdigest()
    return digest(found)
