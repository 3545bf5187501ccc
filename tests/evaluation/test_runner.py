"""Evaluations: measured as the convention says, resumed, and not stopped by one bad picture."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from PIL import Image

from blindsr.errors import InputError, ModelError
from blindsr.evaluation.benchmarks import Benchmark, folder_benchmark
from blindsr.evaluation.crops import CropFolder
from blindsr.evaluation.methods import Method
from blindsr.evaluation.metric_specs import Convention, MetricSpec, Pixels, find_metric_specs
from blindsr.evaluation.result_cache import ResultCache
from blindsr.evaluation.runner import GIVEN, EvaluationSample, Result, cells_of, evaluate
from blindsr.metrics import psnr, ssim
from blindsr.picture import read

from .conftest import Repeater, save

METRIC_SPECS = find_metric_specs(["psnr", "ssim"])


def brightness(restored: Pixels, truth: Pixels | None, convention: Convention) -> float:
    assert convention.border is not None
    return float(restored.mean())


ALONE = MetricSpec("brightness", "brightness", 3, True, False, brightness)


@pytest.fixture
def benchmark(pairs: Path) -> Benchmark:
    return folder_benchmark("pairs", str(pairs), 2, degraded=False)


def test_given_pairs_are_measured_as_the_metrics_measure(benchmark: Benchmark, tmp_path: Path) -> None:
    repeater = Repeater()
    results = evaluate(
        [repeater.method()], cells_of(benchmark, []), METRIC_SPECS, ResultCache(tmp_path / "r.jsonl")
    )
    assert [(r.sample, r.degradation, r.width, r.height, r.error) for r in results] == [
        ("0", GIVEN, 40, 32, ""),
        ("1", GIVEN, 40, 32, ""),
    ]
    for result, sample in zip(results, benchmark.samples, strict=True):
        assert sample.hr is not None and sample.lr is not None
        truth, lr = read(sample.hr).pixels, read(sample.lr).pixels
        restored = lr.repeat(2, axis=0).repeat(2, axis=1)
        expected = {"psnr": psnr(restored, truth, border=2), "ssim": ssim(restored, truth, border=2)}
        assert result.scores == pytest.approx(expected, abs=1e-4)
    assert all(shape[2] == 3 for shape in repeater.restored)  # gray pictures are given as RGB


def test_gray_as_rgb_is_another_convention(benchmark: Benchmark, tmp_path: Path) -> None:
    methods, cache = [Repeater().method()], ResultCache(tmp_path / "r.jsonl")
    as_gray = evaluate(methods, cells_of(benchmark, []), METRIC_SPECS, cache)
    other = replace(benchmark, convention=Convention(gray=False))
    as_rgb = evaluate(methods, cells_of(other, []), METRIC_SPECS, cache)
    assert as_gray[0].scores == as_rgb[0].scores
    # Luma ends at 235 where it is taken of a gray picture as RGB: the same error counts for less.
    assert as_rgb[1].scores["psnr"] == pytest.approx(as_gray[1].scores["psnr"] + 1.32, abs=0.1)


def test_a_second_run_restores_nothing_and_gives_the_same(benchmark: Benchmark, tmp_path: Path) -> None:
    cells = cells_of(benchmark, ["", "blur=1.3,noise=9", GIVEN])
    first = evaluate([Repeater().method()], cells, METRIC_SPECS, ResultCache(tmp_path / "r.jsonl"))
    assert len(first) == 6 and not any(result.error for result in first)
    again = Repeater()
    second = evaluate([again.method()], cells, METRIC_SPECS, ResultCache(tmp_path / "r.jsonl"))
    assert second == first and again.restored == []


def test_an_interrupted_run_goes_on_where_it_ended(benchmark: Benchmark, tmp_path: Path) -> None:
    cells, stop = cells_of(benchmark, ["", "noise=9"]), Event()

    def interrupt(result: Result) -> None:
        if (result.degradation, result.sample) == ("noise=9", "0"):
            stop.set()

    part = evaluate(
        [Repeater().method()], cells, METRIC_SPECS, ResultCache(tmp_path / "r.jsonl"), None, interrupt, stop
    )
    rest = Repeater()
    whole = evaluate([rest.method()], cells, METRIC_SPECS, ResultCache(tmp_path / "r.jsonl"))
    assert len(part) == 3 and whole[:3] == part and len(whole) == 4
    assert len(rest.restored) == 2  # the warm-up and the one picture that was missing


def test_changed_pictures_conventions_and_methods_are_measured_anew(
    benchmark: Benchmark, tmp_path: Path
) -> None:
    def count(repeater: Repeater, benchmark: Benchmark) -> int:
        evaluate(
            [repeater.method()], cells_of(benchmark, []), METRIC_SPECS, ResultCache(tmp_path / "r.jsonl")
        )
        return max(0, len(repeater.restored) - 1)

    assert count(Repeater(), benchmark) == 2
    assert count(Repeater(brighter=0.1), benchmark) == 2
    assert count(Repeater(), replace(benchmark, convention=Convention("rgb"))) == 2
    assert benchmark.samples[1].lr is not None
    save(benchmark.samples[1].lr, 16, 20, seed=5, gray=True)
    assert count(Repeater(), benchmark) == 1
    assert count(Repeater(), benchmark) == 0


def test_a_new_measure_joins_what_is_known(benchmark: Benchmark, tmp_path: Path) -> None:
    cells, cache = cells_of(benchmark, []), ResultCache(tmp_path / "r.jsonl")
    first = evaluate([Repeater().method()], cells, METRIC_SPECS, cache)
    more = evaluate([Repeater().method()], cells, [*METRIC_SPECS, ALONE], cache)
    assert [r.seconds for r in more] == [r.seconds for r in first]
    assert [r.scores["psnr"] for r in more] == [r.scores["psnr"] for r in first]
    assert all("brightness" in r.scores for r in more)
    other = replace(ALONE, identity="other weights")
    assert other.key(Convention()) != ALONE.key(Convention())


def test_without_ground_truth_only_what_needs_none_is_measured(pairs: Path, tmp_path: Path) -> None:
    photos = folder_benchmark("photos", str(pairs / "LR"), 2, degraded=False)
    cells = cells_of(photos, ["blur=2"])
    assert [cell.title for cell in cells] == [GIVEN]
    results = evaluate(
        [Repeater().method()], cells, [*METRIC_SPECS, ALONE], ResultCache(tmp_path / "r.jsonl")
    )
    assert [sorted(result.scores) for result in results] == [["brightness"]] * 2


def test_one_bad_picture_is_one_line_and_the_rest_goes_on(
    benchmark: Benchmark, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert benchmark.samples[0].lr is not None
    benchmark.samples[0].lr.write_bytes(b"no picture")
    methods = [Repeater().method("a"), Repeater(brighter=0.1).method("b")]
    with caplog.at_level(logging.WARNING):
        results = evaluate(methods, cells_of(benchmark, []), METRIC_SPECS, ResultCache(tmp_path / "r.jsonl"))
    assert [(r.sample, r.method, bool(r.error)) for r in results] == [
        ("0", "a", True),
        ("0", "b", True),
        ("1", "a", False),
        ("1", "b", False),
    ]
    assert "0x2.png" in results[0].error and len(caplog.records) == 1


def test_sizes_that_do_not_fit_are_said(benchmark: Benchmark, tmp_path: Path) -> None:
    assert benchmark.samples[0].lr is not None
    save(benchmark.samples[0].lr, 15, 20)
    (bad, good) = evaluate(
        [Repeater().method()], cells_of(benchmark, []), METRIC_SPECS, ResultCache(tmp_path / "r.jsonl")
    )
    assert "20x15 pixels" in bad.error and "40x32" in bad.error and not good.error


def test_a_ground_truth_with_a_rest_is_cropped_to_its_lr_picture(tmp_path: Path) -> None:
    save(tmp_path / "HR" / "a.png", 33, 41)
    save(tmp_path / "LR" / "a.png", 16, 20)
    (cell,) = cells_of(folder_benchmark("rest", str(tmp_path), 2, degraded=False), [])
    truth = EvaluationSample(cell, cell.benchmark.samples[0], 0).truth
    assert truth is not None and truth.shape == (32, 40, 3)


def test_a_method_of_another_scale_or_damaged_takes_no_part(
    benchmark: Benchmark, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> Repeater:
        raise ModelError("m.onnx: damaged")

    methods = [
        Repeater(3).method("x3"),
        Method("damaged", "damaged", fail),
        Repeater(None).method("any"),
    ]
    results = evaluate(methods, cells_of(benchmark, []), METRIC_SPECS, ResultCache(tmp_path / "r.jsonl"))
    assert [(r.method, r.error) for r in results] == [
        ("damaged", "m.onnx: damaged"),
        ("any", ""),
    ] * 2
    assert [one.message for one in caplog.records] == [
        "x3 is x3: no part in pairs, x2",
        "damaged takes no part: m.onnx: damaged",
    ]


def test_noise_is_seeded_by_the_place_in_the_set(pairs: Path) -> None:
    benchmark = folder_benchmark("hr", str(pairs / "HR"), 2, degraded=True)
    (cell,) = cells_of(benchmark, ["noise=20"])
    same = [EvaluationSample(cell, benchmark.samples[0], seed) for seed in (0, 0, 1)]
    assert np.array_equal(same[0].lr, same[1].lr) and not np.array_equal(same[0].lr, same[2].lr)
    assert same[0].key == same[1].key != same[2].key


def test_luma_is_shrunk_and_enlarged_without_rounding_between(pairs: Path) -> None:
    benchmark = folder_benchmark("hr", str(pairs / "HR"), 2, degraded=True)
    (cell,) = cells_of(replace(benchmark, convention=Convention(luma=True)), [""])
    item = EvaluationSample(cell, benchmark.samples[0], 0)
    assert item.gray and item.truth is not None
    assert np.abs(item.truth * 255 - np.round(item.truth * 255)).max() < 1e-4
    assert np.abs(item.lr * 255 - np.round(item.lr * 255)).max() > 0.1


def test_pairs_of_one_size_are_shrunk_first(tmp_path: Path) -> None:
    for side in ("HR", "LR"):
        save(tmp_path / side / "a.png", 32, 40)
    benchmark = replace(folder_benchmark("one size", str(tmp_path), 2, degraded=False), shrink=2)
    (cell,) = cells_of(benchmark, [])
    item = EvaluationSample(cell, benchmark.samples[0], 0)
    assert item.lr.shape == (16, 20, 3) and item.truth is not None
    assert item.truth.shape == (32, 40, 3)


def test_degradations_are_checked_and_taken_once(benchmark: Benchmark) -> None:
    assert [cell.title for cell in cells_of(benchmark, ["", "scale=2", GIVEN])] == ["bicubic", GIVEN]
    with pytest.raises(InputError, match="taken at scale 2"):
        cells_of(benchmark, ["scale=4"])
    with pytest.raises(InputError, match="no LR pictures of its own"):
        cells_of(replace(benchmark, samples=[replace(benchmark.samples[0], lr=None)]), [GIVEN])


def test_a_paper_s_degradations_are_one_option(pairs: Path, tmp_path: Path) -> None:
    benchmark = folder_benchmark("hr", str(pairs / "HR"), 2, degraded=True)
    assert [cell.title for cell in cells_of(benchmark, ["dasr-iso", ""])] == [
        "bicubic",
        "blur=0.6,kernel=21",
        "blur=1.2,kernel=21",
        "blur=1.8,kernel=21",
    ]
    (drawn,) = cells_of(benchmark, ["real-esrgan"])
    first, second = (EvaluationSample(drawn, benchmark.samples[0], seed) for seed in (0, 1))
    assert drawn.title == "real-esrgan" and first.lr.shape == (16, 20, 3)
    assert not np.array_equal(first.lr, second.lr) and first.key != second.key
    results = evaluate([Repeater().method()], [drawn], METRIC_SPECS, ResultCache(tmp_path / "r.jsonl"))
    assert [bool(r.scores) for r in results] == [True, True]
    with pytest.raises(InputError, match="--degrade: unknown name 'real-esgan'; did you mean 'real-esrgan'"):
        cells_of(benchmark, ["real-esgan"])


def test_two_of_one_title_are_refused(benchmark: Benchmark, tmp_path: Path) -> None:
    methods = [Repeater().method(), Repeater().method()]
    with pytest.raises(InputError, match="two methods are called repeater"):
        evaluate(methods, cells_of(benchmark, []), METRIC_SPECS, ResultCache(tmp_path / "r.jsonl"))


def test_crops_are_of_one_place_and_made_again_where_they_are_gone(
    benchmark: Benchmark, tmp_path: Path
) -> None:
    cells, cache = cells_of(benchmark, []), ResultCache(tmp_path / "r.jsonl")

    def crops() -> dict[str, Path]:
        crop_folder = CropFolder(tmp_path / "crops", samples=1, side=16)
        evaluate([Repeater().method("a")], cells, METRIC_SPECS, cache, crop_folder)
        (group,) = crop_folder.groups
        return group.crops

    first = crops()
    assert list(first) == ["LR", "a", "ground truth"]
    images = [np.asarray(Image.open(file)) for file in first.values()]
    assert [image.shape for image in images] == [(8, 8, 3), (16, 16, 3), (16, 16, 3)]
    assert np.array_equal(images[0].repeat(2, 0).repeat(2, 1), images[1])
    before = cache.find(next(iter(cache._known)))
    first["a"].unlink()
    assert crops() == first and first["a"].is_file()
    assert cache.find(next(iter(cache._known))) == before
