"""Models come when they are used and leave when nobody uses them; metrics are as Prometheus reads them."""

from __future__ import annotations

import doctest
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from blindsr.errors import InputError, ModelError
from blindsr.server.metrics import Metrics
from blindsr.server.settings import Settings
from blindsr.server.shelf import Shelf, _forget_code
from blindsr.system.memory import Memory

from ..conftest import made_photo, write_model


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name in ("a", "b", "c"):
        write_model(tmp_path / "models" / name, adaptive=name == "b", texture=0.5 if name == "a" else None)
    monkeypatch.setenv("BLINDSR_MODELS", str(tmp_path / "models"))
    return Settings(folder=tmp_path, models=("a", "b", "c"), threads=1, memory=Memory.parse("1G"))


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere memory is told of in another way")
def test_code_that_is_let_go_of_is_read_again(settings: Settings) -> None:
    def resident() -> int:
        (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if "RssFile" in line)
        return int(line.split()[1])

    photo = made_photo(20, 24)
    shelf = Shelf(settings)
    with shelf.upscaler("a") as upscaler:
        before = upscaler.upscale(photo)
        held = resident()
        _forget_code("libopenvino")
        assert resident() < held - 10_000  # KiB
        np.testing.assert_array_equal(upscaler.upscale(photo), before)
    shelf.tidy(0)
    with shelf.upscaler("a") as upscaler:
        np.testing.assert_array_equal(upscaler.upscale(photo), before)


def test_models_come_and_leave(settings: Settings) -> None:
    shelf = Shelf(settings)
    assert shelf.loaded == []
    with shelf.upscaler("a") as first:
        shelf.tidy(0)
        assert shelf.loaded == ["a"], "it is in use"
        with shelf.upscaler("a") as second:
            assert second is first
    shelf.tidy(100)
    assert shelf.loaded == ["a"], "not long enough"
    shelf.tidy(0)
    assert shelf.loaded == []


def test_no_more_than_two_stay(settings: Settings) -> None:
    shelf = Shelf(settings)
    for name in ("a", "b", "a", "c"):
        with shelf.upscaler(name):
            pass
    assert shelf.loaded == ["a", "c"], "b was not used for the longest time"


def test_textures_share_a_model(settings: Settings) -> None:
    shelf, pixels = Shelf(settings), np.random.default_rng(0).integers(0, 256, (9, 9, 3)).astype(np.uint8)
    with shelf.upscaler("a") as own, shelf.upscaler("a", 1.0) as other:
        assert other.engine is own.engine and (own.texture, other.texture) == (0.5, 1.0)
        assert (own.upscale(pixels) != other.upscale(pixels)).any()


def test_which_models_there_are(settings: Settings, tmp_path: Path) -> None:
    shelf = Shelf(settings)
    assert (shelf.default, shelf.adapting) == ("a", "b")
    with pytest.raises(InputError, match="no such model"):
        Shelf(Settings(folder=tmp_path, models=(str(tmp_path / "models" / "a"),)))
    (tmp_path / "models" / "a" / "card.json").write_text("{}")
    with pytest.raises(ModelError):
        Shelf(settings)
    assert "a" not in Shelf(Settings(folder=tmp_path)).cards, "of all of them the faulty one is left out"


def test_metrics_are_well_formed() -> None:
    metrics = Metrics()
    metrics.request_ended("GET", 'a"b\\c\nd', 200, 0.02)
    metrics.request_ended("GET", "/x", 503, 99.0)
    metrics.photo_ended("done", 1000, 1.5)
    lines = metrics.text({"job": {"done": 1}, "photo": {}}, (0, 0), [], 0).splitlines()
    assert r'blindsr_requests_total{method="GET",route="a\"b\\c\nd",status="200"} 1' in lines
    buckets = [int(line.rpartition(" ")[2]) for line in lines if "_bucket{" in line]
    assert buckets == [0, 1, 1, 1, 1, 1, 1, 1, 2] and "blindsr_request_seconds_count 2" in lines
    assert "blindsr_pixels_restored_total 1000" in lines
    for line in lines:
        assert line.startswith(("# HELP blindsr_", "# TYPE blindsr_", "blindsr_"))


@pytest.mark.parametrize("module", ["names", "admission"])
def test_examples_in_docstrings(module: str) -> None:
    tried = doctest.testmod(import_module(f"blindsr.server.{module}"))
    assert tried.attempted and not tried.failed
