"""Sizes of memory as people write them, and how a bound is shared out."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from blindsr.errors import InputError
from blindsr.system.memory import PROGRAM, SMALLEST, Memory, available, peak, show_bytes

from ..children import finished


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("1.5G", 3 << 29),
        ("800M", 800 << 20),
        ("800 MiB", 800 << 20),
        ("2gb", 2 << 30),
        ("1048576K", 1 << 30),
        ("1073741824", 1 << 30),
        ("0.5t", 1 << 39),
    ],
)
def test_as_people_write_it(text: str, count: int) -> None:
    assert Memory.parse(text).total == count


@pytest.mark.parametrize("text", ["", "much", "-1G", "1,5G", "1.G", "G", "1e9"])
def test_no_size(text: str) -> None:
    with pytest.raises(InputError, match=r"give a size such as 1\.5G"):
        Memory.parse(text)


def test_too_little() -> None:
    with pytest.raises(InputError, match="memory 100 MiB: give at least 384 MiB"):
        Memory.parse("100M")
    with pytest.raises(InputError, match="give at least"):
        Memory.parse("0")


@pytest.mark.parametrize("total", [SMALLEST, 1 << 30, 64 << 30])
def test_the_shares_fit_into_the_whole(total: int) -> None:
    memory = Memory(total)
    # Two photos and two results, the network, and a decoder or an encoder: at once in a batch.
    assert PROGRAM + 4 * memory.samples + memory.tile <= total
    assert PROGRAM + 2 * memory.samples + memory.tile + memory.codec <= total
    assert memory.samples > 0


def test_what_is_free() -> None:
    assert 1 << 20 < available() < 1 << 45
    assert SMALLEST <= Memory.safe_share().total < max(SMALLEST + 1, available())


def test_the_peak_is_this_process_s_own() -> None:
    hungry = np.ones(200 << 20, np.uint8)
    mine = peak()
    assert mine is None or mine > hungry.nbytes
    program = "from blindsr.system.memory import peak; print(peak())"
    child = finished(sys.executable, "-c", program)
    assert mine is None or int(child.stdout) < 150 << 20, child.stderr


def test_bytes_as_people_say_them() -> None:
    assert [show_bytes(n) for n in (3 << 29, 400 << 20, 17)] == ["1.5 GiB", "400 MiB", "17 bytes"]
