"""Compiled graphs kept on disk: what was stored comes back unchanged, or not at all."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

from blindsr.system.files import atomic_path, remove_leftovers
from blindsr.system.folders import user_folder

__all__ = ["GraphCache", "user_cache"]

log = logging.getLogger(__name__)

MOST_BYTES = 256 << 20
"""What all compiled graphs together may take; the largest shipped one takes 6 MB."""

_HEADER = b"blindsr compiled graph, version 1\n"
_DIGEST = hashlib.sha256().digest_size
# Ours, and those that OpenVINO itself kept in this folder for earlier versions.
_NAMES = re.compile(r"([0-9a-f]{64}|[0-9]{1,20})\.blob")
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


class GraphCache:
    """A folder of compiled graphs. Each file carries the digest of its key and its content.

    OpenVINO runs a damaged graph as it is, to wrong pixels or a crash, so nothing is handed out that is not
    what was stored. Nor is anything that another user could have put there. What cannot be read or written is
    no error: the graph is compiled anew. Any number of threads and processes may share a folder.

    Args:
        folder: Where they lie; it must be there.
        most: Bytes that they may take; beyond that those that were not used for longest go.
    """

    def __init__(self, folder: Path, most: int = MOST_BYTES) -> None:
        self.folder = folder
        self._most = most

    def load(self, key: str) -> bytes | None:
        """What was stored under a key, or None.

        Args:
            key: 64 hexadecimal digits that stand for everything the compiled graph depends on.
        """
        path = self._path(key)
        try:
            content = _read_own(path, self._most)
        except FileNotFoundError:
            return None
        except OSError as error:
            log.debug("%s: not used (%s)", path, error.strerror or error)
            return None
        start = len(_HEADER) + _DIGEST
        blob = content[start:]
        if content[:start] != _HEADER + _digest(key, blob):
            log.warning("%s: damaged, so it is made anew", path)
            return None
        return blob

    def store(self, key: str, blob: bytes) -> None:
        """Keep a compiled graph in the place of what is there under its key, and make room for it."""
        path = self._path(key)
        try:
            remove_leftovers(self.folder)
            with atomic_path(path) as temporary:
                temporary.chmod(stat.S_IRUSR | stat.S_IWUSR)
                temporary.write_bytes(_HEADER + _digest(key, blob) + blob)
            self._make_room(path)
        except OSError as error:
            log.debug("%s: not kept (%s)", path, error.strerror or error)

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.blob"

    def _make_room(self, newest: Path) -> None:
        """Remove what was not used for longest, but not the newest."""
        taken = newest.stat().st_size
        for path, status in sorted(self._others(newest), key=lambda entry: -entry[1].st_mtime_ns):
            taken += status.st_size
            if taken > self._most:
                with suppress(OSError):
                    path.unlink()

    def _others(self, newest: Path) -> Iterator[tuple[Path, os.stat_result]]:
        """The files of other compiled graphs; links and whatever else lies there are nobody's business."""
        with os.scandir(self.folder) as listing:
            for entry in listing:
                if _NAMES.fullmatch(entry.name) and entry.name != newest.name:
                    with suppress(OSError):
                        status = entry.stat(follow_symlinks=False)
                        if stat.S_ISREG(status.st_mode):
                            yield Path(entry.path), status


def user_cache(kind: str = "openvino") -> GraphCache | None:
    """The user's own cache; None where there is no place for one that nobody else can write to.

    Args:
        kind: What is kept in it: "openvino" compiled graphs, "probed" what was found out of networks.
    """
    base = user_folder("cache")
    if base is None:
        return None
    folder = base / kind
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.stat()
    except OSError:  # a read-only home, a file in the way
        return None
    # A group that may write is no danger: of files only the user's own are read.
    if _of_others(status) or status.st_mode & stat.S_IWOTH:
        _warn_of_folder(folder)
        return None
    return GraphCache(folder)


@cache
def _warn_of_folder(folder: Path) -> None:
    """Once: every graph asks for the cache."""
    log.warning(
        "%s: others own this folder or may write to it, so nothing is kept there; remove it",
        folder,
    )


def _of_others(status: os.stat_result) -> bool:
    """Whether a file or folder belongs to somebody else; Windows does not tell in this way."""
    return hasattr(os, "geteuid") and status.st_uid != os.geteuid()


def _read_own(path: Path, most: int) -> bytes:
    """Content of a plain file of the user's own that nobody else can change; not of a link to one.

    Raises:
        OSError: It is not there, is none, or cannot be read.
    """
    # Without O_NONBLOCK a pipe in its place would wait for somebody to write to it.
    flags = [getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY", "O_CLOEXEC")]
    with open(os.open(path, sum(flags, os.O_RDONLY)), "rb") as file:  # noqa: PTH123  (a descriptor)
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_size > most:
            raise OSError(f"not a file of at most {most} bytes")
        if os.name != "nt" and (_of_others(status) or status.st_mode & _WRITABLE_BY_OTHERS):
            raise OSError("others own it or may write to it")
        content = file.read(status.st_size)
    with suppress(OSError):  # the time of its last use
        os.utime(path)
    return content


def _digest(key: str, blob: bytes) -> bytes:
    digest = hashlib.sha256(key.encode("ascii"))
    digest.update(blob)
    return digest.digest()
