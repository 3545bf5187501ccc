"""Jobs on the disk: whatever moment a server dies at, nothing is lost and nothing done twice."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blindsr.errors import InputError
from blindsr.server.store import MOST_ATTEMPTS, JobRecord, PhotoRecord, QueueFullError, Store
from blindsr.server.turns import Line, Turns, Waiting
from blindsr.system.files import temporary_folder

Add = Callable[..., JobRecord]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "jobs", queue=5, pixels=1000)
    yield store
    store.close()


def add(
    store: Store,
    client: str = "one",
    photos: int = 1,
    pixels: int = 10,
    key: str | None = None,
    **options: object,
) -> JobRecord:
    records = [PhotoRecord(n, f"{n}.png", pixels, 16 * pixels, f"{n}_x4.png") for n in range(photos)]
    with temporary_folder(store.folder) as upload:
        for n in range(photos):
            (upload / f"{n}.photo").write_bytes(b"photo")
        return store.add("upscale", client, {"model": "m", **options}, records, upload, "digest", key)


def again(store: Store) -> Store:
    """As after a sudden end: nothing of the old one is tidied up but its lock."""
    import os

    os.close(store._lock)
    store._lock = os.open(os.devnull, os.O_RDONLY)
    return Store(store.folder, queue=5, pixels=1000)


def test_places_are_those_of_now(store: Store) -> None:
    """The order of turns is kept from one question to the next, but never too long."""
    jobs = [add(store, client) for client in ("one", "two", "one")]
    assert list(store.places()) == [jobs[0].id, jobs[1].id, jobs[2].id]
    work = store.next_work()
    assert work is not None and store.places() == {jobs[1].id: 0, jobs[2].id: 1}
    store.give_back(work)
    assert set(store.places()) == {one.id for one in jobs}
    store.cancel(jobs[1].id)
    jobs.append(add(store, "three"))
    assert sorted(store.places().values()) == [0, 1, 2] and jobs[1].id not in store.places()


def test_who_asks_does_not_wait_for_what_is_being_written(store: Store) -> None:
    job = add(store)
    answers = []

    def ask() -> None:
        answers.append((store.jobs("one"), store.is_wanted(job.id), store.in_hand(), store.counts()))

    with store._transaction() as database:
        database.execute("UPDATE photo SET status = 'running'")
        asking = threading.Thread(target=ask, daemon=True)
        with store._mutex:
            asking.start()
            asking.join(10)
    assert answers == [([job], True, (10, 160), {"job": {"queued": 1}, "photo": {"queued": 1}})]
    assert store.counts()["photo"] == {"running": 1}


def test_a_job_goes_its_way(store: Store) -> None:
    job = add(store, photos=2)
    assert job.status == "queued" and store.places() == {job.id: 0} and store.in_hand() == (20, 320)
    first = store.next_work()
    assert first is not None and (first.job.status, first.photo.n, first.photo.status) == (
        "running",
        0,
        "running",
    )
    half = store.finish(first, size=7, digest="abc", seconds=1.5)
    assert half is not None and half.status == "running" and half.ended is None
    second = store.next_work()
    assert second is not None and store.next_work() is None
    done = store.finish(second, error="1.png: damaged")
    assert done is not None and done.status == "done" and done.ended is not None and done.is_over
    assert [(one.status, one.bytes, one.error) for one in done.photos] == [
        ("done", 7, None),
        ("failed", None, "1.png: damaged"),
    ]
    assert store.counts() == {"job": {"done": 1}, "photo": {"done": 1, "failed": 1}}


def test_after_a_sudden_end_what_ran_begins_again(store: Store) -> None:
    jobs = [add(store) for _ in range(3)]
    done, running = store.next_work(), store.next_work()
    assert done is not None and running is not None
    store.finish(done, size=1, digest="x")
    second = again(store)
    assert [second.job(one.id, "one").status for one in jobs] == ["done", "queued", "queued"]
    assert {second.next_work().job.id, second.next_work().job.id} == {jobs[1].id, jobs[2].id}
    second.close()


def test_a_result_that_has_its_name_is_not_made_again(store: Store) -> None:
    """The server may die between the result's last step and the note of it."""
    job = add(store)
    work = store.next_work()
    assert work is not None
    store.note(work, {"width": 3, "kept": ["EXIF"]})
    store.result_file(job.id, work.photo).write_bytes(b"result")
    second = again(store)
    found = second.job(job.id, "one")
    assert found is not None and found.status == "done" and second.next_work() is None
    assert (found.photos[0].bytes, found.photos[0].told["kept"]) == (6, ["EXIF"]) and found.photos[0].digest
    second.close()


def test_a_photo_that_ends_every_server_is_given_up(store: Store) -> None:
    job, other = add(store), add(store, client="two")
    for _ in range(MOST_ATTEMPTS):
        work = store.next_work()
        while work is not None and work.job.id != job.id:
            store.finish(work, size=1, digest="x")
            work = store.next_work()
        assert work is not None
        store.begin(work)
        store = again(store)
    found = store.job(job.id, "one")
    assert found is not None and found.status == "failed" and "20 times" in (found.photos[0].error or "")
    assert store.job(other.id, "two").status == "done"
    store.close()


def test_a_photo_that_was_not_begun_is_not_blamed(store: Store) -> None:
    """As where a server is killed while a model is loaded, however often."""
    add(store)
    for _ in range(MOST_ATTEMPTS + 5):
        assert store.next_work() is not None
        store = again(store)
    assert store.next_work() is not None
    store.close()


def test_what_nobody_knows_of_is_swept(store: Store) -> None:
    job = add(store)
    (store.files / ("f" * 32)).mkdir()
    (store.files / ("f" * 32) / "0.photo").write_bytes(b"x")
    upload = store.folder / ".blindsr-0123456789ab.part"
    upload.mkdir()
    (store.files / job.id / ".blindsr-0123456789ab.part.png").write_bytes(b"half")
    second = again(store)
    assert [folder.name for folder in second.files.iterdir()] == [job.id] and not upload.exists()
    assert [file.name for file in second.folder_of(job.id).iterdir()] == ["0.photo"]
    second.close()


def test_a_transaction_that_fails_leaves_everything_as_it_was(store: Store) -> None:
    with pytest.raises(sqlite3.Error), temporary_folder(store.folder) as upload:
        same = PhotoRecord(0, "a", 1, 1, "b")
        store.add("upscale", "one", {}, [same, same], upload, "digest")
    assert store.counts() == {"job": {}, "photo": {}} and list(store.files.iterdir()) == []


def test_cancelled_while_it_runs(store: Store) -> None:
    job = add(store, photos=3)
    work = store.next_work()
    assert work is not None
    cancelled = store.cancel(job.id)
    assert cancelled is not None and cancelled.status == "cancelled" and not store.is_wanted(job.id)
    assert [photo.status for photo in cancelled.photos] == ["running", "cancelled", "cancelled"]
    store.give_back(work)
    assert {photo.status for photo in store.job(job.id, "one").photos} == {"cancelled"}
    assert store.next_work() is None and store.cancel(job.id).ended == cancelled.ended


def test_a_worker_that_is_late_changes_nothing(store: Store) -> None:
    job = add(store)
    work = store.next_work()
    assert work is not None
    store.cancel(job.id)
    store.remove(job.id)
    assert store.finish(work, size=1, digest="x") is None and store.counts()["job"] == {}
    assert not store.folder_of(job.id).exists()


def test_ended_jobs_expire_and_others_do_not(store: Store) -> None:
    old, waiting = add(store), add(store)
    work = store.next_work()
    assert work is not None
    store.finish(work, size=1, digest="x")
    assert store.expire(time.time() - 100) == 0
    assert store.expire(time.time() + 1) == 1
    assert store.job(old.id, "one") is None and not store.folder_of(old.id).exists()
    assert store.job(waiting.id, "one") is not None


def test_one_key_one_job(store: Store) -> None:
    first = add(store, key="k")
    assert add(store, key="k").id == first.id and add(store, client="two", key="k").id != first.id
    assert len(list(store.files.iterdir())) == 2, "the second upload is not kept"


def test_room_for_each_client(store: Store) -> None:
    add(store, photos=5)
    with pytest.raises(QueueFullError, match="5 of your photos"):
        add(store)
    add(store, client="two", pixels=900)
    with pytest.raises(QueueFullError, match="million pixels"):
        add(store, client="two", pixels=200)
    add(store, client="three", pixels=5000)  # one that is large comes in where nothing waits


def test_two_servers_do_not_share_a_folder(store: Store) -> None:
    with pytest.raises(InputError, match="another server works here"):
        Store(store.folder)


@pytest.mark.parametrize(
    "job", ["", "..", "../../etc", "0" * 31, "0" * 33, "G" * 32, "0" * 31 + "/", "0" * 32 + "\n"]
)
def test_no_path_is_made_of_what_is_no_id(store: Store, job: str) -> None:
    assert store.job(job, "one") is None
    with pytest.raises(ValueError, match="no job's id"):
        store.folder_of(job)


def test_a_database_of_another_version_is_left_alone(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store._database.execute("PRAGMA user_version = 9")
    store.close()
    with pytest.raises(InputError, match="another version"):
        Store(tmp_path)


def test_a_folder_that_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError, match="name another --folder"):
        Store(tmp_path / "file")


# --- turns ---


def test_what_is_to_come_first_comes_before_one_s_own_alone(store: Store) -> None:
    own, other = add(store, photos=2), add(store, "two", photos=2)
    preview, next_preview = add(store, first=True), add(store, first=True)
    assert store.places() == {preview.id: 0, other.id: 1, next_preview.id: 2, own.id: 4}
    order = []
    while (work := store.next_work()) is not None:
        order.append(work.job.id)
    assert order == [preview.id, other.id, next_preview.id, other.id, own.id, own.id]


def test_jobs_of_the_former_version_go_on(tmp_path: Path) -> None:
    store = Store(tmp_path / "jobs", queue=5, pixels=1000)
    job = add(store)
    store._database.executescript("ALTER TABLE job DROP COLUMN first; PRAGMA user_version = 1")
    second = again(store)
    assert second.places() == {job.id: 0}
    preview = add(second, first=True)
    assert second.places() == {preview.id: 0, job.id: 1}
    second.close()


def served(turns: Turns, waiting: list[Waiting]) -> list[str]:
    order = []
    while waiting:
        one = Line(turns, waiting).first
        turns.take(one)
        waiting.remove(one)
        order.append(one.client)
    return order


def test_clients_take_turns() -> None:
    waiting = [Waiting("a", n, "a", 10**6) for n in range(6)] + [
        Waiting("b", n, "b", 10**6) for n in range(3)
    ]
    assert served(Turns(), waiting) == ["a", "b", "a", "b", "a", "b", "a", "a", "a"]


def test_large_photos_count_for_more() -> None:
    waiting = [Waiting("a", n, "a", 40 * 10**6) for n in range(2)] + [
        Waiting("b", n, "b", 10 * 10**6) for n in range(6)
    ]
    assert served(Turns(), waiting) == ["a", "b", "b", "b", "b", "a", "b", "b"]


def test_who_comes_back_has_saved_nothing_up() -> None:
    turns = Turns()
    served(turns, [Waiting("a", n, "a", 10**6) for n in range(50)])
    waiting = [Waiting("b", n, "b", 10**6) for n in range(4)] + [
        Waiting("a", n, "a", 10**6) for n in range(4)
    ]
    order = served(turns, waiting)
    assert order[:6].count("a") >= 2


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 10**8)), max_size=20))
def test_the_order_that_is_told_is_the_one_that_is_kept(photos: list[tuple[str, int]]) -> None:
    """Every photo has exactly one turn, and each client's own stay in their order."""
    waiting = [Waiting(client, n, client, pixels) for n, (client, pixels) in enumerate(photos)]
    turns = Turns()
    told = list(Line(turns, waiting))
    assert sorted(told, key=lambda one: one.n) == waiting
    for client in "abc":
        own = [one.n for one in told if one.client == client]
        assert own == sorted(own)
    assert served(turns, list(waiting)) == [one.client for one in told]


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 10**8)), max_size=20),
    st.lists(st.one_of(st.none(), st.tuples(st.sampled_from("abcd"), st.integers(1, 10**8))), max_size=20),
)
def test_one_more_in_the_line_is_where_a_new_line_has_it(
    photos: list[tuple[str, int]], later: list[tuple[str, int] | None]
) -> None:
    """Photos come, and have their turns, in any order."""
    waiting = [Waiting(client, n, client, pixels) for n, (client, pixels) in enumerate(photos)]
    turns = Turns()
    line = Line(turns, waiting)
    for n, new in enumerate(later, len(waiting)):
        if new is not None:
            waiting.append(Waiting(new[0], n, *new))
            line.add(waiting[-1])
        elif waiting:
            waiting.remove(line.take())
    assert list(line) == list(Line(turns, waiting))
