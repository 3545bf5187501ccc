"""How the gallery's pictures look: pixels as they are, no axes, small."""

from __future__ import annotations

from typing import Any


def reset(_configuration: dict[str, Any], _script: str) -> None:
    """What sphinx-gallery calls before and after each example."""
    import matplotlib

    matplotlib.rcParams.update(
        {
            "figure.dpi": 100,
            "savefig.dpi": 100,
            "image.interpolation": "nearest",
            "axes.titlesize": 9,
            "axes.labelsize": 9,
            "xtick.labelsize": 8,
            "ytick.labelsize": 8,
            "legend.fontsize": 8,
            "axes.spines.top": False,
            "axes.spines.right": False,
        }
    )
