"""Files of JSON lines that grow while processes may be killed: a line is on the disk wholly or not at all."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from typing import Any

__all__ = ["append", "finite", "json_line"]


def finite(value: Any) -> Any:  # noqa: ANN401  (whatever JSON can hold)
    """The same with "inf", "-inf" and "nan" for numbers that JSON has no word for.

    Example:
        >>> finite({"psnr": [31.5, float("inf")]})
        {'psnr': [31.5, 'inf']}
    """
    if isinstance(value, dict):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(inner) for inner in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def json_line(entry: Mapping[str, Any]) -> bytes:
    """An object on one line, its keys in order; undecodable bytes of a name are kept as JSON's escapes.

    Example:
        >>> json_line({"size": [4, 3], "name": "a.jpg"})
        b'{"name": "a.jpg", "size": [4, 3]}\\n'
    """
    return json.dumps(entry, sort_keys=True).encode("ascii") + b"\n"


def append(descriptor: int, content: bytes, end: int) -> int:
    """Write at the end of a file, wholly and to the disk, or leave the file as it was.

    Args:
        descriptor: Of the file, open for writing.
        content: What is written.
        end: Where the file ends.

    Returns:
        Where it ends now.

    Raises:
        OSError: It cannot be written.
    """
    os.lseek(descriptor, end, os.SEEK_SET)
    try:
        written = 0
        while written < len(content):
            written += os.write(descriptor, content[written:])
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, end)
        os.lseek(descriptor, end, os.SEEK_SET)
        raise
    return end + len(content)
