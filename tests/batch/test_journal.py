"""What an interrupted batch finds again."""

from __future__ import annotations

import errno
import logging
import os
import sys
from pathlib import Path

import pytest

from blindsr.batch import journal as module
from blindsr.batch.journal import JOURNAL, Journal, signature
from blindsr.errors import InputError

SETTINGS = {"model": "m", "tile": "auto"}


def files(folder: Path, *names: str) -> list[tuple[Path, Path]]:
    """Pairs of a photo and its result."""
    pairs = []
    for name in names:
        source, target = folder / name, folder / "out" / f"{name}_x4"
        for path in (source, target):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(os.fsencode(path))
        pairs.append((source, target))
    return pairs


def write(folder: Path, pairs: list[tuple[Path, Path]], settings: dict[str, str] = SETTINGS) -> None:
    journal = Journal(folder, settings)
    for source, target in pairs:
        journal.record(source, target, signature(source))
    journal.close(remove=False)


def finished(folder: Path, pairs: list[tuple[Path, Path]], settings: dict[str, str] = SETTINGS) -> list[bool]:
    journal = Journal(folder, settings)
    try:
        return [journal.finished(*pair) for pair in pairs]
    finally:
        journal.close(remove=False)


def test_remembers_what_is_finished(tmp_path: Path) -> None:
    pairs = files(tmp_path, "a", "b", "c\n", os.fsdecode(b"d\xff"))
    write(tmp_path / "out", pairs[:1])
    write(tmp_path / "out", pairs[2:])
    assert finished(tmp_path / "out", pairs) == [True, False, True, True]


def test_holds_where_the_whole_is_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "one" / "out", files(tmp_path / "one", "a"))
    (tmp_path / "one").rename(tmp_path / "two")
    assert finished(tmp_path / "two" / "out", [(tmp_path / "two/a", tmp_path / "two/out/a_x4")]) == [True]
    monkeypatch.chdir(tmp_path / "two")
    assert finished(Path("out"), [(Path("a"), Path("out/a_x4"))]) == [True]


def test_a_changed_file_is_not_finished(tmp_path: Path) -> None:
    pairs = files(tmp_path, "a", "b", "c", "d", "e")
    write(tmp_path, pairs)
    pairs[0][0].write_text("another photo")
    pairs[1][1].write_text("another result")
    pairs[2][0].unlink()
    pairs[3][1].unlink()
    assert finished(tmp_path, pairs) == [False, False, False, False, True]


def test_a_photo_changed_while_it_was_read(tmp_path: Path) -> None:
    pairs = files(tmp_path, "a")
    journal = Journal(tmp_path, SETTINGS)
    before = signature(pairs[0][0])
    pairs[0][0].write_text("a longer photo")
    journal.record(*pairs[0], before)
    journal.close(remove=False)
    assert finished(tmp_path, pairs) == [False]


@pytest.mark.parametrize("cut", [1, 2, 30])
def test_a_torn_last_line_is_dropped(tmp_path: Path, cut: int) -> None:
    pairs = files(tmp_path, "a", "b", "c")
    write(tmp_path, pairs[:2])
    content = (tmp_path / JOURNAL).read_bytes()
    (tmp_path / JOURNAL).write_bytes(content[:-cut])
    assert finished(tmp_path, pairs) == [True, False, False]
    write(tmp_path, pairs[2:])
    assert finished(tmp_path, pairs) == [True, False, True]


def test_a_torn_header_or_no_journal_at_all(tmp_path: Path) -> None:
    pairs = files(tmp_path, "a")
    for content in (b"", b'{"blindsr-j', b"\x00\xff\n\n", b"[]\n"):
        (tmp_path / JOURNAL).write_bytes(content)
        assert finished(tmp_path, pairs) == [False]
        write(tmp_path, pairs)
        assert finished(tmp_path, pairs) == [True]


def test_other_settings_start_anew(tmp_path: Path) -> None:
    pairs = files(tmp_path, "a")
    write(tmp_path, pairs)
    assert finished(tmp_path, pairs, {**SETTINGS, "tile": "16"}) == [False]
    assert finished(tmp_path, pairs) == [False]
    write(tmp_path, pairs)
    Journal(tmp_path, SETTINGS, fresh=True).close(remove=False)
    assert finished(tmp_path, pairs) == [False]


@pytest.mark.skipif(sys.platform == "win32", reason="no locks there")
def test_one_batch_at_a_time(tmp_path: Path) -> None:
    journal = Journal(tmp_path, SETTINGS)
    with pytest.raises(InputError, match="another batch is writing here"):
        Journal(tmp_path, SETTINGS)
    journal.close(remove=True)
    assert not [*tmp_path.iterdir()]
    Journal(tmp_path, SETTINGS).close(remove=False)


@pytest.mark.skipif(sys.platform == "win32", reason="no locks there")
def test_the_other_batch_ends_between_opening_and_locking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Journal(tmp_path, SETTINGS)
    lock = module.lock  # type: ignore[attr-defined]
    ended = []

    def slow_lock(descriptor: int) -> None:
        if not ended:
            ended.append(True)
            first.close(remove=True)
        lock(descriptor)

    monkeypatch.setattr(module, "lock", slow_lock)
    second = Journal(tmp_path, SETTINGS)
    assert (tmp_path / JOURNAL).exists()
    second.close(remove=True)


def test_a_full_disk_warns_once_and_tears_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pairs = files(tmp_path, "a", "b", "c", "d")
    journal = Journal(tmp_path, SETTINGS)
    write, full = os.write, True

    def write_a_part(descriptor: int, line: bytes) -> int:
        if full and len(line) < 50:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, line[:-40] if full else line)

    for pair, full in zip(pairs, (False, True, True, False), strict=True):  # noqa: B007  (read above)
        monkeypatch.setattr(os, "write", write_a_part)
        with caplog.at_level(logging.WARNING):
            journal.record(*pair, signature(pair[0]))
        monkeypatch.setattr(os, "write", write)
    journal.close(remove=False)
    (record,) = caplog.records
    assert "No space left on device" in record.getMessage() and JOURNAL in record.getMessage()
    assert finished(tmp_path, pairs) == [True, False, False, True]


def test_a_place_that_cannot_hold_it(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError):
        Journal(tmp_path / "file", SETTINGS)
    (tmp_path / JOURNAL).mkdir()
    with pytest.raises(OSError):
        Journal(tmp_path, SETTINGS)
