"""The nearest of the names that there are, for whoever mistyped one."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["nearest"]

_LONGEST = 80  # characters that are compared: of megabytes it would take for ever


def nearest(name: object, known: Iterable[str], most: int = 1, cutoff: float = 0.6) -> list[str]:
    """The names that one may have meant, the nearest first.

    Args:
        name: What was written.
        known: What there is.
        most: Names at most.
        cutoff: How alike they must be, 0 to 1.

    Example:
        >>> nearest("cmsdr", ["cmdsr", "cria"])
        ['cmdsr']
    """
    return get_close_matches(str(name)[:_LONGEST], list(known), n=most, cutoff=cutoff)
