"""Beyond a photo's rim a network sees its reflection, so a result's frame is as good as its inside."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from skimage.data import astronaut, coffee

from blindsr.degradation import Degradation, degrade_image
from blindsr.models.catalogue import SHIPPED, find_model
from blindsr.picture import Picture, open_photo
from blindsr.picture.colours import Colours
from blindsr.picture.rim import MARGIN, margins, reflected
from blindsr.picture.samples import Samples
from blindsr.picture.sizing import OutputSize
from blindsr.upscaling.tiling import whole
from blindsr.upscaling.upscaler import Upscaler

from ..conftest import HALO, MakeModel, made_photo

NAMES = sorted(folder.name for folder in SHIPPED.iterdir() if folder.is_dir())
FLAT = [
    (255, 255, 255), (250, 250, 250), (235, 200, 90), (128, 128, 128), (20, 20, 20), (200, 60, 60),
    (70, 120, 200), (90, 160, 90),
]  # fmt: skip


@given(length=st.integers(1, 40), before=st.integers(0, 60), after=st.integers(0, 60))
def test_reflection_is_about_the_edge(length: int, before: int, after: int) -> None:
    expected = np.pad(np.arange(length), (before, after), mode="symmetric")
    assert (reflected(-before, length + after, length) == expected).all()


@given(length=st.integers(1, 60), halo=st.integers(0, 40), multiple=st.integers(1, 9))
def test_margins_are_what_is_seen_in_whole_groups(length: int, halo: int, multiple: int) -> None:
    before, after = margins(length, halo, multiple)
    assert before % multiple == (before + length + after) % multiple == 0
    assert all(min(MARGIN, halo) <= margin < min(MARGIN, halo) + multiple for margin in (before, after))


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("gray", [False, True])
def test_colours_go_on_beyond_the_rim(gray: bool, alpha: bool) -> None:
    photo = made_photo(21, 30).astype(np.float32) / 255
    opacity = (photo[:, :, 1] > 0.4).astype(np.float32) if alpha else None
    colours = Colours(Picture(photo[:, :, : 1 if gray else 3], alpha=opacity))
    inside = colours.window(slice(0, 21), slice(0, 30))
    extended = np.pad(inside, ((9, 9), (9, 9), (0, 0)), mode="symmetric")
    for top, bottom, left, right in ((-9, 30, -9, 39), (-3, 10, 5, 39), (4, 9, -2, 3), (3, 8, 6, 9)):
        window = colours.window(slice(top, bottom), slice(left, right))
        assert (window == extended[top + 9 : bottom + 9, left + 9 : right + 9]).all()


def test_nothing_is_read_twice_for_it(
    make_model: MakeModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One read for a tile, of no more than its window."""
    Image.fromarray(made_photo(70, 90)).save(tmp_path / "in.png")
    read: list[tuple[int, int]] = []
    window = Samples.window

    def counted(samples: Samples, rows: slice, columns: slice) -> NDArray[np.uint8]:
        assert rows.start >= 0 and columns.start >= 0
        read.append((rows.stop - rows.start, columns.stop - columns.start))
        return window(samples, rows, columns)

    monkeypatch.setattr(Samples, "window", counted)
    upscaler = Upscaler(make_model(adaptive=False), device="cpu", tile=24)
    steps: list[int] = []
    with open_photo(tmp_path / "in.png", upscaler.limits(tmp_path)) as photo:
        read.clear()
        upscaler.restore(photo, tmp_path / "out.png", on_tile=lambda done, total: steps.append(total)).close()
    assert len(read) == steps[0] > 4 and max(max(sides) for sides in read) <= 24 + 2 * HALO


@settings(max_examples=25, deadline=None)
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    multiple=st.sampled_from([1, 2, 3, 4]),
    tile=st.sampled_from(["auto", 1, 16]),
)
def test_a_result_is_cut_out_of_that_of_the_photo_gone_on(
    tmp_path_factory: pytest.TempPathFactory, height: int, width: int, multiple: int, tile: int | str
) -> None:
    """A network within whose sight the photo never ends."""
    upscaler = _grouped(tmp_path_factory, multiple)
    photo = made_photo(height, width).astype(np.float32) / 255
    far = HALO * multiple
    around = np.pad(photo, ((far, far), (far, far), (0, 0)), mode="symmetric")
    upscaler.tile = "auto"
    expected = upscaler.upscale(around)[2 * far : 2 * (far + height), 2 * far : 2 * (far + width)]
    upscaler.tile = tile
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("blindsr.picture.rim.MARGIN", far)  # those of wider groups see further than the margin
        assert np.abs(upscaler.upscale(photo) - expected).max() < 1e-5


_GROUPED: dict[int, Upscaler] = {}


def _grouped(tmp_path_factory: pytest.TempPathFactory, multiple: int) -> Upscaler:
    """A model that works on groups of pixels."""
    if multiple not in _GROUPED:
        from ..conftest import write_model

        folder = tmp_path_factory.mktemp("grouped") / str(multiple)
        folder = write_model(folder, scale=2, multiple=multiple, adaptive=False)
        _GROUPED[multiple] = Upscaler(folder, device="cpu", threads=1)
    return _GROUPED[multiple]


SHAPES = [(1, 1), (1, 9), (9, 1), (2, 2), (3, 40), (24, 24)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("gray", [False, True])
def test_every_cell_of_a_flat_photo_is_the_same(
    make_model: MakeModel, shape: tuple[int, int], gray: bool
) -> None:
    photo = np.full(shape if gray else (*shape, 3), 52428, np.uint16)
    result = Upscaler(make_model(adaptive=False), device="cpu").upscale(photo).astype(np.int64)
    assert np.ptp(result.reshape(shape[0], 4, shape[1], 4, -1), axis=(0, 2)).max() <= 2


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("scale", [1, 2.5, 0.5, 7])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_what_is_flat_is_resized_flat(
    make_model: MakeModel, shape: tuple[int, int], scale: float, channels: int
) -> None:
    """To the corner, alpha too; by a network that enlarges nothing, and so leaves a flat photo flat."""
    photo = np.full((*shape, channels), 52428, np.uint16)
    upscaler = Upscaler(make_model(adaptive=False, scale=1), device="cpu")
    result = upscaler.upscale(photo, size=OutputSize(scale=scale)).astype(np.int64)
    assert np.ptp(result, axis=(0, 1)).max() <= 2
    if channels == 4:
        assert np.abs(result[:, :, 3] - 52428).max() <= 1


def test_the_support_set_is_of_the_photo_alone(
    make_model: MakeModel, monkeypatch: pytest.MonkeyPatch, photo: NDArray[np.uint8]
) -> None:
    upscaler = Upscaler(make_model(patch=40, count=1), device="cpu")
    seen: list[NDArray[np.float32]] = []
    original = upscaler.engine.condition
    monkeypatch.setattr(
        upscaler.engine, "condition", lambda support: (seen.append(support), original(support))[1]
    )
    square = np.ascontiguousarray(photo[:, :40])
    upscaler.upscale(square)
    (support,) = seen
    np.testing.assert_array_equal(support[0].transpose(1, 2, 0), square.astype(np.float32) / 255)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize("name", NAMES)
def test_a_flat_photo_has_no_frame(name: str, precision: str) -> None:
    """The outermost pixels stray from the inside's mean by at most a level more than the inside itself."""
    upscaler = Upscaler(name, device="cpu", threads=1, precision=precision)
    scale = upscaler.model.scale
    for colour in FLAT:
        result = upscaler.upscale(np.full((24, 24, 3), colour, np.uint8)).astype(np.float64)
        rim = np.ones(result.shape[:2], bool)
        rim[scale:-scale, scale:-scale] = False
        inside = result[8 * scale : -8 * scale, 8 * scale : -8 * scale].reshape(-1, 3)
        mean = inside.mean(axis=0)
        lattice = np.abs(inside - mean).max()
        assert np.abs(result[rim] - mean).max() <= lattice + 1, f"{colour}: a frame"


@pytest.mark.parametrize("name", NAMES)
def test_a_white_page_is_white_to_its_rim(name: str) -> None:
    upscaler = Upscaler(name, device="cpu", threads=1, precision="fp32")
    assert upscaler.upscale(np.full((24, 24, 3), 255, np.uint8)).min() >= 254


@pytest.mark.parametrize("task", ["", "blur=1.3,noise=15", "blur=2.6"])
def test_the_rim_of_a_photo_is_restored_as_by_a_network_that_sees_zeros(task: str) -> None:
    """Zeros frame what is flat, but a network is trained with them, and good at the rims of photos.

    A mirror in the middle of the outermost pixels would lose about two decibels here.
    """
    upscaler = Upscaler("cmdsr-x4", device="cpu", threads=1, precision="fp32")
    gains = []
    for seed, photo in enumerate((astronaut()[:288, 80:368], coffee()[60:348, 100:388])):
        lr = degrade_image(photo.astype(np.float32) / 255, Degradation.parse(task, scale=4), seed)
        lr, hr = np.ascontiguousarray(lr[12:-12, 12:-12]), photo[48:-48, 48:-48] / 255
        modulation = upscaler.adapt([lr]).modulation
        alone = upscaler.engine.upscale(np.ascontiguousarray(lr.transpose(2, 0, 1)[None]), modulation)
        rim = np.ones(hr.shape[:2], bool)
        rim[4:-4, 4:-4] = False
        results = upscaler.upscale(lr), alone[0].transpose(1, 2, 0).clip(0, 1)
        errors = [np.square(result - hr)[rim].mean() for result in results]
        gains.append(10 * np.log10(errors[1] / errors[0]))
    assert np.mean(gains) > -0.6


def test_zeros_beyond_the_rim_would_be_seen() -> None:
    """The comparisons above can fail: without the margin they do."""
    upscaler = Upscaler("cria-x4-compact", device="cpu", threads=1, precision="fp32")
    alone = upscaler.engine.upscale(np.ones((1, 3, 24, 24), np.float32), None)
    assert alone[0, :, :4].min() < 250 / 255
    model = find_model("cria-x4-compact")
    tile = whole(24, 24, model.halo, model.multiple)
    assert (tile.window.top, tile.window.bottom) == (-MARGIN, 24 + MARGIN)
