"""What is measured of a restored picture, and under which convention."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blindsr.errors import InputError
from blindsr.evaluation.metrics import METRICS
from blindsr.evaluation.metrics.convention import Channel
from blindsr.evaluation.records import digest

Pixels = NDArray[np.float32]


@dataclass(frozen=True)
class Convention:
    """The unprinted half of a published number.

    Args:
        channel: "y" for BT.601 luma, "rgb" for the colours.
        border: Pixels left out along every edge; None takes the scale.
        beyond: Pixels more than the scale, where the border follows it.
        quantise: Round both pictures to 8 bit first, as saving would.
        gray: Compare gray pictures on their gray values; False takes them for colour pictures, whose luma
            ends at 235.
        luma: Turn every picture into its rounded luma before all else, and do not round between shrinking
            and enlarging it: so the scripts behind the published rows of bicubic interpolation do.
    """

    channel: Channel = "y"
    border: int | None = None
    beyond: int = 0
    quantise: bool = True
    gray: bool = True
    luma: bool = False

    def at(self, scale: int) -> Convention:
        """With the border written out."""
        return self if self.border is not None else replace(self, border=scale + self.beyond, beyond=0)

    def __str__(self) -> str:
        """As a table's heading tells it."""
        parts = ["Y of BT.601" if self.channel == "y" else "RGB"]
        if self.border is not None:
            parts.append(f"{self.border} pixels of border left out")
        parts.append("8 bit" if self.quantise else "not rounded")
        if not self.gray:
            parts.append("gray as RGB")
        if self.luma:
            parts.append("luma alone, LR not rounded")
        return ", ".join(parts)


@dataclass(frozen=True)
class Measure:
    """One column of numbers.

    Args:
        name: As the command line names it.
        title: As a table names it, with the unit.
        digits: Decimal places that are shown.
        higher_is_better: Which way is up.
        needs_truth: Whether it compares with a ground truth, or judges a picture alone.
        of: From the restored picture, the ground truth (None where there is none, or none is needed) and the
            convention to the value. Pictures are RGB in [0, 1], (H, W, 3), or gray, (H, W, 1).
        identity: What its values depend on besides the pictures, the convention and this package's code, such
            as the digest of a file of weights.
    """

    name: str
    title: str
    digits: int
    higher_is_better: bool
    needs_truth: bool
    of: Callable[[Pixels, Pixels | None, Convention], float]
    identity: str = ""

    def key(self, convention: Convention) -> str:
        """Identity of a value."""
        return f"{self.name} {digest(self.identity, asdict(convention))[:16]}"

    def write(self, value: float) -> str:
        """A value as it is shown."""
        return f"{value:.{self.digits}f}"


def find_measures(names: list[str], table: Mapping[str, Measure] | None = None) -> list[Measure]:
    """The measures of these names.

    Raises:
        InputError: There is none of that name.
    """
    known = MEASURES if table is None else table
    for name in names:
        if name not in known:
            raise InputError(f"metric {name!r}: there are {', '.join(known)}")
    return [known[name] for name in dict.fromkeys(names)]


def _compared(
    metric: Callable[..., float], restored: Pixels, truth: Pixels | None, convention: Convention
) -> float:
    """A full-reference metric of `METRICS` under a convention."""
    assert truth is not None
    arguments: dict[str, Any] = {"channel": convention.channel, "quantise": convention.quantise}
    return metric(restored, truth, border=convention.border or 0, **arguments)


MEASURES = {
    "psnr": Measure("psnr", "PSNR (dB)", 2, True, True, partial(_compared, METRICS["psnr"])),
    "ssim": Measure("ssim", "SSIM", 4, True, True, partial(_compared, METRICS["ssim"])),
}
"""What `--metric` can name."""
