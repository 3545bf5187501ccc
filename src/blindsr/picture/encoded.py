"""Photos as files have them: a path, or the bytes themselves, in memory or from an open file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Protocol, TypeAlias, TypeGuard, runtime_checkable

from blindsr.errors import InputError
from blindsr.system.memory import show_bytes
from blindsr.system.untrusted import brief, shorten

_BLOCK = 1 << 20


@runtime_checkable
class Readable(Protocol):
    """An object that is read like a file opened in binary mode: `open(..., "rb")`, `BytesIO`, a response."""

    def read(self, size: int, /) -> Any:  # noqa: ANN401  (what it gives is looked at)
        """So many bytes at most; none at the end."""


Encoded: TypeAlias = "str | os.PathLike[str] | bytes | bytearray | memoryview | Readable"
"""A photo's file: its path, its content, or an open binary file, which is read from where it stands to its
end and stays open. What is read so is held in memory."""


def is_encoded(image: object) -> TypeGuard[Encoded]:
    """Whether it is something that `open_photo` takes."""
    return isinstance(image, (str, os.PathLike, bytes, bytearray, memoryview, Readable))


def path_of(source: object) -> Path | None:
    """The path that was given; None for anything else."""
    if not isinstance(source, (str, os.PathLike)):
        return None
    return Path(os.fsdecode(source))


def content_of(source: object, most: int) -> tuple[Path, bytes]:
    """The bytes of a photo that is no path, and what messages call it.

    Args:
        source: Bytes, or an open binary file.
        most: So many bytes may be read.

    Raises:
        InputError: It cannot be read, gives no bytes, or does not end.
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        return Path("<bytes>"), bytes(source)
    if not isinstance(source, Readable):
        raise InputError(f"photo of type {type(source).__name__}: give a path, bytes, or an open binary file")
    own = getattr(source, "name", None)
    name = Path(own) if isinstance(own, str) and own else Path("<file>")
    content = bytearray()
    try:
        while block := _next_block(source, name):
            content += block
            if len(content) > most:
                raise InputError(
                    f"{name}: does not end within {show_bytes(most)}; give its path, if it has one"
                )
    except InputError:
        raise
    except Exception as error:  # objects of others raise whatever they like
        raise InputError(f"{name}: cannot be read ({brief(error)})") from error
    if not content:
        raise InputError(f"{name}: nothing is left to read; if it was written or read before, seek(0) first")
    return name, bytes(content)


def _next_block(source: Readable, name: Path) -> bytes:
    block = source.read(_BLOCK)
    if isinstance(block, str):
        raise InputError(f'{name}: gives text; open it in binary mode: open(..., "rb")')
    if not isinstance(block, (bytes, bytearray, memoryview)):
        raise InputError(f"{name}: read() gives {shorten(type(block).__name__)}, not bytes")
    return bytes(block)
