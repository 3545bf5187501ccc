"""The command itself, in a process of its own: how it starts, ends and goes on; what is told of it."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.main import get_command

import blindsr
from blindsr.cli import app
from blindsr.server.running import assembled
from blindsr.server.settings import Settings, is_loopback, read_duration, read_root_path

from ..children import BLINDSR, finished, started
from ..conftest import Run, save_photos
from .conftest import TOKEN, Running, ended, photo_bytes, pixels_of, send

ROOT = Path(__file__).resolve().parents[2]
DOCS = (ROOT / "docs" / "serve.md").read_text(encoding="utf-8")


@contextmanager
def command(models: Path, folder: Path, *options: str) -> Iterator[tuple[Running, Any]]:
    """`blindsr serve` in a process of its own, and that process."""
    told = ["serve", "--port", "0", "--folder", str(folder), "--threads", "1", "--memory", "1G", *options]
    with started(*BLINDSR, *told, env={"BLINDSR_MODELS": str(models)}, text=True) as process:
        line = process.stdout.readline()
        if "--json" in options:
            line = json.loads(line)["address"]
        assert line.startswith("http://"), process.stderr.read()
        yield Running(line.strip().partition("#")[0].rstrip("/"), None), process


@pytest.mark.slow
def test_it_ends_in_good_order_and_goes_on(models: Path, tmp_path: Path) -> None:
    options = ("--token", TOKEN, "--json")
    with command(models, tmp_path / "jobs", *options) as (server, process), server.client() as client:
        jobs = [send(client, ("a.png", photo_bytes(60, 80))).json() for _ in range(6)]
        process.send_signal(signal.SIGTERM)
        _, error = process.communicate()
        assert (process.returncode, error) == (0, "")
    with command(models, tmp_path / "jobs", "--token", TOKEN) as (server, process), server.client() as client:
        assert {ended(client, job)["status"] for job in jobs} == {"done"}
        assert len(client.get("/v1/jobs").json()["jobs"]) == 6


def test_after_kill_9_nothing_is_lost(models: Path, tmp_path: Path) -> None:
    with command(models, tmp_path / "jobs", "--token", TOKEN) as (server, process), server.client() as client:
        first = ended(client, send(client, key="first").json())
        jobs = [send(client, ("a.png", photo_bytes(60, 80)), key=f"{n}").json() for n in range(6)]
        process.kill()
    with command(models, tmp_path / "jobs", "--token", TOKEN) as (server, process), server.client() as client:
        assert client.get(first["photos"][0]["href"]).status_code == 200
        again = [send(client, ("a.png", photo_bytes(60, 80)), key=f"{n}").json() for n in range(6)]
        assert [job["id"] for job in again] == [job["id"] for job in jobs]
        assert {ended(client, job)["status"] for job in jobs} == {"done"}


@pytest.mark.slow
def test_a_job_s_mask_survives_kill_9(models: Path, tmp_path: Path) -> None:
    photo, mask = photo_bytes(60, 80), photo_bytes(6, 8, seed=3)
    with command(models, tmp_path / "jobs", "--token", TOKEN) as (server, process), server.client() as client:
        files = [("files", ("a.png", photo)), ("mask", ("mask.png", mask))]
        jobs = [client.post("/v1/jobs", files=files, data={"texture": 1}).json() for _ in range(4)]
        process.kill()
    upscaler = blindsr.Upscaler(models / "cria-x4-compact", threads=1, texture=1)
    expected = upscaler.upscale(pixels_of(photo), mask=mask)
    with command(models, tmp_path / "jobs", "--token", TOKEN) as (server, process), server.client() as client:
        for job in jobs:
            result = client.get(ended(client, job)["photos"][0]["href"])
            np.testing.assert_array_equal(pixels_of(result.content), expected)


@pytest.mark.slow
def test_no_heavy_library_is_loaded_before_it_is_used(models: Path) -> None:
    code = """
import sys
import blindsr.server.running, blindsr.cli.serve
sys.exit(bool({"numpy", "openvino", "pyvips", "torch"} & set(sys.modules)))
"""
    assert finished(sys.executable, "-c", code).returncode == 0


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--keep", "soon"], "--keep 'soon': give a time such as"),
        (["--keep", "0h"], "--keep '0h'"),
        (["--models", "../x"], "--models ../x: no such model"),
        (["--memory", "400M"], "a server needs at least 544 MiB"),
        (["--root-path", "/a/../b"], "--root-path"),
        (["--token", "two words"], "--token: give letters"),
        (["--token-file", "missing"], "--token-file missing: cannot be read"),
        (["--host", "not-a-host.invalid"], "cannot listen there"),
        (["--max-pixels", "many"], "--max-pixels 'many'"),
        (["--max-upload", "much"], "--max-upload 'much'"),
    ],
)
def test_what_cannot_be_is_told_in_a_line(run: Run, tmp_path: Path, options: list[str], told: str) -> None:
    code, _, error = run("serve", "--folder", tmp_path / "jobs", *options)
    assert code == 2 and told in error and error.count("\n") == 1


def test_a_port_that_is_taken(run: Run, shared: Running, tmp_path: Path) -> None:
    code, _, error = run("serve", "--folder", tmp_path, "--port", str(shared.place[1]))
    assert code == 2 and "give another --port" in error


def test_the_extra_is_named_where_it_is_missing(tmp_path: Path) -> None:
    code = """
import sys
sys.modules["fastapi"] = None
from blindsr.cli import main
main()
"""
    done = finished(sys.executable, "-c", code, "serve", "--folder", str(tmp_path))
    assert done.returncode == 2 and 'pip install "blindsr[serve]"' in done.stderr


def test_settings() -> None:
    assert [read_duration(text, "--keep") for text in ("24h", "90m", "7d", "30s", "1.5h")] == [
        86400, 5400, 604800, 30, 5400,
    ]  # fmt: skip
    assert [read_root_path(text) for text in ("", "/", "photos", "/photos/", "/a/b")] == [
        "", "", "/photos", "/photos", "/a/b",
    ]  # fmt: skip
    assert all(map(is_loopback, ("127.0.0.1", "127.8.8.8", "::1", "LOCALHOST")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "192.168.1.5", "localhost.evil.example", "")))


def test_servers_of_one_process_keep_apart(tmp_path: Path) -> None:
    """Whoever waits for his turn is woken by the event loop of his own server."""
    settings = [Settings(folder=tmp_path / name) for name in "ab"]
    with assembled(settings[0]) as (_, one), assembled(settings[1]) as (_, two):
        assert one.in_turn is not two.in_turn and one.in_turn.total_tokens == two.in_turn.total_tokens


@pytest.fixture
def place(models: Path, tmp_path: Path) -> Iterator[dict[str, str]]:
    """A folder with two photos, and the environment of the examples."""
    save_photos(tmp_path, 2, 24, 32)
    for n, name in enumerate(("holiday", "beach")):
        (tmp_path / f"{name}.jpg").write_bytes(photo_bytes(24, 32, n, "jpeg"))
    with command(models, tmp_path / "jobs", "--token", TOKEN) as (server, _):
        yield {"BLINDSR_URL": server.url, "BLINDSR_TOKEN": TOKEN, "no_proxy": "*"}


def example(language: str) -> str:
    """The example in docs/serve.md that uses the API."""
    found = re.findall(rf"```{language}\n(.*?)```", DOCS, re.DOTALL)
    (one,) = (text for text in found if "BLINDSR_URL" in text)
    return str(one)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_example_with_curl(place: dict[str, str], tmp_path: Path) -> None:
    done = finished("sh", "-ec", example("sh"), cwd=tmp_path, env=place)
    assert done.returncode == 0 and "event: done" in done.stdout, done.stderr
    assert (tmp_path / "holiday_x4.webp").read_bytes()[8:12] == b"WEBP"


@pytest.mark.slow
def test_the_example_with_python(place: dict[str, str], tmp_path: Path) -> None:
    done = finished(sys.executable, "-c", example("python"), cwd=tmp_path, env=place)
    assert done.returncode == 0 and not done.stdout, done.stderr
    assert {file.name for file in tmp_path.glob("*_x2.5.jpg")} == {"holiday_x2.5.jpg", "beach_x2.5.jpg"}


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed")
def test_the_example_with_javascript(place: dict[str, str], tmp_path: Path) -> None:
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
    if int(version[1:].partition(".")[0]) < 20:
        pytest.skip("needs Node.js 20")
    (tmp_path / "example.mjs").write_text(example("js"))
    done = finished("node", "example.mjs", cwd=tmp_path, env=place)
    assert done.returncode == 0 and "tile 1 of 1" in done.stdout, done.stderr
    assert (tmp_path / "holiday_100w.jpg").read_bytes()[:2] == b"\xff\xd8"


def test_options_that_are_spoken_of_are_there() -> None:
    (serve,) = (one for name, one in get_command(app).commands.items() if name == "serve")  # type: ignore[attr-defined]
    known = {option for one in serve.params for option in one.opts}
    for file in (ROOT / "deploy").iterdir():
        for line in file.read_text(encoding="utf-8").splitlines():
            if "blindsr serve" in line or '"serve"' in line:
                assert set(re.findall(r"--[a-z-]+", line)) <= known, (file, line)
    table = DOCS.partition("## What it is told")[2].partition("## ")[0]
    assert set(re.findall(r"`(--[a-z-]+)", table)) == known - {"--help"}


def test_the_container_is_what_it_says() -> None:
    text = (ROOT / "deploy" / "Containerfile").read_text(encoding="utf-8")
    last = text.rpartition("\nFROM ")[2]
    assert re.search(r"^USER 10001:10001$", last, re.MULTILINE) and "HEALTHCHECK" in last
    assert '"--host", "0.0.0.0"' in last and "TOKEN" not in last, "a token in an image is everybody's"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_the_unit_is_sound_and_confined(tmp_path: Path) -> None:
    unit = tmp_path / "blindsr.service"
    text = (ROOT / "deploy" / "blindsr.service").read_text(encoding="utf-8")
    unit.write_text(text.replace("/opt/blindsr/bin/blindsr", "/bin/true"))
    done = finished("systemd-analyze", "verify", unit)
    assert "blindsr.service" not in done.stderr, done.stderr
    exposed = finished("systemd-analyze", "security", "--offline=true", unit)
    found = re.search(r"exposure level for .*: ([\d.]+)", exposed.stdout)
    if found is not None:  # older ones cannot do it offline
        assert float(found[1]) < 3


@pytest.mark.slow
def test_the_description_keeps_what_it_promises(shared: Running, tmp_path: Path) -> None:
    """schemathesis makes requests of it, right and wrong; none may be more than the server is made for."""
    pytest.importorskip("schemathesis")
    done = finished(
        sys.executable, "-m", "schemathesis.cli", "run", f"{shared.url}/openapi.json",
        "--header", f"Authorization: Bearer {TOKEN}", "--max-examples", "8", "--seed", "1",
        "--checks", "not_a_server_error,response_schema_conformance,content_type_conformance",
        "--phases", "examples,coverage,fuzzing", "--exclude-path-regex", "events",
        seconds=900, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    with shared.client() as client:
        assert not re.search(r'status="5\d\d"', client.get("/metrics").text)
