"""Names of a package that are imported when they are first used."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping
from importlib import import_module

TYPE_CHECKING = False  # importing it takes longer than all that is here
if TYPE_CHECKING:
    from typing import Any


def lazy_names(package: str, homes: Mapping[str, str], modules: Collection[str] = ()) -> Callable[[str], Any]:
    """The `__getattr__` (PEP 562) of a package some of whose public names come from modules not yet imported.

    Args:
        package: Its name.
        homes: The module that each name is imported from.
        modules: Names of modules in the package that are reached without an import of their own.
    """

    def get(name: str) -> Any:  # noqa: ANN401  (a module's attribute is of any type)
        if name in modules:
            return import_module(f"{package}.{name}")
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(homes[name]), name)
        setattr(sys.modules[package], name, value)  # once
        return value

    return get
