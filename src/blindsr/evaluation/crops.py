"""Crops of restored pictures, kept beside the records for the page that shows them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from blindsr.errors import InputError
from blindsr.picture import Picture, write
from blindsr.system.files import make_folder

Pixels = NDArray[np.float32]


@dataclass(frozen=True)
class Group:
    """The crops of one place of one picture: its sides by their titles.

    Args:
        benchmark: The set.
        degradation: How the LR picture came to be, as tables call it.
        sample: The picture.
        crops: Files by title, in order.
    """

    benchmark: str
    degradation: str
    sample: str
    crops: dict[str, Path] = field(default_factory=dict)


@dataclass
class CropFolder:
    """Cuts the same place out of every method's result.

    Args:
        folder: Where the crops are kept; made if need be.
        samples: So many pictures of each set under each degradation are shown.
        side: Side of a crop, pixels of the restored picture.
    """

    folder: Path
    samples: int = 2
    side: int = 192
    groups: list[Group] = field(default_factory=list)

    def begin(self, benchmark: str, degradation: str, sample: str) -> Group:
        """Begin a picture's group."""
        group = Group(benchmark, degradation, sample)
        self.groups.append(group)
        return group

    def file(self, key: str) -> Path:
        """Where a crop is kept."""
        return self.folder / f"{key[:32]}.png"

    def cut(self, lr: Pixels, scale: int) -> Cut:
        """The place of a picture with most detail.

        Args:
            lr: The LR picture, (H, W, C).
            scale: Of the restored pictures.
        """
        side = max(1, min(self.side // scale, *lr.shape[:2]))
        return Cut(*densest(lr, side), side, scale)

    def keep(self, key: str, crop: Callable[[], Pixels]) -> Path:
        """Write a crop, unless it is there.

        Raises:
            InputError: It cannot be written.
        """
        file = self.file(key)
        if not file.is_file():
            try:
                make_folder(self.folder, self.folder.parent)
            except OSError as error:
                place = error.filename or self.folder
                raise InputError(f"{place}: cannot make this folder ({error.strerror})") from error
            write(Picture(np.ascontiguousarray(crop(), np.float32)), file)
        return file


@dataclass(frozen=True)
class Cut:
    """A square of a picture: its corner and side in LR pixels."""

    top: int
    left: int
    side: int
    scale: int

    def of_lr(self, lr: Pixels) -> Pixels:
        """The square of the LR picture."""
        return lr[self.top : self.top + self.side, self.left : self.left + self.side]

    def of_restored(self, picture: Pixels) -> Pixels:
        """The same square of a picture `scale` times as large."""
        top, left, side = (self.scale * number for number in (self.top, self.left, self.side))
        return picture[top : top + side, left : left + side]


def densest(picture: Pixels, side: int) -> tuple[int, int]:
    """Corner (y, x) of the square with most gradient energy, on a coarse grid.

    Args:
        picture: (H, W, C).
        side: Of the square, pixels; at most H and W.
    """
    luma = picture.mean(2)
    energy = np.zeros_like(luma)
    energy[1:] += np.diff(luma, axis=0) ** 2
    energy[:, 1:] += np.diff(luma, axis=1) ** 2
    step = max(1, side // 4)
    corners = [
        (y, x)
        for y in range(0, max(1, luma.shape[0] - side + 1), step)
        for x in range(0, max(1, luma.shape[1] - side + 1), step)
    ]
    return max(corners, key=lambda at: float(energy[at[0] : at[0] + side, at[1] : at[1] + side].sum()))
