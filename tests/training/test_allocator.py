"""Freed memory that is kept need not be mapped again."""

import sys

import pytest

from ..children import finished

SCRIPT = """
import resource, sys
import torch
from blindsr.training.allocator import keep_freed_memory
if not keep_freed_memory(sys.argv[1] == "keep"):
    print("none")
    sys.exit()
torch.ones(9 << 20)  # 36 MB: up to 32 the C library keeps what is freed anyway
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    torch.ones(9 << 20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str) -> int:
    told = finished(sys.executable, "-c", SCRIPT, how)
    assert told.returncode == 0, told.stderr
    if told.stdout.strip() == "none":
        pytest.skip("another C library than glibc")
    return int(told.stdout)


@pytest.mark.slow  # two processes that import PyTorch
def test_a_kept_block_is_used_again_without_page_faults() -> None:
    given_back, kept = faults("give back"), faults("keep")
    assert kept < given_back / 10, (kept, given_back)
