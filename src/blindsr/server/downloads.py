"""Files that go out: whole, in part, or several as an archive that is made while it is sent."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Generator, Sequence
from io import RawIOBase
from pathlib import Path
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from blindsr.server.names import disposition, told_apart
from blindsr.server.problems import ProblemError

_PIECE = 1 << 18

_DATE = (1980, 1, 1, 0, 0, 0)
"""Of an archive's files: the same files make the same archive."""

MEDIA_TYPES = {
    **{
        ".png": "image/png",
        ".jpg": "image/jpeg",
        ".jpeg": "image/jpeg",
        ".jpe": "image/jpeg",
        ".jfif": "image/jpeg",
    },
    **{".webp": "image/webp", ".tif": "image/tiff", ".tiff": "image/tiff", ".avif": "image/avif"},
    **{".jxl": "image/jxl", ".bmp": "image/bmp", ".dib": "image/bmp"},
}
"""Of results, by the suffixes of their names; systems differ in what they say of them."""


OTHER_TYPE = "application/octet-stream"


def file_response(
    path: Path, name: str, digest: str, headers: Headers, media_type: str | None = None
) -> Response:
    """A file, or the part of it that is asked for (RFC 9110, sections 13 and 14), to be saved under a name.

    Args:
        path: The file; it does not change.
        name: As it is to be called.
        digest: Of its content: its entity tag.
        headers: Of the request.
        media_type: Of the content; None goes by the name.

    Raises:
        ProblemError: The part that is asked for is not there; the file is gone.
    """
    try:
        size = path.stat().st_size
    except OSError as error:
        raise ProblemError(404, f"{name}: is not kept any more") from error
    tag = f'"{digest}"'
    fixed = {"ETag": tag, "Accept-Ranges": "bytes", "Cache-Control": "private, no-cache"}
    if _names(headers.get("if-none-match", ""), tag):
        return Response(status_code=304, headers=fixed)
    fixed["Content-Disposition"] = disposition(name)
    kind = media_type or MEDIA_TYPES.get(Path(name).suffix.lower(), OTHER_TYPE)
    part = None
    if headers.get("if-range", tag) == tag:  # else it has changed since: the whole is sent
        part = read_range(headers.get("range"), size)
    start, end = part or (0, size)
    status = 200
    if part is not None:
        status, fixed["Content-Range"] = 206, f"bytes {start}-{end - 1}/{size}"
    fixed["Content-Length"] = str(end - start)
    return _Sent(_pieces(path, start, end), status, fixed, kind)


def read_range(text: str | None, size: int) -> tuple[int, int] | None:
    """The part of a file that a Range header asks for: from, and up to before.

    Args:
        text: The header. Several parts at once, other units and what is no range are passed over.
        size: Of the file, bytes.

    Returns:
        None for the whole file.

    Raises:
        ProblemError: The part is not there (416).
    """
    match = re.fullmatch(r"\s*bytes\s*=\s*([0-9]{0,18})\s*-\s*([0-9]{0,18})\s*", text or "", re.ASCII)
    if match is None or not (match[1] or match[2]):
        return None
    if match[1]:
        start, end = int(match[1]), min(int(match[2]) + 1 if match[2] else size, size)
        if match[2] and int(match[2]) < start:
            return None
    else:
        start, end = max(0, size - int(match[2])), size
    if start >= end:
        raise ProblemError(
            416, f"range {match[0].strip()}: the file has {size} bytes", {"Content-Range": f"bytes */{size}"}
        )
    return start, end


def archive_response(files: Sequence[tuple[str, Path]], name: str) -> Response:
    """A .zip of several files, made while it is sent: neither memory nor disk holds it.

    Args:
        files: Names that need not differ, and where each file lies.
        name: Of the archive.
    """
    return _Sent(
        archive(files),
        200,
        {"Content-Disposition": disposition(name), "Cache-Control": "private, no-cache"},
        "application/zip",
    )


def archive(files: Sequence[tuple[str, Path]]) -> Generator[bytes, None, None]:
    """The bytes of a .zip with these files as they are: pictures do not get smaller."""
    out = _Outlet()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as made:
        for name, (_, path) in zip(told_apart(name for name, _ in files), files, strict=True):
            entry = zipfile.ZipInfo(name, _DATE)
            entry.external_attr = 0o644 << 16
            with path.open("rb") as file, made.open(entry, "w", force_zip64=True) as target:
                while piece := file.read(_PIECE):
                    target.write(piece)
                    yield out.taken()
            yield out.taken()
    yield out.taken()


class _Outlet(RawIOBase):
    """What is written here is taken from here; it is a pipe to those who write, which have no way back."""

    def __init__(self) -> None:
        super().__init__()
        self._held = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, piece: bytes) -> int:  # type: ignore[override]
        self._held += piece
        return len(piece)

    def taken(self) -> bytes:
        """What was written since."""
        piece = bytes(self._held)
        self._held.clear()
        return piece


def _pieces(path: Path, start: int, end: int) -> Generator[bytes, None, None]:
    with path.open("rb") as file:
        file.seek(start)
        while start < end and (piece := file.read(min(_PIECE, end - start))):
            start += len(piece)
            yield piece


class _Sent(StreamingResponse):
    """What generators make; they are closed at the end, also where nobody takes what they make."""

    def __init__(self, pieces: Generator[bytes, None, None], *args: Any, **options: Any) -> None:  # noqa: ANN401
        super().__init__(pieces, *args, **options)
        self._pieces = pieces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._pieces.close()


def _names(header: str, tag: str) -> bool:
    """Whether an If-None-Match header names this entity."""
    tags = [one.strip().removeprefix("W/") for one in header.split(",")]
    return tag in tags or header.strip() == "*"
