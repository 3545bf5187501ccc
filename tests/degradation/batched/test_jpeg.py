"""JPEG in many qualities at once is `jpeg` in each."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from blindsr.degradation import jpeg
from blindsr.degradation.batched.jpeg import Jpeg, quality_column

QUALITIES = [1, None, 10, 49, 50, 75, None, 95, 100]


@pytest.mark.parametrize("size", [(32, 48), (37, 24), (40, 41), (9, 7), (1, 1)])
def test_every_quality_at_once(size: tuple[int, int]) -> None:
    x = torch.from_numpy(np.random.default_rng(6).random((len(QUALITIES), 3, *size), dtype=np.float32))
    result = Jpeg("cpu")(x, torch.from_numpy(quality_column(QUALITIES)))
    for i, quality in enumerate(QUALITIES):
        expected = x[i] if quality is None else jpeg(x[i : i + 1], quality)[0]
        # The same matrices, but the order of their sums is the library's.
        assert ((result[i] - expected).abs() > 1e-6).float().mean() < 2e-3, quality
