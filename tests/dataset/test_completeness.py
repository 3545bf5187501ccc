"""What the check of a download says: complete, missing, too much, damaged, of another size."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from blindsr.dataset.completeness import check_layout
from blindsr.errors import InputError

from ..conftest import Run

SHARED = Path(__file__).parents[2] / ".." / "shared" / "data"


def save(path: Path, width: int = 8, height: int = 6, orientation: int = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", (width, height)).save(path, exif=exif)
    return path


def unpack_city100(root: Path) -> Path:
    """All 100 pairs; returns their folder."""
    folder = root / "City100_iPhoneX"
    content = save(folder / "001H.PNG").read_bytes()
    for number in range(1, 101):
        for side in "HL":
            (folder / f"{number:03d}{side}.PNG").write_bytes(content)
    return folder


def findings(root: Path, split: str, name: str = "City100", scale: int | None = None) -> tuple[str, ...]:
    return check_layout(name, root, split, scale).findings


def test_a_whole_download_has_no_findings(tmp_path: Path) -> None:
    unpack_city100(tmp_path)
    for split, count in (("train", 80), ("test", 20)):
        report = check_layout("City100", tmp_path, split)
        assert (report.found, report.official, report.findings) == (count, count, ())
        assert f"City100 {split} x1: {count} of {count} pairs in City100_iPhoneX/*H.* + " in str(report)


def test_what_is_missing_is_named_in_runs(tmp_path: Path) -> None:
    folder = unpack_city100(tmp_path)
    for number in (3, 51, 52, 53, 100):
        for side in "HL":
            (folder / f"{number:03d}{side}.PNG").unlink()
    assert findings(tmp_path, "train") == ("missing: 051 to 053, 100 (4)",)
    assert findings(tmp_path, "test") == ("missing: 003",)
    assert check_layout("City100", tmp_path, "train").found == 76


def test_long_lists_end_in_a_number(tmp_path: Path) -> None:
    folder = unpack_city100(tmp_path)
    for number in range(21, 100, 2):
        for side in "HL":
            (folder / f"{number:03d}{side}.PNG").unlink()
    assert findings(tmp_path, "train") == ("missing: 021, 023, 025, 027, 029, 031, 34 more (40)",)


def test_one_side_alone_twice_and_foreign_names(tmp_path: Path) -> None:
    folder = unpack_city100(tmp_path)
    (folder / "030L.PNG").unlink()
    (folder / "040H.PNG").unlink()
    save(folder / "050H.tif")
    save(folder / "101H.PNG")
    assert findings(tmp_path, "train") == (
        "more than one HR file each: 050",
        "HR without LR: 030",
        "LR without HR: 040",
        "not part of the data set: 101",
    )


def test_damaged_files_and_sizes_that_do_not_match(tmp_path: Path) -> None:
    folder = unpack_city100(tmp_path)
    (folder / "030L.PNG").write_bytes(b"")
    save(folder / "040H.PNG", width=9)
    save(folder / "041H.PNG", 6, 8, orientation=6)  # shown turned, it is 8x6 as the other
    assert findings(tmp_path, "train") == (
        "cannot be read: 030L.PNG",
        "HR is not 1 times the size of LR: 040; the first is 9x6 and 8x6 pixels",
    )


def test_one_side_not_downloaded(tmp_path: Path) -> None:
    folder = unpack_city100(tmp_path)
    for file in folder.glob("*L.PNG"):
        file.unlink()
    report = check_layout("City100", tmp_path, "train")
    assert (report.found, report.findings) == (0, ("HR without LR: 021 to 100 (80)",))


def test_photos_to_be_degraded_need_no_lr(tmp_path: Path) -> None:
    for number in range(801, 901):
        save(tmp_path / "DIV2K" / "DIV2K_valid_HR" / f"{number:04d}.png")
    report = check_layout("DIV2K", tmp_path, "test")
    assert report.findings == () and "100 of 100 HR pictures" in str(report)


def test_numbers_alone_where_names_tell_nothing(tmp_path: Path) -> None:
    for name in ("baby", "bird", "butterfly"):
        save(tmp_path / "Set5" / f"{name}.png")
    assert findings(tmp_path, "test", "Set5") == ("3 pictures where there should be 5",)
    save(tmp_path / "RealSR_V3" / "Canon" / "Train" / "4" / "Canon_007_HR.png", 32, 24)
    save(tmp_path / "RealSR_V3" / "Canon" / "Train" / "4" / "Canon_007_LR4.png", 8, 6)
    report = check_layout("RealSR-Canon", tmp_path, "train")
    assert report.findings == () and "RealSR-Canon train x4: 1 pairs in RealSR_V3/" in str(report)


def test_unpaired_sides_are_counted_each(tmp_path: Path) -> None:
    save(tmp_path / "NTIRE2020" / "Corrupted-tr-y" / "0001.png", 40, 40)
    save(tmp_path / "NTIRE2020" / "Corrupted-tr-x" / "000001.png")
    assert findings(tmp_path, "train", "NTIRE2020") == (
        "1 pictures where there should be 800",
        "1 LR pictures where there should be 2650",
    )


def test_nothing_there(tmp_path: Path) -> None:
    report = check_layout("RealSR-Zero", tmp_path, "test")
    assert report.found == 0 and report.findings[0].startswith(
        f"not below {tmp_path}; looked for RealSR-Zero/*"
    )
    with pytest.raises(InputError, match="RealSR-Zero: it has no train split"):
        check_layout("RealSR-Zero", tmp_path, "train")


def test_the_command_says_a_line_a_finding(tmp_path: Path, run: Run) -> None:
    folder = unpack_city100(tmp_path)
    code, out, _ = run("data", "City100", tmp_path)
    assert code == 0 and len(out.splitlines()) == 2
    (folder / "100L.PNG").unlink()
    code, out, _ = run("data", "City100", tmp_path)
    assert code == 3
    assert out.splitlines()[1] == "City100 train x1: HR without LR: 100"
    code, out, _ = run("data", "City100", folder, "--split", "test")
    assert code == 0 and out.startswith("City100 test x1: 20 of 20 pairs")
    code, _, err = run("data", "City101", tmp_path)
    assert code == 2 and "did you mean City100?" in err


@pytest.mark.skipif(not (SHARED / "City100").is_dir(), reason="no City100 beside the repository")
def test_the_real_city100_has_its_test_split() -> None:
    report = check_layout("City100", SHARED, "test")
    assert (report.found, report.findings) == (20, ())
    assert not [f for f in check_layout("City100", SHARED, "train").findings if not f.startswith("missing")]
