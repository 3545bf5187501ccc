"""Lists of photos: names in CSV, Parquet or JSON lines, and a column for each option in which they differ."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from blindsr.batch.asked import read_format, read_size
from blindsr.cluster.items import Item
from blindsr.cluster.stores import is_url, open_store, shown, split_place
from blindsr.errors import BlindSRError, InputError, MissingExtraError
from blindsr.system.files import temporary_folder
from blindsr.system.nearest import nearest
from blindsr.system.untrusted import brief, parse_json, shorten

__all__ = ["OPTIONS", "is_manifest", "read_manifest"]

NAME = "name"
SIZES = ("scale", "width", "height", "fit")
OPTIONS = (*SIZES, "format", "quality", "texture")
"""Columns that a list may have beside the names; an empty field leaves the command's own."""

_LONGEST = 4096  # characters of a name, and of whatever else a field holds
_LONGEST_LINE = 1 << 20


def is_manifest(text: str) -> bool:
    """Whether an input is a list of photos: by its suffix.

    Example:
        >>> is_manifest("s3://archive/scans.csv"), is_manifest("scans")
        (True, False)
    """
    return text.lower().endswith(tuple(_READERS))


def read_manifest(text: str) -> Iterator[Item]:
    """The photos of a list in its order; a row that says what cannot be is a photo with a fault.

    Args:
        text: URL or path of the list. A name in it that is no URL is meant relative to the list's folder, and
            its folders are those of its result; those of a URL are what comes after the host or bucket. A
            list from elsewhere cannot name files of this machine.

    Raises:
        InputError: It cannot be read, has no column of names or one that is not known, or has no rows.
    """
    folder, name = split_place(text)
    with temporary_folder(Path(tempfile.gettempdir())) as place:
        path = open_store(folder).pull(name, place / name)
        count = 0
        for number, row in enumerate(_rows(path, shown(text))):
            count += 1
            yield _item(number, row, folder)
    if not count:
        raise InputError(f"{shown(text)}: a list without photos")


def _rows(path: Path, text: str) -> Iterator[Mapping[str, Any]]:
    """Rows of a list, whose columns are known."""
    read = _READERS[path.suffix.lower()]
    known: set[str] = set()
    try:
        with path.open("rb") as file:
            for row in read(file):
                if not known >= row.keys():
                    _check_columns(row, text)
                    known |= row.keys()
                yield row
    except BlindSRError:
        raise
    except Exception as error:  # of csv, json and pyarrow, about what anybody may have written
        raise InputError(f"{text}: cannot be read as a list ({brief(error)})") from error


def _check_columns(row: Mapping[str, Any], text: str) -> None:
    if NAME not in row:
        raise InputError(f'{text}: has no column "{NAME}"; name the photos there')
    odd = next((column for column in row if column not in (NAME, *OPTIONS)), None)
    if odd is not None:
        meant = nearest(odd, OPTIONS)
        hint = f"; did you mean {meant[0]}?" if meant else f"; there are {', '.join(OPTIONS)}"
        raise InputError(f"{text}: no column {shorten(odd)} is known{hint}")


def _item(number: int, row: Mapping[str, Any], folder: str) -> Item:
    name, fault = row[NAME], ""
    if not isinstance(name, str) or not name or len(name) > _LONGEST:
        name, fault = f"row {number + 1}", f"its name is {shorten(name)}; give a text"
    place = folder
    if is_url(name):
        place, name = _split_root(name)
    elif name.startswith("/"):
        place, name = "/", name[1:]
    if not fault and not is_url(place) and is_url(folder):
        fault = "a list from elsewhere does not name files of this machine; list it in a file here"
    options: dict[str, Any] = {}
    if not fault:
        try:
            open_store(place)
            options = _options(row)
        except BlindSRError as error:
            fault = str(error)
    return Item(f"{number:012}\0", place, name, fault=fault, options=options)


def _split_root(url: str) -> tuple[str, str]:
    """A URL as its host or bucket, and what comes after."""
    protocol, _, rest = url.partition("://")
    if protocol.lower() == "file":
        return "/", rest.lstrip("/")
    root, _, name = rest.partition("/")
    return f"{protocol}://{root}", name


def _options(row: Mapping[str, Any]) -> dict[str, Any]:
    """What a row says, as the options of the same names would be read."""
    given = {key: value for key in OPTIONS if (value := row.get(key)) not in (None, "")}
    options = {key: _KINDS[key](key, value) for key, value in given.items()}
    read_size(**{key: options[key] for key in SIZES if key in options})
    if "format" in options:
        options["format"] = read_format(options["format"])
    return options


def _whole(key: str, value: object) -> int:
    number = _number(key, value)
    if number != int(number):
        raise InputError(f"{key} {shorten(value)}: give a whole number")
    return int(number)


def _number(key: str, value: object) -> float:
    try:
        if isinstance(value, bool) or len(str(value)) > 40:
            raise ValueError
        number = float(value)  # type: ignore[arg-type]
        if number - number:  # infinite, or none
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"{key} {shorten(value)}: give a number") from None
    return number


def _share(key: str, value: object) -> float:
    number = _number(key, value)
    if not 0 <= number <= 1:
        raise InputError(f"{key} {shorten(value)}: give a number from 0 to 1")
    return number


def _quality(key: str, value: object) -> int:
    number = _whole(key, value)
    if not 1 <= number <= 100:
        raise InputError(f"{key} {shorten(value)}: give a number from 1 to 100")
    return number


def _text(key: str, value: object) -> str:
    return str(value)[:_LONGEST]


_KINDS: dict[str, Callable[[str, object], Any]] = {
    "scale": _number,
    "width": _whole,
    "height": _whole,
    "fit": _text,
    "format": _text,
    "quality": _quality,
    "texture": _share,
}


def _read_csv(file: IO[bytes]) -> Iterator[Mapping[str, Any]]:
    with io.TextIOWrapper(file, "utf-8-sig", newline="") as text:
        reader = csv.DictReader(text, strict=True)
        for row in reader:
            if None in row or None in row.values():
                raise ValueError(f"line {reader.line_num}: not as many fields as the first line has")
            yield row


def _read_lines(file: IO[bytes]) -> Iterator[Mapping[str, Any]]:
    for number, line in enumerate(iter(lambda: file.readline(_LONGEST_LINE), b""), 1):
        if not line.strip():
            continue
        try:
            row = parse_json(line)
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from None
        if not isinstance(row, dict):
            raise ValueError(f"line {number}: no object")
        yield row


def _read_parquet(file: IO[bytes]) -> Iterator[Mapping[str, Any]]:
    try:
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise MissingExtraError("a list in Parquet", "cluster", "pyarrow") from error
    for batch in pyarrow.parquet.ParquetFile(file).iter_batches(batch_size=1024):
        yield from batch.to_pylist()


_READERS: dict[str, Callable[[IO[bytes]], Iterator[Mapping[str, Any]]]] = {
    ".csv": _read_csv,
    ".jsonl": _read_lines,
    ".ndjson": _read_lines,
    ".parquet": _read_parquet,
}
