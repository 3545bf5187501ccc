"""What was measured is found again, whatever happened to the file's end."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from blindsr.errors import InputError
from blindsr.evaluation.result_cache import MODEL_CODE, Measured, ResultCache, code_digest, digest

from ..children import started


def test_what_was_added_is_found_by_the_next(tmp_path: Path) -> None:
    file = tmp_path / "new" / "records.jsonl"
    measured = Measured(0.25, 8, 6, {"psnr": 31.5, "ssim": float("inf")})
    ResultCache(file).add("a", measured)
    again = ResultCache(file)
    assert again.find("a") == measured and again.find("b") is None


def test_later_scores_join_and_the_first_seconds_stay(tmp_path: Path) -> None:
    cache = ResultCache(tmp_path / "records.jsonl")
    cache.add("a", Measured(0.25, 8, 6, {"psnr": 31.5}))
    joined = cache.add("a", Measured(9.0, 8, 6, {"ssim": 0.5}))
    assert joined == Measured(0.25, 8, 6, {"psnr": 31.5, "ssim": 0.5})
    assert ResultCache(tmp_path / "records.jsonl").find("a") == joined


@pytest.mark.parametrize("end", [b'{"key": "b", "seco', b'{"key": "b"}\n', b"\xff\x00\n", b"[1]\n", b"3"])
def test_a_damaged_line_is_passed_over_and_nothing_after_it_is_lost(tmp_path: Path, end: bytes) -> None:
    file = tmp_path / "records.jsonl"
    ResultCache(file).add("a", Measured(1.0, 2, 3))
    with file.open("ab") as stream:
        stream.write(end)
    ResultCache(file).add("c", Measured(4.0, 5, 6))
    again = ResultCache(file)
    assert (again.find("a"), again.find("b")) == (Measured(1.0, 2, 3), None)
    assert again.find("c") == Measured(4.0, 5, 6)


ADDING = """
import sys
from pathlib import Path
from blindsr.evaluation.result_cache import Measured, ResultCache
cache = ResultCache(Path(sys.argv[1]))
sys.stdin.readline()
for number in range(300):
    cache.add(f"{sys.argv[2]}{number}", Measured(1.0, 2, 3, {"psnr": float(number)}))
"""


def test_two_processes_add_to_one_file(tmp_path: Path) -> None:
    """Each began with an empty file, and none writes over what the other wrote."""
    file = tmp_path / "records.jsonl"
    with ExitStack() as stack:
        command = (sys.executable, "-c", ADDING, file)
        running = [stack.enter_context(started(*command, who, stdin=subprocess.PIPE)) for who in "ab"]
        for one in running:
            assert one.stdin is not None
            one.stdin.write(b"go\n")
            one.stdin.flush()
        assert [one.wait() for one in running] == [0, 0]
    known = ResultCache(file)
    assert all(known.find(f"{who}{number}") for who in "ab" for number in range(300))
    assert len(file.read_text().splitlines()) == 600


def test_an_unreadable_file_is_an_error_of_one_line(tmp_path: Path) -> None:
    (tmp_path / "records.jsonl").mkdir()
    with pytest.raises(InputError, match=r"records\.jsonl: cannot be read"):
        ResultCache(tmp_path / "records.jsonl")


def test_digests_tell_values_and_their_order_apart() -> None:
    assert digest("a", 1) == digest("a", 1)
    assert len({digest("a", 1), digest("a", "1"), digest("a1"), digest(1, "a")}) == 4
    assert code_digest() == code_digest() and len(code_digest()) == 64
    assert code_digest(MODEL_CODE) != code_digest()
