"""What is measured of a restored picture, and under which convention."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from blindsr.errors import InputError, ModelError
from blindsr.evaluation.methods.runtime import runtime
from blindsr.evaluation.result_cache import digest
from blindsr.metrics import (
    METRICS,
    installed_metric,
    installed_network,
    lpips,
    niqe,
    read_niqe,
    read_squeeze,
    without_grid,
)
from blindsr.metrics.convention import Channel
from blindsr.picture import quantise
from blindsr.system.files import sha256

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
        period: Of the grid that metrics look past which are told to, pixels; None takes the scale.
    """

    channel: Channel = "y"
    border: int | None = None
    beyond: int = 0
    quantise: bool = True
    gray: bool = True
    luma: bool = False
    period: int | None = None

    def at(self, scale: int) -> Convention:
        """With the border and the period written out."""
        written = self if self.border is not None else replace(self, border=scale + self.beyond, beyond=0)
        return replace(written, period=scale if self.period is None else self.period)

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
class MetricSpec:
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


def find_metric_specs(names: list[str], table: Mapping[str, MetricSpec] | None = None) -> list[MetricSpec]:
    """The metrics of these names.

    Args:
        names: Of the table; or "lpips-alex", "lpips-vgg" and "lpips-squeeze", by the installed package
            `lpips`; or "pyiqa:NAME", any metric of the installed package `pyiqa`.
        table: By name; None takes `METRIC_SPECS`.

    Raises:
        InputError: There is none of that name, or it needs a file that was not given.
        MissingExtraError: Its package is not installed.
        ModelError: Its package does not work.
    """
    known = METRIC_SPECS if table is None else table
    found = []
    for name in dict.fromkeys(names):
        kind, _, rest = name.partition(":")
        if name in known:
            found.append(known[name])
        elif kind == "pyiqa" and rest:
            found.append(_of_pyiqa(rest))
        elif name in _INSTALLED:
            found.append(_installed_lpips(name))
        elif name in _NEEDS:
            raise InputError(f"metric {name}: {_NEEDS[name]}")
        else:
            others = ", ".join(dict.fromkeys([*known, *_NEEDS, *_INSTALLED]))
            raise InputError(f"metric {name!r}: there are {others} and pyiqa:NAME")
    return found


def metric_specs_from(
    niqe: Path | None = None, lpips: tuple[Path, Path] | None = None, device: str = "cpu"
) -> dict[str, MetricSpec]:
    """`METRIC_SPECS` and what can be measured by the files that are given.

    Args:
        niqe: Parameters of NIQE (see `read_niqe`), for "niqe".
        lpips: Weights of SqueezeNet and the linear ones (see `read_squeeze`), for "lpips" and
            "lpips-no-grid".
        device: Where LPIPS runs, as PyTorch names it.

    Raises:
        ModelError: A file is missing, or NIQE's is damaged; LPIPS's are read when first used.
    """
    found = dict(METRIC_SPECS)
    if niqe is not None:
        found["niqe"] = _niqe(niqe)
    if lpips is not None:
        for spec in _squeeze_lpips(*lpips, device):
            found[spec.name] = spec
    return found


def _niqe(file: Path) -> MetricSpec:
    parameters = read_niqe(file)

    def of(restored: Pixels, truth: Pixels | None, convention: Convention) -> float:
        return niqe(restored, parameters=parameters, quantise=convention.quantise)

    # NIQE and LPIPS are published for whole pictures, whatever border PSNR leaves out.
    return MetricSpec("niqe", "NIQE", 3, False, False, of, sha256(file))


def _squeeze_lpips(features: Path, heads: Path, device: str) -> tuple[MetricSpec, MetricSpec]:
    """LPIPS, and LPIPS of the restored picture without its grid."""
    for file in (features, heads):
        if not file.is_file():
            raise ModelError(f"{file}: no such file")

    network = cache(lambda: read_squeeze(features, heads, device))

    def of(restored: Pixels, truth: Pixels | None, convention: Convention) -> float:
        assert truth is not None
        return lpips(restored, truth, network=network(), quantise=convention.quantise)

    def of_no_grid(restored: Pixels, truth: Pixels | None, convention: Convention) -> float:
        assert truth is not None and convention.period is not None
        if convention.quantise:  # before the grid is taken away, as a saved picture's would be
            restored, truth = _as_saved(restored), _as_saved(truth)
        cleaned = without_grid(restored, period=convention.period).clip(0, 1)
        return lpips(cleaned, truth, network=network(), quantise=False)

    identity = digest([sha256(file) for file in (features, heads)], runtime("torch"), device)
    return (
        MetricSpec("lpips", "LPIPS (squeeze)", 4, False, True, of, identity),
        MetricSpec("lpips-no-grid", "LPIPS, no grid", 4, False, True, of_no_grid, identity),
    )


def _as_saved(picture: Pixels) -> Pixels:
    """Rounded to 8 bit."""
    return quantise(picture, 8).astype(np.float32) / np.float32(255)


def _installed_lpips(name: str) -> MetricSpec:
    network = installed_network(_INSTALLED[name])

    def of(restored: Pixels, truth: Pixels | None, convention: Convention) -> float:
        assert truth is not None
        return lpips(restored, truth, network=network, quantise=convention.quantise)

    identity = digest(runtime("lpips", "torch", "torchvision"))
    return MetricSpec(name, f"LPIPS ({network.name})", 4, False, True, of, identity)


def _of_pyiqa(name: str) -> MetricSpec:
    metric = installed_metric(name)

    def of(restored: Pixels, truth: Pixels | None, convention: Convention) -> float:
        compared = truth if metric.compares else None
        return metric(restored, compared, border=convention.border or 0, quantise=convention.quantise)

    title, identity = f"{name} (pyiqa)", digest(runtime("pyiqa", "torch", "torchvision"))
    return MetricSpec(f"pyiqa:{name}", title, 4, metric.higher_is_better, metric.compares, of, identity)


_NEEDS = {
    "niqe": "needs the parameters of pristine photos: give --niqe FILE; blindsr fit-niqe makes one",
    "lpips": "needs SqueezeNet's weights and the linear ones: give --lpips FEATURES:HEADS",
    "lpips-no-grid": "needs SqueezeNet's weights and the linear ones: give --lpips FEATURES:HEADS",
}
_INSTALLED: dict[str, Literal["alex", "vgg", "squeeze"]] = {
    "lpips-alex": "alex",
    "lpips-vgg": "vgg",
    "lpips-squeeze": "squeeze",
}


def _compared(
    metric: Callable[..., float], restored: Pixels, truth: Pixels | None, convention: Convention
) -> float:
    """A full-reference metric of `METRICS` under a convention."""
    assert truth is not None
    arguments: dict[str, Any] = {"channel": convention.channel, "quantise": convention.quantise}
    return metric(restored, truth, border=convention.border or 0, **arguments)


METRIC_SPECS = {
    "psnr": MetricSpec("psnr", "PSNR (dB)", 2, True, True, partial(_compared, METRICS["psnr"])),
    "ssim": MetricSpec("ssim", "SSIM", 4, True, True, partial(_compared, METRICS["ssim"])),
}
"""What `--metric` can name without a file."""
