"""What else a contestant's results depend on: the packages that run it."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def runtime(*packages: str) -> list[str]:
    """Names and versions of packages, for an identity; looks without importing them."""
    found = []
    for package in packages:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            found.append(f"{package} none")
    return found
