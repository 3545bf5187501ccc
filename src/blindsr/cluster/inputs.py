"""Which photos are meant: buckets, folders, patterns and lists, as one stream in the order of their keys."""

from __future__ import annotations

import fnmatch
import heapq
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from blindsr.batch.recognition import describe, is_photo
from blindsr.cluster.items import Item, fault_of_path
from blindsr.cluster.manifest import is_manifest, read_manifest
from blindsr.cluster.stores import (
    Entry,
    LocalStore,
    Store,
    StoreError,
    is_url,
    open_store,
    shown,
    split_place,
)
from blindsr.errors import InputError
from blindsr.picture.formats import READABLE

__all__ = ["Inputs"]

_KINDS = 1000
"""Suffixes that are counted each by itself; names in a bucket may have any number of them."""


@dataclass(frozen=True)
class _Input:
    """A part of what the user named.

    Args:
        text: As it was given.
        store: Of the folder that the structure of the results is counted from.
        pattern: What the parts of names below it must match; empty for everything.
        one: Name of the only photo that is meant; None for all.
    """

    text: str
    store: Store
    pattern: tuple[str, ...] = ()
    one: Entry | None = None


class Inputs:
    """The photos of a batch. They are listed as they are asked for, and never all in memory.

    Args:
        texts: URLs, local paths or patterns of photos and folders; or one list of photos.
        out: The folder of results.
        recursive: Whether folders are walked with all that is below them.
        by_content: Whether files without a suffix may be photos, too.

    Raises:
        InputError: A store is not known or does not answer; results would lie among photos; inputs overlap;
            a list stands beside other inputs.
    """

    def __init__(
        self, texts: Sequence[str], out: Store, recursive: bool = True, by_content: bool = True
    ) -> None:
        self.others: Counter[str] = Counter()
        self.given = [_absolute(text) for text in dict.fromkeys(texts)]
        self._out, self._recursive, self._by_content = _place(out), recursive, by_content
        self._list = next((text for text in self.given if is_manifest(text)), None)
        if self._list is not None and len(self.given) > 1:
            raise InputError(f"{shown(self._list)}: a list stands alone; put the other inputs into it")
        self._inputs = [] if self._list is not None else [self._look_up(text) for text in self.given]
        self._check_overlaps()

    @property
    def may_collide(self) -> bool:
        """Whether two results could have one name without their photos being each other's rivals."""
        return self._list is not None

    def items(self) -> Iterator[Item]:
        """The photos in the order of their keys.

        Raises:
            StoreError: A store cannot be listed.
            InputError: There is no photo, or the list cannot be read.
        """
        if self._list is not None:
            yield from self._checked(read_manifest(self._list))
            return
        streams = [self._found(number, one) for number, one in enumerate(self._inputs)]
        yield from self._checked(_with_rivals(heapq.merge(*streams, key=lambda item: item.key)))

    def _checked(self, items: Iterator[Item]) -> Iterator[Item]:
        for item in items:
            fault = item.fault or fault_of_path(item.name)
            if not fault and _lies_in(f"{item.place}/{item.name}", self._out):
                fault = "it lies among the results; give another -o"
            yield replace(item, fault=fault) if fault else item

    def _look_up(self, text: str) -> _Input:
        parts = text.split("/")
        fixed = 3 if is_url(text) else 0  # "s3:", "", "bucket"
        magic = next(
            (i for i, part in enumerate(parts) if i >= fixed and any(sign in part for sign in "*?[")), None
        )
        folder, name = split_place(text)
        # To ask for what may be a folder of a million takes one question.
        entry = open_store(folder).entry(name) if name else None
        if entry is not None:
            return _Input(text, open_store(folder), one=entry)
        if magic is None or (not is_url(text) and Path(text).is_dir()):
            if not is_url(text) and not os.path.lexists(text):
                raise InputError(f"{text}: no such file or folder")
            return _Input(text, open_store(text))
        base = "/".join(parts[:magic]) or ("/" if text.startswith("/") else ".")
        return _Input(text, open_store(base), tuple(parts[magic:]))

    def _check_overlaps(self) -> None:
        for one in self._inputs:
            place = _place(one.store)
            if one.one is None and _lies_in(place, self._out):
                raise InputError(
                    f"{shown(one.text)}: lies in the folder of results, or is that; give another -o"
                )
            for other in self._inputs:
                if other is one or other.one is not None:
                    continue
                whole = place if one.one is None else f"{place}/{one.one.name}"
                if _lies_in(whole, _place(other.store)):
                    raise InputError(f"{shown(one.text)}: lies in {shown(other.text)}; give only one of them")

    def _found(self, number: int, given: _Input) -> Iterator[Item]:
        """One input's photos in the order of their names."""
        if given.one is not None:
            yield _item(number, given.store, given.one)
            return
        count, place, is_local = 0, _place(given.store), isinstance(given.store, LocalStore)
        faults: list[Item] = []

        def note(folder: str, error: StoreError) -> None:
            said = str(error).removeprefix(f"{given.store.full(folder)}: ")
            faults.append(
                Item(
                    f"{folder}/\0{number:04}",
                    given.store.place,
                    folder,
                    fault=f"its photos are left out: {said}",
                )
            )

        for entry in given.store.entries(self._recursive or bool(given.pattern), note):
            while faults:
                yield faults.pop()
            if _lies_in(f"{place}/{entry.name}", self._out):
                continue  # results of an earlier run
            matched = _match(entry.name, given.pattern, self._recursive)
            if matched is None:
                continue
            if matched == "named" or self._may_be_photo(given.store, entry.name):
                count += 1
                sure = is_local or matched == "named" or bool(PurePosixPath(entry.name).suffix)
                yield _item(number, given.store, entry, sure)
            else:
                self._leave_out(PurePosixPath(entry.name).suffix.lower())
        yield from faults
        if not count:
            kinds = f" ({', '.join(READABLE)})"
            fault = "as a pattern it matches no photo" if given.pattern else f"no photos there{kinds}"
            more = f"; {describe(self.others)}" if self.others else ""
            raise InputError(f"{shown(given.text)}: {fault}{more}")

    def _may_be_photo(self, store: Store, name: str) -> bool:
        """By its suffix; without one a local file's first bytes tell, others must be read first."""
        suffix = PurePosixPath(name).suffix.lower()
        if suffix or not self._by_content:
            return suffix in READABLE
        return is_photo(store.folder / name) if isinstance(store, LocalStore) else True

    def _leave_out(self, suffix: str) -> None:
        self.others[suffix if suffix in self.others or len(self.others) < _KINDS else ".*"] += 1


def _item(number: int, store: Store, entry: Entry, sure: bool = True) -> Item:
    # No name has a NUL, so the keys of one input are ordered as its names are.
    return Item(f"{entry.name}\0{number:04}", store.place, entry.name, entry.size, entry.version, sure=sure)


def _with_rivals(items: Iterator[Item]) -> Iterator[Item]:
    """Tell each photo of those before it in its folder whose name differs in the suffix alone.

    In this order all names that begin alike stand together. So only those stems can still have a rival by
    which the present name begins, and there are no more of them than it has characters.
    """
    open_: list[tuple[str, list[tuple[str, str]]]] = []
    for item in items:
        while open_ and not item.name.startswith(open_[-1][0]):
            open_.pop()
        stem = _without_suffix(item.name)
        own = next((rivals for other, rivals in open_ if other == stem), None)
        if own is None:
            own = []
            open_.append((stem, own))
            if len(open_) > 1:  # a longer one may be there already: "a.b" before the "a" of "a.jpg"
                open_.sort(key=lambda pair: len(pair[0]))
        yield replace(item, rivals=tuple(own)) if own else item
        own.append((item.place, item.name))


def _without_suffix(name: str) -> str:
    """As `PurePath.with_suffix("")`, of a name that may be none for a path."""
    folder, slash, own = name.rpartition("/")
    dot = own.rfind(".")
    return f"{folder}{slash}{own[:dot]}" if 0 < dot < len(own) - 1 else name


def _match(name: str, pattern: tuple[str, ...], recursive: bool) -> str | None:
    """How a pattern means a name: "named", "found" (in a folder that it means, or by any suffix), or not."""
    if not pattern:
        return "found"
    left = min(_left(name.split("/"), pattern), default=None)
    if left is None or (left > 1 and not recursive):
        return None
    suffix = PurePosixPath(pattern[-1]).suffix
    any_suffix = not suffix or any(sign in suffix for sign in "*?[")
    return "found" if left or any_suffix else "named"


def _left(parts: Sequence[str], pattern: Sequence[str]) -> Iterator[int]:
    """How many parts of a name are left where a pattern ends: none where it means the file itself."""
    if not pattern:
        yield len(parts)
    elif pattern[0] == "**":
        yield from _left(parts, pattern[1:] or ("*",))
        if len(parts) > 1:
            yield from _left(parts[1:], pattern)
    elif parts and fnmatch.fnmatch(parts[0], pattern[0]):
        yield from _left(parts[1:], pattern[1:])


def _absolute(text: str) -> str:
    """A local path as all machines have it."""
    return text if is_url(text) else os.path.abspath(text)  # noqa: PTH100  (Path.resolve follows links)


def _place(store: Store) -> str:
    """A store's name by which it is told whether it lies in another."""
    return os.path.realpath(store.folder) if isinstance(store, LocalStore) else store.place


def _lies_in(place: str, folder: str) -> bool:
    return place == folder or place.startswith(f"{folder.rstrip('/')}/")
