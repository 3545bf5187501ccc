"""Models from folders, archives and a real web server: whole, verified, or not there at all."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import signal
import sys
import tarfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from blindsr.errors import BlindSRError, InputError, ModelError
from blindsr.models.catalogue import available_models, find_model
from blindsr.pulling import pull as pulling
from blindsr.pulling import sources
from blindsr.pulling.pull import pull

from ..children import BLINDSR, LONGEST, started
from ..conftest import MakeModel, Run


class Site:
    """A web server on this machine: its files by path, and how it answers.

    Attributes:
        files: What it serves.
        broken: Bytes after which an answer breaks off, by path.
        ranges: Whether it knows of them.
        redirects: Other URLs by path.
        asked: What it was asked for: path, and the first byte.
        waits: Paths whose answers stay unfinished.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.broken: dict[str, int] = {}
        self.redirects: dict[str, str] = {}
        self.waits: set[str] = set()
        self.ranges = False
        self.asked: list[tuple[str, int]] = []
        self.waiting = threading.Event()
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.answer(self)

            def log_message(self, *arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=lambda: self.server.serve_forever(poll_interval=0.01))
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def serve(self, folder: Path, at: str) -> str:
        """Serve a folder's files; gives their URL."""
        for file in folder.rglob("*"):
            if file.is_file():
                self.files[quote(f"{at}/{file.relative_to(folder).as_posix()}")] = file.read_bytes()
        return self.url + quote(at)

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        path = request.path.partition("?")[0]
        match = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", ""))
        start = int(match[1]) if match else 0
        self.asked.append((request.path, start))
        if path in self.redirects:
            request.send_response(302)
            request.send_header("Location", self.redirects[path])
            request.end_headers()
            return
        if path not in self.files:
            request.send_error(404)
            return
        content = self.files[path]
        if start and self.ranges:
            request.send_response(206)
            request.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            content = content[start:]
        else:
            request.send_response(200)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content[: self.broken.get(path, len(content))])
        if path in self.waits:
            request.wfile.flush()
            self.waiting.set()
            request.rfile.read(1)  # until the client has gone


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder of models, of this test alone."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "data" / "blindsr" / "models"


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def content(folder: Path) -> dict[str, bytes]:
    return {
        file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()
    }


def edit_card(folder: Path, **changes: object) -> Path:
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    (folder / "card.json").write_text(json.dumps(card | changes), encoding="utf-8")
    return folder


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def tarred(path: Path, members: dict[str, bytes | tarfile.TarInfo], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, data in members.items():
            if isinstance(data, tarfile.TarInfo):
                archive.addfile(data)
                continue
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return path


Given = Callable[[Site, Path, Path], str]
"""What is pulled, made of (site, model, empty folder)."""


def in_folder(site: Site, model: Path, free: Path) -> str:
    return str(model)


def as_card(site: Site, model: Path, free: Path) -> str:
    return str((model / "card.json").rename(model / "other name.json"))


def as_file_url(site: Site, model: Path, free: Path) -> str:
    return model.as_uri()


def as_file_url_of_a_card(site: Site, model: Path, free: Path) -> str:
    return (model / "card.json").as_uri()


def as_zip(site: Site, model: Path, free: Path) -> str:
    members = {f"top/{name}": data for name, data in content(model).items()}
    return str(zipped(free / "m.ZIP", {"__MACOSX/top/._card.json": b"-", "top/": b"", **members}))


def as_tar(site: Site, model: Path, free: Path) -> str:
    return str(tarred(free / "m.tar", {f"./{n}": d for n, d in content(model).items()}, "w"))


def as_tar_gz(site: Site, model: Path, free: Path) -> str:
    return str(tarred(free / "m.tgz", {f"a/b/{n}": d for n, d in content(model).items()}))


def on_the_web(site: Site, model: Path, free: Path) -> str:
    return site.serve(model, "/models/tiny")


def on_the_web_with_slash(site: Site, model: Path, free: Path) -> str:
    return site.serve(model, "/models/tiny") + "/"


def card_on_the_web(site: Site, model: Path, free: Path) -> str:
    site.serve(model, "/m é")
    return f"{site.url}/m é/card.json?key=1#here"


def zip_on_the_web(site: Site, model: Path, free: Path) -> str:
    site.files["/get/m.zip"] = zipped(free / "m.zip", content(model)).read_bytes()
    site.redirects["/m.zip"] = "/get/m.zip"
    return f"{site.url}/m.zip?download=1"


def tar_gz_on_the_web(site: Site, model: Path, free: Path) -> str:
    site.files["/m.tar.gz"] = tarred(free / "m.tar.gz", dict(content(model))).read_bytes()
    return f"{site.url}/m.tar.gz"


EVERY_KIND = (
    in_folder, as_card, as_file_url, as_file_url_of_a_card, as_zip, as_tar, as_tar_gz,
    on_the_web, on_the_web_with_slash, card_on_the_web, zip_on_the_web, tar_gz_on_the_web,
)  # fmt: skip


@pytest.fixture
def model(make_model: MakeModel) -> Path:
    """A model of two graphs, one of them in a folder of its own, and a file that the card does not name."""
    folder = make_model("tiny")
    (folder / "graphs of it").mkdir()
    (folder / "condition.onnx").rename(folder / "graphs of it" / "condition.onnx")
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    card["files"]["condition"]["path"] = "graphs of it/condition.onnx"
    (folder / "notes.txt").write_bytes(b"not the model's")
    return edit_card(folder, files=card["files"])


@pytest.mark.parametrize("given", EVERY_KIND, ids=lambda given: given.__name__)
def test_every_kind_of_source(site: Site, model: Path, home: Path, tmp_path: Path, given: Given) -> None:
    """What arrives is what the card names, byte for byte; pulled once more it is there already."""
    wanted = content(model)
    del wanted["notes.txt"]
    source = given(site, model, tmp_path)
    pulled = pull(source)
    assert (pulled.name, pulled.folder, pulled.fetched) == ("tiny", home / "tiny", True)
    assert content(home / "tiny") == wanted and [*home.iterdir()] == [home / "tiny"]
    assert find_model("tiny").files["base"] == home / "tiny" / "base.onnx"
    before = len(site.asked)
    again = pull(source)
    assert (again.folder, again.fetched, again.sha256) == (home / "tiny", False, pulled.sha256)
    asked = [path.partition("?")[0].rpartition("/")[2] for path, _ in site.asked[before:]]
    packed = [f"m{end}" for end in (".zip", ".tar.gz") if end in source]
    # Of a folder the card alone; of an archive, which nothing tells of from outside, the whole.
    assert asked == (["card.json"] if not packed else packed * (1 + len(site.redirects))) * bool(asked)
    assert bool(asked) == source.startswith("http")


def test_the_cards_query_goes_with_every_file(site: Site, model: Path, tmp_path: Path) -> None:
    pull(card_on_the_web(site, model, tmp_path))
    assert {path.rpartition("/")[2] for path, _ in site.asked} == {
        "card.json?key=1",
        "base.onnx?key=1",
        "condition.onnx?key=1",
    }


def test_urls_as_people_write_them(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(sources, "_fetch", asked.append)
    for url in (
        "https://bücher.example:80/a b/é#x",
        "HTTP://h/a%20b/m.json?x=1",
        "http://h",
        "http://h/m.tar.gz",
    ):
        found = sources.find_source(url)
        if not isinstance(found, sources.Archive):
            found.open(found.card)
            found.open("x:y/base 1.onnx")
    assert asked == [
        "https://xn--bcher-kva.example:80/a%20b/%C3%A9/card.json",
        "https://xn--bcher-kva.example:80/a%20b/%C3%A9/x%3Ay/base%201.onnx",
        "http://h/a%20b/m.json?x=1",
        "http://h/a%20b/x%3Ay/base%201.onnx?x=1",
        "http://h/card.json",
        "http://h/x%3Ay/base%201.onnx",
        "http://h/m.tar.gz",
    ]


def test_names(make_model: MakeModel, home: Path) -> None:
    folder = make_model("tiny")
    assert pull(folder, name="mine-2.0").folder == home / "mine-2.0"
    assert pull(edit_card(folder, name="写真")).folder == home / "写真"
    for name in ("../out", "a/b", "", ".hidden", "a\\b", "C:", "two words", "end.", "n" * 101, "a\n", "-o"):
        with pytest.raises(InputError, match=re.escape(f"model name {name!r}")):
            pull(folder, name=name)
        with pytest.raises(InputError, match="with --name"):
            pull(edit_card(folder, name=name))
    assert {entry.name for entry in home.iterdir()} == {"mine-2.0", "写真"}


def test_checksums_pin_the_card_or_the_archive(site: Site, model: Path, home: Path, tmp_path: Path) -> None:
    card, packed = model / "card.json", zipped(tmp_path / "m.zip", content(model))
    site.files["/m.zip"] = packed.read_bytes()
    for source, pinned in (
        (str(model), card),
        (site.serve(model, "/tiny"), card),
        (str(packed), packed),
        (f"{site.url}/m.zip", packed),
    ):
        right = digest(pinned.read_bytes())
        with pytest.raises(ModelError, match=f"its SHA-256 is {right}, not the one"):
            pull(source, sha256="0" * 64)
        assert not home.exists() or not [*home.iterdir()]
        assert pull(source, sha256=right.upper()).sha256 == right
        shutil.rmtree(home)
    with pytest.raises(InputError, match="give the 64 hex digits"):
        pull(model, sha256="abc")


def test_what_is_there_and_the_same_is_not_fetched(site: Site, model: Path, home: Path) -> None:
    url = site.serve(model, "/tiny")
    pull(url)
    (home / "tiny" / "base.onnx").write_bytes(b"damaged")
    assert pull(url).fetched and find_model("tiny")  # the same model, made whole again
    assert not pull(url).fetched


def test_another_model_of_that_name(make_model: MakeModel, home: Path, site: Site, tmp_path: Path) -> None:
    first, second = make_model("tiny"), make_model("other", seed=5, scale=2)
    pull(first)
    url = site.serve(second, "/tiny")
    before = content(home)
    with pytest.raises(InputError, match=r"models.tiny: a model of that name is there already"):
        pull(url, name="tiny")
    assert content(home) == before and [path for path, _ in site.asked] == ["/tiny/card.json"]
    assert pull(url, name="tiny", force=True).fetched and find_model("tiny").scale == 2
    assert content(home / "tiny") == content(second) and [*home.iterdir()] == [home / "tiny"]


def test_a_failing_replacement_leaves_what_was_there(
    make_model: MakeModel, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pull(make_model("tiny"))
    before = content(home)
    rename = Path.rename

    def fail(self: Path, target: Path) -> Path:
        if self.name == "model":
            raise OSError(28, "No space left on device", str(target))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    monkeypatch.setattr(pulling, "exchange", lambda *folders: False)  # as on systems that cannot
    with pytest.raises(InputError, match=r"tiny: cannot be written \(No space left on device\)"):
        pull(make_model("other", seed=1), name="tiny", force=True)
    assert content(home) == before and [*home.iterdir()] == [home / "tiny"]


def test_what_is_no_model_is_never_replaced(make_model: MakeModel, home: Path) -> None:
    folder = make_model("tiny")
    pull(folder)
    (home / "tiny" / "results").mkdir()
    (home / "tiny" / "results" / "mine.png").write_bytes(b"x")
    with pytest.raises(InputError, match=r"mine\.png: in the place of the model, and not part of it"):
        pull(make_model("other", seed=1), name="tiny", force=True)
    (home / "photos").mkdir()
    (home / "file").write_bytes(b"x")
    for name in ("photos", "file"):
        with pytest.raises(InputError, match=f"{name}: in the way, and no model"):
            pull(folder, name=name, force=True)
    assert find_model("tiny") and (home / "tiny" / "results" / "mine.png").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_a_link_is_replaced_and_what_it_leads_to_stays(make_model: MakeModel, home: Path) -> None:
    first, second = make_model("first"), make_model("tiny", seed=1)
    home.mkdir(parents=True)
    (home / "tiny").symlink_to(first)
    before = content(first)
    assert pull(second, force=True).fetched
    assert content(first) == before and content(home / "tiny") == content(second)


def test_a_shipped_model_is_not_stood_before_unasked(make_model: MakeModel) -> None:
    name, shipped = next(iter(available_models().items()))
    assert not pull(shipped).fetched  # the shipped one is whole, and found by that name
    folder = make_model(name)
    with pytest.raises(InputError, match="a model of that name is there already"):
        pull(folder)
    pull(folder, force=True)
    assert find_model(name).description == "random weights"


def test_where_models_are_put(
    make_model: MakeModel, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first folder of models that is listed; not a model that is listed, nor what is not there."""
    listed, alone, model = tmp_path / "listed", make_model("alone"), make_model("tiny")
    monkeypatch.setenv("BLINDSR_MODELS", os.pathsep.join(map(str, (alone, tmp_path / "absent", listed))))
    assert pull(model).folder == home / "tiny"
    assert pull(model, name="tiny").folder == home / "tiny"
    listed.mkdir()
    assert pull(model, name="second").folder == listed / "second"
    assert not pull(model).fetched
    assert pull(model, folder=tmp_path / "a" / "b").folder == tmp_path / "a" / "b" / "tiny"
    assert {"alone", "tiny", "second"} <= set(available_models())
    monkeypatch.setattr(pulling.os, "access", lambda *_: False)  # type: ignore[attr-defined]
    assert pull(model, name="third").folder == home / "third"


@pytest.mark.skipif(sys.platform == "win32", reason="the user's folder is another there")
def test_without_a_home(make_model: MakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    with pytest.raises(InputError, match="no home to keep models in; name a folder with --to"):
        pull(make_model("tiny"))


def broken_off(site: Site, model: Path, free: Path) -> str:
    site.broken["/tiny/base.onnx"] = 0
    return site.serve(model, "/tiny")


def changed(site: Site, model: Path, free: Path) -> str:
    url = site.serve(model, "/tiny")
    site.files["/tiny/base.onnx"] = site.files["/tiny/base.onnx"][::-1]
    return url


def changed_in_a_folder(site: Site, model: Path, free: Path) -> str:
    (model / "base.onnx").write_bytes(b"another")
    return str(model)


def incomplete(site: Site, model: Path, free: Path) -> str:
    (model / "base.onnx").unlink()
    return str(model)


def no_file(site: Site, model: Path, free: Path) -> str:
    (model / "base.onnx").unlink()
    (model / "base.onnx").mkdir()
    return str(model)


def incomplete_on_the_web(site: Site, model: Path, free: Path) -> str:
    url = site.serve(model, "/tiny")
    del site.files["/tiny/graphs%20of%20it/condition.onnx"]
    return url


def incomplete_archive(site: Site, model: Path, free: Path) -> str:
    return str(zipped(free / "m.zip", {"card.json": content(model)["card.json"]}))


def absent_on_the_web(site: Site, model: Path, free: Path) -> str:
    return f"{site.url}/nothing"


def web_page(site: Site, model: Path, free: Path) -> str:
    site.files["/tiny/card.json"] = b"<!DOCTYPE html>"
    return f"{site.url}/tiny"


def nobody(site: Site, model: Path, free: Path) -> str:
    return "http://127.0.0.1:9/tiny"  # the port of "discard", where nobody listens


def bad_port(site: Site, model: Path, free: Path) -> str:
    return "http://127.0.0.1:port/tiny"


def bad_host(site: Site, model: Path, free: Path) -> str:
    return "http://[::1/tiny"


def other_scheme(site: Site, model: Path, free: Path) -> str:
    return "ftp://127.0.0.1/tiny"


def other_machine(site: Site, model: Path, free: Path) -> str:
    return "file://machine/tiny"


def redirect_to_a_file(site: Site, model: Path, free: Path) -> str:
    site.redirects["/tiny/card.json"] = (model / "card.json").as_uri()
    return f"{site.url}/tiny"


def circle(site: Site, model: Path, free: Path) -> str:
    site.redirects["/tiny/card.json"] = "/tiny/card.json"
    return f"{site.url}/tiny"


def large_card(site: Site, model: Path, free: Path) -> str:
    site.files["/card.json"] = b" " * (4 << 20) + b"{}"
    return f"{site.url}/card.json"


def deep_card(site: Site, model: Path, free: Path) -> str:
    (model / "card.json").write_bytes(b"[" * 100_000)
    return str(model)


def nameless_card(site: Site, model: Path, free: Path) -> str:
    (model / "card.json").write_bytes(b"[1]")
    return str(model)


def faulty_card(site: Site, model: Path, free: Path) -> str:
    return site.serve(edit_card(model, halo=-1), "/tiny")


def card_that_leaves(site: Site, model: Path, free: Path) -> str:
    files = {"base": {"path": "../../out.onnx", "sha256": "0" * 64}}
    return str(edit_card(model, files=files))


def card_that_names_itself(site: Site, model: Path, free: Path) -> str:
    files = {role: {"path": "card.json", "sha256": "0" * 64} for role in ("base", "condition")}
    return str(edit_card(model, files=files))


def card_with_a_drive(site: Site, model: Path, free: Path) -> str:
    return str(edit_card(model, files={"base": {"path": "C:out.onnx", "sha256": "0" * 64}}))


def card_with_a_control(site: Site, model: Path, free: Path) -> str:
    return str(edit_card(model, files={"base": {"path": "a\0b", "sha256": "0" * 64}}))


def no_model(site: Site, model: Path, free: Path) -> str:
    (free / "photo.png").write_bytes(b"x")
    return str(free / "photo.png")


def nothing(site: Site, model: Path, free: Path) -> str:
    return str(free / "absent")


def no_zip(site: Site, model: Path, free: Path) -> str:
    site.files["/m.zip"] = b"<!DOCTYPE html>"
    return f"{site.url}/m.zip"


def no_gzip(site: Site, model: Path, free: Path) -> str:
    (free / "m.tar.gz").write_bytes(b"x" * 1000)
    return str(free / "m.tar.gz")


def cut_tar_gz(site: Site, model: Path, free: Path) -> str:
    path = Path(as_tar_gz(site, model, free))
    path.write_bytes(path.read_bytes()[:-100])
    return str(path)


def no_tar(site: Site, model: Path, free: Path) -> str:
    (free / "m.tar").write_bytes(b"x" * 2000)
    return str(free / "m.tar")


def damaged_zip(site: Site, model: Path, free: Path) -> str:
    path = zipped(free / "m.zip", content(model))
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        entry = archive.getinfo("base.onnx")
    data[entry.header_offset + 60 : entry.header_offset + 200] = bytes(140)
    path.write_bytes(data)
    return str(path)


def encrypted_zip(site: Site, model: Path, free: Path) -> str:
    path = zipped(free / "m.zip", content(model))
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02")
    data[at + 8] |= 1
    path.write_bytes(data)
    return str(path)


def two_models(site: Site, model: Path, free: Path) -> str:
    return str(zipped(free / "m.zip", {f"{top}/{n}": d for top in "ab" for n, d in content(model).items()}))


def no_card(site: Site, model: Path, free: Path) -> str:
    return str(zipped(free / "m.zip", {"a.txt": b"x"}))


def zip_that_leaves(site: Site, model: Path, free: Path) -> str:
    return str(zipped(free / "m.zip", {**content(model), "../../out": b"x"}))


def zip_that_leaves_on_windows(site: Site, model: Path, free: Path) -> str:
    return str(zipped(free / "m.zip", {**content(model), "a\\..\\..\\out": b"x"}))


def zip_with_a_root(site: Site, model: Path, free: Path) -> str:
    return str(zipped(free / "m.zip", {**content(model), "/tmp/out": b"x"}))


def zip_with_a_link(site: Site, model: Path, free: Path) -> str:
    path = zipped(free / "m.zip", content(model))
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    return str(path)


def tar_that_leaves(site: Site, model: Path, free: Path) -> str:
    return str(tarred(free / "m.tar.gz", {**content(model), "../out": b"x"}))


def tar_with_a_link(site: Site, model: Path, free: Path) -> str:
    link = tarfile.TarInfo("base.onnx")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    return str(tarred(free / "m.tar.gz", {**content(model), "link": link}))


FAULTS: dict[Given, str] = {
    broken_off: r"/tiny/base\.onnx: broke off after 0 of \d+ bytes \(the connection ended early\)",
    changed: r"/tiny/base\.onnx: not the file that the card means",
    changed_in_a_folder: r"tiny.base\.onnx: not the file that the card means",
    incomplete: r"base\.onnx: cannot be read \(No such file or directory\); the model is incomplete",
    no_file: r"base\.onnx: not a file",
    incomplete_on_the_web: r"graphs%20of%20it/condition\.onnx: the server answers 404 Not Found",
    incomplete_archive: r"m\.zip: no base\.onnx in it; the model is incomplete",
    absent_on_the_web: r"/nothing/card\.json: the server answers 404 Not Found",
    web_page: r"/tiny/card\.json: no model card, not valid JSON",
    nobody: r"http://127\.0\.0\.1:9/tiny/card\.json: cannot be fetched \(Connection refused\)",
    bad_port: r"cannot be fetched \(nonnumeric port",
    bad_host: r"http://\[::1/tiny: not a URL \(",
    other_scheme: r"unsupported scheme ftp; give a URL of http, https or file",
    other_machine: r"a file of another machine",
    redirect_to_a_file: r"/tiny/card\.json: the server answers 302 Found - Redirection to url 'file:",
    circle: r"/tiny/card\.json: the server answers 302 .*infinite loop",
    large_card: r"/card\.json: larger than 4 MiB, so it is no model card",
    deep_card: r"card\.json: no model card, not valid JSON",
    nameless_card: r"card\.json: no model card, it names no model",
    faulty_card: r"http://[\d.:]+/tiny/card\.json: halo -1 is not between",
    card_that_leaves: r"'\.\./\.\./out\.onnx' is not a file in the model's folder",
    card_that_names_itself: r"files\.base: 'card\.json' is another file's name",
    card_with_a_drive: r"'C:out\.onnx' is not a file in the model's folder",
    card_with_a_control: r"'a\\x00b' is not a file in the model's folder",
    no_model: r"photo\.png: not a model; give the folder",
    nothing: r"absent: no such file or folder; give a path or a URL of the folder",
    no_zip: r"/m\.zip: not a sound zip archive \(File is not a zip file\)",
    no_gzip: r"m\.tar\.gz: cannot be read to its end \(Not a gzipped file",
    cut_tar_gz: r"m\.tgz: cannot be read to its end",
    no_tar: r"m\.tar: not a sound tar archive",
    damaged_zip: r"m\.zip: base\.onnx: cannot be read to its end",
    encrypted_zip: r"m\.zip: .* is encrypted or packed in a way not read here",
    two_models: r"m\.zip: it holds 2 models; pack each for itself",
    no_card: r"m\.zip: no card\.json in it",
    zip_that_leaves: r"m\.zip: its member '\.\./\.\./out' lies outside of it; nothing is unpacked",
    zip_that_leaves_on_windows: r"lies outside of it; nothing is unpacked",
    zip_with_a_root: r"its member '/tmp/out' lies outside of it",
    zip_with_a_link: r"its member 'link' is a link or no file; nothing is unpacked",
    tar_that_leaves: r"m\.tar\.gz: its member '\.\./out' lies outside of it",
    tar_with_a_link: r"m\.tar\.gz: its member 'base\.onnx' is a link or no file",
}


@pytest.mark.parametrize(("given", "fault"), FAULTS.items(), ids=lambda part: getattr(part, "__name__", "-"))
def test_what_cannot_be_pulled_leaves_everything_as_it_was(
    site: Site, model: Path, make_model: MakeModel, home: Path, tmp_path: Path, given: Given, fault: str
) -> None:
    """One line that names the file, nothing half left, and the model of that name is still there."""
    pull(make_model("before", seed=3), name="tiny")
    before, source = content(home), given(site, model, tmp_path)
    elsewhere = content(tmp_path)
    with pytest.raises(ModelError, match=fault) as caught:
        pull(source, name=None if "card" in given.__name__ or given is web_page else "tiny", force=True)
    assert "\n" not in str(caught.value)
    assert content(home) == before and [*home.iterdir()] == [home / "tiny"]
    assert content(tmp_path) == elsewhere


def test_sizes_are_bounded(site: Site, model: Path, home: Path, tmp_path: Path) -> None:
    url, size = site.serve(model, "/tiny"), len(content(model)["base.onnx"])
    both = size + len(content(model)["graphs of it/condition.onnx"])
    with pytest.raises(ModelError, match=r"takes the model beyond .*; a larger one needs --max-size"):
        pull(url, max_size=both - 1)
    assert pull(url, max_size=both).fetched
    shutil.rmtree(home)
    # A few bytes that would become many: unpacked they are counted, and in the archive's own words too.
    zeros = {"zeros": bytes(3_000_000)}
    for packed in (
        tarred(tmp_path / "m.tar.gz", {**zeros, **content(model)}),
        zipped(tmp_path / "m.zip", {**content(model), "base.onnx": zeros["zeros"]}),
    ):
        assert packed.stat().st_size < 100_000
        with pytest.raises(ModelError, match=r"m\.(zip|tar\.gz).* takes the model beyond 100000 bytes"):
            pull(packed, max_size=100_000)
        site.files[f"/{packed.name}"] = packed.read_bytes()
        with pytest.raises(ModelError, match="takes the model beyond"):
            pull(f"{site.url}/{packed.name}", max_size=1000)
    assert [*home.iterdir()] == []


@pytest.mark.parametrize("ranges", [True, False])
def test_what_breaks_off_goes_on(site: Site, model: Path, home: Path, ranges: bool) -> None:
    """By a range where the server knows them, else by passing over what is there already."""
    url, size = site.serve(model, "/tiny"), len(content(model)["base.onnx"])
    site.ranges = ranges
    site.broken["/tiny/base.onnx"] = step = size // 3 if ranges else size - 10
    if not ranges:  # the second answer is whole
        serve = site.answer

        def answer(request: BaseHTTPRequestHandler) -> None:
            if any(path == "/tiny/base.onnx" for path, _ in site.asked):
                site.broken.clear()
            serve(request)

        site.answer = answer  # type: ignore[method-assign]
    told: list[tuple[str, int, int | None]] = []
    pull(url, on_bytes=lambda *progress: told.append(progress))
    starts = [start for path, start in site.asked if path == "/tiny/base.onnx"]
    assert (
        starts == ([0, step, 2 * step, 3 * step][: len(starts)] if ranges else [0, step]) and len(starts) > 1
    )
    assert told[-1][1:] and (f"{url}/base.onnx", size, size) in told
    assert find_model("tiny").files["base"].stat().st_size == size


def test_not_from_what_is_encrypted_to_what_is_not() -> None:
    handler = sources._Redirects()
    for old, new, followed in (
        ("https://a/x", "http://a/x", False),
        ("https://a/x", "ftp://a/x", False),
        ("http://a/x", "file:///x", False),
        ("https://a/x", "https://b/x", True),
        ("http://a/x", "https://a/x", True),
        ("http://a/x", "http://b/x", True),
    ):
        request = sources.Request(old)  # type: ignore[attr-defined]
        arguments: Any = (request, io.BytesIO(), 302, "Found", {}, new)
        if followed:
            moved = handler.redirect_request(*arguments)
            assert moved is not None and moved.full_url == new
        else:
            with pytest.raises(ModelError, match=f"{old}: leads from .* to {new}, which is not followed"):
                handler.redirect_request(*arguments)


def test_an_exception_in_the_middle_leaves_nothing(site: Site, model: Path, home: Path) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pull(site.serve(model, "/tiny"), on_bytes=interrupt)
    assert [*home.iterdir()] == []


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_signal_in_the_middle(site: Site, model: Path, home: Path, number: int) -> None:
    """Ctrl-C leaves nothing at all; what a killed one leaves is no model, and goes with the next one."""
    url = site.serve(model, "/tiny")
    site.broken["/tiny/base.onnx"] = 100
    site.waits.add("/tiny/base.onnx")
    with started(*BLINDSR, "pull", url) as process:
        assert site.waiting.wait(LONGEST)
        while not [*home.glob(".blindsr-*/model/base.onnx")]:
            assert process.poll() is None
            time.sleep(0.01)
        assert "tiny" not in available_models()
        process.send_signal(number)
        out, error = process.communicate()
    assert out == b""
    if number == signal.SIGINT:
        assert (process.returncode, error) == (130, b"interrupted; no model was changed\n")
        assert [*home.iterdir()] == []
    else:
        assert process.returncode == -number and len([*home.iterdir()]) == 1
    assert "tiny" not in available_models()
    site.broken.clear()
    site.waits.clear()
    pull(url)
    assert [*home.iterdir()] == [home / "tiny"] and find_model("tiny")


def test_a_folder_that_cannot_be_written(make_model: MakeModel, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(InputError, match=r"file: cannot be written \(.*\); free some space, or name another"):
        pull(make_model("tiny"), folder=tmp_path / "file")


def test_command(run: Run, site: Site, model: Path, home: Path, tmp_path: Path) -> None:
    url, pin = site.serve(model, "/tiny"), digest((model / "card.json").read_bytes())
    code, out, error = run("pull", url, "--name", "mine", "--sha256", pin)
    assert (code, out, error) == (0, f"mine: pulled to {home / 'mine'} (SHA-256 {pin})\n", "")
    code, out, error = run("pull", url, "--name", "mine")
    assert code == 0 and out.startswith("mine: there already, as it was: ")
    code, out, _ = run("models")
    (line,) = (line for line in out.splitlines() if line.startswith("mine "))
    assert code == 0 and line.split()[:6] == ["mine", "x4", "yes", "no", "MIT", "user"]
    assert any("shipped" in line for line in out.splitlines())
    code, out, error = run("pull", model, "--to", tmp_path / "shelf")
    path = tmp_path / "shelf" / "tiny"
    assert code == 0 and out.splitlines()[1] == f"call it by its path: --model {path}"
    assert find_model(path).name == "tiny"
    edit_card(model, description="other\x1b[2J")
    code, _, error = run("pull", model, "--name", "mine")
    assert code == 2 and error.startswith("error: ") and error.count("\n") == 1 and "--force" in error
    assert run("pull", model, "--name", "mine", "--force")[0] == 0
    assert "\x1b" not in run("models")[1]  # what a stranger wrote must not command the terminal
    code, _, error = run("pull", model, "--name", "big", "--max-size", "1K")
    assert code == 2 and "takes the model beyond 1024 bytes; a larger one needs --max-size" in error
    code, _, error = run("pull", model, "--max-size", "huge")
    assert code == 2 and "--max-size 'huge': give a size such as 1.5G" in error


def test_a_url_is_no_model_but_can_be_pulled() -> None:
    with pytest.raises(ModelError, match='fetch it once with "blindsr pull"'):
        find_model("https://example.org/tiny")
    with pytest.raises(ModelError, match=r'no model named .*; "blindsr pull" fetches more'):
        find_model("quite-unknown-9")


def test_public_face() -> None:
    import blindsr

    assert blindsr.pull is pull and issubclass(ModelError, BlindSRError)
