"""The API as clients use it: jobs from photo to result, profiles, models, what cannot be."""

from __future__ import annotations

import io
import json
import re
import threading
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import blindsr
from blindsr.picture import FORMATS

from .conftest import OTHER, Running, Serving, disk_files, ended, photo_bytes, pixels_of, send


def test_a_photo_becomes_what_the_command_makes_of_it(server: Running, models: Path, tmp_path: Path) -> None:
    photo = photo_bytes(kind="jpeg")
    with server.client() as client:
        answer = send(client, ("holiday.jpg", photo), texture=0.5, quality=90)
        assert answer.status_code == 202 and answer.headers["Location"] == answer.json()["href"]
        job = ended(client, answer.json())
        (shown,) = job["photos"]
        assert (job["status"], shown["result"], shown["width"]) == ("done", "holiday_x4.jpg", 128)
        result = client.get(shown["href"])
    assert result.headers["Content-Type"] == "image/jpeg"
    assert result.headers["Content-Disposition"] == 'attachment; filename="holiday_x4.jpg"'
    (tmp_path / "a.jpg").write_bytes(photo)
    upscaler = blindsr.Upscaler(models / "cria-x4-compact", threads=1, texture=0.5)
    upscaler.upscale_file(tmp_path / "a.jpg", tmp_path / "b.jpg", quality=90)
    assert result.content == (tmp_path / "b.jpg").read_bytes()


def test_several_photos_come_as_an_archive(server: Running) -> None:
    photos = [
        ("a.png", photo_bytes(seed=1)),
        ("A.png", photo_bytes(seed=2)),
        ("b.webp", photo_bytes(kind="webp")),
    ]
    with server.client() as client:
        job = ended(client, send(client, *photos, width=50).json())
        archive = client.get(job["archive"])
        singles = [client.get(photo["href"]).content for photo in job["photos"]]
    assert archive.headers["Content-Type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(archive.content)) as made:
        assert made.testzip() is None
        assert made.namelist() == ["a_50w.png", "A_50w-2.png", "b_50w.webp"]
        assert [made.read(name) for name in made.namelist()] == singles
    assert {pixels_of(one).shape[1] for one in singles} == {50}


def test_one_bad_photo_does_not_end_a_job(server: Running) -> None:
    damaged = photo_bytes(200, 300)[:-2000]
    with server.client() as client:
        job = ended(client, send(client, ("a.png", photo_bytes()), ("b.png", damaged)).json())
        assert job["status"] == "done" and [photo["status"] for photo in job["photos"]] == ["done", "failed"]
        error = job["photos"][1]["error"]
        assert error.startswith("b.png: not a readable picture") and "\n" not in error and "/" not in error
        missing = client.get(f"{job['href']}/files/1")
        assert missing.status_code == 404 and missing.json()["detail"] == error
        (job,) = (ended(client, send(client, ("b.png", damaged)).json()),)
        assert (job["status"], job["error"]) == ("failed", error)
        assert client.get(job["archive"]).status_code == 404


def test_events_tell_of_the_queue_the_tiles_and_the_end(server: Running, held: threading.Event) -> None:
    with server.client() as client:
        jobs = [send(client, (f"{n}.png", photo_bytes())).json() for n in range(4)]
        with client.stream("GET", jobs[-1]["events"]) as stream:
            assert stream.headers["Content-Type"].startswith("text/event-stream")
            text = ""
            for piece in stream.iter_text():
                text += piece
                if "event: queued" in text:
                    held.set()
    events = [
        (kind, json.loads(content)) for kind, content in re.findall(r"event: (\w+)\ndata: (.*)\n\n", text)
    ]
    kinds = [kind for kind, _ in events]
    assert kinds[0] == "queued" and kinds[-1] == "done" and {"tile", "photo"} <= set(kinds)
    places = [content["place"] for kind, content in events if kind == "queued"]
    assert places == sorted(places, reverse=True) and places[0] > 0
    tile = next(content for kind, content in events if kind == "tile")
    assert tile == {"n": 0, "name": "3.png", "done": 1, "total": 1}


def test_events_of_a_failed_job_end_with_its_error(server: Running) -> None:
    with server.client() as client:
        job = send(client, ("b.png", photo_bytes(200, 300)[:-2000])).json()
        with client.stream("GET", job["events"]) as stream:
            last = "".join(stream.iter_text()).rstrip().rpartition("event: ")[2]
    kind, _, content = last.partition("\ndata: ")
    assert kind == "failed" and json.loads(content)["error"].startswith("b.png: not a readable picture")


def settled(client: Any, job: dict[str, Any]) -> dict[str, Any]:
    """A job none of whose photos is in hand any more."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        shown: dict[str, Any] = client.get(job["href"]).json()
        if all(photo["status"] != "running" for photo in shown["photos"]):
            return shown
        time.sleep(0.02)
    raise AssertionError("a photo is still in hand")


def test_a_cancelled_job_ends_at_the_next_tile(server: Running, held: threading.Event) -> None:
    with server.client() as client:
        job = send(client, *((f"{n}.png", photo_bytes()) for n in range(5))).json()
        assert client.delete(job["href"]).status_code == 202
        held.set()
        shown = ended(client, job)
        assert shown["status"] == "cancelled"
        assert {photo["status"] for photo in settled(client, job)["photos"]} == {"cancelled"}
        with client.stream("GET", job["events"]) as stream:
            assert "event: cancelled" in "".join(stream.iter_text())
        assert client.get(f"{job['href']}/files/4").status_code == 404
        other = ended(client, send(client).json())  # the workers go on
        assert other["status"] == "done"
        assert client.delete(job["href"]).status_code == 204, "what has ended is forgotten"
        assert client.get(job["href"]).status_code == 404
        assert client.delete(other["href"]).status_code == 204
    assert disk_files(server.service.settings.folder) == []


def test_the_photo_is_gone_when_its_result_is_there(server: Running) -> None:
    with server.client() as client:
        job = ended(client, send(client).json())
    assert disk_files(server.service.settings.folder) == [f"files/{job['id']}/0.result.png"]


def test_parts_of_a_file(server: Running) -> None:
    with server.client() as client:
        href = ended(client, send(client).json())["photos"][0]["href"]
        whole = client.get(href)
        tag, size = whole.headers["ETag"], len(whole.content)
        for wanted, start, end in (
            ("0-9", 0, 10),
            ("5-", 5, size),
            ("-7", size - 7, size),
            ("3-99999999", 3, size),
        ):
            part = client.get(href, headers={"Range": f"bytes={wanted}"})
            assert part.status_code == 206 and part.content == whole.content[start:end]
            assert part.headers["Content-Range"] == f"bytes {start}-{end - 1}/{size}"
        assert client.get(href, headers={"Range": f"bytes={size}-"}).status_code == 416
        for passed_over in ("bytes=0-1,5-6", "lines=0-1", "bytes=9-3", "bytes=-", "nonsense"):
            assert client.get(href, headers={"Range": passed_over}).status_code == 200
        assert client.get(href, headers={"If-None-Match": f'W/{tag}, "x"'}).status_code == 304
        stale = client.get(href, headers={"Range": "bytes=0-9", "If-Range": '"other"'})
        assert stale.status_code == 200 and stale.content == whole.content
        fresh = client.get(href, headers={"Range": "bytes=0-9", "If-Range": tag})
        assert fresh.status_code == 206


def test_a_request_sent_again_makes_no_second_job(server: Running) -> None:
    with server.client() as client, server.client(OTHER) as other:
        first = send(client, key="once").json()
        again = send(client, key="once")
        assert again.status_code == 202 and again.json()["id"] == first["id"]
        assert send(client, key="once", texture=0.1).status_code == 422
        assert send(client, ("b.png", photo_bytes(seed=3)), key="once").status_code == 422
        assert send(other, key="once").json()["id"] != first["id"]
        assert len(client.get("/v1/jobs").json()["jobs"]) == 1


def test_clients_see_their_own_jobs_alone(server: Running) -> None:
    with server.client() as client, server.client(OTHER) as other:
        job = ended(client, send(client).json())
        for path in (job["href"], job["events"], job["archive"], job["photos"][0]["href"]):
            assert other.get(path).status_code == 404
        assert other.delete(job["href"]).status_code == 404
        assert other.get("/v1/jobs").json() == {"jobs": []}
        assert client.get(job["href"]).status_code == 200


def test_a_profile_is_made_used_and_forgotten(server: Running, models: Path, tmp_path: Path) -> None:
    photos = [(f"{n}.png", photo_bytes(40, 56, n)) for n in range(3)]
    with server.client() as client, server.client(OTHER) as other:
        answer = client.post("/v1/profiles", files=[("files", one) for one in photos])
        assert answer.status_code == 202
        profile = ended(client, answer.json())
        assert profile["status"] == "done" and profile["read"] == ["0.png", "1.png", "2.png"]
        assert profile["model"] == "cmdsr-x4" and profile["distance"] >= 0
        job = ended(client, send(client, photos[0], profile=profile["id"]).json())
        assert job["options"]["model"] == "cmdsr-x4"
        result = client.get(job["photos"][0]["href"]).content
        file = client.get(f"{profile['href']}/file").content
        assert send(other, photos[0], profile=profile["id"]).status_code == 422
        assert send(client, photos[0], profile=profile["id"], model="cria-x4-compact").status_code == 422
        assert client.delete(profile["href"]).status_code == 204
        assert client.get(profile["href"]).status_code == 404
    for name, content in (*photos, ("a.profile", file)):
        (tmp_path / name).write_bytes(content)
    upscaler = blindsr.Upscaler(models / "cmdsr-x4", threads=1)
    expected = blindsr.read_camera(upscaler, [tmp_path / name for name, _ in photos]).adaptation
    read = blindsr.read_profile(tmp_path / "a.profile", upscaler.model)
    assert (read.modulation == expected.modulation).all()
    upscaler.upscale_file(tmp_path / "0.png", tmp_path / "x.png", support=read)
    assert result == (tmp_path / "x.png").read_bytes()


def test_a_profile_of_photos_that_cannot_be_read_fails(server: Running) -> None:
    damaged = ("b.png", photo_bytes(200, 300)[:-2000])
    with server.client() as client:
        profile = ended(client, client.post("/v1/profiles", files=[("files", damaged)]).json())
        assert profile["status"] == "failed" and "b.png" in profile["error"] and "/" not in profile["error"]


def test_a_mask_says_where_texture_goes(server: Running) -> None:
    photo = ("a.png", photo_bytes())
    masks = {level: ("m.png", photo_bytes_of(level)) for level in (0, 255)}

    def restored(client: Any, **options: Any) -> Any:
        files = [("files", photo), *(("mask", mask) for mask in options.pop("masks", ()))]
        job = ended(client, client.post("/v1/jobs", files=files, data=options).json())
        return pixels_of(client.get(job["photos"][0]["href"]).content)

    with server.client() as client:
        assert (restored(client, masks=[masks[255]]) == restored(client)).all()
        assert (restored(client, masks=[masks[0]]) == restored(client, texture=0)).all()
        for files, fields, wanted in (
            ([("files", photo), ("files", photo), ("mask", masks[0])], {}, 422),
            ([("files", photo), ("mask", masks[0]), ("mask", masks[0])], {}, 422),
            ([("files", photo), ("mask", masks[0])], {"model": "cmdsr-x4"}, 422),
            ([("files", photo), ("mask", ("m.png", b"no picture"))], {}, 415),
            ([("files", photo), ("mask", ("m.png", masks[255][1][:-30]))], {}, 415),
            ([("files", photo), ("mask", ("m.png", b""))], {}, 422),
            ([("mask", masks[0])], {}, 422),
        ):
            assert client.post("/v1/jobs", files=files, data=fields).status_code == wanted


def photo_bytes_of(level: int) -> bytes:
    """A gray picture of one level."""
    file = io.BytesIO()
    Image.new("L", (5, 3), level).save(file, "PNG")
    return file.getvalue()


def test_results_of_several_jobs_come_as_one_archive(server: Running, held: threading.Event) -> None:
    held.set()
    with server.client() as client, server.client(OTHER) as other:
        jobs = [ended(client, send(client, ("a.png", photo_bytes(seed=n))).json()) for n in range(2)]
        ids = [job["id"] for job in jobs]
        answer = client.get("/v1/archive", params={"job": [*ids, ids[0]]})
        with zipfile.ZipFile(io.BytesIO(answer.content)) as made:
            assert made.namelist() == ["a_x4.png", "a_x4-2.png"]
            single = client.get(jobs[1]["photos"][0]["href"]).content
            assert made.read("a_x4-2.png") == single
        assert other.get("/v1/archive", params={"job": ids}).status_code == 404
        assert client.get("/v1/archive").status_code == 422
        assert client.get("/v1/archive", params={"job": ["0" * 32] * 201}).status_code == 422
        held.clear()
        running = send(client).json()["id"]
        assert client.get("/v1/archive", params={"job": [*ids, running]}).status_code == 409


def test_inspection(server: Running) -> None:
    files = [("files", ("a.jpg", photo_bytes(40, 56, kind="jpeg")))]
    with server.client() as client:
        told = client.post("/v1/inspect", files=files).json()
        assert told["model"] == "cmdsr-x4"
        (photo,) = told["photos"]
        assert (photo["name"], photo["width"], photo["height"]) == ("a.jpg", 56, 40)
        assert photo["blur"]["value"] >= 0 and photo["saved_quality"] == {"value": 75, "exact": True}
        refused = client.post("/v1/inspect", files=files, data={"model": "cria-x4-compact"})
        assert refused.status_code == 422 and "does not adapt" in refused.json()["detail"]
    assert disk_files(server.service.settings.folder) == []


def test_models_health_and_metrics(server: Running) -> None:
    with server.client() as client:
        listed = {one["name"]: one for one in client.get("/v1/models").json()["models"]}
        assert listed["cria-x4-compact"]["default"] and listed["cria-x4-compact"]["texture"] == 0.85
        assert listed["cmdsr-x4"]["adapts"] and not listed["cmdsr-x4"]["loaded"]
        ended(client, send(client).json())
        for path in ("/health", "/health/live", "/health/ready"):
            assert client.get(path).json() == {"live": True, "ready": True, "version": blindsr.__version__}
        text = client.get("/metrics").text
    assert 'blindsr_photos{status="done"} 1' in text and "blindsr_models_loaded 1" in text
    assert 'blindsr_requests_total{method="POST",route="/v1/jobs",status="202"} 1' in text
    assert re.search(r'blindsr_request_seconds_bucket\{le="\+Inf"\} [1-9]', text)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"scale": "2", "width": "50"}, "scale and width: give only one of"),
        ({"scale": "33"}, "scale: "),
        ({"scale": "nan"}, "scale: "),
        ({"scale": "two"}, "scale: "),
        ({"width": "0"}, "width: "),
        ({"fit": "3840"}, "fit: "),
        ({"texture": "1.01"}, "texture: "),
        ({"texture": "0.5", "model": "cmdsr-x4"}, "texture: model cmdsr-x4 has none"),
        ({"model": "nowhere"}, "model 'nowhere': there is none of this name"),
        ({"model": "../cmdsr-x4"}, "model '../cmdsr-x4': there is none"),
        ({"format": "psd"}, "format: "),
        ({"quality": "101"}, "quality: "),
        ({"quality": "90"}, "a.png: .png files lose nothing"),
        ({"quality": "90", "format": "tiff"}, "a.png: .tif files lose nothing"),
        ({"profile": "0" * 32}, "profile: there is none"),
        ({"profile": "../../etc/passwd"}, "profile: "),
        ({"sharpen": "1"}, "sharpen: no such field; there are model, scale"),
    ],
)
def test_options_that_cannot_be(shared: Running, fields: dict[str, str], told: str) -> None:
    with shared.client() as client:
        answer = send(client, **fields)
    assert answer.status_code == 422 and answer.json()["detail"].startswith(told), answer.json()
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert set(answer.json()) == {"type", "title", "status", "detail"} and "\n" not in answer.json()["detail"]


def test_empty_fields_count_as_left_out(server: Running) -> None:
    with server.client() as client:
        job = ended(client, send(client, texture="", fit="", format="webp").json())
        assert job["options"] == {"model": "cria-x4-compact", "format": "webp"}
        assert Image.open(io.BytesIO(client.get(job["photos"][0]["href"]).content)).format == "WEBP"


def test_formats_of_the_api_are_those_that_are_written() -> None:
    from blindsr.server.fields import JobFields

    formats = JobFields.model_json_schema()["properties"]["format"]["anyOf"][0]["enum"]
    assert set(formats) == set(FORMATS)


@pytest.mark.parametrize("path", ["/v1/nothing", "/nothing", "/v1/jobs/xyz", f"/v1/jobs/{'0' * 32}"])
def test_what_is_not_there(shared: Running, path: str) -> None:
    with shared.client() as client:
        answer = client.get(path)
    assert answer.status_code == 404 and answer.json()["title"] == "Not Found"


def test_wrong_methods(shared: Running) -> None:
    with shared.client() as client:
        answer = client.put("/v1/jobs")
        other = client.post(f"/v1/jobs/{'0' * 32}")
    assert answer.status_code == 405 and answer.json()["status"] == 405
    assert answer.headers["Allow"] == "GET, POST" and other.headers["Allow"] == "DELETE, GET"


def test_room_is_limited_for_each_client(serving: Serving, held: threading.Event) -> None:
    with serving(queue=3) as server, server.client() as client, server.client(OTHER) as other:
        jobs = [send(client) for _ in range(4)]
        assert [one.status_code for one in jobs] == [202, 202, 202, 429]
        assert int(jobs[-1].headers["Retry-After"]) > 0
        assert send(other).status_code == 202, "one client leaves room for another"
        held.set()
    assert len(jobs[-1].json()["detail"]) > 20


def test_a_full_disk_takes_nothing(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    usage = shutil.disk_usage(server.service.settings.folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1 << 20))
    with server.client() as client:
        answer = send(client)
    assert answer.status_code == 429 and answer.headers["Retry-After"] == "300"
    assert answer.json()["detail"].startswith("the server's disk is full")


def test_behind_a_proxy(serving: Serving) -> None:
    """It may take its own prefix away, or leave it."""
    with serving(root_path="/photos") as server, server.client() as client:
        base = server.url.removesuffix("/photos")
        for prefix in (base, f"{base}/photos"):
            assert client.get(f"{prefix}/health").status_code == 200
            assert client.get(f"{prefix}/v1/models").status_code == 200
        moved = client.get(f"{base}/photos", follow_redirects=False)
        assert (moved.status_code, moved.headers["Location"]) == (308, "/photos/")
        assert client.get(f"{base}/photos/").headers["Content-Type"].startswith("text/html")
        job = client.post(f"{base}/v1/jobs", files=[("files", ("a.png", photo_bytes()))]).json()
        assert job["href"].startswith("/photos/v1/jobs/")
        with server.client(None) as stranger:
            assert stranger.get(f"{base}/photos/v1/models").status_code == 401
            assert stranger.get(f"{base}/v1/models").status_code == 401


def test_the_description_has_every_path_and_its_problems(shared: Running) -> None:
    with shared.client(None) as client:
        description: dict[str, Any] = client.get("/openapi.json").json()
    paths = description["paths"]
    assert {"/v1/jobs", "/v1/jobs/{job}", "/v1/jobs/{job}/events", "/v1/jobs/{job}/files/{n}"} <= set(paths)
    form = paths["/v1/jobs"]["post"]["requestBody"]["content"]["multipart/form-data"]
    assert form["example"]["scale"] == 2.5 and "files" in form["schema"]["required"]
    for path, methods in paths.items():
        for method, one in methods.items():
            wanted = {"401"} if path.startswith(("/v1", "/metrics")) else set()
            assert wanted <= set(one["responses"]), (method, path)
            for status, response in one["responses"].items():
                if int(status) >= 400:
                    assert list(response["content"]) == ["application/problem+json"], (method, path, status)
