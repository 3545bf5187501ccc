"""Models from hostile archives and servers: one line, in time, and what was there stays."""

from __future__ import annotations

import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer

import pytest

from blindsr.errors import InputError, ModelError
from blindsr.models.catalogue import find_model
from blindsr.pulling import pull as pulling
from blindsr.pulling import sources
from blindsr.pulling.pull import pull
from blindsr.pulling.sources import shown_url
from blindsr.system import files
from blindsr.system.files import exchange

from ..children import finished
from ..conftest import MakeModel, Run, write_model

POLITE = b"HTTP/1.1 100 Continue\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

ENDLESS = {
    "100 Continue": (b"", POLITE),
    "slow 100 Continue": (b"", [POLITE]),
    "headers": (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
    "a header": (b"HTTP/1.1 200 OK\r\nX: ", b"y" * 1000),
    "a slow header": (b"HTTP/1.1 200 OK\r\nX: ", [b"y"]),
    "slow bytes": (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", [b"{"]),
    "a slow chunk": (CHUNKED + b"fffff\r\n", [b"{"]),
    "a chunk's slow length": (CHUNKED, [b"0"]),
    "trailers": (CHUNKED + b"1\r\n{\r\n0\r\n", b"X: y\r\n"),
    "slow trailers": (CHUNKED + b"1\r\n{\r\n0\r\n", [b"X: y\r\n"]),
    "a status": (b"HTTP/1.1 200 ", b"O" * 1000),
    "a card": (b"HTTP/1.1 200 OK\r\n\r\n", b"{" * 10_000),
}
"""What a server sends first, and then for ever; a list: slowly."""


@pytest.fixture
def endless(request: pytest.FixtureRequest) -> Iterator[str]:
    """URL of a server that never comes to an end."""
    first, then = ENDLESS[request.param]
    over = threading.Event()

    class Handler(StreamRequestHandler):
        def handle(self) -> None:
            try:
                self.wfile.write(first)
                while not over.is_set():
                    self.wfile.write(then[0] if isinstance(then, list) else then)
                    if isinstance(then, list):
                        time.sleep(0.02)
            except OSError:
                pass

    with ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/m"
        over.set()
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("endless", ENDLESS, indirect=True)
def test_a_server_without_an_end(endless: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "PATIENCE", 0.3)
    monkeypatch.setattr(sources, "ATTEMPTS", 2)
    start = time.monotonic()
    with pytest.raises(ModelError) as caught:
        pull(endless, folder=tmp_path / "shelf")
    assert "\n" not in str(caught.value) and time.monotonic() - start < 30
    assert not (tmp_path / "shelf").exists() or not [*(tmp_path / "shelf").iterdir()]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://h/m/card.json", "https://h/m/card.json"),
        ("https://h:8000/@scope/m", "https://h:8000/@scope/m"),
        ("https://me:secret@h/m", "https://h/m"),
        ("https://me:sec/ret@h/m", "https://h/m"),
        ("https://me:sec@ret@h/m", "https://h/m"),
        ("https://h/m?key=secret", "https://h/m?..."),
        ("https://me:secret@[::1/m?key=secret@", "https://[::1/m?..."),
        ("/a/path@home", "/a/path@home"),
    ],
)
def test_urls_are_shown_without_secrets(url: str, shown: str) -> None:
    assert shown_url(url) == shown


@pytest.mark.parametrize(
    "url",
    [
        "https://me:secret@127.0.0.1:9/m", "https://me:secret@127.0.0.1:9/m.zip", "http://me:sec/secret@127.0.0.1/m",
        "http://me:secret@[::1/m", "http://127.0.0.1:9/m?key=secret", "http://127.0.0.1:9/m.zip?key=secret",
        "ftp://me:secret@h/m", "file://me:secret@h/m", "http://secret@127.0.0.1:9/m", "http://h:secret@/",
    ],
)  # fmt: skip
def test_a_password_is_never_told(run: Run, tmp_path: Path, url: str) -> None:
    code, out, error = run("pull", url, "--to", tmp_path / "shelf")
    assert code == 2 and "secret" not in out + error and len(error.splitlines()) == 1


@pytest.mark.slow
@pytest.mark.parametrize("can_exchange", [True, False])
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_killed_while_one_model_replaces_another(
    make_model: MakeModel, tmp_path: Path, can_exchange: bool
) -> None:
    """Killed after any renaming of folders, the old model or the new one is there, whole."""
    new, shelf = make_model("new", seed=5), tmp_path / "shelf"
    program = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from blindsr.pulling import pull as pulling\n"
        "left = [int(sys.argv[3])]\n"
        "def then_killed(move):\n"
        "    def moved(*names):\n"
        "        done = move(*names)\n"
        "        left[0] -= done is not False\n"
        "        if left[0] < 0:\n"
        "            os.kill(os.getpid(), 9)\n"
        "        return done\n"
        "    return moved\n"
        "Path.rename = then_killed(Path.rename)\n"
        "pulling.exchange = then_killed(pulling.exchange if sys.argv[4] else lambda *names: False)\n"
        "pulling.pull(sys.argv[1], folder=Path(sys.argv[2]), name='victim', force=True)\n"
    )
    ends = []
    for renamings in range(5):
        write_model(shelf / "victim", seed=1)
        arguments = [new, shelf, str(renamings), "yes" * can_exchange]
        ended = finished(sys.executable, "-c", program, *arguments)
        ends.append(ended.returncode)
        if can_exchange:
            assert find_model(shelf / "victim").name in ("victim", "new")
        pulled = pull(new, folder=shelf, name="other", force=True)  # whatever is next clears up
        assert pulled.fetched and find_model(shelf / "victim").name in ("victim", "new")
        assert {path.name for path in shelf.iterdir()} == {"victim", "other"}
        shutil.rmtree(shelf)
    assert ends[0] == -signal.SIGKILL and ends[-1] == 0


def test_what_a_name_of_its_own_hides_is_given_back(make_model: MakeModel, tmp_path: Path) -> None:
    shelf = tmp_path / "shelf"
    write_model(shelf / f"{pulling._REPLACED}lost", seed=1)
    write_model(shelf / f"{pulling._REPLACED}kept", seed=1)
    write_model(shelf / "kept", seed=2)
    pull(make_model(), folder=shelf)
    assert {path.name for path in shelf.iterdir()} == {"lost", "kept", "tiny"}
    with pytest.raises(InputError):  # nothing is given back to a place that is none
        pull(make_model(), folder=tmp_path / "shelf" / "tiny" / "card.json")


@pytest.mark.skipif(sys.platform != "linux", reason="as the file system allows")
def test_two_folders_are_exchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    if not exchange(tmp_path / "a", tmp_path / "b"):
        pytest.skip("not on this file system")
    assert (tmp_path / "a" / "b").exists() and (tmp_path / "b" / "a").exists()
    with pytest.raises(OSError):
        exchange(tmp_path / "a", tmp_path / "absent")
    monkeypatch.setattr(files.sys, "platform", "other")  # type: ignore[attr-defined]
    assert not exchange(tmp_path / "a", tmp_path / "b")
