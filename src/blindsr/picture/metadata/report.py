"""What a photo carried, and what became of it: kept, changed or dropped."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

_SHOWN = 12
"""Things that are named on a line; a file may have thousands."""


@dataclass(frozen=True)
class Item:
    """Something that a file carries besides its pixels.

    Args:
        kind: What it is, in a word: "exif", "xmp", "text", "pages".
        text: The same for people: "2 further pages".
        size: Bytes of it in the file, 0 where it has none of its own.
        derived: Whether it was made from the photo itself, as a thumbnail is: without it nothing is lost, and
            that is not worth a warning.
    """

    kind: str
    text: str
    size: int = 0
    derived: bool = False


@dataclass(repr=False)
class Report:
    """What became of what a photo carried.

    Args:
        kept: What the result has as the photo had it.
        changed: What it has in another form, such as a size that follows the pixels.
        dropped: What it has not.
        warnings: What else is worth knowing: what was wrong with the photo's file, though it could be read;
            that it is a result of this program already.
        pages: Pages of the result.
        frames: Frames of the result.
    """

    kept: list[Item] = field(default_factory=list)
    changed: list[Item] = field(default_factory=list)
    dropped: list[Item] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    pages: int = 1
    frames: int = 1

    def __repr__(self) -> str:
        return f"<Report {len(self.kept)} kept, {len(self.changed)} changed, {len(self.dropped)} dropped>"

    @property
    def warning(self) -> str:
        """What was wrong and what was lost, on one line; empty where nothing was."""
        texts = list(dict.fromkeys(item.text for item in self.dropped if not item.derived))
        more = [f"{len(texts) - _SHOWN} more"] if len(texts) > _SHOWN else []
        lost = ", ".join([*texts[:_SHOWN], *more])
        return "; ".join([*self.warnings, *([f"left out of the result: {lost}"] if lost else [])])

    def as_dict(self) -> dict[str, Any]:
        """How many pictures the result has, and the lists, for a program."""
        return {"pages": self.pages, "frames": self.frames, **self.texts()}

    def texts(self) -> dict[str, list[str]]:
        """The lists, for a program."""
        lists = {"kept": self.kept, "changed": self.changed, "dropped": self.dropped}
        texts = {name: list(dict.fromkeys(item.text for item in items)) for name, items in lists.items()}
        return {**texts, "warnings": self.warnings}
