"""The OpenVINO engine: ranges, folding, caching, and no word to anyone."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from blindsr.engine.openvino import OpenVINOEngine, compile_graph
from blindsr.errors import ModelError
from blindsr.models.card import Model
from blindsr.models.catalogue import find_model

from ..children import finished
from ..conftest import MakeModel, made_photo

RNG = np.random.default_rng(5)
SUPPORT = RNG.random((6, 3, 12, 12), np.float32)


def lr(height: int = 20, width: int = 27) -> np.ndarray:
    return np.ascontiguousarray(made_photo(height, width).transpose(2, 0, 1)[None], np.float32) / 255


def test_equals_a_second_implementation(make_model: MakeModel) -> None:
    model = find_model(make_model())
    engine = OpenVINOEngine(model)
    condition, modulation = engine.condition(SUPPORT)
    expected = ReferenceEvaluator(onnx.load(model.file("condition"))).run(None, {"support": SUPPORT})
    np.testing.assert_allclose(condition, expected[0], rtol=1e-4, atol=1e-5)  # type: ignore[index]
    np.testing.assert_allclose(modulation, expected[1], rtol=1e-4, atol=1e-5)  # type: ignore[index]
    (sr,) = ReferenceEvaluator(onnx.load(model.file("base"))).run(
        None, {"lr": lr(), "modulation": modulation}
    )
    got = engine.upscale(lr(), modulation)
    assert got.shape == (1, 3, 80, 108) and got.dtype == np.float32
    np.testing.assert_allclose(got, sr, atol=1e-4)


def test_results_do_not_depend_on_the_graphs_range(make_model: MakeModel) -> None:
    engines = [OpenVINOEngine(find_model(make_model(f"r{r}", pixel_range=r))) for r in (1.0, 255.0)]
    (condition, modulation), (condition_255, modulation_255) = (e.condition(SUPPORT) for e in engines)
    np.testing.assert_allclose(condition, condition_255, atol=1e-4)
    np.testing.assert_allclose(modulation, modulation_255, atol=1e-4)
    unit, byte = (engine.upscale(lr(), modulation) for engine in engines)
    np.testing.assert_allclose(unit, byte, atol=1e-4)
    assert 0.2 < unit.mean() < 0.8


def test_folded_equals_fed(make_model: MakeModel) -> None:
    model = find_model(make_model())
    fed, folded = OpenVINOEngine(model), OpenVINOEngine(model, fold=True)
    _, one = fed.condition(SUPPORT)
    _, two = fed.condition(SUPPORT[::-1] * 0.3)
    for modulation in (one, two, one):
        np.testing.assert_allclose(folded.upscale(lr(), modulation), fed.upscale(lr(), modulation), atol=1e-5)
    assert np.abs(fed.upscale(lr(), one) - fed.upscale(lr(), two)).max() > 1e-3


def test_results_are_the_callers_own(make_model: MakeModel) -> None:
    engine = OpenVINOEngine(find_model(make_model()))
    first = engine.condition(SUPPORT)
    kept = [array.copy() for array in first]
    engine.condition(SUPPORT * 0)
    assert all((a == b).all() for a, b in zip(first, kept, strict=True))
    sr = engine.upscale(lr(), first[1])
    before = sr.copy()
    engine.upscale(lr() * 0, first[1])
    assert (sr == before).all()


def test_threads_do_not_matter_to_the_result(make_model: MakeModel) -> None:
    model = find_model(make_model(adaptive=False))
    one, all_ = OpenVINOEngine(model, threads=1), OpenVINOEngine(model)
    np.testing.assert_allclose(one.upscale(lr(), None), all_.upscale(lr(), None), atol=1e-6)


def test_adaptive_needs_a_modulation(make_model: MakeModel) -> None:
    with pytest.raises(ModelError, match="needs a modulation"):
        OpenVINOEngine(find_model(make_model())).upscale(lr(), None)


@pytest.mark.parametrize("adaptive", [False, True])
@pytest.mark.parametrize("pixel_range", [1.0, 255.0])
def test_texture_moves_in_a_straight_line(make_model: MakeModel, adaptive: bool, pixel_range: float) -> None:
    model = find_model(make_model(texture=0.25, adaptive=adaptive, pixel_range=pixel_range))
    engine = OpenVINOEngine(model)
    modulation = engine.condition(SUPPORT)[1] if adaptive else None
    none, half, all_ = (engine.upscale(lr(), modulation, texture) for texture in (0, 0.5, 1))
    assert np.abs(all_ - none).max() > 0.05
    np.testing.assert_allclose(half, (none + all_) / 2, atol=1e-5)
    default = engine.upscale(lr(), modulation)
    assert (default == engine.upscale(lr(), modulation, 0.25)).all()
    folded = OpenVINOEngine(model, fold=True)
    np.testing.assert_allclose(folded.upscale(lr(), modulation, 0.5), half, atol=1e-5)


def test_texture_of_a_model_that_has_none(make_model: MakeModel) -> None:
    with pytest.raises(ModelError, match="has no texture view"):
        OpenVINOEngine(find_model(make_model(adaptive=False))).upscale(lr(), None, 0.5)


def test_whole_groups_of_pixels(make_model: MakeModel) -> None:
    model = find_model(make_model(adaptive=False, scale=2, multiple=4))
    engine, image = OpenVINOEngine(model), lr(16, 20)
    (expected,) = ReferenceEvaluator(onnx.load(model.file("base"))).run(None, {"lr": image})
    np.testing.assert_allclose(engine.upscale(image, None), expected, atol=1e-4)
    with pytest.raises(ModelError, match="multiples of 4 pixels, not 9x3"):
        engine.upscale(lr(3, 9), None)


def test_graph_with_other_ends_than_the_card_says(make_model: MakeModel) -> None:
    adaptive, plain = find_model(make_model("a")), find_model(make_model("b", adaptive=False))
    mixed = Model(**{**adaptive.__dict__, "files": {**adaptive.files, "base": plain.file("base")}})
    with pytest.raises(ModelError, match=r"base\.onnx: its inputs are \['lr.*, not \['lr', 'modulation'\]"):
        OpenVINOEngine(mixed)


def test_file_that_is_no_graph(tmp_path: Path) -> None:
    path = tmp_path / "base.onnx"
    path.write_bytes(b"not a graph")
    with pytest.raises(ModelError, match=r"base\.onnx: OpenVINO cannot use this graph") as caught:
        compile_graph(path)
    assert "\n" not in str(caught.value)


def test_cache_is_used(make_model: MakeModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    model = find_model(make_model(adaptive=False))
    first = OpenVINOEngine(model).upscale(lr(), None)
    blobs = list((tmp_path / "cache" / "blindsr" / "openvino").glob("*.blob"))
    assert blobs
    assert (OpenVINOEngine(model).upscale(lr(), None) == first).all()
    for blob in blobs:
        blob.write_bytes(blob.read_bytes()[:100])
    assert (OpenVINOEngine(model).upscale(lr(), None) == first).all(), "a damaged cache must not matter"


def test_no_cache_folder_is_no_error(
    make_model: MakeModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    blocked = tmp_path / "a file"
    blocked.touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    model = find_model(make_model(adaptive=False))
    assert OpenVINOEngine(model).upscale(lr(), None).shape == (1, 3, 80, 108)


def test_openvinos_telemetry_stays_out() -> None:
    code = (
        "import sys; from blindsr.engine.openvino import import_openvino; import_openvino().Core();"
        "sys.exit('openvino_telemetry' in sys.modules)"
    )
    assert finished(sys.executable, "-c", code).returncode == 0


def test_ctrl_c_after_engines_are_dropped_is_no_crash(make_model: MakeModel) -> None:
    """In a process of its own: without the shared Core, the signal ends it with a segmentation fault."""
    code = (
        "import signal, sys\n"
        "from blindsr.engine.openvino import OpenVINOEngine\n"
        "from blindsr.models.catalogue import find_model\n"
        "first, second = (OpenVINOEngine(find_model(sys.argv[1])) for _ in range(2))\n"
        "del first\n"
        "del second\n"
        "try:\n"
        "    signal.raise_signal(signal.SIGINT)\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted')\n"
    )
    done = finished(sys.executable, "-c", code, make_model(adaptive=False))
    assert (done.returncode, done.stdout.strip()) == (0, "interrupted"), done.stderr
