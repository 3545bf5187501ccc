"""Benchmarks are found in the layouts that they are handed about in."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from blindsr.errors import InputError
from blindsr.evaluation.benchmarks import BENCHMARKS, find_benchmark, folder_benchmark

from .conftest import save

LAID_OUT = [
    # name, files of one sample, scale, its key, channel and border at this scale, pairs or not
    ("Set5", ("Set5/x4/HR/img_001.png", "Set5/x4/LR/img_001.png"), 4, "img_001", ("y", 4)),
    ("Set14", ("Set14/HR/baboon.png", "Set14/LR_bicubic/X2/baboonx2.png"), 2, "baboon", ("y", 2)),
    (
        "Urban100",
        ("Urban100/image_SRF_4/img_001_SRF_4_HR.png", "Urban100/image_SRF_4/img_001_SRF_4_LR.png"),
        4,
        "img_001_SRF_4",
        ("y", 4),
    ),
    ("BSD100", ("B100/GTmod12/3096.png", "B100/LRbicx3/3096.png"), 3, "3096", ("y", 3)),
    ("BSD100", ("BSDS100/101085.png", ""), 4, "101085", ("y", 4)),
    (
        "DIV2K-val",
        ("DIV2K/DIV2K_valid_HR/0801.png", "DIV2K/DIV2K_valid_LR_bicubic/X2/0801x2.png"),
        2,
        "0801",
        ("rgb", 8),
    ),
    (
        "RealSR-Canon",
        ("RealSR(V3)/Canon/Test/4/Canon_001_HR.png", "RealSR(V3)/Canon/Test/4/Canon_001_LR4.png"),
        4,
        "Canon_001",
        ("rgb", 4),
    ),
    (
        "DRealSR",
        ("DRealSR/Test_x4/test_HR/DSC_1286_x1.png", "DRealSR/Test_x4/test_LR/DSC_1286_x4.png"),
        4,
        "DSC_1286",
        ("y", 4),
    ),
    (
        "City100",
        ("City100/City100_iPhoneX/001H.PNG", "City100/City100_iPhoneX/001L.PNG"),
        1,
        "001",
        ("rgb", 4),
    ),
    (
        "NTIRE2020",
        ("NTIRE2020/track1-valid-gt/0801.png", "NTIRE2020/track1-valid-input/0801.png"),
        4,
        "0801",
        ("rgb", 4),
    ),
    ("RealSRSet", ("", "real/RealSRSet/dog.png"), 4, "dog", ("y", 4)),
    ("RealSR-Zero", ("", "RealSR-Zero/01.png"), 4, "01", ("y", 4)),
]


@pytest.mark.parametrize(("name", "files", "scale", "key", "convention"), LAID_OUT)
def test_a_layout_is_found_with_its_convention(
    tmp_path: Path, name: str, files: tuple[str, str], scale: int, key: str, convention: tuple[str, int]
) -> None:
    hr, lr = (save(tmp_path / file, 8, 8) if file else None for file in files)
    benchmark = find_benchmark(name, tmp_path, scale)
    assert [(s.name, s.hr, s.lr) for s in benchmark.samples] == [(key, hr, lr)]
    measured = benchmark.convention.at(scale)
    assert (measured.channel, measured.border) == convention
    assert (benchmark.has_truth, benchmark.has_lr) == (hr is not None, lr is not None)


def test_only_the_test_split_of_city100_is_taken(tmp_path: Path) -> None:
    for number in ("001", "020", "021"):
        for side in "HL":
            save(tmp_path / "City100_iPhoneX" / f"{number}{side}.PNG", 8, 8)
    for name, scale, shrink in (("City100", 1, 1), ("City100-x4", 4, 4)):
        benchmark = find_benchmark(name, tmp_path)
        assert [sample.name for sample in benchmark.samples] == ["001", "020"]
        assert (benchmark.scale, benchmark.shrink) == (scale, shrink)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_benchmark_that_is_not_there_says_where_it_was_looked_for(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=f"--data {name}: not below .*looked for ") as raised:
        find_benchmark(name, tmp_path)
    assert "\n" not in str(raised.value)


def test_unknown_names_and_scales_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there are Set5, Set14"):
        find_benchmark("Set6", tmp_path)
    with pytest.raises(InputError, match="its scales are 1, not 4"):
        find_benchmark("City100", tmp_path, 4)


def test_folders_of_ones_own(tmp_path: Path, pairs: Path) -> None:
    inside = folder_benchmark("mine", str(pairs), 2, degraded=False)
    joined = folder_benchmark("mine", f"{pairs / 'HR'}{os.pathsep}{pairs / 'LR'}", 2, degraded=True)
    assert inside == joined and [sample.name for sample in inside.samples] == ["0", "1"]
    lr_only = folder_benchmark("mine", str(pairs / "LR"), 2, degraded=False)
    assert not lr_only.has_truth and lr_only.has_lr
    hr_only = folder_benchmark("mine", str(pairs / "HR"), 2, degraded=True)
    assert hr_only.has_truth and not hr_only.has_lr


def test_sides_that_do_not_belong_together_are_refused(pairs: Path) -> None:
    save(pairs / "HR" / "2.png", 8, 8)
    with pytest.raises(InputError, match="2 is on one side only"):
        folder_benchmark("mine", str(pairs), 2, degraded=False)
    save(pairs / "LR" / "1_LR.png", 8, 8)
    with pytest.raises(InputError, match="same place in a pair"):
        folder_benchmark("mine", str(pairs), 2, degraded=False)
