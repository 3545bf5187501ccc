"""Test sets: made twice they are the same bytes, and one bad photo does not stop them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from blindsr.degradation import Degradation, degrade_folder, degrade_image, modcrop
from blindsr.errors import InputError

TASK = Degradation.parse("blur=1.2,noise=8,jpeg=75")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Three photos, one gray and one with alpha in a folder of their own, and a file that is no photo."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "HR"
    (folder / "más").mkdir(parents=True)
    Image.fromarray(rng.integers(0, 256, (41, 50, 3), dtype=np.uint8)).save(folder / "b.png")
    Image.fromarray(rng.integers(0, 256, (24, 24), dtype=np.uint8)).save(folder / "más" / "gray.png")
    Image.fromarray(rng.integers(0, 256, (24, 28, 4), dtype=np.uint8)).save(folder / "más" / "alpha.png")
    (folder / "notes.txt").write_text("not a photo")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_files_records_and_manifest_agree(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "LR"
    records = degrade_folder(source, out, TASK, seed=5)
    assert [record.file for record in records] == ["b.png", "más/alpha.png", "más/gray.png"]
    assert not any(record.error for record in records)
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    assert Degradation.from_dict(manifest["degradation"]) == TASK and manifest["seed"] == 5
    for record, entry in zip(records, manifest["photos"], strict=True):
        assert (
            hashlib.sha256((out / record.file).read_bytes()).hexdigest() == record.sha256 == entry["sha256"]
        )
        with Image.open(out / record.file) as lr:
            assert (lr.mode, lr.size) == ("RGB", (record.width, record.height))
    assert len({record.seed for record in records}) == 3
    hr = np.asarray(Image.open(source / "b.png"), np.float32) / 255
    expected = degrade_image(modcrop(hr, 4), TASK, manifest["photos"][0]["seed"])
    assert expected.shape == (10, 12, 3)
    np.testing.assert_array_equal(np.asarray(Image.open(out / "b.png")), np.rint(expected * 255))


def test_twice_is_the_same_bytes(source: Path, tmp_path: Path) -> None:
    degrade_folder(source, tmp_path / "1", TASK, seed=5)
    degrade_folder(source, tmp_path / "2", TASK, seed=5)
    degrade_folder(source, tmp_path / "3", TASK, seed=6)
    assert contents(tmp_path / "1") == contents(tmp_path / "2")
    assert contents(tmp_path / "1")["b.png"] != contents(tmp_path / "3")["b.png"]


def test_output_inside_the_source_is_not_taken_for_photos(source: Path) -> None:
    first = degrade_folder(source, source / "LR", TASK, seed=5)
    assert degrade_folder(source, source / "LR", TASK, seed=5) == first


def test_one_photo(source: Path, tmp_path: Path) -> None:
    (record,) = degrade_folder(source / "b.png", tmp_path / "one", TASK, seed=5)
    assert contents(tmp_path / "one").keys() == {"b.png", "manifest.json"}
    # Its noise is that of the folder's run: the name decides.
    assert record == degrade_folder(source, tmp_path / "all", TASK, seed=5)[0]


def test_bad_photos_do_not_stop_the_others(source: Path, tmp_path: Path) -> None:
    (source / "a-broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    Image.new("RGB", (3, 30)).save(source / "c-tiny.png")
    records = degrade_folder(source, tmp_path / "LR", TASK, seed=5)
    faults = {record.source: record.error for record in records if record.error}
    assert faults.keys() == {"a-broken.png", "c-tiny.png"}
    assert all(name in error for name, error in faults.items())
    manifest = json.loads((tmp_path / "LR" / "manifest.json").read_text(encoding="utf-8"))
    assert {entry["source"] for entry in manifest["photos"] if "error" in entry} == faults.keys()


def test_a_photo_is_never_replaced(source: Path) -> None:
    before = contents(source)
    with pytest.raises(InputError, match="would overwrite it"):
        degrade_folder(source / "b.png", source, TASK, seed=5)
    assert contents(source) == before


def test_what_cannot_be_a_test_set_is_refused(source: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        degrade_folder(tmp_path / "absent", tmp_path / "LR", TASK, seed=5)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no photos in this folder"):
        degrade_folder(tmp_path / "empty", tmp_path / "LR", TASK, seed=5)
    Image.new("RGB", (8, 8)).save(source / "B.jpg")
    with pytest.raises(InputError, match="would both become"):
        degrade_folder(source, tmp_path / "LR", TASK, seed=5)
