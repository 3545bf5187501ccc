"""Files that are either wholly there or not there at all, and the files that a folder holds."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from blindsr.errors import InputError

if sys.platform != "win32":
    import fcntl

_TEMPORARY = re.compile(r"\.blindsr-[0-9a-f]{12}\.part(\..*)?", re.DOTALL)
_LONGEST_SUFFIX = 64  # bytes; what the name of a temporary file has besides is short, so that it always fits

_in_hand: set[Path] = set()
"""Temporary files and folders that this process is writing."""


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; on a clean exit it is synced and takes `path`'s place.

    The temporary file is locked as long as it is written, so that `remove_leftovers` can tell it from one
    that a killed process left.

    Args:
        path: The file to be written; its folder must exist.

    Yields:
        A path in the same folder with the same suffix (without one where it is longer than any format's). If
        the block raises, it is removed and `path` stays as it was.
    """
    temporary, descriptor = _create_temporary(path)
    try:
        try:
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            if sys.platform == "win32":  # there an open file cannot be renamed
                os.close(descriptor)
                descriptor = -1
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    finally:
        _in_hand.discard(temporary)
        if descriptor >= 0:
            os.close(descriptor)


@contextmanager
def temporary_folder(parent: Path) -> Iterator[Path]:
    """Give an empty folder in `parent`, which is removed with all that is in it when the block ends.

    It is hidden, and locked as a temporary file of `atomic_path` is.

    Args:
        parent: An existing folder. What is made in the temporary one can be renamed into it.

    Raises:
        OSError: No folder can be made there.
    """
    temporary, descriptor = _create_temporary_folder(parent)
    try:
        yield temporary
    finally:
        _in_hand.discard(temporary)
        shutil.rmtree(temporary, ignore_errors=True)
        if descriptor >= 0:
            os.close(descriptor)


def abandon_writes() -> None:
    """Remove all temporary files and folders of this process: only for a process that ends at once."""
    for temporary in list(_in_hand):
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            with suppress(OSError):
                temporary.unlink()


def remove_leftovers(folder: Path) -> None:
    """Remove what killed processes left in a folder, temporary files and folders; those in use stay.

    On Windows the folders stay as well: nothing there tells whether one is in use.
    """
    try:
        with os.scandir(folder) as listing:
            left = [
                (entry.path, entry.is_dir(follow_symlinks=False))
                for entry in listing
                if _TEMPORARY.fullmatch(entry.name)
            ]
    except OSError:  # not there yet, or not readable: whoever writes to it will say so
        return
    for name, is_dir in left:
        # What is locked, gone, or on a file system that knows no locks is left alone.
        with suppress(OSError):
            access = os.O_RDONLY if is_dir else os.O_RDWR
            descriptor = os.open(name, access | getattr(os, "O_NOFOLLOW", 0))
            try:
                lock(descriptor)
                if is_dir:
                    shutil.rmtree(name)
                    continue
                if (
                    sys.platform == "win32"
                ):  # there an open file cannot be removed, which protects those in use
                    os.close(descriptor)
                    descriptor = -1
                Path(name).unlink()
            finally:
                if descriptor >= 0:
                    os.close(descriptor)


def lock(descriptor: int, wait: bool = False) -> None:
    """Lock an open file until it is closed; nothing happens on Windows.

    Args:
        descriptor: Of the open file.
        wait: Wait for whoever holds it.

    Raises:
        BlockingIOError: Somebody else holds it.
        OSError: The file system knows no locks.
    """
    if sys.platform != "win32":
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))


def walk_files(
    folder: Path, recursive: bool = True, on_error: Callable[[OSError], None] | None = None
) -> Iterator[Path]:
    """The files in a folder and below it, in the order of their paths.

    Hidden files and folders are left out. A link to a file counts as a file, even one that leads nowhere; a
    link to a folder is not followed, so that none is met twice and no circle is walked.

    Args:
        folder: Where to begin.
        recursive: Whether to walk the folders below as well.
        on_error: Called for a folder that cannot be read, which is then left out; without it the error is
            raised. Its `filename` is the folder.
    """
    waiting = [(folder, True)]
    while waiting:
        path, is_folder = waiting.pop()
        if not is_folder:
            yield path
            continue
        try:
            entries = list_folder(path)
        except OSError as error:
            if on_error is None:
                raise
            on_error(error)
            continue
        for entry in reversed(entries):
            if entry.is_dir(follow_symlinks=False):
                if recursive:
                    waiting.append((Path(entry.path), True))
            elif _leads_to_file(entry):
                waiting.append((Path(entry.path), False))


def list_folder(folder: Path, hidden: bool = False) -> list[os.DirEntry[str]]:
    """What lies in a folder, sorted by name; hidden entries only if asked for.

    Raises:
        OSError: The folder cannot be read; its `filename` is the folder.
    """
    with os.scandir(folder) as listing:
        entries = [entry for entry in listing if hidden or not entry.name.startswith(".")]
    return sorted(entries, key=lambda entry: entry.name)


def is_folder(path: Path) -> bool:
    """Whether there is such a folder; a path that cannot be looked at is none."""
    try:
        return path.is_dir()
    except OSError:  # a name too long, a folder on the way that may not be searched
        return False


def sha256(path: Path) -> str:
    """SHA-256 of a file's content, hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _leads_to_file(entry: os.DirEntry[str]) -> bool:
    """Whether this is a file, or a link to one or to nowhere: reading it will tell what is wrong."""
    try:
        return stat.S_ISREG(entry.stat().st_mode)
    except OSError:
        return entry.is_symlink()


def _create_temporary(path: Path) -> tuple[Path, int]:
    """A new, locked, empty file beside `path`, and its descriptor."""
    suffix = path.suffix if len(os.fsencode(path.suffix)) <= _LONGEST_SUFFIX else ""
    while True:
        temporary = path.with_name(f".blindsr-{secrets.token_hex(6)}.part{suffix}")
        try:
            # The result gets the rights that the user's umask gives any new file.
            descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:
            continue
        _in_hand.add(temporary)
        with suppress(OSError):  # no locks here: then it is never taken for a leftover either
            lock(descriptor, wait=True)
        # Between the two lines above, a cleaner may have held it for a leftover.
        if sys.platform == "win32" or os.fstat(descriptor).st_nlink > 0:
            return temporary, descriptor
        _in_hand.discard(temporary)
        os.close(descriptor)


def _create_temporary_folder(parent: Path) -> tuple[Path, int]:
    """A new, locked, empty folder in `parent`, and its descriptor; -1 on Windows, which opens no folders."""
    while True:
        temporary = parent / f".blindsr-{secrets.token_hex(6)}.part"
        try:
            temporary.mkdir()
        except FileExistsError:
            continue
        if sys.platform == "win32":
            _in_hand.add(temporary)
            return temporary, -1
        # Here and below, a cleaner may hold it for a leftover, as it may a file.
        try:
            descriptor = os.open(temporary, os.O_RDONLY)
        except FileNotFoundError:
            continue
        _in_hand.add(temporary)
        with suppress(OSError):
            lock(descriptor, wait=True)
        if temporary.is_dir():
            return temporary, descriptor
        _in_hand.discard(temporary)
        os.close(descriptor)


def check_npz(path: Path, fault: str) -> None:
    """Refuse a place where no .npz file can be written, before there is anything to write.

    Args:
        path: The file that is to be made.
        fault: What the message says of another suffix.

    Raises:
        InputError: The name does not end in .npz, or the folder is not there.
    """
    if path.suffix.lower() != ".npz":
        raise InputError(f"{path}: {fault}")
    if not path.parent.is_dir():
        raise InputError(f"{path.parent}: no such folder")
