"""The cache of decoded photos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from blindsr.dataset import PhotoCache
from blindsr.errors import InputError
from blindsr.picture import find_pictures


def save(path: Path, height: int, width: int, seed: int) -> np.ndarray:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(pixels).save(path)
    return pixels


def test_photos_come_back_as_they_are_and_are_decoded_once(tmp_path: Path) -> None:
    folder, cache = tmp_path / "photos", tmp_path / "cache"
    wide, tall = save(folder / "a.png", 5, 9, 0), save(folder / "b.png", 8, 3, 1)
    photos = PhotoCache(find_pictures(folder), cache)
    assert len(photos) == 2
    np.testing.assert_array_equal(photos[0], wide)
    np.testing.assert_array_equal(photos[1], tall)
    assert [photos.name(0), photos.name(1)] == ["a.png", "b.png"]
    with pytest.raises(ValueError, match="read-only"):
        photos[0][0, 0] = 0
    stamps = {p: p.stat().st_mtime_ns for p in cache.iterdir()}
    PhotoCache(find_pictures(folder), cache)
    assert {p: p.stat().st_mtime_ns for p in cache.iterdir()} == stamps


def test_a_changed_photo_is_decoded_again(tmp_path: Path) -> None:
    folder, cache = tmp_path / "photos", tmp_path / "cache"
    save(folder / "a.png", 5, 9, 0)
    PhotoCache(find_pictures(folder), cache)
    new = save(folder / "a.png", 6, 9, 1)
    np.testing.assert_array_equal(PhotoCache(find_pictures(folder), cache)[0], new)


def test_orientation_gray_and_small_photos(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees to show
    Image.new("L", (30, 20), 77).save(folder / "turned.jpg", exif=exif)
    save(folder / "small.png", 4, 40, 0)
    photos = PhotoCache(find_pictures(folder), tmp_path / "cache", smallest=16)
    assert len(photos) == 1
    assert photos[0].shape == (30, 20, 3)
    assert abs(int(photos[0][3, 3, 1]) - 77) <= 1
    assert "1 photos are smaller than 16" in caplog.text


def test_bad_folders_and_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        find_pictures(tmp_path / "none")
    with pytest.raises(InputError, match="no photos"):
        find_pictures(tmp_path)
    (tmp_path / "broken.png").write_bytes(b"not an image")
    with pytest.raises(InputError, match=r"broken\.png"):
        PhotoCache(find_pictures(tmp_path), tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("*.u8"))
    save(tmp_path / "broken.png", 4, 4, 0)
    with pytest.raises(InputError, match="at least 8 pixels"):
        PhotoCache(find_pictures(tmp_path), tmp_path / "cache", smallest=8)
