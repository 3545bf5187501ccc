"""What else a method's results depend on: the packages that run it, and the processor."""

from __future__ import annotations

from blindsr.engine.identity import package_version
from blindsr.engine.instructions import instruction_set


def runtime(*packages: str) -> list[str]:
    """Names and versions of packages and the CPU's instruction set, for an identity; imports none of them."""
    found = [f"{package} {package_version(package) or 'none'}" for package in packages]
    return [*found, f"cpu {instruction_set().name}"]
