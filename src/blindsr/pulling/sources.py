"""What a model's files can be read from: a folder, an archive, a web server. Nothing is written here."""

from __future__ import annotations

import io
import re
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPMessage, HTTPResponse, HTTPSConnection
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, Any, Protocol
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urljoin, urlsplit, urlunsplit
from urllib.request import (
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    Request,
    build_opener,
    url2pathname,
)

from blindsr.errors import ModelError
from blindsr.models.card import CARD
from blindsr.system import archives
from blindsr.system.archives import DAMAGED, Member
from blindsr.system.files import open_file
from blindsr.system.untrusted import brief, shorten
from blindsr.version import __version__

__all__ = ["Archive", "Packing", "Source", "Stream", "find_source", "gunzip", "open_archive"]

TIMEOUT = 30.0
"""Seconds that a server may be silent."""

ATTEMPTS = 10
"""How often a file is asked for whose transfer breaks off; each goes on where the one before it ended."""

PATIENCE = 60.0
"""Seconds in which a server has to begin its answer, and then each time to send `LEAST` bytes of the file:
who sends something for ever, but never what was asked for, is not waited for."""

LEAST = 1 << 16

_BLOCK = 1 << 18

_HEADERS = 1 << 20  # bytes that may come before the file

_PACKINGS = {".zip": "zip", ".tar.gz": "tar.gz", ".tgz": "tar.gz", ".tar": "tar"}
"""Archives by the ends of their names."""

_KINDS = "the folder of a model, its card (.json) or an archive of it (.zip, .tar.gz)"

Packing = str
"""A value of `_PACKINGS`."""


@dataclass(frozen=True)
class Stream:
    """A file that is being read.

    Args:
        where: Its path or URL.
        size: Bytes; None where that is not known before the end.
        blocks: Its content, to be taken once. Taking raises ModelError where it cannot be read to its end.
    """

    where: str
    size: int | None
    blocks: Iterator[bytes]


class Source(Protocol):
    """Files of a model, by their paths relative to the card."""

    card: str
    """The card's own path."""

    def open(self, path: str) -> Stream:
        """Begin to read a file.

        Raises:
            ModelError: It is not there, or cannot be read.
        """
        ...


@dataclass(frozen=True)
class Archive:
    """A model's folder that is packed into one file.

    Args:
        where: Its path or URL.
        packing: How it is packed.
        file: Where it lies; None if it must be fetched first.
        stream: Its content, if it must be fetched.
    """

    where: str
    packing: Packing
    file: Path | None = None
    stream: Stream | None = None


def find_source(place: str) -> Source | Archive:
    """What a path or a URL leads to.

    Args:
        place: Path, or URL of http, https or file, of a model's folder, of its card (.json), or of an archive
            of such a folder. Of a URL the end of its path tells which of them it is; what is neither a card
            nor an archive is a folder. Files beside a card are asked for with the card's own query.

    Raises:
        ModelError: There is no such thing, or the server does not give it.
    """
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", place) is None:  # one letter alone is a drive of Windows
        return _find_local(Path(place).expanduser())
    try:
        parts = urlsplit(place)
        host = parts.netloc.encode("idna").decode("ascii")
    except ValueError:
        raise ModelError(f"{shown_url(place)}: not a URL (its machine or port cannot be read)") from None
    if "@" in parts.netloc:
        raise ModelError(
            f"{shown_url(place)}: a name or a password in a URL is not sent; leave out what is before the @"
        )
    if parts.scheme == "file":
        if parts.netloc not in ("", "localhost"):
            raise ModelError(
                f"{shown_url(place)}: a file of another machine; three slashes begin a path (file:///...)"
            )
        return _find_local(Path(url2pathname(parts.path)))
    if parts.scheme not in ("http", "https"):
        raise ModelError(
            f"{shown_url(place)}: unsupported scheme {parts.scheme}; give a URL of http, https or file"
        )
    # What a browser's line of address may show as it is: spaces, letters of other languages.
    url = quote(urlunsplit(parts._replace(netloc=host, fragment="")), safe="%/:=&?~+!$,;'@()*[]")
    packing = _packing(parts.path)
    if packing is not None:
        return Archive(url, packing, stream=_fetch(url))
    if parts.path.lower().endswith(".json"):
        return WebSource(url)
    parts = urlsplit(url)
    return WebSource(urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{CARD}")))


def _find_local(path: Path) -> Source | Archive:
    try:
        if path.is_dir():
            if not (path / CARD).is_file():
                raise ModelError(f"{path}: no {CARD} in this folder, so it is not a model")
            return FolderSource(path)
        if not path.exists():
            raise ModelError(f"{path}: no such file or folder; give a path or a URL of {_KINDS}")
        packing = _packing(path.name)
        if packing is not None and path.is_file():
            return Archive(str(path), packing, file=path)
        if path.suffix.lower() == ".json" and path.is_file():
            return FolderSource(path.parent, path.name)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror})") from error
    raise ModelError(f"{path}: not a model; give {_KINDS}")


def _packing(name: str) -> Packing | None:
    return next((packing for end, packing in _PACKINGS.items() if name.lower().endswith(end)), None)


class FolderSource:
    """A folder of this machine; links in it count as what they lead to.

    Args:
        folder: The folder.
        card: Name of the card in it.
    """

    def __init__(self, folder: Path, card: str = CARD) -> None:
        self.card = card
        self._folder = folder

    def open(self, path: str) -> Stream:
        """See `Source.open`."""
        file = self._folder / path
        try:
            status = file.stat()
        except OSError as error:
            raise ModelError(f"{file}: cannot be read ({error.strerror}); the model is incomplete") from error
        if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
            raise ModelError(f"{file}: not a file")
        return Stream(str(file), status.st_size, _blocks(lambda: _content(file), str(file)))


class WebSource:
    """A folder of a web server.

    Args:
        url: The card's.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.card = parts.path.rpartition("/")[2]
        self._folder, self._query = parts._replace(query=""), parts.query

    def open(self, path: str) -> Stream:
        """See `Source.open`."""
        relative = self.card if path == self.card else quote(path)
        # The ./ keeps a first part with a colon from being taken for a scheme.
        url = urlsplit(urljoin(urlunsplit(self._folder), f"./{relative}"))
        return _fetch(urlunsplit(url._replace(query=self._query)))


class ArchiveSource:
    """A model in an archive: the files beside and below its one card, or the one nearest to the top.

    Args:
        where: The archive's path or URL.
        members: Its files by path, which lie within it.
        close: Closes the archive.

    Raises:
        ModelError: There is no card in it, or more than one of the same depth.
    """

    def __init__(self, where: str, members: dict[str, Member], close: Callable[[], None]) -> None:
        self.close = close
        self._where, self._members = where, members
        found = [PurePosixPath(name) for name in members if PurePosixPath(name).name == CARD]
        depth = min((len(card.parts) for card in found), default=0)
        cards = [card for card in found if len(card.parts) == depth]
        if len(cards) != 1:
            fault = f"it holds {len(cards)} models; pack each for itself" if cards else f"no {CARD} in it"
            raise ModelError(f"{where}: {fault}")
        self.card = CARD
        self._folder = cards[0].parent

    def open(self, path: str) -> Stream:
        """See `Source.open`."""
        name = str(self._folder / path)
        member = self._members.get(name)
        if member is None:
            raise ModelError(f"{self._where}: no {name} in it; the model is incomplete")
        where = f"{self._where}: {name}"
        return Stream(where, member.size, _blocks(member.blocks, where))


def open_archive(file: Path, packing: Packing, where: str) -> ArchiveSource:
    """Look into an archive; nothing is unpacked.

    Args:
        file: The archive; of a packing "tar.gz" what `gunzip` made of it.
        packing: How it is packed.
        where: Its path or URL, for messages.

    Raises:
        ModelError: It is no such archive, or one with links, or with files that lie outside of it.
    """
    try:
        opened = open_file(file)
        try:
            if packing == "zip":
                members = archives.zip_members(archives.open_zip(opened))
            else:
                members = archives.tar_members(opened)
            return ArchiveSource(where, _files_of(members, where), opened.close)
        except BaseException:
            opened.close()
            raise
    except DAMAGED as error:
        raise ModelError(f"{where}: not a sound {packing} archive ({_reason(error)})") from error


def gunzip(file: Path, where: str) -> Stream:
    """The content of a file that gzip has packed.

    Args:
        file: The packed file.
        where: Its path or URL, for messages.
    """

    def unpack() -> Iterator[bytes]:
        with open_file(file) as packed:
            yield from archives.gunzip(packed)

    return Stream(where, None, _blocks(unpack, where))


def shown_url(url: str) -> str:
    """A URL for messages: without name, password, and the values of its query, which may be keys."""
    start, scheme, rest = url.partition("://")
    if not scheme:
        return url
    path, question, query = rest.partition("?")
    machine = path.partition("/")[0]
    # A password may hold slashes: what looks like a port and is no number is the beginning of one.
    if "@" in machine or ("@" in path and re.search(r":(?!\d*$)", machine)):
        path = path.rpartition("@")[2]
    return f"{start}://{path}{question}{'...' * bool(query)}"


def _files_of(members: Iterator[Member], where: str) -> dict[str, Member]:
    """The files among an archive's members; one that leads out of it, a link or the like is refused."""
    files = {}
    for member in members:
        path = PureWindowsPath(member.name)  # to which both slashes part a path: on any system all are told
        if path.drive or path.root or ".." in path.parts:
            fault = f"its member {shorten(member.name)} lies outside of it"
            raise ModelError(f"{where}: {fault}; nothing is unpacked")
        if member.kind == "other":
            fault = f"its member {shorten(member.name)} is a link or no file"
            raise ModelError(f"{where}: {fault}; nothing is unpacked")
        if member.kind == "file":
            files[str(PurePosixPath(member.name))] = member
    return files


def _content(file: Path) -> Iterator[bytes]:
    with open_file(file) as opened:
        while block := opened.read(_BLOCK):
            yield block


def _blocks(read: Callable[[], Iterator[bytes]], where: str) -> Iterator[bytes]:
    """The content of a file of this machine."""
    try:
        yield from read()
    except DAMAGED as error:
        raise ModelError(f"{where}: cannot be read to its end ({_reason(error)})") from error


class _Watched(io.RawIOBase):
    """What comes from a server, as long as what is wanted comes with it.

    Args:
        raw: The bytes of the connection.
    """

    def __init__(self, raw: io.RawIOBase) -> None:
        self._raw = raw
        self._since, self._wanted = time.monotonic(), 0
        self._left: int | None = _HEADERS

    def begin(self) -> None:
        """The headers are read: the file begins."""
        self._left = None
        self.took(LEAST)

    def took(self, size: int) -> None:
        """So many bytes of the file have come."""
        self._wanted += size
        if self._wanted >= LEAST:
            self._since, self._wanted = time.monotonic(), 0

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int | None:  # noqa: ANN401  (any writable buffer)
        """As any file's.

        Raises:
            TimeoutError: Too little of the file has come for too long.
            HTTPException: The headers do not end.
        """
        got = self._raw.readinto(buffer)
        if time.monotonic() - self._since > PATIENCE:
            raise TimeoutError(f"less than {LEAST >> 10} KiB of it came in {PATIENCE:g} seconds")
        if self._left is not None:
            self._left -= got or 0
            if self._left < 0:
                raise HTTPException("its headers do not end")
        return got

    def close(self) -> None:
        """Close the connection's end."""
        self._raw.close()
        super().close()


class _Response(HTTPResponse):
    """An answer whose bytes are watched."""

    watched: _Watched

    def __init__(self, sock: Any, *arguments: Any, **options: Any) -> None:  # noqa: ANN401
        super().__init__(sock, *arguments, **options)
        self.watched = _Watched(self.fp.detach())
        self.fp = io.BufferedReader(self.watched)

    def begin(self) -> None:
        """Read the headers."""
        super().begin()
        self.watched.begin()


class _Connection(HTTPConnection):
    response_class = _Response


class _SecureConnection(HTTPSConnection):
    response_class = _Response


class _Plain(HTTPHandler):
    def http_open(self, req: Request) -> HTTPResponse:
        return self.do_open(_Connection, req)


class _Secure(HTTPSHandler):
    def https_open(self, req: Request) -> HTTPResponse:
        return self.do_open(_SecureConnection, req)


class _Redirects(HTTPRedirectHandler):
    """Follows redirects among http and https, but not from what is encrypted to what is not."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        scheme = urlsplit(newurl).scheme
        if scheme not in ("http", "https") or (req.type == "https" and scheme == "http"):
            leads = f"leads from {req.type} to {shown_url(newurl)}"
            raise ModelError(f"{shown_url(req.full_url)}: {leads}, which is not followed")
        if "@" in urlsplit(newurl).netloc:
            raise ModelError(
                f"{shown_url(req.full_url)}: leads to a URL with a password; that is not followed"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _fetch(url: str) -> Stream:
    """Ask a server for a file."""
    response = _ask(url)
    return Stream(shown_url(url), response.length, _received(url, response, response.length))


def _ask(url: str, start: int = 0) -> _Response:
    """Ask a server for a file from its byte `start` on; it may give it from the beginning all the same."""
    headers = {"User-Agent": f"blindsr/{__version__}", **({"Range": f"bytes={start}-"} if start else {})}
    where = shown_url(url)
    try:
        opener = build_opener(_Redirects, _Plain, _Secure)
        response = opener.open(Request(url, headers=headers), timeout=TIMEOUT)
    except HTTPError as error:
        error.close()
        said = " ".join(str(error.reason).split())  # of a circle of redirects it is said in three lines
        raise ModelError(f"{where}: the server answers {error.code} {said}") from error
    except (OSError, HTTPException, ValueError) as error:
        raise ModelError(f"{where}: cannot be fetched ({_reason(error)})") from error
    assert isinstance(response, _Response)
    begins_there = response.headers.get("Content-Range", "").startswith(f"bytes {start}-")
    if response.status != 200 and not (start and response.status == 206 and begins_there):
        response.close()
        raise ModelError(f"{where}: the server answers {response.status} {response.reason}, and not the file")
    return response


def _received(url: str, response: _Response, size: int | None) -> Iterator[bytes]:
    """The content of a file of a server; one that breaks off is asked for anew from there on."""
    got = 0
    for attempt in range(ATTEMPTS):
        if attempt:
            response = _ask(url, got)
        known = 0 if response.status == 206 else got  # bytes that come once more
        fault = "the connection ended early"
        try:
            with response:
                # Of a server that leaves the connection open no more is asked for than there is.
                while (size is None or got < size) and (block := response.read1(_BLOCK)):
                    response.watched.took(len(block))
                    fresh = block[known:]
                    known -= len(block) - len(fresh)
                    got += len(fresh)
                    if fresh:
                        yield fresh
        except (OSError, HTTPException, ValueError) as error:
            fault = _reason(error)
            if size is None:
                break
        else:
            if size is None or got >= size:
                return
    total = "" if size is None else f" of {size}"
    raise ModelError(f"{shown_url(url)}: broke off after {got}{total} bytes ({fault}); try again later")


def _reason(error: BaseException) -> str:
    """What an error says, as short as it can be said."""
    if isinstance(error, URLError) and isinstance(error.reason, BaseException):
        error = error.reason
    return brief(error)
