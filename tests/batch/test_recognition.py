"""Photos are found by content where no name tells; what is left out is told; results are what photos are."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from PIL import Image

from blindsr.batch.naming import NamePattern
from blindsr.batch.plan import plan_batch
from blindsr.batch.recognition import describe, is_photo, result_suffix, suffix_of_content
from blindsr.errors import InputError

from ..conftest import made_photo


def photo(path: Path, kind: str = "JPEG") -> Path:
    file = io.BytesIO()
    Image.fromarray(made_photo(12, 16)).save(file, kind)
    path.write_bytes(file.getvalue())
    return path


NAMES = ("a.jfif", "b.jpe", "c.dib", "d.pnm", "e.pbm", "f.mpo", "g", "h.JPG")


def test_all_that_people_call_photos(tmp_path: Path) -> None:
    for name in NAMES:
        kind = {"c": "BMP", "d": "PPM", "e": "PPM"}.get(name[0], "JPEG")
        photo(tmp_path / name, kind)
    for name in ("notes.txt", "a.xmp", "b.xmp", "raw.cr2", "README"):
        (tmp_path / name).write_text("no photo")
    plan = plan_batch(tmp_path, label="x4")
    results = {task.source.name: task.target.name for task in plan.tasks}
    assert results == {
        "a.jfif": "a_x4.jfif", "b.jpe": "b_x4.jpe", "c.dib": "c_x4.dib", "d.pnm": "d_x4.png",
        "e.pbm": "e_x4.png", "f.mpo": "f_x4.jpg", "g": "g_x4.jpg", "h.JPG": "h_x4.JPG",
    }  # fmt: skip
    assert describe(plan.others).startswith(
        "5 other files left out: 1 .cr2 (pictures of kinds that are not read), 2 .xmp, 1 "
    )
    assert plan.others == {"": 1, ".cr2": 1, ".txt": 1, ".xmp": 2}


def test_a_folder_without_photos_says_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("no photo")
    with pytest.raises(InputError, match=r"no photos in this folder .*; 1 other file left out: 1 \.txt"):
        plan_batch(tmp_path, label="x4")


def test_many_kinds_are_cut_short() -> None:
    text = describe({f".k{i}": 20 - i for i in range(10)} | {".dng": 3})
    assert text.startswith("158 other files left out: 3 .dng (pictures of kinds that are not read), 20 .k0, ")
    assert text.endswith("50 more (no pictures by their names)") and text.count(".k") == 6


def test_results_are_what_photos_are_not_what_they_are_called(tmp_path: Path) -> None:
    assert result_suffix(photo(tmp_path / "wrong.png")) == ".jpg"
    assert result_suffix(photo(tmp_path / "wrong.jpg", "PNG")) == ".png"
    assert result_suffix(photo(tmp_path / "right.jpeg")) == ".jpeg"
    assert result_suffix(photo(tmp_path / "still.gif", "GIF")) == ".png"
    assert result_suffix(tmp_path / "missing.tif") == ".tif"
    frames = [Image.new("RGB", (9, 9), colour) for colour in ("red", "teal")]
    for name in ("moving.gif", "moving.png", "moving.apng", "moving.webp"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
        expected = ".webp" if name.endswith("gif") else Path(name).suffix
        assert result_suffix(tmp_path / name) == expected
        assert suffix_of_content(Path("-"), (tmp_path / name).read_bytes()) == expected.replace("apng", "png")
    assert result_suffix(tmp_path / "moving.gif", "gif") == ".gif"
    assert result_suffix(tmp_path / "wrong.png", "webp") == ".webp"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_pipes_are_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert not is_photo(tmp_path / "pipe") and result_suffix(tmp_path / "pipe") == ".png"


@pytest.mark.parametrize("suffix", [".jp2", ".psd", ".heic", ".CR2", ".svg", ".ico"])
def test_a_picture_that_cannot_be_written_is_no_folder(tmp_path: Path, suffix: str) -> None:
    source = photo(tmp_path / "a.jpg")
    with pytest.raises(InputError, match=r"cannot write this format; use \.png"):
        plan_batch(source, tmp_path / f"b{suffix}", label="x4")
    (tmp_path / f"b{suffix}").mkdir()
    assert plan_batch(source, tmp_path / f"b{suffix}", label="x4").tasks[0].target.parent.name == f"b{suffix}"
    assert plan_batch(source, tmp_path / "b.jpe", label="x4").tasks[0].target.name == "b.jpe"


def test_names_as_asked_for(tmp_path: Path) -> None:
    sources = [photo(tmp_path / "a.jpg"), photo(tmp_path / "a.png", "PNG")]
    pattern = NamePattern(
        "{stem}-{suffix}-{model}-{label}-{width}x{height}", "tiny", "x4", lambda _: (64, 48)
    )
    plan = plan_batch(sources, label="x4", format_="webp", name=pattern)
    assert [task.target.name for task in plan.tasks] == [
        "a-jpg-tiny-x4-64x48.webp",
        "a-png-tiny-x4-64x48.webp",
    ]
    clash = plan_batch(sources, label="x4", format_="webp")
    assert 'rename one of them, or give --name "{stem}_{suffix}"' in clash.tasks[1].fault

    def unreadable(_: Path) -> tuple[int, int]:
        raise InputError(f"{sources[0]}: damaged")

    (task,) = plan_batch(
        sources[0], label="x4", name=NamePattern("{stem}_{width}", "m", "x4", unreadable)
    ).tasks
    assert task.fault == "damaged"


@pytest.mark.parametrize(
    ("pattern", "fault"),
    [
        ("{stem}_{time}", "{time} is no field"), ("{stem", "braces are not closed"),
        ("out", "must hold {stem}"), ("a/{stem}", "not a path"),
        ("{stem}\0", "not a path"), ("{stem.__class__}{stem}", "is no field"),
    ],
)  # fmt: skip
def test_impossible_names(pattern: str, fault: str) -> None:
    with pytest.raises(InputError) as told:
        NamePattern(pattern, "m", "x4", lambda _: (1, 1))
    assert fault in str(told.value)
