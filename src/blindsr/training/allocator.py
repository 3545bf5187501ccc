"""Memory that one training step frees stays with the process for the next one."""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -2, -3, -4
"""Names of what `mallopt` sets (malloc.h)."""
_KEEPING = {_MMAP_MAX: 0, _TRIM_THRESHOLD: 2**31 - 1, _TOP_PAD: 256 << 20}
_GIVING_BACK = {_MMAP_MAX: 65536, _TRIM_THRESHOLD: 64 << 20, _TOP_PAD: 0, _MMAP_THRESHOLD: 32 << 20}
"""Where the C library's own moving thresholds soon arrive in a process that frees large blocks."""


def keep_freed_memory(keep: bool = True) -> bool:
    """Tell the C library whether to keep freed memory instead of giving it back to the system.

    By default it asks the system for every block of more than 32 MB, and gives it back when it is freed. A
    fresh block is mapped page by page as it is first written, which for the large tensors of a training step
    on a CPU takes longer than the arithmetic on them.

    Args:
        keep: False: as by default.

    Returns:
        Whether the C library has such a setting (glibc does).
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library; Windows has no process handle None
        return False
    taken = [mallopt(name, value) == 1 for name, value in (_KEEPING if keep else _GIVING_BACK).items()]
    return all(taken)
