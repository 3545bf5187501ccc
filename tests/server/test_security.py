"""What strangers try: each is refused with one line, and the server goes on."""

from __future__ import annotations

import io
import json
import socket
import struct
import sys
import threading
import time
import zipfile
import zlib
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from blindsr.server import connection, events, gate
from blindsr.server.names import disposition, shown_name, told_apart
from blindsr.server.settings import Settings

from .conftest import TOKEN, Running, Serving, disk_files, ended, photo_bytes, send

AUTHORISED = f"Authorization: Bearer {TOKEN}\r\n"
POST = (
    f"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\n{AUTHORISED}"
    "Content-Type: multipart/form-data; boundary=x\r\n"
)
"""The head of a form, but for its length and the empty line."""
A_FILE = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'


def talk(server: Running, sent: bytes, seconds: float = 30) -> bytes:
    """What a server answers to these very bytes, until it closes the connection or is silent for so long."""
    with socket.create_connection(server.place, seconds) as connected:
        connected.sendall(sent)
        answer = b""
        try:
            while piece := connected.recv(1 << 16):
                answer += piece
        except TimeoutError:
            pass
        return answer


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def is_well(server: Running) -> bool:
    with server.client() as client:
        return ended(client, send(client).json())["status"] == "done"


# --- who ---


@pytest.mark.parametrize(
    "header",
    [
        None,
        "Bearer wrong",
        "Bearer",
        f"Basic {TOKEN}",
        TOKEN,
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN}x",
    ],
)
@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/models", "/metrics", "/v1/jobs/0/files/0", "/v1/nothing"])
def test_without_the_right_token_nothing_is_told(shared: Running, header: str | None, path: str) -> None:
    headers = {} if header is None else {"Authorization": header}
    with shared.client(None) as client:
        answer = client.get(path, headers=headers)
    assert answer.status_code == 401 and answer.headers["WWW-Authenticate"] == "Bearer"
    assert TOKEN not in answer.text and answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.slow
def test_a_job_without_a_token_is_not_even_read(shared: Running) -> None:
    head = "POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n"
    answer = talk(shared, f"{head}Content-Type: multipart/form-data; boundary=x\r\n\r\n".encode(), 5)
    assert status(answer) == 401 and disk_files(shared.service.settings.folder) == []


def test_health_and_description_are_open(shared: Running) -> None:
    with shared.client(None) as client:
        assert client.get("/health").status_code == client.get("/openapi.json").status_code == 200


def test_metrics_have_a_token_of_their_own(serving: Serving) -> None:
    with serving(metrics_token="for-prometheus-alone") as server:
        with server.client("for-prometheus-alone") as client:
            assert client.get("/metrics").status_code == 200
            assert client.get("/v1/models").status_code == 401
        with server.client() as client:
            assert client.get("/metrics").status_code == 401


def test_tokens_are_nowhere_on_the_disk(server: Running) -> None:
    assert is_well(server)
    for file in server.service.settings.folder.rglob("*"):
        assert not file.is_file() or TOKEN.encode() not in file.read_bytes(), file


# --- from where ---


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8000",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "localhost:x",
        "localhost@evil.example",
        "evil.example@localhost",
        "",
        "[::1].evil.example",
        "169.254.169.254",
        "10.0.0.1",
        "localhost,evil.example",
        "localhost/..",
        "127.0.0.1 evil.example",
        "xn--localhost",
        "LOCALHOST.evil",
    ],
)
@pytest.mark.parametrize("path", ["/", "/v1/jobs", "/health", "/openapi.json"])
def test_foreign_hosts(shared: Running, host: str, path: str) -> None:
    """A page of another site must not reach the server by a name of its own that leads here."""
    answer = talk(
        shared, f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{AUTHORISED}Connection: close\r\n\r\n".encode()
    )
    assert status(answer) in (400, 421)


def test_a_request_without_a_host(shared: Running) -> None:
    assert status(talk(shared, f"GET /v1/jobs HTTP/1.0\r\n{AUTHORISED}\r\n".encode())) == 421
    two = f"GET /v1/jobs HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n{AUTHORISED}\r\n"
    assert status(talk(shared, two.encode())) == 400


@pytest.mark.parametrize(
    "host", ["localhost", "LocalHost:80", "127.0.0.1", "127.0.0.1:9", "[::1]:8000", "localhost."]
)
def test_own_hosts(shared: Running, host: str) -> None:
    answer = talk(shared, f"GET /health HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    assert status(answer) == 200


def test_a_name_that_was_allowed(serving: Serving) -> None:
    with serving(hosts=("photos.example",)) as server:
        for host, wanted in (("photos.example", 200), ("Photos.Example:443", 200), ("x.photos.example", 421)):
            answer = talk(
                server, f"GET /health HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
            )
            assert status(answer) == wanted, host


def test_an_open_address_takes_digits_but_no_names(serving: Serving) -> None:
    with serving(host="0.0.0.0") as server:
        server.url = server.url.replace(server.place[0], "127.0.0.1")
        for host, wanted in (("192.168.1.5:8000", 200), ("localhost", 200), ("evil.example", 421)):
            answer = talk(
                server, f"GET /health HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
            )
            assert status(answer) == wanted, host


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},
        {"Origin": "http://localhost.evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"},
    ],
)
def test_pages_of_other_sites(serving: Serving, headers: dict[str, str]) -> None:
    """On the loopback no token protects, so a page in the user's browser must not use the server."""
    with serving(tokens=()) as server, server.client(None, **headers) as client:
        assert send(client).status_code == 403
        assert client.get("/v1/jobs").status_code == 403
        answer = client.options("/v1/jobs", headers={"Access-Control-Request-Method": "POST"})
        assert not [name for name in answer.headers if name.startswith("access-control")]
        assert disk_files(server.service.settings.folder) == []


def test_the_own_page_may(serving: Serving) -> None:
    with serving(tokens=()) as server:
        own = {"Origin": server.url, "Sec-Fetch-Site": "same-origin"}
        with server.client(None, **own) as client:
            answer = send(client)
            assert answer.status_code == 202
            assert not [name for name in answer.headers if name.startswith("access-control")]


def test_answers_are_nothing_but_what_they_are(shared: Running) -> None:
    with shared.client() as client:
        answer = client.get("/v1/jobs")
    assert (
        answer.headers["X-Content-Type-Options"] == "nosniff" and answer.headers["X-Frame-Options"] == "DENY"
    )
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "*" not in policy
    assert answer.headers["Cache-Control"] == "no-store" and "server" not in answer.headers


# --- names and paths ---

NAMES = [
    "../../../etc/passwd",
    "..\\..\\x.png",
    "/etc/cron.d/x",
    "C:\\Windows\\x.png",
    "~root/x",
    "a/../../b.png",
    ".htaccess",
    "CON.png",
    "a\r\nSet-Cookie: x=1.png",
    "\u202egnp.exe",
    "x" * 5000 + ".png",
    "a\0b.png",
    "$(reboot).png",
    "-rf",
    "<img src=x onerror=alert(1)>.png",
    '"; filename="evil.exe',
    "é.png",
    "写真.png",
    "",
    ".",
    "..",
    "   ",
    "aux",
]


@pytest.mark.parametrize("name", NAMES)
def test_names_lead_nowhere(name: str) -> None:
    shown = shown_name(name)
    assert shown and shown.isprintable() and not set('/\\<>:"|?*') & set(shown)
    assert not shown.startswith(".") and shown not in ("", ".", "..") and len(shown.encode()) <= 150
    header = disposition(shown)
    assert header.isascii() and header.isprintable() and header.count('"') == 2


def test_names_are_kept_where_they_can_be() -> None:
    assert shown_name("写真 1.final.JPG") == "写真 1.final.JPG"
    assert disposition("写真.png").endswith("; filename*=UTF-8''%E5%86%99%E7%9C%9F.png")
    assert list(told_apart(["a.png", "A.PNG", "a.png", "a-2.png"])) == [
        "a.png",
        "A-2.PNG",
        "a-3.png",
        "a-2-2.png",
    ]


@pytest.mark.parametrize(
    "name", ["../../../evil.png", "<img src=x onerror=alert(1)>.png", "a\\..\\..\\evil.png"]
)
def test_a_photo_s_name_is_only_shown(server: Running, tmp_path: Path, name: str) -> None:
    escaped = name.replace("\\", "\\\\")
    head = f'--x\r\nContent-Disposition: form-data; name="files"; filename="{escaped}"\r\n\r\n'
    body = head.encode() + photo_bytes() + b"\r\n--x--\r\n"
    with server.client() as client:
        answer = client.post(
            "/v1/jobs", content=body, headers={"Content-Type": "multipart/form-data; boundary=x"}
        )
        job = ended(client, answer.json())
        shown = job["photos"][0]
        result, archive = client.get(shown["href"]), client.get(job["archive"])
    assert job["status"] == "done" and not set("/\\<>") & set(shown["name"] + shown["result"])
    assert (
        result.headers["Content-Type"] == "image/png"
        and result.headers["X-Content-Type-Options"] == "nosniff"
    )
    assert result.headers["Content-Disposition"].startswith("attachment;")
    with zipfile.ZipFile(io.BytesIO(archive.content)) as made:
        assert [Path(one).name for one in made.namelist()] == made.namelist() == [shown["result"]]
    assert not list(tmp_path.rglob("evil*")) and not Path("evil.png").exists()
    assert disk_files(server.service.settings.folder) == [f"files/{job['id']}/0.result.png"]


@pytest.mark.parametrize(
    "path",
    [
        "/v1/jobs/..",
        "/v1/jobs/../../jobs.sqlite",
        "/v1/jobs/%2e%2e/events",
        "/v1/jobs/%2e%2e%2f%2e%2e%2fjobs.sqlite",
        "/v1/jobs/..%5c..%5cjobs.sqlite/files/0",
        f"/v1/jobs/{'0' * 32}%00/files/0",
        "/v1/jobs/%F0%9F%92%A9",
        f"/v1/jobs/{'a' * 65}",
        f"/v1/jobs/{'0' * 31}G",
        "/v1/jobs/*",
        "/v1/profiles/..%2f..%2fjobs.sqlite/file",
        "/page/../api.py",
        "/..%2fapi.py",
        "/%2e%2e/settings.py",
        "//etc/passwd",
        "/index.html/../../api.py",
        "/jobs.sqlite",
    ],
)
def test_paths_lead_nowhere(shared: Running, path: str) -> None:
    answer = talk(
        shared, f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{AUTHORISED}Connection: close\r\n\r\n".encode()
    )
    assert status(answer) in (400, 404, 422) and b"SQLite" not in answer and b"import" not in answer


@pytest.mark.parametrize("n", ["-1", "1", "0x0", "99999999999999999999", "0%00", "%D9%A0"])
def test_numbers_of_files(server: Running, n: str) -> None:
    with server.client() as client:
        job = ended(client, send(client).json())
        assert client.get(f"{job['href']}/files/{n}").status_code in (404, 422)


# --- how much ---


def test_a_request_that_says_it_is_too_large(serving: Serving) -> None:
    with serving(max_upload=10_000) as server:
        for length in ("10001", "99999999999999999999999"):
            answer = talk(server, f"{POST}Content-Length: {length}\r\n\r\n".encode())
            assert status(answer) in (400, 413), length
        small = f"DELETE /v1/jobs/{'0' * 32} HTTP/1.1\r\nHost: localhost\r\n{AUTHORISED}"
        assert status(talk(server, f"{small}Content-Length: 70000\r\n\r\n".encode())) == 413


def test_a_request_that_is_too_large_and_does_not_say_so(serving: Serving) -> None:
    def endless() -> Any:
        yield b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
        for _ in range(1000):
            yield bytes(10_000)

    with serving(max_upload=100_000) as server, server.client() as client:
        kind = {"Content-Type": "multipart/form-data; boundary=x"}
        try:
            assert client.post("/v1/jobs", content=endless(), headers=kind).status_code == 413
        except Exception as error:  # it was closed while we still sent
            assert "WriteError" in type(error).__name__ or "RemoteProtocolError" in type(error).__name__
        assert disk_files(server.service.settings.folder) == [] and is_well(server)


def test_a_length_that_lies(serving: Serving) -> None:
    """Less comes than was told: nothing of it stays. More comes: it is no part of the request."""
    body = A_FILE + photo_bytes() + b"\r\n--x--\r\n"
    with serving(patience=1.0) as server:
        short = talk(server, f"{POST}Content-Length: {len(body) + 5000}\r\n\r\n".encode() + body[:300], 20)
        assert status(short) == 408
        long = talk(
            server, f"{POST}Content-Length: {len(body) - 10}\r\nConnection: close\r\n\r\n".encode() + body, 20
        )
        assert status(long) == 400
        negative = talk(server, f"{POST}Content-Length: -5\r\n\r\n".encode(), 20)
        assert status(negative) == 400
        both = f"Content-Length: {len(body)}\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        assert status(talk(server, f"{POST}{both}".encode() + body, 20)) == 400
        assert disk_files(server.service.settings.folder) == [] and is_well(server)


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        (b"", 400),
        (b"nonsense", 400),
        (b"--x\r\n", 400),
        (b"--x--\r\n", 422),
        (b"--x\r\nContent-Disposition: form-data\r\n\r\na\r\n--x--\r\n", 400),
        (
            b'--x\r\nContent-Disposition: form-data; name="texture"\r\n\r\n' + b"1" * 5000 + b"\r\n--x--\r\n",
            413,
        ),
        (b'--x\r\nContent-Disposition: form-data; name="texture"\r\n\r\n\xff\r\n--x--\r\n', 422),
        (b'--x\r\nContent-Disposition: form-data; name="model"; filename="a"\r\n\r\nx\r\n--x--\r\n', 422),
        (A_FILE + b"\r\n--x--\r\n", 422),
        (A_FILE + b"GIF89\r\n--x--\r\n", 415),
        (b"--x\r\n" + b"A: b\r\n" * 100 + b"\r\n--x--\r\n", 400),
        (b"--x\r\nA: " + b"b" * 100_000 + b"\r\n\r\n--x--\r\n", 400),
        (b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n' * 70 + b"--x--\r\n", 422),
    ],
)
def test_forms_that_are_none(shared: Running, body: bytes, wanted: int) -> None:
    with shared.client() as client:
        answer = client.post(
            "/v1/jobs", content=body, headers={"Content-Type": "multipart/form-data; boundary=x"}
        )
    assert answer.status_code == wanted, answer.text
    assert disk_files(shared.service.settings.folder) == []


@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "multipart/mixed; boundary=x",
        "",
    ],
)
def test_bodies_of_other_kinds(shared: Running, kind: str) -> None:
    with shared.client() as client:
        answer = client.post("/v1/jobs", content=b"{}", headers={"Content-Type": kind})
    assert answer.status_code == 415


def test_no_more_files_than_may_wait(serving: Serving) -> None:
    with serving(queue=3) as server, server.client() as client:
        answer = send(client, *((f"{n}.png", photo_bytes()) for n in range(4)))
        assert answer.status_code == 413 and disk_files(server.service.settings.folder) == []


# --- bombs ---


def png_of(width: int, height: int, rows: int = 1) -> bytes:
    """A PNG that claims a size; its few bytes of pixels are zeros."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes((3 * width + 1) * rows), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def zip_bomb() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("zeros", bytes(50 << 20))
    return file.getvalue()


def test_picture_bombs_are_refused_by_their_headers(shared: Running) -> None:
    with shared.client() as client:
        start = time.monotonic()
        for path in ("/v1/jobs", "/v1/profiles", "/v1/inspect"):
            answer = client.post(path, files=[("files", ("bomb.png", png_of(100_000, 100_000)))])
            assert answer.status_code == 413 and answer.json()["detail"].startswith(
                "bomb.png: 100000x100000 is more than"
            )
            assert "--" not in answer.json()["detail"], "advice that no client can take"
        assert time.monotonic() - start < 30
    assert disk_files(shared.service.settings.folder) == []


def test_results_that_would_be_bombs(serving: Serving) -> None:
    with serving(max_pixels=100_000) as server, server.client() as client:
        assert send(client, ("a.png", photo_bytes(400, 400))).status_code == 413
        answer = send(client, ("a.png", photo_bytes(300, 300)), scale=32)
        assert answer.status_code == 422 and "result would have more" in answer.json()["detail"]
        assert send(client, width=1 << 20).status_code == 422


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.zip", zip_bomb()),
        ("a.png", zip_bomb()),
        ("a.svg", b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'),
        ("a.html", b"<script>alert(1)</script>"),
        ("a.gz", zlib.compress(bytes(1 << 20))),
        ("a.pdf", b"%PDF-1.7 "),
    ],
)
def test_what_is_no_photo(shared: Running, name: str, content: bytes) -> None:
    with shared.client() as client:
        answer = client.post("/v1/jobs", files=[("files", (name, content))])
    assert answer.status_code == 415 and answer.json()["detail"].startswith(f"{name}: ")


def test_no_address_is_fetched(server: Running) -> None:
    """Neither as a photo nor as a model, a profile or a field."""
    url = f"http://{server.place[0]}:{server.place[1]}/health"
    with server.client() as client:
        before = client.get("/metrics").text.count('route="/health"')
        for fields in ({"model": url}, {"profile": url}, {"url": url}):
            assert send(client, **fields).status_code == 422
        assert client.post("/v1/jobs", data={"files": url}, files=[("x", b"")]).status_code == 422
        assert client.get("/metrics").text.count('route="/health"') == before


# --- how slowly ---


@pytest.mark.slow
def test_slow_heads_are_cut_off(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a byte comes now and then."""
    monkeypatch.setattr(connection, "HEAD_SECONDS", 1.0)
    for trickle in (b"", b"GET /health HTTP/1.1\r\nHost: localhost\r\n"):
        start = time.monotonic()
        with socket.create_connection(server.place, 20) as connected:
            connected.sendall(trickle)
            while time.monotonic() - start < 15:
                try:
                    if trickle:
                        connected.sendall(b"X-A: b\r\n")
                    connected.settimeout(0.2)
                    if connected.recv(1) == b"":
                        break
                except TimeoutError:
                    continue
                except OSError:
                    break
        assert time.monotonic() - start < 10


def test_a_second_request_on_a_connection_is_waited_for_no_longer(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "HEAD_SECONDS", 1.0)
    start = time.monotonic()
    whole = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    assert talk(server, whole + b"GET /health HT", 20).count(b"200 OK") == 1 and time.monotonic() - start < 10


@pytest.mark.slow
def test_slow_bodies_are_cut_off(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence, and a trickle that is never silent."""
    monkeypatch.setattr(gate, "SLOWEST", 1 << 20)
    with serving(patience=1.0) as server:
        answer = talk(server, f"{POST}Content-Length: 1000\r\n\r\n--x".encode(), 20)
        assert status(answer) == 408
        with socket.create_connection(server.place, 20) as connected:
            connected.sendall(f"{POST}Content-Length: 1000\r\n\r\n".encode() + A_FILE)
            start, answer = time.monotonic(), b""
            connected.settimeout(0.2)
            while not answer and time.monotonic() - start < 15:
                try:
                    connected.sendall(b"-")
                    answer = connected.recv(1 << 16)
                except TimeoutError:
                    continue
            assert status(answer) == 408 and time.monotonic() - start < 10
        assert disk_files(server.service.settings.folder) == [] and is_well(server)


def opened_results() -> int:
    """How many results this process has open."""
    names = []
    for file in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            names.append(str(file.readlink()))
    return sum(".result." in name for name in names)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux which files are open")
def test_one_who_does_not_take_his_result_is_let_go(serving: Serving) -> None:
    with serving(patience=1.0) as server, server.client() as client:
        photo = photo_bytes(800, 800, kind="bmp")  # more than sockets hold
        job = ended(client, send(client, ("a.bmp", photo), format="bmp").json())
        with socket.create_connection(server.place, 30) as connected:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            asked = f"GET {job['archive']} HTTP/1.1\r\nHost: localhost\r\n{AUTHORISED}\r\n"
            connected.sendall(asked.encode())
            assert connected.recv(100).startswith(b"HTTP/1.1 200")
            for wanted in (1, 0):
                end = time.monotonic() + 20
                while opened_results() != wanted and time.monotonic() < end:
                    time.sleep(0.01)
                assert opened_results() == wanted
        assert is_well(server)


@pytest.mark.slow
def test_silent_events_have_a_heartbeat_and_an_end(
    server: Running, monkeypatch: pytest.MonkeyPatch, held: threading.Event
) -> None:
    monkeypatch.setattr(events, "HEARTBEAT", 0.2)
    monkeypatch.setattr(events, "LONGEST", 1.0)
    with server.client() as client:
        job = send(client).json()
        start = time.monotonic()
        with client.stream("GET", job["events"]) as stream:
            text = "".join(stream.iter_text())
        assert ": still here" in text and "event: done" not in text and time.monotonic() - start < 20


def test_streams_of_events_are_counted_and_let_go(
    server: Running, monkeypatch: pytest.MonkeyPatch, held: threading.Event
) -> None:
    from blindsr.server import jobs

    monkeypatch.setattr(jobs, "MOST_LISTENING", 2)
    ask = f"GET {{}} HTTP/1.1\r\nHost: localhost\r\n{AUTHORISED}\r\n"
    with server.client() as client:
        job = send(client, *((f"{n}.png", photo_bytes()) for n in range(3))).json()
        listening = [socket.create_connection(server.place) for _ in range(2)]
        for one in listening:
            one.sendall(ask.format(job["events"]).encode())
            one.recv(100)
        end = time.monotonic() + 10
        while server.service.board.listening < 2 and time.monotonic() < end:
            time.sleep(0.02)
        refused = client.get(job["events"])
        assert refused.status_code == 429 and "Retry-After" in refused.headers
        for one in listening:
            one.close()
        while server.service.board.listening and time.monotonic() < end:
            time.sleep(0.02)
        assert server.service.board.listening == 0


def test_errors_tell_nothing_of_the_machine(
    server: Running, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError(f"{tmp_path}/secret")

    monkeypatch.setattr(type(server.service.store), "jobs", fail)
    with server.client() as client:
        answer = client.get("/v1/jobs")
        assert answer.status_code == 500 and "secret" not in answer.text
        assert answer.headers["Content-Type"] == "application/problem+json"
        job = ended(client, send(client, ("b.png", photo_bytes(200, 300)[:-2000])).json())
    assert str(tmp_path) not in json.dumps(job)


@pytest.mark.slow
def test_connections_are_counted(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "MOST_CONNECTIONS", 3)
    held = [socket.create_connection(server.place, 10) for _ in range(3)]
    try:
        time.sleep(0.3)
        with socket.create_connection(server.place, 10) as one_more:
            assert one_more.recv(1) == b""
    finally:
        for one in held:
            one.close()
    time.sleep(0.3)
    assert is_well(server)


def test_beyond_the_machine_a_token_is_needed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    command = import_module("blindsr.cli.serve")
    told: list[Settings] = []
    monkeypatch.setattr(command, "_serve", lambda settings, as_json: told.append(settings))
    command.serve(host="127.0.0.1", folder=tmp_path)
    command.serve(host="0.0.0.0", folder=tmp_path)
    command.serve(host="::1", token=["generated"], folder=tmp_path)
    command.serve(host="192.168.1.5", token=["a-token-of-my-own-choice"], folder=tmp_path)
    counts = [len(settings.tokens) for settings in told]
    assert counts == [0, 1, 1, 1] and told[3].tokens == ("a-token-of-my-own-choice",)
    assert len(told[1].tokens[0]) >= 32 and told[1].tokens != told[2].tokens
