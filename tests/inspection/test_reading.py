"""What a condition tells: the right numbers for a network that is known, each with its error."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from blindsr.errors import InputError, ModelError
from blindsr.inspection.reading import Estimate, Inspector, Reading, advice, saved_quality
from blindsr.models.catalogue import find_model

from ..conftest import MakeModel, add_inspector, made_photo


def test_numbers_and_their_errors(make_model: MakeModel) -> None:
    """The test's inspector hands the condition's first four numbers through."""
    inspector = Inspector(find_model(add_inspector(make_model())))
    reading = inspector.read(np.array([[1.5, 2.0, 3.0, 0.25, 9.0]], np.float32))
    assert reading.blur == Estimate(1.5, 0.7, 0.8)
    assert reading.noise == Estimate(16.0, 2.0, 9.0)
    assert reading.jpeg_seen and reading.quality == Estimate(70.0, 8.0, 15.0)
    quiet = inspector.read(np.array([1.5, 0.5, -3.0, 0.25, 9.0], np.float32))
    assert quiet.blur == Estimate(1.5, 0.4, 0.8), "under weak noise blur is told better"
    assert quiet.noise.value == 1.0 and not quiet.jpeg_seen
    assert quiet.blur.telling and not reading.blur.telling


def test_numbers_stay_in_their_ranges(make_model: MakeModel) -> None:
    inspector = Inspector(find_model(add_inspector(make_model())))
    for sign, expected in ((1, (4.0, 50.0, True, 100.0)), (-1, (0.0, 0.0, False, 30.0))):
        reading = inspector.read(np.full(5, sign * 1e6, np.float32))
        found = reading.blur.value, reading.noise.value, reading.jpeg_seen, reading.quality.value
        assert found == expected


def test_plain_values(make_model: MakeModel) -> None:
    inspector = Inspector(find_model(add_inspector(make_model())))
    seen = inspector.read(np.array([1.5, 2.0, 3.0, 0.25, 0.0], np.float32)).as_dict()
    assert json.loads(json.dumps(seen)) == seen
    assert seen["noise"] == {"value": 16.0, "error": 2.0, "guess": 9.0, "telling": True}
    assert seen["jpeg"]["quality"]["value"] == 70.0
    unseen = inspector.read(np.array([1.5, 2.0, -3.0, 0.25, 0.0], np.float32)).as_dict()
    assert unseen["jpeg"]["quality"] is None


def test_model_that_does_not_adapt(make_model: MakeModel) -> None:
    with pytest.raises(InputError, match="model tiny does not adapt"):
        Inspector(find_model(make_model(adaptive=False)))


def test_no_inspector(make_model: MakeModel) -> None:
    with pytest.raises(ModelError, match="fit-inspect"):
        Inspector(find_model(make_model()))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda c: c.update(version=2), "not an inspector of version 1"),
        (lambda c: c.update(condition_sha256="0" * 64), "fitted for other weights"),
        (lambda c: c["hidden"].pop(), r"damaged \(layers of \(5, 8\)"),
        (lambda c: c["hidden"][0].pop(), "damaged"),
        (lambda c: c["output"][0].__setitem__(0, float("nan")), "NaN is no number"),
        (lambda c: c.pop("spread"), "damaged"),
        (lambda c: c["errors"].pop("noise"), "damaged"),
        (lambda c: c["errors"]["blur"].update(ranges=[]), "no error is given"),
    ],
)
def test_damaged_inspectors(
    make_model: MakeModel, change: Callable[[dict[str, Any]], object], fault: str
) -> None:
    folder = add_inspector(make_model())
    file = folder / "inspect.json"
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))
    card = json.loads((folder / "card.json").read_text())
    card["files"]["inspect"]["sha256"] = hashlib.sha256(file.read_bytes()).hexdigest()
    (folder / "card.json").write_text(json.dumps(card))
    with pytest.raises(ModelError, match=fault) as caught:
        Inspector(find_model(folder))
    assert str(file) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("quality", [1, 30, 50, 75, 95, 100])
def test_a_jpeg_tells_its_quality(tmp_path: Path, quality: int) -> None:
    file = tmp_path / "a.jpg"
    for photo in (made_photo(20, 30), made_photo(20, 30)[:, :, 0]):
        Image.fromarray(photo).save(file, quality=quality)
        assert saved_quality(file) == (quality, True)


def test_tables_of_an_encoder_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "a.jpg"
    Image.fromarray(made_photo(20, 30)).save(file, qtables=[[9 + i % 3 for i in range(64)]] * 2)
    found = saved_quality(file)
    assert found is not None and not found[1] and 85 <= found[0] <= 95


def test_what_is_no_jpeg_has_no_quality(tmp_path: Path) -> None:
    Image.fromarray(made_photo(20, 30)).save(tmp_path / "a.png")
    (tmp_path / "b.jpg").write_bytes(b"\xff\xd8\xff\xdb\x00\x01")
    for name in ("a.png", "b.jpg", "absent.jpg"):
        assert saved_quality(tmp_path / name) is None


def test_advice() -> None:
    def reading(blur: float, noise: float, quality: float, seen: bool = True, right: float = 0.9) -> Reading:
        return Reading(Estimate(blur, 0.3, 0.8), Estimate(noise, 2, 9), seen, right, Estimate(quality, 8, 18))

    assert advice(reading(0.5, 3, 80)) == []
    (noisy,) = advice(reading(0.5, 30, 80))
    assert "strong noise" in noisy
    (blurred,) = advice(reading(3, 3, 80))
    assert "strong blur" in blurred
    assert ["strong compression" in line for line in advice(reading(0.5, 3, 40))] == [True]
    assert any("last save" in line for line in advice(reading(0.5, 3, 40), saved=95))
    for unsure in (reading(0.5, 3, 40, seen=False), reading(0.5, 3, 40, right=0.6)):
        assert advice(unsure, saved=95) == []
