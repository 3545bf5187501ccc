"""The command line: what goes where, what it says, and how it ends."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import blindsr
from blindsr import __version__, cli
from blindsr.cli.screen import EXIT_SOME_FAILED

from .conftest import MakeModel, Run, made_photo


def save(path: Path, height: int = 12, width: int = 16) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(made_photo(height, width)).save(path)
    return path


def size(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def files(folder: Path) -> set[str]:
    return {entry.relative_to(folder).as_posix() for entry in folder.rglob("*") if entry.is_file()}


def test_beside_the_photo_in_its_format(run: Run, make_model: MakeModel, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    photos = [save(folder / name) for name in ("a.jpg", "b.PNG", "été [1].webp", "d.gif")]
    code, _, error = run("upscale", *photos, "--model", make_model())
    assert code == 0, error
    results = {"a_x4.jpg", "b_x4.PNG", "été [1]_x4.webp", "d_x4.png"}
    assert files(folder) == results | {photo.name for photo in photos}
    assert {size(folder / name) for name in results} == {(64, 48)}
    assert "été [1]_x4.webp" in error


def test_out_file(run: Run, make_model: MakeModel, tmp_path: Path) -> None:
    photo = save(tmp_path / "a.png")
    code, _, _ = run("upscale", photo, "-o", tmp_path / "new" / "b.jpg", "--model", make_model(scale=2))
    assert code == 0 and size(tmp_path / "new" / "b.jpg") == (32, 24)


@pytest.mark.parametrize(
    ("options", "name", "expected"),
    [
        (["--scale", "2.5"], "a_x2.5.png", (40, 30)),
        (["--scale", "5"], "a_x5.png", (80, 60)),
        (["--width", "20"], "a_20w.png", (20, 15)),
        (["--height", "120"], "a_120h.png", (160, 120)),
        (["--fit", "3840x24"], "a_3840x24.png", (32, 24)),
    ],
)
def test_a_size_of_ones_own(
    run: Run, make_model: MakeModel, tmp_path: Path, options: list[str], name: str, expected: tuple[int, int]
) -> None:
    save(tmp_path / "photos" / "a.png")
    for _ in range(2):  # a folder's earlier results are not photos
        code, _, error = run("upscale", tmp_path / "photos", "--model", make_model(), *options)
        assert code == 0, error
    assert files(tmp_path / "photos") == {"a.png", name}
    assert size(tmp_path / "photos" / name) == expected


def test_format_and_quality(run: Run, make_model: MakeModel, tmp_path: Path) -> None:
    photos, model = tmp_path / "photos", make_model()
    for name in ("a.png", "b.JPEG", "c.bmp", "d.gif"):
        save(photos / name)
    code, _, error = run("upscale", photos, "-o", tmp_path / "jpeg", "-f", "jpeg", "--model", model)
    assert code == 0, error
    assert files(tmp_path / "jpeg") == {"a_x4.jpg", "b_x4.JPEG", "c_x4.jpg", "d_x4.jpg"}
    code, _, error = run("upscale", photos, "-o", tmp_path / "own", "--model", model)
    assert code == 0, error
    assert files(tmp_path / "own") == {"a_x4.png", "b_x4.JPEG", "c_x4.bmp", "d_x4.png"}
    sizes = []
    for name in ("jpeg", "webp", "avif"):
        for quality in ("20", "95"):
            out = tmp_path / quality
            code, _, error = run(
                "upscale", photos / "a.png", "-o", out, "-f", name, "--quality", quality, "--model", model
            )
            assert code == 0, error
            (result,) = out.glob(f"a_x4.{name[:2]}*" if name != "jpeg" else "a_x4.jpg")
            sizes.append(result.stat().st_size)
    assert sizes[0] < sizes[1] and sizes[2] < sizes[3] and sizes[4] < sizes[5]


def test_quality_needs_a_lossy_format(run: Run, make_model: MakeModel, tmp_path: Path) -> None:
    photos = save(tmp_path / "a.png"), save(tmp_path / "b.jpg")
    code, _, error = run("upscale", *photos, "--quality", "80", "--model", make_model())
    assert code == 3 and "a.png: .png files lose nothing" in error
    assert (tmp_path / "b_x4.jpg").exists() and not (tmp_path / "a_x4.png").exists()


def test_out_folder_keeps_the_structure(run: Run, make_model: MakeModel, tmp_path: Path) -> None:
    photos, out = tmp_path / "photos", tmp_path / "v1.0"
    for name in ("a.png", "sub/b.jpg", "sub/deep/c.tif"):
        save(photos / name)
    (photos / "notes.txt").write_text("no photo")
    code, _, error = run("upscale", photos, "-o", out, "--model", make_model())
    assert code == 0, error
    assert files(out) == {"a_x4.png", "sub/b_x4.jpg", "sub/deep/c_x4.tif"}


def test_a_second_run_does_not_enlarge_the_results(run: Run, make_model: MakeModel, tmp_path: Path) -> None:
    save(tmp_path / "photos" / "a.png")
    for _ in range(2):
        assert run("upscale", tmp_path / "photos", "--model", make_model())[0] == 0
    assert files(tmp_path / "photos") == {"a.png", "a_x4.png"}


def test_one_bad_file_does_not_end_the_batch(run: Run, make_model: MakeModel, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    save(photos / "a.png"), save(photos / "z.png")
    (photos / "bad.png").write_bytes((photos / "a.png").read_bytes()[:200])
    code, _, error = run("upscale", photos, tmp_path / "absent.jpg", "--model", make_model())
    assert code == EXIT_SOME_FAILED == 3
    assert files(photos) == {"a.png", "a_x4.png", "z.png", "z_x4.png", "bad.png"}
    faults = [line for line in error.splitlines() if line.startswith("error: ")]
    assert len(faults) == 2 and "bad.png" in faults[0] and "absent.jpg" in faults[1]
    assert "Traceback" not in error


def test_no_photo_is_ever_overwritten(run: Run, make_model: MakeModel, tmp_path: Path) -> None:
    one, two = save(tmp_path / "a.png"), save(tmp_path / "a_x4.png")
    before = one.read_bytes(), two.read_bytes()
    model = make_model()
    code, _, error = run("upscale", one, "-o", one, "--model", model)
    assert code == 3 and "would overwrite" in error
    code, _, error = run("upscale", one, two, "--model", model)
    assert code == 3 and "would overwrite" in error
    assert (one.read_bytes(), two.read_bytes()) == before
    assert (tmp_path / "a_x4_x4.png").exists()


def test_two_results_of_one_name(run: Run, make_model: MakeModel, tmp_path: Path) -> None:
    photos = save(tmp_path / "one" / "a.png"), save(tmp_path / "two" / "a.png", 20, 20)
    code, _, error = run("upscale", *photos, "-o", tmp_path / "out", "--model", make_model())
    assert code == 3 and "would overwrite that of" in error
    assert size(tmp_path / "out" / "a_x4.png") == (64, 48)


def test_support_folder(run: Run, make_model: MakeModel, tmp_path: Path) -> None:
    photo, model = save(tmp_path / "a.png"), make_model()
    (tmp_path / "same").mkdir(), (tmp_path / "other").mkdir()
    save(tmp_path / "same" / "a.png")
    Image.fromarray(made_photo(40, 40, 7) // 5).save(tmp_path / "other" / "b.png")
    pixels = []
    for number, support in enumerate(
        ([], ["--support", tmp_path / "same"], ["--support", tmp_path / "other"])
    ):
        out = tmp_path / f"{number}.png"
        assert run("upscale", photo, "-o", out, "--model", model, *support)[0] == 0
        pixels.append(np.asarray(Image.open(out)))
    assert (pixels[0] == pixels[1]).all() and (pixels[0] != pixels[2]).any()


def test_tiles_and_threads(run: Run, make_model: MakeModel, tmp_path: Path) -> None:
    photo = save(tmp_path / "a.png", 40, 40)
    for tile in ("auto", "16"):
        out = tmp_path / f"{tile}.png"
        options = ["--tile", tile, "--threads", "1", "--device", "cpu"]
        assert run("upscale", photo, "-o", out, "--model", make_model(), *options)[0] == 0
    difference = np.asarray(Image.open(tmp_path / "16.png")).astype(int) - np.asarray(
        Image.open(tmp_path / "auto.png")
    )
    assert np.abs(difference).max() <= 1


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["upscale"], "INPUT"),
        (["upscale", "a.png", "--model", "no-such"], "no model named"),
        (["upscale", "a.png", "--tile", "x"], "tile 'x'"),
        (["upscale", "a.png", "--threads", "0"], "threads"),
        (["upscale", "a.png", "--device", "tpu"], "device 'tpu'"),
        (["upscale", "a.png", "b.png", "-o", "c.png"], "give a folder"),
        (["upscale", "empty"], "no photos"),
        (["upscale", "a.png", "--support", "empty"], "no photos"),
        (["upscale", "a.png", "--scale", "2", "--fit", "9x9"], "--scale and --fit: give only one"),
        (["upscale", "a.png", "--width", "0"], "width 0: a size must be above 0"),
        (["upscale", "a.png", "--fit", "4k"], "fit '4k': give the box"),
        (["upscale", "a.png", "-f", "gif"], "format 'gif': give one of png, jpeg"),
        (["upscale", "a.png", "-f", "tiff", "--quality", "80"], "tiff loses nothing"),
        (["upscale", "a.png", "-f", "jpeg", "-o", "b.webp"], "contradict each other"),
        (["upscale", "a.png", "-f", "jpeg", "--quality", "0"], "quality"),
        (["enlarge"], "enlarge"),
    ],
)
def test_usage_errors(
    run: Run,
    make_model: MakeModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    fault: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    save(tmp_path / "a.png")
    if arguments[0] == "upscale" and "--model" not in arguments:
        arguments = [*arguments, "--model", str(make_model())]
    code, _, error = run(*arguments)
    assert code == cli.EXIT_USAGE == 2
    assert fault in re.sub(r"\x1b\[[0-9;]*m", "", error) and "Traceback" not in error
    assert files(tmp_path) - {name for name in files(tmp_path) if name.startswith("models/")} == {"a.png"}


def test_errors_are_one_line_each(run: Run, tmp_path: Path) -> None:
    long = tmp_path / ("long name " * 20)
    _, _, error = run("upscale", "a.png", "--model", long)
    assert len(error.splitlines()) == 1 and error.startswith("error: ") and str(long) in error


def test_models(run: Run, make_model: MakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_model("sharp-x2", scale=2, adaptive=False)
    broken = make_model("broken")
    (broken / "card.json").write_text("{}")
    monkeypatch.setenv("BLINDSR_MODELS", str(folder.parent))
    code, out, error = run("models")
    assert code == 0
    (line,) = (line for line in out.splitlines() if "sharp-x2" in line)
    assert "x2" in line and "no" in line and "MIT" in line
    assert "broken" in error and error.startswith("error: ")


def test_version(run: Run) -> None:
    assert run("--version")[:2] == (0, f"blindsr {__version__}\n")


@pytest.mark.parametrize("arguments", [["train", "recipe.yaml"], ["export", "last.ckpt", "-o", "model"]])
def test_missing_pytorch_names_the_extra(
    run: Run, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    for name in [name for name in sys.modules if re.match(r"(torch|blindsr\.(training|export))(\.|$)", name)]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr(blindsr, "training", raising=False)  # else "from blindsr import" finds it there
    monkeypatch.setitem(sys.modules, "torch", None)
    code, _, error = run(*arguments)
    assert code == 2 and 'pip install "blindsr[train]"' in error and len(error.splitlines()) == 1


def test_degrade(run: Run, tmp_path: Path) -> None:
    save(tmp_path / "hr" / "a.png", 48, 64)
    options = ["--degrade", "blur=1.3,noise=15", "--scale", "4"]
    for name, seed in (("one", "1"), ("again", "1"), ("two", "2")):
        code, _, error = run("degrade", tmp_path / "hr", "-o", tmp_path / name, *options, "--seed", seed)
        assert code == 0, error
    (one,), (again,), (two,) = ([*(tmp_path / name).rglob("*.png")] for name in ("one", "again", "two"))
    assert size(one) == (16, 12)
    assert (np.asarray(Image.open(one)) == np.asarray(Image.open(again))).all()
    assert (np.asarray(Image.open(one)) != np.asarray(Image.open(two))).any()


def test_as_a_module_and_in_any_locale(make_model: MakeModel, tmp_path: Path) -> None:
    photo = save(tmp_path / "写真.png")
    source = Path(cli.__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": str(source), "LC_ALL": "C", "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "blindsr", "upscale", str(photo), "--model", str(make_model())]
    done = subprocess.run(command, env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "写真_x4.png").exists()
