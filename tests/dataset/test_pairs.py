"""LR/HR pairs: decoded once, checked against each other, cut at the same place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from blindsr.dataset import PairCache, PairDataset
from blindsr.errors import InputError

from .conftest import save_ramps

Files = list[tuple[Path, Path]]


def make_files(folder: Path, scale: int, count: int = 3) -> Files:
    """Pairs whose HR photo is the LR photo with each pixel repeated."""
    return [
        (
            save_ramps(folder / "HR" / f"{i}.png", 20, 30, 50 * i, scale),
            save_ramps(folder / "LR" / f"{i}.png", 20, 30, 50 * i),
        )
        for i in range(count)
    ]


def make(files: Files, cache: Path, scale: int, **changes: int) -> PairDataset:
    arguments = {"batch": 5, "patch": 8, "steps": 50, "seed": 7} | changes
    return PairDataset(PairCache(files, cache), scale=scale, **arguments)


def test_pairs_come_back_in_their_order(tmp_path: Path) -> None:
    files = make_files(tmp_path, 2)[::-1]
    pairs = PairCache(files, tmp_path / "cache")
    assert len(pairs) == 3 and pairs.fitting(2) == [0, 1, 2]
    for i, (hr_file, lr_file) in enumerate(files):
        assert pairs.files(i) == (hr_file, lr_file)
        hr, lr = pairs[i]
        assert lr[0, 0, 0] == hr[0, 0, 0] == 50 * (2 - i)
        np.testing.assert_array_equal(hr, lr.repeat(2, axis=0).repeat(2, axis=1))
    written = {p: p.stat().st_mtime_ns for p in (tmp_path / "cache").iterdir()}
    PairCache(files, tmp_path / "cache")
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "cache").iterdir()} == written


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_both_sides_are_cut_at_the_same_place_in_the_same_pose(tmp_path: Path, scale: int) -> None:
    dataset = make(make_files(tmp_path, scale), tmp_path / "cache", scale)
    assert len(dataset) == 50
    photos, poses = set(), set()
    for step in range(12):
        batch = dataset[step]
        assert batch.step == step
        assert batch.lr.shape == (5, 3, 8, 8) and batch.hr.shape == (5, 3, 8 * scale, 8 * scale)
        assert batch.lr.dtype == batch.hr.dtype == np.uint8
        np.testing.assert_array_equal(batch.lr.repeat(scale, axis=2).repeat(scale, axis=3), batch.hr)
        for patch, source in zip(batch.lr.astype(int), batch.sources, strict=True):
            photo, top, left = int(patch[0, 0, 0]) // 50, int(patch[2].min()), int(patch[1].min())
            assert source == f"{photo}.png and {photo}.png (LR row {top}, column {left})"
            assert source in str(batch) and f"step {step}" in str(batch)
            photos.add(photo)
            poses.add((*(patch[1:, 1, 0] - patch[1:, 0, 0]), *(patch[1:, 0, 1] - patch[1:, 0, 0])))
    assert photos == {0, 1, 2} and len(poses) == 8


def test_a_batch_depends_on_seed_rank_and_step_alone(tmp_path: Path) -> None:
    files = make_files(tmp_path, 2)
    dataset, again = (make(files, tmp_path / "cache", 2) for _ in range(2))
    others = [make(files, tmp_path / "cache", 2, **change) for change in ({"rank": 1}, {"seed": 8})]
    for step in (0, 3):
        dataset[step + 1]  # what was asked before does not matter
        assert str(dataset[step]) == str(again[step])
        np.testing.assert_array_equal(dataset[step].lr, again[step].lr)
        np.testing.assert_array_equal(dataset[step].hr, again[step].hr)
        assert all(other[step].sources != dataset[step].sources for other in others)
    assert dataset[0].sources != dataset[1].sources


def test_sizes_that_do_not_fit_together_name_both_files(tmp_path: Path) -> None:
    files = make_files(tmp_path, 2)
    with pytest.raises(InputError, match=r"HR.0\.png \(60x40 pixels\) is not 4 times .*LR.0\.png \(30x20\)"):
        make(files, tmp_path / "cache", 4)
    save_ramps(files[1][0], 42, 60, 50)  # as tall as it may be: 2 * 20 + 1 is cropped away, 42 is not
    with pytest.raises(InputError, match=r"HR.1\.png \(60x42 pixels\)"):
        make(files, tmp_path / "cache", 2)


def test_an_hr_photo_that_was_cropped_to_a_multiple_fits(tmp_path: Path) -> None:
    files = make_files(tmp_path, 2)
    save_ramps(files[1][0], 41, 61, 50)
    assert PairCache(files, tmp_path / "cache").fitting(2) == [0, 1, 2]


def test_small_pairs_are_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = make_files(tmp_path, 2)
    save_ramps(files[1][0], 7, 30, 50, 2), save_ramps(files[1][1], 7, 30, 50)
    dataset = make(files, tmp_path / "cache", 2)
    assert "1 LR photos are smaller than 8 pixels" in caplog.text
    assert set(np.unique(np.stack([dataset[step].lr[:, 0] for step in range(8)]))) == {0, 100}
    with pytest.raises(InputError, match="none of the 3 LR photos is at least 21 pixels"):
        make(files, tmp_path / "cache", 2, patch=21)


def test_no_pairs_and_broken_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no LR/HR pairs"):
        PairCache([], tmp_path / "cache")
    files = make_files(tmp_path, 2)
    files[2][1].write_bytes(b"not an image")
    with pytest.raises(InputError, match=r"LR.2\.png: cannot be decoded"):
        PairCache(files, tmp_path / "cache")
