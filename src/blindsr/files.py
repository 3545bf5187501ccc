"""Files that are either wholly there or not there at all."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; on a clean exit it is synced and takes `path`'s place.

    Args:
        path: The file to be written; its folder must exist.

    Yields:
        A path in the same folder with the same suffix. If the block raises, it is removed and `path` stays
        as it was.
    """
    descriptor, name = tempfile.mkstemp(prefix=".", suffix=path.suffix, dir=path.parent)
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes the file private; the result gets what the user's umask gives any new file.
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def sha256(path: Path) -> str:
    """SHA-256 of a file's content, hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
