"""A shard on its way through a worker.

While one photo is in work others are pulled and pushed. What ends the process in which results are made, or
takes too long in it, is found out: every photo that was in it is tried again, alone, and only what does it
then as well is given up, by name. The others go on in a new process.
"""

from __future__ import annotations

import hashlib
import json
import queue
import secrets
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from blindsr.batch.plan import fault_of_two
from blindsr.cluster.items import Ended, Item, Status
from blindsr.cluster.stores import Entry, StoreError, open_store
from blindsr.system.memory import show_bytes

if TYPE_CHECKING:
    from blindsr.cluster.worker import Worker

__all__ = ["Pass", "Shard"]

AHEAD = 5
"""Photos that a worker has at once: pulled, in work, and pushed."""

_STORE = 60.0  # seconds that a store has beside those of a photo, in all its tries
_FREE = 256 << 20  # bytes of the disk that are left alone
_TICK = 0.2  # seconds between two looks at clocks and memory

Pass = Literal["make", "camera", "adapt"]
"""What is done with photos: making results of them, or one of the two that camera profiles need before."""


@dataclass(eq=False)
class _Photo:
    """A photo that a worker has in hand."""

    item: Item
    number: int
    folder: Path
    source: Path = Path()
    version: str = ""
    name: str = ""
    deaths: int = 0
    rivals: deque[tuple[str, str]] = field(default_factory=deque)
    rival_paths: list[Path | None] | None = None
    """Where they were pulled to; None before."""
    settled: bool = False
    """Whether its result may have its name."""
    stage: str = ""
    """What a thread does with it; empty for nothing."""
    since: float = 0.0
    """When the thread began."""
    asked: float | None = None
    """When the process was asked for its name, or has begun it; None while it has not."""
    seconds: dict[str, float] = field(default_factory=dict)
    told: dict[str, Any] = field(default_factory=dict)

    @property
    def whole(self) -> str:
        return open_store(self.item.place).full(self.item.name)

    @property
    def target(self) -> str:
        """Name of its result in the store of results."""
        folder, slash, _ = self.item.name.rpartition("/")
        return f"{folder}{slash}{self.name}"

    @property
    def made(self) -> Path:
        """Where its result is written first."""
        return self.folder / "out" / self.name


class Shard:
    """A shard on its way: an event a step, all handled in one thread.

    Args:
        worker: The worker.
        items: The photos.
        what: What is done with them.
        note: Called with photos that have ended, when there is nothing left to be lost of them.
        made: Folder for what is read from photos; None where there is no such thing.
    """

    def __init__(
        self,
        worker: Worker,
        items: Iterable[Item],
        what: Pass,
        note: Callable[[Sequence[Ended]], None],
        made: Path | None = None,
    ) -> None:
        self._worker, self._order, self._what = worker, worker.order, what
        self._note, self._made = note, made
        self._events = worker.events
        self._todo = deque(items)
        self._held: dict[int, _Photo] = {}
        """Photos in hand, by number."""
        self._waiting: deque[_Photo] = deque()
        """Those of them that the process is to get next."""
        self._inside: dict[int, _Photo] = {}
        """Those that the process has, or was asked for the name of."""
        self._suspects: deque[_Photo] = deque()
        """Those that were inside when a process ended: each is tried alone."""
        self._alone: _Photo | None = None
        self._answered = 0.0
        """When the process last told of an end."""
        self._why: tuple[str, str] | None = None
        """Kind and text of the reason for which this worker ended the process."""
        self._ended: list[Ended] = []
        self._numbers = 0
        self._after: dict[str, Callable[[_Photo, Any], None]] = {
            "pull": self._after_pull,
            "rivals": self._after_rivals,
            "settle": self._after_settle,
            "push": self._after_push,
        }

    def run(self) -> None:
        """Go on until every photo has ended."""
        while self._todo or self._held:
            while self._todo and len(self._held) < AHEAD:
                self._take(self._todo.popleft())
            self._send()
            with suppress(queue.Empty):
                self._handle(*self._events.get(timeout=_TICK))
                while True:
                    self._handle(*self._events.get_nowait())
            self._watch()
            if self._ended:
                self._note(self._ended)
                self._ended = []

    def _take(self, item: Item) -> None:
        """Begin with a photo."""
        self._numbers += 1
        photo = _Photo(item, self._numbers, self._worker.folder / secrets.token_hex(4))
        photo.rivals.extend(item.rivals)
        self._held[photo.number] = photo
        if item.fault:
            self._fail(photo, f"{photo.whole}: {item.fault}", "name")
            return
        self._apart(photo, "pull", self._pull)

    def _apart(self, photo: _Photo, stage: str, work: Callable[[_Photo], Any]) -> None:
        """Do something with a store in a thread; what comes of it is an event."""

        def run() -> None:
            start = time.perf_counter()
            try:
                came: Any = self._tried(work, photo)
            except Exception as error:  # whatever a store's library raises belongs to this photo
                came = error
            photo.seconds[stage] = round(time.perf_counter() - start, 4)
            self._events.put((stage, photo, came))

        photo.stage, photo.since = stage, time.monotonic()
        threading.Thread(target=run, daemon=True).start()

    def _tried(self, work: Callable[[_Photo], Any], photo: _Photo) -> Any:  # noqa: ANN401
        """Try again what may have been a broken connection."""
        for tried in range(self._order.tries):
            try:
                return work(photo)
            except StoreError as error:
                if not error.passing or tried + 1 == self._order.tries:
                    raise
                time.sleep(0.5 * 2**tried)
        raise AssertionError("tries are 1 or more")

    def _pull(self, photo: _Photo) -> tuple[Path, str]:
        store, name = self._worker.store(photo.item.place), photo.item.name
        (photo.folder / "in").mkdir(parents=True, exist_ok=True)
        (photo.folder / "out").mkdir(exist_ok=True)
        # Asked before it is read: what changes meanwhile is done again by the next run.
        entry = store.entry(name)
        free = max(0, shutil.disk_usage(photo.folder).free - _FREE)
        path = store.pull(name, photo.folder / "in" / name.rpartition("/")[2], free)
        return path, entry.version if entry else ""

    def _pull_rivals(self, photo: _Photo) -> list[Path | None]:
        """The photos before this one whose results might have its name; None for one that has gone."""
        paths: list[Path | None] = []
        for place, name in photo.rivals:
            folder = photo.folder / f"rival-{len(paths)}"
            folder.mkdir(exist_ok=True)
            try:
                paths.append(self._worker.store(place).pull(name, folder / name.rpartition("/")[2]))
            except StoreError as error:
                if not error.missing:
                    raise
                paths.append(None)
        return paths

    def _settle(self, photo: _Photo) -> str:
        """Whether this photo's result may have its name: empty, "skipped", or why not."""
        if self._order.existing == "skip" and self._worker.out.entry(photo.target) is not None:
            return "skipped"
        claims = self._worker.claims
        if claims is None:
            return ""
        name = hashlib.sha256(photo.target.encode("utf-8", "surrogateescape")).hexdigest()
        mine = json.dumps([photo.whole, photo.item.options], sort_keys=True)
        if claims.create(name, mine.encode()):
            return ""
        owner = claims.read(name).decode()
        return "" if owner == mine else fault_of_two(json.loads(owner)[0])

    def _push(self, photo: _Photo) -> Entry:
        return self._worker.out.push(photo.made, photo.target, self._order.keep_date)

    def _handle(self, kind: str, of: Any, came: Any) -> None:  # noqa: ANN401
        """An event: of the process, or that a thread is through with a photo."""
        if kind in ("told", "gone"):
            if of is not self._worker.process:  # one that was buried
                return
            if kind == "told":
                self._hear(came)
            else:
                self._bury()
        elif of in self._held.values() and of.stage == kind:  # else it was given up, in an earlier shard even
            of.stage = ""
            if isinstance(came, Exception):
                self._fail(of, str(came), "write" if kind == "push" else "read")
            else:
                self._after[kind](of, came)

    def _after_pull(self, photo: _Photo, came: tuple[Path, str]) -> None:
        photo.source, photo.version = came
        self._waiting.append(photo)

    def _after_rivals(self, photo: _Photo, came: list[Path | None]) -> None:
        photo.rival_paths = came
        self._waiting.append(photo)

    def _after_settle(self, photo: _Photo, came: str) -> None:
        if came == "skipped":
            self._end(photo, "skipped")
        elif came:
            self._fail(photo, f"{photo.whole}: {came}", "name")
        else:
            photo.settled = True
            self._waiting.append(photo)

    def _after_push(self, photo: _Photo, came: Entry) -> None:
        self._end(photo, "done", target_version=came.version)

    def _hear(self, told: dict[str, Any]) -> None:
        """What the process says."""
        self._answered = time.monotonic()
        if "named" in told:
            number, _, rival = str(told["named"]).partition(".")
            photo = self._inside.pop(int(number), None)
            if photo is not None:
                self._hear_name(photo, told, rival)
        elif "begun" in told:
            if photo := self._inside.get(told["begun"]):
                photo.asked = time.monotonic()
        elif photo := self._inside.pop(told["ended"], None):
            self._hear_end(photo, told)

    def _hear_name(self, photo: _Photo, told: dict[str, Any], rival: str) -> None:
        if rival:
            other = photo.rivals.popleft()
            if told.get("name") == photo.name and not told.get("left_out"):
                fault = fault_of_two(open_store(other[0]).full(other[1]))
                self._fail(photo, f"{photo.whole}: {fault}", "name")
                return
        elif told.get("left_out"):
            self._end(photo, "left_out")
            return
        else:
            photo.name = told["name"]
            if told["fault"]:
                self._fail(photo, self._named(photo, told["fault"]), "name")
                return
        if photo.rivals and photo.rival_paths is None:
            self._apart(photo, "rivals", self._pull_rivals)
        elif photo.rivals:
            self._waiting.append(photo)
        elif self._order.existing == "skip" or self._worker.claims is not None:
            self._apart(photo, "settle", self._settle)
        else:
            self._after_settle(photo, "")

    def _hear_end(self, photo: _Photo, told: dict[str, Any]) -> None:
        if self._alone is photo:
            self._alone = None
        photo.told = told
        photo.seconds |= told.get("seconds", {})
        if told["status"] == "failed":
            self._fail(photo, self._named(photo, told["error"]), told["kind"])
        elif self._what == "make":
            self._apart(photo, "push", self._push)
        else:
            photo.told["report"] = {"camera": told.get("camera", ""), "profile": str(self._profile(photo))}
            self._end(photo, "done")

    def _bury(self) -> None:
        """The process has ended: find out which photo ended it, and go on with another process."""
        process = self._worker.process
        assert process is not None
        kind, why = self._why or ("crash", f"ended the process that had it ({process.end})")
        self._why = None
        for photo in list(self._inside.values()):
            if photo is self._alone:
                photo.deaths += 1
                self._alone = None
                if photo.deaths < self._order.tries:
                    self._suspects.appendleft(photo)
                else:
                    tries = f", {photo.deaths} times alone" if photo.deaths > 1 else ""
                    self._fail(photo, f"{photo.whole}: {why}{tries}; it is left out", kind)
            elif photo.asked is not None:
                self._suspects.append(photo)
            else:
                self._waiting.append(photo)
            photo.asked = None
        self._inside.clear()
        self._worker.restart()

    def _send(self) -> None:
        """Give the process what waits for it; while a photo is tried alone, nothing else."""
        if self._alone is None and self._suspects and not self._inside:
            self._alone = self._suspects.popleft()
            self._tell(self._alone)
        held_back: deque[_Photo] = deque()
        while self._waiting:
            photo = self._waiting.popleft()
            if photo is self._alone or (self._alone is None and not self._suspects):
                self._tell(photo)
            else:
                held_back.append(photo)
        self._waiting = held_back

    def _tell(self, photo: _Photo) -> None:
        """The next thing to do with a photo."""
        process, item = self._worker.process, photo.item
        assert process is not None
        self._inside[photo.number] = photo
        if not any(other.asked for other in self._inside.values()):
            self._answered = time.monotonic()
        job: dict[str, Any] = {
            "id": photo.number,
            "source": str(photo.source),
            "name": item.name,
            "options": dict(item.options),
        }
        if self._what != "make":
            process.tell({**job, "do": self._what, "target": str(self._profile(photo))})
            return
        if photo.settled:
            profiles = str(self._worker.profiles) if self._order.by_camera else None
            process.tell({**job, "do": "make", "target": str(photo.made), "profiles": profiles})
            return
        photo.asked = time.monotonic()
        if not photo.name:
            process.tell({**job, "do": "name", "sure": item.sure})
            return
        assert photo.rival_paths is not None
        path = photo.rival_paths[len(photo.rival_paths) - len(photo.rivals)]
        if path is None:  # it was there when the photos were listed
            self._hear({"named": f"{photo.number}.gone", "left_out": True})
        else:
            rival = {
                "id": f"{photo.number}.rival",
                "source": str(path),
                "name": photo.rivals[0][1],
                "options": {},
                "sure": is_named_photo(path),
            }
            process.tell({**rival, "do": "name"})

    def _profile(self, photo: _Photo) -> Path:
        """Where what the model reads from one photo is written."""
        return (self._made or photo.folder) / f"{photo.number}.profile"

    def _watch(self) -> None:
        """Give up what takes too long or too much."""
        now = time.monotonic()
        for photo in list(self._held.values()):
            if photo.stage and now - photo.since > self._order.seconds * self._order.tries + _STORE:
                kind = "write" if photo.stage == "push" else "read"
                self._fail(photo, f"{photo.whole}: the store did not answer in time", kind)
        process = self._worker.process
        if process is None or self._why is not None:
            return
        asked = [photo.asked for photo in self._inside.values() if photo.asked is not None]
        if asked and now - max(min(asked), self._answered) > self._order.seconds:
            self._why = "time", f"took longer than {self._order.seconds:g} s"
        elif process.memory > self._worker.most:
            self._why = "memory", f"took more than {show_bytes(self._worker.most)}"
        if self._why is not None:
            process.kill()

    def _fail(self, photo: _Photo, text: str, kind: str) -> None:
        self._end(photo, "failed", error=" ".join(text.split()), kind=kind)

    def _end(self, photo: _Photo, status: Status, **more: str) -> None:
        told = photo.told
        self._ended.append(
            Ended(
                photo.item.key,
                photo.whole,
                photo.target if photo.name else "",
                status,
                version=photo.version,
                input_size=_pair(told.get("input_size")),
                output_size=_pair(told.get("output_size")) if status == "done" else None,
                seconds=photo.seconds,
                node=self._worker.node,
                report=told.get("report", {}) if status == "done" else {},
                **more,
            )
        )
        if photo is self._alone:
            self._alone = None
        self._inside.pop(photo.number, None)
        del self._held[photo.number]
        shutil.rmtree(photo.folder, ignore_errors=True)

    def _named(self, photo: _Photo, text: str) -> str:
        """A message with a photo's own names instead of those of what was pulled and is pushed."""
        if photo.name:
            text = text.replace(str(photo.made), self._worker.out.full(photo.target))
        text = text.replace(str(photo.source), photo.whole)
        return text if photo.whole in text or photo.target in text else f"{photo.whole}: {text}"


def is_named_photo(path: Path) -> bool:
    """Whether a file is taken for a photo by its name."""
    return bool(path.suffix)


def _pair(sides: Any) -> tuple[int, int] | None:  # noqa: ANN401
    return None if sides is None else (int(sides[0]), int(sides[1]))
