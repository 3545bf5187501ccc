"""Stores: where photos and results lie. A folder that machines share, a bucket, files of a web server.

A store is named by a URL, such as "s3://archive/scans", or by a local path, and what lies in it by names
relative to that, with "/" between their parts. Whatever is written is there wholly or not at all.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal

from blindsr.errors import BlindSRError, InputError, MissingExtraError
from blindsr.system.files import atomic_path, leads_to_file, list_folder, make_folder, remove_leftovers
from blindsr.system.untrusted import brief

__all__ = [
    "Entry",
    "LocalStore",
    "RemoteStore",
    "Store",
    "StoreError",
    "existing",
    "is_url",
    "open_store",
    "split_place",
]

_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://")
_SECRET = re.compile(r"(://)[^/@]*@")

_BUCKETS = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss")
"""Protocols whose stores put an object wholly or not at all, and can refuse to replace one."""

_READ_ONLY = ("http", "https")
_ONE_PROCESS = ("memory",)  # fsspec's own, for tests
_PACKAGES = {
    "s3": "s3fs",
    "s3a": "s3fs",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "http": "aiohttp",
    "https": "aiohttp",
}
_VERSIONS = ("ETag", "etag", "generation", "md5Hash", "mtime", "LastModified", "last_modified", "created")
"""What stores call that by which one state of a file is told from another, the surest first."""

_TIMES = ("LastModified", "last_modified", "updated", "mtime")

_HIDDEN = re.compile(r"(^|/)\.")
_BLOCK = 1 << 20


class StoreError(InputError):
    """A store does not give or take a file.

    Args:
        text: One line.
        passing: Whether it may succeed when it is tried again, as after a broken connection.
        missing: Whether there is no such file or folder.
    """

    def __init__(self, text: str, passing: bool = True, missing: bool = False) -> None:
        super().__init__(text)
        self.passing, self.missing = passing, missing

    def __reduce__(self) -> tuple[type[StoreError], tuple[str, bool, bool]]:
        return StoreError, (str(self), self.passing, self.missing)


@dataclass(frozen=True)
class Entry:
    """What a store tells of a file.

    Args:
        name: Relative to the store.
        size: Bytes; None where it does not tell.
        version: Another one when the file has changed.
        changed: Time of the last change, seconds since 1970; None where it does not tell.
    """

    name: str
    size: int | None
    version: str
    changed: float | None = None


OnError = Callable[[str, "StoreError"], None]
"""Called with the name of a folder that cannot be listed, and why."""


class Store(ABC):
    """Where files lie. Threads may share one; it may travel between processes.

    Args:
        place: Its URL or path, as messages have it.
    """

    place: str

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {shown(self.place)!r}>"

    def full(self, name: str) -> str:
        """A file's whole name, for messages: without a password that the URL may have."""
        return shown(f"{self.place.rstrip('/')}/{name}" if name else self.place)

    @abstractmethod
    def entries(self, recursive: bool = True, on_error: OnError | None = None) -> Iterator[Entry]:
        """All files below, in the order of their names' characters, as they come: never all at once.

        Hidden ones, whose name or a folder's begins with a dot, are left out; links to folders are not
        followed.

        Args:
            recursive: Whether those in folders below are meant, too.
            on_error: Called with a folder's name for one that cannot be listed, which is then left out.

        Raises:
            StoreError: The store cannot be listed; without `on_error` also a folder.
        """

    @abstractmethod
    def entry(self, name: str) -> Entry | None:
        """What is told of one file; None where there is none."""

    @abstractmethod
    def pull(self, name: str, target: Path, most: int | None = None) -> Path:
        """Make a file's content local.

        Args:
            name: Of the file.
            target: Where it may be written; its folder is there.
            most: Bytes that there is room for.

        Returns:
            Where it lies: `target`, or the file itself where it is local already. Its date is the file's.
        """

    @abstractmethod
    def push(self, source: Path, name: str, dated: bool = False) -> Entry:
        """Put a local file into the store, wholly or not at all; what has its name is replaced.

        Args:
            source: The file.
            name: Of what it becomes.
            dated: Whether it keeps the file's date, which only a local store can.
        """

    @abstractmethod
    def read(self, name: str) -> bytes:
        """The content of a small file of ours."""

    @abstractmethod
    def write(self, name: str, content: bytes) -> None:
        """Write a small file of ours, wholly or not at all."""

    @abstractmethod
    def create(self, name: str, content: bytes) -> bool:
        """As `write`, unless there is one of that name: then False. One of many callers wins."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Remove a file; one that is not there is no error."""

    @abstractmethod
    def below(self, folder: str) -> Store:
        """The store of what lies in a folder, which need not be there yet."""

    @property
    @abstractmethod
    def writable(self) -> bool:
        """Whether it takes files."""


def existing(store: Store) -> Iterator[Entry]:
    """As `Store.entries`; nothing where the store is not there yet."""
    try:
        yield from store.entries()
    except StoreError as error:
        if not error.missing:
            raise


def is_url(text: str) -> bool:
    """Whether a place is named by a URL rather than a path.

    Example:
        >>> is_url("s3://archive/scans"), is_url("scans")
        (True, False)
    """
    return _URL.match(text) is not None


def shown(text: str) -> str:
    """A place for messages: without a password that it may have."""
    return _SECRET.sub(r"\1", text)


def split_place(place: str) -> tuple[str, str]:
    """A place of one file as the place of its folder, and its name.

    Example:
        >>> split_place("s3://archive/scans/a.jpg")
        ('s3://archive/scans', 'a.jpg')
    """
    folder, _, name = place.rstrip("/").rpartition("/")
    if not folder or folder.endswith(":/"):
        return (place, "") if is_url(place) else (folder or ("/" if place.startswith("/") else "."), name)
    return folder, name


def open_store(place: str) -> Store:
    """The store of a URL or of a local folder. Nothing is asked of it yet.

    Keys and addresses of servers are looked for where its own library does: environment, files in the home,
    what a cloud gives to its machines.

    Args:
        place: Such as "s3://archive/scans", "file:///mnt/scans" or "scans".

    Raises:
        InputError: There is no such kind of store.
        MissingExtraError: The kind needs what is not installed.
    """
    protocol = place.partition("://")[0].lower() if is_url(place) else "file"
    if "::" in place:
        raise InputError(f"{shown(place)}: stores within others (::) are not read; name the store itself")
    if protocol == "file":
        path = place.partition("://")[2] if is_url(place) else place
        if is_url(place) and not path.startswith("/"):
            raise InputError(f"{place}: give the whole path, such as file:///mnt/scans")
        return LocalStore(Path(path))
    if protocol not in (*_BUCKETS, *_READ_ONLY, *_ONE_PROCESS):
        known = ", ".join(f"{one}://" for one in ("file", *_BUCKETS, *_READ_ONLY))
        raise InputError(f"{shown(place)}: no kind of store that is known; there are {known}")
    return RemoteStore(place)


class LocalStore(Store):
    """A folder of this machine, which others may share.

    Args:
        folder: It need not be there yet. It may be a link; below it none is written through.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(os.path.abspath(folder))  # noqa: PTH100  (Path.resolve would follow links)
        self.place = str(self.folder)

    @property
    def writable(self) -> bool:
        return True

    def entries(self, recursive: bool = True, on_error: OnError | None = None) -> Iterator[Entry]:
        waiting = [""]
        while waiting:
            name = waiting.pop()
            if name and not name.endswith("/"):
                # A link that leads nowhere is a file that cannot be read: reading it will tell why.
                yield self.entry(name) or Entry(name, None, "")
            elif recursive or not name:
                try:
                    with _told(self.full(name.rstrip("/")), "listed"):
                        waiting += sorted(self._inner(name), reverse=True)
                except StoreError as error:
                    if on_error is None or not name:
                        raise
                    on_error(name.rstrip("/"), error)

    def _inner(self, folder: str) -> Iterator[str]:
        """Names of what lies in a folder; those of folders end with "/", as they are ordered in a bucket."""
        for one in list_folder(self.folder / folder):
            if one.is_dir(follow_symlinks=False):
                yield f"{folder}{one.name}/"
            elif leads_to_file(one):
                yield f"{folder}{one.name}"

    def entry(self, name: str) -> Entry | None:
        try:
            status = (self.folder / name).stat()
        except (OSError, ValueError):  # ValueError: a name that no file can have
            return None
        if (self.folder / name).is_dir():
            return None
        return Entry(name, status.st_size, f"{status.st_size}-{status.st_mtime_ns}", status.st_mtime)

    def pull(self, name: str, target: Path, most: int | None = None) -> Path:
        path = self.folder / name
        with _told(self.full(name), "read"):
            path.lstat()
        return path

    def push(self, source: Path, name: str, dated: bool = False) -> Entry:
        target = self.folder / name
        with _told(self.full(name), "written"):
            self._make_folder(target.parent)
            with atomic_path(target) as temporary:
                shutil.copyfile(source, temporary)
                if dated:
                    shutil.copystat(source, temporary)
            found = self.entry(name)
            if found is None:
                raise OSError("removed by another program as soon as it was written")
            return found

    def read(self, name: str) -> bytes:
        with _told(self.full(name), "read"):
            return (self.folder / name).read_bytes()

    def write(self, name: str, content: bytes) -> None:
        with _told(self.full(name), "written"):
            self._make_folder((self.folder / name).parent)
            with atomic_path(self.folder / name) as temporary:
                temporary.write_bytes(content)

    def create(self, name: str, content: bytes) -> bool:
        path = self.folder / name
        with _told(self.full(name), "written"):
            self._make_folder(path.parent)
            temporary = path.with_name(f".{secrets.token_hex(8)}")
            try:
                temporary.write_bytes(content)
                os.link(temporary, path)  # with its content at once, and never in another's place
            except FileExistsError:
                return False
            finally:
                temporary.unlink(missing_ok=True)
        return True

    def remove(self, name: str) -> None:
        with _told(self.full(name), "removed"), suppress(FileNotFoundError):
            (self.folder / name).unlink()

    def below(self, folder: str) -> Store:
        return LocalStore(self.folder / folder)

    def remove_leftovers(self, folder: str) -> None:
        """Remove what killed workers left in a folder."""
        remove_leftovers(self.folder / folder)

    def _make_folder(self, folder: Path) -> None:
        make_folder(folder, self.folder)


class RemoteStore(Store):
    """A bucket, or what a web server has, by way of fsspec.

    Args:
        place: Its URL.
    """

    def __init__(self, place: str) -> None:
        self.place = place.rstrip("/")
        self._protocol = place.partition("://")[0].lower()
        self._files, self._root = self._open()

    def __reduce__(self) -> tuple[type[RemoteStore], tuple[str]]:
        return RemoteStore, (self.place,)  # connections stay where they are

    @property
    def writable(self) -> bool:
        return self._protocol not in _READ_ONLY

    def entries(self, recursive: bool = True, on_error: OnError | None = None) -> Iterator[Entry]:
        with _told(shown(self.place), "listed"):
            found = self._pages() if self._protocol in ("s3", "s3a") else self._walk(recursive)
            for entry in found:
                is_file = entry.name and not entry.name.endswith("/")
                if is_file and (recursive or "/" not in entry.name) and not _HIDDEN.search(entry.name):
                    yield entry

    def entry(self, name: str) -> Entry | None:
        with _told(self.full(name), "looked at"):
            try:
                info = self._files.info(self._path(name))
            except FileNotFoundError:
                return None
            return None if info.get("type") == "directory" else _entry(name, info)

    def pull(self, name: str, target: Path, most: int | None = None) -> Path:
        with _told(self.full(name), "read"):
            info = self._files.info(self._path(name))
            size = info.get("size")
            if most is not None and (size or 0) > most:
                raise StoreError(f"{self.full(name)}: {size} bytes, and there is room for {most}", False)
            if size is None or self._protocol in _READ_ONLY:  # a server may send more than it says
                with self._files.open(self._path(name), "rb", block_size=0) as source:
                    _copy_at_most(source, target, most, self.full(name))
            else:
                self._files.get_file(self._path(name), str(target))
            if size is not None and target.stat().st_size != size:
                raise OSError("it came in part")
            changed = _entry(name, info).changed
            if changed is not None:
                os.utime(target, (changed, changed))
            return target

    def push(self, source: Path, name: str, dated: bool = False) -> Entry:
        with _told(self.full(name), "written"):
            self._files.put_file(str(source), self._path(name))
        found = self.entry(name)
        if found is None or found.size != source.stat().st_size:
            raise StoreError(f"{self.full(name)}: written, but not there as it should be; try again")
        return found

    def read(self, name: str) -> bytes:
        with _told(self.full(name), "read"):
            content: bytes = self._files.cat_file(self._path(name))
            return content

    def write(self, name: str, content: bytes) -> None:
        with _told(self.full(name), "written"):
            self._files.pipe_file(self._path(name), content)

    def create(self, name: str, content: bytes) -> bool:
        with _told(self.full(name), "written"):
            try:
                self._files.pipe_file(self._path(name), content, mode="create")
            except FileExistsError:
                return False
        return True

    def remove(self, name: str) -> None:
        with _told(self.full(name), "removed"), suppress(FileNotFoundError):
            self._files.rm_file(self._path(name))

    def below(self, folder: str) -> Store:
        return RemoteStore(f"{self.place}/{folder}" if folder else self.place)

    def _open(self) -> tuple[Any, str]:
        try:
            import fsspec
        except ModuleNotFoundError as error:
            raise MissingExtraError("a store that is no folder", "cluster", "fsspec") from error
        try:
            # Listings are not kept: they take memory without end, and others write meanwhile.
            files, root = fsspec.core.url_to_fs(self.place, use_listings_cache=False)
        except ImportError as error:
            package = _PACKAGES.get(self._protocol, "adlfs")
            raise InputError(
                f"{shown(self.place)}: needs the package {package}: pip install {package}"
            ) from error
        except Exception as error:  # what a library makes of a URL that is none
            raise InputError(f"{shown(self.place)}: cannot be opened ({brief(error)})") from error
        return files, str(root).rstrip("/")

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}" if name else self._root

    def _pages(self) -> Iterator[Entry]:
        """A bucket's keys by the page, in their order."""
        bucket, _, folder = self._root.partition("/")
        prefix = f"{folder}/" if folder else ""
        more: dict[str, str] = {}
        while True:
            page = self._files.call_s3("list_objects_v2", Bucket=bucket, Prefix=prefix, **more)
            for found in page.get("Contents", ()):
                yield _entry(found["Key"][len(prefix) :], {**found, "size": found["Size"]})
            if not page.get("IsTruncated"):
                return
            more = {"ContinuationToken": page["NextContinuationToken"]}

    def _walk(self, recursive: bool) -> Iterator[Entry]:
        """Folder by folder, of which one at a time is in memory."""
        waiting: list[tuple[str, Mapping[str, Any] | None]] = [("", None)]
        while waiting:
            name, info = waiting.pop()
            if info is not None:
                yield _entry(name, info)
                continue
            if name and not recursive:
                continue
            inner: dict[str, Mapping[str, Any] | None] = {}
            for one in self._files.ls(self._path(name) + "/" * (not name), detail=True):
                own = str(one["name"]).rstrip("/").removeprefix(self._root).lstrip("/")
                # A web page leads anywhere: only what lies below is meant.
                if own.startswith(name) and own != name.rstrip("/") and "://" not in own:
                    inner |= {f"{own}/": None} if one["type"] == "directory" else {own: one}
            waiting += sorted(inner.items(), key=lambda pair: pair[0], reverse=True)


def _entry(name: str, info: Mapping[str, Any]) -> Entry:
    """What a library tells of a file, in our words."""
    told: dict[str, Any] = {
        key: one.timestamp() if isinstance(one, datetime) else one for key, one in info.items()
    }
    size = told.get("size")
    version = next((told[key] for key in _VERSIONS if told.get(key) is not None), "")
    changed = next((told[key] for key in _TIMES if isinstance(told.get(key), (int, float))), None)
    return Entry(name, size, f"{size}-{version}", changed)


def _copy_at_most(source: Any, target: Path, most: int | None, name: str) -> None:  # noqa: ANN401
    """Copy what comes from a server that need not say how much that will be."""
    with target.open("wb") as file:
        for block in iter(partial(source.read, _BLOCK), b""):
            file.write(block)
            if most is not None and file.tell() > most:
                raise StoreError(f"{name}: there is room for {most} bytes, and more came", False)


@contextmanager
def _told(name: str, doing: Literal["listed", "looked at", "read", "written", "removed"]) -> Iterator[None]:
    """Make one line of whatever a library raises, and tell whether to try again."""
    try:
        yield
    except BlindSRError:
        raise
    except FileNotFoundError as error:
        raise StoreError(f"{name}: there is no such file, folder or bucket", False, missing=True) from error
    except PermissionError as error:
        text = f"{name}: cannot be {doing} ({brief(error)}); give yourself the right to, or name another"
        raise StoreError(text, passing=False) from error
    except (FileExistsError, NotADirectoryError, IsADirectoryError, UnicodeError) as error:
        raise StoreError(f"{name}: cannot be {doing} ({brief(error)})", passing=False) from error
    except Exception as error:  # each store's library has errors of its own
        raise StoreError(f"{name}: cannot be {doing} ({type(error).__name__}: {brief(error)})") from error
