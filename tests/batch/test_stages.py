"""Three stages at once: order, overlap, what an error touches, and how an interruption ends."""

from __future__ import annotations

import errno
import gc
import os
import threading
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from blindsr.batch.journal import Journal
from blindsr.batch.stages import OnTile, Outcome, Stages, Task, run_stages
from blindsr.errors import InputError
from blindsr.system.files import atomic_path

from ..children import LONGEST


class Text:
    """A photo or a result: a file's text, as wide as it is long."""

    height = 1

    def __init__(self, text: str, log: list[str]) -> None:
        self.text, self.width, self.log = text, len(text), log

    def close(self) -> None:
        self.log.append(f"close {self.text}")


def nothing(name: str) -> None:
    pass


@dataclass
class Copying:
    """Stages that double a text; `on_stage` is called in each with the stage and the file's stem."""

    on_stage: Callable[[str], None] = nothing
    log: list[str] = field(default_factory=list)

    def decode(self, task: Task) -> Text:
        self.on_stage(f"decode {task.source.stem}")
        return Text(task.source.read_text(), self.log)

    def restore(self, photo: Text, task: Task, on_tile: OnTile) -> Text:
        self.on_stage(f"restore {photo.text}")
        on_tile(1, 2)
        on_tile(2, 2)
        return Text(2 * photo.text, self.log)

    def encode(self, result: Text, task: Task) -> None:
        with atomic_path(task.target) as temporary:
            self.on_stage(f"encode {task.target.stem}")
            temporary.write_text(result.text)

    @property
    def stages(self) -> Stages[Text, Text]:
        return Stages(self.decode, self.restore, self.encode)


def tasks(folder: Path, names: str = "abcd") -> list[Task]:
    made = []
    for name in names:
        (folder / f"{name}.in").write_text(name)
        made.append(Task(folder / f"{name}.in", folder / "out" / f"{name}.out"))
    return made


def results(folder: Path) -> dict[str, str]:
    return {file.name: file.read_text() for file in sorted((folder / "out").glob("*"))}


def failing(stage: str, error: BaseException) -> Callable[[str], None]:
    def on_stage(name: str) -> None:
        if name == stage:
            raise error

    return on_stage


def test_every_photo_in_order(tmp_path: Path) -> None:
    told: list[object] = []
    copying = Copying()
    outcomes = run_stages(
        tasks(tmp_path),
        copying.stages,
        on_photo=told.append,
        on_tile=lambda task, done, total: told.append((task.source.stem, done, total)),
    )
    assert results(tmp_path) == {"a.out": "aa", "b.out": "bb", "c.out": "cc", "d.out": "dd"}
    assert [one for one in told if isinstance(one, Outcome)] == outcomes
    assert [one for one in told if isinstance(one, tuple)] == [(n, i, 2) for n in "abcd" for i in (1, 2)]
    assert [(one.task.source.stem, one.status) for one in outcomes] == [(name, "done") for name in "abcd"]
    assert {one.input_size for one in outcomes} == {(1, 1)}
    assert {one.output_size for one in outcomes} == {(2, 1)}
    assert [*outcomes[0].seconds] == ["decode", "restore", "encode"]
    assert sorted(copying.log) == sorted(f"close {n * k}" for n in "abcd" for k in (1, 2))


def test_the_next_is_decoded_and_the_previous_encoded_meanwhile(tmp_path: Path) -> None:
    together = threading.Barrier(3, timeout=LONGEST)

    def meet(name: str) -> None:
        if name in ("encode a", "restore b", "decode c"):
            together.wait()

    outcomes = run_stages(tasks(tmp_path), Copying(meet).stages)
    assert {one.status for one in outcomes} == {"done"}, outcomes


def test_tasks_may_come_one_by_one(tmp_path: Path) -> None:
    """The next is not there before the last has ended: nobody waits for more than there is."""
    ended = threading.Semaphore(0)

    def coming() -> Iterator[Task]:
        for task in tasks(tmp_path):
            yield task
            assert ended.acquire(timeout=LONGEST)

    outcomes = run_stages(coming(), Copying().stages, on_photo=lambda outcome: ended.release())
    assert [one.task.source.stem for one in outcomes] == [*"abcd"]


def test_few_pictures_at_a_time(tmp_path: Path) -> None:
    most = {"decoded": 0, "restored": 0}
    living = {"decoded": 0, "restored": 0}
    counting = threading.Lock()  # both stages count photos

    class Counted(Text):
        def __init__(self, text: str, log: list[str], kind: str) -> None:
            super().__init__(text, log)
            self.kind = kind
            with counting:
                living[kind] += 1
                most[kind] = max(most[kind], living[kind])

        def close(self) -> None:
            with counting:
                living[self.kind] -= 1

    copying = Copying()
    stages = Stages(
        lambda task: Counted(copying.decode(task).text, [], "decoded"),
        lambda photo, task, on_tile: Counted(photo.text, [], "restored"),
        copying.encode,
    )
    run_stages(tasks(tmp_path, "abcdefghij"), stages)
    assert most["decoded"] <= 2 and most["restored"] <= 2
    assert living == {"decoded": 0, "restored": 0}


@pytest.mark.parametrize("stage", ["decode", "restore", "encode"])
@pytest.mark.parametrize(
    ("error", "text"),
    [
        (InputError("too dark"), "too dark"),
        (MemoryError(), "not enough memory"),
        (RuntimeError("first line\nsecond"), "RuntimeError: first line"),
        (OSError(errno.EIO, "Input/output error"), "Input/output error"),
    ],
)
def test_an_error_belongs_to_its_photo(tmp_path: Path, stage: str, error: Exception, text: str) -> None:
    copying = Copying(failing(f"{stage} b", error))
    outcomes = run_stages(tasks(tmp_path), copying.stages)
    assert [one.status for one in outcomes] == ["done", "failed", "done", "done"]
    message = str(outcomes[1].error)
    assert text in message and "\n" not in message
    assert str(outcomes[1].task.target if stage == "encode" else outcomes[1].task.source) in message
    assert results(tmp_path) == {"a.out": "aa", "c.out": "cc", "d.out": "dd"}
    assert [*outcomes[1].seconds][-1] == stage and outcomes[1].output_size is None
    opened = {"decode": 0, "restore": 1, "encode": 2}[stage]
    assert len([line for line in copying.log if set(line[6:]) == {"b"}]) == opened


def test_a_photo_that_cannot_be_closed_is_that_photos_fault(tmp_path: Path) -> None:
    class Stuck(Text):
        def close(self) -> None:
            raise OSError(errno.EIO, "Input/output error")

    copying = Copying()

    def decode(task: Task) -> Text:
        return (Stuck if task.source.stem == "b" else Text)(task.source.read_text(), copying.log)

    outcomes = run_stages(tasks(tmp_path), Stages(decode, copying.restore, copying.encode))
    assert [one.status for one in outcomes] == ["done", "failed", "done", "done"]
    assert {"close aa", "close bb", "close cc"} <= {*copying.log}


@pytest.mark.parametrize(
    ("stage", "code", "advice"),
    [
        ("encode", errno.ENOSPC, "the disk is full, so other photos may fail as well"),
        ("encode", errno.EACCES, "give yourself the right to write there"),
        ("encode", errno.EROFS, "give another -o"),
        ("decode", errno.EACCES, "give yourself the right to read it"),
    ],
)
def test_errors_of_the_system_say_what_to_do(tmp_path: Path, stage: str, code: int, advice: str) -> None:
    ours = InputError(f"x: no ({os.strerror(code)})")
    ours.__cause__ = OSError(code, os.strerror(code))
    for error in (OSError(code, os.strerror(code)), ours):
        outcomes = run_stages(tasks(tmp_path), Copying(failing(f"{stage} a", error)).stages)
        assert os.strerror(code) in str(outcomes[0].error) and advice in str(outcomes[0].error)
        assert [one.status for one in outcomes[1:]] == ["done"] * 3


def test_words_in_a_name_give_no_advice(tmp_path: Path) -> None:
    folder = tmp_path / f"{os.strerror(errno.EACCES)}, {os.strerror(errno.ENOSPC)}"
    folder.mkdir()
    for stage in ("decode", "encode"):
        for error in (InputError(f"{folder}/x: damaged"), ValueError(str(folder))):
            outcomes = run_stages(tasks(folder), Copying(failing(f"{stage} a", error)).stages)
            said = str(outcomes[0].error)
            assert "give yourself the right" not in said and "the disk is full" not in said, said


def test_what_is_wrong_from_the_start(tmp_path: Path) -> None:
    one, two, three, four = tasks(tmp_path)
    (tmp_path / "out" / "a.out").mkdir(parents=True)
    two.source.unlink()
    (tmp_path / "file").touch()
    plan = [one, two, Task(three.source, tmp_path / "file" / "c.out"), Task(four.source, four.target, "no d")]
    done = Copying()
    outcomes = run_stages(plan, done.stages)
    assert [one.status for one in outcomes] == ["failed"] * 4
    for outcome, text in zip(outcomes, ("a folder has", "No such file", "a file lies", "no d"), strict=True):
        assert text in str(outcome.error)
    assert done.log == []  # nothing was restored in vain


def test_no_right_to_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = tasks(tmp_path, "a")  # as root everything may be written, so the answer is made
    monkeypatch.setattr(os, "access", lambda place, rights: Path(place) != tmp_path)
    (outcome,) = run_stages(plan, Copying().stages)
    assert f"{tmp_path}: no right to write" in str(outcome.error)


def test_errors_hold_no_pictures(tmp_path: Path) -> None:
    seen: list[weakref.ref[Text]] = []

    def restore(photo: Text, task: Task, on_tile: OnTile) -> Text:
        seen.append(weakref.ref(photo))
        raise RuntimeError from ValueError("inner")

    copying = Copying()
    outcomes = run_stages(tasks(tmp_path), Stages(copying.decode, restore, copying.encode))
    gc.collect()
    assert len(outcomes) == len(seen) == 4 and not any(photo() for photo in seen)


@pytest.mark.parametrize("ending", [KeyboardInterrupt, BrokenPipeError, None])
def test_an_interruption_ends_it(tmp_path: Path, ending: type[BaseException] | None) -> None:
    """While c is decoded and b restored, a being written: a is finished, b and c are not."""
    reached = threading.Semaphore(0)
    stopped, asked = threading.Event(), threading.Event()

    def wait(name: str) -> None:
        if name in ("encode a", "decode c"):
            reached.release()
            assert stopped.wait(LONGEST)

    def stop(task: Task, done: int, total: int) -> None:
        if task.source.stem == "b" and not stopped.is_set():  # what b tells of its other tile comes later
            assert reached.acquire(timeout=LONGEST) and reached.acquire(timeout=LONGEST)
            stopped.set()
            if ending is not None:
                raise ending
            asked.set()

    copying = Copying(wait)
    plan = tasks(tmp_path)
    journal = Journal(tmp_path, {})
    before = set(threading.enumerate())
    if ending is not None:
        with pytest.raises(ending):
            run_stages(plan, copying.stages, journal, on_tile=stop)
    else:
        outcomes = run_stages(plan, copying.stages, journal, on_tile=stop, stop=asked)
        assert outcomes[0].task is plan[0] and len(outcomes) < 4
    assert set(threading.enumerate()) <= before  # a thread of an earlier test may have ended meanwhile
    assert results(tmp_path)["a.out"] == "aa" and "d.out" not in results(tmp_path)
    assert not [*(tmp_path / "out").glob(".*")]
    assert [journal.finished(task.source, task.target) for task in (plan[0], plan[3])] == [True, False]
    assert {"close a", "close aa", "close b", "close c"} <= {*copying.log}
    journal.close(remove=True)


def test_a_broken_thread_breaks_the_batch(tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        run_stages(tasks(tmp_path), Copying(failing("restore b", SystemExit(9))).stages)


def test_what_is_there_already(tmp_path: Path) -> None:
    plan = tasks(tmp_path)
    (tmp_path / "out").mkdir()
    for name in "ab":
        (tmp_path / "out" / f"{name}.out").write_text("old")
    journal = Journal(tmp_path, {})
    run_stages(plan[2:3], Copying().stages, journal)  # c was finished by an earlier run
    expected = {
        "resume": ("aa", "done done skipped done"),
        "skip": ("old", "skipped skipped skipped done"),
        "overwrite": ("aa", "done done done done"),
    }
    for existing in ("skip", "resume", "overwrite"):
        outcomes = run_stages(plan, Copying().stages, journal, existing)  # type: ignore[arg-type]
        text, statuses = expected[existing]
        assert results(tmp_path)["a.out"] == text
        assert " ".join(one.status for one in outcomes) == statuses
        for name in "abd":
            (tmp_path / "out" / f"{name}.out").unlink()
        for name in "ab":
            (tmp_path / "out" / f"{name}.out").write_text("old")
    journal.close(remove=True)
