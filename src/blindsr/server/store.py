"""Jobs on the disk: their state in SQLite, their files beside it. Every change is one transaction.

    FOLDER/jobs.sqlite      what is to be done, and what has become of it
    FOLDER/server.lock      held by the server that works here
    FOLDER/files/ID/        of a job: 0.photo, 0.result.png, ..., mask, profile
    FOLDER/.blindsr-*.part  uploads on their way

Files come before the transaction that speaks of them and go after it, so that whatever moment a server dies
at, what the database tells is there. What it does not tell of is swept at the next start.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from blindsr.errors import InputError
from blindsr.server.turns import Line, Turns, Waiting
from blindsr.system.files import lock, make_folder, open_in_place, remove_leftovers

Kind = Literal["upscale", "profile"]
Status = Literal["queued", "running", "done", "failed", "cancelled"]

ENDED = ("done", "failed", "cancelled")

MOST_ATTEMPTS = 20
"""Times that a photo is begun: one that ends the whole server each time must not do so for ever."""

_ID = re.compile(r"[0-9a-f]{32}")

_VERSION = 2

_SCHEMA = """
CREATE TABLE job (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL,
    client TEXT NOT NULL, status TEXT NOT NULL, options TEXT NOT NULL, created REAL NOT NULL,
    ended REAL, key TEXT, digest TEXT NOT NULL, told TEXT, first INTEGER NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX job_key ON job (client, kind, key) WHERE key IS NOT NULL;
CREATE TABLE photo (
    job TEXT NOT NULL REFERENCES job (id) ON DELETE CASCADE, n INTEGER NOT NULL, name TEXT NOT NULL,
    pixels INTEGER NOT NULL, result_pixels INTEGER NOT NULL, result TEXT NOT NULL, status TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0, error TEXT, bytes INTEGER, digest TEXT, told TEXT, seconds REAL,
    PRIMARY KEY (job, n)
);
CREATE INDEX photo_status ON photo (status);
"""


@dataclass(frozen=True)
class PhotoRecord:
    """A photo of a job, and its result.

    Args:
        n: Its number in the job, from 0.
        name: As it is shown.
        pixels: How many it has.
        result_pixels: How many its result has.
        result: Name of the result as it is given back; empty where there will be none.
        status: As of a job.
        error: Why it failed, on one line.
        bytes: Size of the result's file.
        digest: SHA-256 of the result's file.
        told: What became of what the photo carried.
        seconds: How long it took.
    """

    n: int
    name: str
    pixels: int
    result_pixels: int
    result: str
    status: Status = "queued"
    error: str | None = None
    bytes: int | None = None
    digest: str | None = None
    told: Mapping[str, Any] = field(default_factory=dict)
    seconds: float | None = None


@dataclass(frozen=True)
class JobRecord:
    """A job as the database has it.

    Args:
        id: 32 hexadecimal digits, drawn at random.
        kind: What is to be done.
        client: Whose it is.
        status: How far it is.
        options: As they were asked for.
        created: Seconds since 1970.
        ended: The same; None before.
        digest: Of all that was sent, to tell a repeated request from another one.
        told: What a profile was read from.
        photos: In their order.
    """

    id: str
    kind: Kind
    client: str
    status: Status
    options: Mapping[str, Any]
    created: float
    ended: float | None
    digest: str
    told: Mapping[str, Any]
    photos: tuple[PhotoRecord, ...]

    @property
    def is_over(self) -> bool:
        """Whether nothing more will become of it."""
        return self.status in ENDED


@dataclass(frozen=True)
class Work:
    """A photo that is to be restored now (or the photos of a profile, to be read).

    Args:
        job: Its job.
        photo: Itself.
    """

    job: JobRecord
    photo: PhotoRecord


class QueueFullError(Exception):
    """A client has as much waiting as may wait; its text tells what."""


class Store:
    """The jobs of a server. Any number of threads may share one.

    Args:
        folder: Where everything lies; made if need be.
        queue: Photos of one client that may wait.
        pixels: Pixels of them.
        turns: Whose photo is next.

    Raises:
        InputError: The folder cannot be used, or another server works there.
    """

    def __init__(
        self, folder: Path, queue: int = 200, pixels: int = 1 << 31, turns: Turns | None = None
    ) -> None:
        self.folder, self._queue, self._pixels = folder, queue, pixels
        self._turns = turns or Turns()
        self._line: Line | None = None
        self._mutex, self._reading = threading.RLock(), threading.Lock()
        try:
            make_folder(self.files)
            self._lock = _lock(folder)
            self._database = _open_database(folder / "jobs.sqlite")
            self._reader = _open_reader(folder / "jobs.sqlite")
        except (OSError, sqlite3.Error) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            raise InputError(f"{folder}: jobs cannot be kept here ({why}); name another --folder") from error
        self._recover()

    @property
    def files(self) -> Path:
        """The folder of the jobs' folders."""
        return self.folder / "files"

    def folder_of(self, job: str) -> Path:
        """The folder of a job's files."""
        if not _ID.fullmatch(job):  # whatever is asked for, no path is made of it
            raise ValueError("no job's id")
        return self.files / job

    def photo_file(self, job: str, n: int) -> Path:
        """Where a photo that was sent lies."""
        return self.folder_of(job) / f"{n}.photo"

    def result_file(self, job: str, photo: PhotoRecord) -> Path:
        """Where a result lies."""
        return self.folder_of(job) / f"{photo.n}.result{Path(photo.result).suffix.lower()}"

    def profile_file(self, job: str) -> Path:
        """Where a profile lies."""
        return self.folder_of(job) / "profile"

    def mask_file(self, job: str) -> Path:
        """Where a mask lies."""
        return self.folder_of(job) / "mask"

    def add(
        self,
        kind: Kind,
        client: str,
        options: Mapping[str, Any],
        photos: Sequence[PhotoRecord],
        upload: Path,
        digest: str,
        key: str | None = None,
    ) -> JobRecord:
        """Take in a new job.

        Args:
            kind: What is to be done.
            client: Whose it is.
            options: As they were asked for, fit for JSON.
            photos: What is to be restored.
            upload: The folder with the files; it becomes the job's.
            digest: Of all that was sent.
            key: The client's own name of the request; a second one of that name makes no second job.

        Returns:
            The job; the earlier one, where there is one of that key.

        Raises:
            QueueFullError: The client has too much waiting.
        """
        job = secrets.token_hex(16)
        folder = self.folder_of(job)
        upload.replace(folder)
        taken = False
        try:
            _sync_folder(self.files)  # many may wait for the disk here at once
            with self._mutex:
                if key is not None and (earlier := self.of_key(kind, client, key)) is not None:
                    return earlier
                self._check_room(client, photos)
                with self._transaction() as database:
                    self._insert(database, job, kind, client, options, photos, digest, key)
                taken = True
                self._queue_up(job, client, options, photos)
                return self._job(job)
        finally:
            if not taken:
                shutil.rmtree(folder, ignore_errors=True)

    def job(self, job: str, client: str, kind: Kind = "upscale") -> JobRecord | None:
        """A client's job; None where it has none of that id."""
        if not _ID.fullmatch(job):
            return None
        with self._looking() as database:
            row = database.execute("SELECT * FROM job WHERE id = ?", (job,)).fetchone()
            if row is None or row["client"] != client or row["kind"] != kind:
                return None
            return _record(database, row)

    def jobs(self, client: str, kind: Kind = "upscale", most: int = 100) -> list[JobRecord]:
        """A client's last jobs, the newest first."""
        with self._looking() as database:
            rows = database.execute(
                "SELECT * FROM job WHERE client = ? AND kind = ? ORDER BY number DESC LIMIT ?",
                (client, kind, most),
            ).fetchall()
            return [_record(database, row) for row in rows]

    def of_key(self, kind: Kind, client: str, key: str) -> JobRecord | None:
        """The job that a client has given a name."""
        with self._looking() as database:
            row = database.execute(
                "SELECT * FROM job WHERE client = ? AND kind = ? AND key = ?", (client, kind, key)
            ).fetchone()
            return None if row is None else _record(database, row)

    def next_work(self) -> Work | None:
        """The photo whose turn it is, which is running from now on; None where nothing waits."""
        with self._mutex:
            line = self._waiting()
            if not line:
                return None
            one = line.first
            with self._transaction() as database:
                database.execute(
                    "UPDATE photo SET status = 'running' WHERE job = ? AND n = ?",
                    (one.job, one.n),
                )
                database.execute("UPDATE job SET status = 'running' WHERE id = ?", (one.job,))
            line.take()
            job = self._job(one.job)
            return Work(job, next(photo for photo in job.photos if photo.n == one.n))

    def begin(self, work: Work) -> None:
        """Count that a photo is begun in earnest: from here on it may be what ends the server."""
        with self._mutex, self._transaction() as database:
            database.execute(
                "UPDATE photo SET attempts = attempts + 1 WHERE job = ? AND n = ?",
                (work.job.id, work.photo.n),
            )

    def attempts(self, work: Work) -> int:
        """How often a photo was begun."""
        with self._looking() as database:
            query = "SELECT attempts FROM photo WHERE job = ? AND n = ?"
            row = database.execute(query, (work.job.id, work.photo.n)).fetchone()
        return 0 if row is None else int(row[0])

    def places(self) -> dict[str, int]:
        """Of each job that waits for its first turn, how many photos come before it."""
        with self._mutex:
            places: dict[str, int] = {}
            for place, one in enumerate(self._waiting()):
                places.setdefault(one.job, place)
            return places

    def note(self, work: Work, told: Mapping[str, Any]) -> None:
        """Keep what is to be told of a result, before its file takes its name."""
        with self._mutex, self._transaction() as database:
            database.execute(
                "UPDATE photo SET told = ? WHERE job = ? AND n = ?",
                (json.dumps(told), work.job.id, work.photo.n),
            )

    def finish(
        self,
        work: Work,
        error: str | None = None,
        size: int | None = None,
        digest: str | None = None,
        seconds: float | None = None,
        told: Mapping[str, Any] | None = None,
    ) -> JobRecord | None:
        """A photo has ended, and its job with it if it was the last.

        Args:
            work: What was to be done.
            error: Why it failed; None if it is done.
            size: Bytes of the result.
            digest: SHA-256 of the result.
            seconds: How long it took.
            told: Of the whole job, what a profile was read from.

        Returns:
            The job; None where it was removed meanwhile.
        """
        status = "done" if error is None else "failed"
        with self._mutex:
            with self._transaction() as database:
                database.execute(
                    "UPDATE photo SET status = ?, error = ?, bytes = ?, digest = ?, seconds = ?"
                    " WHERE job = ? AND n = ? AND status = 'running'",
                    (status, error, size, digest, seconds, work.job.id, work.photo.n),
                )
                if told is not None:
                    database.execute("UPDATE job SET told = ? WHERE id = ?", (json.dumps(told), work.job.id))
                self._settle(database, work.job.id)
            return self._found(work.job.id)

    def give_back(self, work: Work) -> None:
        """A photo was left before its end: it waits again, unless its job was cancelled."""
        with self._mutex, self._transaction() as database:
            database.execute(
                "UPDATE photo SET status = CASE (SELECT status FROM job WHERE id = photo.job)"
                " WHEN 'cancelled' THEN 'cancelled' ELSE 'queued' END"
                " WHERE job = ? AND n = ? AND status = 'running'",
                (work.job.id, work.photo.n),
            )
            self._settle(database, work.job.id)
            self._line = None

    def cancel(self, job: str) -> JobRecord | None:
        """Nothing more is begun of a job; what runs of it is for its worker to leave."""
        with self._mutex:
            with self._transaction() as database:
                database.execute(
                    "UPDATE photo SET status = 'cancelled' WHERE job = ? AND status = 'queued'", (job,)
                )
                database.execute(
                    "UPDATE job SET status = 'cancelled', ended = ?"
                    " WHERE id = ? AND status IN ('queued', 'running')",
                    (time.time(), job),
                )
            self._line = None
            return self._found(job)

    def is_wanted(self, job: str) -> bool:
        """Whether a job is neither cancelled nor forgotten."""
        with self._looking() as database:
            row = database.execute("SELECT status FROM job WHERE id = ?", (job,)).fetchone()
            return row is not None and row["status"] != "cancelled"

    def remove(self, job: str) -> None:
        """Forget a job, and all its files."""
        with self._mutex:
            with self._transaction() as database:
                database.execute("DELETE FROM job WHERE id = ?", (job,))
            self._line = None
            shutil.rmtree(self.folder_of(job), ignore_errors=True)

    def expire(self, before: float) -> int:
        """Forget the jobs that had ended before a time, but profiles, which are kept until they are deleted.

        Returns:
            How many.
        """
        with self._mutex:
            old = self._database.execute(
                "SELECT id FROM job WHERE ended < ? AND (kind = 'upscale' OR status != 'done')", (before,)
            ).fetchall()
            for row in old:
                self.remove(row["id"])
            return len(old)

    def drop_photo(self, work: Work) -> None:
        """A photo that has ended is not needed any more."""
        with suppress(OSError, ValueError):
            self.photo_file(work.job.id, work.photo.n).unlink()

    def counts(self) -> dict[str, dict[str, int]]:
        """How many jobs and photos have each status."""
        with self._looking() as database:
            found = {}
            for table in ("job", "photo"):
                rows = database.execute(f"SELECT status, COUNT(*) FROM {table} GROUP BY status").fetchall()
                found[table] = {row[0]: int(row[1]) for row in rows}
            return found

    def in_hand(self) -> tuple[int, int]:
        """Pixels of the photos that wait or run, and of the results that they will have."""
        with self._looking() as database:
            row = database.execute(
                "SELECT TOTAL(pixels), TOTAL(result_pixels) FROM photo WHERE status IN ('queued', 'running')"
            ).fetchone()
            return int(row[0]), int(row[1])

    def close(self) -> None:
        """Let go of the folder."""
        with self._mutex, self._reading:
            self._reader.close()
            self._database.close()
            os.close(self._lock)

    def _insert(
        self,
        database: sqlite3.Connection,
        job: str,
        kind: Kind,
        client: str,
        options: Mapping[str, Any],
        photos: Sequence[PhotoRecord],
        digest: str,
        key: str | None,
    ) -> None:
        """A new job, and its photos."""
        values = job, kind, client, json.dumps(options), time.time(), key, digest, bool(options.get("first"))
        database.execute(
            "INSERT INTO job (id, kind, client, status, options, created, key, digest, first)"
            " VALUES (?, ?, ?, 'queued', ?, ?, ?, ?, ?)",
            values,
        )
        database.executemany(
            "INSERT INTO photo (job, n, name, pixels, result_pixels, result, status)"
            " VALUES (?, ?, ?, ?, ?, ?, 'queued')",
            [(job, p.n, p.name, p.pixels, p.result_pixels, p.result) for p in photos],
        )

    def _check_room(self, client: str, photos: Sequence[PhotoRecord]) -> None:
        row = self._database.execute(
            "SELECT COUNT(*), TOTAL(pixels) FROM photo JOIN job ON job.id = photo.job"
            " WHERE client = ? AND photo.status IN ('queued', 'running')",
            (client,),
        ).fetchone()
        if row[0] + len(photos) > self._queue:
            raise QueueFullError(
                f"{row[0]} of your photos wait or run, and {self._queue} may; send them later"
            )
        if row[0] and row[1] + sum(one.pixels for one in photos) > self._pixels:
            raise QueueFullError(
                f"your waiting photos have {row[1] / 1e6:.4g} million pixels, {self._pixels / 1e6:.4g} may;"
                " send more later"
            )

    def _waiting(self) -> Line:
        """What waits, in the order of its turns.

        Each client's own: often left ones last, those that are to come first before the others.
        """
        if self._line is None:
            rows = self._database.execute(
                "SELECT photo.job, n, client, pixels FROM photo JOIN job ON job.id = photo.job"
                " WHERE photo.status = 'queued' ORDER BY attempts / 3, first DESC, number, n"
            ).fetchall()
            self._line = Line(self._turns, (Waiting(row[0], row[1], row[2], row[3]) for row in rows))
        return self._line

    def _queue_up(
        self, job: str, client: str, options: Mapping[str, Any], photos: Sequence[PhotoRecord]
    ) -> None:
        """A new job's photos wait: after all others of the client, or the line is made anew."""
        often_left = "SELECT 1 FROM photo WHERE status = 'queued' AND attempts >= 3"
        if options.get("first") or self._database.execute(often_left).fetchone():
            self._line = None
        elif self._line is not None:
            for one in photos:
                self._line.add(Waiting(job, one.n, client, one.pixels))

    def _settle(self, database: sqlite3.Connection, job: str) -> None:
        """A job without anything left to do has ended; one of which nothing was begun waits."""
        rows = database.execute(
            "SELECT status, COUNT(*) FROM photo WHERE job = ? GROUP BY status", (job,)
        ).fetchall()
        count = {row[0]: row[1] for row in rows}
        if not count.get("queued") and not count.get("running"):
            status, ended = "done" if count.get("done") else "failed", time.time()
        else:
            status, ended = ("queued" if set(count) == {"queued"} else "running"), None
        database.execute(
            "UPDATE job SET status = ?, ended = ? WHERE id = ? AND status IN ('queued', 'running')",
            (status, ended, job),
        )

    def _recover(self) -> None:
        """After a server has died: what ran waits again, what is in nobody's hand is swept."""
        with self._mutex:
            with self._transaction() as database:
                for row in database.execute("SELECT job, n FROM photo WHERE status = 'running'").fetchall():
                    self._begin_again(database, row["job"], row["n"])
            known = {row[0] for row in self._database.execute("SELECT id FROM job").fetchall()}
        remove_leftovers(self.folder)
        for folder in self.files.iterdir():
            if folder.name not in known:
                shutil.rmtree(folder, ignore_errors=True)
            else:
                remove_leftovers(folder)

    def _begin_again(self, database: sqlite3.Connection, job: str, n: int) -> None:
        """A photo that ran when the server died; whose result has its name is done, for it has that last."""
        record = self._job(job)
        photo = next(one for one in record.photos if one.n == n)
        attempts = database.execute(
            "SELECT attempts FROM photo WHERE job = ? AND n = ?", (job, n)
        ).fetchone()[0]
        if record.kind == "upscale" and self.result_file(job, photo).is_file():
            from blindsr.system.files import sha256

            file = self.result_file(job, photo)
            database.execute(
                "UPDATE photo SET status = 'done', bytes = ?, digest = ? WHERE job = ? AND n = ?",
                (file.stat().st_size, sha256(file), job, n),
            )
        elif attempts >= MOST_ATTEMPTS:
            why = (
                f"{photo.name}: the server ended {attempts} times while it was in work; it is not tried again"
            )
            database.execute(
                "UPDATE photo SET status = 'failed', error = ? WHERE job = ? AND n = ?", (why, job, n)
            )
        else:
            status = "cancelled" if record.status == "cancelled" else "queued"
            database.execute("UPDATE photo SET status = ? WHERE job = ? AND n = ?", (status, job, n))
        self._settle(database, job)

    def _job(self, job: str) -> JobRecord:
        found = self._found(job)
        assert found is not None
        return found

    def _found(self, job: str) -> JobRecord | None:
        row = self._database.execute("SELECT * FROM job WHERE id = ?", (job,)).fetchone()
        return None if row is None else _record(self._database, row)

    @contextmanager
    def _looking(self) -> Iterator[sqlite3.Connection]:
        """What was last written, without waiting for what is being written."""
        with self._reading:
            self._reader.execute("BEGIN")  # all of it at one moment
            try:
                yield self._reader
            finally:
                self._reader.execute("COMMIT")

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield self._database
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")


def _record(database: sqlite3.Connection, row: sqlite3.Row) -> JobRecord:
    photos = database.execute("SELECT * FROM photo WHERE job = ? ORDER BY n", (row["id"],)).fetchall()
    return JobRecord(
        row["id"], row["kind"], row["client"], row["status"], json.loads(row["options"]),
        row["created"], row["ended"], row["digest"], json.loads(row["told"] or "{}"),
        tuple(_photo(one) for one in photos),
    )  # fmt: skip


def _photo(row: sqlite3.Row) -> PhotoRecord:
    return PhotoRecord(
        row["n"], row["name"], row["pixels"], row["result_pixels"], row["result"], row["status"],
        row["error"], row["bytes"], row["digest"], json.loads(row["told"] or "{}"), row["seconds"],
    )  # fmt: skip


def _open_database(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
    database.row_factory = sqlite3.Row
    # A transaction that was told of is on the disk, even where the power fails.
    for setting in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "secure_delete = ON"):
        database.execute(f"PRAGMA {setting}")
    version = database.execute("PRAGMA user_version").fetchone()[0]
    if version == 0:
        database.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT;")
    elif version == 1:
        database.executescript(
            "BEGIN; ALTER TABLE job ADD COLUMN first INTEGER NOT NULL DEFAULT 0;"
            f" PRAGMA user_version = {_VERSION}; COMMIT;"
        )
    elif version != _VERSION:
        raise sqlite3.DatabaseError(f"written by another version of this program, {version}")
    return database


def _open_reader(path: Path) -> sqlite3.Connection:
    """A second connection, which writes nothing: in WAL mode it never waits for the first."""
    reader = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
    reader.row_factory = sqlite3.Row
    reader.execute("PRAGMA query_only = ON")
    return reader


def _lock(folder: Path) -> int:
    """Hold the folder for this server alone."""
    descriptor = open_in_place(folder / "server.lock")
    try:
        lock(descriptor)
    except BlockingIOError as error:
        os.close(descriptor)
        raise InputError(f"{folder}: another server works here; end it, or name another --folder") from error
    except OSError:  # a file system without locks
        pass
    return descriptor


def _sync_folder(folder: Path) -> None:
    """The names in a folder are on the disk."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


Changed = Callable[[str], None]
"""Called with the id of a job that has changed."""
