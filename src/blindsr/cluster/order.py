"""What a batch is to do with each photo: all that a worker must know, fit to travel to another machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from blindsr.batch.asked import read_size
from blindsr.batch.naming import NamePattern
from blindsr.batch.stages import Existing
from blindsr.errors import InputError

if TYPE_CHECKING:
    from blindsr.picture.sizing import OutputSize
    from blindsr.upscaling.masking import TextureMask
    from blindsr.upscaling.upscaler import Adaptation, Upscaler

__all__ = ["MEMORY", "Asked", "Order", "differing"]

MEMORY = "2G"
"""Most memory of a worker, where nothing else is said: the same on every machine, as the tiles of a resized
result depend on it."""


@dataclass(frozen=True)
class Asked:
    """What is asked for of one photo; the values are as in `Order`."""

    size: OutputSize | None
    quality: int | None
    format_: str | None
    texture: float | None


@dataclass(frozen=True, kw_only=True)
class Order:
    """The options of a batch; those that are not told here are as in `Upscaler` and `batch.run_batch`.

    Args:
        model: Name of the model, or a path that leads to it on every machine.
        model_scale: As in `load_model`.
        texture: As in `Upscaler`.
        format_: A name in `FORMATS`; None for each photo's own.
        name: Pattern of results' names; None for the photo's name and the size.
        by_camera: Whether photos of one camera share a profile.
        seconds: Most time for one photo, in each of its tries.
        tries: How often a photo is tried alone that may have ended its process, or took too long; and how
            often a store is asked.
    """

    model: str
    model_scale: int | None = None
    device: str = "auto"
    tile: int | str = "auto"
    threads: int | None = None
    memory: str = MEMORY
    max_pixels: int | None = None
    texture: float | None = None
    precision: str = "auto"
    damaged: bool = False
    size: OutputSize | None = None
    dpi: float | None = None
    quality: int | None = None
    format_: str | None = None
    name: str | None = None
    keep_date: bool = False
    mark: bool = True
    mask: TextureMask | None = None
    adaptation: Adaptation | None = None
    by_camera: bool = False
    existing: Existing = "resume"
    seconds: float = 600.0
    tries: int = 2

    def upscaler(self) -> Upscaler:
        """The model, ready.

        Raises:
            BlindSRError: As of `load_model` and `Upscaler`.
        """
        from blindsr.engine.opening import load_model
        from blindsr.picture import MAX_PIXELS
        from blindsr.upscaling.upscaler import Upscaler

        return Upscaler(
            load_model(self.model, scale=self.model_scale),
            device=self.device,
            tile=self.tile,
            threads=self.threads,
            memory=self.memory,
            max_pixels=MAX_PIXELS if self.max_pixels is None else self.max_pixels,
            damaged=self.damaged,
            texture=self.texture,
            precision=self.precision,
        )

    def asked(self, options: Mapping[str, Any]) -> Asked:
        """What is asked for of a photo for which a list says something else."""
        own = read_size(
            **{key: options[key] for key in ("scale", "width", "height", "fit") if key in options}
        )[0]
        return Asked(
            self.size if own is None else own,
            options.get("quality", self.quality),
            options.get("format", self.format_),
            options.get("texture"),
        )

    def pattern(self, upscaler: Upscaler, size: OutputSize | None) -> NamePattern:
        """What names the results of a size."""
        label = f"x{upscaler.model.scale}" if size is None else size.label
        pattern = f"{{stem}}_{label}" if self.name is None else self.name
        return NamePattern(pattern, upscaler.model.name, label, upscaler.size_of(size))

    def identity(self, upscaler: Upscaler) -> dict[str, Any]:
        """What the bytes of results depend on, as the journal of a batch on one machine has it."""
        identity = upscaler.identity(
            support=self.adaptation, size=self.size, quality=self.quality, mask=self.mask, mark=self.mark
        )
        identity |= {} if self.dpi is None else {"dpi": self.dpi}
        return identity | ({"cameras": True} if self.by_camera else {})

    def header(self, upscaler: Upscaler, inputs: Sequence[str]) -> dict[str, Any]:
        """What a run must have in common with another that goes on from it.

        Args:
            upscaler: As `upscaler` gives it.
            inputs: What the user named.
        """
        return {
            "format": "blindsr cluster run",
            "version": 1,
            "identity": self.identity(upscaler),
            "inputs": list(inputs),
            "names": [self.name, self.format_],
            "fresh": self.existing == "overwrite",
        }

    def check(self) -> None:
        """Refuse what no photo could be done with.

        Raises:
            InputError: A number is out of range.
        """
        if not 0 < self.seconds < float("inf"):
            raise InputError(f"time limit {self.seconds:g}: give seconds above 0")
        if self.tries < 1:
            raise InputError(f"tries {self.tries}: give 1 or more")


def differing(one: Mapping[str, Any], other: Mapping[str, Any], above: str = "") -> list[str]:
    """The names of what differs between two identities.

    Example:
        >>> differing({"engine": {"precision": "int8"}}, {"engine": {"precision": "fp32"}})
        ['engine.precision']
    """
    found = []
    for key in sorted({*one, *other}):
        left, right = one.get(key), other.get(key)
        if isinstance(left, dict) and isinstance(right, dict):
            found += differing(left, right, f"{above}{key}.")
        elif left != right:
            found.append(f"{above}{key}")
    return found
