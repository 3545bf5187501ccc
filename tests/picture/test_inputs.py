"""A photo in any form is the same photo: path, bytes, open file, array of any layout, image of Pillow's."""

from __future__ import annotations

import gzip
import io
import os
import threading
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

import blindsr
from blindsr.errors import InputError
from blindsr.picture import Limits, Picture, find_pictures, open_photo, read, write
from blindsr.picture.inputs import as_picture
from blindsr.upscaling.upscaler import Upscaler

from ..conftest import MakeModel, made_photo, save_photos


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A photo with alpha, as PNG."""
    return save(tmp_path / "a.png", np.dstack([made_photo(20, 30), made_photo(20, 30, 1)[:, :, 0]]))


def save(path: Path, levels: NDArray[Any], **options: object) -> Path:
    Image.fromarray(levels).save(path, **options)  # type: ignore[arg-type]
    return path


def same(one: Picture, other: Picture) -> bool:
    """Pixel by pixel, with all that belongs to them."""
    planes = (one.pixels, other.pixels), (one.alpha, other.alpha)
    rest = [(p.bit_depth, p.icc, p.exif, p.xmp, p.dpi) for p in (one, other)]
    return all(np.array_equal(a, b) for a, b in planes) and rest[0] == rest[1]  # type: ignore[arg-type]


class Dribbling(io.RawIOBase):
    """A stream that cannot be sought, and gives fewer bytes than it is asked for."""

    def __init__(self, content: bytes) -> None:
        self._content = io.BytesIO(content)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._content.readinto(memoryview(buffer)[:7])


FORMS: dict[str, Callable[[Path], Any]] = {
    "str": str,
    "path": lambda path: path,
    "entry of a folder": lambda path: next(one for one in os.scandir(path.parent) if one.name == path.name),
    "bytes": Path.read_bytes,
    "bytearray": lambda path: bytearray(path.read_bytes()),
    "memoryview": lambda path: memoryview(path.read_bytes()),
    "BytesIO": lambda path: io.BytesIO(path.read_bytes()),
    "open file": lambda path: path.open("rb"),
    "unbuffered file": lambda path: path.open("rb", buffering=0),
    "stream without end in sight": lambda path: Dribbling(path.read_bytes()),
    "picture": read,
    "PIL": Image.open,
}


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_the_same_photo(file: Path, form: str) -> None:
    assert same(read(FORMS[form](file)), read(file))


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_taken_where_a_photo_is(
    file: Path, form: str, make_model: MakeModel, tmp_path: Path
) -> None:
    upscaler = Upscaler(make_model(), device="cpu")
    given = FORMS[form]
    expected = upscaler.upscale(file)
    result = upscaler.upscale(given(file))
    assert same(result, expected)
    assert same(blindsr.upscale(given(file), model=upscaler.model, device="cpu"), expected)
    condition = upscaler.adapt([file]).condition
    assert np.array_equal(upscaler.adapt([given(file)]).condition, condition)
    assert np.array_equal(upscaler.adapt(given(file)).condition, condition), "one photo needs no list"
    assert blindsr.compare(given(file), given(file)).sizes == ((30, 20), (30, 20))
    write(given(file), tmp_path / "again.png")
    assert same(read(tmp_path / "again.png"), read(file))


def test_a_file_in_an_archive(file: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(file, "a.png")
    with zipfile.ZipFile(tmp_path / "a.zip") as archive, archive.open("a.png") as inside:
        assert same(read(inside), read(file))
    with gzip.open(tmp_path / "a.png.gz", "wb") as packed:
        packed.write(file.read_bytes())
    with gzip.open(tmp_path / "a.png.gz") as inside:
        assert same(read(inside), read(file))


def test_from_where_it_stands_and_left_open(file: Path) -> None:
    stream = io.BytesIO(b"before it " + file.read_bytes())
    stream.seek(10)
    assert same(read(stream), read(file)) and not stream.closed
    with pytest.raises(InputError, match=r"<file>: nothing is left to read; .* seek\(0\) first"):
        read(stream)


def test_from_file_to_file_without_a_file(file: Path, make_model: MakeModel, tmp_path: Path) -> None:
    upscaler = Upscaler(make_model(), device="cpu")
    upscaler.upscale_file(file.read_bytes(), tmp_path / "one.png")
    with file.open("rb") as stream:
        upscaler.upscale_file(stream, tmp_path / "two.png")
    upscaler.upscale_file(file, tmp_path / "three.png")
    assert len({(tmp_path / f"{name}.png").read_bytes() for name in ("one", "two", "three")}) == 1


class Broken:
    """An object with a `read` that does what it is told."""

    def __init__(self, result: object) -> None:
        self._result = result

    def read(self, size: int = -1) -> Any:
        if isinstance(self._result, Exception):
            raise self._result
        return self._result


async def coroutine() -> bytes:
    return b""


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        (b"", "<bytes>: the file is empty|<bytes>: nothing"),
        (b"no photo at all", "<bytes>: not a photo format"),
        (io.BytesIO(), "<file>: nothing is left to read"),
        (io.StringIO("text"), "<file>: gives text; open it in binary mode"),
        (Broken(None), r"<file>: read\(\) gives 'NoneType', not bytes"),
        (
            Broken(ValueError("I/O operation\non closed file")),
            r"<file>: cannot be read \(I/O operation on closed file\)",
        ),
        (Broken(RuntimeError()), r"<file>: cannot be read \(RuntimeError\)"),
        (Broken(b"endless"), "<file>: does not end within 5000 bytes"),
        (None, "photo of type NoneType: give a path, bytes"),
        (7, "photo of type int: give a path"),
        (["a.png"], "photo of type list: give a path"),
        ((4, 4, 3), "photo of type tuple: give a path"),
    ],
)
def test_what_is_no_photo_is_one_line(given: object, fault: str) -> None:
    with pytest.raises(InputError, match=fault) as error:
        as_picture(given, Limits(codec=5000))  # type: ignore[arg-type]
    assert "\n" not in str(error.value)


def test_a_photo_s_bounds_hold_in_every_form(file: Path, make_model: MakeModel) -> None:
    upscaler = Upscaler(make_model(), device="cpu", max_pixels=599)
    for form in ("path", "bytes", "open file"):
        for use in (upscaler.upscale, upscaler.adapt):
            with pytest.raises(InputError, match=r"more than the 0\.000599 million pixels"):
                use(FORMS[form](file))
    assert Upscaler(make_model(), device="cpu", max_pixels=600).upscale(file).width == 120


def test_photos_of_a_support_set_come_in_any_iterable(tmp_path: Path, make_model: MakeModel) -> None:
    folder = save_photos(tmp_path / "photos", 3, 20, 30)
    upscaler = Upscaler(make_model(), device="cpu")
    photos = find_pictures(folder)
    expected = upscaler.adapt(photos)
    for given in (iter(photos), tuple(map(str, photos)), (photo.read_bytes() for photo in photos)):
        adaptation = upscaler.adapt(given)
        assert adaptation.photos == 3 and np.array_equal(adaptation.condition, expected.condition)
    for nothing, fault in (
        ([], "at least one image"),
        (3, "support set of type int"),
        (None, "type NoneType"),
    ):
        with pytest.raises(InputError, match=fault):
            upscaler.adapt(nothing)  # type: ignore[arg-type]
    stack = np.zeros((2, 20, 30, 3), np.uint8)
    with pytest.raises(InputError, match=r"array of shape \(2, 20, 30, 3\)"):
        upscaler.adapt(stack)
    assert upscaler.adapt(list(stack)).photos == 2


LAYOUTS: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
    "big-endian": lambda a: a.astype(a.dtype.newbyteorder(">")),
    "little-endian": lambda a: a.astype(a.dtype.newbyteorder("<")),
    "columns first": np.asfortranarray,
    "turned round": lambda a: a[::-1, ::-1].copy()[::-1, ::-1],
    "every other": lambda a: a.repeat(2, 0).repeat(3, 1)[::2, ::3],
    "channels first": lambda a: (
        np.ascontiguousarray(np.moveaxis(a, -1, 0)).transpose(1, 2, 0) if a.ndim == 3 else a
    ),
    "spread out": lambda a: np.broadcast_to(a, (2, *a.shape))[1],
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float16, np.float32, np.float64, np.longdouble])
@pytest.mark.parametrize("channels", [0, 2, 4])
def test_arrays_of_any_layout(layout: str, dtype: type, channels: int) -> None:
    shape = (6, 7, channels) if channels else (6, 7)
    levels = np.random.default_rng(0).integers(0, 256, shape)
    top = np.iinfo(dtype).max if np.issubdtype(dtype, np.integer) else 1
    plain = (levels * (top // 255)).astype(dtype) if top > 1 else (levels / 255).astype(dtype)
    array = LAYOUTS[layout](plain)
    array.flags.writeable = False
    picture = read(array)
    expected = plain.reshape(6, 7, -1).astype(np.float64) / top
    colours = 3 if channels >= 3 else 1
    np.testing.assert_allclose(picture.pixels, expected[:, :, :colours], atol=1e-6)
    assert picture.has_alpha == (channels in (2, 4)) and picture.gray == (colours == 1)
    if picture.alpha is not None:
        np.testing.assert_allclose(picture.alpha, expected[:, :, -1], atol=1e-6)
    assert picture.pixels.dtype == np.dtype(np.float32).newbyteorder("=") and np.array_equal(array, plain)
    back = picture.to_array(array.dtype)
    assert back.dtype == array.dtype
    np.testing.assert_allclose(np.squeeze(back), np.squeeze(plain), atol=0 if top > 1 else 1e-7)


@pytest.mark.parametrize("dtype", [">u2", "<u2", ">f4", ">f8", ">f2"])
def test_results_are_of_the_array_s_own_type(dtype: str, make_model: MakeModel) -> None:
    photo = made_photo(12, 14).astype(dtype)
    photo = photo * 257 if np.dtype(dtype).kind == "u" else photo / np.array(255, dtype)
    photo = photo.astype(dtype)
    upscaler = Upscaler(make_model(), device="cpu")
    result = upscaler.upscale(photo)
    assert result.dtype == np.dtype(dtype) and result.shape == (48, 56, 3)
    native = upscaler.upscale(photo.astype(np.dtype(dtype).newbyteorder("=")))
    assert np.array_equal(result, native)


@pytest.mark.parametrize(
    "dtype",
    [
        bool,
        np.int8,
        np.int16,
        np.int32,
        np.int64,
        np.uint32,
        np.uint64,
        np.complex64,
        object,
        "U3",
        "M8[s]",
        "f4,f4",
    ],
)
def test_arrays_of_other_types_are_refused(dtype: Any) -> None:
    with pytest.raises(
        InputError, match=r"^array of [^\n]{1,40}: give uint8, uint16, or floating point in \[0, 1\]$"
    ):
        read(np.zeros((4, 4, 3), dtype))


def test_gray_and_alpha_in_and_out(make_model: MakeModel) -> None:
    both = np.dstack([made_photo(12, 14)[:, :, 0], np.full((12, 14), 200, np.uint8)])
    result = Upscaler(make_model(), device="cpu").upscale(both)
    assert result.shape == (48, 56, 2) and (result[:, :, 1] == 200).all()


# --- images of Pillow's ----------------------------------------------------------------------------


def twin(image: Image.Image, path: Path, **options: Any) -> tuple[Picture, Picture]:
    """The picture of an image in memory, and of the file that Pillow makes of it."""
    image.save(path, **options)
    return read(image), read(path)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_modes_are_read_as_their_files_are(mode: str, tmp_path: Path) -> None:
    levels = made_photo(20, 30)
    image = Image.fromarray(levels)
    if mode == "I;16":
        image = Image.fromarray(levels[:, :, 0].astype(np.uint16) * 200)
    else:
        image = image.convert(mode)
    if "A" in mode:
        image.putalpha(Image.fromarray(levels[:, :, 1]))
    ours, of_file = twin(image, tmp_path / "a.png")
    # A bitmap's file tells of one bit; 8 are what a result has.
    assert same(ours, replace(of_file, bit_depth=max(8, of_file.bit_depth)))


@pytest.mark.parametrize(
    ("mode", "key"),
    [("P", 30), ("P", bytes(range(256))), ("L", 90), ("RGB", (110, 120, 130)), ("1", 255), ("I;16", 400)],
)
def test_a_transparent_colour_becomes_alpha(mode: str, key: Any, tmp_path: Path) -> None:
    gray = np.tile(np.arange(30, dtype=np.uint8) * 10, (20, 1))
    base = {
        "RGB": np.dstack([gray // 2 + 60, gray // 2 + 70, gray // 2 + 80]).astype(np.uint8),
        "I;16": gray.astype(np.uint16) * 4,
    }.get(mode, gray)
    image = Image.fromarray(base)
    if mode != image.mode:
        image = image.convert(mode)
    image.save(tmp_path / "a.png", transparency=key)
    picture = read(Image.open(tmp_path / "a.png"))
    assert picture.has_alpha and same(picture, read(tmp_path / "a.png"))
    assert picture.alpha is not None and 0 <= picture.alpha.min() < picture.alpha.max() <= 1


def test_cmyk_goes_through_its_profile_as_files_do(tmp_path: Path) -> None:
    image = Image.fromarray(made_photo(20, 30)).convert("CMYK")
    ours, of_file = twin(image, tmp_path / "a.tif")
    assert same(replace(ours, dpi=None), replace(of_file, dpi=None)) and not ours.gray


@pytest.mark.parametrize("mode", ["YCbCr", "HSV", "RGBX", "RGBa", "La", "F"])
def test_other_modes_keep_their_colours(mode: str) -> None:
    image = Image.fromarray(made_photo(20, 30))
    if mode == "F":
        values = np.linspace(0, 1, 600, dtype=np.float32).reshape(20, 30)
        assert np.array_equal(read(Image.fromarray(values)).pixels[:, :, 0], values)
        return
    before = {"RGBa": "RGBA", "La": "LA"}.get(mode, "RGB")
    picture = read(image.convert(before).convert(mode))
    assert np.abs(picture.pixels - read(image.convert(before)).pixels).max() < 4 / 255
    assert picture.has_alpha == (mode in ("RGBa", "La"))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_once(orientation: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = orientation, "a maker"
    Image.fromarray(made_photo(20, 30)).save(tmp_path / "a.png", exif=exif, dpi=(300, 150))
    with Image.open(tmp_path / "a.png") as image:
        ours = read(image)
        assert image.size == (30, 20), "the image that was given stays as it is"
    of_file = read(tmp_path / "a.png")
    assert np.array_equal(ours.pixels, of_file.pixels) and ours.exif == of_file.exif
    assert ours.dpi == pytest.approx(of_file.dpi, rel=1e-3)
    assert b"a maker" in (ours.exif or b"")


def test_what_belongs_to_it_comes_and_goes(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x010F] = "a maker"
    xmp = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"
    save(tmp_path / "a.jpg", made_photo(20, 30), icc_profile=profile, exif=exif, xmp=xmp, dpi=(200, 200))
    picture = read(Image.open(tmp_path / "a.jpg"))
    assert (picture.icc, picture.xmp, picture.dpi) == (profile, xmp, (200, 200))
    back = picture.to_pil()
    assert back.mode == "RGB" and same(read(back), picture)
    assert np.array_equal(np.asarray(back), picture.to_array())
    made = Image.fromarray(made_photo(20, 30))
    made.getexif()[0x010F] = "another"
    assert b"another" in (read(made).exif or b"")


def test_exif_of_a_tiff_does_not_tell_where_its_pixels_lie(tmp_path: Path) -> None:
    save(tmp_path / "a.tif", made_photo(20, 30), description="a walk")
    picture = read(Image.open(tmp_path / "a.tif"))
    assert b"a walk" in (picture.exif or b"")
    tags = Image.Exif()
    tags.load(picture.exif)
    assert set(tags) <= {0x010E}


def test_the_frame_that_an_image_stands_at(tmp_path: Path) -> None:
    frames = [Image.fromarray(made_photo(20, 30, seed)) for seed in range(3)]
    frames[0].save(tmp_path / "a.tif", save_all=True, append_images=frames[1:])
    with Image.open(tmp_path / "a.tif") as image:
        image.seek(2)
        assert np.array_equal(read(image).to_array(), made_photo(20, 30, 2))


@pytest.mark.parametrize(
    ("image", "fault"),
    [
        (Image.new("LAB", (4, 4)), "PIL image of mode LAB: convert it to RGB"),
        (Image.new("PA", (4, 4)), "PIL image of mode PA: convert it to RGB"),
        (Image.new("F", (4, 4), 200.0), r"every value must be in \[0, 1\]"),
        (Image.new("RGB", (0, 4)), "array of shape|cannot be decoded"),
    ],
)
def test_images_that_are_no_pictures(image: Image.Image, fault: str) -> None:
    with pytest.raises(InputError, match=fault):
        read(image)


def test_a_file_that_is_cut_off_in_pillow(tmp_path: Path) -> None:
    whole = save(tmp_path / "a.jpg", made_photo(64, 64), quality=95).read_bytes()
    with pytest.raises(InputError, match=r"PIL image of mode RGB: cannot be decoded \([^\n]+\)$"):
        read(Image.open(io.BytesIO(whole[: len(whole) // 2])))


# --- pictures ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pixels", "options", "fault"),
    [
        (np.zeros((4, 4, 3)), {}, "pixels of float64: give float32"),
        (np.zeros((4, 4, 3), np.uint8), {}, "pixels of uint8: give float32"),
        ([[0.0]], {}, "pixels of list: give float32"),
        (np.zeros((4, 4), np.float32), {}, r"pixels of shape \(4, 4\): give \(H, W, 3\) or \(H, W, 1\)"),
        (np.zeros((4, 4, 4), np.float32), {}, "pixels of shape"),
        (np.zeros((0, 4, 3), np.float32), {}, "pixels of shape"),
        (np.zeros((4, 4, 3), np.float32), {"alpha": np.zeros((4, 5), np.float32)}, "alpha of shape"),
        (np.zeros((4, 4, 3), np.float32), {"alpha": np.zeros((4, 4, 1), np.float32)}, "alpha of shape"),
        (np.zeros((4, 4, 3), np.float32), {"alpha": np.zeros((4, 4))}, "alpha of float64"),
        (np.zeros((4, 4, 3), np.float32), {"bit_depth": 9}, "9 bit: give one of 8, 10, 12, 16"),
    ],
)
def test_pictures_that_are_none(pixels: Any, options: dict[str, Any], fault: str) -> None:
    with pytest.raises(InputError, match=fault):
        Picture(pixels, **options)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif", ".avif", ".bmp"])
def test_a_picture_saves_itself_as_it_is_written(file: Path, suffix: str, tmp_path: Path) -> None:
    picture = read(file)
    lossy = suffix in (".jpg", ".webp", ".avif")
    options: dict[str, Any] = {"quality": 80} if lossy else {}
    picture.save(tmp_path / f"one{suffix}", **options)
    write(picture, str(tmp_path / f"two{suffix}"), **options)
    assert (tmp_path / f"one{suffix}").read_bytes() == (tmp_path / f"two{suffix}").read_bytes()
    with pytest.raises(InputError, match="gone"):
        picture.save(tmp_path / "gone" / f"a{suffix}")


def test_threads_read_one_photo_at_once(tmp_path: Path) -> None:
    """From memory and from the disk."""
    levels = made_photo(200, 150)
    save(tmp_path / "a.png", levels)
    for samples in (None, 1000):
        with open_photo(tmp_path / "a.png", Limits(samples=samples, folder=tmp_path)) as photo:
            wrong: list[int] = []

            def look(seed: int, photo: Any = photo, wrong: list[int] = wrong) -> None:
                rng = np.random.default_rng(seed)
                for _ in range(30):
                    top, left = rng.integers(0, 150), rng.integers(0, 100)
                    pixels, _ = photo.window(slice(top, top + 40), slice(left, left + 40))
                    if not np.array_equal(np.rint(pixels * 255), levels[top : top + 40, left : left + 40]):
                        wrong.append(seed)

            threads = [threading.Thread(target=look, args=[seed]) for seed in range(4)]
            for one in threads:
                one.start()
            for one in threads:
                one.join()
            assert not wrong
