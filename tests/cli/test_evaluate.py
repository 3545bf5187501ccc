"""`blindsr evaluate`: what it writes, and that a second run writes the same."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from blindsr.cli.screen import EXIT_SOME_FAILED, EXIT_USAGE
from blindsr.evaluation.methods import find_method
from blindsr.metrics import fit_niqe, niqe, read_niqe, write_niqe
from blindsr.metrics.niqe import FEATURES
from blindsr.picture import read

from ..children import finished
from ..conftest import MakeModel, Run, save_photos

SHARED = Path(__file__).parents[3] / "shared" / "data"
FILES = ("table.md", "pictures.csv", "results.json", "index.html")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return save_photos(tmp_path / "photos", 2, 48, 56)


def test_two_runs_write_the_same(run: Run, make_model: MakeModel, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [
        "evaluate",
        "--model",
        "bicubic",
        "--model",
        f"tiny={make_model()}",
        "--data",
        f"mine={photos}",
    ]
    command += ["--degrade", "", "--degrade", "blur=1.3,noise=9", "--device", "cpu", "-o", str(out)]
    code, first, error = run(*command)
    assert code == 0, error
    written = [(out / name).read_bytes() for name in FILES]
    code, second, _ = run(*command)
    assert code == 0 and second == first
    assert [(out / name).read_bytes() for name in FILES] == written
    assert "mine x4: PSNR (dB) / SSIM (Y of BT.601, 4 pixels of border left out, 8 bit)" in first
    assert "blur=1.3,noise=9" in first and "tiny" in first
    (memory,) = (line.split()[2:] for line in first.splitlines() if line.startswith("peak MB"))
    assert len(memory) == 2 and all(20 < int(taken) < 5000 for taken in memory)
    rows = list(csv.DictReader((out / "pictures.csv").read_text().splitlines()))
    assert len(rows) == 8 and all(float(row["psnr"]) > 5 and not row["error"] for row in rows)
    content = json.loads((out / "results.json").read_text())
    assert content["benchmarks"][0]["metrics"][0]["title"] == "PSNR (dB)"


def test_one_bad_photo_is_told_by_the_exit_status(run: Run, photos: Path, tmp_path: Path) -> None:
    (photos / "2.png").write_bytes(b"no picture")
    code, out, _ = run(
        "evaluate", "--model", "bicubic", "--data", f"mine={photos}", "--degrade", "", "-o", tmp_path / "out"
    )
    assert code == EXIT_SOME_FAILED and "(1 failed)" in out


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ([], "no model given"),
        (["--model", "bicubic"], "no test set given"),
        (["--model", "bicubic", "--data", "Set5"], "not below"),
        (["--model", "bicubic", "--data", "m=PHOTOS", "--channel", "luma"], "give y or rgb"),
        (["--model", "bicubic", "--data", "m=PHOTOS", "--metric", "mse"], "there are psnr, ssim"),
        (["--model", "bicubic", "--data", "m=PHOTOS", "--metric", "niqe"], "give --niqe FILE"),
        (["--model", "bicubic", "--data", "m=PHOTOS", "--metric", "lpips"], "give --lpips FEATURES:HEADS"),
        (["--model", "bicubic", "--data", "m=PHOTOS", "--lpips", "one"], "--lpips one: give two files"),
        (["--model", "bicubic", "--data", "m=PHOTOS", "--niqe", "no.npz"], "no.npz: no such file"),
        (["--model", "bicubic", "--data", "m=PHOTOS", "--degrade", "dasr"], "did you mean 'dasr-iso'"),
        (["--model", "bicubic", "--data", "m=PHOTOS", "--data", "m=PHOTOS"], "two test sets are called m"),
        (["--model", "no-such-model", "--data", "m=PHOTOS"], "no model named"),
        (["--model", "input", "--data", "m=PHOTOS", "--degrade", ""], "no model has the scale"),
    ],
)
def test_mistakes_are_one_line(
    run: Run, photos: Path, tmp_path: Path, options: list[str], fault: str
) -> None:
    given = [option.replace("PHOTOS", str(photos)) for option in options]
    code, _, error = run("evaluate", *given, "--root", tmp_path, "-o", tmp_path / "out")
    assert code == EXIT_USAGE and fault in error and len(error.strip().splitlines()) == 1


def test_photos_without_ground_truth_are_measured_by_niqe(run: Run, photos: Path, tmp_path: Path) -> None:
    features = np.random.default_rng(0).normal(size=(200, FEATURES))
    write_niqe(fit_niqe(features), tmp_path / "niqe.npz")
    command = ["evaluate", "--model", "bicubic", "--data", f"mine={photos}", "--shown", "0"]
    code, out, error = run(*command, "--niqe", tmp_path / "niqe.npz", "-o", tmp_path / "out")
    assert code == 0 and "mine x4: NIQE (" in out
    assert error.strip() == "mine: no ground truth, which psnr and ssim need; they are left out"
    rows = list(csv.DictReader((tmp_path / "out" / "pictures.csv").read_text().splitlines()))
    enlarged = find_method("bicubic").restorer.restore(read(photos / "0.png").pixels, 4)
    expected = niqe(enlarged, parameters=read_niqe(tmp_path / "niqe.npz"))
    assert float(rows[0]["niqe"]) == pytest.approx(expected, rel=1e-6) and rows[0]["psnr"] == ""


def test_why_there_is_no_value_is_said_in_one_line(run: Run, photos: Path, tmp_path: Path) -> None:
    for side in ("HR", "LR"):
        (tmp_path / "Set5" / "x4" / side).mkdir(parents=True)
        for file in photos.iterdir():
            shutil.copy(file, tmp_path / "Set5" / "x4" / side)
    command = ["evaluate", "--model", "input", "--scale", "1", "-o", tmp_path / "out", "--no-peak-memory"]
    code, out, error = run(*command, "--data", f"Set5={tmp_path / 'Set5'}")
    assert code == 0 and "Set5: no ground truth, which psnr and ssim need; there are pairs in " in error
    assert f"{Path('Set5') / 'x4'}: give that folder" in error and len(error.strip().splitlines()) == 1
    code, out, error = run(*command, "--data", f"Set5={tmp_path / 'Set5' / 'x4'}")
    assert code == 0 and not error and "inf" in out  # both sides are the same pictures here
    code, _, error = run(*command, "--data", f"photos={photos}")
    assert code == 0 and "give HR/ and LR/ in it or HR:LR" in error


def test_a_paper_s_degradations_by_name(run: Run, photos: Path, tmp_path: Path) -> None:
    command = ["evaluate", "--model", "bicubic", "--data", f"mine={photos}", "-o", tmp_path / "out"]
    command += ["--no-peak-memory", "--shown", "0", "--degrade", "dasr-iso", "--degrade", "real-esrgan"]
    code, out, error = run(*command)
    assert code == 0, error
    rows = [line.split("  ")[0] for line in out.splitlines()]
    assert rows[2:7] == ["bicubic", *(f"blur={w},kernel=21" for w in (1.2, 2.4, 3.6)), "real-esrgan"]


STOPPED_AT_THE_FIFTH = """
import signal
from blindsr.cli import main
from blindsr.evaluation.result_cache import ResultCache

add, added = ResultCache.add, []

def add_and_stop(self, key, measured):
    added.append(key)
    known = add(self, key, measured)
    if len(added) == 5:
        signal.raise_signal(signal.SIGINT)
    return known

ResultCache.add = add_and_stop
main()
"""


@pytest.mark.slow
def test_an_interrupted_command_gives_the_table_of_one_that_was_not(
    run: Run, make_model: MakeModel, photos: Path, tmp_path: Path
) -> None:
    """A process of its own, ended by a signal in the middle, and given again."""
    command = [
        "evaluate",
        "--model",
        "bicubic",
        "--model",
        f"tiny={make_model()}",
        "--data",
        f"mine={photos}",
    ]
    command += ["--degrade", "", "--degrade", "noise=9", "--degrade", "blur=2", "--no-peak-memory"]
    command += ["--device", "cpu", "-o"]
    out = tmp_path / "out"
    done = finished(sys.executable, "-c", STOPPED_AT_THE_FIFTH, *command, out)
    assert done.returncode == 130 and "give the command again to go on" in done.stderr
    assert not (out / "results.json").exists()
    assert (out / "records.jsonl").read_bytes().count(b"\n") == 5
    first = run(*command, out)
    written = {name: (out / name).read_bytes() for name in FILES}
    second = run(*command, out)
    assert second == first and first[0] == 0
    assert {name: (out / name).read_bytes() for name in FILES} == written
    run(*command, tmp_path / "whole")
    values = [
        [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(text.splitlines())]
        for text in (
            written["pictures.csv"].decode(),
            (tmp_path / "whole" / "pictures.csv").read_text(encoding="utf-8"),
        )
    ]
    assert values[0] == values[1] and len(values[0]) == 12


@pytest.mark.slow
@pytest.mark.parametrize(("dataset", "expected"), [("Set5", "28.42 / 0.8104"), ("Set14", "26.00 / ")])
def test_bicubic_as_the_literature_has_it(run: Run, tmp_path: Path, dataset: str, expected: str) -> None:
    if not (SHARED / dataset).is_dir():
        pytest.skip(f"{dataset} is not beside the repository (../shared/data)")
    options = ["--data", dataset, "--root", str(SHARED), "--degrade", "", "--luma", "--shown", "0"]
    code, out, _ = run("evaluate", "--model", "bicubic", *options, "-o", tmp_path)
    assert code == 0 and expected in out
