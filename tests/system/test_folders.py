"""Where a user's own files belong on each system."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from blindsr.system.folders import user_folder


@pytest.mark.parametrize(
    ("system", "cache", "data"),
    [
        ("linux", ".cache", ".local/share"),
        ("darwin", "Library/Caches", "Library/Application Support"),
        ("win32", "AppData/Local", "AppData/Local"),
    ],
)
def test_each_system_has_its_places(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, system: str, cache: str, data: str
) -> None:
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    for variable in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", "")  # the same as not set
    assert user_folder("cache") == tmp_path / cache / "blindsr"
    assert user_folder("data") == tmp_path / data / "blindsr"
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "mine"))
    assert user_folder("data") == tmp_path / "mine" / "blindsr"
    assert user_folder("cache") == tmp_path / cache / "blindsr"
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert (user_folder("cache") == tmp_path / "local" / "blindsr") == (system == "win32")
    assert not [*tmp_path.iterdir()]


def test_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    assert user_folder("data") is None

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.delenv("LOCALAPPDATA", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    assert user_folder("data") is None
