"""What plain values, as configurations and manifests hold them, may be."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any

from blindsr.errors import InputError
from blindsr.system.nearest import nearest

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def check_keys(what: str, given: Iterable[Any], known: Collection[str], noun: str = "key") -> None:
    """Refuse unknown keys, naming the nearest right one.

    Raises:
        InputError: a key of `given` is not in `known`.
    """
    for key in given:
        if key not in known:
            near = nearest(key, known, cutoff=0.4)
            hint = f"did you mean {near[0]!r}?" if near else f"the {noun}s are {', '.join(known)}"
            raise InputError(f"{what}: unknown {noun} {key!r}; {hint}")


def check_number(what: str, value: object, whole: bool = False) -> None:
    """Refuse anything but a finite number, or a whole one.

    Args:
        what: names the value in the error, e.g. "degradation: noise".
        value: any object; true and false are no numbers.
        whole: only whole numbers will do.

    Raises:
        InputError: the value is none of these.
    """
    right = not isinstance(value, bool) and (
        isinstance(value, int) if whole else isinstance(value, (int, float)) and math.isfinite(value)
    )
    if not right:
        kind = "a whole number" if whole else "a finite number"
        raise InputError(f"{what} must be {kind}, got {value!r}")


def check_ranges(
    what: str,
    space: DataclassInstance,
    whole: Collection[str],
    ranges: Collection[str],
    others: Collection[str] = (),
) -> None:
    """Refuse a space whose numbers, ranges or probabilities cannot be; lists become tuples.

    Args:
        what: names the space in the error.
        space: a frozen dataclass. Fields whose names end in "_probability" are probabilities.
        whole: the fields of whole numbers.
        ranges: the fields that are a lowest and a highest value.
        others: the fields that are neither numbers nor tuples of numbers: left alone.

    Raises:
        InputError: a field is none of these.
    """
    for field in dataclasses.fields(space):
        value = getattr(space, field.name)
        if isinstance(value, list):  # as JSON and YAML hand tuples over
            value = tuple(value)
            object.__setattr__(space, field.name, value)
        if field.name in others:
            continue
        numbers = value if isinstance(value, tuple) else (value,)
        for number in numbers:
            only = field.name in whole
            if isinstance(number, bool) or not isinstance(number, int if only else (int, float)):
                kind = "whole numbers" if only else "numbers"
                raise InputError(f"{what}: {field.name} must be {kind}, got {value!r}")
        if field.name in ranges and not (len(numbers) == 2 and numbers[0] <= numbers[1]):
            raise InputError(f"{what}: {field.name} must be a range low, high, got {value!r}")
        if field.name.endswith("_probability") and not 0 <= value <= 1:
            raise InputError(f"{what}: {field.name} must lie in [0, 1], got {value!r}")
