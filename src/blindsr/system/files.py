"""Files that are either wholly there or not there at all, and the files that a folder holds."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import shutil
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from blindsr.errors import InputError
from blindsr.system.memory import show_bytes

if sys.platform != "win32":
    import fcntl

_TEMPORARY = re.compile(r"\.blindsr-[0-9a-f]{12}\.part(\..*)?", re.DOTALL)
_LONGEST_SUFFIX = 64  # bytes; what the name of a temporary file has besides is short, so that it always fits

_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_NO_WAIT = getattr(os, "O_NONBLOCK", 0)  # opening a pipe would wait for its other end
_HERE = -100  # AT_FDCWD: names count from the current folder
_BY_FOLDER = {os.open, os.stat, os.mkdir, os.unlink, os.rename} <= os.supports_dir_fd
"""Whether files can be named relative to an opened folder: everywhere but on Windows."""

DOCUMENT = 4 << 20
"""Most bytes of a file that is read as text: a card, a configuration, a profile."""

_in_hand: set[Path] = set()
"""Temporary files and folders that this process is writing."""


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; on a clean exit it is synced and takes `path`'s place.

    The temporary file is locked as long as it is written, so that `remove_leftovers` can tell it from one
    that a killed process left. It is new, and takes its place by its name in the folder as it was opened: no
    link is ever written through. A link at `path` is replaced, and what it leads to stays.

    Args:
        path: The file to be written; its folder must exist.

    Yields:
        A path in the same folder with the same suffix (without one where it is longer than any format's). If
        the block raises, it is removed and `path` stays as it was.

    Raises:
        OSError: The file cannot be written; or a device, a pipe or the like has its name.
    """
    _refuse_special(path)
    with _opened_folder(path.parent) as folder:
        temporary, descriptor = _create_temporary(path, folder)
        try:
            try:
                yield temporary
                _check_same(temporary, descriptor, folder)
                os.fsync(descriptor)
                if sys.platform == "win32":  # there an open file cannot be renamed
                    os.close(descriptor)
                    descriptor = -1
                name = temporary if folder is None else temporary.name
                place = path if folder is None else path.name
                os.replace(name, place, src_dir_fd=folder, dst_dir_fd=folder)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
        finally:
            _in_hand.discard(temporary)
            if descriptor >= 0:
                os.close(descriptor)


def open_in_place(path: Path) -> int:
    """Open a file of ours that is read and written where it lies, made if need be.

    Returns:
        Its descriptor.

    Raises:
        OSError: It cannot be opened; or it is a link, has another name besides (a hard link), or is no file:
            writing it would change what nobody has asked to change.
    """
    if not _NO_LINK and path.is_symlink():
        raise OSError(errno.ELOOP, "a link, which is not written through; remove it", str(path))
    flags = os.O_RDWR | os.O_CREAT | _NO_LINK | _NO_WAIT | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(path, flags, 0o666)
    except OSError as error:
        if path.is_symlink():
            fault = "a link, which is not written through; remove it"
            raise OSError(errno.ELOOP, fault, str(path)) from error
        raise
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode) and status.st_nlink <= 1:
        return descriptor
    os.close(descriptor)
    fault = "no file" if not stat.S_ISREG(status.st_mode) else "a file that has another name besides"
    raise OSError(errno.EEXIST, f"{fault}; remove it", str(path))


def make_folder(folder: Path, root: Path | None = None) -> None:
    """Make a folder for results, with those above it.

    Args:
        folder: The folder.
        root: The one above it that the user named, which may be a link; below it none is followed. None: the
            folder itself.

    Raises:
        OSError: It cannot be made, or a link is in its way; `filename` tells which.
    """
    below = () if root is None else _parts_below(folder, root)
    above = folder if root is None or not below else root
    above.mkdir(parents=True, exist_ok=True)
    if not below:
        return
    if not _BY_FOLDER:
        link = link_below(folder, above)
        if link is not None:
            raise _link_error(link)
        folder.mkdir(parents=True, exist_ok=True)
        return
    opened = os.open(above, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in below:
            above = above / part
            try:
                with suppress(FileExistsError):
                    os.mkdir(part, dir_fd=opened)
                inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | _NO_LINK, dir_fd=opened)
            except OSError as error:
                if above.is_symlink():
                    raise _link_error(above) from error
                raise OSError(error.errno, error.strerror, str(above)) from error
            os.close(opened)
            opened = inner
    finally:
        os.close(opened)


def exchange(one: Path, other: Path) -> bool:
    """Let two files or folders take each other's name, both at once: at no moment one is missing.

    Returns:
        Whether it was done; False where the system or the file system cannot.

    Raises:
        OSError: One of them is not there, or they may not be moved.
    """
    import ctypes  # it takes as long to load as the rest of this module

    names = os.fsencode(one), os.fsencode(other)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if sys.platform == "linux":
            failed = libc.renameat2(_HERE, names[0], _HERE, names[1], 2)  # RENAME_EXCHANGE
        elif sys.platform == "darwin":
            failed = libc.renamex_np(*names, 2)  # RENAME_SWAP
        else:
            return False
    except (AttributeError, OSError, TypeError):  # an older C library; on Windows there is none of this kind
        return False
    if not failed:
        return True
    code = ctypes.get_errno()
    if code in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EPERM):
        return False
    raise OSError(code, os.strerror(code), str(one))


def link_below(folder: Path, root: Path) -> Path | None:
    """The first link on the way from a folder that the user named to one below it; None if there is none."""
    for part in _parts_below(folder, root):
        root = root / part
        if root.is_symlink() or _is_junction(root):
            return root
    return None


def refuse_overwriting(
    writes: Iterable[Path], reads: Iterable[Path], advice: str = "give another -o"
) -> None:
    """Refuse results that would take the place of what they are made of, before anything is begun.

    Two names are of one file where the system says so: whatever links, hard links, relative paths or other
    capitals lie between them. What is not there yet is in nobody's way.

    Args:
        writes: Files that will be written.
        reads: Files that are read; a folder stands for itself alone.
        advice: What the message tells to do.

    Raises:
        InputError: One of the first is one of the second.
    """
    known = {mark: file for file in reads if (mark := identity(file)) is not None}
    for path in writes:
        mark = identity(path)
        if mark is not None and mark in known:
            read = known[mark]
            same = "it" if os.path.abspath(read) == os.path.abspath(path) else str(read)  # noqa: PTH100
            raise InputError(f"{path}: the result would overwrite {same}, which is read; {advice}")


def identity(path: Path) -> tuple[int, int] | None:
    """What two names of one file have in common; None where there is no file."""
    try:
        status = path.stat()
    except (OSError, ValueError):  # ValueError: a name that no file can have
        return None
    return status.st_dev, status.st_ino


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
            descriptor = os.open(name, access | _NO_LINK | _NO_WAIT)
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
            elif leads_to_file(entry):
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


def open_file(path: Path) -> IO[bytes]:
    """Open a file for reading, and nothing else: a pipe would wait for ever, a device never end.

    Raises:
        OSError: It cannot be opened, or is no file; `strerror` says so.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(path, flags)
    except ValueError as error:  # a name that no file can have
        raise OSError(errno.EINVAL, "no file can have this name", str(path)) from error
    except OSError as error:
        if error.errno == errno.ENXIO:  # a socket
            raise OSError(errno.EINVAL, "not a file", str(path)) from error
        raise
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    raise OSError(errno.EINVAL, "not a file", str(path))


def read_whole(path: Path, most: int = DOCUMENT) -> bytes:
    """The content of a file.

    Args:
        path: The file.
        most: Bytes that it may have.

    Raises:
        OSError: It cannot be read, is no file, or is larger; `strerror` says so.
    """
    with open_file(path) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"larger than {show_bytes(most)}", str(path))
    return content


def sha256(path: Path) -> str:
    """SHA-256 of a file's content, hexadecimal."""
    digest = hashlib.sha256()
    with open_file(path) as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def leads_to_file(entry: os.DirEntry[str]) -> bool:
    """Whether this is a file, or a link to one or to nowhere: reading it will tell what is wrong."""
    try:
        return stat.S_ISREG(entry.stat().st_mode)
    except OSError:
        return entry.is_symlink()


@contextmanager
def _opened_folder(folder: Path) -> Iterator[int | None]:
    """A folder's descriptor, by which its files are named; None on Windows, which opens no folders."""
    if not _BY_FOLDER:
        yield None
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _create_temporary(path: Path, folder: int | None) -> tuple[Path, int]:
    """A new, locked, empty file beside `path`, and its descriptor."""
    suffix = path.suffix if len(os.fsencode(path.suffix)) <= _LONGEST_SUFFIX else ""
    while True:
        temporary = path.with_name(f".blindsr-{secrets.token_hex(6)}.part{suffix}")
        name = temporary if folder is None else temporary.name
        try:
            # The result gets the rights that the user's umask gives any new file.
            descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | _NO_LINK, 0o666, dir_fd=folder)
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


def _check_same(temporary: Path, descriptor: int, folder: int | None) -> None:
    """Refuse to put in place what somebody has put where a temporary file was."""
    name = temporary if folder is None else temporary.name
    there = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if not os.path.samestat(there, os.fstat(descriptor)):
        raise OSError(errno.ESTALE, "another file was put in its place while it was written")


def _refuse_special(path: Path) -> None:
    """Refuse to take the place of a device, a pipe or a socket, or of a link to one."""
    try:
        mode = path.stat().st_mode
    except OSError:  # not there, or a link to nowhere
        return
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # of a folder, renaming tells
        raise OSError(errno.EEXIST, "a device, a pipe or the like has this name", str(path))


def _parts_below(folder: Path, root: Path) -> tuple[str, ...]:
    try:
        return folder.relative_to(root).parts
    except ValueError:
        return ()


def _is_junction(path: Path) -> bool:
    """Whether this is what Windows has beside links."""
    ask: Callable[[Path], bool] | None = getattr(os.path, "isjunction", None)  # from Python 3.12 on
    return ask is not None and ask(path)


def _link_error(link: Path) -> OSError:
    return OSError(errno.ELOOP, "a link, through which no results are written; remove it", str(link))


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
            descriptor = os.open(temporary, os.O_RDONLY | os.O_DIRECTORY | _NO_LINK)
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
