"""Names of a package that are imported when they are first used."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy_names(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """The `__getattr__` (PEP 562) of a package some of whose public names come from modules not yet imported.

    Args:
        package: Its name.
        homes: The module that each name is imported from.
    """

    def get(name: str) -> Any:  # noqa: ANN401  (a module's attribute is of any type)
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(homes[name]), name)
        setattr(sys.modules[package], name, value)  # once
        return value

    return get
