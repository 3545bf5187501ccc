"""Where a user's own files belong on this system."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Literal

__all__ = ["user_folder"]

# What names each folder where it is set, and where it is below the user's home where not.
_PLACES = {
    "cache": ("XDG_CACHE_HOME", "Library/Caches", ".cache"),
    "data": ("XDG_DATA_HOME", "Library/Application Support", ".local/share"),
}


def user_folder(kind: Literal["cache", "data"]) -> Path | None:
    """The folder for this package's files of one kind; it need not be there yet.

    Args:
        kind: "cache" for what can be made again, "data" for what the user wants kept.

    Returns:
        An absolute path, or None for a user without a home, or where a relative path is set.
    """
    variable, on_mac, elsewhere = _PLACES[kind]
    try:
        if os.environ.get(variable):
            base = Path(os.environ[variable])
        elif sys.platform == "win32":
            base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
        elif sys.platform == "darwin":
            base = Path.home() / on_mac
        else:
            base = Path.home() / elsewhere
    except RuntimeError:  # no home
        return None
    return base / "blindsr" if base.is_absolute() else None
