"""`blindsr adapt` and `blindsr inspect`: what they read, write and say."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from blindsr.cli.camera import _summary
from blindsr.cli.screen import EXIT_SOME_FAILED, EXIT_USAGE
from blindsr.inspection.reading import Estimate, Reading
from blindsr.models.catalogue import find_model
from blindsr.upscaling.profile import read_profile
from blindsr.upscaling.upscaler import Upscaler

from ..conftest import MakeModel, Run, add_inspector, made_photo, save_photos


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five photos of one kind."""
    return save_photos(tmp_path / "phone", 5, 40, 50)


def test_a_profile_of_a_folder(run: Run, make_model: MakeModel, folder: Path) -> None:
    model, out = make_model(), folder.parent / "phone.profile"
    code, said, error = run("adapt", folder, "-o", out, "--model", model)
    assert (code, error) == (0, "")
    assert "phone.profile: 5 photos read for tiny" in said and "from the profile on average" in said
    profile = read_profile(out, find_model(model))
    expected = Upscaler(model, device="cpu").adapt(sorted(folder.iterdir()))
    assert profile.condition.tobytes() == expected.condition.tobytes()
    again = out.with_name("again.profile")
    files = sorted(folder.iterdir(), reverse=True)
    assert run("adapt", *files, folder, "-o", again, "--model", model)[0] == 0
    assert again.read_bytes() == out.read_bytes()


def test_bad_photos_are_named_and_left_out(run: Run, make_model: MakeModel, folder: Path) -> None:
    (folder / "bad.jpg").write_bytes(b"no photo")
    out = folder.parent / "phone.profile"
    code, said, error = run("adapt", folder, "-o", out, "--model", make_model())
    assert code == EXIT_SOME_FAILED and "5 photos read" in said
    assert error.count("\n") == 1 and "bad.jpg" in error
    out.unlink()
    code, _, error = run("adapt", folder / "bad.jpg", "-o", out, "--model", make_model())
    assert code == EXIT_USAGE and "none of the 1 photos can be used" in error and not out.exists()


def test_a_photo_that_does_not_belong(run: Run, make_model: MakeModel, folder: Path) -> None:
    model, out = make_model(), folder.parent / "phone.profile"
    assert run("adapt", folder, "-o", out, "--model", model)[2] == ""
    noise = np.random.default_rng(0).integers(0, 256, (60, 60, 3), np.uint8)
    Image.fromarray(noise).save(folder / "odd.png")
    code, _, error = run("adapt", folder, "-o", out, "--model", model)
    assert code == 0 and error.count("does not belong") == 1 and "odd.png" in error


def test_agreement_by_the_models_own_yardstick(run: Run, make_model: MakeModel, folder: Path) -> None:
    _, said, _ = run(
        "adapt", folder, "-o", folder.parent / "a.profile", "--model", add_inspector(make_model())
    )
    assert "they show" in said and "agree" in said and "% as far as those of photos degraded" in said


def test_names_are_asked_for(run: Run, make_model: MakeModel, folder: Path) -> None:
    out, model = folder.parent / "phone.profile", make_model()
    run("adapt", folder, "-o", out, "--model", model)
    assert "names" not in json.loads(out.read_text())
    run("adapt", folder, "-o", out, "--model", model, "--names")
    assert json.loads(out.read_text())["names"] == [f"{i}.png" for i in range(5)]


def test_a_profile_never_takes_a_photos_place(run: Run, make_model: MakeModel, folder: Path) -> None:
    before = (folder / "0.png").read_bytes()
    for out in (folder / "0.png", folder):
        code, _, error = run("adapt", folder, "-o", out, "--model", make_model())
        assert code == EXIT_USAGE and "phone.profile" in error
    assert (folder / "0.png").read_bytes() == before


def test_inspect_says_what_it_reads(run: Run, make_model: MakeModel, folder: Path) -> None:
    Image.fromarray(made_photo(40, 50)).save(folder / "saved.jpg", quality=85)
    (folder / "bad.jpg").write_bytes(b"no photo")
    code, said, error = run("inspect", folder, "--model", add_inspector(make_model()))
    assert code == EXIT_SOME_FAILED and "bad.jpg" in error
    assert said.count("blur  ") == said.count("noise  ") == said.count("JPEG  ") == 6
    assert said.count("last saved at quality 85") == 1
    assert "0.png, 50x40" in said and "held out" not in said and "fit never saw" in said


def test_inspect_for_programs(run: Run, make_model: MakeModel, folder: Path) -> None:
    model = add_inspector(make_model())
    (folder / "bad.jpg").write_bytes(b"no photo")
    profile = folder.parent / "phone.profile"
    run("adapt", folder, "-o", profile, "--model", model)
    code, said, _ = run("inspect", folder, "--json", "--model", model, "--profile", profile)
    reports = [json.loads(line) for line in said.splitlines()]
    assert code == EXIT_SOME_FAILED and len(reports) == 7
    assert reports[0]["profile"] == str(profile) and reports[0]["photos"] == 5
    photo, bad = reports[1], reports[-1]
    assert photo["file"] == str(folder / "0.png") and (photo["width"], photo["height"]) == (50, 40)
    assert photo["blur"]["lr_pixels"] == pytest.approx(photo["blur"]["value"] / 4, abs=1e-3)
    assert photo["saved_quality"] is None and photo["profile_distance"] >= 0
    assert set(bad) == {"file", "error"}


def test_names_cannot_command_the_terminal(run: Run, make_model: MakeModel, folder: Path) -> None:
    (folder / "0.png").rename(folder / "a\x1b[31mred\nline.png")
    model, profile = add_inspector(make_model()), folder.parent / "\x1b[1mphone.profile"
    for command in (("adapt", folder, "-o", profile), ("inspect", folder, "--profile", profile)):
        code, said, _ = run(*command, "--model", model)
        assert code == 0 and "\x1b" not in said and "\\x1b[1mphone.profile" in said
    assert "a\\x1b[31mred\\nline.png, 50x40" in said


@pytest.mark.skipif(sys.platform != "linux", reason="such names are bytes only there")
def test_inspect_tells_programs_undecodable_names(run: Run, make_model: MakeModel, folder: Path) -> None:
    (folder / "0.png").rename(folder / os.fsdecode(b"\xff.png"))
    said = run(
        "inspect", folder / os.fsdecode(b"\xff.png"), "--json", "--model", add_inspector(make_model())
    )[1]
    report = json.loads(said)
    assert report["file"].endswith("\ufffd.png") and report["file_hex"].endswith(b"\xff.png".hex())


def test_a_summary_puts_no_number_to_what_is_below_its_error() -> None:
    seen = Estimate(2.4, error=0.4, guess=0.8), Estimate(0.3, error=1.3, guess=9.0)
    reading = Reading(*seen, jpeg_seen=False, jpeg_right=0.6, quality=Estimate(60, 15, 15))
    assert _summary(reading) == "blur of about 2.4 pixels of the result, hardly any noise"


def test_inspect_needs_something_to_inspect(run: Run, make_model: MakeModel, folder: Path) -> None:
    assert run("inspect", "--model", make_model())[0] == EXIT_USAGE
    code, _, error = run("inspect", folder, "--model", make_model())
    assert code == EXIT_USAGE and "fit-inspect" in error
