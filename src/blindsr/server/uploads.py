"""What clients send: forms with files (RFC 7578), written to the disk while they come, within limits."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from anyio import to_thread
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from blindsr.server.names import shown_name
from blindsr.server.problems import ProblemError

_BUFFER = 1 << 18
"""Bytes that are gathered before they are written."""

_LONGEST_FIELD = 4096
_MOST_FIELDS = 64
_LONGEST_HEADER = 8192


@dataclass
class ReceivedFile:
    """A file that was sent.

    Args:
        field: Of the form.
        name: As it is shown.
        path: Where it lies.
        size: Bytes.
        digest: SHA-256.
    """

    field: str
    name: str
    path: Path
    size: int = 0
    digest: str = ""


@dataclass
class Form:
    """A form that was sent.

    Args:
        fields: What is no file, by name.
        files: In their order.
    """

    fields: dict[str, str] = field(default_factory=dict)
    files: list[ReceivedFile] = field(default_factory=list)

    def of(self, name: str) -> list[ReceivedFile]:
        """The files of one field."""
        return [file for file in self.files if file.field == name]

    @property
    def digest(self) -> str:
        """Of everything: two requests that mean the same have the same."""
        parts = [*(f"{k}={v}" for k, v in sorted(self.fields.items()))]
        parts += [f"{file.field}:{file.name}:{file.digest}" for file in self.files]
        return hashlib.sha256("\0".join(parts).encode(errors="surrogateescape")).hexdigest()


async def receive_form(request: Request, folder: Path, file_fields: Sequence[str], most_files: int) -> Form:
    """Take in a form; its files lie in a folder, under numbers, before it is whole.

    How much may come in all, and how slowly, is the gate's to say (`gate.Gate`).

    Args:
        request: A request with a body.
        folder: An empty folder.
        file_fields: Names of the fields that are files.
        most_files: So many files may come.

    Raises:
        ProblemError: It is no such form, or too much of one.
    """
    kind, options = parse_options_header(request.headers.get("content-type"))
    boundary = options.get(b"boundary")
    if kind != b"multipart/form-data" or not boundary:
        raise ProblemError(
            415, "the body is no form with files: send multipart/form-data, with photos in the field files"
        )
    reader = _Reader(folder, file_fields, most_files)
    try:
        parser = MultipartParser(
            boundary, reader.callbacks(), max_header_count=16, max_header_size=_LONGEST_HEADER
        )
        async for chunk in request.stream():
            parser.write(chunk)
            if reader.held >= _BUFFER:
                await to_thread.run_sync(reader.flush)
        parser.finalize()
        if not reader.is_whole:
            raise ProblemError(400, "the form ends before its last boundary: send it again, and whole")
        await to_thread.run_sync(reader.finish)
    except FormParserError as error:
        raise ProblemError(
            400, f"the form cannot be read ({error}): send multipart/form-data (RFC 7578)"
        ) from error
    except OSError as error:
        raise ProblemError(
            429, "the server's disk is full; try again later", {"Retry-After": "300"}
        ) from error
    finally:
        reader.close()
    return reader.form


class _Reader:
    """Takes the parts of a form as the parser finds them."""

    def __init__(self, folder: Path, file_fields: Sequence[str], most_files: int) -> None:
        self.form = Form()
        self.is_whole = False
        self._folder, self._file_fields, self._most_files = folder, file_fields, most_files
        self._header, self._value = bytearray(), bytearray()
        self._disposition = b""
        self._field: str | None = None
        self._text = bytearray()
        self._pieces: list[tuple[ReceivedFile, bytes]] = []
        self.held = 0
        self._open: tuple[ReceivedFile, IO[bytes], Any] | None = None

    def callbacks(self) -> Any:  # noqa: ANN401  (the parser's own type)
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._header.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._end_header,
            "on_headers_finished": self._end_headers,
            "on_part_data": self._take,
            "on_part_end": self._end,
            "on_end": self._end_form,
        }

    def flush(self) -> None:
        """Write what is held."""
        for file, piece in self._pieces:
            if self._open is None or self._open[0] is not file:
                self._finish_file()
                self._open = file, file.path.open("xb"), hashlib.sha256()
            self._open[1].write(piece)
            self._open[2].update(piece)
            file.size += len(piece)
        self._pieces.clear()
        self.held = 0

    def finish(self) -> None:
        """Everything is on the disk."""
        self.flush()
        self._finish_file()

    def close(self) -> None:
        """Let go of a file that was not finished."""
        if self._open is not None:
            self._open[1].close()
            self._open = None

    def _finish_file(self) -> None:
        import os

        if self._open is not None:
            file, opened, digest = self._open
            opened.flush()
            os.fsync(opened.fileno())
            file.digest = digest.hexdigest()
            self.close()

    def _begin(self) -> None:
        self._disposition, self._field = b"", None
        self._text.clear()

    def _end_header(self) -> None:
        if bytes(self._header).lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._header.clear()
        self._value.clear()

    def _end_headers(self) -> None:
        kind, options = parse_options_header(self._disposition)
        if kind != b"form-data" or b"name" not in options:
            raise ProblemError(
                400, "a part of the form has no name: each needs Content-Disposition: form-data; name=..."
            )
        name = options[b"name"].decode(errors="replace")[:100]
        self._field = name
        if name not in self._file_fields:
            if b"filename" in options:
                raise ProblemError(
                    422, f"{shown_name(name)}: takes no file; send photos in the field {self._file_fields[0]}"
                )
            if name in self.form.fields or len(self.form.fields) >= _MOST_FIELDS:
                raise ProblemError(
                    422, f"{shown_name(name)}: given twice, or too many fields; give each once"
                )
            return
        if len(self.form.files) >= self._most_files:
            raise ProblemError(
                413, f"more than {self._most_files} files at once; send them in several requests"
            )
        shown = shown_name(options.get(b"filename", b"").decode(errors="replace"))
        number = len(self.form.files)
        file = ReceivedFile(name, shown, self._folder / f"{number}.part")
        self.form.files.append(file)
        self._pieces.append((file, b""))  # of an empty file, too, there is one

    def _take(self, data: bytes, start: int, end: int) -> None:
        if self._field in self._file_fields:
            self._pieces.append((self.form.files[-1], data[start:end]))
            self.held += end - start
        elif len(self._text) + end - start > _LONGEST_FIELD:
            raise ProblemError(413, f"{shown_name(self._field or '')}: longer than {_LONGEST_FIELD} bytes")
        else:
            self._text += data[start:end]

    def _end(self) -> None:
        if self._field is not None and self._field not in self._file_fields:
            try:
                self.form.fields[self._field] = self._text.decode()
            except UnicodeDecodeError as error:
                raise ProblemError(422, f"{shown_name(self._field)}: not UTF-8") from error

    def _end_form(self) -> None:
        self.is_whole = True
