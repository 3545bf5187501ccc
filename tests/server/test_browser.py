"""The page in a real Chromium, as people use it: with mouse, fingers and keys, and after a reload."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from blindsr.server.workers import Workers
from blindsr.upscaling.upscaler import Upscaler

from ..conftest import write_model
from .conftest import TOKEN, Running, Serving, photo_bytes, pixels_of, run_server

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
AXE = Path(__file__).resolve().parents[2] / ".cache" / "axe" / "package" / "axe.min.js"

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")]

Photo = tuple[str, bytes]

PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
LONG = "Ferien an der See im vorletzten Jahr " + "x" * 80 + ".png"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium."""
    with playwright.sync_playwright() as started:
        # As root it has no sandbox; what it is shown here is our own page.
        running = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens the page of a server; options as of a browser's context. No test may leave an error behind."""
    faults: list[str] = []
    contexts = []

    def told(message: Any) -> None:
        if message.type == "error" and "Failed to load resource" not in message.text:
            faults.append(message.text)

    def open_page(server: Running, token: str | None = TOKEN, **options: Any) -> Any:
        context = browser.new_context(
            **{"locale": "en-GB", "viewport": {"width": 1280, "height": 900}, **options}
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", told)
        page.goto(f"{server.url}/" + (f"#token={token}" if token else ""))
        if token == TOKEN:
            page.locator("#model option").first.wait_for(state="attached")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not faults


def put_in(page: Any, *photos: Photo) -> None:
    """Choose photos."""
    page.set_input_files(
        "#files", [{"name": name, "mimeType": "image/*", "buffer": content} for name, content in photos]
    )


def line(page: Any, name: str) -> Any:
    """A photo's line in the queue."""
    return page.locator("#queue li").filter(has_text=name)


def wait_done(page: Any, count: int = 1) -> None:
    """Until so many photos are done."""
    page.wait_for_function("n => document.querySelectorAll('#queue .state.done').length === n", arg=count)


def restore(page: Any, *photos: Photo) -> None:
    """From choosing to the result."""
    put_in(page, *photos)
    page.click("#start")
    wait_done(page, len(photos))


def wait_preview(page: Any) -> None:
    """Until the preview is there."""
    page.locator("#preview .state").filter(has_text="Preview ready").wait_for()


def preview_pixels(page: Any) -> Any:
    """What the preview shows, RGB."""
    url = page.evaluate("document.querySelector('#preview .side:nth-child(2) canvas').toDataURL()")
    return pixels_of(base64.b64decode(url.partition(",")[2]))[..., :3]


def asking(page: Any) -> Any:
    """A block in which the page asks for a preview; that it is being made may pass too soon to be seen."""
    return page.expect_request(lambda one: one.method == "POST" and one.url.endswith("/v1/jobs"))


def tinted(page: Any) -> int:
    """How many pixels of the mask are painted."""
    found: int = page.evaluate(
        """() => { const canvas = document.querySelector("#brush .tint");
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        return data.filter((level, i) => i % 4 === 3 && level > 0).length; }"""
    )
    return found


def texture(page: Any, value: float) -> None:
    """Move the slider."""
    page.locator("#texture").fill(str(value))


def with_texture(models: Path, share: float) -> Any:
    """What a share of texture makes of a photo."""
    return Upscaler(models / "cria-x4-compact", threads=1, device="cpu", texture=share)


def jobs_of(server: Running) -> list[dict[str, Any]]:
    with server.client() as client:
        found: list[dict[str, Any]] = client.get("/v1/jobs").json()["jobs"]
        return found


def photo_with_exif() -> bytes:
    """A JPEG that says who made it, and lies on its side."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Maker of cameras", 6
    file = io.BytesIO()
    Image.open(io.BytesIO(photo_bytes(30, 50))).save(file, "jpeg", exif=exif, quality=90)
    return file.getvalue()


# --- from photo to result ---


def test_three_kinds_of_photo_become_results_one_by_one_and_as_a_zip(
    server: Running, visit: Callable[..., Any]
) -> None:
    page = visit(server)
    photos = [("a.jpg", photo_with_exif()), ("b.png", photo_bytes()), ("c.webp", photo_bytes(kind="webp"))]
    restore(page, *photos)
    jobs = {job["photos"][0]["name"]: job for job in jobs_of(server)}
    with server.client() as client:
        results = {
            job["photos"][0]["result"]: client.get(job["photos"][0]["href"]).content for job in jobs.values()
        }
    with page.expect_download() as download:
        line(page, "a.jpg").get_by_role("button", name="Save a_x4.jpg").click()
    assert download.value.suggested_filename == "a_x4.jpg"
    assert Path(download.value.path()).read_bytes() == results["a_x4.jpg"]
    with page.expect_download() as download:
        page.click("#save-all")
    with zipfile.ZipFile(download.value.path()) as made:
        assert {name: made.read(name) for name in made.namelist()} == results
    line(page, "a.jpg").locator(".opener").click()
    told = page.locator("#result dl").inner_text()
    photo = jobs["a.jpg"]["photos"][0]
    texts = [text for kind in ("kept", "changed", "dropped") for text in photo[kind]]
    assert texts and all(text in told for text in texts)
    page.locator("#result").filter(has_text="120 \u00d7 200 pixels").wait_for()  # it was turned upright


def test_progress_and_the_time_left(
    serving: Serving, visit: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    tell = Workers._tell

    def tell_slowly(self: Any, work: Any, done: int, total: int) -> None:
        time.sleep(0.12)
        tell(self, work, done, total)

    monkeypatch.setattr(Workers, "_tell", tell_slowly)
    monkeypatch.setattr("blindsr.upscaling.upscaler.Upscaler", partial(Upscaler, tile=24))
    with serving() as server:
        page = visit(server)
        put_in(page, ("a.png", photo_bytes(90, 120)), ("b.png", photo_bytes(90, 120)))
        page.evaluate(
            """() => {
              const one = (where) => document.querySelector(where);
              const look = () => window.seen.push([
                one("#queue li .state").textContent, one("#queue li progress").value,
                one("#left").textContent]);
              window.seen = [];
              const all = { subtree: true, childList: true, attributes: true };
              new MutationObserver(look).observe(one("#queue"), all);
            }"""
        )
        page.click("#start")
        assert line(page, "a.png").locator("progress").is_visible()
        wait_done(page, 2)
        seen = page.evaluate("window.seen")
    parts = [re.fullmatch(r"Part (\d+) of (\d+) · (\d+) s left", state) for state, _, _ in seen]
    found = [tuple(map(int, part.groups())) for part in parts if part]
    assert len({done for done, _, _ in found}) >= 3 and found == sorted(found, key=lambda one: one[0])
    values = [value for state, value, _ in seen if state.startswith("Part")]
    assert values == sorted(values) and 0 < values[0] < values[-1] <= 1
    assert any(re.fullmatch(r"2 photos in work.*", left) for _, _, left in seen)
    assert page.locator("#left").inner_text() == ""


def test_a_photo_that_fails_says_why_and_can_be_removed(shared: Running, visit: Callable[..., Any]) -> None:
    page = visit(shared)
    put_in(page, ("broken.jpg", b"no photo"), ("a.png", photo_bytes()))
    page.click("#start")
    wait_done(page)
    broken = line(page, "broken.jpg")
    assert "Failed" in broken.inner_text() and "not a photo format" in broken.inner_text()
    broken.get_by_role("button", name="Remove broken.jpg").click()
    assert page.locator("#queue li").count() == 1
    assert page.evaluate("document.activeElement.className") == "opener", "the focus is not lost"


def test_cancel_and_try_again(shared: Running, visit: Callable[..., Any], held: threading.Event) -> None:
    page = visit(shared)
    put_in(page, ("first.png", photo_bytes()), ("second.png", photo_bytes()))
    page.click("#start")
    line(page, "second.png").filter(has_text="Waiting").wait_for()
    for name in ("second.png", "first.png"):
        line(page, name).get_by_role("button", name=f"Cancel {name}").click()
        line(page, name).filter(has_text="Cancelled").wait_for()
    page.wait_for_timeout(300)
    known = {photo["name"]: job["status"] for job in jobs_of(shared) for photo in job["photos"]}
    assert not {"first.png", "second.png"} & set(known), "the server has forgotten them"
    held.set()
    line(page, "first.png").get_by_role("button", name="Try again: first.png").click()
    page.click("#start")
    wait_done(page)


def test_a_result_is_kept_or_undone(server: Running, visit: Callable[..., Any]) -> None:
    page = visit(server)
    texture(page, 0.3)
    restore(page, ("a.png", photo_bytes()), ("b.png", photo_bytes(seed=1)))
    line(page, "a.png").locator(".opener").click()
    page.get_by_role("button", name="Keep it").click()
    assert "Kept" in line(page, "a.png").inner_text()
    assert page.locator("#work-title").inner_text() == "b.png", "the next result that waits for a word"
    texture(page, 0.9)
    page.locator("#result").get_by_role("button", name="Undo").click()
    line(page, "b.png").filter(has_text="Ready").wait_for()
    assert page.locator("#texture").input_value() == "0.3", "as it was restored"
    page.wait_for_timeout(200)
    assert "b.png" not in [job["photos"][0]["name"] for job in jobs_of(server) if job["status"] == "done"]


def test_a_reload_in_mid_job_finds_everything_again(
    shared: Running, visit: Callable[..., Any], held: threading.Event
) -> None:
    page = visit(shared)
    put_in(page, ("a.png", photo_bytes(30, 40)), ("b.png", photo_bytes(seed=1)))
    page.click("#start")
    line(page, "b.png").filter(has_text="Waiting").wait_for()
    page.reload()
    line(page, "b.png").wait_for()
    assert page.locator("#queue li").count() == 2
    held.set()
    wait_done(page, 2)
    line(page, "a.png").locator(".opener").click()
    page.locator("#result .stage").wait_for()
    sides = "[...document.querySelectorAll('#result .side img')].map((one) => one.naturalWidth)"
    assert page.evaluate(sides) == [40, 160], "the photo is still there to compare with"
    page.reload()
    wait_done(page, 2)
    line(page, "a.png").get_by_role("button", name="Remove a.png").click()
    page.reload()
    line(page, "b.png").wait_for()
    assert line(page, "a.png").count() == 0
    assert page.evaluate("indexedDB.databases().then((all) => all.length)") == 1


def test_after_a_reload_what_was_painted_can_be_gone_on_with(
    shared: Running, visit: Callable[..., Any]
) -> None:
    page = visit(shared)
    put_in(page, ("a.png", photo_bytes()))
    wait_preview(page)
    page.click("#tool-brush")
    page.locator("#brush .photo-stage").click()
    painted = tinted(page)
    page.click("#start")
    wait_done(page)
    page.locator("#result .stage").wait_for()
    page.reload()
    wait_done(page)
    line(page, "a.png").locator(".opener").click()
    page.locator("#result").get_by_role("button", name="Undo").click()
    wait_preview(page)
    page.click("#tool-brush")
    assert tinted(page) == painted > 0


def test_only_its_own_jobs_are_shown(shared: Running, visit: Callable[..., Any]) -> None:
    page = visit(shared)
    restore(page, ("mine.png", photo_bytes()))
    other = visit(shared)
    other.wait_for_timeout(300)
    assert other.locator("#queue li").count() == 0 and other.locator("#empty").is_visible()


# --- the divider ---


def test_divider_and_zoom_by_mouse_keys_and_fingers(shared: Running, visit: Callable[..., Any]) -> None:
    page = visit(shared, has_touch=True)
    restore(page, ("a.png", photo_bytes(120, 160)))
    stage = page.locator("#result .stage")
    stage.wait_for()
    stage.scroll_into_view_if_needed()
    box = stage.bounding_box()
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    split = partial(
        page.evaluate, "document.querySelector('#result .stage').style.getPropertyValue('--split')"
    )
    zoom = page.locator("#result output").inner_text
    assert split() == "50%"
    page.mouse.move(*middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 4, middle[1])
    page.mouse.up()
    assert split() == "25%"
    shown = pixels_of(stage.screenshot())[..., :3].astype(int)
    wide = shown.shape[1]
    after = pixels_of(_result(shared)).astype(int)
    expected = np.asarray(Image.fromarray(after.astype(np.uint8)).resize((wide, shown.shape[0]))).astype(int)
    inside = np.s_[60:-60, wide // 2 : -60]  # away from names and grip
    assert np.abs(shown[inside] - expected[inside]).mean() < 6, "on its right lies the result"
    left = np.s_[60:-60, 20 : wide // 4 - 40]
    assert np.abs(shown[left] - expected[left]).mean() > 10, "and on its left something else"
    stage.focus()
    fit = zoom()
    for key, told in (("1", "100 %"), ("2", "200 %"), ("+", "250 %"), ("-", "200 %"), ("0", fit)):
        page.keyboard.press(key)
        assert zoom() == told
    page.keyboard.press("ArrowRight")
    assert split() == "27%"
    page.get_by_role("button", name="200 %").click()
    assert page.get_by_role("button", name="200 %").get_attribute("aria-pressed") == "true"
    before = page.evaluate("document.querySelector('#result .stage').style.getPropertyValue('--x')")
    page.mouse.move(middle[0] + 100, middle[1])
    page.mouse.down()
    page.mouse.move(middle[0] + 60, middle[1])
    page.mouse.up()
    assert page.evaluate("document.querySelector('#result .stage').style.getPropertyValue('--x')") != before
    page.mouse.wheel(0, 600)
    assert int(zoom().split()[0]) < 200
    page.get_by_role("button", name="Fit").click()
    client = page.context.new_cdp_session(page)
    for far in (40, 60, 120, 160):
        points = [
            {"x": middle[0] - far, "y": middle[1], "id": 0},
            {"x": middle[0] + far, "y": middle[1], "id": 1},
        ]
        kind = "touchStart" if far == 40 else "touchMove"
        client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    client.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    assert int(zoom().split()[0]) > 2 * int(fit.split()[0])


def _result(server: Running) -> bytes:
    """The newest result."""
    with server.client() as client:
        content: bytes = client.get(jobs_of(server)[0]["photos"][0]["href"]).content
        return content


def test_what_the_browser_cannot_show_can_be_restored(shared: Running, visit: Callable[..., Any]) -> None:
    page = visit(shared)
    put_in(page, ("a.tif", photo_bytes(kind="tiff")))
    page.locator("#preview .state").filter(has_text="cannot show a.tif").wait_for()
    page.click("#start")
    wait_done(page)
    page.locator("#result").filter(has_text="cannot show a_x4.tif").wait_for()


# --- preview and brush ---


def test_the_slider_mixes_two_views_and_asks_nothing(
    shared: Running, models: Path, visit: Callable[..., Any]
) -> None:
    page = visit(shared)
    sent: list[str] = []
    page.on("request", lambda request: sent.append(f"{request.method} {request.url}"))
    photo = photo_bytes(40, 56)
    put_in(page, ("a.png", photo))
    wait_preview(page)
    page.wait_for_timeout(300)
    assert sum(one.startswith("POST") for one in sent) == 2
    sent.clear()
    ends = [with_texture(models, share).upscale(pixels_of(photo)) for share in (0, 1)]
    certain = ~np.isin(ends, (0, 255)).any(axis=0)
    assert certain.mean() > 0.2
    for share in (0, 0.4, 1):
        texture(page, share)
        expected = with_texture(models, share).upscale(pixels_of(photo))
        differs = np.abs(preview_pixels(page).astype(int) - expected)
        # Both views are of 8 bit: what is brighter than white in one of them is not known to be so.
        assert differs[certain | (share in (0, 1))].max() <= 1, share
    assert not sent
    assert not [job for job in jobs_of(shared) if job["photos"][0]["name"] == "preview.png"], (
        "it leaves nothing"
    )


def test_the_frame_is_dragged_and_shows_what_the_whole_photo_will_be(
    shared: Running, models: Path, visit: Callable[..., Any]
) -> None:
    page = visit(shared)
    photo = photo_bytes(300, 400)
    put_in(page, ("a.png", photo))
    wait_preview(page)
    texture(page, 1)
    whole = with_texture(models, 1).upscale(pixels_of(photo)).astype(int)
    corner = [136, 86]
    for move in ("none", "keys", "drag"):
        if move == "keys":
            page.locator("#preview .frame").focus()
            with asking(page):
                page.keyboard.press("ArrowRight")
            corner[0] += 32
        elif move == "drag":
            stage = page.locator("#preview .photo-stage").bounding_box()
            page.mouse.move(stage["x"] + 1, stage["y"] + 1)
            with asking(page):
                page.mouse.down()  # the frame comes to where one points, and goes no further than the edge
                page.mouse.up()
            corner = [0, 0]
        wait_preview(page)
        x, y = (4 * one for one in corner)
        shown = preview_pixels(page).astype(int)
        assert shown.shape == (512, 512, 3)
        assert np.abs(shown - whole[y : y + 512, x : x + 512]).max() <= 1, move


def test_size_and_model_make_the_preview_anew(shared: Running, visit: Callable[..., Any]) -> None:
    page = visit(shared)
    put_in(page, ("a.png", photo_bytes(40, 56)))
    wait_preview(page)
    page.select_option("#size", "width")
    page.fill("#size-value", "112")
    page.wait_for_function("() => document.querySelector('#preview .side:nth-child(2) canvas').width === 112")
    with asking(page):
        page.select_option("#model", "cmdsr-x4")
        assert not page.locator("#texture").is_visible() and page.locator("#tool-brush").is_disabled()
    wait_preview(page)
    page.fill("#size-value", "wide")
    page.click("#start")
    assert page.evaluate("document.querySelector('#size-value').validity.valid") is False
    page.fill("#size-value", "100")
    page.click("#start")
    wait_done(page)
    page.locator("#result").filter(has_text="100 \u00d7 71 pixels").wait_for()


def test_the_brush_takes_texture_away(server: Running, models: Path, visit: Callable[..., Any]) -> None:
    page = visit(server)
    photo = photo_bytes(60, 80)
    put_in(page, ("a.png", photo))
    wait_preview(page)
    texture(page, 1)
    page.click("#tool-brush")
    stage = page.locator("#brush .photo-stage")
    box = stage.bounding_box()

    def stroke(share: float) -> None:
        x = box["x"] + share * box["width"]
        page.mouse.move(x, box["y"] + 2)
        page.mouse.down()
        page.mouse.move(x, box["y"] + box["height"] - 2, steps=6)
        page.mouse.up()

    sliders = {name: page.get_by_label(name, exact=True) for name in ("Brush size", "Softness")}
    sliders["Brush size"].fill("120")
    sliders["Softness"].fill("0")
    assert tinted(page) == 0
    stroke(0.1)
    hard = tinted(page)
    assert hard > 0
    stroke(0.5)
    assert tinted(page) > 1.5 * hard
    page.locator("#brush").get_by_role("button", name="Undo").click()
    assert tinted(page) == hard
    page.locator("#brush").get_by_role("button", name="Erase").click()
    stroke(0.1)
    assert tinted(page) < hard / 4
    stage.focus()
    page.keyboard.press("Control+z")
    assert tinted(page) == hard
    page.locator("#brush").get_by_role("button", name="Paint").click()
    stage.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press(" ")
    assert tinted(page) > hard
    page.locator("#brush").get_by_role("button", name="Clear").click()
    assert tinted(page) == 0
    stroke(0)  # the left edge, hard
    page.click("#start")
    wait_done(page)
    (job,) = (one for one in jobs_of(server) if one["status"] == "done")
    assert job["options"]["mask"] is True
    result = pixels_of(_result(server)).astype(int)
    plain, full = (with_texture(models, share).upscale(pixels_of(photo)).astype(int) for share in (0, 1))
    edge = round(60 / box["width"] * 320)
    assert np.array_equal(result[:, : edge - 8], plain[:, : edge - 8]), "none where it is painted"
    assert np.array_equal(result[:, edge + 8 :], full[:, edge + 8 :]), "all of it elsewhere"
    assert not np.array_equal(plain[:, : edge - 8], full[:, : edge - 8])


# --- my camera ---


def test_my_camera_is_read_chosen_remembered_and_forgotten(
    server: Running, visit: Callable[..., Any]
) -> None:
    page = visit(server)
    page.fill("#camera-name", "Old <b>phone</b>")
    photos = [photo_bytes(40, 56, n) for n in range(2)]
    page.set_input_files(
        "#camera-files",
        [{"name": f"{n}.png", "mimeType": "image/png", "buffer": one} for n, one in enumerate(photos)],
    )
    page.click("#camera-form button")
    page.locator("#cameras li").filter(has_text="Read from 2 photos").wait_for()
    page.select_option("#camera", label="Old <b>phone</b>")
    assert page.locator("#model").input_value() == "cmdsr-x4" and page.locator("#model").is_disabled()
    restore(page, ("a.png", photo_bytes(40, 56, 5)))
    with server.client() as client:
        (profile,) = client.get("/v1/profiles").json()["profiles"]
    assert jobs_of(server)[0]["options"]["profile"] == profile["id"]
    page.reload()
    page.locator("#cameras li").filter(has_text="Old <b>phone</b>").wait_for()
    assert page.locator("#camera").input_value() == profile["id"], "what was chosen is remembered"
    page.get_by_role("button", name="Delete Old <b>phone</b>").click()
    page.locator("#cameras li").wait_for(state="detached")
    assert page.locator("#camera").input_value() == "" and page.locator("#model").is_enabled()


def test_without_a_model_that_adapts_there_are_no_cameras(tmp_path: Path, visit: Callable[..., Any]) -> None:
    for name in ("cria-x4-compact", "cmdsr-x4"):
        write_model(tmp_path / "models" / name, adaptive=False, texture=0.85)
    with run_server(tmp_path / "models", tmp_path / "jobs") as server:
        page = visit(server)
        page.locator("#camera-card").wait_for(state="hidden")
        assert not page.locator("#camera").is_visible()
        restore(page, ("a.png", photo_bytes()))


def test_behind_a_proxy(serving: Serving, visit: Callable[..., Any]) -> None:
    with serving(root_path="/photos") as server:
        page = visit(server)
        assert page.url == f"{server.url}/" and server.url.endswith("/photos")
        restore(page, ("a.png", photo_bytes()))
        with page.expect_download() as download:
            line(page, "a.png").get_by_role("button", name="Save a_x4.png").click()
        assert pixels_of(Path(download.value.path()).read_bytes()).shape == (96, 128, 3)


# --- how photos come in, and what they are called ---


def test_dropped_and_pasted_photos(shared: Running, visit: Callable[..., Any]) -> None:
    page = visit(shared)
    hand_over = """([kind, name, bytes]) => {
      const files = new DataTransfer();
      files.items.add(new File([new Uint8Array(bytes)], name, { type: "image/png" }));
      const event = kind === "paste" ? new ClipboardEvent("paste", { clipboardData: files, bubbles: true })
        : new DragEvent("drop", { dataTransfer: files, bubbles: true, cancelable: true });
      return document.body.dispatchEvent(event);
    }"""
    photo = list(photo_bytes())
    assert page.evaluate(hand_over, ["drop", "dropped.png", photo]) is False, "the browser does not open it"
    page.evaluate(hand_over, ["paste", "pasted.png", photo])
    page.click("#start")
    wait_done(page, 2)
    assert {line(page, name).count() for name in ("dropped.png", "pasted.png")} == {1}


@pytest.mark.parametrize(
    "name", ["<img src=x onerror=alert(1)>.png", '"><script>alert(1)</script>.png', "${x}{n}.png"]
)
def test_names_are_text(shared: Running, visit: Callable[..., Any], name: str) -> None:
    page = visit(shared)
    page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    put_in(page, (name, photo_bytes()))
    assert page.locator("#queue .name").inner_text() == name == page.locator("#work-title").inner_text()
    page.click("#start")
    wait_done(page)
    page.reload()
    wait_done(page)
    assert page.locator("#queue .name").inner_text() == name
    assert page.evaluate("document.querySelectorAll('main script, #queue li img[onerror]').length") == 0


def test_nothing_but_the_server_is_asked(shared: Running, visit: Callable[..., Any]) -> None:
    page = visit(shared)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.reload()
    restore(page, ("a.png", photo_bytes()))
    assert asked and all(url.startswith((f"{shared.url}/", "blob:")) for url in asked)


def test_a_token_is_asked_for_where_there_is_none(shared: Running, visit: Callable[..., Any]) -> None:
    page = visit(shared, token=None)
    page.locator("#token-dialog").wait_for()
    page.fill("#token", "a-wrong-one")
    page.keyboard.press("Enter")
    page.locator("#token-dialog").wait_for()
    page.fill("#token", TOKEN)
    page.keyboard.press("Enter")
    restore(page, ("a.png", photo_bytes()))
    assert TOKEN not in page.url and "token" not in json.dumps(page.evaluate("({ ...localStorage })"))


# --- who looks at it, and on what ---


@pytest.mark.parametrize("locale", ["en-GB", "de-DE"])
def test_on_a_phone_nothing_is_wider_than_the_screen(
    shared: Running, visit: Callable[..., Any], locale: str
) -> None:
    page = visit(shared, locale=locale, **PHONE)

    def check(state: str) -> None:
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, state
        small = page.evaluate(
            """() => [...document.querySelectorAll("button, select, input:not([type=file])")]
            .filter((one) => one.checkVisibility())
            .map((one) => [one.outerHTML, one.getBoundingClientRect()])
            .filter(([, box]) => box.width < 24 || box.height < 24).map(([text]) => text)"""
        )
        assert not small, state

    check("empty")
    put_in(page, (LONG, photo_bytes(40, 30)), ("broken.png", b"nothing"), ("wide.png", photo_bytes(10, 300)))
    page.locator("#preview .viewer .stage").wait_for()
    check("preview")
    page.tap("#tool-brush")
    check("brush")
    page.tap("#start")
    wait_done(page, 2)
    page.locator("#result .stage").wait_for()
    check("result")
    for one in page.locator("#queue .opener").all():
        one.tap()
        page.wait_for_timeout(150)
        check("another")


def test_german_by_the_browser_and_english_by_choice(shared: Running, visit: Callable[..., Any]) -> None:
    page = visit(shared, locale="de-AT")
    assert page.evaluate("document.documentElement.lang") == "de"
    put_in(page, ("a.png", photo_bytes()))
    assert page.locator("#start").inner_text() == "1 Foto wiederherstellen"
    page.click("#start")
    wait_done(page)
    assert "Fertig nach" in line(page, "a.png").inner_text()
    line(page, "a.png").get_by_role("button", name="a_x4.png speichern").wait_for()
    page.select_option("#language", "en")
    assert "Done in" in line(page, "a.png").inner_text()
    line(page, "a.png").get_by_role("button", name="Save a_x4.png").wait_for()
    page.reload()
    assert page.evaluate("document.documentElement.lang") == "en"
    assert page.locator("#photos-title").inner_text() == "Photos"


def test_it_can_be_used_by_keys_alone(shared: Running, visit: Callable[..., Any]) -> None:
    page = visit(shared)
    put_in(page, ("a.png", photo_bytes(40, 56)))
    wait_preview(page)
    page.evaluate("document.activeElement.blur()")
    reached = []
    for _ in range(60):
        page.keyboard.press("Tab")
        one = page.evaluate(
            """() => {
              const one = document.activeElement;
              const style = getComputedStyle(one.closest(".drop") ?? one);
              const ringed = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
              return [one.tagName, `${one.id} ${one.className}`, ringed];
            }"""
        )
        if one[0] == "BODY":
            break
        reached.append(one[1])
        assert one[2], f"{one}: the focus cannot be seen"
    for name in ("skip", "language", "files", "opener", "frame", "stage", "texture", "model", "start"):
        assert any(name in one.split() for one in reached), name
    page.locator("#start").focus()
    page.keyboard.press("Enter")
    wait_done(page)


def test_movement_is_left_out_where_it_is_not_wanted(shared: Running, visit: Callable[..., Any]) -> None:
    moving = "getComputedStyle(document.querySelector('#start')).transitionDuration"
    assert visit(shared, reduced_motion="reduce").evaluate(moving) == "0s"
    assert visit(shared, reduced_motion="no-preference").evaluate(moving) != "0s"


@pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not there; .ci/run fetches it")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(shared: Running, visit: Callable[..., Any], scheme: str) -> None:
    page = visit(shared, color_scheme=scheme)
    back = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", back)[:3])) < 150) == (scheme == "dark")
    axe = AXE.read_text(encoding="utf-8")
    rules = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    if scheme == "dark":  # nothing else differs
        rules = ["color-contrast"]

    def check(state: str) -> None:
        page.evaluate(axe)
        found = page.evaluate("(only) => axe.run({ runOnly: only })", rules)
        serious = [
            (one["id"], [node["target"] for node in one["nodes"]])
            for one in found["violations"]
            if one["impact"] in ("serious", "critical")
        ]
        assert not serious, (state, serious)
        assert len(found["passes"]) > (20 if scheme == "light" else 0), "it has looked"

    check("empty")
    put_in(page, ("a.png", photo_bytes(40, 56)), ("broken.png", b"nothing"))
    wait_preview(page)
    check("preview")
    page.click("#tool-brush")
    check("brush")
    page.click("#start")
    wait_done(page)
    page.locator("#result .stage").wait_for()
    check("result")
    line(page, "broken.png").locator(".opener").click()
    check("failed")
