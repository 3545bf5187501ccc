"""What threads share gives each of them what it would get alone, to the last bit."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from blindsr.engine import openvino
from blindsr.engine.openvino import OpenVINOEngine, compile_graph
from blindsr.models.catalogue import find_model
from blindsr.picture.samples import Samples
from blindsr.picture.sizing import OutputSize
from blindsr.upscaling.upscaler import Upscaler

from ..children import finished
from ..conftest import MakeModel, made_photo, save_photos

THREADS = 8
ROUNDS = 4


@pytest.fixture(autouse=True)
def _quick_turns() -> Iterator[None]:
    """Let threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def differing(works: list[Callable[[], Any]]) -> list[int]:
    """Numbers of the works whose results, made by threads at once, are not those that each makes alone."""
    alone = [work() for work in works]
    start = threading.Barrier(THREADS)

    def run(number: int) -> list[Any]:
        start.wait()
        return [works[(number + turn) % len(works)]() for turn in range(ROUNDS)]

    with ThreadPoolExecutor(THREADS) as pool:
        together = list(pool.map(run, range(THREADS)))
    return [
        (number + turn) % len(works)
        for number, results in enumerate(together)
        for turn, result in enumerate(results)
        if not equal(result, alone[(number + turn) % len(works)])
    ]


def equal(a: Any, b: Any) -> bool:
    if isinstance(a, tuple):
        return all(map(equal, a, b))
    return bool(np.array_equal(a, b))


def lr(height: int, width: int, seed: int) -> NDArray[np.float32]:
    photo = made_photo(height, width, seed).transpose(2, 0, 1)[None]
    return np.ascontiguousarray(photo, np.float32) / np.float32(255)


def test_one_upscaler_of_each_of_two_models(make_model: MakeModel) -> None:
    adaptive = Upscaler(make_model("a", pixel_range=255.0), device="cpu", threads=1)
    plain = Upscaler(make_model("b", adaptive=False, texture=0.5, scale=2), device="cpu", threads=1, tile=40)
    works: list[Callable[[], Any]] = []
    for number, (height, width) in enumerate([(90, 110), (64, 64), (33, 150), (101, 47)]):
        photo = made_photo(height, width, number)
        works.append(lambda photo=photo: adaptive.upscale(photo))  # type: ignore[misc]
        size = OutputSize(scale=2.5) if number % 2 else None
        works.append(lambda photo=photo, size=size: plain.upscale(photo, size=size))  # type: ignore[misc]
    assert differing(works) == []


@pytest.mark.parametrize("fold", [False, True])
def test_one_openvino_engine(make_model: MakeModel, fold: bool) -> None:
    """Conditions, textures, sizes and, where they are folded in, modulations of the threads' own."""
    engine = OpenVINOEngine(find_model(make_model(texture=1.0)), threads=1, fold=fold)
    rng = np.random.default_rng(1)
    supports = [rng.random((count, 3, 12, 12), np.float32) for count in (3, 6, 9)]
    modulations = [engine.condition(support)[1] for support in supports]
    works: list[Callable[[], Any]] = [lambda s=s: engine.condition(s) for s in supports]  # type: ignore[misc]
    for number, modulation in enumerate(modulations):
        image, texture = lr(50 + 20 * number, 90 - 10 * number, number), number / 2
        works.append(lambda i=image, m=modulation, t=texture: engine.upscale(i, m, t))  # type: ignore[misc]
    assert differing(works) == []


def test_the_first_calls_of_a_fresh_engine(make_model: MakeModel) -> None:
    """What is made when first asked for is made once, and whole."""
    model = find_model(make_model())
    support = np.random.default_rng(2).random((6, 3, 12, 12), np.float32)
    expected = OpenVINOEngine(model, threads=1).condition(support)
    for _ in range(5):
        engine = OpenVINOEngine(model, threads=1)
        with ThreadPoolExecutor(THREADS) as pool:
            found = list(pool.map(lambda _, engine=engine: engine.condition(support), range(THREADS)))
        assert all(equal(one, expected) for one in found)


FIRST_PHOTOS = """
import sys, threading
import blindsr
model, shared, *photos = sys.argv[1:]
sys.setswitchinterval(1e-6)
common = blindsr.Upscaler(model, threads=1) if shared == "shared" else None
start = threading.Barrier(len(photos))
def restore(photo):
    start.wait()
    (common or blindsr.Upscaler(model, threads=1)).upscale(photo).save(photo + ".x4.png")
threads = [threading.Thread(target=restore, args=(photo,)) for photo in photos]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


@pytest.mark.parametrize("shared", ["shared", "apart"])
@pytest.mark.parametrize("adaptive", [False, True])
def test_the_first_photos_of_a_process(
    make_model: MakeModel, tmp_path: Path, adaptive: bool, shared: str
) -> None:
    """What a process makes when first asked for is asked for by all threads at once."""
    model = make_model(adaptive=adaptive)
    save_photos(tmp_path, THREADS, 24, 30)
    photos = [tmp_path / f"{number}.png" for number in range(THREADS)]
    done = finished(sys.executable, "-c", FIRST_PHOTOS, model, shared, *photos, seconds=60)
    assert done.returncode == 0 and not done.stderr, done.stderr
    alone, expected = Upscaler(model, threads=1), tmp_path / "alone.png"
    for photo in photos:
        alone.upscale(photo).save(expected)
        assert Path(f"{photo}.x4.png").read_bytes() == expected.read_bytes()
        expected.unlink()


def test_one_torch_engine(make_model: MakeModel) -> None:
    pytest.importorskip("torch")
    from blindsr.engine.torch import TorchEngine

    from ..engine.test_torch import NETWORK, with_weights

    engine = TorchEngine(find_model(with_weights(make_model(scale=2), NETWORK)), threads=1)
    rng = np.random.default_rng(3)
    supports = [rng.random((count, 3, 12, 12), np.float32) for count in (3, 6)]
    works: list[Callable[[], Any]] = [lambda s=s: engine.condition(s) for s in supports]  # type: ignore[misc]
    for number, support in enumerate(supports):
        image, modulation = lr(40 + number, 50, number), engine.condition(support)[1]
        works.append(lambda i=image, m=modulation: engine.upscale(i, m))  # type: ignore[misc]
    assert differing(works) == []


def test_samples_on_disk() -> None:
    """Every thread puts parts of its own and reads parts of all."""
    levels = np.random.default_rng(4).integers(0, 250, (160, 90, 3)).astype(np.uint8)
    samples = Samples(160, 90, 3, np.dtype("u1"), 0)
    with ThreadPoolExecutor(THREADS) as pool:

        def put(top: int) -> None:
            samples.put(top, 0, levels[top : top + 2, :50])
            samples.put(top, 50, levels[top : top + 2, 50:])

        list(pool.map(put, range(0, 160, 2)))

        def right(top: int) -> bool:
            window = slice(top, top + 30), slice(top % 40, top % 40 + 45)
            return bool(np.array_equal(samples.window(*window), levels[window]))

        assert all(pool.map(right, range(130)))
    samples.close()


def test_results_of_a_graph_are_the_callers_own(make_model: MakeModel) -> None:
    graph = compile_graph(find_model(make_model(adaptive=False)).file("base"), threads=1)
    (first,) = graph({"lr": lr(20, 30, 0)})
    kept = first.copy()
    graph({"lr": lr(20, 30, 1)})
    assert np.array_equal(first, kept)


def test_imports_of_several_threads_hide_the_telemetry_from_all(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Whoever imports while another does must not find it hidden, and then not."""
    seen: list[bool] = []

    def slow_import(package: str) -> ModuleType:
        hidden = "openvino_telemetry" in sys.modules
        threading.Event().wait(0.01)
        seen.append(hidden and "openvino_telemetry" in sys.modules)
        return ModuleType(package)

    monkeypatch.delitem(sys.modules, "openvino_telemetry", raising=False)
    monkeypatch.setattr(openvino, "import_module", slow_import)
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(openvino.import_quietly, [f"no_such_package_{i}" for i in range(THREADS)]))
    assert seen == [True] * THREADS and "openvino_telemetry" not in sys.modules


def test_tiles_found_too_large_never_grow_again(
    make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threads that run out of memory at once go on with the smallest tiles that any of them found."""
    upscaler = Upscaler(make_model(adaptive=False), device="cpu", threads=1)
    whole = upscaler.engine.upscale
    photo = made_photo(200, 200)
    expected = upscaler.upscale(photo)

    def scarce(image: NDArray[np.float32], *given: Any) -> NDArray[np.float32]:
        if image.size > 3 * 12_000:
            raise MemoryError("bad_alloc")
        return whole(image, *given)

    monkeypatch.setattr(upscaler.engine, "upscale", scarce)
    with ThreadPoolExecutor(THREADS) as pool:
        found = list(pool.map(lambda _: upscaler.upscale(photo), range(THREADS)))
    assert all(np.array_equal(one, expected) for one in found)
    assert upscaler.most_pixels <= 24_000
