"""Folders, buckets and web servers: listed in order as they come, written wholly or not at all."""

from __future__ import annotations

import os
import pickle
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from blindsr.cluster.stores import LocalStore, RemoteStore, StoreError, is_url, open_store, shown, split_place
from blindsr.errors import InputError

from .conftest import MakeStore

NAMES = ["a-1.jpg", "a.jpg", "a/b.jpg", "a/c/d.jpg", "a b+c%20#1.jpg", "a.b/x.jpg", "z", "é.jpg", "日本.png"]


def put(folder: Path, content: bytes) -> Path:
    file = folder / "content"
    file.write_bytes(content)
    return file


def test_listed_in_the_order_of_names(make_store: MakeStore, tmp_path: Path) -> None:
    """In every kind the same: what comes later in a listing never sorts before."""
    store = make_store("in")
    for name in (*NAMES, ".hidden.jpg", "a/.thumbnails/t.jpg"):
        store.push(put(tmp_path, name.encode()), name)
    listed = [*store.entries()]
    assert [one.name for one in listed] == sorted(NAMES)
    assert [one.size for one in listed] == [len(name.encode()) for name in sorted(NAMES)]
    assert [one.name for one in store.entries(recursive=False)] == [n for n in sorted(NAMES) if "/" not in n]
    assert [one.name for one in store.below("a").entries()] == ["b.jpg", "c/d.jpg"]
    assert [store.entry(one.name) == one for one in listed] == [True] * len(NAMES)
    assert store.entry("nowhere") is None and store.entry("a") is None


def test_there_and_back(make_store: MakeStore, tmp_path: Path) -> None:
    store = pickle.loads(pickle.dumps(make_store("out")))
    content = os.urandom(1 << 17)
    written = store.push(put(tmp_path, content), "deep/er/x.png")
    assert (written.size, store.entry("deep/er/x.png")) == (1 << 17, written)
    (tmp_path / "pulled").mkdir()
    pulled = store.pull("deep/er/x.png", tmp_path / "pulled" / "x.png")
    assert pulled.read_bytes() == content and store.read("deep/er/x.png") == content
    again = store.push(put(tmp_path, content[::-1]), "deep/er/x.png")
    assert again.version != written.version
    store.write("note", b"one")
    store.write("note", b"two")
    assert store.read("note") == b"two"
    store.remove("note")
    store.remove("note")
    assert store.entry("note") is None
    with pytest.raises(StoreError, match=r"note: there is no such file") as caught:
        store.read("note")
    assert not caught.value.passing and "\n" not in str(caught.value)
    with pytest.raises(StoreError):
        store.pull("note", tmp_path / "pulled" / "y")


def test_one_of_many_creates(make_store: MakeStore) -> None:
    store = make_store("state")
    with ThreadPoolExecutor(8) as pool:
        won = [*pool.map(lambda i: store.create("lease/1", b"%d" % i), range(16))]
    assert won.count(True) == 1
    assert store.read("lease/1") == b"%d" % won.index(True)
    assert [one.name for one in store.entries()] == ["lease/1"]


def test_nothing_half_written_is_seen(make_store: MakeStore) -> None:
    store = make_store("state")
    contents = [bytes([65 + i]) * (1 << 16) for i in range(6)]
    store.write("x", contents[0])
    with ThreadPoolExecutor(4) as pool:
        writes = [pool.submit(store.write, "x", content) for content in contents * 3]
        seen = {store.read("x") for _ in range(30)}
        [write.result() for write in writes]
    assert seen <= set(contents)


def test_a_listing_is_never_all_in_memory(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page at a time: the second is not asked for before the first is used up."""
    store = open_store(f"{s3}/many")
    assert isinstance(store, RemoteStore)
    for i in range(7):
        store.write(f"{i}", b"")
    asked = []
    call = type(store._files).call_s3

    def counted(files: object, method: str, **arguments: object) -> object:
        asked.append(method)
        return call(files, method, **arguments, MaxKeys=3)

    monkeypatch.setattr(type(store._files), "call_s3", counted)
    listing = store.entries()
    assert [next(listing).name for _ in range(3)] == ["0", "1", "2"] and len(asked) == 1
    assert [one.name for one in listing] == ["3", "4", "5", "6"] and len(asked) == 3


def test_links_of_a_folder(tmp_path: Path) -> None:
    folder, other = tmp_path / "in", tmp_path / "other"
    folder.mkdir()
    other.mkdir()
    (other / "a.jpg").touch()
    (folder / "round").symlink_to(folder)
    (folder / "photo.jpg").symlink_to(other / "a.jpg")
    (folder / "nowhere.jpg").symlink_to(other / "b.jpg")
    os.mkfifo(folder / "pipe.jpg")
    store = LocalStore(folder)
    assert [one.name for one in store.entries()] == ["nowhere.jpg", "photo.jpg"]
    (folder / "out").symlink_to(other)
    with pytest.raises(StoreError, match="a link, through which no results are written"):
        store.push(put(tmp_path, b"x"), "out/x.png")
    assert [file.name for file in other.iterdir()] == ["a.jpg"]


def test_a_folder_that_cannot_be_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.jpg").touch()
    (tmp_path / "b.jpg").touch()
    listed = os.scandir

    def refused(path: str | Path) -> object:
        if Path(path).name == "a":
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", refused)  # as root everything may be read
    faults: list[str] = []
    found = [
        one.name for one in LocalStore(tmp_path).entries(on_error=lambda name, error: faults.append(name))
    ]
    assert (found, faults) == (["b.jpg"], ["a"])
    with pytest.raises(StoreError, match="give yourself the right"):
        [*LocalStore(tmp_path).entries()]


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """A folder as a web server shows it."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

        def send_head(self) -> Any:
            if self.path.endswith("endless"):
                self.send_response(200)
                self.end_headers()
                with self.connection as connection:
                    for _ in range(64):
                        connection.sendall(bytes(1 << 14))
                return None
            return super().send_head()

    (tmp_path / "web" / "sub").mkdir(parents=True)
    (tmp_path / "web" / "a.jpg").write_bytes(b"one")
    (tmp_path / "web" / "sub" / "b.jpg").write_bytes(b"two")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "web")))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()


def test_a_web_server(web: str, tmp_path: Path) -> None:
    pytest.importorskip("aiohttp")
    store = open_store(web)
    assert [one.name for one in store.entries()] == ["a.jpg", "sub/b.jpg"]
    assert store.pull("sub/b.jpg", tmp_path / "b.jpg", most=3).read_bytes() == b"two"
    with pytest.raises(StoreError, match="there is room for 2"):
        store.pull("sub/b.jpg", tmp_path / "b.jpg", most=2)
    with pytest.raises(StoreError):  # it never said how much it would send
        store.pull("endless", tmp_path / "e.jpg", most=1 << 15)
    assert not store.writable


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ("ftp://host/a", "no kind of store that is known"),
        ("zip://a.jpg::file:///b.zip", "stores within others"),
        ("simplecache::s3://a/b", "stores within others"),
        ("file://relative", "give the whole path"),
        ("reference://x", "no kind of store"),
    ],
)
def test_what_is_no_store(place: str, text: str) -> None:
    with pytest.raises(InputError, match=text):
        open_store(place)


def test_no_password_in_messages(tmp_path: Path) -> None:
    place = "https://me:secret@127.0.0.1:9/x"
    assert "secret" not in shown(place) and "secret" not in repr(open_store(place))
    with pytest.raises(StoreError) as caught:
        [*open_store(place).entries()]
    assert "secret" not in str(caught.value) and "\n" not in str(caught.value)


def test_places() -> None:
    assert is_url("s3://a") and not is_url("a/b") and not is_url("/a://b")
    assert split_place("s3://a/b/c.jpg") == ("s3://a/b", "c.jpg")
    assert split_place("s3://a") == ("s3://a", "") and split_place("c.jpg") == (".", "c.jpg")
    assert split_place("/c.jpg") == ("/", "c.jpg") and split_place("/a/b/c.jpg") == ("/a/b", "c.jpg")
