"""Writes that happen wholly or not at all, what killed writers leave, and walking a folder."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

import pytest

from blindsr.system import files
from blindsr.system.files import (
    abandon_writes,
    atomic_path,
    remove_leftovers,
    sha256,
    temporary_folder,
    walk_files,
)

needs_locks = pytest.mark.skipif(sys.platform == "win32", reason="Windows protects open files by itself")


def test_appears_only_when_whole(tmp_path: Path) -> None:
    target = tmp_path / "a.png"
    with atomic_path(target) as temporary:
        assert temporary.parent == tmp_path and temporary.suffix == ".png" and temporary.name.startswith(".")
        temporary.write_bytes(b"new")
        assert not target.exists()
    assert target.read_bytes() == b"new" and [*tmp_path.iterdir()] == [target]


def test_an_error_leaves_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "a.png"
    target.write_bytes(b"old")
    with pytest.raises(RuntimeError, match="half"), atomic_path(target) as temporary:
        temporary.write_bytes(b"ne")
        raise RuntimeError("half")
    assert target.read_bytes() == b"old" and [*tmp_path.iterdir()] == [target]


def test_a_folder_in_the_way_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.png").mkdir()
    with pytest.raises(OSError), atomic_path(tmp_path / "a.png") as temporary:
        temporary.write_bytes(b"new")
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize("name", ["n" * 251 + ".png", "é" * 125 + ".jpeg", "a." + "s" * 253])
def test_the_longest_names(tmp_path: Path, name: str) -> None:
    with atomic_path(tmp_path / name) as temporary:
        temporary.write_bytes(b"new")
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX rights")
def test_rights_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with atomic_path(tmp_path / "a") as temporary:
            temporary.write_bytes(b"new")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


@needs_locks
def test_leftovers_are_removed_and_nothing_else(tmp_path: Path) -> None:
    kept = {".blindsr-journal", ".blindsr-0123456789ab", ".blindsr-xyz.part.png", "a.part.png"}
    for name in (*kept, ".blindsr-0123456789ab.part.png", ".blindsr-0123456789ab.part"):
        (tmp_path / name).write_bytes(b"x")
    with atomic_path(tmp_path / "a.png") as temporary:
        temporary.write_bytes(b"new")
        remove_leftovers(tmp_path)
        assert {entry.name for entry in tmp_path.iterdir()} == kept | {temporary.name}
    assert (tmp_path / "a.png").read_bytes() == b"new"
    remove_leftovers(tmp_path / "absent")


@needs_locks
def test_a_cleaner_between_creating_and_locking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = files.lock
    removed = []

    def slow_lock(descriptor: int, wait: bool = False) -> None:
        if wait and not removed:  # the writer is about to lock; the cleaner is quicker
            removed.extend(tmp_path.iterdir())
            remove_leftovers(tmp_path)
        lock(descriptor, wait)

    monkeypatch.setattr(files, "lock", slow_lock)
    with atomic_path(tmp_path / "a") as temporary:
        assert removed and temporary not in removed
        temporary.write_bytes(b"new")
    assert [*tmp_path.iterdir()] == [tmp_path / "a"]


@needs_locks
def test_what_cannot_be_locked_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(descriptor: int, wait: bool = False) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(files, "lock", no_locks)
    with atomic_path(tmp_path / "a") as temporary:
        temporary.write_bytes(b"new")
        remove_leftovers(tmp_path)
    assert [*tmp_path.iterdir()] == [tmp_path / "a"]


def test_abandoned_writes_never_appear(tmp_path: Path) -> None:
    with pytest.raises(OSError), atomic_path(tmp_path / "a") as temporary:
        temporary.write_bytes(b"new")
        abandon_writes()
        assert not [*tmp_path.iterdir()]
    assert not [*tmp_path.iterdir()]


def test_a_temporary_folder_goes_with_all_in_it(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="half"), temporary_folder(tmp_path) as temporary:
        tree(temporary, "a/b", ".c")
        assert temporary.parent == tmp_path and temporary.name.startswith(".")
        (temporary / "a").rename(tmp_path / "a")
        raise RuntimeError("half")
    assert [*tmp_path.iterdir()] == [tmp_path / "a"] and (tmp_path / "a" / "b").exists()
    with temporary_folder(tmp_path) as temporary:
        tree(temporary, "x")
        abandon_writes()
        assert not temporary.exists()


@needs_locks
def test_folders_that_killed_processes_left(tmp_path: Path) -> None:
    tree(tmp_path, ".blindsr-0123456789ab.part/a/b", "kept/c", "target/d")
    (tmp_path / ".blindsr-0123456789ab.part" / "link").symlink_to(tmp_path / "target")
    (tmp_path / ".blindsr-ba9876543210.part").symlink_to(tmp_path / "target")
    with temporary_folder(tmp_path) as temporary:
        remove_leftovers(tmp_path)
        left = {".blindsr-ba9876543210.part", "kept", "target", temporary.name}
        assert {entry.name for entry in tmp_path.iterdir()} == left
    assert (tmp_path / "target" / "d").exists() and (tmp_path / "kept" / "c").exists()


@needs_locks
def test_a_cleaner_between_making_a_folder_and_locking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = files.lock
    removed = []

    def slow_lock(descriptor: int, wait: bool = False) -> None:
        if wait and not removed:
            removed.extend(tmp_path.iterdir())
            remove_leftovers(tmp_path)
        lock(descriptor, wait)

    monkeypatch.setattr(files, "lock", slow_lock)
    with temporary_folder(tmp_path) as temporary:
        assert removed and temporary not in removed and temporary.is_dir()
    assert not [*tmp_path.iterdir()]


def test_checksum_of_many_blocks(tmp_path: Path) -> None:
    content = bytes(range(256)) * 10_000  # more than two blocks
    (tmp_path / "a").write_bytes(content)
    assert sha256(tmp_path / "a") == hashlib.sha256(content).hexdigest()


def tree(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def walk(folder: Path, **options: bool) -> list[str]:
    return [file.relative_to(folder).as_posix() for file in walk_files(folder, **options)]


def test_walks_in_order_without_hidden_ones(tmp_path: Path) -> None:
    tree(tmp_path, "b/z", "b/a/c", "a", "c", ".hidden", ".git/x", "B")
    (tmp_path / "empty").mkdir()
    assert walk(tmp_path) == ["B", "a", "b/a/c", "b/z", "c"]
    assert walk(tmp_path, recursive=False) == ["B", "a", "c"]


def test_links_are_files_but_no_folders(tmp_path: Path) -> None:
    tree(tmp_path, "a/x", "other/y")
    (tmp_path / "a" / "round").symlink_to(tmp_path)
    (tmp_path / "a" / "again").symlink_to(tmp_path / "a")
    (tmp_path / "a" / "link").symlink_to(tmp_path / "other" / "y")
    (tmp_path / "a" / "nowhere").symlink_to("absent")
    (tmp_path / "a" / "itself").symlink_to("itself")
    assert walk(tmp_path / "a") == ["itself", "link", "nowhere", "x"]


def test_unreadable_folders_are_told_and_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree(tmp_path, "a/x", "locked/y", "z")
    scandir = os.scandir

    def refuse(folder: Path) -> object:
        if folder.name == "locked":
            raise PermissionError(13, "Permission denied", str(folder))
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    errors: list[OSError] = []
    assert [file.name for file in walk_files(tmp_path, on_error=errors.append)] == ["x", "z"]
    assert [error.filename for error in errors] == [str(tmp_path / "locked")]
    with pytest.raises(PermissionError):
        list(walk_files(tmp_path))
