"""Data sets: found in their usual unpackings, split as papers split them, and no training on test files."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from blindsr.dataset import PairCache, PairDataset
from blindsr.dataset.layouts import (
    LAYOUTS,
    find_samples,
    fits,
    refuse_test_files,
    sample_key,
    training_pairs,
)
from blindsr.errors import InputError

SHARED = Path(__file__).parents[2] / ".." / "shared" / "data"


def touch(*files: Path) -> None:
    """Files that are only looked at by name."""
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()


PAIRED = [
    # name, scale, HR and LR file of a training pair, its name, HR and LR file of a test pair
    (
        "RealSR-Canon",
        4,
        ("RealSR(V3)/Canon/Train/4/Canon_001_HR.png", "RealSR(V3)/Canon/Train/4/Canon_001_LR4.png"),
        "Canon_001",
        ("RealSR(V3)/Canon/Test/4/Canon_001_HR.png", "RealSR(V3)/Canon/Test/4/Canon_001_LR4.png"),
    ),
    (
        "RealSR-Nikon",
        2,
        ("RealSR_V3/Nikon/Train/2/Nikon_099_HR.png", "RealSR_V3/Nikon/Train/2/Nikon_099_LR2.png"),
        "Nikon_099",
        ("RealSR_V3/Nikon/Test/2/Nikon_050_HR.png", "RealSR_V3/Nikon/Test/2/Nikon_050_LR2.png"),
    ),
    (
        "DRealSR",
        4,
        ("DRealSR/x4/Train_x4/train_HR/DSC_1_x4.png", "DRealSR/x4/Train_x4/train_LR/DSC_1_x1.png"),
        "DSC_1",
        ("DRealSR/Test_x4/test_HR/DSC_2_x4.png", "DRealSR/Test_x4/test_LR/DSC_2_x1.png"),
    ),
    (
        "City100",
        1,
        ("City100/City100_iPhoneX/021H.PNG", "City100/City100_iPhoneX/021L.PNG"),
        "021",
        ("City100/City100_iPhoneX/020H.PNG", "City100/City100_iPhoneX/020L.PNG"),
    ),
    (
        "City100-Nikon",
        1,
        ("City100_NikonD5500/100H.PNG", "City100_NikonD5500/100L.PNG"),
        "100",
        ("City100_NikonD5500/001H.PNG", "City100_NikonD5500/001L.PNG"),
    ),
    (
        "DIV2K",
        3,
        ("DIV2K/DIV2K_train_HR/0800.png", "DIV2K/DIV2K_train_LR_bicubic/X3/0800x3.png"),
        "0800",
        ("DIV2K/DIV2K_valid_HR/0801.png", "DIV2K/DIV2K_valid_LR_bicubic/X3/0801x3.png"),
    ),
]


@pytest.mark.parametrize(("name", "scale", "train", "key", "test"), PAIRED)
def test_training_and_test_split_are_told_apart(
    tmp_path: Path, name: str, scale: int, train: tuple[str, str], key: str, test: tuple[str, str]
) -> None:
    touch(*(tmp_path / file for file in (*train, *test)))
    expected = (tmp_path / train[0], tmp_path / train[1])
    assert training_pairs(name, tmp_path, scale) == [expected]
    [sample] = find_samples(name, "train", tmp_path, scale)
    assert (sample.name, sample.hr, sample.lr) == (key, *expected)
    [sample] = find_samples(name, "test", tmp_path, scale)
    assert (sample.hr, sample.lr) == (tmp_path / test[0], tmp_path / test[1])
    assert refuse_test_files(expected) == list(expected)
    for file in test:
        with pytest.raises(InputError, match=f"a test picture of {name}; "):
            refuse_test_files([tmp_path / file])


def test_the_data_set_s_own_folder_will_do(tmp_path: Path) -> None:
    files = [tmp_path / "City100" / "City100_iPhoneX" / f"030{side}.PNG" for side in "HL"]
    touch(*files)
    for root in (tmp_path, tmp_path / "City100", tmp_path / "City100" / "City100_iPhoneX"):
        assert training_pairs("City100", root, 1) == [tuple(files)]


def test_official_numbers() -> None:
    numbers = {
        (name, split, scale): part.official_count(scale)
        for name, layout in LAYOUTS.items()
        for split, part in layout.splits().items()
        for scale in layout.scales
    }
    assert numbers["City100", "train", 1] == 80 and numbers["City100", "test", 1] == 20
    assert numbers["DIV2K", "train", 4] == 800 and numbers["DIV2K", "test", 4] == 100
    assert numbers["Flickr2K", "train", 2] == 2650
    assert [numbers["DRealSR", "test", scale] for scale in (2, 3, 4)] == [83, 84, 93]
    assert numbers["RealSR-Canon", "test", 3] == numbers["RealSR-Nikon", "test", 3] == 50
    assert numbers["RealSR-Zero", "test", 4] == 45
    assert numbers["RealSR-Canon", "train", 4] is None
    first, *_, last = LAYOUTS["RealSR-Canon"].test.official_names()  # type: ignore[union-attr]
    assert (first, last) == ("Canon_001", "Canon_050")


def test_no_split_has_pictures_of_the_other() -> None:
    for layout in LAYOUTS.values():
        if layout.train and layout.test and set(layout.train.places) & set(layout.test.places):
            names = [set(split.official_names()) for split in (layout.train, layout.test)]
            assert names[0] and names[1] and not names[0] & names[1]


def test_unknown_names_splits_and_scales(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="did you mean City100"):
        find_samples("City10", "test", tmp_path)
    with pytest.raises(InputError, match="Set5: it has no train split, only test"):
        find_samples("Set5", "train", tmp_path)
    with pytest.raises(InputError, match="DIV2K: its scales are 4, 2, 3, not 8"):
        find_samples("DIV2K", "train", tmp_path, 8)
    with pytest.raises(InputError, match=r"DIV2K: not below .*looked for DIV2K/DIV2K_train_HR/\* \+ "):
        find_samples("DIV2K", "train", tmp_path)


def test_a_short_training_split_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    touch(*(tmp_path / "City100_iPhoneX" / f"0{i}{side}.PNG" for i in (21, 22) for side in "HL"))
    with caplog.at_level(logging.WARNING):
        assert len(training_pairs("City100", tmp_path, 1)) == 2
    assert "City100: 2 of its 80 training pairs are there" in caplog.text


def test_pairs_of_ones_own(tmp_path: Path) -> None:
    files = [(tmp_path / "mine" / "GT" / f"{i}.png", tmp_path / "mine" / "LQ" / f"{i}x2.png") for i in "ab"]
    touch(*(file for both in files for file in both))
    assert training_pairs(str(tmp_path / "mine"), tmp_path, 2) == files
    with pytest.raises(InputError, match="neither a folder with HR/ and LR/ in it nor one of Set5, "):
        training_pairs(str(tmp_path / "mine" / "GT"), tmp_path, 2)


def test_what_has_no_pairs_says_so(tmp_path: Path) -> None:
    touch(tmp_path / "DIV2K_train_HR" / "0001.png")
    with pytest.raises(InputError, match=r"DIV2K: no LR photos of x4 .*degrade"):
        training_pairs("DIV2K", tmp_path, 4)
    touch(tmp_path / "NTIRE2020" / "train-target" / "0001.png")
    touch(tmp_path / "NTIRE2020" / "track1-train-source" / "000001.png")
    with pytest.raises(InputError, match=r"NTIRE2020: .*they are no pairs"):
        training_pairs("NTIRE2020", tmp_path, 4)
    sides = [(s.hr is None, s.lr is None) for s in find_samples("NTIRE2020", "train", tmp_path)]
    assert sides == [(False, True), (True, False)]


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("City100_iPhoneX/007H.PNG", "City100"),
        ("City100/City100_NikonD5500/001L.PNG", "City100-Nikon"),
        ("City100/HR_val/020.png", "City100"),
        ("DIV2K_valid_HR/0801.png", "DIV2K"),
        ("DIV2K/sharp/0900.png", "DIV2K"),
        ("DIV2K/DIV2K_valid_LR_unknown/X4/0850x4.png", "DIV2K"),
        ("RealSR(V3)/Canon/Test/4/Canon_007_HR.png", "RealSR-Canon"),
        ("realsr/nikon/test/x2/LR/anything.png", "RealSR-Nikon"),
        ("Test_x3/test_HR/DSC_1_x3.png", "DRealSR"),
        ("any/Set5/HR/baby.png", "Set5"),
        ("BSDS100/101085.png", "BSD100"),
        ("NTIRE2020/Corrupted-va-x/0801.png", "NTIRE2020"),
        ("DPEDiphone-crop-te-x/1.png", "NTIRE2020-track2"),
        ("RealSRSet+5images/dog.png", "RealSRSet"),
        ("RealSR-Zero/1.png", "RealSR-Zero"),
    ],
)
def test_a_test_picture_is_refused_wherever_it_lies(tmp_path: Path, file: str, name: str) -> None:
    harmless = tmp_path / "mine" / "0801.png"
    with pytest.raises(
        InputError, match=f"a test picture of {name}; .*Leave the test pictures out"
    ) as raised:
        refuse_test_files([harmless, tmp_path / file])
    assert str(tmp_path / file) in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "file",
    [
        "City100_iPhoneX/021H.PNG",
        "City100/City100_NikonD5500/100L.PNG",
        "DIV2K/DIV2K_train_HR/0800.png",
        "DIV2K_train_HR_sub/0001_s001.png",
        "Flickr2K/Flickr2K_HR/000801.png",
        "RealSR(V3)/Canon/Train/4/Canon_007_HR.png",
        "Train_x4/train_HR/DSC_1_x4.png",
        "mine/007H.PNG",
        "Set50/baby.png",
        "photos/Set5.png",
    ],
)
def test_what_is_no_test_picture_is_not_refused(tmp_path: Path, file: str) -> None:
    assert refuse_test_files([tmp_path / file]) == [tmp_path / file]


def test_links_to_test_pictures_are_seen_through(tmp_path: Path) -> None:
    touch(tmp_path / "Set5" / "baby.png", tmp_path / "Set5" / "bird.png")
    (tmp_path / "mine").mkdir()
    links = [tmp_path / "mine" / f"{name}.png" for name in ("baby", "bird")]
    for link in links:
        link.symlink_to(tmp_path / "Set5" / link.name)
    with pytest.raises(InputError, match=r"mine.baby\.png: a test picture of Set5 \(and 1 more files\)"):
        refuse_test_files(links)


def test_a_folder_of_ones_own_with_test_pictures_is_refused(tmp_path: Path) -> None:
    touch(*(tmp_path / "Set5" / side / "baby.png" for side in ("HR", "LR")))
    with pytest.raises(InputError, match="a test picture of Set5 "):
        training_pairs(str(tmp_path / "Set5"), tmp_path, 4)


@pytest.mark.parametrize("name", ["HR", "lx", "Solr", "x4", "a_b", "LH"])
def test_a_name_that_only_looks_like_a_side_is_kept(name: str) -> None:
    assert sample_key(Path(f"{name}.png")) == name


def test_sizes_in_the_ratio_of_the_scale() -> None:
    assert fits((40, 60, 3), (20, 30, 3), 2) and fits((41, 61), (20, 30), 2) and fits((7, 9), (7, 9), 1)
    assert not fits((42, 60), (20, 30), 2) and not fits((39, 60), (20, 30), 2) and not fits((7, 9), (7, 8), 1)


@pytest.mark.skipif(not (SHARED / "City100").is_dir(), reason="no City100 beside the repository")
def test_the_real_city100_is_read_and_cut(tmp_path: Path) -> None:
    files = training_pairs("City100", SHARED, 1)
    names = [sample_key(hr) for hr, _ in files]
    assert names == sorted(names) and names[0] == "021" and len(names) >= 30
    assert len(find_samples("City100", "test", SHARED)) == 20
    dataset = PairDataset(PairCache(files[:2], tmp_path), batch=4, patch=64, scale=1, steps=2)
    batch = dataset[1]
    # The two sides show the same: far more alike than LR patches of another place.
    error = abs(batch.hr.astype(float) - batch.lr).mean()
    assert 0 < error < 0.5 * abs(batch.hr[::-1].astype(float) - batch.lr).mean()
