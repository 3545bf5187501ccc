"""A photo's way from file to file in three stages, which work at once on three photos."""

from __future__ import annotations

import errno
import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import KW_ONLY, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from blindsr.batch.journal import Journal, Signature, signature
from blindsr.errors import BlindSRError, InputError
from blindsr.picture.metadata.report import Report
from blindsr.system.files import is_folder, link_below, make_folder
from blindsr.system.untrusted import shorten

__all__ = ["Existing", "OnPhoto", "OnTaskTile", "Outcome", "Stages", "Task", "explained", "run_stages"]

log = logging.getLogger(__name__)

Existing = Literal["resume", "skip", "overwrite"]
"""What becomes of results that are there already: "resume" leaves those that an interrupted batch of the same
settings finished, "skip" leaves all of them, "overwrite" makes all of them anew."""

Status = Literal["done", "skipped", "failed"]


@dataclass(frozen=True)
class Task:
    """One photo, the file it becomes, and why it must not become that.

    Args:
        source: The photo.
        target: Its result.
        fault: Why it must not become that; empty if it may.
        root: The folder above the result that the user named. It may be a link; below it none is followed,
            lest what came with the photos leads results to elsewhere. None: the result's own folder.
    """

    source: Path
    target: Path
    fault: str = ""
    root: Path | None = None


@dataclass(frozen=True, repr=False)
class Outcome:
    """How a photo ended.

    Nothing in it changes, so threads may share one.

    Args:
        task: What was to be done.
        status: "done", "skipped" (its result was there already) or "failed".
        error: Why it failed; its text is one line that names the file.
        input_size: (width, height) of the photo, pixels; None where it was not read.
        output_size: (width, height) of the result, pixels; None where there is none.
        seconds: Time by stage: "decode", "restore", "encode"; without those not reached.
        report: What became of what the photo carried besides its pixels; None where there is no result.

    Example:
        >>> plan = blindsr.plan_batch("photo.jpg", label="x4")
        >>> blindsr.run_batch(plan, blindsr.Upscaler())
        [<Outcome 'photo.jpg', done: 56x40 to 224x160>]
    """

    task: Task
    status: Status
    error: Exception | None = None
    input_size: tuple[int, int] | None = None
    output_size: tuple[int, int] | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    _: KW_ONLY
    report: Report | None = None

    def __repr__(self) -> str:
        more = "" if self.error is None else f": {shorten(str(self.error))}"
        if self.input_size is not None and self.output_size is not None:
            more = ": {}x{} to {}x{}".format(*self.input_size, *self.output_size)
        return f"<Outcome {shorten(str(self.task.source))}, {self.status}{more}>"


OnTile = Callable[[int, int], None]
"""Called after each tile with the number done and the number in all."""

OnPhoto = Callable[[Outcome], None]
"""Called for each photo as it ends, in the order of the plan."""

OnTaskTile = Callable[[Task, int, int], None]
"""As `OnTile`, with the task that the tile belongs to."""

Photo = TypeVar("Photo")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Stages(Generic[Photo, Result]):
    """The three steps from a file to a file. Photos and results have `width` and `height`.

    A result may have a `report` of what became of what its photo carried.

    One that holds more than memory, such as a temporary file, has a method `close`; it is called as soon as
    the next stage is through with it, also when a batch is interrupted.

    Args:
        decode: Reads the task's photo.
        restore: Makes the result; calls back after each tile.
        encode: Writes the result to the task's target, whose folder is there.
    """

    decode: Callable[[Task], Photo]
    restore: Callable[[Photo, Task, OnTile], Result]
    encode: Callable[[Result, Task], None]


def run_stages(
    tasks: Iterable[Task],
    stages: Stages[Any, Any],
    journal: Journal | None = None,
    existing: Existing = "resume",
    on_photo: OnPhoto | None = None,
    on_tile: OnTaskTile | None = None,
    stop: threading.Event | None = None,
) -> list[Outcome]:
    """Take every task through the stages, as `batch.run_batch` does; for stages of one's own.

    The tasks need not be there yet: an iterator may wait for the next one. It is asked for it in the thread
    that decodes, and must come to an end when `stop` is set.
    """
    return _Pipeline(tasks, stages, journal, existing, stop or threading.Event()).run(on_photo, on_tile)


class _Stopped(BaseException):
    """Ends a thread whose batch has ended."""


@dataclass
class _Item:
    """A task on its way through the stages."""

    task: Task
    status: Status = "done"
    error: Exception | None = None
    read: Signature | None = None
    photo: Any = None
    result: Any = None
    input_size: tuple[int, int] | None = None
    output_size: tuple[int, int] | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    report: Report | None = None

    @property
    def outcome(self) -> Outcome:
        output_size, report = (self.output_size, self.report) if self.status == "done" else (None, None)
        return Outcome(
            self.task,
            self.status,
            self.error,
            self.input_size,
            output_size,
            self.seconds,
            report=report,
        )


class _Pipeline:
    """Three threads, a stage each, that hand on items in the order of the plan.

    Pictures are what takes memory: at most one photo waits decoded, and there are at most two results, one
    that is made and one that is written.
    """

    def __init__(
        self,
        tasks: Iterable[Task],
        stages: Stages[Any, Any],
        journal: Journal | None,
        existing: Existing,
        stop: threading.Event,
    ) -> None:
        self._tasks = tasks
        self._stages = stages
        self._journal = journal
        self._existing = existing
        self._decoded: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        self._restored: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        self._events: queue.SimpleQueue[Outcome | tuple[Task, int, int] | BaseException | None] = (
            queue.SimpleQueue()
        )
        self._may_decode = threading.Semaphore(1)
        self._may_restore = threading.Semaphore(2)
        self._stop_asked = stop
        self._stopped = threading.Event()  # one of our own: the caller's is the caller's to set
        self._open: dict[int, Any] = {}
        """Photos and results that may have to be closed, by identity."""

    def run(self, on_photo: OnPhoto | None, on_tile: OnTaskTile | None) -> list[Outcome]:
        """Start the threads and pass on what they tell, until all is done or it is to stop."""
        works = self._decode_all, self._restore_all, self._encode_all
        threads = [threading.Thread(target=self._guard, args=(work,), daemon=True) for work in works]
        outcomes: list[Outcome] = []
        ended = False

        def pass_on(wait: float) -> None:
            nonlocal ended
            event = self._events.get(timeout=wait)
            if event is None:
                ended = True
            elif isinstance(event, Outcome):
                outcomes.append(event)
                if on_photo is not None:
                    on_photo(event)
            elif isinstance(event, BaseException):
                raise event
            elif on_tile is not None:
                on_tile(*event)

        try:
            for thread in threads:
                thread.start()
            while not ended and not self._stop_asked.is_set():
                with suppress(queue.Empty):
                    pass_on(wait=0.1)  # nobody tells when it is to stop
        finally:
            self._stop()
            for thread in threads:
                if thread.ident is not None:
                    thread.join()
            for holder in list(self._open.values()):
                self._close(holder)
        with suppress(queue.Empty):  # what was in hand when it was to stop
            while True:
                pass_on(wait=0)
        return outcomes

    def _stop(self) -> None:
        """Wake every thread, so that it sees that it is to end."""
        self._stopped.set()
        self._may_decode.release()
        self._may_restore.release()
        self._decoded.put(None)
        self._restored.put(None)

    def _guard(self, work: Callable[[], None]) -> None:
        """A thread: what breaks it breaks the batch."""
        try:
            work()
        except _Stopped:
            pass
        except BaseException as error:
            self._events.put(error)

    def _decode_all(self) -> None:
        for task in self._tasks:
            item = _Item(task)
            if task.fault:
                self._fail(item, InputError(f"{task.source}: {task.fault}"))
            elif self._is_there(task):
                item.status = "skipped"
            else:
                self._wait(self._may_decode)
                with self._stage(item, "decode"):
                    _check_place(task)
                    item.read = signature(task.source)
                    item.photo = self._keep(self._stages.decode(task))
                    item.input_size = item.photo.width, item.photo.height
                if item.error is not None:
                    self._may_decode.release()
            self._decoded.put(item)
        self._decoded.put(None)

    def _restore_all(self) -> None:
        while (item := self._next(self._decoded)) is not None:
            if item.status == "done":
                self._wait(self._may_restore)
                self._may_decode.release()
                with self._stage(item, "restore"), self._closing(item.photo):
                    tell = partial(self._tell_tile, item.task)
                    item.result = self._keep(self._stages.restore(item.photo, item.task, tell))
                    item.output_size = item.result.width, item.result.height
                    item.report = getattr(item.result, "report", None)
                item.photo = None
                if item.error is not None:
                    self._may_restore.release()
            self._restored.put(item)
        self._restored.put(None)

    def _encode_all(self) -> None:
        while (item := self._next(self._restored)) is not None:
            if item.status == "done":
                task = item.task
                with self._stage(item, "encode"), self._closing(item.result):
                    _make_folder(task)
                    self._stages.encode(item.result, task)
                item.result = None
                if item.error is None and self._journal is not None:
                    self._journal.record(task.source, task.target, item.read)
                self._may_restore.release()
            self._events.put(item.outcome)
        self._events.put(None)

    def _is_there(self, task: Task) -> bool:
        """Whether the result is there and is to stay."""
        if self._existing == "skip" and task.target.is_file():
            return True
        if self._journal is None or self._existing == "overwrite":
            return False
        return self._journal.finished(task.source, task.target)

    def _next(self, items: queue.SimpleQueue[_Item | None]) -> _Item | None:
        item = items.get()
        self._check_stopped()
        return item

    def _wait(self, semaphore: threading.Semaphore) -> None:
        semaphore.acquire()
        self._check_stopped()

    def _check_stopped(self) -> None:
        if self._stopped.is_set() or self._stop_asked.is_set():
            raise _Stopped

    def _tell_tile(self, task: Task, done: int, total: int) -> None:
        self._check_stopped()
        self._events.put((task, done, total))

    @contextmanager
    def _stage(self, item: _Item, name: str) -> Iterator[None]:
        """Time a stage; whatever goes wrong in it belongs to its photo."""
        start = time.perf_counter()
        try:
            yield
        except Exception as error:
            self._fail(item, explained(error, item.task, name))
        finally:
            item.seconds[name] = time.perf_counter() - start

    def _fail(self, item: _Item, error: Exception) -> None:
        item.status, item.error = "failed", error

    def _keep(self, holder: Any) -> Any:  # noqa: ANN401  (a photo or a result of any kind)
        """Remember to close it."""
        self._open[id(holder)] = holder
        return holder

    @contextmanager
    def _closing(self, holder: Any) -> Iterator[None]:  # noqa: ANN401
        """Close it when the block ends."""
        try:
            yield
        finally:
            self._close(holder)

    def _close(self, holder: Any) -> None:  # noqa: ANN401
        """Close a photo or a result, if it can be closed."""
        self._open.pop(id(holder), None)
        close = getattr(holder, "close", None)
        if close is not None:
            close()


def _check_place(task: Task) -> None:
    """Refuse a result that could not be written, before any work is done for it."""
    target = task.target
    link = None if task.root is None else link_below(target.parent, task.root)
    if link is not None:
        raise InputError(
            f"{link}: a link, through which no results are written; remove it, or give another -o"
        )
    if is_folder(target):
        raise InputError(f"{target}: a folder has the name of the result; rename it, or give another -o")
    place = next(folder for folder in target.absolute().parents if os.path.lexists(folder))
    if not is_folder(place):
        raise InputError(f"{place}: a file lies where the folder of results should be; give another -o")
    if not os.access(place, os.W_OK | os.X_OK):
        raise InputError(f"{place}: no right to write in this folder; change that, or give another -o")


def _make_folder(task: Task) -> None:
    folder = task.target.parent
    try:
        make_folder(folder, task.root)
    except OSError as error:
        raise InputError(f"{error.filename or folder}: cannot be made ({error.strerror})") from error


_MORE = "so other photos may fail as well; free some space, then run this again"
_ADVICE = {
    "decode": {
        errno.EACCES: "give yourself the right to read it",
        errno.EISDIR: "give a photo",
    },
    "encode": {
        errno.ENOSPC: f"the disk is full, {_MORE}",
        errno.EDQUOT: f"your quota is used up, {_MORE}",
        errno.EFBIG: "no file may become so large here; give another -o or a smaller size",
        errno.EACCES: "give yourself the right to write there, or give another -o",
        errno.EROFS: "give another -o",
        errno.EISDIR: "rename that folder, or give another -o",
        errno.ENAMETOOLONG: "name a shorter one by -o",
    },
}
"""What to do about an error of the system, by stage."""


def _code_of(error: BaseException | None) -> int | None:
    """The system's number of what went wrong, of the first error in a chain that has one."""
    while error is not None:
        if isinstance(error, OSError) and error.errno is not None:
            return error.errno
        error = error.__cause__
    return None


def explained(error: Exception, task: Task, stage: str) -> Exception:
    """The error with the file's name and with what to do.

    Args:
        error: What went wrong.
        task: With which photo.
        stage: In which stage: "decode", "restore" or "encode".
    """
    log.debug("%s: %s failed", task.source, stage, exc_info=error)
    named = task.target if stage == "encode" else task.source
    if isinstance(error, MemoryError):
        text = f"{named}: not enough memory to {stage} it; ask for a smaller result or a smaller --tile"
    elif isinstance(error, OSError):
        text = f"{error.filename or named}: {error.strerror}"
    elif isinstance(error, BlindSRError):
        text = str(error)
        if isinstance(error, InputError) and not any(str(path) in text for path in (named, task.target)):
            text = f"{named}: {text}"
    else:
        reason = next(iter(str(error).splitlines()), "")[:200]
        text = f"{named}: could not {stage} it ({type(error).__name__}: {reason})"
    code = _code_of(error)
    advice = None if code is None else _ADVICE.get(stage, {}).get(code)
    if advice is not None:
        text = f"{text}; {advice}"
    if text == str(error):
        explained = error
    else:
        explained = InputError(text)
        explained.__cause__ = error
    # The frames hold pictures, and the report holds the errors of the whole batch.
    held: BaseException | None = explained
    while held is not None:
        held.__traceback__ = None
        held = held.__cause__ or held.__context__
    return explained
