"""Two drivers at once exclude each other; one that died does not keep the next from beginning."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from blindsr.cluster import lease as leases
from blindsr.cluster.lease import Lease
from blindsr.cluster.stores import Store, StoreError
from blindsr.errors import InputError

from ..children import LONGEST
from .conftest import MakeStore

BEAT = 0.05


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if no holder were a process of this machine, so that its beats alone tell whether it lives."""
    monkeypatch.setattr(leases, "_machine", lambda: "")


def held(store: Store, number: int, **told: object) -> None:
    """A lease as another driver left it."""
    content = {"host": "other", "machine": "", "pid": 1, "start": "1", "beat": 3, "since": "today", **told}
    store.write(f"lease/{number:08}.json", json.dumps(content).encode())


def test_one_after_the_other(make_store: MakeStore) -> None:
    store = make_store("state")
    for number in (1, 2, 3):
        lease = Lease(store, BEAT)
        assert lease.number == number and not lease.lost.is_set()
        lease.close()
    assert [one.name for one in store.entries()] == ["lease/00000003.json"]


@pytest.mark.usefixtures("elsewhere")
def test_a_second_driver_is_refused(make_store: MakeStore) -> None:
    store = make_store("state")
    lease = Lease(store, BEAT)
    with pytest.raises(
        InputError, match=r"another batch is writing here \(on .* since .*\); wait until"
    ) as caught:
        Lease(store, BEAT)
    assert "\n" not in str(caught.value)
    lease.close()
    Lease(store, BEAT).close()


def test_of_this_machine_at_once(make_store: MakeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither of one that lives nor of one that was killed a beat is waited for."""
    monkeypatch.setattr(time, "sleep", pytest.fail)
    store = make_store("state")
    lease = Lease(store, 3600)
    with pytest.raises(InputError, match="another batch is writing here"):
        Lease(store, 3600)
    lease._ended.set()
    code = (
        "import sys; from blindsr.cluster import lease; import json; print(json.dumps(lease._own_process()))"
    )
    died = json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
    held(store, 2, **died)
    third = Lease(store, 3600)
    assert third.number == 3
    third.close()


@pytest.mark.usefixtures("elsewhere")
def test_one_that_gives_no_sign_of_life_is_taken_over(make_store: MakeStore) -> None:
    store = make_store("state")
    held(store, 7)
    lease = Lease(store, BEAT)
    assert lease.number == 8
    lease.close()


@pytest.mark.slow
@pytest.mark.usefixtures("elsewhere")
def test_one_of_many_takes_over(make_store: MakeStore) -> None:
    store = make_store("state")
    held(store, 1)

    def take(_: int) -> Lease | None:
        try:
            return Lease(store, BEAT)
        except InputError:
            return None

    with ThreadPoolExecutor(4) as pool:
        won = [lease for lease in pool.map(take, range(4)) if lease is not None]
    assert [lease.number for lease in won] == [2]
    won[0].close()


@pytest.mark.usefixtures("elsewhere")
def test_who_was_taken_over_sees_it(make_store: MakeStore) -> None:
    store = make_store("state")
    lease = Lease(store, BEAT)
    held(store, 2)
    assert lease.lost.wait(LONGEST)
    lease.close()
    told = json.loads(store.read("lease/00000002.json"))
    assert told["host"] == "other" and "released" not in told


@pytest.mark.usefixtures("elsewhere")
def test_who_cannot_tell_stops_before_others_take_over(
    make_store: MakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_store("state")
    lease = Lease(store, BEAT)
    broken = threading.Event()

    def fail(name: str, content: bytes) -> None:
        broken.set()
        raise StoreError(f"{name}: no connection")

    monkeypatch.setattr(store, "write", fail)
    assert lease.lost.wait(LONGEST) and broken.is_set()
    monkeypatch.undo()
    lease.close()


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b"{" * 99999, b'{"beat": "x"}', b'{"pid": []}'])
def test_what_is_no_lease_holds_nothing(make_store: MakeStore, content: bytes) -> None:
    store = make_store("state")
    store.write("lease/00000004.json", content)
    store.write("lease/notes.txt", b"")
    lease = Lease(store, BEAT)
    assert lease.number == 5
    lease.close()
