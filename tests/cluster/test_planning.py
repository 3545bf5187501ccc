"""Shards on the store, and what of earlier runs still counts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from blindsr.cluster import planning
from blindsr.cluster.items import Ended, Item
from blindsr.cluster.planning import Planner
from blindsr.cluster.runs import Record, Run, earlier_runs, forget, state_of
from blindsr.cluster.stores import Store
from blindsr.errors import InputError

from .conftest import MakeStore

HEADER = {"identity": {"texture": 0.5}, "inputs": ["s3://in"]}


def photos(count: int, version: str = "v1") -> list[Item]:
    return [Item(f"{i:04}.jpg\0", "s3://in", f"{i:04}.jpg", 10, version) for i in range(count)]


def plan(
    out: Store, number: int, items: Sequence[Item], fresh: bool = False
) -> tuple[Run, Planner, list[int]]:
    """A driver's planning, to its end."""
    state = state_of(out)
    run = Run(state, number)
    header = {**HEADER, "fresh": fresh}
    run.begin(header)
    earlier = [] if fresh else earlier_runs(state, number, header)
    planner = Planner(iter(items), run, earlier, out)
    return run, planner, [*planner.plan()]


def finish(
    out: Store, tmp_path: Path, run: Run, shard: int, count: int | None = None, attempt: str = "a"
) -> None:
    """What a worker does with the first photos of a shard."""
    record = Record(run, shard, attempt)
    there = run.ended_in(shard)
    for item in [one for one in run.read_shard(shard) if one.key not in there][:count]:
        (tmp_path / "result").write_bytes(item.name.encode())
        written = out.push(tmp_path / "result", f"{item.name}.png")
        record.add(
            [Ended(item.key, item.name, written.name, version=item.version, target_version=written.version)]
        )


def left(run: Run, shards: Sequence[int]) -> list[str]:
    return [item.name for shard in shards for item in run.read_shard(shard)]


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "SHARD", 4)
    monkeypatch.setattr(planning, "_KEPT", 3)


def test_shards_of_all_photos(make_store: MakeStore) -> None:
    items = photos(10)
    run, planner, shards = plan(make_store("out"), 1, items)
    assert [run.read_shard(shard) for shard in shards] == [items[:4], items[4:8], items[8:]]
    assert (planner.photos, planner.kept, planner.shards, run.planned) == (10, 0, 3, True)


def test_large_photos_make_small_shards(make_store: MakeStore) -> None:
    items = [replace(item, size=planning.SHARD_BYTES // 2) for item in photos(5)]
    run, _, shards = plan(make_store("out"), 1, items)
    assert [len(run.read_shard(shard)) for shard in shards] == [2, 2, 1]


def test_a_shard_can_be_taken_before_the_next_is_listed(make_store: MakeStore) -> None:
    listed: list[str] = []

    def listing() -> Iterator[Item]:
        for item in photos(9):
            listed.append(item.name)
            yield item

    out = make_store("out")
    run = Run(state_of(out), 1)
    shards = Planner(listing(), run, [], out).plan()
    next(shards)
    assert len(listed) == 4 and not run.planned


def test_only_the_rest_is_planned_again(make_store: MakeStore, tmp_path: Path) -> None:
    out = make_store("out")
    run, _, _ = plan(out, 1, photos(10))
    finish(out, tmp_path, run, 0, 2)
    finish(out, tmp_path, run, 0, 1, attempt="b")  # another worker, after the first was lost
    finish(out, tmp_path, run, 2)
    second, planner, shards = plan(out, 2, photos(10))
    assert left(second, shards) == [f"{i:04}.jpg" for i in (3, 4, 5, 6, 7)] and planner.kept == 5
    forget(state_of(out), [run], second)
    finish(out, tmp_path, second, 1)
    third, planner, shards = plan(out, 3, photos(10))
    assert left(third, shards) == [f"{i:04}.jpg" for i in (3, 4, 5, 6)] and planner.kept == 6
    assert [one.key for one in third.all_ended()] == [f"{i:04}.jpg\0" for i in (0, 1, 2, 7, 8, 9)]


def test_a_run_that_never_planned_all_does_not_hide_those_before(
    make_store: MakeStore, tmp_path: Path
) -> None:
    out = make_store("out")
    first, _, _ = plan(out, 1, photos(10))
    finish(out, tmp_path, first, 0)
    broken = Run(state_of(out), 2)
    broken.begin({**HEADER, "fresh": False})
    planner = Planner(iter(photos(10)), broken, earlier_runs(state_of(out), 2, HEADER), out)
    shard = next(planner.plan())  # then its driver was killed
    finish(out, tmp_path, broken, shard, 2)
    third, planner, shards = plan(out, 3, photos(10))
    assert left(third, shards) == [f"{i:04}.jpg" for i in (6, 7, 8, 9)] and planner.kept == 6


def test_a_driver_killed_before_its_header_changes_nothing(make_store: MakeStore, tmp_path: Path) -> None:
    out = make_store("out")
    first, _, _ = plan(out, 1, photos(4))
    finish(out, tmp_path, first, 0)
    _, planner, shards = plan(out, 5, photos(4))
    assert (planner.kept, shards) == (4, [])


@pytest.mark.parametrize("changed", ["photo", "result", "gone", "settings", "fresh", "failed"])
def test_what_changed_is_done_anew(make_store: MakeStore, tmp_path: Path, changed: str) -> None:
    out, items = make_store("out"), photos(4)
    run, _, _ = plan(out, 1, items)
    finish(out, tmp_path, run, 0, 3 if changed == "failed" else None)
    if changed == "photo":
        items[1] = replace(items[1], version="v2")
    elif changed == "result":
        (tmp_path / "other").write_bytes(b"another's")
        out.push(tmp_path / "other", "0001.jpg.png")
    elif changed == "gone":
        out.remove("0001.jpg.png")
    elif changed == "settings":
        Run(state_of(out), 1).begin({**HEADER, "identity": {"texture": 1.0}, "fresh": False})
    elif changed == "failed":
        Record(run, 0, "z").add([Ended(items[3].key, "x", status="failed", error="damaged", version="v1")])
    second, _, shards = plan(out, 2, items, fresh=changed == "fresh")
    expected = {"settings": [0, 1, 2, 3], "fresh": [0, 1, 2, 3], "failed": [3]}.get(changed, [1])
    assert left(second, shards) == [f"{i:04}.jpg" for i in expected]


def test_new_photos_among_old_ones(make_store: MakeStore, tmp_path: Path) -> None:
    out, items = make_store("out"), photos(10)
    run, _, _ = plan(out, 1, items[::2])
    for shard in (0, 1):
        finish(out, tmp_path, run, shard)
    second, planner, shards = plan(out, 2, [*items[:4], *items[5:]])  # and one has gone
    assert left(second, shards) == [f"{i:04}.jpg" for i in (1, 3, 5, 7, 9)] and planner.kept == 4


def test_rows_of_a_list_have_no_version_yet(make_store: MakeStore, tmp_path: Path) -> None:
    out, items = make_store("out"), photos(4, version="")
    run, _, _ = plan(out, 1, items)
    finish(out, tmp_path, run, 0, 2)
    second, _, shards = plan(out, 2, items)
    assert left(second, shards) == ["0002.jpg", "0003.jpg"]


def test_a_damaged_record_is_told(make_store: MakeStore) -> None:
    out = make_store("out")
    run, _, _ = plan(out, 1, photos(4))
    run.store.write("done/00000000/x", b"no gzip")
    with pytest.raises(InputError, match="damaged; give --overwrite to begin anew"):
        plan(out, 2, photos(4))
