"""A batch by workers: the same names and bytes as on one machine, each photo once, poison found out."""

from __future__ import annotations

import os
import queue
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from blindsr.batch.plan import plan_batch
from blindsr.batch.run import run_batch
from blindsr.cluster import planning
from blindsr.cluster.driving import Batch, Summary, drive
from blindsr.cluster.handing_out import Job
from blindsr.cluster.inputs import Inputs
from blindsr.cluster.items import Ended, Item
from blindsr.cluster.process import ProcessLostError
from blindsr.cluster.restoring import Restoring
from blindsr.cluster.runs import Run
from blindsr.cluster.shard import Shard
from blindsr.cluster.stores import open_store
from blindsr.cluster.worker import Worker
from blindsr.errors import InputError
from blindsr.picture.sizing import OutputSize

from ..conftest import MakeModel, made_photo, save_photos
from .conftest import MakeStore
from .pools import LocalPool

POISON = """
import os, time
from pathlib import Path
import blindsr.batch.run as run

open_for = run.open_for

def poisoned(source, *rest, **more):
    name = Path(source).name
    if "crash" in name:
        os.abort()
    if "hang" in name:
        time.sleep(3600)
    if "greedy" in name:
        held = b"x" * (700 << 20)
        time.sleep(3600)
    mark = Path(os.environ.get("BLINDSR_TEST_MARK", "/nowhere")) / name
    if "once" in name and not mark.exists():
        mark.touch()
        os.abort()
    return open_for(source, *rest, **more)

run.open_for = poisoned
"""


@pytest.fixture
def poison(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Photos do to their process what their names say; gives a folder for marks."""
    (tmp_path / "poison").mkdir()
    (tmp_path / "poison" / "sitecustomize.py").write_text(textwrap.dedent(POISON), encoding="utf-8")
    (tmp_path / "marks").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path / "poison"))
    monkeypatch.setenv("BLINDSR_TEST_MARK", str(tmp_path / "marks"))
    return tmp_path / "marks"


def batch_of(texts: Sequence[str], out: str, order: Restoring) -> Batch:
    store = open_store(out)
    inputs = Inputs(texts, store)
    return Batch(inputs, store, order, order.header(order.maker().identity, inputs.given))


def restored(
    texts: Sequence[str],
    out: str,
    order: Restoring,
    *,
    most: int = 1,
    lose: Callable[[Job], bool] = lambda job: False,
) -> tuple[Summary, Run, dict[str, Ended]]:
    """A batch by workers of this process; gives how each photo ended, by its name."""
    told: list[Ended] = []
    summary, run = drive(
        batch_of(texts, out, order), partial(LocalPool, most=most, lose=lose), on_end=told.extend, beat=0.5
    )
    return summary, run, {one.source.rpartition("/")[2]: one for one in told}


def contents(place: str) -> dict[str, bytes]:
    """What lies in a store, without what is hidden."""
    store = open_store(place)
    return {entry.name: store.read(entry.name) for entry in store.entries()}


def tree(folder: Path) -> Path:
    """Photos of several kinds in folders, some of which are none."""
    save_photos(folder, 3, 20, 24)
    save_photos(folder / "deep" / "er", 2, 18, 30)
    Image.fromarray(made_photo(16, 20)).save(folder / "a.jpg", quality=90)
    Image.fromarray(made_photo(16, 21)).save(folder / "a.bmp")
    Image.fromarray(made_photo(16, 22)).save(folder / "a.webp", lossless=True)
    Image.fromarray(made_photo(16, 22)).save(folder / "png.jpg", "PNG")  # its content counts
    Image.fromarray(made_photo(16, 22)).save(folder / "suffixless", "PNG")
    (folder / "readme").write_text("no photo")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing")
    (folder / "notes.txt").touch()
    return folder


def local(folder: Path, out: Path, order: Restoring, **options: Any) -> dict[str, str]:
    """The same batch on one machine; gives the errors by photo."""
    upscaler = order.upscaler()
    label = f"x{upscaler.model.scale}" if order.size is None else order.size.label
    name = None if order.name is None else order.pattern(upscaler, order.size)
    plan = plan_batch(folder, out, label=label, format_=order.format_, quality=order.quality, name=name)
    outcomes = run_batch(
        plan, upscaler, size=order.size, quality=order.quality, dpi=order.dpi, mark=order.mark
    )
    return {one.task.source.name: str(one.error) for one in outcomes if one.error is not None}


@pytest.fixture
def order(make_model: MakeModel) -> Restoring:
    return Restoring(model=str(make_model()), threads=1, memory="384M")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"format_": "png", "size": OutputSize(width=50)},
        {"format_": "jpeg", "quality": 70, "name": "{stem}_{suffix}_{width}_{parent}", "dpi": 300.0},
    ],
)
def test_names_bytes_and_errors_of_one_machine(
    tmp_path: Path, order: Restoring, options: dict[str, Any]
) -> None:
    order = replace(order, **options)
    folder = tree(tmp_path / "in")
    errors = local(folder, tmp_path / "one", order)
    summary, _, ended = restored([str(folder)], str(tmp_path / "many"), order)
    one, many = contents(str(tmp_path / "one")), contents(str(tmp_path / "many"))
    one.pop(".blindsr-journal", None)
    assert one.keys() == many.keys()
    assert [name for name in one if one[name] != many[name]] == []
    assert {name: end.error for name, end in ended.items() if end.status == "failed"} == {
        name: error.replace(str(tmp_path / "one"), str(tmp_path / "many")) for name, error in errors.items()
    }
    assert summary.counts["done"] == len(many) and summary.counts["left_out"] == 0
    assert summary.others == {".txt": 1, "": 1}
    assert not list((tmp_path / "many").rglob(".blindsr-*.part*"))


def test_from_any_store_to_any(make_store: MakeStore, tmp_path: Path, order: Restoring) -> None:
    folder = tree(tmp_path / "photos")
    store = make_store("in")
    for file in folder.rglob("*"):
        if file.is_file():
            store.push(file, file.relative_to(folder).as_posix())
    local(folder, tmp_path / "one", order)
    summary, run, ended = restored([store.place], make_store("out").place, order)
    one = contents(str(tmp_path / "one"))
    assert contents(make_store("out").place) == one
    assert summary.counts["failed"] == 1 and ended["broken.png"].kind == "photo"
    said = ended["broken.png"].error  # by its own name, not by that of what was pulled
    assert said.startswith(store.full("broken.png")) and "blindsr-" not in said
    done = ended["2.png"]
    assert (done.target, done.input_size, done.output_size) == ("2_x4.png", (24, 20), (96, 80))
    assert {"pull", "decode", "restore", "encode", "push"} == {*done.seconds} and done.node == "node-0"
    again, _, ended = restored([store.place], make_store("out").place, order)
    again.counts.pop("left_out", None)  # what has no suffix is only known when it was read
    assert again.counts == {"skipped": len(one), "failed": 1} and again.photos == summary.photos
    assert {one.status for one in ended.values()} <= {"failed", "left_out"}
    assert not run.planned  # it is gone: the next run has all that it knew


def poisoned(folder: Path, *names: str) -> Path:
    """Four photos, and some between them that do what their names say."""
    for name in names:
        Image.fromarray(made_photo(16, 20)).save(save_photos(folder, 4, 16, 20) / f"{name}.png")
    return folder


@pytest.mark.slow
def test_poison_takes_nobody_along(tmp_path: Path, order: Restoring, poison: Path) -> None:
    """It is named with what it did; photos that were with it are restored, and so is one that recovers."""
    folder = poisoned(tmp_path / "in", "1crash", "2once")
    summary, run, ended = restored([str(folder)], str(tmp_path / "out"), order)
    assert summary.counts == {"done": 5, "failed": 1}, ended
    said = f"{folder}/1crash.png: ended the process that had it (SIGABRT), 2 times alone; it is left out"
    assert (ended["1crash.png"].kind, ended["1crash.png"].error) == ("crash", said)
    local(folder.rename(tmp_path / "moved"), tmp_path / "one", order)
    one, many = contents(str(tmp_path / "one")), contents(str(tmp_path / "out"))
    assert many.items() <= one.items() and len(many) == 5
    assert [one.key for one in run.all_ended()] == sorted(one.key for one in ended.values())


@pytest.mark.slow
def test_what_takes_too_long_or_too_much(tmp_path: Path, order: Restoring, poison: Path) -> None:
    order = replace(order, seconds=5.0, tries=1)
    folder = poisoned(tmp_path / "in", "1hang", "2greedy")
    summary, _, ended = restored([str(folder)], str(tmp_path / "out"), order)
    assert summary.counts == {"done": 4, "failed": 2}, ended
    assert ended["1hang.png"].kind == "time" and "took longer than 5 s" in ended["1hang.png"].error
    assert ended["2greedy.png"].kind == "memory" and "took more than 576 MiB" in ended["2greedy.png"].error


@pytest.mark.slow
def test_lost_workers(tmp_path: Path, order: Restoring, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shard whose workers are lost again and again is tried photo by photo; that which does it is named."""
    monkeypatch.setattr(planning, "SHARD", 3)
    folder = save_photos(tmp_path / "in", 7, 16, 20)
    tried: list[tuple[Any, ...]] = []

    def lose(job: Job) -> bool:
        tried.append(job.arguments)
        return job.arguments == (0,) or (job.arguments[0] == 0 and job.arguments[1].startswith("1.png"))

    summary, run, ended = restored([str(folder)], str(tmp_path / "out"), order, most=2, lose=lose)
    assert summary.counts == {"done": 6, "failed": 1} and summary.lost == 3 + order.tries
    assert tried.count((0,)) == 3 and len([one for one in tried if len(one) == 2]) == 2 + order.tries
    assert ended["1.png"].kind == "crash" and "ended its worker, 2 times alone" in ended["1.png"].error
    assert {one.key for one in run.all_ended()} == {one.key for one in ended.values()} and len(ended) == 7


@pytest.mark.slow
def test_a_process_that_is_ended_while_it_starts(
    tmp_path: Path, order: Restoring, poison: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where memory is short: that is a lost worker, and no fault of the shard."""
    folder = poisoned(tmp_path / "in", "1once")
    starts: list[int] = []
    start = Worker.start

    def started(worker: Worker) -> None:
        starts.append(1)
        if len(starts) == 2:
            raise ProcessLostError("the process that makes results ended while it started (SIGKILL)")
        start(worker)

    monkeypatch.setattr(Worker, "start", started)
    summary, _, _ = restored([str(folder)], str(tmp_path / "out"), order)
    assert summary.counts == {"done": 5} and summary.lost >= 1


def test_what_comes_too_late_belongs_to_nobody(tmp_path: Path, order: Restoring) -> None:
    """A store that answers when its photo was given up: not taken for the photo of the next shard."""
    worker: Any = SimpleNamespace(order=order, events=queue.SimpleQueue(), process=None, folder=tmp_path)
    late, shard = (Shard(worker, [], "restore", lambda ended: None) for _ in range(2))
    faulty = Item("k", str(tmp_path), "a.png")
    for one in (late, shard):
        one._apart = lambda photo, stage, work: setattr(photo, "stage", stage)  # type: ignore[method-assign]
        one._take(faulty)
    (old,), (new,) = late._held.values(), shard._held.values()
    shard._handle("pull", old, (tmp_path / "old", "v0"))
    assert not shard._waiting and new.stage == "pull"
    shard._handle("pull", new, (tmp_path / "new", "v1"))
    assert [*shard._waiting] == [new] and new.source == tmp_path / "new"


@pytest.mark.slow
def test_only_the_rest_after_everything_was_lost(
    tmp_path: Path, order: Restoring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "SHARD", 3)
    folder, out = save_photos(tmp_path / "in", 7, 16, 20), tmp_path / "out"

    class Dying(LocalPool):
        """Its driver is killed when it hands out the third shard."""

        def give(self, job: Job) -> None:
            if job.arguments == (2,):
                raise KeyboardInterrupt
            super().give(job)

    with pytest.raises(KeyboardInterrupt):
        drive(batch_of([str(folder)], str(out), order), Dying, beat=0.5)
    before = {file: file.stat().st_mtime_ns for file in out.glob("*.png")}
    assert len(before) == 6
    summary, _, _ = restored([str(folder)], str(out), order)
    assert summary.counts == {"skipped": 6, "done": 1}
    assert {file: file.stat().st_mtime_ns for file in before} == before
    assert len([*out.glob("*.png")]) == 7


@pytest.mark.slow
def test_a_list_with_options_of_its_own(tmp_path: Path, order: Restoring) -> None:
    folder = save_photos(tmp_path / "in", 4, 16, 20)
    (folder / "sub").mkdir()
    (folder / "3.png").rename(folder / "sub" / "3.png")
    (folder / "list.csv").write_text(
        "name,width,format\n0.png,,\n1.png,30,jpg\n2.png,30,doc\nsub/3.png,,webp\n0.png,,\n"
    )
    summary, _, ended = restored([str(folder / "list.csv")], str(tmp_path / "out"), order)
    assert sorted(contents(str(tmp_path / "out"))) == ["0_x4.png", "1_30w.jpg", "sub/3_x4.webp"]
    with Image.open(tmp_path / "out" / "1_30w.jpg") as image:
        assert image.size == (30, 24)
    assert "give one of png" in ended["2.png"].error and summary.counts["failed"] == 1


@pytest.mark.slow
def test_two_results_of_one_name_in_a_list(tmp_path: Path, order: Restoring) -> None:
    """Whoever comes first has the name, in later runs as well."""
    folder = save_photos(tmp_path / "in", 1, 16, 20)
    Image.fromarray(made_photo(16, 20, 1)).save(folder / "0.bmp")
    (folder / "list.csv").write_text("name,format\n0.png,png\n0.bmp,png\n")
    losers: set[str] = set()
    for _ in range(2):
        summary, _, ended = restored([str(folder / "list.csv")], str(tmp_path / "out"), order)
        (failed,) = [name for name, one in ended.items() if one.status == "failed"]
        assert "would overwrite that of" in ended[failed].error and summary.counts["failed"] == 1
        losers.add(failed)
        assert [*contents(str(tmp_path / "out"))] == ["0_x4.png"]
    assert len(losers) == 1


@pytest.mark.slow
@pytest.mark.parametrize("existing", ["skip", "overwrite"])
def test_results_that_are_there(tmp_path: Path, order: Restoring, existing: Any) -> None:
    folder, out = save_photos(tmp_path / "in", 2, 16, 20), tmp_path / "out"
    restored([str(folder)], str(out), order)
    (out / "0_x4.png").write_bytes(b"mine")
    summary, _, _ = restored([str(folder)], str(out), replace(order, existing=existing))
    assert (out / "0_x4.png").read_bytes() == b"mine" if existing == "skip" else summary.counts == {"done": 2}


def test_dates_are_kept_by_folders_alone(make_store: MakeStore, tmp_path: Path, order: Restoring) -> None:
    folder = save_photos(tmp_path / "in", 1, 16, 20)
    os.utime(folder / "0.png", (1e9, 1e9))
    order, out = replace(order, keep_date=True), make_store("out")
    if out.place.startswith("/"):
        restored([str(folder)], out.place, order)
        assert (tmp_path / "out" / "0_x4.png").stat().st_mtime == 1e9
    else:
        with pytest.raises(InputError, match="keeps no dates; leave it out"):
            restored([str(folder)], out.place, order)
