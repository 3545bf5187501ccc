"""Links among photos and results, as an archive from elsewhere can bring them: none is written through."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

import pytest
from PIL import Image

from blindsr.batch.journal import JOURNAL, Journal
from blindsr.degradation import Degradation, degrade_folder
from blindsr.errors import InputError
from blindsr.evaluation.crops import CropFolder
from blindsr.evaluation.result_cache import Measured, ResultCache
from blindsr.system import files
from blindsr.system.files import atomic_path, link_below, make_folder, open_in_place

from ..conftest import MakeModel, Run, made_photo

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")

PRECIOUS = b"somebody's own"


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    """A file that nobody has asked to change, in a folder of its own."""
    path = tmp_path / "elsewhere" / "precious"
    path.parent.mkdir()
    path.write_bytes(PRECIOUS)
    return path


def save(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(made_photo(12, 16)).save(path)
    return path


def untouched(precious: Path) -> bool:
    return precious.read_bytes() == PRECIOUS and [*precious.parent.iterdir()] == [precious]


@pytest.mark.parametrize("kind", ["link", "hard link", "link to nowhere", "pipe"])
def test_a_journal_that_leads_elsewhere(
    run: Run, make_model: MakeModel, tmp_path: Path, precious: Path, kind: str
) -> None:
    photos = [save(tmp_path / "photos" / f"{name}.png") for name in "ab"]
    journal = photos[0].parent / JOURNAL
    if kind == "link":
        journal.symlink_to(precious)
    elif kind == "hard link":
        journal.hardlink_to(precious)
    elif kind == "pipe":
        os.mkfifo(journal)
    else:
        journal.symlink_to(precious.parent / "new")
    code, _, error = run("upscale", photos[0].parent, "--model", make_model())
    assert code == 0, error
    assert untouched(precious) and (photos[0].parent / "b_x4.png").exists()


@pytest.mark.parametrize("kind", ["link", "hard link"])
def test_a_journal_says_why_it_is_not_kept(tmp_path: Path, precious: Path, kind: str) -> None:
    place = tmp_path / JOURNAL
    place.symlink_to(precious) if kind == "link" else place.hardlink_to(precious)
    with pytest.raises(OSError, match="remove it") as caught:
        Journal(tmp_path, {})
    assert caught.value.filename == str(place) and untouched(precious)


def test_a_folder_of_results_that_leads_elsewhere(
    run: Run, make_model: MakeModel, tmp_path: Path, precious: Path
) -> None:
    for name in ("a.png", "sub/b.png", "sub/deep/c.png"):
        save(tmp_path / "in" / name)
    leftover = precious.parent / ".blindsr-0123456789ab.part.png"
    leftover.write_bytes(b"of another run")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "sub").symlink_to(precious.parent, target_is_directory=True)
    code, _, error = run("upscale", tmp_path / "in", "-o", tmp_path / "out", "--model", make_model())
    assert code == 3 and error.count("sub: a link, through which no results are written") == 2
    assert (tmp_path / "out" / "a_x4.png").exists()
    assert leftover.exists() and not (precious.parent / "deep").exists()
    leftover.unlink()
    assert untouched(precious)


def test_results_beside_photos_that_a_pattern_reaches_through_a_link(
    run: Run, make_model: MakeModel, tmp_path: Path
) -> None:
    save(tmp_path / "in" / "one" / "a.png")
    save(tmp_path / "elsewhere" / "b.png")
    (tmp_path / "in" / "two").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    code, _, error = run("upscale", tmp_path / "in" / "*" / "*.png", "--model", make_model())
    assert code == 3 and "two: a link, through which no results are written" in error
    assert [*(tmp_path / "elsewhere").iterdir()] == [tmp_path / "elsewhere" / "b.png"]
    assert (tmp_path / "in" / "one" / "a_x4.png").exists()


@pytest.mark.parametrize("out", ["link", "link/new", "link/new/a.png"])
def test_a_folder_that_the_user_names_may_be_a_link(
    run: Run, make_model: MakeModel, tmp_path: Path, out: str
) -> None:
    photo = save(tmp_path / "a.png")
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real", target_is_directory=True)
    code, _, error = run("upscale", photo, "-o", tmp_path / out, "--model", make_model())
    assert code == 0, error
    assert len([*(tmp_path / "real").rglob("*.png")]) == 1


def test_a_link_with_a_results_name_is_replaced(
    run: Run, make_model: MakeModel, tmp_path: Path, precious: Path
) -> None:
    photo = save(tmp_path / "a.png")
    (tmp_path / "a_x4.png").symlink_to(precious)
    code, _, error = run("upscale", photo, "--model", make_model())
    assert code == 0, error
    assert untouched(precious) and not (tmp_path / "a_x4.png").is_symlink()


def test_what_is_put_where_a_file_is_being_written(tmp_path: Path, precious: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(OSError, match="another file"), atomic_path(tmp_path / "a") as temporary:
        temporary.unlink()
        temporary.symlink_to(precious)
    assert untouched(precious) and (tmp_path / "a").read_bytes() == b"old"
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_folder_that_is_exchanged_while_its_file_is_written(tmp_path: Path, precious: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    with pytest.raises(OSError), atomic_path(folder / precious.name) as temporary:
        temporary.write_bytes(b"new")
        folder.rename(tmp_path / "moved")
        folder.symlink_to(precious.parent, target_is_directory=True)
        (precious.parent / temporary.name).write_bytes(b"theirs")
        raise OSError("the end of the block")
    (precious.parent / temporary.name).unlink(missing_ok=True)
    assert untouched(precious)
    (tmp_path / "moved" / "kept").touch()
    folder.unlink()
    (tmp_path / "moved").rename(folder)
    with atomic_path(folder / precious.name) as temporary:
        temporary.write_bytes(b"new")
        folder.rename(tmp_path / "moved")
        folder.symlink_to(precious.parent, target_is_directory=True)
    assert untouched(precious) and (tmp_path / "moved" / precious.name).read_bytes() == b"new"


def test_a_device_or_a_pipe_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    for name in ("pipe", "link"):
        with pytest.raises(OSError, match="device, a pipe"), atomic_path(tmp_path / name):
            pass
    assert (tmp_path / "pipe").is_fifo() and (tmp_path / "link").is_symlink()
    assert len([*tmp_path.iterdir()]) == 2


@pytest.mark.parametrize("by_folder", [True, False])
def test_folders_are_made_below_a_root(
    tmp_path: Path, precious: Path, monkeypatch: pytest.MonkeyPatch, by_folder: bool
) -> None:
    if not by_folder:  # as on Windows
        monkeypatch.setattr(files, "_BY_FOLDER", False)
    (tmp_path / "real").mkdir()
    root = tmp_path / "root"
    root.symlink_to(tmp_path / "real", target_is_directory=True)
    make_folder(root / "a" / "b", root)
    make_folder(root / "a" / "b", root)
    make_folder(tmp_path / "new" / "of" / "ours")
    make_folder(tmp_path / "new2" / "x" / "y", tmp_path / "new2")
    assert (tmp_path / "real" / "a" / "b").is_dir() and (tmp_path / "new2" / "x" / "y").is_dir()
    (root / "a" / "link").symlink_to(precious.parent, target_is_directory=True)
    for below in ("link", "link/x"):
        with pytest.raises(OSError, match="a link") as caught:
            make_folder(root / "a" / below, root)
        assert caught.value.filename == str(root / "a" / "link")
    assert untouched(precious) and link_below(root / "a" / "b", root) is None
    (root / "a" / "file").touch()
    with pytest.raises(OSError) as caught:
        make_folder(root / "a" / "file" / "x", root)
    assert str(root / "a" / "file") in str(caught.value.filename)


@pytest.mark.parametrize("no_link", [True, False])
def test_files_that_are_written_where_they_lie(
    tmp_path: Path, precious: Path, monkeypatch: pytest.MonkeyPatch, no_link: bool
) -> None:
    if not no_link:  # as where the system cannot be asked to follow none
        monkeypatch.setattr(files, "_NO_LINK", 0)
    os.close(open_in_place(tmp_path / "new"))
    os.close(open_in_place(tmp_path / "new"))
    (tmp_path / "link").symlink_to(precious)
    (tmp_path / "nowhere").symlink_to(precious.parent / "new")
    (tmp_path / "hard").hardlink_to(precious)
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "nowhere", "hard", "pipe"):
        with pytest.raises(OSError, match="remove it"):
            open_in_place(tmp_path / name)
    assert untouched(precious)


def test_records_and_crops_of_an_evaluation(tmp_path: Path, precious: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "records.jsonl").symlink_to(precious)
    with pytest.raises(InputError, match=r"records\.jsonl: cannot be written \(a link"):
        ResultCache(out / "records.jsonl").add("key", Measured(1.0, 2, 3, {}))
    (out / "crops").symlink_to(precious.parent, target_is_directory=True)
    with pytest.raises(InputError, match=r"crops: cannot make this folder \(a link"):
        CropFolder(out / "crops").keep("key", lambda: made_photo(4, 4) / 255)
    assert untouched(precious)


def test_photos_that_are_degraded(tmp_path: Path, precious: Path, caplog: pytest.LogCaptureFixture) -> None:
    save(tmp_path / "in" / "sub" / "a.png")
    save(tmp_path / "in" / "b.png")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "sub").symlink_to(precious.parent, target_is_directory=True)
    with caplog.at_level(logging.WARNING):
        cache = degrade_folder(tmp_path / "in", tmp_path / "out", Degradation.parse("", scale=2), 0)
    assert [bool(record.error) for record in cache] == [False, True]
    assert "a link" in cache[1].error and untouched(precious)


def test_tensorboards_folder(tmp_path: Path, precious: Path) -> None:
    pytest.importorskip("tensorboard")
    from blindsr.training.checkpoint import Position
    from blindsr.training.journal import RunJournal

    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "tensorboard").symlink_to(precious.parent, target_is_directory=True)
    with pytest.raises(InputError, match="tensorboard: cannot be made"):
        RunJournal(tmp_path / "run", None, True, Position())
    assert untouched(precious)
