"""Blind image super-resolution: a network that reads a photo's degradation and adapts itself to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blindsr.system.lazy import lazy_names

if TYPE_CHECKING:
    from blindsr.batch.plan import plan_batch
    from blindsr.batch.run import run_batch
    from blindsr.comparison import Comparison, ComparisonPage, compare
    from blindsr.engine.opening import load_model
    from blindsr.errors import BlindSRError, ConfigError, InputError, MissingExtraError, ModelError
    from blindsr.models.card import Model
    from blindsr.models.catalogue import available_models
    from blindsr.picture import Picture
    from blindsr.picture.sizing import OutputSize
    from blindsr.pulling.pull import pull
    from blindsr.upscaling.profile import read_profile, write_profile
    from blindsr.upscaling.upscaler import Adaptation, Upscaler, upscale

__version__ = "0.1.0"

# Loaded on first use: the import alone must stay quick, and NumPy is already most of a slow start.
_HOMES = {
    "Adaptation": "blindsr.upscaling.upscaler",
    "BlindSRError": "blindsr.errors",
    "Comparison": "blindsr.comparison",
    "ComparisonPage": "blindsr.comparison",
    "ConfigError": "blindsr.errors",
    "InputError": "blindsr.errors",
    "MissingExtraError": "blindsr.errors",
    "Model": "blindsr.models.card",
    "ModelError": "blindsr.errors",
    "OutputSize": "blindsr.picture.sizing",
    "Picture": "blindsr.picture",
    "Upscaler": "blindsr.upscaling.upscaler",
    "available_models": "blindsr.models.catalogue",
    "compare": "blindsr.comparison",
    "load_model": "blindsr.engine.opening",
    "plan_batch": "blindsr.batch.plan",
    "pull": "blindsr.pulling.pull",
    "run_batch": "blindsr.batch.run",
    "read_profile": "blindsr.upscaling.profile",
    "upscale": "blindsr.upscaling.upscaler",
    "write_profile": "blindsr.upscaling.profile",
}

__all__ = [
    "Adaptation",
    "BlindSRError",
    "Comparison",
    "ComparisonPage",
    "ConfigError",
    "InputError",
    "MissingExtraError",
    "Model",
    "ModelError",
    "OutputSize",
    "Picture",
    "Upscaler",
    "__version__",
    "available_models",
    "compare",
    "load_model",
    "plan_batch",
    "pull",
    "read_profile",
    "run_batch",
    "upscale",
    "write_profile",
]


__getattr__ = lazy_names(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
