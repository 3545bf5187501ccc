"""In which numbers a run computes: bfloat16 only where the hardware multiplies it natively."""

from __future__ import annotations

import torch

from blindsr.engine.instructions import has_bf16_instructions
from blindsr.training.config import TrainConfig


def computes_in_bfloat16(config: TrainConfig, device: torch.device) -> bool:
    """Whether matrix products of a run are taken in bfloat16 (sums, weights and optimisers stay in float32).

    By `config.precision`; "auto" asks the hardware. A CPU without instructions for bfloat16 emulates it, and
    took 11 times as long for a convolution as in float32.

    Args:
        config: Of the run.
        device: What it trains on.
    """
    if config.precision != "auto":
        return config.precision == "bf16-mixed"
    if device.type == "cpu":
        return has_bf16_instructions()
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return False
