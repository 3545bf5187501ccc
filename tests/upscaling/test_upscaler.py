"""The main job: any picture in, the same kind of picture out, larger; and the same one every time."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

import blindsr
from blindsr.errors import InputError, ModelError
from blindsr.picture import Limits, Picture, quantise, read, write
from blindsr.picture.metadata.origin import Origin
from blindsr.picture.sizing import OutputSize
from blindsr.system.memory import SMALLEST, Memory
from blindsr.upscaling.upscaler import Upscaler
from blindsr.version import __version__

from ..conftest import MakeModel, made_photo
from ..engine.foreign import write_onnx


@pytest.fixture
def upscaler(make_model: MakeModel) -> Upscaler:
    return Upscaler(make_model(), device="cpu")


@pytest.mark.parametrize("shape", [(21, 17), (21, 17, 1), (21, 17, 3), (21, 17, 4)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float16, np.float32, np.float64])
def test_array_in_array_out(upscaler: Upscaler, shape: tuple[int, ...], dtype: type) -> None:
    photo = made_photo(21, 17)
    rgba = np.concatenate([photo, photo[:, :, :1] // 2 + 100], axis=2)
    array = rgba[:, :, : (*shape, 1)[2]].reshape(shape)
    given = {np.uint8: array, np.uint16: array.astype(np.uint16) * 257}.get(
        dtype, (array / 255).astype(dtype)
    )
    before = given.copy()
    result = upscaler.upscale(given)
    assert result.dtype == dtype and result.shape == (84, 68, *shape[2:])
    assert (given == before).all(), "the caller's array is not touched"
    expected = upscaler.upscale((array / 255).astype(np.float32))
    top = {np.uint8: 255, np.uint16: 65535}.get(dtype, 1)
    assert np.abs(result.astype(np.float64) / top - expected).max() < (
        2e-3 if dtype == np.float16 else 0.6 / 255
    )
    # It is the photo, not something else of that size: each block's mean is about its pixel.
    blocks = expected.reshape(21, 4, 17, 4, -1).mean(axis=(1, 3))
    assert np.corrcoef(blocks.ravel(), array.reshape(21, 17, -1).ravel())[0, 1] > 0.8


@pytest.mark.parametrize(
    ("array", "fault"),
    [
        (np.zeros((4, 4, 5), np.uint8), "shape"),
        (np.zeros((0, 4, 3), np.uint8), "shape"),
        (np.zeros((1, 3, 4, 4), np.float32), "shape"),
        (np.zeros((4, 4, 3), np.int32), "int32"),
        (np.zeros((4, 4, 3), bool), "bool"),
        (np.full((4, 4, 3), 255.0), r"\[0, 1\]"),
        (np.full((4, 4, 3), np.nan), r"\[0, 1\]"),
    ],
)
def test_arrays_that_are_no_pictures(upscaler: Upscaler, array: NDArray[Any], fault: str) -> None:
    with pytest.raises(InputError, match=fault):
        upscaler.upscale(array)


@settings(max_examples=15, deadline=None)
@given(height=st.integers(1, 30), width=st.integers(1, 30))
def test_any_size(tmp_path_factory: pytest.TempPathFactory, height: int, width: int) -> None:
    upscaler = _shared(tmp_path_factory)
    result = upscaler.upscale(made_photo(height, width))
    assert result.shape == (4 * height, 4 * width, 3)


_SHARED: list[Upscaler] = []


def _shared(tmp_path_factory: pytest.TempPathFactory) -> Upscaler:
    """One model for all examples of a property."""
    if not _SHARED:
        from ..conftest import write_model

        folder = write_model(tmp_path_factory.mktemp("shared") / "fixed", fixed_count=6, patch=32)
        _SHARED.append(Upscaler(folder, device="cpu"))
    return _SHARED[0]


def test_gray_is_the_mean_of_what_the_network_makes_of_it(
    upscaler: Upscaler, photo: NDArray[np.uint8]
) -> None:
    gray = photo[:, :, 0].astype(np.float32) / 255
    as_rgb = upscaler.upscale(np.stack([gray] * 3, axis=2))
    np.testing.assert_allclose(upscaler.upscale(gray), as_rgb.mean(axis=2), atol=1e-6)


def test_picture_keeps_what_belongs_to_it(upscaler: Upscaler, photo: NDArray[np.uint8]) -> None:
    pixels = photo.astype(np.float32) / 255
    picture = Picture(pixels, bit_depth=16, icc=b"icc", exif=b"exif", xmp=b"xmp", dpi=(300, 300))
    result = upscaler.upscale(picture)
    assert (result.bit_depth, result.icc, result.exif, result.xmp) == (16, b"icc", b"exif", b"xmp")
    assert result.dpi == (300, 300) and result.alpha is None
    np.testing.assert_array_equal(result.pixels, upscaler.upscale(pixels))


@pytest.mark.parametrize("gray", [False, True])
def test_sixteen_bit_file_with_alpha_end_to_end(
    upscaler: Upscaler, tmp_path: Path, photo: NDArray[np.uint8], gray: bool
) -> None:
    pixels = photo[:, :, :1] if gray else photo
    alpha = np.linspace(0, 1, 40, dtype=np.float32)[:, None].repeat(56, axis=1)
    write(Picture(pixels.astype(np.float32) / 255, alpha=alpha, bit_depth=16), tmp_path / "in.png")
    write(upscaler.upscale(tmp_path / "in.png"), tmp_path / "out.png")
    result = read(tmp_path / "out.png")
    assert (result.height, result.width, result.gray, result.bit_depth) == (160, 224, gray, 16)
    assert result.alpha is not None
    centre = (np.arange(160) + 0.5) / 4 - 0.5
    np.testing.assert_allclose(result.alpha[8:-8, 100], (centre / 39)[8:-8], atol=1e-3)
    assert len(np.unique(quantise(result.pixels, 16))) > 256


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (OutputSize(scale=2.5), (100, 140)),
        (OutputSize(width=70), (50, 70)),
        (OutputSize(height=240), (240, 336)),
        (OutputSize(fit=(300, 120)), (120, 168)),
        (OutputSize(scale=0.3), (12, 17)),
        (OutputSize(scale=4), (160, 224)),
    ],
)
def test_any_output_size(
    upscaler: Upscaler, photo: NDArray[np.uint8], size: OutputSize, expected: tuple[int, int]
) -> None:
    """The restored picture, resized: it lies where it lay, and takes its alpha along."""
    ramp = np.linspace(0, 1, 56, dtype=np.float32)[None, :].repeat(40, axis=0)
    picture = Picture(photo.astype(np.float32) / 255, alpha=ramp, bit_depth=16)
    full, result = upscaler.upscale(picture), upscaler.upscale(picture, size=size)
    assert result.pixels.shape == (*expected, 3) and result.pixels.dtype == np.float32
    assert result.alpha is not None and result.alpha.shape == expected
    assert result.pixels.min() >= 0 and result.pixels.max() <= 1
    # Position: alpha is linear, so away from the borders its value tells where a pixel lies.
    across = ((np.arange(expected[1]) + 0.5) * 56 / expected[1] - 0.5) / 55
    inner = slice(expected[1] // 5, -expected[1] // 5)
    np.testing.assert_allclose(result.alpha[expected[0] // 2, inner], across[inner], atol=1e-3)
    # Content: the mean over each quarter is that of the restored picture.
    for rows, columns in ((0, 0), (0, 1), (1, 0), (1, 1)):
        quarters = [
            pixels[
                rows * len(pixels) // 2 : (rows + 1) * len(pixels) // 2,
                columns * pixels.shape[1] // 2 : (columns + 1) * pixels.shape[1] // 2,
            ].mean()
            for pixels in (full.pixels, result.pixels)
        ]
        assert quarters[0] == pytest.approx(quarters[1], abs=0.02)


def test_resizing_never_goes_through_eight_bit(upscaler: Upscaler) -> None:
    gray = np.linspace(0.4, 0.6, 40, dtype=np.float32)[None, :, None].repeat(20, axis=0)
    for scale in (2.5, 6):
        result = upscaler.upscale(gray, size=OutputSize(scale=scale))
        assert len(np.unique(result)) > 1000


def test_too_large_a_size_names_the_file(upscaler: Upscaler, tmp_path: Path) -> None:
    Image.fromarray(made_photo(8, 8)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"a\.png: .*ask for less"):
        upscaler.upscale(tmp_path / "a.png", size=OutputSize(scale=1e6))


def test_a_size_for_arrays(upscaler: Upscaler, photo: NDArray[np.uint8]) -> None:
    rgba = np.dstack([photo, photo[:, :, 0]])
    result = upscaler.upscale(rgba, size=OutputSize(scale=1.5))
    assert result.shape == (60, 84, 4) and result.dtype == np.uint8
    assert (upscaler.upscale(rgba, size=OutputSize(scale=4)) == upscaler.upscale(rgba)).all()


def test_hidden_colours_do_not_matter(upscaler: Upscaler) -> None:
    """Whatever a file holds under transparent pixels, the result is the same: no fringe can come of it."""
    shape = np.hypot(*np.mgrid[-20:20, -28:28]) < 13
    rgba = np.dstack([made_photo(40, 56), shape * np.uint8(255)]).astype(np.uint8)
    dark, light = rgba.copy(), rgba.copy()
    dark[~shape, :3], light[~shape, :3] = 0, 255
    assert (upscaler.upscale(dark) == upscaler.upscale(light)).all()


def test_a_uniform_shape_has_no_fringe(upscaler: Upscaler) -> None:
    shape = np.hypot(*np.mgrid[-20:20, -28:28]) < 13
    rgba = np.zeros((40, 56, 4), np.uint8)
    rgba[shape] = (200, 120, 60, 255)
    uniform = np.broadcast_to(np.uint8([200, 120, 60]), (40, 56, 3))
    result = upscaler.upscale(rgba)
    adaptation = upscaler.adapt([uniform])
    expected = upscaler.upscale(np.ascontiguousarray(uniform), support=adaptation)
    seen = result[:, :, 3] > 0
    assert np.abs(result[seen][:, :3].astype(int) - expected[seen]).max() <= 1


def test_opaque_alpha_changes_nothing(upscaler: Upscaler, photo: NDArray[np.uint8]) -> None:
    result = upscaler.upscale(np.dstack([photo, np.full(photo.shape[:2], 255, np.uint8)]))
    assert (result[:, :, :3] == upscaler.upscale(photo)).all() and (result[:, :, 3] == 255).all()


def test_fully_transparent(upscaler: Upscaler, photo: NDArray[np.uint8]) -> None:
    result = upscaler.upscale(np.dstack([photo, np.zeros(photo.shape[:2], np.uint8)]))
    assert (result[:, :, 3] == 0).all()


def test_adapting_once_equals_adapting_each_time(upscaler: Upscaler, photo: NDArray[np.uint8]) -> None:
    adaptation = upscaler.adapt([photo])
    assert adaptation.condition.shape[0] == 1 and adaptation.model == "tiny"
    assert (upscaler.upscale(photo, support=adaptation) == upscaler.upscale(photo)).all()


def test_the_support_set_matters(upscaler: Upscaler, photo: NDArray[np.uint8]) -> None:
    other = upscaler.adapt([255 - made_photo(60, 60, seed=3) // 4])
    assert (upscaler.upscale(photo, support=other) != upscaler.upscale(photo)).any()


def test_support_from_paths_arrays_and_pictures_is_the_same(
    upscaler: Upscaler, photo: NDArray[np.uint8], tmp_path: Path
) -> None:
    Image.fromarray(photo).save(tmp_path / "a.png")
    kinds: list[Any] = [photo, tmp_path / "a.png", str(tmp_path / "a.png"), read(tmp_path / "a.png")]
    conditions = [upscaler.adapt([kind]).condition for kind in kinds]
    assert all((condition == conditions[0]).all() for condition in conditions)


def test_a_fixed_number_of_patches_is_shared(make_model: MakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    upscaler = Upscaler(make_model(fixed_count=6), device="cpu")
    seen: list[NDArray[np.float32]] = []
    original = upscaler.engine.condition
    monkeypatch.setattr(
        upscaler.engine, "condition", lambda support: (seen.append(support), original(support))[1]
    )
    flats = [np.full((30, 30, 3), 25 * i, np.uint8) for i in range(1, 10)]
    for count, expected in ((1, 6), (4, 6), (9, 6)):
        upscaler.adapt(flats[:count])
        patches = seen.pop()
        assert patches.shape == (expected, 3, 12, 12)
        assert len(np.unique(patches)) == min(count, 6)


def test_each_support_image_is_read_by_itself(upscaler: Upscaler) -> None:
    photos = [made_photo(30, 40 + i, seed=i) for i in range(9)]
    together = upscaler.adapt(photos)
    own = [upscaler.adapt([photo]).condition for photo in photos]
    np.testing.assert_allclose(together.condition, np.mean(own, axis=0), rtol=1e-6)
    assert (upscaler.adapt(photos[::-1]).modulation == together.modulation).all()


def test_fixed_count_is_filled_from_what_there_is(
    make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    upscaler = Upscaler(make_model(fixed_count=6), device="cpu")
    seen: list[NDArray[np.float32]] = []
    original = upscaler.engine.condition
    monkeypatch.setattr(
        upscaler.engine, "condition", lambda support: (seen.append(support), original(support))[1]
    )
    upscaler.adapt([made_photo(13, 13)])  # four positions for six patches
    assert len(seen[0]) == 6 and len(np.unique(seen[0], axis=0)) == 4


def test_model_that_does_not_adapt(make_model: MakeModel, photo: NDArray[np.uint8]) -> None:
    upscaler = Upscaler(make_model(adaptive=False, scale=2), device="cpu")
    assert upscaler.upscale(photo).shape == (80, 112, 3)
    with pytest.raises(InputError, match="does not adapt"):
        upscaler.adapt([photo])


class TestTexture:
    """From what is certain to all the texture, along a straight line."""

    @pytest.mark.parametrize("size", [None, OutputSize(scale=1.5)])
    def test_half_way_is_the_mean(
        self, make_model: MakeModel, photo: NDArray[np.uint8], size: OutputSize | None
    ) -> None:
        folder = make_model(texture=1.0, adaptive=False)
        # Within [0.3, 0.7], so that nothing is clipped.
        pixels = 0.3 + 0.4 * photo.astype(np.float32) / 255
        none, half, all_, default = (
            Upscaler(folder, device="cpu", tile=20, texture=texture).upscale(pixels, size=size)
            for texture in (0, 0.5, 1, None)
        )
        assert min(none.min(), all_.min()) > 0 and max(none.max(), all_.max()) < 1
        assert np.abs(all_ - none).max() > 0.02
        np.testing.assert_allclose(half, (none + all_) / 2, atol=1e-5)
        assert (default == all_).all()

    def test_it_goes_with_a_condition(self, make_model: MakeModel, photo: NDArray[np.uint8]) -> None:
        folder = make_model(texture=0.5)
        upscalers = [Upscaler(folder, device="cpu", texture=texture) for texture in (None, 0.5, 0.8)]
        results = [upscaler.upscale(photo) for upscaler in upscalers]
        assert [upscaler.texture for upscaler in upscalers] == [0.5, 0.5, 0.8]
        assert (results[0] == results[1]).all() and (results[0] != results[2]).any()
        assert (blindsr.upscale(photo, model=folder, device="cpu", texture=0.8) == results[2]).all()

    def test_a_model_that_has_none(self, make_model: MakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
        folder = make_model("plain")
        monkeypatch.setattr("blindsr.upscaling.upscaler.models_with_texture", lambda: [])
        with pytest.raises(InputError, match=r"model plain has no texture .* leave --texture out$"):
            Upscaler(folder, texture=0.0)
        monkeypatch.undo()
        monkeypatch.setenv("BLINDSR_MODELS", str(make_model("views", texture=1.0)))
        with pytest.raises(InputError, match=r"leave --texture out, or take a model that has it: .*views"):
            Upscaler(folder, texture=1)

    @pytest.mark.parametrize("texture", [-0.1, 1.01, float("nan"), float("inf")])
    def test_out_of_range(self, make_model: MakeModel, texture: float) -> None:
        with pytest.raises(InputError, match=f"texture {texture:g}: give a number from 0 to 1"):
            Upscaler(make_model(texture=1.0), texture=texture)


def test_a_model_that_enlarges_nothing(make_model: MakeModel, tmp_path: Path) -> None:
    """Scale 1: the photo keeps its size, alpha and all, and any other size is made from that."""
    rgba = np.dstack([made_photo(37, 30), np.full((37, 30), 255, np.uint8)])
    rgba[:9, :, 3] = np.arange(30) * 8
    Image.fromarray(rgba).save(tmp_path / "in.png")
    upscaler = Upscaler(make_model(scale=1, multiple=4, texture=1.0, adaptive=False), device="cpu", tile=9)
    upscaler.upscale_file(tmp_path / "in.png", tmp_path / "out.png")
    result = np.asarray(Image.open(tmp_path / "out.png"))
    assert result.shape == rgba.shape and (result[:, :, 3] == rgba[:, :, 3]).all()
    assert (result[:, :, :3] != rgba[:, :, :3]).any()
    assert np.corrcoef(result[9:, :, :3].ravel(), rgba[9:, :, :3].ravel())[0, 1] > 0.6
    assert upscaler.upscale(rgba, size=OutputSize(scale=2)).shape == (74, 60, 4)


def test_adaptation_of_another_model(make_model: MakeModel, photo: NDArray[np.uint8]) -> None:
    one, two = (Upscaler(make_model(name), device="cpu") for name in ("one", "two"))
    with pytest.raises(InputError, match="model one, not for two"):
        two.upscale(photo, support=one.adapt([photo]))


def test_same_bytes_twice(make_model: MakeModel, photo: NDArray[np.uint8], tmp_path: Path) -> None:
    Image.fromarray(photo).save(tmp_path / "in.png")
    for name in ("a.png", "b.png"):
        write(Upscaler(make_model(), device="cpu", tile=16).upscale(tmp_path / "in.png"), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_tiles_are_announced(make_model: MakeModel, photo: NDArray[np.uint8]) -> None:
    steps: list[tuple[int, int]] = []
    upscaler = Upscaler(make_model(), device="cpu", tile=20)
    upscaler.upscale(photo, on_tile=lambda done, total: steps.append((done, total)))
    assert steps == [(i + 1, len(steps)) for i in range(len(steps))] and len(steps) > 2


@pytest.mark.parametrize(
    ("options", "error", "fault"),
    [
        ({"tile": 0}, InputError, "tile 0"),
        ({"tile": "tiny"}, InputError, "tile 'tiny'"),
        ({"threads": 0}, InputError, "threads 0"),
        ({"device": "tpu"}, InputError, "device 'tpu'"),
        ({"model": "no-such-model"}, ModelError, "no model named 'no-such-model'"),
    ],
)
def test_bad_options(
    make_model: MakeModel, options: dict[str, Any], error: type[Exception], fault: str
) -> None:
    with pytest.raises(error, match=fault):
        Upscaler(**{"model": make_model(), **options})


class TestIdentity:
    """What makes other bytes has another one, and nothing else."""

    @pytest.fixture
    def folder(self, make_model: MakeModel) -> Path:
        return make_model(texture=1.0)

    def test_it_is_json(self, folder: Path) -> None:
        upscaler = Upscaler(folder, device="cpu")
        camera = upscaler.adapt([made_photo(20, 20)])
        identity = upscaler.identity(support=camera, size=OutputSize(fit=(30, 40)), quality=80)
        assert json.loads(json.dumps(identity)).keys() == identity.keys()

    def test_what_counts(self, folder: Path, make_model: MakeModel) -> None:
        upscaler = Upscaler(folder, device="cpu")
        adaptations = [upscaler.adapt([made_photo(20, 20, seed)]) for seed in range(2)]
        small = Upscaler(folder, device="cpu", tile=8)
        identities = [
            upscaler.identity(),
            Upscaler(folder, device="cpu", texture=0.5).identity(),
            Upscaler(make_model("other", texture=1.0, seed=1), device="cpu").identity(),
            *(upscaler.identity(support=adaptation) for adaptation in adaptations),
            *(upscaler.identity(quality=quality) for quality in (80, 90)),
            *(upscaler.identity(size=OutputSize(scale=scale)) for scale in (2.5, 2.50000001)),
            upscaler.identity(size=OutputSize(width=70)),
            upscaler.identity(size=OutputSize(height=70)),
            small.identity(size=OutputSize(height=70)),
            upscaler.identity(mark=False),
            Upscaler(replace(upscaler.model, name="renamed"), device="cpu").identity(),
        ]
        assert len({json.dumps(identity, sort_keys=True) for identity in identities}) == len(identities)

    def test_versions_count(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        upscaler = Upscaler(folder, device="cpu")
        before = upscaler.identity()
        for place, value in (
            ("blindsr.version.__version__", "0"),
            ("blindsr.upscaling.upscaler.package_version", lambda package: "0"),
            ("pyvips.version", lambda part: 0),
        ):
            monkeypatch.setattr(place, value)
            assert upscaler.identity() != before
            monkeypatch.undo()
        assert upscaler.identity() == before

    def test_what_does_not_count(self, folder: Path) -> None:
        upscaler = Upscaler(folder, device="cpu")
        described = replace(upscaler.model, description="", provenance={}, tile_memory=1)
        renamed = replace(described, name="renamed")
        for other in (
            Upscaler(folder, device="cpu", threads=1, tile=8, memory=Memory(SMALLEST), max_pixels=10),
            Upscaler(described, device="cpu", texture=1.0),
        ):
            assert other.identity() == upscaler.identity()
        assert Upscaler(renamed, device="cpu").identity(mark=False) == upscaler.identity(mark=False)
        assert upscaler.identity(size=OutputSize(scale=4)) == upscaler.identity()


class TestMark:
    """A result says how it was made, by whichever way it came to be."""

    @pytest.fixture
    def upscaler(self, make_model: MakeModel) -> Upscaler:
        return Upscaler(make_model("some", texture=0.5), device="cpu", threads=1)

    def test_from_file_to_file(self, upscaler: Upscaler, tmp_path: Path) -> None:
        Image.fromarray(made_photo(20, 24)).save(tmp_path / "in.png")
        upscaler.upscale_file(tmp_path / "in.png", tmp_path / "a.png", size=OutputSize(scale=2.5))
        made = read(tmp_path / "a.png").metadata.restored_before
        settings = {"scale": "2.5", "texture": "0.5", "precision": "fp32"}
        assert made == Origin(__version__, "some", settings)
        upscaler.upscale_file(tmp_path / "in.png", tmp_path / "b.png", size=OutputSize(scale=2.5))
        assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
        upscaler.upscale_file(tmp_path / "in.png", tmp_path / "c.png", mark=False)
        assert read(tmp_path / "c.png").xmp is None
        assert "already a result" in upscaler.upscale_file(tmp_path / "a.png", tmp_path / "d.png").warning
        assert "already a result" not in upscaler.upscale_file(tmp_path / "c.png", tmp_path / "d.png").warning

    def test_a_saved_picture_if_it_was_restored(self, upscaler: Upscaler, tmp_path: Path) -> None:
        picture = Picture(made_photo(20, 24).astype(np.float32) / 255)
        picture.save(tmp_path / "a.png")
        assert read(tmp_path / "a.png").xmp is None, "nothing was done to it"
        twice = upscaler.upscale(upscaler.upscale(tmp_path / "a.png"))
        twice.save(tmp_path / "b.png")
        xmp = read(tmp_path / "b.png").xmp
        assert xmp is not None and xmp.count(b'stEvt:action="edited"') == 2
        upscaler.upscale(tmp_path / "a.png", mark=False).save(tmp_path / "c.png")
        assert read(tmp_path / "c.png").xmp is None

    def test_a_model_of_another_program(self, tmp_path: Path) -> None:
        upscaler = Upscaler(write_onnx(tmp_path / "2x-other.onnx", convolutions=1), device="cpu", threads=1)
        upscaler.upscale(Image.fromarray(made_photo(20, 24))).save(tmp_path / "a.png")
        made = read(tmp_path / "a.png").metadata.restored_before
        assert made is not None and made.model == upscaler.model.name and made.settings["scale"] == "2"


def test_public_face(make_model: MakeModel, photo: NDArray[np.uint8]) -> None:
    folder = make_model()
    result = blindsr.upscale(photo, model=folder, tile=16, device="cpu")
    assert (result == blindsr.Upscaler(blindsr.load_model(folder)).upscale(photo)).mean() > 0.99
    assert set(blindsr.__all__) <= set(dir(blindsr))
    for name in blindsr.__all__:
        assert getattr(blindsr, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'upscaled'"):
        _ = blindsr.upscaled  # type: ignore[attr-defined]


class TestFromFileToFile:
    """What is done within a bound on memory is what is done in memory."""

    @pytest.mark.parametrize(
        "size", [None, OutputSize(scale=2.5), OutputSize(width=300), OutputSize(scale=0.2)]
    )
    @pytest.mark.parametrize("kind", ["rgb", "gray", "rgba", "shape"])
    def test_same_bytes(
        self, make_model: MakeModel, tmp_path: Path, kind: str, size: OutputSize | None
    ) -> None:
        photo = made_photo(70, 90)
        alpha = {"rgba": photo[:, :, 1], "shape": 255 * (photo[:, :, 1] > 120).astype(np.uint8)}.get(kind)
        array = photo if alpha is None else np.dstack([photo, alpha])
        Image.fromarray(photo[:, :, 0] if kind == "gray" else array).save(tmp_path / "in.png")
        upscaler = Upscaler(make_model(), device="cpu", tile=24, memory=Memory(SMALLEST))
        write(upscaler.upscale(tmp_path / "in.png", size=size), tmp_path / "memory.png")
        upscaler.upscale_file(tmp_path / "in.png", tmp_path / "file.png", size=size)
        on_disk = Limits(samples=0, folder=tmp_path)
        upscaler.limits = lambda target: on_disk  # type: ignore[method-assign]
        upscaler.upscale_file(tmp_path / "in.png", tmp_path / "disk.png", size=size)
        expected = (tmp_path / "memory.png").read_bytes()
        assert (tmp_path / "file.png").read_bytes() == expected
        assert (tmp_path / "disk.png").read_bytes() == expected
        assert len(list(tmp_path.glob("*"))) == 5  # three results, the photo, the models

    def test_what_the_target_holds_decides(
        self, upscaler: Upscaler, tmp_path: Path, photo: NDArray[np.uint8]
    ) -> None:
        rgba = np.dstack([photo, photo[:, :, 0]])
        Image.fromarray(rgba).save(tmp_path / "in.png")
        for name in ("out.jpg", "out.tif", "out.webp"):
            upscaler.upscale_file(tmp_path / "in.png", tmp_path / name)
            result = read(tmp_path / name)
            assert (result.height, result.width) == (160, 224)
            assert (result.alpha is None) == (name == "out.jpg")

    def test_a_result_that_cannot_be_is_refused_before_the_network_runs(
        self, upscaler: Upscaler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        Image.fromarray(made_photo(2, 5000)).save(tmp_path / "in.png")
        monkeypatch.setattr(upscaler.engine, "upscale", None)
        with pytest.raises(InputError, match="at most 16383 pixels a side"):
            upscaler.upscale_file(tmp_path / "in.png", tmp_path / "out.webp")
        with pytest.raises(InputError, match="more than the"):
            upscaler.max_pixels = 9999
            upscaler.upscale_file(tmp_path / "in.png", tmp_path / "out.png")
        assert not (tmp_path / "out.webp").exists()


class TestMemory:
    """Tiles obey the memory, and too large ones are made smaller."""

    def test_tiles_shrink_until_there_is_memory_enough(
        self, make_model: MakeModel, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        photo = made_photo(300, 400)
        upscaler = Upscaler(make_model(), device="cpu")
        expected = upscaler.upscale(photo)
        whole = upscaler.engine.upscale

        def scarce(lr: NDArray[np.float32], *knobs: Any) -> NDArray[np.float32]:
            if lr.size > 3 * 40_000:
                raise MemoryError("bad_alloc")
            return whole(lr, *knobs)

        monkeypatch.setattr(upscaler.engine, "upscale", scarce)
        caplog.set_level("WARNING", "blindsr")
        steps: list[tuple[int, int]] = []
        result = upscaler.upscale(photo, on_tile=lambda done, total: steps.append((done, total)))
        assert np.abs(result.astype(int) - expected).max() <= 1
        assert steps[-1][0] == steps[-1][1] > 1
        assert ["going on with smaller ones" in record.message for record in caplog.records] == [True]
        upscaler.upscale(photo)
        assert len(caplog.records) == 1, "said once, and the next photo begins with tiles that fit"

    def test_memory_that_suffices_for_nothing(
        self, upscaler: Upscaler, monkeypatch: pytest.MonkeyPatch, photo: NDArray[np.uint8]
    ) -> None:
        def none(lr: NDArray[np.float32], *knobs: Any) -> NDArray[np.float32]:
            raise MemoryError

        monkeypatch.setattr(upscaler.engine, "upscale", none)
        with pytest.raises(InputError, match="not enough memory even for small tiles"):
            upscaler.upscale(photo)

    def test_memory_that_does_not_suffice_for_a_wide_halo(
        self, make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Tiles that cannot be made smaller are not tried for ever."""
        upscaler = Upscaler(make_model(halo=60), device="cpu")
        areas: list[int] = []

        def scarce(lr: NDArray[np.float32], *knobs: Any) -> NDArray[np.float32]:
            areas.append(lr.shape[2] * lr.shape[3])
            raise MemoryError

        monkeypatch.setattr(upscaler.engine, "upscale", scarce)
        with pytest.raises(InputError, match="not enough memory even for small tiles"):
            upscaler.upscale(made_photo(300, 400))
        assert areas == sorted(set(areas), reverse=True) and areas[-1] <= 180 * 180

    def test_a_wide_halo_of_grouped_pixels_has_wide_tiles(self, make_model: MakeModel) -> None:
        """The halo of a network on groups of 4 x 4 pixels is four times as wide, and so may its tiles be."""
        picture = Picture(np.zeros((3000, 4000, 3), np.float32))
        grouped = {"multiple": 4, "halo": 200, "tile_memory": 750}  # of each pixel a 16th of the usual
        upscaler = Upscaler(make_model(scale=1, adaptive=False, **grouped), device="cpu")
        tiles = upscaler._plan(picture, 3000, 4000, None)
        assert sum(tile.window.area for tile in tiles) < 2.2 * 3000 * 4000

    def test_tiles_fit_their_share(self, make_model: MakeModel) -> None:
        picture = Picture(np.zeros((3000, 4000, 1), np.float32))
        upscaler = Upscaler(make_model(tile_memory=10_000), device="cpu")
        for memory in (Memory(SMALLEST), Memory(1 << 30), Memory(1 << 34)):
            tiles = upscaler._plan(picture, 12000, 16000, memory)
            assert max(tile.window.area for tile in tiles) * 10_000 <= memory.tile
            resized = upscaler._plan(picture, 9000, 12000, memory)
            rows = max(tile.core.bottom - tile.core.top for tile in resized)
            area = max(tile.window.area for tile in resized)
            # The rows in hand: floats, three channels, 12000 columns, 3 rows for one of the photo.
            assert area * 10_000 + 4 * 3 * 12000 * 3 * rows <= memory.tile
        assert upscaler._plan(picture, 12000, 16000, Memory(1 << 34)) == upscaler._plan(
            picture, 12000, 16000, None
        )
