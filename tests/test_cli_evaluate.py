"""`blindsr evaluate`: what it writes, and that a second run writes the same."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from PIL import Image

from blindsr.cli.screen import EXIT_SOME_FAILED, EXIT_USAGE

from .conftest import MakeModel, Run, made_photo

SHARED = Path(__file__).parents[2] / "shared" / "data"
FILES = ("table.md", "pictures.csv", "results.json", "index.html")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(2):
        Image.fromarray(made_photo(48, 56, i)).save(folder / f"{i}.png")
    return folder


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
    rows = list(csv.DictReader((out / "pictures.csv").read_text().splitlines()))
    assert len(rows) == 8 and all(float(row["psnr"]) > 5 and not row["error"] for row in rows)
    content = json.loads((out / "results.json").read_text())
    assert content["benchmarks"][0]["measures"][0]["title"] == "PSNR (dB)"


def test_one_bad_photo_is_told_by_the_exit_status(run: Run, photos: Path, tmp_path: Path) -> None:
    (photos / "2.png").write_bytes(b"no picture")
    code, out, _ = run(
        "evaluate", "--model", "bicubic", "--data", f"mine={photos}", "--degrade", "", "-o", tmp_path / "out"
    )
    assert code == EXIT_SOME_FAILED and "(1 failed)" in out


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ([], "evaluate whom?"),
        (["--model", "bicubic"], "evaluate on what?"),
        (["--model", "bicubic", "--data", "Set5"], "not below"),
        (["--model", "bicubic", "--data", "m=PHOTOS", "--channel", "luma"], "give y or rgb"),
        (["--model", "bicubic", "--data", "m=PHOTOS", "--metric", "mse"], "there are psnr, ssim"),
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


@pytest.mark.slow
@pytest.mark.parametrize(("dataset", "expected"), [("Set5", "28.42 / 0.8104"), ("Set14", "26.00 / ")])
def test_bicubic_as_the_literature_has_it(run: Run, tmp_path: Path, dataset: str, expected: str) -> None:
    if not (SHARED / dataset).is_dir():
        pytest.skip(f"{dataset} is not beside the repository (../shared/data)")
    options = ["--data", dataset, "--root", str(SHARED), "--degrade", "", "--luma", "--crops", "0"]
    code, out, _ = run("evaluate", "--model", "bicubic", *options, "-o", tmp_path)
    assert code == 0 and expected in out
