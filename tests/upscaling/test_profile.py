"""A profile is what the photos say, to the bit, and a file that is not one is refused in one line."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from blindsr.errors import InputError
from blindsr.models.catalogue import find_model
from blindsr.upscaling.profile import outliers, read_camera, read_profile, write_profile
from blindsr.upscaling.upscaler import Adaptation, Upscaler

from ..conftest import CONDITION, MakeModel, made_photo


@pytest.fixture
def upscaler(make_model: MakeModel) -> Upscaler:
    return Upscaler(make_model(), device="cpu")


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    """Nine photos of different sizes."""
    folder = tmp_path / "photos"
    folder.mkdir()
    files = [folder / f"{i}.png" for i in range(9)]
    for i, file in enumerate(files):
        Image.fromarray(made_photo(30 + i, 40, seed=i)).save(file)
    return files


def test_every_photo_is_heard(upscaler: Upscaler, photos: list[Path]) -> None:
    found = read_camera(upscaler, photos)
    own = np.concatenate([upscaler.adapt([photo]).condition for photo in photos])
    assert found.photos == tuple(photos) and not found.faults
    np.testing.assert_array_equal(found.conditions, own)
    np.testing.assert_allclose(found.adaptation.condition[0], own.mean(0), rtol=1e-6)
    np.testing.assert_allclose(found.distances, np.linalg.norm(own - own.mean(0), axis=1), rtol=1e-4)
    assert found.adaptation.photos == 9
    without_last = read_camera(upscaler, photos[:-1])
    assert (without_last.adaptation.condition != found.adaptation.condition).any()


def test_the_modulation_is_that_of_the_condition(upscaler: Upscaler, photos: list[Path]) -> None:
    """An affine function, so three photos' modulations foretell the mean's."""
    parts = [upscaler.adapt([photo]) for photo in photos]
    mean = Adaptation.mean(parts)
    conditions = np.concatenate([part.condition for part in parts]).astype(np.float64)
    modulations = np.concatenate([part.modulation for part in parts]).astype(np.float64)
    ones = np.ones((len(parts), 1))
    affine, *_ = np.linalg.lstsq(np.hstack([conditions, ones]), modulations, rcond=None)
    foretold = np.append(mean.condition[0], 1.0) @ affine
    np.testing.assert_allclose(mean.modulation[0], foretold, rtol=1e-4, atol=1e-5)


def test_order_and_repetition_change_nothing(upscaler: Upscaler, photos: list[Path]) -> None:
    first = read_camera(upscaler, photos).adaptation
    for files in (photos[::-1], [*photos[4:], *photos[:4], photos[2]]):
        again = read_camera(upscaler, files).adaptation
        assert again.photos == 9
        assert again.condition.tobytes() == first.condition.tobytes()
        assert again.modulation.tobytes() == first.modulation.tobytes()


def test_means_of_means_count_photos(upscaler: Upscaler, photos: list[Path]) -> None:
    parts = [upscaler.adapt([photo]) for photo in photos[:4]]
    nested = Adaptation.mean([Adaptation.mean(parts[:3]), parts[3]])
    np.testing.assert_allclose(nested.condition, Adaptation.mean(parts).condition, rtol=1e-6)
    assert nested.photos == 4


def test_a_fixed_number_of_patches_is_shared(make_model: MakeModel, photos: list[Path]) -> None:
    upscaler = Upscaler(make_model(fixed_count=6), device="cpu")
    found = read_camera(upscaler, photos[::-1])
    expected = upscaler.adapt(photos)
    np.testing.assert_array_equal(found.adaptation.condition, expected.condition)
    assert found.adaptation.photos == 6 and len(found.conditions) == 9


def test_bad_photos_are_left_out(upscaler: Upscaler, photos: list[Path], tmp_path: Path) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    seen: list[tuple[int, int]] = []
    found = read_camera(upscaler, [bad, *photos[:2]], on_photo=lambda done, total: seen.append((done, total)))
    assert [str(fault).startswith(str(bad)) for fault in found.faults] == [True]
    np.testing.assert_array_equal(
        found.adaptation.condition, read_camera(upscaler, photos[:2]).adaptation.condition
    )
    assert seen == [(1, 3), (2, 3), (3, 3)]
    with pytest.raises(InputError, match=r"none of the 1 photos can be used .*bad\.png"):
        read_camera(upscaler, [bad])


def test_model_that_does_not_adapt(make_model: MakeModel, photos: list[Path]) -> None:
    with pytest.raises(InputError, match="does not adapt"):
        read_camera(Upscaler(make_model(adaptive=False), device="cpu"), photos)
    with pytest.raises(InputError, match=r"p\.profile: model tiny does not adapt, so it takes no profile"):
        read_profile("p.profile", find_model(make_model(adaptive=False)))


def test_outliers() -> None:
    conditions = np.random.default_rng(0).normal(0, 1, (12, 5)).astype(np.float32)
    assert not outliers(conditions).any()
    conditions[7] += 40
    assert np.flatnonzero(outliers(conditions)).tolist() == [7]
    assert np.flatnonzero(outliers(conditions, yardstick=20.0)).tolist() == [7]
    assert not outliers(conditions, yardstick=1000.0).any()
    assert not outliers(conditions[6:8]).any()


def test_a_profile_restores_as_what_it_was_made_of(
    upscaler: Upscaler, photos: list[Path], tmp_path: Path
) -> None:
    adaptation = read_camera(upscaler, photos).adaptation
    file = tmp_path / "new" / "phone.profile"
    write_profile(adaptation, upscaler.model, file)
    read = read_profile(file, upscaler.model)
    assert read.condition.tobytes() == adaptation.condition.tobytes()
    assert read.modulation.tobytes() == adaptation.modulation.tobytes()
    assert (read.model, read.photos) == ("tiny", 9)
    photo = made_photo(33, 21, seed=50)
    assert np.array_equal(*(upscaler.upscale(photo, support=one) for one in (read, adaptation)))
    again = tmp_path / "again.profile"
    write_profile(adaptation, upscaler.model, again)
    assert again.read_bytes() == file.read_bytes()


def test_any_float_survives(make_model: MakeModel, tmp_path: Path) -> None:
    model = find_model(make_model())
    bits = np.random.default_rng(1).integers(0, 0x7F7FFFFF, CONDITION + model.modulation_size, np.uint32)
    numbers = bits.view(np.float32)[None]
    numbers[0, :3] = (-0.0, 1e-45, 3.4028235e38)
    adaptation = Adaptation(numbers[:, :CONDITION], numbers[:, CONDITION:], model.name)
    file = str(tmp_path / "a.profile")
    write_profile(adaptation, model, file)
    read = read_profile(file, model)
    assert read.condition.tobytes() == adaptation.condition.tobytes()
    assert read.modulation.tobytes() == adaptation.modulation.tobytes()


def test_names_only_when_asked(upscaler: Upscaler, photos: list[Path], tmp_path: Path) -> None:
    adaptation = read_camera(upscaler, photos).adaptation
    file = tmp_path / "a.profile"
    write_profile(adaptation, upscaler.model, file)
    assert "names" not in json.loads(file.read_text()) and ".png" not in file.read_text()
    write_profile(adaptation, upscaler.model, file, names=[photo.name for photo in photos])
    assert json.loads(file.read_text())["names"][0] == "0.png"
    assert read_profile(file, upscaler.model).photos == 9


def test_other_models_and_other_weights(make_model: MakeModel, photos: list[Path], tmp_path: Path) -> None:
    one = Upscaler(make_model("one"), device="cpu")
    file = tmp_path / "a.profile"
    write_profile(read_camera(one, photos).adaptation, one.model, file)
    with pytest.raises(InputError, match=r"for model 'one', not for two; .*blindsr adapt --model two"):
        read_profile(file, find_model(make_model("two")))
    with pytest.raises(InputError, match="other weights of model one"):
        read_profile(file, find_model(make_model("one", seed=5)))
    with pytest.raises(InputError, match="for model one, not for two"):
        write_profile(read_camera(one, photos).adaptation, find_model(make_model("two")), file)


Change = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda p: p.update(version=2), "version 2, this program reads 1"),
        (lambda p: p.update(format="icc"), "not a camera profile"),
        (lambda p: p.pop("photos"), "photos is missing"),
        (lambda p: p.update(evil=1), "unknown entry 'evil'"),
        (lambda p: p.update(photos=0), "photos should be"),
        (lambda p: p.update(photos="9"), "photos should be"),
        (lambda p: p["condition"].pop(), "condition should be 5 numbers, not 4 numbers"),
        (lambda p: p.update(condition="x"), "condition should be 5 numbers, not str"),
        (lambda p: p["modulation"].append(0.0), "modulation should be 12 numbers, not 13"),
        (lambda p: p["condition"].__setitem__(0, float("nan")), "not a finite number"),
        (lambda p: p["condition"].__setitem__(0, float("inf")), "not a finite number"),
        (lambda p: p["condition"].__setitem__(0, 1e39), "not a finite number"),
        (lambda p: p["condition"].__setitem__(0, 10**400), "not a finite number"),
        (lambda p: p["condition"].__setitem__(0, True), "not a finite number"),
        (lambda p: p["condition"].__setitem__(0, None), "not a finite number"),
        (lambda p: p["condition"].__setitem__(0, [1.0]), "not a finite number"),
    ],
)
def test_damaged_profiles(
    upscaler: Upscaler, photos: list[Path], tmp_path: Path, change: Change, fault: str
) -> None:
    file = tmp_path / "a.profile"
    write_profile(read_camera(upscaler, photos[:1]).adaptation, upscaler.model, file)
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))
    with pytest.raises(InputError, match=fault) as caught:
        read_profile(file, upscaler.model)
    assert str(file) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b" " * (5 << 20), b'{"a": 1}']
)
def test_files_that_are_no_profiles(upscaler: Upscaler, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "a.profile"
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.profile: not a camera profile"):
        read_profile(file, upscaler.model)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in folders there")
def test_a_pipe_is_not_waited_for(upscaler: Upscaler, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="not a camera profile"):
        read_profile(tmp_path / "pipe", upscaler.model)


def test_no_such_profile_and_no_such_place(upscaler: Upscaler, photos: list[Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.profile: cannot be read"):
        read_profile(tmp_path / "none.profile", upscaler.model)
    with pytest.raises(InputError, match="cannot be written"):
        write_profile(read_camera(upscaler, photos).adaptation, upscaler.model, photos[0] / "a.profile")
