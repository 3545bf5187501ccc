"""The table of odd photos: whatever lies in a folder has its line."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image

from blindsr.upscaling.upscaler import Upscaler

from ..conftest import MakeModel, made_photo

TESTS = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def cases(benchmark: Callable[[str], ModuleType]) -> ModuleType:
    return benchmark("cases")


def test_a_line_a_photo(cases: ModuleType, make_model: MakeModel, tmp_path: Path) -> None:
    for kind in ("jpeg_com", "somebody's own"):
        (tmp_path / "in" / kind).mkdir(parents=True)
    Image.fromarray(made_photo(10, 12)).save(tmp_path / "in" / "jpeg_com" / "a.jpg", comment=b"words")
    (tmp_path / "in" / "somebody's own" / "b|c.pgm").write_bytes(b"no photo")
    upscaler = Upscaler(make_model(adaptive=False), device="cpu", threads=1)
    table = list(cases.lines(tmp_path / "in", upscaler))
    assert len(table) == 4
    first, second = ([cell.strip() for cell in re.split(r"(?<!\\)\|", line)][1:-1] for line in table[2:])
    assert first[0] == "jpeg_com/a.jpg" and first[1] == "jpeg: 12x10 RGB 8 bit, comment"
    assert first[2] == "jpg: 48x40 RGB 8 bit, XMP, comment" and first[3] == cases.TESTS["jpeg_com"]
    assert second[1] == "unknown" and second[2].startswith("refused: not a photo format") and not second[3]
    assert len(list(cases.lines(tmp_path / "in", upscaler, "jpeg_com"))) == 3


def test_the_tests_that_are_named_are_there(cases: ModuleType) -> None:
    for name in set(cases.TESTS.values()):
        file, test = name.split("::")
        assert re.search(rf"^def {test}\(", (TESTS / file).read_text(encoding="utf-8"), re.MULTILINE), name
