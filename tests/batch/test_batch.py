"""Many files: what becomes of which, and a batch that can be interrupted at any point."""

from __future__ import annotations

import logging
import os
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from blindsr.batch.journal import JOURNAL, Journal
from blindsr.batch.plan import plan_batch
from blindsr.batch.run import run_batch
from blindsr.batch.stages import Task
from blindsr.errors import InputError
from blindsr.models.catalogue import find_model
from blindsr.picture.sizing import OutputSize
from blindsr.system import files
from blindsr.system.memory import SMALLEST, Memory
from blindsr.upscaling.upscaler import Upscaler

from ..children import finished
from ..conftest import MakeModel, made_photo, with_int8

UNDECODABLE = os.fsdecode(b"\xff\xfe.png")


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def planned(folder: Path, *inputs: str, out: str | None = None, **options: object) -> dict[str, str]:
    """Source -> target, or the fault in brackets; all below the folder."""
    plan = plan_batch(
        [folder / name for name in inputs],
        None if out is None else folder / out,
        label="x4",
        **options,  # type: ignore[arg-type]
    )
    return {
        task.source.relative_to(folder).as_posix(): f"[{task.fault}]"
        if task.fault
        else task.target.relative_to(folder).as_posix()
        for task in plan.tasks
    }


def test_a_folder_keeps_its_structure(tmp_path: Path) -> None:
    touch(tmp_path, "in/b.JPG", "in/a/z.tif", "in/a/deep/y.gif", "in/c.png", "in/notes.txt")
    touch(tmp_path, "in/.hidden.png", "in/.thumbnails/t.png")
    assert planned(tmp_path, "in", out="v1.0") == {
        "in/a/deep/y.gif": "v1.0/a/deep/y_x4.gif",
        "in/a/z.tif": "v1.0/a/z_x4.tif",
        "in/b.JPG": "v1.0/b_x4.JPG",
        "in/c.png": "v1.0/c_x4.png",
    }
    assert [*planned(tmp_path, "in", out="v1.0")] == sorted(planned(tmp_path, "in", out="v1.0"))
    assert planned(tmp_path, "in", recursive=False) == {"in/b.JPG": "in/b_x4.JPG", "in/c.png": "in/c_x4.png"}


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("in/*.tif", {"in/a.tif": "a_x4.tif"}),
        ("in/**/*.tif", {"in/a.tif": "a_x4.tif", "in/s/b.tif": "s/b_x4.tif", "in/s/t/c.tif": "s/t/c_x4.tif"}),
        ("in/*/*.tif", {"in/s/b.tif": "s/b_x4.tif"}),
        ("in/s/**", {"in/s/b.tif": "b_x4.tif", "in/s/t/c.tif": "t/c_x4.tif"}),
        ("in/**/t/?.tif", {"in/s/t/c.tif": "s/t/c_x4.tif"}),
        ("in/[ab]*", {"in/a.tif": "a_x4.tif"}),
        ("in/*.raw", {"in/d.raw": "d_x4.png"}),
        ("in/t*", {}),
        ("in/*.jpg", {}),
        ("absent/*.tif", {}),
    ],
)
def test_patterns(tmp_path: Path, pattern: str, expected: dict[str, str]) -> None:
    touch(tmp_path, "in/a.tif", "in/s/b.tif", "in/s/t/c.tif", "in/d.raw", "in/.a.tif", "in/.s/e.tif")
    touch(tmp_path, "in/ta.txt")
    (tmp_path / "in" / "s" / "round").symlink_to(tmp_path / "in")
    if expected:
        got = planned(tmp_path, pattern, out="out")
        assert got == {source: f"out/{target}" for source, target in expected.items()}
    else:
        with pytest.raises(InputError, match="as a pattern it matches no photo"):
            planned(tmp_path, pattern, out="out")


def test_a_pattern_takes_folders_as_a_shell_would_give_them(tmp_path: Path) -> None:
    touch(tmp_path, "in/2023/a.png", "in/2024/b.png", "in/2024/sub/c.png", "in/more/d.png")
    assert planned(tmp_path, "in/20*", out="out") == {
        "in/2023/a.png": "out/2023/a_x4.png",
        "in/2024/b.png": "out/2024/b_x4.png",
        "in/2024/sub/c.png": "out/2024/sub/c_x4.png",
    }


def test_a_name_that_looks_like_a_pattern_is_a_name(tmp_path: Path) -> None:
    touch(tmp_path, "[1].png", "1.png")
    assert planned(tmp_path, "[1].png") == {"[1].png": "[1]_x4.png"}
    (tmp_path / "[1].png").unlink()
    assert planned(tmp_path, "[1].png") == {"1.png": "1_x4.png"}


def test_twice_given_is_done_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "in/a.png", "in/b.png")
    got = planned(tmp_path, "in/b.png", "in", "in/*.png", "in/../in/a.png", "in", out="out")
    assert got == {"in/b.png": "out/b_x4.png", "in/a.png": "out/a_x4.png"}
    assert planned(tmp_path, "in/a.png", "in/a.png", out="a.png") == {"in/a.png": "a.png"}
    monkeypatch.chdir(tmp_path / "in")
    plan = plan_batch([Path("a.png"), tmp_path / "in" / "a.png"], None, label="x4")
    assert [task.source for task in plan.tasks] == [Path("a.png")]


def test_odd_names(tmp_path: Path) -> None:
    names = ["写真 é.png", "a\nb.png", "-f.png", UNDECODABLE]
    touch(tmp_path, *(f"in/{name}" for name in names))
    got = planned(tmp_path, "in", out="out")
    assert got == {f"in/{name}": f"out/{name[:-4]}_x4.png" for name in names}


def test_names_too_long(tmp_path: Path) -> None:
    touch(tmp_path, "in/" + "a" * 248 + ".png", "in/" + "b" * 251 + ".png")
    fits, too_long = planned(tmp_path, "in").values()
    assert len(Path(fits).name) == 255 and "has 258 bytes, 255 are allowed" in too_long
    assert planned(tmp_path, f"in/{'b' * 251}.png", out="b.png") == {f"in/{'b' * 251}.png": "b.png"}
    assert "258 bytes" in planned(tmp_path, "in", out="c" * 300)[f"in/{'b' * 251}.png"]


def test_earlier_results_are_no_photos(tmp_path: Path) -> None:
    touch(tmp_path, "in/a.png", "in/a_x4.png", "in/sub/b.jpg", "in/sub/b_x4.jpg")
    first = {"in/a.png": "in/a_x4.png", "in/sub/b.jpg": "in/sub/b_x4.jpg"}
    assert planned(tmp_path, "in") == planned(tmp_path, "in/**") == first
    touch(tmp_path, "in/out/a_x4.png", "in/out/sub/b_x4.jpg", "in/out/c_x4.png")
    sources = {"in/a.png", "in/a_x4.png", "in/sub/b.jpg", "in/sub/b_x4.jpg"}
    assert {*planned(tmp_path, "in", out="in/out")} == {*planned(tmp_path, "in/**", out="in/out")} == sources


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    touch(tmp_path, "one/a.png", "one/a_x4.png", "two/a.png", "one/b.jpg", "one/b.jpeg")
    assert "would overwrite the photo" in planned(tmp_path, "one/a.png", out="one/a.png")["one/a.png"]
    got = planned(tmp_path, "one/a.png", "one/a_x4.png")
    assert "would overwrite the photo" in got["one/a.png"] and got["one/a_x4.png"] == "one/a_x4_x4.png"
    got = planned(tmp_path, "one/a.png", "two/a.png", out="out")
    assert got["one/a.png"] == "out/a_x4.png" and "would overwrite that of" in got["two/a.png"]
    got = planned(tmp_path, "one/b.jpg", "one/b.jpeg", format_="png")
    assert got["one/b.jpg"] == "one/b_x4.png" and "would overwrite that of" in got["one/b.jpeg"]


@pytest.mark.parametrize(
    ("inputs", "out", "fault"),
    [
        (["a.png", "b.png"], "c.png", "give a folder"),
        (["sub"], "c.png", "give a folder"),
        (["empty"], None, "no photos in this folder"),
        (["a.png"], "notes", "neither a folder nor a picture's name"),
    ],
)
def test_what_cannot_be_planned(tmp_path: Path, inputs: list[str], out: str | None, fault: str) -> None:
    touch(tmp_path, "a.png", "b.png", "sub/c.png", "notes", "empty/text")
    with pytest.raises(InputError, match=fault):
        planned(tmp_path, *inputs, out=out)


@pytest.mark.parametrize("entry", ["in", "in/**/*.png"])
def test_unreadable_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entry: str) -> None:
    touch(tmp_path, "in/a.png", "in/locked/b.png", "in/z/c.png")
    list_folder = files.list_folder

    def refuse(folder: Path, hidden: bool = False) -> object:  # as root every folder can be read
        if folder.name == "locked":
            raise PermissionError(13, "Permission denied", str(folder))
        return list_folder(folder, hidden)

    monkeypatch.setattr(files, "list_folder", refuse)
    monkeypatch.setattr("blindsr.batch.plan.list_folder", refuse)
    assert planned(tmp_path, entry, out="out") == {
        "in/a.png": "out/a_x4.png",
        "in/z/c.png": "out/z/c_x4.png",
        "in/locked": "[this folder cannot be read (Permission denied); its photos are left out]",
    }


@pytest.mark.parametrize(
    ("inputs", "out", "root"),
    [
        (["in"], "out", "out"),
        (["in"], None, "in"),
        (["in/s/b.png", "in/a.png"], None, "in"),
        (["in/s/*.png", "in/s"], None, "in/s"),
    ],
)
def test_where_the_journal_lies(tmp_path: Path, inputs: list[str], out: str | None, root: str) -> None:
    touch(tmp_path, "in/a.png", "in/s/b.png")
    plan = plan_batch(
        [tmp_path / name for name in inputs], None if out is None else tmp_path / out, label="x4"
    )
    assert plan.root == tmp_path / root


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Four small photos in a tree."""
    for seed, name in enumerate(("a.png", "sub/b.jpg", "sub/c.png", "z.bmp")):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(made_photo(12, 16, seed)).save(path)
    return tmp_path / "in"


def contents(folder: Path) -> dict[str, bytes]:
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file() and file.name != JOURNAL
    }


def statuses(
    photos: Path, out: Path, upscaler: Upscaler, format_: str | None = None, **options: object
) -> str:
    plan = plan_batch([photos], out, label="x4", format_=format_)
    outcomes = run_batch(plan, upscaler, **options)  # type: ignore[arg-type]
    return " ".join(one.status for one in outcomes)


def test_a_batch_gives_what_single_photos_give(photos: Path, make_model: MakeModel, tmp_path: Path) -> None:
    upscaler = Upscaler(make_model())
    assert statuses(photos, tmp_path / "out", upscaler) == "done done done done"
    assert not (tmp_path / "out" / JOURNAL).exists()
    for photo in (file for file in photos.rglob("*") if file.is_file()):
        plan = plan_batch([photo], tmp_path / "one" / photo.parent.relative_to(photos), label="x4")
        run_batch(plan, upscaler)
    assert contents(tmp_path / "one") == contents(tmp_path / "out")


@pytest.mark.parametrize("stop_at", [0, 1, 2, 3])
def test_goes_on_where_it_was_interrupted(
    photos: Path, make_model: MakeModel, tmp_path: Path, stop_at: int
) -> None:
    upscaler, out = Upscaler(make_model()), tmp_path / "out"
    statuses(photos, tmp_path / "whole", upscaler)
    restored: list[str] = []

    def stop(task: Task, done: int, total: int) -> None:
        restored.append(task.source.name)
        if len(restored) > stop_at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        statuses(photos, out, upscaler, on_tile=stop)
    (out / "sub").mkdir(exist_ok=True)
    (out / "sub" / ".blindsr-0123456789ab.part.png").write_bytes(b"what a killed run leaves")
    finished = contents(out)
    times = {name: (out / name).stat().st_mtime_ns for name in finished if "part" not in name}
    assert len(times) >= stop_at - 1  # a third photo is only begun when the first is written
    assert statuses(photos, out, upscaler).count("skipped") == len(times)
    assert contents(out) == contents(tmp_path / "whole") and not (out / JOURNAL).exists()
    assert {name: (out / name).stat().st_mtime_ns for name in times} == times


def test_only_what_failed_is_tried_again(photos: Path, make_model: MakeModel, tmp_path: Path) -> None:
    upscaler, out = Upscaler(make_model()), tmp_path / "out"
    whole = (photos / "sub" / "c.png").read_bytes()
    (photos / "sub" / "c.png").write_bytes(whole[:100])
    assert statuses(photos, out, upscaler) == "done done failed done"
    assert statuses(photos, out, upscaler) == "skipped skipped failed skipped"
    assert statuses(photos, out, upscaler, existing="overwrite") == "done done failed done"
    (photos / "sub" / "c.png").write_bytes(whole)
    Image.fromarray(made_photo(9, 9)).save(photos / "a.png")  # changed since
    assert statuses(photos, out, upscaler) == "done skipped done skipped"
    assert not (out / JOURNAL).exists()
    assert statuses(photos, out, upscaler, existing="skip") == "skipped skipped skipped skipped"
    assert statuses(photos, out, upscaler) == "done done done done"


def test_other_settings_do_all_again(photos: Path, make_model: MakeModel, tmp_path: Path) -> None:
    upscaler, out = Upscaler(make_model()), tmp_path / "out"
    adaptation = upscaler.adapt([photos / "a.png"])
    (photos / "bad.png").write_bytes(b"")
    variants: list[tuple[Upscaler, dict[str, object]]] = [
        (upscaler, {}),
        (upscaler, {"quality": 80}),
        (upscaler, {"mark": False}),
        (upscaler, {"size": OutputSize(scale=2)}),
        (upscaler, {"adaptation": adaptation}),
        (Upscaler(make_model(), tile=8), {"size": OutputSize(scale=2)}),
        (Upscaler(make_model(seed=1)), {}),
        *((Upscaler(make_model(texture=1.0), texture=texture), {}) for texture in (None, 0.5)),
    ]
    for one, options in variants:
        assert "skipped" not in statuses(photos, out, one, "jpeg", **options)
        assert statuses(photos, out, one, "jpeg", **options).count("skipped") == 4


def test_results_made_with_another_margin_are_made_again(
    photos: Path, make_model: MakeModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upscaler, out = Upscaler(make_model()), tmp_path / "out"
    (photos / "bad.png").write_bytes(b"")  # the journal stays where something failed
    monkeypatch.setattr("blindsr.picture.rim.MARGIN", 0)
    assert statuses(photos, out, upscaler).count("done") == 4
    before = contents(out)
    assert statuses(photos, out, upscaler).count("skipped") == 4
    monkeypatch.undo()
    assert statuses(photos, out, upscaler).count("done") == 4
    assert contents(out) != before


def test_another_precision_does_all_again(
    photos: Path, make_model: MakeModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where only the CPU has changed: what an int8 run has finished is no result of fp32."""
    out, folder = tmp_path / "out", with_int8(make_model())
    (photos / "bad.png").write_bytes(b"")
    for faster, precision, expected in (
        (True, "int8", "done"),
        (True, "auto", "skipped"),
        (True, "fp32", "done"),
        (False, "auto", "skipped"),
        (True, "auto", "done"),
    ):
        monkeypatch.setattr("blindsr.engine.int8_is_faster", lambda faster=faster: faster)
        found = statuses(photos, out, Upscaler(folder, device="cpu", precision=precision)).split()
        assert found.count(expected) == 4, (faster, precision)


def test_what_changes_no_byte_does_nothing_again(photos: Path, make_model: MakeModel, tmp_path: Path) -> None:
    out, folder = tmp_path / "out", make_model()
    (photos / "bad.png").write_bytes(b"")
    statuses(photos, out, Upscaler(folder, device="cpu", threads=1))
    before = {path: path.read_bytes() for path in out.rglob("*.png")}
    for options in ({"tile": 8}, {"threads": 2}, {"memory": Memory(SMALLEST)}, {"max_pixels": 10_000}):
        other = Upscaler(folder, device="cpu", **options)
        assert statuses(photos, out, other).count("skipped") == 4
        statuses(photos, out, other, existing="overwrite")
        assert {path: path.read_bytes() for path in out.rglob("*.png")} == before
    model = replace(find_model(folder), name="renamed")
    assert "skipped" not in statuses(photos, out, Upscaler(folder, device="cpu"), mark=False)
    assert statuses(photos, out, Upscaler(model, device="cpu"), mark=False).count("skipped") == 4
    same = Upscaler(folder, device="cpu")
    assert statuses(photos, out, same, size=OutputSize(scale=4), mark=False).count("skipped") == 4


def test_a_second_batch_at_the_same_place(photos: Path, make_model: MakeModel, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "out", {})
    with pytest.raises(InputError, match="another batch is writing here"):
        statuses(photos, tmp_path / "out", Upscaler(make_model()))
    journal.close(remove=True)
    assert not [*(tmp_path / "out").iterdir()]


def test_no_journal_is_one_warning(
    photos: Path, make_model: MakeModel, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "out" / JOURNAL).mkdir(parents=True)
    with caplog.at_level(logging.WARNING):
        assert statuses(photos, tmp_path / "out", Upscaler(make_model())) == "done done done done"
    (record,) = caplog.records
    assert "no journal can be kept" in record.getMessage()


def test_one_photo_keeps_no_journal(photos: Path, make_model: MakeModel, tmp_path: Path) -> None:
    def look(task: Task, done: int, total: int) -> None:
        assert not [*tmp_path.rglob(JOURNAL)]

    plan = plan_batch([photos / "a.png"], None, label="x4")
    (outcome,) = run_batch(plan, Upscaler(make_model()), on_tile=look)
    assert (outcome.input_size, outcome.output_size) == ((16, 12), (64, 48))


def test_a_size_that_cannot_be_names_the_photo(photos: Path, make_model: MakeModel, tmp_path: Path) -> None:
    plan = plan_batch([photos], tmp_path / "out", label="x4")
    outcomes = run_batch(plan, Upscaler(make_model()), size=OutputSize(width=1 << 29))
    for outcome in outcomes:
        assert outcome.status == "failed" and str(outcome.error).startswith(f"{outcome.task.source}: ")


@pytest.mark.skipif(os.name == "nt", reason="POSIX limits")
def test_a_file_larger_than_allowed(photos: Path, make_model: MakeModel, tmp_path: Path) -> None:
    import resource

    upscaler, out = Upscaler(make_model()), tmp_path / "out"
    upscaler.upscale(photos / "a.png")  # fills the caches, which are files too
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (9000, limits[1]))  # the 64x48 BMP has 9270 bytes
    try:
        outcomes = run_batch(plan_batch([photos], out, label="x4"), upscaler)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert outcomes[-1].status == "failed" and "z_x4.bmp: cannot be written" in str(outcomes[-1].error)
    assert "no file may become so large here" in str(outcomes[-1].error)
    assert "done" in {one.status for one in outcomes}
    written = {one.task.target for one in outcomes if one.status == "done"}
    assert {file for file in out.rglob("*") if file.is_file()} == {*written, out / JOURNAL}


@pytest.mark.slow
def test_killed_again_and_again(make_model: MakeModel) -> None:
    root = Path(__file__).parents[2]
    command = [sys.executable, str(root / "benchmarks" / "kill_resume.py"), "--model", str(make_model())]
    # The moments of this seed are early ones, which are met however busy the machine is.
    command += ["--count", "8", "--kills", "3", "--size", "256", "--threads", "1", "--seed", "4711"]
    done = finished(*command)
    assert done.returncode == 0, done.stdout + done.stderr
    kills = re.fullmatch(r"(\d) kills; 0 faults", done.stdout.splitlines()[-1])
    assert kills is not None and int(kills[1]) >= 2


@pytest.mark.parametrize("name", ["letter.tif", "moving.gif"])
def test_a_file_of_many_pictures_that_was_interrupted_is_begun_again(
    make_model: MakeModel, tmp_path: Path, name: str
) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    pictures = [Image.fromarray(made_photo(20, 24, seed)) for seed in range(3)]
    pictures[0].save(photos / "a.png")
    pictures[0].save(photos / name, save_all=True, append_images=pictures[1:])
    upscaler = Upscaler(make_model(), device="cpu", threads=1)
    plan = plan_batch(photos, out, label="x4")

    def stop_within(task: Task, done: int, total: int) -> None:
        if task.source.name == name and done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_batch(plan, upscaler, on_tile=stop_within)
    assert {path.name for path in out.iterdir()} == {"a_x4.png", JOURNAL}
    ended = run_batch(plan_batch(photos, out, label="x4"), upscaler)
    assert [one.status for one in ended] == ["skipped", "done"]
    report = ended[1].report
    assert report is not None and report.pages * report.frames == 3
    assert len(list(out.iterdir())) == 2
