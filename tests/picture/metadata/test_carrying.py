"""From any file into any format: what the photo carried is in the result, or is named."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from blindsr.picture import FORMATS, Picture, PictureWriter, open_photo, read, write
from blindsr.picture.metadata import jpeg, png
from blindsr.picture.metadata.carrying import inventory, with_resolution
from blindsr.picture.metadata.photoshop import iptc_of
from blindsr.picture.metadata.report import Report
from blindsr.picture.tiff import add_tags

from ...conftest import made_photo
from .test_photoshop import CAPTION, resource
from .test_xmp import packet

SUFFIXES = [format_.suffixes[0] for format_ in FORMATS.values()]
GEO = {
    33550: (12, 3, struct.pack("<3d", 0.5, 0.25, 0)),
    33922: (12, 6, struct.pack("<6d", 0, 0, 0, 440000, 5290000, 0)),
}


def pillow_file(suffix: str, gray: bool = False, **options: Any) -> bytes:
    """A photo of 24 x 20 pixels, as Pillow writes it."""
    file = io.BytesIO()
    image = Image.fromarray(made_photo(20, 24))
    names = {".jpg": "JPEG", ".png": "PNG", ".tif": "TIFF", ".webp": "WEBP", ".avif": "AVIF", ".bmp": "BMP"}
    (image.convert("L") if gray else image).save(file, names[suffix], **options)
    return file.getvalue()


def with_segments(content: bytes, *segments: bytes) -> bytes:
    return content[:2] + b"".join(segments) + content[2:]


def with_chunks(content: bytes, *chunks: bytes) -> bytes:
    return content[:33] + b"".join(chunks) + content[33:]


def carried(content: bytes, target: Path) -> Report:
    """Enlarge a photo twice, each pixel to four, into a file; what became of what it carried."""
    with (
        open_photo(content) as photo,
        PictureWriter(target, photo, photo.height * 2, photo.width * 2) as writer,
    ):
        pixels, alpha = photo.window(slice(0, photo.height), slice(0, photo.width))
        large = None if alpha is None else alpha.repeat(2, 0).repeat(2, 1)
        writer.place(0, 0, pixels.repeat(2, 0).repeat(2, 1), large)
        writer.save()
        return writer.report


def texts(path: Path) -> list[str]:
    with open_photo(path) as photo:
        return [item.text for item in inventory(photo)]


def exif_block() -> bytes:
    exif = Image.Exif()
    exif[0x010F] = "Some Camera"
    exif[0x0112] = 6
    exif.get_ifd(0x8769).update({0xA002: 24, 0xA003: 20, 0xC0DE: 7, 0x927C: b"maker's own notes"})
    return exif.tobytes()


CASES = {
    "jpeg": with_segments(
        pillow_file(".jpg", exif=exif_block(), xmp=packet('tiff:Orientation="6"'), dpi=(300, 240)),
        jpeg.segment(0xED, jpeg.RESOURCES + resource(0x0404, CAPTION) + resource(0x0421, b"version")),
        jpeg.segment(0xFE, "caf\u00e9 au lait".encode()),
        jpeg.segment(0xEB, b"JP" + bytes(30)),
        jpeg.segment(0xE9, b"Odd\0" + bytes(30)),
    ) + pillow_file(".jpg") + b"\0\0\0\x18ftypmp42" + bytes(500),
    "png": with_chunks(
        pillow_file(".png", dpi=(300, 240)),
        png.text_chunk("parameters", "a cat, Steps: 20"),
        png.text_chunk("Title", "\u6d77"),
        png.text_chunk("Comment", "taken at sea"),
        png.chunk(b"zTXt", b"Long\0\0" + zlib.compress(b"words " * 999)),
        png.profile_chunk("iptc", resource(0x0404, CAPTION)),
        png.profile_chunk("exif", b"Exif\0\0" + exif_block().removeprefix(b"Exif\0\0")),
        png.chunk(b"tIME", bytes((7, 232, 1, 2, 3, 4, 5))),
        png.chunk(b"caBX", bytes(20)),
        png.chunk(b"prVt", bytes(20)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("case", CASES)
def test_nothing_is_lost_without_a_word(tmp_path: Path, case: str, suffix: str) -> None:
    target = tmp_path / f"a{suffix}"
    report = carried(CASES[case], target)
    with open_photo(CASES[case]) as photo:
        found = {item.kind for item in inventory(photo)}
    told = {item.kind for item in (*report.kept, *report.changed, *report.dropped)}
    assert found <= told, found - told
    # What is said to be there is there, read by us; and what is not is not.
    there = {text.split(" (")[0] for text in texts(target)}
    for item in (*report.kept, *report.changed):
        text = item.text.split(" (")[0]
        twin = {"comment": "text 'Comment'", "text 'Comment'": "comment"}.get(text)
        if text != "maker notes" and not (suffix == ".bmp" and text == "colour profile"):
            assert text in there or twin in there, (text, there)
    for item in report.dropped:
        assert item.text not in there, item


def test_a_jpeg_from_a_phone(tmp_path: Path) -> None:
    report = carried(CASES["jpeg"], tmp_path / "a.jpg")
    dropped = [item.text for item in report.dropped]
    assert dropped == [
        "content credentials (their signature is of the original)",
        "APP9 data (Odd)",
        "1 further picture",
        "video (motion photo)",
    ]
    assert report.warning == f"left out of the result: {', '.join(dropped)}"
    with Image.open(tmp_path / "a.jpg") as image:
        assert image.size == (40, 48), "turned"
        assert image.info["dpi"] == (240, 300), "across and down have changed places"
        assert image.info["comment"] == "caf\u00e9 au lait".encode()
        assert b'Orientation="1"' in image.info["xmp"]
        kept = image.getexif()
        inner = kept.get_ifd(0x8769)
        assert (kept[0x0112], inner[0xA002], inner[0xA003], inner[0xC0DE]) == (1, 40, 48, 7)
        assert inner[0x927C] == b"maker's own notes"
        assert 0xA001 not in inner and 0x9000 not in inner, "nothing was made up"
        assert iptc_of(image.info["photoshop"] and b"".join(_packed(image))) == CAPTION


def _packed(image: Image.Image) -> list[bytes]:
    """Pillow's resources as a block again."""
    return [resource(number, content) for number, content in image.info["photoshop"].items()]


def test_texts_of_a_png(tmp_path: Path) -> None:
    carried(CASES["png"], tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        told = dict(image.text)  # type: ignore[attr-defined]
        assert {name: told[name] for name in ("parameters", "Title", "Comment")} == {
            "parameters": "a cat, Steps: 20", "Title": "\u6d77", "Comment": "taken at sea",
        }  # fmt: skip
        assert told["Long"] == "words " * 999
        assert image.size == (40, 48), "its raw EXIF turns it"
        assert image.getexif()[0x010F] == "Some Camera" and image.getexif()[0x0112] == 1
    carried((tmp_path / "a.png").read_bytes(), tmp_path / "b.jpg")
    with Image.open(tmp_path / "b.jpg") as image:
        assert image.info["comment"] == b"taken at sea" and 0x0404 in image.info["photoshop"]
    carried((tmp_path / "b.jpg").read_bytes(), tmp_path / "c.tif")
    with Image.open(tmp_path / "c.tif") as image:
        assert bytes(image.tag_v2[33723]) == CAPTION  # type: ignore[attr-defined]
    carried((tmp_path / "c.tif").read_bytes(), tmp_path / "d.png")
    assert iptc_of(read(tmp_path / "d.png").metadata.resources) == CAPTION


def test_exif_and_xmp_of_any_size(tmp_path: Path) -> None:
    comment = b"ASCII\0\0\0" + b"c" * 70000
    large = packet('tiff:Make="M"', f"<dc:description>{'words ' * 20000}</dc:description>")
    exif = Image.Exif()
    exif[0x010F] = "Some Camera"
    exif.get_ifd(0x8769)[0x9286] = comment
    content = pillow_file(".webp", exif=exif.tobytes(), xmp=large)
    for suffix in (".png", ".webp", ".avif", ".tif", ".jpg"):
        report = carried(content, tmp_path / f"a{suffix}")
        back = read(tmp_path / f"a{suffix}")
        assert back.exif is not None and back.xmp is not None and b"words words" in back.xmp
        lost = [item.text for item in report.dropped]
        assert (comment in back.exif) is (suffix != ".jpg")
        assert lost == (["EXIF: user comment (more than a JPEG file holds)"] if suffix == ".jpg" else [])
    carried((tmp_path / "a.jpg").read_bytes(), tmp_path / "b.webp")
    assert b"words words" in (tmp_path / "b.webp").read_bytes()


def test_geotiff(tmp_path: Path) -> None:
    (tmp_path / "geo.tif").write_bytes(pillow_file(".tif", dpi=(300, 240)))
    with (tmp_path / "geo.tif").open("rb+") as file:
        add_tags(file, {**GEO, 65000: (3, 1, b"\7\0"), 285: (2, 5, b"page\0")})
    content = (tmp_path / "geo.tif").read_bytes()
    report = carried(content, tmp_path / "a.tif")
    with Image.open(tmp_path / "a.tif") as image:
        tags = image.tag_v2  # type: ignore[attr-defined]
        assert tags[33550] == (0.25, 0.125, 0) and tags[33922] == (0, 0, 0, 440000, 5290000, 0)
        assert tags[285] == "page" and image.info["dpi"] == (300, 240)
    assert [item.text for item in report.dropped] == ["private tag 65000"]
    assert "GeoTIFF tags" in carried(content, tmp_path / "a.png").warning


def test_pages_and_channels_that_stay_behind(tmp_path: Path) -> None:
    file = io.BytesIO()
    pages = [Image.fromarray(made_photo(20, 24, seed)) for seed in range(3)]
    pages[0].save(file, "TIFF", save_all=True, append_images=pages[1:])
    assert carried(file.getvalue(), tmp_path / "a.tif").warning == "left out of the result: 2 further pages"
    import pyvips

    bands = pyvips.Image.black(24, 20, bands=6).copy(interpretation="srgb")
    content = bands.tiffsave_buffer()
    assert "2 further channels" in carried(content, tmp_path / "b.tif").warning


def test_no_resolution_stays_none_and_shapes_of_pixels_stay(tmp_path: Path) -> None:
    plain = pillow_file(".jpg")
    at = plain.index(b"JFIF\0") + 7
    narrow = plain[:at] + struct.pack(">BHH", 0, 4, 3) + plain[at + 5 :]
    for suffix in (".jpg", ".png", ".tif"):
        report = carried(narrow, tmp_path / f"a{suffix}")
        assert [item.text for item in report.kept] == ["shape of the pixels"]
        assert read(tmp_path / f"a{suffix}").dpi is None
        assert read(tmp_path / f"a{suffix}").metadata.aspect in ((4, 3), (400, 300))
    assert "shape of the pixels" in carried(narrow, tmp_path / "a.webp").warning
    exif = Image.Exif()
    exif[0x011A], exif[0x011B], exif[0x0128] = 1.0, 1.0, 1
    for suffix in (".jpg", ".png", ".webp", ".avif"):
        carried(pillow_file(".jpg", exif=exif.tobytes()), tmp_path / f"b{suffix}")
        with Image.open(tmp_path / f"b{suffix}") as image:
            kept = image.getexif()
        assert (kept[0x011A], kept[0x0128]) == (1.0, 1), suffix


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize(
    ("points", "name"), [((12, 13), "P3"), ((9, 16), "PQ"), ((9, 18), "HLG"), ((1, 8), "linear")]
)
def test_code_points_mean_the_same_everywhere(
    tmp_path: Path, points: tuple[int, int], name: str, alpha: bool
) -> None:
    """The network sees the samples as they stand, 0 to 1; the result has the same, of the same meaning."""
    pixels = made_photo(20, 24)
    if alpha:
        pixels = np.dstack([pixels, np.linspace(90, 255, 480).reshape(20, 24).astype(np.uint8)])
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    content = with_chunks(file.getvalue(), png.chunk(b"cICP", bytes((*points, 0, 1))))
    for suffix in (".png", ".avif", ".jpg", ".webp", ".tif"):
        source = (tmp_path / "a.avif").read_bytes() if (tmp_path / "a.avif").exists() else content
        report = carried(source, tmp_path / f"a{suffix}")
        back = read(tmp_path / f"a{suffix}")
        assert back.icc == read(content).icc is not None, suffix
        native = suffix in (".png", ".avif")
        assert (back.metadata.signalling is not None) is native
        assert bool([item for item in report.kept if item.kind == "colour"]) is native
        if suffix == ".png":
            np.testing.assert_array_equal(back.pixels[::2, ::2] * 255, pixels[:, :, :3])
    with Image.open(tmp_path / "a.avif") as image:
        assert image.size[1] == read(tmp_path / "a.avif").height


def test_gamma_and_chromaticities(tmp_path: Path) -> None:
    gamma = png.chunk(b"gAMA", struct.pack(">I", 100000))
    wide = png.chunk(b"cHRM", struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000))
    for gray in (False, True):
        content = with_chunks(pillow_file(".png", gray=gray), gamma, wide)
        assert [item.text for item in carried(content, tmp_path / "a.png").kept] == [
            "colour chunks gAMA, cHRM"
        ]
        assert gamma in (tmp_path / "a.png").read_bytes() and wide in (tmp_path / "a.png").read_bytes()
        report = carried(content, tmp_path / "a.jpg")
        assert [item.text for item in report.changed] == ["colour chunks gAMA, cHRM (as a profile)"]
        assert read(tmp_path / "a.jpg").icc == read(content).icc is not None
    standard = with_chunks(pillow_file(".png"), png.chunk(b"gAMA", struct.pack(">I", 45455)))
    assert read(standard).icc is None, "that is what is assumed where nothing is said"
    assert not carried(standard, tmp_path / "b.jpg").dropped
    linear = read(with_chunks(pillow_file(".png"), gamma))
    write(linear, tmp_path / "b.bmp")
    assert read(tmp_path / "b.bmp").pixels.mean() > linear.pixels.mean() + 0.1, "its colours are sRGB now"


def test_a_profile_goes_before_gamma(tmp_path: Path) -> None:
    from ..test_picture import ICC

    content = with_chunks(pillow_file(".png", icc_profile=ICC), png.chunk(b"gAMA", struct.pack(">I", 100000)))
    report = carried(content, tmp_path / "a.jpg")
    assert read(tmp_path / "a.jpg").icc == ICC and not report.dropped


def test_a_profile_in_a_bitmap(tmp_path: Path) -> None:
    from ..test_picture import ICC

    levels = made_photo(20, 24)
    pixels = levels[::-1, :, ::-1].tobytes()
    header = struct.pack("<IiiHHIIiiII", 124, 24, 20, 1, 24, 0, len(pixels), 0, 0, 0, 0) + bytes(16) + b"DEBM"
    header += bytes(48) + struct.pack("<IIII", 4, 124 + len(pixels), len(ICC), 0)
    content = b"BM" + struct.pack("<IHHI", 138 + len(pixels) + len(ICC), 0, 0, 138) + header + pixels + ICC
    picture = read(content)
    np.testing.assert_array_equal(picture.to_array(), levels)
    assert picture.icc == ICC
    assert carried(content, tmp_path / "a.png").kept[0].text == "colour profile"
    assert "colour profile" in carried(content[:-9], tmp_path / "a.png").warning


def test_thousands_of_texts_are_named_on_a_short_line(tmp_path: Path) -> None:
    content = with_chunks(pillow_file(".png"), *(png.text_chunk(f"key {i}", "value") for i in range(3000)))
    report = carried(content, tmp_path / "a.jpg")
    assert len(report.dropped) == 3000 and report.warning.endswith("2988 more") and len(report.warning) < 400
    bomb = b"Raw profile type exif\0\0" + zlib.compress(b"\nexif\n 9\n" + b"0" * (2 << 20))
    assert len(bomb) < 4000
    assert carried(
        with_chunks(pillow_file(".png"), *[png.chunk(b"zTXt", bomb)] * 40), tmp_path / "b.jpg"
    ).dropped


def test_profiles_that_do_not_belong_are_named(tmp_path: Path) -> None:
    from ..test_picture import ICC

    for content in (
        pillow_file(".jpg", gray=True, icc_profile=ICC),
        pillow_file(".tif", icc_profile=ICC[:200]),
    ):
        assert "colour profile" in carried(content, tmp_path / "a.png").warning


def test_a_picture_of_ones_own_carries_what_it_is_given(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F] = "Some Camera"
    picture = Picture(np.zeros((4, 5, 3), np.float32), exif=exif.tobytes(), xmp=packet('tiff:ImageWidth="9"'))
    write(picture, tmp_path / "a.jpg")
    back = read(tmp_path / "a.jpg")
    assert back.exif is not None and back.xmp is not None and b'ImageWidth="5"' in back.xmp


def test_maker_notes_that_have_moved_are_named(tmp_path: Path) -> None:
    report = carried(CASES["jpeg"], tmp_path / "a.tif")
    assert any("maker notes" in item.text for item in report.changed)
    assert not any("maker notes" in item.text for item in carried(CASES["jpeg"], tmp_path / "a.jpg").changed)


def test_iptc_stands_in_a_tiff_file_once(tmp_path: Path) -> None:
    for name, tags in (
        ("alone", {33723: (7, len(CAPTION), CAPTION)}),
        ("both", {34377: (1, 0, resource(0x0404, CAPTION) + resource(0x040B, b"https://a.b"))}),
    ):
        (tmp_path / "a.tif").write_bytes(pillow_file(".tif"))
        with (tmp_path / "a.tif").open("rb+") as file:
            add_tags(file, {tag: (kind, len(value), value) for tag, (kind, _, value) in tags.items()})
        carried((tmp_path / "a.tif").read_bytes(), tmp_path / "b.tif")
        content = (tmp_path / "b.tif").read_bytes()
        assert content.count(CAPTION) == 1 and (b"https://a.b" in content) is (name == "both")
        with Image.open(tmp_path / "b.tif") as image:
            assert bytes(image.tag_v2[33723]) == CAPTION  # type: ignore[attr-defined]
            assert (34377 in image.tag_v2) is (name == "both")  # type: ignore[attr-defined]


def test_resolutions_that_change_are_told(tmp_path: Path) -> None:
    """Of two that contradict each other; and one that was asked for."""
    exif = Image.Exif()
    exif[0x011A], exif[0x011B], exif[0x0128] = 240.0, 240.0, 2
    content = pillow_file(".png", exif=exif.tobytes(), dpi=(144, 144))
    report = carried(content, tmp_path / "a.png")
    assert [item.text for item in report.changed] == ["EXIF (resolution)"]
    with open_photo(pillow_file(".jpg", dpi=(72, 72))) as photo:
        asked = with_resolution(photo, 300)
        with PictureWriter(tmp_path / "b.jpg", asked, photo.height, photo.width) as writer:
            told = [item.text for item in writer.report.changed]
    assert told == ["resolution (as asked for)"] and "resolution" not in [i.text for i in writer.report.kept]
