"""What a batch has finished, kept on disk so that an interrupted one goes on where it ended."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from blindsr.errors import InputError
from blindsr.system.files import lock, make_folder, open_in_place
from blindsr.system.lines import append, json_line
from blindsr.system.untrusted import parse_json

__all__ = ["JOURNAL", "Journal"]

log = logging.getLogger(__name__)

JOURNAL = ".blindsr-journal"
"""Name of the journal in the folder that a batch's paths are relative to."""

_VERSION = 1

Signature = tuple[int, int]
"""Size in bytes and time of the last change in nanoseconds: what tells that a file is still the same."""


class Journal:
    """The finished photos of a batch: one JSON object a line, each on the disk before the next photo is.

    The first line tells the format and everything that the results' bytes depend on. It is locked as long as
    it is open, so that no two batches write to one place. A last line that was cut off is dropped.

    Args:
        root: Folder that it lies in and that its paths are relative to; made if need be.
        settings: What the results' bytes depend on besides the photos, fit for JSON. A journal of other
            settings is started anew.
        fresh: Start anew in any case.

    Raises:
        InputError: Another batch is writing to the same place.
        OSError: It cannot be written, or a link or another file has its name.
    """

    def __init__(self, root: Path, settings: Mapping[str, Any], fresh: bool = False) -> None:
        make_folder(root)
        self.path = root / JOURNAL
        self._root = root
        self._failing = False
        self._finished: dict[tuple[str, str], tuple[Signature, Signature]] = {}
        self._descriptor = _open_locked(self.path)
        try:
            header = {"blindsr-journal": _VERSION, "settings": settings}
            self._end = 0 if fresh else self._read(json_line(header))
            os.ftruncate(self._descriptor, self._end)
            if not self._end:
                self._end = append(self._descriptor, json_line(header), self._end)
        except BaseException:
            os.close(self._descriptor)
            raise

    def finished(self, source: Path, target: Path) -> bool:
        """Whether this result was made from this photo, and neither has changed since."""
        entry = self._finished.get((self._relative(source), self._relative(target)))
        return entry is not None and entry == (signature(source), signature(target))

    def record(self, source: Path, target: Path, read: Signature | None) -> None:
        """Note a finished photo. A journal that can no longer be written warns once, and the batch goes on.

        Args:
            source: The photo.
            target: Its result, which has its final name already.
            read: The photo's signature as it was before it was read.
        """
        written = signature(target)
        if read is None or written is None:  # changed or removed by somebody: it will be done again
            return
        key = self._relative(source), self._relative(target)
        entry = {"source": key[0], "target": key[1], "source_signature": read, "target_signature": written}
        try:
            self._end = append(self._descriptor, json_line(entry), self._end)
            self._finished[key] = read, written
        except OSError as error:
            if not self._failing:
                log.warning(
                    "%s: cannot be written (%s); a later run may do more again", self.path, error.strerror
                )
            self._failing = True

    def close(self, remove: bool) -> None:
        """Let go of the journal.

        Args:
            remove: Whether there is nothing left to be resumed.
        """
        try:
            if remove and os.name != "nt":  # while it is locked: the next batch must not find it half gone
                self.path.unlink(missing_ok=True)
        finally:
            os.close(self._descriptor)
        if remove and os.name == "nt":  # there an open file cannot be removed
            self.path.unlink(missing_ok=True)

    def _relative(self, path: Path) -> str:
        """The path from the root, so that the journal holds wherever the whole is moved."""
        try:
            return os.path.relpath(path, self._root)
        except ValueError:  # on another Windows drive
            return os.path.abspath(path)  # noqa: PTH100  (Path.resolve would follow links)

    def _read(self, header: bytes) -> int:
        """Take in the entries; gives where the last whole line ends, 0 under another header."""
        with open(self._descriptor, "rb", closefd=False) as file:
            lines = file.read().splitlines(keepends=True)
        if not lines or lines[0] != header:
            return 0
        end = len(header)
        for line in lines[1:]:
            if not line.endswith(b"\n"):
                break
            try:
                entry = parse_json(line)
                key = entry["source"], entry["target"]
                self._finished[key] = tuple(entry["source_signature"]), tuple(entry["target_signature"])
            except (ValueError, KeyError, TypeError):
                break
            end += len(line)
        return end


def signature(path: Path) -> Signature | None:
    """What tells that a file is still the same; None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def _open_locked(path: Path) -> int:
    """Open the file, made if need be, and lock it."""
    while True:
        descriptor = open_in_place(path)
        try:
            lock(descriptor)
        except BlockingIOError as error:
            os.close(descriptor)
            raise InputError(
                f"{path.parent}: another batch is writing here; wait until it ends, or give another -o"
            ) from error
        except OSError as error:
            log.debug("%s: not locked (%s)", path, error.strerror)
        # Between the two lines above, the batch that held it may have ended and removed it.
        if os.name == "nt" or os.fstat(descriptor).st_nlink > 0:
            return descriptor
        os.close(descriptor)
