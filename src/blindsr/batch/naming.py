"""Names of results, as a user asks for them: "{stem}_{model}_{width}"."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from blindsr.errors import InputError

FIELDS = ("stem", "suffix", "parent", "model", "label", "width", "height")
"""What a name may hold in braces: the photo's name and suffix, its folder's name, the model's name, the size
as in "x4", and the sides of the result in pixels."""

_FIELD = re.compile(r"\{([^{}]*)\}")
_SIDES = ("width", "height")


class NamePattern:
    """A pattern of results' names.

    Args:
        pattern: Such as "{stem}_{model}_{width}"; without a suffix, which is that of the format.
        model: Name of the model.
        label: Size of the results, such as "x4".
        size_of: Gives (width, height) of a photo's result; asked only where the pattern needs it.

    Raises:
        InputError: It has other fields, none of the photo's own, or names a folder.
    """

    def __init__(
        self, pattern: str, model: str, label: str, size_of: Callable[[Path], tuple[int, int]]
    ) -> None:
        fields = _FIELD.findall(pattern)
        odd = next((field for field in fields if field not in FIELDS), None)
        if odd is not None or "{" in _FIELD.sub("", pattern) or "}" in _FIELD.sub("", pattern):
            what = "its braces are not closed" if odd is None else f"{{{odd}}} is no field"
            raise InputError(f"--name {pattern}: {what}; give of {', '.join(f'{{{one}}}' for one in FIELDS)}")
        if "stem" not in fields:
            raise InputError(
                f"--name {pattern}: every result would have the same name; it must hold {{stem}}"
            )
        if re.search(r"[/\\\0]", pattern):
            raise InputError(f"--name {pattern}: a name, not a path; name the folder by -o")
        self._pattern, self._fixed, self._size_of = pattern, {"model": model, "label": label}, size_of
        self._needs_size = any(field in _SIDES for field in fields)

    def of(self, photo: Path) -> str:
        """The name of a photo's result, without its suffix.

        Raises:
            InputError: The pattern needs the photo's size, and it cannot be read.
        """
        sides: Mapping[str, object] = {}
        if self._needs_size:
            sides = dict(zip(_SIDES, self._size_of(photo), strict=True))
        own = {"stem": photo.stem, "suffix": photo.suffix[1:], "parent": photo.absolute().parent.name}
        values = {**self._fixed, **sides, **own}
        return _FIELD.sub(lambda match: str(values[match[1]]), self._pattern)
