"""What a photo carries is told of by the commands: lost things on one line, all of it in JSON."""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image

from ..conftest import MakeModel, Run, add_inspector, made_photo


def scan(path: Path) -> Path:
    """A TIFF file of three pages, with a description."""
    pages = [Image.fromarray(made_photo(20, 24, seed)) for seed in range(3)]
    pages[0].save(
        path, "TIFF", save_all=True, append_images=pages[1:], description="A letter", dpi=(300, 300)
    )
    return path


def test_a_warning_once_a_photo(tmp_path: Path, make_model: MakeModel, run: Run) -> None:
    model = make_model(adaptive=False)
    photos = tmp_path / "photos"
    photos.mkdir()
    scan(photos / "letter.tif")
    Image.fromarray(made_photo(20, 24)).save(photos / "plain.png")
    code, _, err = run("upscale", photos, "-o", tmp_path / "out", "--model", model, "-f", "png")
    warnings = [line for line in err.splitlines() if line.startswith("warning")]
    assert code == 0
    assert warnings == [f"warning: {photos / 'letter.tif'}: left out of the result: 2 further pages"]


def test_all_of_it_for_programs(tmp_path: Path, make_model: MakeModel, run: Run) -> None:
    scan(tmp_path / "letter.tif")
    code, out, err = run(
        *("upscale", tmp_path / "letter.tif", "-o", tmp_path / "a.jpg"),
        *("--model", make_model(adaptive=False), "--json"),
    )
    entry = json.loads(out.splitlines()[0])
    assert code == 0 and "warning" not in err
    assert sorted(entry["kept"]) == ["EXIF", "resolution"]
    assert (entry["pages"], entry["frames"]) == (1, 1)
    assert entry["dropped"] == ["2 further pages"] and entry["changed"] == entry["warnings"] == []


def test_pages_and_frames_of_a_folder(tmp_path: Path, make_model: MakeModel, run: Run) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    scan(photos / "letter.tif")
    frames = [Image.fromarray(made_photo(20, 24, seed)) for seed in range(4)]
    for name, kind in (("cat.gif", "GIF"), ("dog.webp", "WEBP"), ("owl.apng", "PNG")):
        frames[0].save(photos / name, kind, save_all=True, append_images=frames[1:])
    code, printed, err = run("upscale", photos, "-o", out, "--model", make_model(), "--json")
    entries = {Path(one["target"]).name: one for one in map(json.loads, printed.splitlines()[:-1])}
    assert code == 0 and err == ""
    assert {name: (entry["pages"], entry["frames"]) for name, entry in entries.items()} == {
        "letter_x4.tif": (3, 1),
        "cat_x4.webp": (1, 4),
        "dog_x4.webp": (1, 4),
        "owl_x4.apng": (1, 4),
    }
    assert all(entry["dropped"] == [] and entry["output_size"] == [96, 80] for entry in entries.values())
    code, _, _ = run("upscale", photos / "cat.gif", "-o", out / "cat.gif", "--model", make_model())
    with Image.open(out / "cat.gif") as image:
        assert code == 0 and image.format == "GIF" and image.n_frames == 4  # type: ignore[attr-defined]


def test_inspect_shows_it(tmp_path: Path, make_model: MakeModel, run: Run) -> None:
    model = add_inspector(make_model())
    scan(tmp_path / "letter.tif")
    code, out, _ = run("inspect", tmp_path / "letter.tif", "--model", model)
    assert code == 0 and "  carries EXIF, resolution, 2 further pages" in out.splitlines()
    code, out, _ = run("inspect", tmp_path / "letter.tif", "--model", model, "--json")
    report = json.loads(out.splitlines()[0])
    assert [one["kind"] for one in report["carries"]] == ["exif", "resolution", "pages"]
    assert report["carries"][0]["bytes"] > 20


def test_a_result_says_how_it_was_made_and_is_known_again(
    tmp_path: Path, make_model: MakeModel, run: Run
) -> None:
    model = add_inspector(make_model())
    Image.fromarray(made_photo(20, 24)).save(tmp_path / "a.png")
    options = ["--model", model, "--threads", "1"]
    code, _, err = run("upscale", tmp_path / "a.png", "-o", tmp_path / "once.png", *options)
    assert code == 0 and "warning" not in err
    code, _, err = run("upscale", tmp_path / "once.png", "-o", tmp_path / "twice.png", *options)
    (warning,) = [line for line in err.splitlines() if line.startswith("warning")]
    assert f"{tmp_path / 'once.png'}: already a result of blindsr" in warning and "model tiny" in warning
    run("upscale", tmp_path / "a.png", "-o", tmp_path / "plain.png", "--no-mark", *options)
    for name, known in (("once", True), ("twice", True), ("plain", False), ("a", False)):
        photo = tmp_path / f"{name}.png"
        _, out, _ = run("upscale", photo, "-o", tmp_path / "b.jpg", "--overwrite", "--json", *options)
        assert (
            any("already a result" in text for text in json.loads(out.splitlines()[0])["warnings"]) is known
        )
        _, out, _ = run("inspect", photo, "--model", model)
        assert (
            any(line.startswith("  origin  already a result of blindsr") for line in out.splitlines())
            is known
        )
        _, out, _ = run("inspect", photo, "--model", model, "--json")
        before = json.loads(out.splitlines()[0])["restored_before"]
        assert (before is not None) is known
        if before is not None:
            assert (before["model"], before["settings"]["scale"]) == ("tiny", "4")
