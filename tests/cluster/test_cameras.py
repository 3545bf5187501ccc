"""Photos of one camera share a profile, which a first pass makes."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from blindsr.cluster.cameras import SAMPLE, Sample, camera_of, profile_name
from blindsr.cluster.restoring import Restoring
from blindsr.upscaling.profile import read_camera

from ..conftest import MakeModel, made_photo
from .test_driving import contents, restored


def taken(
    path: Path, model: str = "", iso: int | None = None, seed: int = 0, sides: tuple[int, int] = (24, 20)
) -> Path:
    """A photo with what a camera says of itself."""
    exif = Image.Exif()
    if model:
        exif[0x010F], exif[0x0110] = "Maker", model
        exif.get_ifd(0x8769)[0x8827] = iso or 100
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(made_photo(sides[1], sides[0], seed)).save(path, quality=95, exif=exif)
    return path


def test_what_photos_of_a_camera_have_in_common(tmp_path: Path) -> None:
    a = camera_of(taken(tmp_path / "a.jpg", "X|1\0", 100))
    assert a == "Maker|X 1||ISO 100|24x20"
    assert a == camera_of(taken(tmp_path / "turned.jpg", "X 1", 110, seed=1, sides=(20, 24)))
    others = {
        camera_of(taken(tmp_path / "b.jpg", "X 1", 800)),
        camera_of(taken(tmp_path / "c.jpg", "Y", 100)),
    }
    assert len(others | {a}) == 3
    assert camera_of(taken(tmp_path / "d.jpg")) == ""
    (tmp_path / "e.jpg").write_bytes(b"\xff\xd8\xff\xe1\xff\xff no")
    assert camera_of(tmp_path / "e.jpg") == "" and camera_of(tmp_path / "nowhere.jpg") == ""


@pytest.mark.parametrize("iso", [0, -1, 10**12, (100, 200), ()])
def test_any_iso(iso: object) -> None:
    from blindsr.cluster.cameras import _stop

    assert _stop(iso) in ("", "ISO 100")


def test_a_profiles_file_leads_nowhere_else() -> None:
    assert "/" not in profile_name("../../x|\ud800") and profile_name("a") != profile_name("b")


def test_the_same_few_photos_in_any_order() -> None:
    photos = [("X", "s3://in", f"{i}.jpg") for i in range(4 * SAMPLE)] + [("Y", "s3://in", "one.jpg")]
    rng = random.Random(0)
    found = []
    for _ in range(3):
        rng.shuffle(photos)
        sample = Sample()
        sample.merge(photos[:50])
        sample.merge(photos)  # some of them twice, as of a shard that was tried again
        found.append(sample.cameras())
    assert found[0] == found[1] == found[2]
    assert [(camera, len(chosen)) for camera, chosen in found[0]] == [("X", SAMPLE), ("Y", 1)]


@pytest.mark.slow
def test_bytes_are_those_of_the_cameras_profile(tmp_path: Path, make_model: MakeModel) -> None:
    """As on one machine with the profile that `read_camera` makes of the same photos."""
    order = Restoring(model=str(make_model()), threads=1, memory="384M", format_="png")
    photos = [taken(tmp_path / "in" / f"{model}{i}.jpg", model, seed=i) for model in "XY" for i in range(3)]
    alone = taken(tmp_path / "in" / "alone.jpg", seed=7)
    (tmp_path / "in" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no")
    summary, _, _ = restored([str(tmp_path / "in")], str(tmp_path / "out"), replace(order, by_camera=True))
    assert summary.counts == {"done": 7, "failed": 1}
    upscaler = order.upscaler()
    for camera in (photos[:3], photos[3:]):
        profile = read_camera(upscaler, camera).adaptation
        for photo in camera:
            upscaler.upscale_file(photo, tmp_path / "expected.png", support=profile)
            made = tmp_path / "out" / f"{photo.stem}_x4.png"
            assert made.read_bytes() == (tmp_path / "expected.png").read_bytes(), photo
            upscaler.upscale_file(photo, tmp_path / "own.png")
            assert made.read_bytes() != (tmp_path / "own.png").read_bytes()
    upscaler.upscale_file(alone, tmp_path / "expected.png")
    assert (tmp_path / "out" / "alone_x4.png").read_bytes() == (tmp_path / "expected.png").read_bytes()
    before = contents(str(tmp_path / "out"))
    (tmp_path / "out" / "X1_x4.png").unlink()
    again, _, _ = restored([str(tmp_path / "in")], str(tmp_path / "out"), replace(order, by_camera=True))
    assert (
        again.counts == {"done": 1, "skipped": 6, "failed": 1} and contents(str(tmp_path / "out")) == before
    )
