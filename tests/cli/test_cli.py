"""The command line: what goes where, what it says, and how it ends."""

from __future__ import annotations

import errno
import json
import os
import re
import shlex
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import blindsr
from blindsr import __version__, cli
from blindsr.batch import run as running
from blindsr.cli import screen
from blindsr.cli.screen import EXIT_SOME_FAILED, EXIT_USAGE
from blindsr.comparison import ComparisonPage
from blindsr.degradation import degrade, read_space
from blindsr.errors import InputError
from blindsr.metrics import niqe, read_niqe
from blindsr.models.catalogue import ADAPTING_MODEL, DEFAULT_MODEL
from blindsr.picture import Limits
from blindsr.picture.series import Opened

from ..children import BLINDSR, LONGEST, finished, started
from ..conftest import MakeModel, Run, made_photo


def save(path: Path, height: int = 12, width: int = 16) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(made_photo(height, width)).save(path)
    return path


def size(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def files(folder: Path) -> set[str]:
    return {entry.relative_to(folder).as_posix() for entry in folder.rglob("*") if entry.is_file()}


def test_beside_the_photo_in_its_format(run: Run, make_model: MakeModel, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    photos = [save(folder / name) for name in ("a.jpg", "b.PNG", "été [1].webp", "d.gif")]
    code, _, error = run("upscale", *photos, "--model", make_model())
    assert code == 0, error
    results = {"a_x4.jpg", "b_x4.PNG", "été [1]_x4.webp", "d_x4.png"}
    assert files(folder) == results | {photo.name for photo in photos}
    assert {size(folder / name) for name in results} == {(64, 48)}
    assert "été [1]_x4.webp" in error


def test_out_file(run: Run, make_model: MakeModel, tmp_path: Path) -> None:
    photo = save(tmp_path / "a.png")
    code, _, _ = run("upscale", photo, "-o", tmp_path / "new" / "b.jpg", "--model", make_model(scale=2))
    assert code == 0 and size(tmp_path / "new" / "b.jpg") == (32, 24)


@pytest.mark.parametrize(
    ("options", "name", "expected"),
    [
        (["--scale", "2.5"], "a_x2.5.png", (40, 30)),
        (["--scale", "5"], "a_x5.png", (80, 60)),
        (["--width", "20"], "a_20w.png", (20, 15)),
        (["--height", "120"], "a_120h.png", (160, 120)),
        (["--fit", "3840x24"], "a_3840x24.png", (32, 24)),
    ],
)
def test_a_size_of_ones_own(
    run: Run, make_model: MakeModel, tmp_path: Path, options: list[str], name: str, expected: tuple[int, int]
) -> None:
    save(tmp_path / "photos" / "a.png")
    for _ in range(2):  # a folder's earlier results are not photos
        code, _, error = run("upscale", tmp_path / "photos", "--model", make_model(), *options)
        assert code == 0, error
    assert files(tmp_path / "photos") == {"a.png", name}
    assert size(tmp_path / "photos" / name) == expected


def test_format_and_quality(run: Run, make_model: MakeModel, tmp_path: Path) -> None:
    photos, model = tmp_path / "photos", make_model()
    for name in ("a.png", "b.JPEG", "c.bmp", "d.gif"):
        save(photos / name)
    code, _, error = run("upscale", photos, "-o", tmp_path / "jpeg", "-f", "jpeg", "--model", model)
    assert code == 0, error
    assert files(tmp_path / "jpeg") == {"a_x4.jpg", "b_x4.JPEG", "c_x4.jpg", "d_x4.jpg"}
    code, _, error = run("upscale", photos, "-o", tmp_path / "own", "--model", model)
    assert code == 0, error
    assert files(tmp_path / "own") == {"a_x4.png", "b_x4.JPEG", "c_x4.bmp", "d_x4.png"}
    sizes = []
    for name in ("jpeg", "webp", "avif"):
        for quality in ("20", "95"):
            out = tmp_path / quality
            code, _, error = run(
                "upscale", photos / "a.png", "-o", out, "-f", name, "--quality", quality, "--model", model
            )
            assert code == 0, error
            (result,) = out.glob(f"a_x4.{name[:2]}*" if name != "jpeg" else "a_x4.jpg")
            sizes.append(result.stat().st_size)
    assert sizes[0] < sizes[1] and sizes[2] < sizes[3] and sizes[4] < sizes[5]


def test_quality_needs_a_lossy_format(run: Run, make_model: MakeModel, tmp_path: Path) -> None:
    photos = save(tmp_path / "a.png"), save(tmp_path / "b.jpg")
    code, _, error = run("upscale", *photos, "--quality", "80", "--model", make_model())
    assert code == 3 and "a.png: .png files lose nothing" in error
    assert (tmp_path / "b_x4.jpg").exists() and not (tmp_path / "a_x4.png").exists()


def test_one_bad_file_does_not_end_the_batch(run: Run, make_model: MakeModel, tmp_path: Path) -> None:
    photos, model = tmp_path / "photos", make_model()
    save(photos / "a.png"), save(photos / "z.png")
    (photos / "bad.png").write_bytes((photos / "a.png").read_bytes()[:200])
    for status in ("2 done, 0 skipped", "0 done, 2 skipped"):
        code, out, error = run("upscale", photos, tmp_path / "absent.jpg", "--model", model)
        assert code == EXIT_SOME_FAILED == 3 and not out
        assert files(photos) == {"a.png", "a_x4.png", "z.png", "z_x4.png", "bad.png"}
        faults = [line for line in error.splitlines() if line.startswith("error: ")]
        assert len(faults) == 2 and "bad.png" in faults[0] and "absent.jpg" in faults[1]
        assert "Traceback" not in error
        assert error.splitlines()[-1] == f"{status}, 2 failed; the same command tries only those again"


def test_what_is_there_already(run: Run, make_model: MakeModel, tmp_path: Path) -> None:
    photos, model = tmp_path / "photos", make_model()
    save(photos / "a.png"), save(photos / "sub" / "b.png")
    result = photos / "a_x4.png"
    result.write_bytes(b"older")
    code, _, error = run("upscale", photos, "--skip-existing", "--no-recursive", "--model", model)
    assert (code, error) == (0, "0 done, 1 skipped, 0 failed\n") and result.read_bytes() == b"older"
    code, _, error = run("upscale", photos, "--recursive", "--model", model)
    assert code == 0 and size(result) == (64, 48) and len(error.splitlines()) == 2
    assert run("upscale", photos, "--overwrite", "--model", model)[0] == 0
    assert files(photos) == {"a.png", "a_x4.png", "sub/b.png", "sub/b_x4.png"}


def test_json(run: Run, make_model: MakeModel, tmp_path: Path) -> None:
    odd = os.fsdecode(b"o\xffdd\n.png")
    photos, model = tmp_path / "photos", make_model()
    save(photos / "a.png"), save(photos / odd)
    (photos / "bad.png").write_bytes(b"")
    code, out, error = run("upscale", photos, "-o", tmp_path / "out", "--json", "--model", model)
    assert code == 3 and error == ""
    a, bad, strange, last = (json.loads(line) for line in out.splitlines())
    assert a["source"] == str(photos / "a.png") and a["target"] == str(tmp_path / "out" / "a_x4.png")
    assert (a["status"], a["error"], a["input_size"], a["output_size"]) == ("done", None, [16, 12], [64, 48])
    assert [*a["seconds"]] == ["decode", "restore", "encode"] and min(a["seconds"].values()) >= 0
    assert bad["status"] == "failed" and "bad.png" in bad["error"] and bad["output_size"] is None
    assert strange["source"] == str(photos / "o\ufffddd\n.png")
    assert os.fsdecode(bytes.fromhex(strange["source_hex"])) == str(photos / odd)
    summary = last["summary"]
    assert summary.pop("seconds") > 0
    assert summary == {"done": 2, "skipped": 0, "failed": 1, "left": 0, "left_out": {}, "interrupted": False}
    assert out.isascii()


def test_odd_names_are_one_line(run: Run, make_model: MakeModel, tmp_path: Path) -> None:
    photos = [save(tmp_path / os.fsdecode(name)) for name in (b"a\nb.png", b"\x1b[31m\xff[red].png")]
    (tmp_path / "c\nd.png").write_bytes(b"")
    code, _, error = run("upscale", *photos, tmp_path / "c\nd.png", "-o", tmp_path, "--model", make_model())
    assert code == 3
    one, two, three, _ = error.splitlines()
    assert one.endswith(r"a\nb_x4.png") and two.endswith(r"\x1b[31m\xff[red]_x4.png") and r"c\nd.png" in three


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_ends_it_in_good_order(
    run: Run, make_model: MakeModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(screen, "_GRACE", LONGEST)  # or a busy machine ends the tests
    number = getattr(signal, name)
    before = signal.getsignal(number)
    photos, out, model = tmp_path / "photos", tmp_path / "out", make_model()
    for one in "abcdef":
        save(photos / f"{one}.png")
    open_for = running.open_for  # type: ignore[attr-defined]

    def open_or_stop(path: Path, target: Path, limits: Limits) -> Opened:
        if path.name == "c.png":
            handler: Any = signal.getsignal(number)
            os.kill(os.getpid(), number)
            while not handler.__self__.caught:  # by the main thread
                time.sleep(0.001)
        return open_for(path, target, limits)

    with monkeypatch.context() as patch:
        patch.setattr(running, "open_for", open_or_stop)
        code, lines, error = run("upscale", photos, "-o", out, "--model", model, "--json")
    assert code == 128 + number and signal.getsignal(number) == before
    assert error.splitlines()[-1] == "interrupted; the same command does the rest"
    summary = json.loads(lines.splitlines()[-1])["summary"]
    assert summary["interrupted"] and summary["left"] >= 3
    assert ".blindsr-journal" in files(out) and not [name for name in files(out) if "part" in name]
    code, _, error = run("upscale", photos, "-o", out, "--model", model)
    assert code == 0 and files(out) == {f"{one}_x4.png" for one in "abcdef"}


def test_an_ignored_signal_stays_ignored(
    run: Run, make_model: MakeModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = save(tmp_path / "a.png")
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    open_for = running.open_for  # type: ignore[attr-defined]

    def open_after_signal(path: Path, target: Path, limits: Limits) -> Opened:
        os.kill(os.getpid(), signal.SIGHUP)
        return open_for(path, target, limits)

    try:
        monkeypatch.setattr(running, "open_for", open_after_signal)
        assert run("upscale", photo, "--model", make_model())[0] == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_reader_that_has_gone(make_model: MakeModel, tmp_path: Path) -> None:
    for one in "ab":
        save(tmp_path / "photos" / f"{one}.png")
    reading, writing = os.pipe()
    os.close(reading)
    command = [*BLINDSR, "upscale", tmp_path / "photos", "--json", "--model", make_model()]
    with os.fdopen(writing, "wb") as nobody:
        done = finished(*command, stdout=nobody)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.slow
def test_a_second_signal_ends_it_at_once(make_model: MakeModel, tmp_path: Path) -> None:
    """Decoding never ends here, so the first signal alone would have to wait for its moment of grace."""
    photos = [save(tmp_path / f"{one}.png") for one in "ab"]
    code = """
import sys, threading
from blindsr import cli
from blindsr.batch import run
def open_for(path, target, limits):
    print("reading", flush=True)
    threading.Event().wait()
run.open_for = open_for
cli.main()
"""
    with started(sys.executable, "-c", code, "upscale", *photos, "--model", make_model()) as running:
        assert running.stdout is not None and running.stdout.readline() == b"reading\n"
        while running.poll() is None:
            running.send_signal(signal.SIGINT)
            time.sleep(0.3)
        _, error = running.communicate()
    assert running.returncode == 130
    assert error == b"interrupted; the same command does the rest\n"
    assert files(tmp_path) - {"a.png", "b.png", ".blindsr-journal"} == {
        name for name in files(tmp_path) if name.startswith("models/")
    }


def test_support_folder(run: Run, make_model: MakeModel, tmp_path: Path) -> None:
    photo, model = save(tmp_path / "a.png"), make_model()
    (tmp_path / "same").mkdir(), (tmp_path / "other").mkdir()
    save(tmp_path / "same" / "a.png")
    Image.fromarray(made_photo(40, 40, 7) // 5).save(tmp_path / "other" / "b.png")
    pixels = []
    for number, support in enumerate(
        ([], ["--support", tmp_path / "same"], ["--support", tmp_path / "other"])
    ):
        out = tmp_path / f"{number}.png"
        assert run("upscale", photo, "-o", out, "--model", model, *support)[0] == 0
        pixels.append(np.asarray(Image.open(out)))
    assert (pixels[0] == pixels[1]).all() and (pixels[0] != pixels[2]).any()


def test_tiles_and_threads(run: Run, make_model: MakeModel, tmp_path: Path) -> None:
    photo = save(tmp_path / "a.png", 40, 40)
    for tile in ("auto", "16"):
        out = tmp_path / f"{tile}.png"
        options = ["--tile", tile, "--threads", "1", "--device", "cpu"]
        assert run("upscale", photo, "-o", out, "--model", make_model(), *options)[0] == 0
    difference = np.asarray(Image.open(tmp_path / "16.png")).astype(int) - np.asarray(
        Image.open(tmp_path / "auto.png")
    )
    assert np.abs(difference).max() <= 1


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["upscale"], "INPUT"),
        (["upscale", "a.png", "--model", "no-such"], "no model named"),
        (["upscale", "a.png", "--tile", "x"], "tile 'x'"),
        (["upscale", "a.png", "--threads", "0"], "threads"),
        (["upscale", "a.png", "--device", "tpu"], "device 'tpu'"),
        (["upscale", "a.png", "b.png", "-o", "c.png"], "give a folder"),
        (["upscale", "empty"], "no photos"),
        (["upscale", "*.jpg"], "as a pattern it matches no photo"),
        (["upscale", "a.png", "--skip-existing", "--overwrite"], "give only one of them"),
        (["upscale", "a.png", "--support", "empty"], "no photos"),
        (["upscale", "a.png", "--scale", "2", "--fit", "9x9"], "--scale and --fit: give only one"),
        (["upscale", "a.png", "--width", "0"], "width 0: a size must be above 0"),
        (["upscale", "a.png", "--fit", "4k"], "fit '4k': give the box"),
        (["upscale", "a.png", "-f", "ico"], "format 'ico': give one of png, jpeg"),
        (["upscale", "a.png", "-f", "tiff", "--quality", "80"], "tiff loses nothing"),
        (["upscale", "a.png", "-f", "jpeg", "-o", "b.webp"], "contradict each other"),
        (["upscale", "a.png", "-f", "jpeg", "--quality", "0"], "quality"),
        (["upscale", ""], "an empty name"),
        (["upscale", "a.png", "-o", ""], "an empty name"),
        (["enlarge"], "enlarge"),
    ],
)
def test_usage_errors(
    run: Run,
    make_model: MakeModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    fault: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    save(tmp_path / "a.png")
    if arguments[0] == "upscale" and "--model" not in arguments:
        arguments = [*arguments, "--model", str(make_model())]
    code, _, error = run(*arguments)
    assert code == cli.EXIT_USAGE == 2
    assert fault in re.sub(r"\x1b\[[0-9;]*m", "", error) and "Traceback" not in error
    assert files(tmp_path) - {name for name in files(tmp_path) if name.startswith("models/")} == {"a.png"}


def test_errors_are_one_line_each(run: Run, tmp_path: Path) -> None:
    long = tmp_path / ("long name " * 20)
    _, _, error = run("upscale", "a.png", "--model", long)
    assert len(error.splitlines()) == 1 and error.startswith("error: ") and str(long) in error


def test_models(run: Run, make_model: MakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_model("sharp-x2", scale=2, adaptive=False)
    make_model("views", texture=0.5)
    broken = make_model("broken")
    (broken / "card.json").write_text("{}")
    monkeypatch.setenv("BLINDSR_MODELS", str(folder.parent))
    code, out, error = run("models")
    assert code == 0
    assert out.split()[:5] == ["name", "scale", "adapts", "texture", "licence"]
    (line,) = (line for line in out.splitlines() if line.startswith("views "))
    assert line.split()[:4] == ["views", "x4", "yes", "yes"]
    (line,) = (line for line in out.splitlines() if "sharp-x2" in line)
    assert line.split()[:5] == ["sharp-x2", "x2", "no", "no", "MIT"]
    assert "broken" in error and error.startswith("error: ")


def test_without_a_name_the_task_chooses_the_model(run: Run, tmp_path: Path) -> None:
    """Only one with a texture view takes --texture, only one that adapts takes photos to adapt to."""
    photo = save(tmp_path / "a.png")
    assert run("adapt", photo, "-o", tmp_path / "phone.profile")[0] == 0
    for options in (("--texture", "0.2"), ("--support", photo), ("--profile", tmp_path / "phone.profile")):
        code, _, error = run("upscale", photo, "-o", tmp_path / "big.png", "--overwrite", *options)
        assert code == 0, error
    code, _, error = run("upscale", photo, "--support", photo, "--model", DEFAULT_MODEL)
    assert code == EXIT_USAGE and f"{ADAPTING_MODEL} does" in error
    assert f"Default: {DEFAULT_MODEL};" in run("models")[1]


def test_version(run: Run) -> None:
    assert run("--version")[:2] == (0, f"blindsr {__version__}\n")


@pytest.mark.parametrize("arguments", [["train", "recipe.yaml"], ["export", "last.ckpt", "-o", "model"]])
def test_missing_pytorch_names_the_extra(
    run: Run, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    for name in [name for name in sys.modules if re.match(r"(torch|blindsr\.(training|export))(\.|$)", name)]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr(blindsr, "training", raising=False)  # else "from blindsr import" finds it there
    monkeypatch.setitem(sys.modules, "torch", None)
    code, _, error = run(*arguments)
    assert code == 2 and 'pip install "blindsr[train]"' in error and len(error.splitlines()) == 1


def test_degrade(run: Run, tmp_path: Path) -> None:
    save(tmp_path / "hr" / "a.png", 48, 64)
    options = ["--degrade", "blur=1.3,noise=15", "--scale", "4"]
    for name, seed in (("one", "1"), ("again", "1"), ("two", "2")):
        code, _, error = run("degrade", tmp_path / "hr", "-o", tmp_path / name, *options, "--seed", seed)
        assert code == 0, error
    (one,), (again,), (two,) = ([*(tmp_path / name).rglob("*.png")] for name in ("one", "again", "two"))
    assert size(one) == (16, 12)
    assert (np.asarray(Image.open(one)) == np.asarray(Image.open(again))).all()
    assert (np.asarray(Image.open(one)) != np.asarray(Image.open(two))).any()


@pytest.mark.slow
def test_as_a_module_and_in_any_locale(make_model: MakeModel, tmp_path: Path) -> None:
    photo = save(tmp_path / "写真.png")
    locale = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii"}
    done = finished(*BLINDSR, "upscale", photo, "--model", make_model(), env=locale)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "写真_x4.png").exists()


def test_texture(run: Run, make_model: MakeModel, tmp_path: Path) -> None:
    """A model of scale 1 with a texture view; its results are named after their size, too."""
    model, photo = (
        make_model("views", texture=1.0, scale=1, multiple=4, adaptive=False),
        save(tmp_path / "a.png"),
    )
    made = {}
    for texture in ("0", "0.4", "1", None):
        option = () if texture is None else ("--texture", texture)
        code, _, error = run("upscale", photo, "--model", model, "--overwrite", *option)
        assert code == 0, error
        made[texture] = (tmp_path / "a_x1.png").read_bytes()
    assert made[None] == made["1"] and len(set(made.values())) == 3
    code, _, error = run("upscale", photo, "--model", model, "--texture", "1.5")
    assert code == 2 and error == "error: texture 1.5: give a number from 0 to 1\n"
    code, _, error = run("upscale", photo, "--model", make_model("plain"), "--texture", "0.5")
    assert code == 2 and "model plain has no texture to turn up or down" in error and error.count("\n") == 1


def test_what_needs_a_model_that_adapts(run: Run, make_model: MakeModel, tmp_path: Path) -> None:
    model, photo = make_model("views", texture=1.0, adaptive=False), save(tmp_path / "a.png")
    for command in (
        ("adapt", photo, "-o", tmp_path / "a.profile"),
        ("inspect", photo),
        ("upscale", photo, "--support", photo),
        ("upscale", photo, "--profile", tmp_path / "a.profile"),
    ):
        code, _, error = run(*command, "--model", model)
        assert code == 2 and "model views does not adapt, so" in error and error.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} == {"a.png", "models"}


def test_a_camera_s_profile(run: Run, make_model: MakeModel, tmp_path: Path) -> None:
    model, photo = make_model(), save(tmp_path / "a.png")
    for seed in range(3):
        Image.fromarray(made_photo(40, 40, seed) // 4).save(tmp_path / f"camera{seed}.png")
    camera = tmp_path / "camera?.png"
    assert run("adapt", camera, "-o", tmp_path / "phone.profile", "--model", model)[0] == 0
    ways = {
        "own": (),
        "profile": ("--profile", tmp_path / "phone.profile"),
        "support": ("--support", camera),
    }
    made = {}
    for name, options in ways.items():
        code, _, error = run("upscale", photo, "-o", tmp_path / f"{name}.png", "--model", model, *options)
        assert code == 0, error
        made[name] = (tmp_path / f"{name}.png").read_bytes()
    assert made["profile"] == made["support"] != made["own"]
    code, _, error = run("upscale", photo, "--model", model, *ways["profile"], *ways["support"])
    assert code == 2 and "only one of them" in error
    code, _, error = run("upscale", photo, "--model", make_model("other"), *ways["profile"])
    assert code == 2 and "a profile for model 'tiny', not for other" in error


def test_before_and_after_on_a_page(run: Run, make_model: MakeModel, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    save(photos / "a.png"), save(photos / "c.png")
    (photos / "b.png").write_bytes(b"no photo")
    page = tmp_path / "page.html"
    code, _, _ = run("upscale", photos, "-o", tmp_path / "out", "--model", make_model(), "--compare", page)
    assert code == EXIT_SOME_FAILED
    text = page.read_text(encoding="utf-8")
    assert text.count("<template>") == 2 and "b.png" in text.partition("Left out")[2]
    code, _, error = run("upscale", photos, "--compare", tmp_path / "page.png")
    assert code == 2 and "name it such as compare.html" in error


def test_a_page_that_cannot_be_written_ends_no_batch(
    run: Run, make_model: MakeModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(page: ComparisonPage, source: Path, target: Path) -> None:
        raise InputError(f"{page.path}: cannot be written (No space left on device)")

    save(tmp_path / "photos" / "a.png"), save(tmp_path / "photos" / "b.png")
    monkeypatch.setattr(ComparisonPage, "add", full)
    out, page = tmp_path / "out", tmp_path / "page.html"
    _, _, error = run("upscale", tmp_path / "photos", "-o", out, "--model", make_model(), "--compare", page)
    assert files(out) == {"a_x4.png", "b_x4.png"}
    assert error.count("page.html: cannot be written") == 1


def test_bounds(run: Run, make_model: MakeModel, tmp_path: Path) -> None:
    model, photo = make_model(), save(tmp_path / "a.png", 30, 40)
    results = []
    for memory in ("384M", "2G"):
        code, _, error = run("upscale", photo, "-o", tmp_path / "b.png", "--model", model, "--memory", memory)
        assert code == 0, error
        results.append((tmp_path / "b.png").read_bytes())
    assert results[0] == results[1]
    for options, code, said in (
        (("--memory", "lots"), 2, "memory 'lots': give a size such as 1.5G or 800M"),
        (("--memory", "1M"), 2, "give at least 384 MiB"),
        (("--max-pixels", "none"), 2, "--max-pixels 'none': give a number of pixels, such as 500M"),
        (("--max-pixels", "1.1K"), 3, "a.png: 40x30 is more than the 0.0011 million pixels allowed"),
        (("--max-pixels", "1200"), 0, ""),
    ):
        ended, _, error = run("upscale", photo, "-o", tmp_path / "c.png", "--model", model, *options)
        assert ended == code and said in error, (options, error)


def test_a_format_by_its_files_ending(run: Run, make_model: MakeModel, tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    for name in ("JPG", ".jpg", "jpeg"):
        assert run("upscale", tmp_path / "a.png", "-f", name, "--model", make_model())[0] == 0
        (tmp_path / "a_x4.jpg").unlink()


def test_a_named_photo_without_the_right_to_read_fails_alone(
    run: Run, make_model: MakeModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path / "a.png")
    save(tmp_path / "b.png")
    model, access, opened = make_model(), os.access, Path.open

    def closed_access(path: str, mode: int) -> bool:
        return Path(path).name != "a.png" and access(path, mode)

    def closed_open(path: Path, *rest: Any, **options: Any) -> Any:
        if path.name == "a.png":
            raise PermissionError(errno.EACCES, "Permission denied")
        return opened(path, *rest, **options)

    monkeypatch.setattr(os, "access", closed_access)
    monkeypatch.setattr(Path, "open", closed_open)
    code, _, error = run("upscale", tmp_path / "a.png", tmp_path / "b.png", "--model", model)
    assert code == EXIT_SOME_FAILED and "give yourself the right to read it" in error
    assert (tmp_path / "b_x4.png").exists()


def test_an_impossible_size_names_one_file(run: Run, make_model: MakeModel, tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    for size in (("--width", 10**8), ("--scale", 1e300)):
        error = run("upscale", tmp_path / "a.png", *size, "--model", make_model())[2].splitlines()[0]
        assert error.count(".png: ") == 1 and len(error) < 200 + len(str(tmp_path))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="shells there close no streams")
@pytest.mark.parametrize("closing", [">&-", "2>&-", "<&- >&- 2>&-", "2>/dev/full"])
def test_closed_streams_end_no_batch(make_model: MakeModel, tmp_path: Path, closing: str) -> None:
    if "full" in closing and not Path("/dev/full").exists():
        pytest.skip("no such device")
    photos = [str(save(tmp_path / f"{i}.png")) for i in range(2)]
    program = shlex.join([*BLINDSR, "upscale", *photos, "absent.png", "--model", str(make_model())])
    done = finished("sh", "-c", f"{program} {closing}")
    assert done.returncode == EXIT_SOME_FAILED
    assert size(tmp_path / "0_x4.png") == size(tmp_path / "1_x4.png") == (64, 48)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no such device")
def test_lines_for_programs_that_cannot_be_written(make_model: MakeModel, tmp_path: Path) -> None:
    command = [*BLINDSR, "upscale", save(tmp_path / "a.png"), "--json", "--model", make_model()]
    with Path("/dev/full").open("w") as full:
        done = finished(*command, stdout=full)
    assert done.returncode == cli.EXIT_USAGE
    assert done.stderr == "error: stdout: cannot be written (No space left on device); free some space\n"


def test_fit_niqe(run: Run, tmp_path: Path) -> None:
    for i in range(4):
        save(tmp_path / "photos" / f"{i}.png", 300, 400)
    (tmp_path / "photos" / "bad.png").write_bytes(b"no picture")
    save(tmp_path / "photos" / "tiny.png")
    parameters = tmp_path / "niqe.npz"
    code, out, error = run("fit-niqe", tmp_path / "photos", "-o", parameters, "--sharpness", "0")
    assert code == EXIT_SOME_FAILED
    assert out.strip() == f"{parameters}: fitted to 48 sharp blocks of 4 photos"
    assert "bad.png: " in error and "tiny.png: NIQE needs blocks of 96x96 pixels" in error
    assert len(error.splitlines()) == 2
    assert niqe(made_photo(192, 192) / 255, parameters=read_niqe(parameters)) > 0

    one = tmp_path / "photos" / "0.png"
    code, _, error = run("fit-niqe", one, "-o", parameters, "--sharpness", "0")
    assert code == 2 and "these photos have 12: give more photos" in error
    code, _, error = run("fit-niqe", one, "-o", tmp_path / "niqe.mat")
    assert code == 2 and "name it such as niqe.npz" in error


def test_fit_degradations(run: Run, tmp_path: Path) -> None:
    for i in range(2):
        save(tmp_path / "photos" / f"{i}.png", 120, 160)
    wall = np.random.default_rng(0).normal(120, 3, (96, 96, 3)).clip(0, 255).astype(np.uint8)
    both = np.concatenate([made_photo(96, 96), wall], axis=1)
    Image.fromarray(both).save(tmp_path / "photos" / "wall.png")
    (tmp_path / "photos" / "bad.png").write_bytes(b"no picture")
    save(tmp_path / "photos" / "tiny.png")
    bank = tmp_path / "bank.npz"
    code, out, error = run(
        "fit-degradations", tmp_path / "photos", "-o", bank, "--scale", "2", "--patches", "5"
    )
    assert code == EXIT_SOME_FAILED
    assert out.strip() == f"{bank}: 3 kernels and 5 noise patches of 3 photos, for x2"
    assert "bad.png: " in error and "tiny.png: a kernel is estimated from 48x48 pixels or more" in error
    assert len(error.splitlines()) == 2
    space = read_space({"kind": "injection", "bank": str(bank)})
    lr = degrade(np.full((1, 3, 64, 64), 0.5, np.float32), space.sample(np.random.default_rng(0)), 0)
    assert lr.shape == (1, 3, 32, 32)
    assert 1 < lr.std() * 255 < 6

    code, out, error = run("fit-degradations", tmp_path / "photos" / "0.png", "-o", bank)
    assert code == 0 and "1 kernel and 0 noise patches of 1 photo, for x4" in out
    assert "no photo has a smooth part" in error
    code, _, error = run("fit-degradations", tmp_path / "photos" / "tiny.png", "-o", bank)
    assert code == 2 and "no photo tells of its degradation" in error
    code, _, error = run("fit-degradations", tmp_path / "photos", "-o", tmp_path / "bank.mat")
    assert code == 2 and "name it such as bank.npz" in error
