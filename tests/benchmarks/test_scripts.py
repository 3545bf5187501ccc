"""All benchmarks, whatever they measure."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

SCRIPTS = sorted((Path(__file__).parents[2] / "benchmarks").glob("*.py"))


@pytest.mark.slow
def test_every_script_finds_what_it_imports(benchmark: Callable[[str], ModuleType]) -> None:
    assert SCRIPTS
    for script in SCRIPTS:
        assert benchmark(script.stem).__doc__, script.name
