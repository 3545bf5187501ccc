#!/usr/bin/env python3
"""Print what the changelog says of a version, for its release: `python3 .ci/release_notes.py 0.2.0`.

Ends with an error where the package's version is another, or the changelog says nothing of it, as long as it
still stands under "Unreleased".
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def notes_of(version: str, changelog: str, package: str) -> str:
    """The section of a version, without its heading.

    Args:
        version: Such as "0.2.0".
        changelog: Text of CHANGELOG.md.
        package: Text of src/blindsr/version.py.
    """
    (packaged,) = re.findall(r'__version__ = "([^"]+)"', package)
    if packaged != version:
        raise SystemExit(f"release {version}: src/blindsr/version.py says {packaged}; change it first")
    found = re.search(
        rf"^## \[{re.escape(version)}\][^\n]*\n(.*?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL
    )
    if found is None or not found[1].strip():
        raise SystemExit(
            f"release {version}: CHANGELOG.md has no section of it; give [Unreleased] that name and a date"
        )
    return found[1].strip() + "\n"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("say which version: python3 .ci/release_notes.py 0.2.0")
    changelog, package = ROOT / "CHANGELOG.md", ROOT / "src" / "blindsr" / "version.py"
    sys.stdout.write(
        notes_of(sys.argv[1], changelog.read_text(encoding="utf-8"), package.read_text(encoding="utf-8"))
    )
