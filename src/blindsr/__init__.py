"""Blind image super-resolution: a network that reads a photo's degradation and adapts itself to it."""

from __future__ import annotations

from blindsr.system.lazy import lazy_names
from blindsr.version import __version__

# As in `typing`, which would be most of what importing this package takes.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from blindsr.batch.plan import Plan, plan_batch
    from blindsr.batch.run import run_batch
    from blindsr.batch.stages import Outcome
    from blindsr.comparison import Comparison, ComparisonPage, compare
    from blindsr.engine.opening import load_model
    from blindsr.errors import BlindSRError, ConfigError, InputError, MissingExtraError, ModelError
    from blindsr.inspection.reading import Inspector, Reading
    from blindsr.models.card import Model
    from blindsr.models.catalogue import available_models
    from blindsr.picture import Picture, read, write
    from blindsr.picture.sizing import OutputSize
    from blindsr.pulling.pull import Pulled, pull
    from blindsr.system.memory import Memory
    from blindsr.upscaling.profile import CameraReading, read_camera, read_profile, write_profile
    from blindsr.upscaling.upscaler import Adaptation, Upscaler, upscale

# Loaded on first use: the import alone must stay quick, and NumPy is already most of a slow start.
_HOMES = {
    "Adaptation": "blindsr.upscaling.upscaler",
    "available_models": "blindsr.models.catalogue",
    "BlindSRError": "blindsr.errors",
    "CameraReading": "blindsr.upscaling.profile",
    "compare": "blindsr.comparison",
    "Comparison": "blindsr.comparison",
    "ComparisonPage": "blindsr.comparison",
    "ConfigError": "blindsr.errors",
    "InputError": "blindsr.errors",
    "Inspector": "blindsr.inspection.reading",
    "load_model": "blindsr.engine.opening",
    "Memory": "blindsr.system.memory",
    "MissingExtraError": "blindsr.errors",
    "Model": "blindsr.models.card",
    "ModelError": "blindsr.errors",
    "Outcome": "blindsr.batch.stages",
    "OutputSize": "blindsr.picture.sizing",
    "Picture": "blindsr.picture",
    "Plan": "blindsr.batch.plan",
    "plan_batch": "blindsr.batch.plan",
    "pull": "blindsr.pulling.pull",
    "Pulled": "blindsr.pulling.pull",
    "read": "blindsr.picture",
    "read_camera": "blindsr.upscaling.profile",
    "read_profile": "blindsr.upscaling.profile",
    "Reading": "blindsr.inspection.reading",
    "run_batch": "blindsr.batch.run",
    "upscale": "blindsr.upscaling.upscaler",
    "Upscaler": "blindsr.upscaling.upscaler",
    "write": "blindsr.picture",
    "write_profile": "blindsr.upscaling.profile",
}
_ROOMS = ("batch", "comparison", "degradation", "evaluation", "inspection", "metrics", "models", "picture")
"""Packages whose own names are reached as in `blindsr.metrics.psnr`, loaded on first use as well."""

__all__ = [
    "Adaptation",
    "BlindSRError",
    "CameraReading",
    "Comparison",
    "ComparisonPage",
    "ConfigError",
    "InputError",
    "Inspector",
    "Memory",
    "MissingExtraError",
    "Model",
    "ModelError",
    "Outcome",
    "OutputSize",
    "Picture",
    "Plan",
    "Pulled",
    "Reading",
    "Upscaler",
    "__version__",
    "available_models",
    "compare",
    "load_model",
    "plan_batch",
    "pull",
    "read",
    "read_camera",
    "read_profile",
    "run_batch",
    "upscale",
    "write",
    "write_profile",
]


__getattr__ = lazy_names(__name__, _HOMES, _ROOMS)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES, *_ROOMS})
