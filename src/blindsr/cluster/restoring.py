"""Restoring the photos of a batch: what `blindsr upscale --cluster` asks for, and how a worker does it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blindsr.batch.asked import read_size
from blindsr.batch.naming import NamePattern
from blindsr.batch.plan import fault_of_name
from blindsr.batch.recognition import result_suffix
from blindsr.batch.run import photo_stages
from blindsr.batch.stages import Outcome, Stages
from blindsr.cluster.cameras import camera_of, profile_name
from blindsr.cluster.order import Maker, Order, Pulled, Read

if TYPE_CHECKING:
    from blindsr.picture.sizing import OutputSize
    from blindsr.upscaling.masking import TextureMask
    from blindsr.upscaling.upscaler import Adaptation, Upscaler

__all__ = ["Asked", "Restoring"]


@dataclass(frozen=True)
class Asked:
    """What is asked for of one photo; the values are as in `Restoring`."""

    size: OutputSize | None
    quality: int | None
    format_: str | None
    texture: float | None


@dataclass(frozen=True, kw_only=True)
class Restoring(Order):
    """The options of a batch; those that are not told here are as in `Upscaler` and `batch.run_batch`.

    Args:
        model: Name of the model, or a path that leads to it on every machine.
        model_scale: As in `load_model`.
        texture: As in `Upscaler`.
        format_: A name in `FORMATS`; None for each photo's own.
        name: Pattern of results' names; None for the photo's name and the size.
        by_camera: Whether photos of one camera share a profile.
    """

    model: str
    model_scale: int | None = None
    device: str = "auto"
    tile: int | str = "auto"
    max_pixels: int | None = None
    texture: float | None = None
    precision: str = "auto"
    damaged: bool = False
    size: OutputSize | None = None
    dpi: float | None = None
    quality: int | None = None
    format_: str | None = None
    name: str | None = None
    mark: bool = True
    mask: TextureMask | None = None
    adaptation: Adaptation | None = None
    by_camera: bool = False

    def maker(self) -> Maker:
        return _Restorer(self)

    @property
    def title(self) -> str:
        return self.model

    @property
    def naming(self) -> Sequence[str | None]:
        return self.name, self.format_

    @property
    def renames(self) -> bool:
        return self.name is not None

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

    def merge_profiles(self, profiles: Sequence[Path], target: Path) -> None:
        from blindsr.engine.opening import load_model
        from blindsr.upscaling.profile import read_profile, write_profile
        from blindsr.upscaling.upscaler import Adaptation

        model = load_model(self.model, scale=self.model_scale)
        write_profile(Adaptation.mean([read_profile(path, model) for path in profiles]), model, target)


class _Restorer:
    """The model at work; see `Maker`."""

    def __init__(self, order: Restoring) -> None:
        self._order, self._upscaler = order, order.upscaler()
        self._stages = lru_cache(maxsize=64)(self._make_stages)

    @property
    def identity(self) -> dict[str, Any]:
        return self._order.identity(self._upscaler)

    @property
    def reads(self) -> Mapping[str, Read]:
        return {"camera": _read_camera, "adapt": self._adapt}

    def name(self, photo: Pulled) -> tuple[str, str]:
        asked = self._order.asked(photo.options)
        stem = self._order.pattern(self._upscaler, asked.size).of(photo.source)
        name = f"{stem}{result_suffix(photo.source, asked.format_)}"
        return name, fault_of_name(name, asked.quality)

    def stages(self, photo: Pulled) -> Stages[Any, Any]:
        profile = None
        if photo.profiles is not None and (camera := camera_of(photo.source)):
            file = photo.profiles / profile_name(camera)
            profile = file if file.is_file() else None
        return self._stages(self._order.asked(photo.options), profile)

    def report(self, photo: Pulled, outcome: Outcome) -> dict[str, Any]:
        report = outcome.report
        return {} if report is None else {**report.as_dict(), "warning": report.warning}

    def _make_stages(self, asked: Asked, profile: Path | None) -> Stages[Any, Any]:
        from blindsr.upscaling.profile import read_profile

        order, upscaler = self._order, self._upscaler
        if asked.texture is not None:
            upscaler = upscaler.with_texture(asked.texture)
        return photo_stages(
            upscaler,
            order.adaptation if profile is None else read_profile(profile, upscaler.model),
            asked.size,
            asked.quality,
            order.dpi,
            order.keep_date,
            order.mask,
            order.mark,
        )

    def _adapt(self, source: Path, target: Path) -> Mapping[str, Any]:
        """What the model reads from one photo, into a file."""
        from blindsr.upscaling.profile import write_profile

        write_profile(self._upscaler.adapt([source]), self._upscaler.model, target)
        return {}


def _read_camera(source: Path, target: Path) -> Mapping[str, Any]:
    return {"camera": camera_of(source)}
