"""Blind image super-resolution: a network that reads a photo's degradation and adapts itself to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blindsr.lazy import lazy_names

if TYPE_CHECKING:
    from blindsr.batch import plan_batch, run_batch
    from blindsr.camera import read_profile, write_profile
    from blindsr.comparison import Comparison, ComparisonPage, compare
    from blindsr.errors import BlindSRError, ConfigError, InputError, MissingExtraError, ModelError
    from blindsr.model import Model, available_models, load_model
    from blindsr.picture import Picture
    from blindsr.pulling import pull
    from blindsr.sizing import OutputSize
    from blindsr.upscaler import Adaptation, Upscaler, upscale

__version__ = "0.2.0"

# Loaded on first use: the import alone must stay quick, and NumPy is already most of a slow start.
_HOMES = {
    "Adaptation": "blindsr.upscaler",
    "BlindSRError": "blindsr.errors",
    "Comparison": "blindsr.comparison",
    "ComparisonPage": "blindsr.comparison",
    "ConfigError": "blindsr.errors",
    "InputError": "blindsr.errors",
    "MissingExtraError": "blindsr.errors",
    "Model": "blindsr.model",
    "ModelError": "blindsr.errors",
    "OutputSize": "blindsr.sizing",
    "Picture": "blindsr.picture",
    "Upscaler": "blindsr.upscaler",
    "available_models": "blindsr.model",
    "compare": "blindsr.comparison",
    "load_model": "blindsr.model",
    "plan_batch": "blindsr.batch",
    "pull": "blindsr.pulling",
    "run_batch": "blindsr.batch",
    "read_profile": "blindsr.camera",
    "upscale": "blindsr.upscaler",
    "write_profile": "blindsr.camera",
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
