"""The loader is chosen by us, reads its file rather than mapping it, and meets the limits first."""

from __future__ import annotations

import gzip
import io
import re
import struct
import sys
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from blindsr.engine.identity import package_version
from blindsr.errors import InputError
from blindsr.picture import FORMATS, Limits, Picture, read, write
from blindsr.picture.loaders import LOADERS, kind_of, opened, opening_bytes

from ..children import finished
from ..conftest import made_photo
from .test_picture import ICC

OTHERS = {
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
    "svgz": gzip.compress(b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'),
    "xml": b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
    "pdf": b"%PDF-1.4\n1 0 obj\n",
    "matrix": b"3 2\n1 2 3\n4 5 6\n",
    "csv": b"1,2,3\n4,5,6\n",
    "vips": b"\xb6\xa6\xf2\x08" + bytes(60),
    "fits": b"SIMPLE  =                    T".ljust(80),
    "radiance": b"#?RADIANCE\n",
    "wave": b"RIFF\x24\0\0\0WAVEfmt ",
    "movie": b"\0\0\0\x20ftypisom\0\0\2\0isomiso2",
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_kinds_are_refused_by_their_beginning(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.png").write_bytes(OTHERS[name])
    with pytest.raises(InputError, match=r"a\.png: (not a photo format|a kind of file)"):
        read(tmp_path / "a.png")


REFUSED = {
    "csv": "a table of numbers, no picture",
    "matrix": "a table of numbers, no picture",
    "raw": "samples alone, whose size somebody else must tell",
    "vips": "a working file of libvips, which is mapped into memory",
    "svg": "a drawing: it has no pixels, and its parser takes gigabytes for what a few kilobytes say",
    "uhdr": "a JPEG, which is read as any other: in its own colours, without the gain map",
}
"""Loaders of libvips's wheel that never run -> why."""


def wheel_loaders() -> dict[str, set[str]]:
    """Kinds of files that this libvips has loaders for, and the operations of each."""
    import pyvips

    found: dict[str, set[str]] = {}

    def note(kind: int, *_: object) -> object:
        name = pyvips.nickname_find(kind)
        found.setdefault(name.split("load")[0], set()).add(name)
        return pyvips.type_map(kind, note) or pyvips.ffi.NULL

    pyvips.type_map(pyvips.type_from_name("VipsForeignLoad"), note)
    return found


def test_every_loader_of_the_wheel_is_read_or_refused() -> None:
    """A libvips that adds, drops or renames a loader is looked at by somebody before photos meet it."""
    if package_version("pyvips-binary") is None:
        pytest.skip("this libvips does not come with pyvips's wheel")
    found = wheel_loaders()
    assert set(found) == set(LOADERS) | set(REFUSED)
    assert not set(LOADERS) & set(REFUSED)
    for kind, operation in LOADERS.items():
        assert operation in found[kind], (kind, found[kind])


SMALL_FILES: dict[str, dict[str, Any]] = {
    "png": {"format": "PNG"},
    "jpeg": {"format": "JPEG"},
    "webp": {"format": "WEBP"},
    "tiff": {"format": "TIFF"},
    "heif": {"format": "AVIF"},
    "gif": {"format": "GIF"},
}
"""A small file of each kind that libvips reads, as Pillow writes it."""


def test_there_is_a_small_file_of_each_loader() -> None:
    assert SMALL_FILES.keys() == LOADERS.keys()


@pytest.mark.parametrize("kind", SMALL_FILES)
def test_every_loader_of_libvips_but_ours_stays_unused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Also those that a later libvips may put before ours."""
    import pyvips

    called: list[str] = []
    call = pyvips.Operation.call

    def listening(name: str, *arguments: object, **options: object) -> object:
        called.append(name)
        return call(name, *arguments, **options)

    monkeypatch.setattr(pyvips.Operation, "call", staticmethod(listening))
    image = made_photo(20, 24)
    Image.fromarray(image).save(tmp_path / "photo", **SMALL_FILES[kind])
    assert kind_of((tmp_path / "photo").read_bytes()[:64]) == kind
    called.clear()
    picture = read(tmp_path / "photo")
    assert [one for one in called if "load" in one] == [LOADERS[kind]]
    assert (picture.width, picture.height) == (24, 20)
    assert np.abs(picture.pixels * 255 - image).mean() < 12, "and they are its pixels"


@pytest.mark.parametrize(
    "compression",
    ["raw", "packbits", "tiff_lzw", "tiff_deflate", "tiff_adobe_deflate", "jpeg", "group3", "group4"],
)
def test_codecs_within_a_kind(tmp_path: Path, compression: str) -> None:
    """A wheel may keep its loader of TIFF and lose what unpacks the strips."""
    image = Image.fromarray(made_photo(20, 24))
    image = image.convert("1") if compression.startswith("group") else image
    image.save(tmp_path / "a.tif", compression=compression)
    levels = np.atleast_3d(np.asarray(image.convert("L" if image.mode == "1" else "RGB")))
    assert np.abs(read(tmp_path / "a.tif").pixels * 255 - levels).mean() < 12


def test_webp_within_tiff(tmp_path: Path) -> None:
    """Which Pillow does not write."""
    import pyvips

    levels = made_photo(20, 24)
    pyvips.Image.new_from_array(levels).tiffsave(str(tmp_path / "a.tif"), compression="webp", lossless=True)
    np.testing.assert_array_equal(read(tmp_path / "a.tif").to_array(), levels)


@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        (".jpg", {"progressive": True}),
        (".jpg", {"subsampling": "4:1:1"}),
        (".webp", {"lossless": True}),
        (".avif", {"subsampling": "4:2:2"}),
        (".avif", {"subsampling": "4:0:0"}),
    ],
)
def test_variants_within_a_kind(tmp_path: Path, suffix: str, options: dict[str, Any]) -> None:
    image = Image.fromarray(made_photo(20, 24)).convert(
        "L" if options.get("subsampling") == "4:0:0" else "RGB"
    )
    image.save(tmp_path / f"a{suffix}", **options)
    levels = np.atleast_3d(np.asarray(image))
    assert np.abs(read(tmp_path / f"a{suffix}").pixels * 255 - levels).mean() < 20


def ultra_hdr() -> bytes:
    """A photo as newer phones take it: a gain map is its second picture, told of in XMP and in MPF."""

    def jpeg(xmp: str, side: int) -> bytes:
        file = io.BytesIO()
        namespaces = (
            'xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" '
            'xmlns:Container="http://ns.google.com/photos/1.0/container/" '
            'xmlns:Item="http://ns.google.com/photos/1.0/container/item/"'
        )
        packet = (
            '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
            f'<rdf:Description {namespaces} hdrgm:Version="1.0" {xmp}</rdf:Description></rdf:RDF></x:xmpmeta>'
        )
        Image.fromarray(made_photo(side, side)).save(file, "JPEG", xmp=packet.encode())
        return file.getvalue()

    gain = jpeg(
        'hdrgm:GainMapMin="0" hdrgm:GainMapMax="2" hdrgm:HDRCapacityMin="0" hdrgm:HDRCapacityMax="2">', 16
    )
    item = (
        '<rdf:li rdf:parseType="Resource">'
        '<Container:Item Item:Semantic="{}" Item:Mime="image/jpeg"{}/></rdf:li>'
    )
    items = item.format("Primary", "") + item.format("GainMap", f' Item:Length="{len(gain)}"')
    photo = jpeg(f"><Container:Directory><rdf:Seq>{items}</rdf:Seq></Container:Directory>", 64)
    # An MPF directory (CIPA DC-007) of two pictures; places count from its own beginning.
    size = 4 + 4 + 8 + 2 + 3 * 12 + 4 + 2 * 16
    total = len(photo) + size + 2
    entries = [
        (0xB000, 7, 4, b"0100"),
        (0xB001, 4, 1, struct.pack("<I", 2)),
        (0xB002, 7, 32, struct.pack("<I", 50)),
    ]
    directory = struct.pack("<4sIH", b"II*\0", 8, len(entries))
    directory += b"".join(struct.pack("<HHI4s", *entry) for entry in entries) + bytes(4)
    directory += struct.pack("<IIIHH", 0x030000, total, 0, 0, 0)
    directory += struct.pack("<IIIHH", 0, len(gain), total - (2 + 2 + 2 + 4), 0, 0)
    segment = b"\xff\xe2" + struct.pack(">H", 2 + 4 + len(directory)) + b"MPF\0" + directory
    return photo[:2] + segment + photo[2:] + gain


def test_a_photo_with_a_gain_map_is_read_as_any_jpeg(tmp_path: Path) -> None:
    import pyvips

    content = ultra_hdr()
    (tmp_path / "a.jpg").write_bytes(content)
    by_itself = pyvips.Image.new_from_buffer(content, "")
    assert by_itself.get("vips-loader").startswith("uhdr"), "libvips takes another loader for it"
    picture = read(tmp_path / "a.jpg")
    assert (picture.width, picture.height) == (64, 64)
    np.testing.assert_array_less(np.abs(picture.pixels * 255 - made_photo(64, 64)).mean(), 12)


TRUNCATING = """
import os, sys
from pathlib import Path
from blindsr.comparison import embedding
from blindsr.errors import InputError
from blindsr.picture import decoding, loaders

opened = loaders.opened
def cut(path):
    assert not any(path in line for line in open("/proc/self/maps")) or not sys.platform == "linux", "mapped"
    os.truncate(path, os.path.getsize(path) // 20)
check = decoding.check_image
def check_and_cut(path, *arguments):
    check(path, *arguments)
    cut(str(path))
decoding.check_image = check_and_cut
embedding._STREAMED = 0
for path in map(Path, sys.argv[1:]):
    content = path.read_bytes()
    try:
        decoding.open_photo(path).close()
        print(path.suffix, "read")
    except InputError as error:
        print(path.suffix, error)
    path.write_bytes(content)
    try:
        side = embedding.Side(path)
        if side._path is not None:
            cut(str(path))
        side.whole(9, 9)
        print(path.suffix, "shown")
    except InputError as error:
        print(path.suffix, error)
"""


def test_a_file_that_is_cut_short_while_it_is_read(tmp_path: Path) -> None:
    """Where it was mapped, the process would die of it, and the batch with it."""
    picture = Picture(np.random.default_rng(0).random((300, 400, 3), np.float32))
    paths = [tmp_path / f"a{format_.suffixes[0]}" for format_ in FORMATS.values()]
    for path in paths:
        write(picture, path)
    Image.fromarray(made_photo(300, 400)).save(tmp_path / "a.gif")
    Image.fromarray(made_photo(300, 400)).save(tmp_path / "a.ppm")
    paths += [tmp_path / "a.gif", tmp_path / "a.ppm"]
    run = finished(sys.executable, "-c", TRUNCATING, *paths)
    lines = run.stdout.splitlines()
    assert run.returncode == 0 and len(lines) == 2 * len(paths), (run.returncode, run.stdout, run.stderr)
    for suffix in (".png", ".jpg", ".tif"):  # of these the end was not read yet
        told = [line for line in lines if line.startswith(suffix)]
        assert "damaged" in told[0] and f"a{suffix}: " in told[0], told
        assert f"a{suffix}: " in told[1], told


def test_errors_of_the_disk_are_told_as_such(tmp_path: Path) -> None:
    write(Picture(np.zeros((300, 400, 3), np.float32)), tmp_path / "a.jpg")

    class Failing(io.FileIO):
        def read(self, size: int | None = -1, /) -> bytes | None:  # type: ignore[override]
            if self.tell() > 100:
                raise OSError(5, "Input/output error")
            return super().read(min(size or 0, 50))

    with (
        Failing(tmp_path / "a.jpg") as file,
        pytest.raises(OSError, match="Input/output error"),
        opened(file, "jpeg") as image,  # type: ignore[arg-type]
    ):
        image.avg()


@pytest.mark.parametrize("name", [b"\xffixi", b"pix\x04"])
def test_what_a_decoder_says_need_be_no_text(tmp_path: Path, name: bytes) -> None:
    """Libheif quotes the name of what it does not know; the next file's error must not be of it, too."""
    write(Picture(np.zeros((32, 32, 3), np.float32)), tmp_path / "a.avif")
    content = bytearray((tmp_path / "a.avif").read_bytes().replace(b"pixi", name))
    first = content.index(b"ipma") + 15  # of the item's properties: all are essential
    content[first : first + content[first - 1]] = [
        byte | 0x80 for byte in content[first : first + content[first - 1]]
    ]
    (tmp_path / "a.avif").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.avif: (not a readable picture|a kind of file)") as told:
        read(tmp_path / "a.avif")
    assert str(told.value).isprintable()
    (tmp_path / "b.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(40))
    with pytest.raises(InputError, match=r"b\.png: not a readable picture"):
        read(tmp_path / "b.png")


def test_what_is_said_of_every_row_is_said_a_few_times(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """To log it takes longer than to read a row: a file of three kilobytes may claim a million of them."""
    Image.new("RGB", (2, 2000)).save(tmp_path / "a.png")
    content = bytearray((tmp_path / "a.png").read_bytes())
    content[content.index(b"IDAT") + 4] ^= 0xFF  # the rows cannot be unpacked
    (tmp_path / "a.png").write_bytes(content)
    for _ in range(2):
        caplog.clear()
        with caplog.at_level("WARNING", logger="pyvips"):
            picture = read(tmp_path / "a.png", limits=Limits(damaged=True))
        assert picture.height == 2000 and 1 < len(caplog.records) < 60


def test_a_place_that_no_file_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes wrong between libvips and the file must not be lost on the way, nor printed."""
    lost: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lost.append)
    Image.fromarray(made_photo(20, 24)).save(tmp_path / "a.tif", icc_profile=ICC)
    content = bytearray((tmp_path / "a.tif").read_bytes())
    profile = content.index(struct.pack("<HHI", 34675, 7, len(ICC)))
    struct.pack_into("<I", content, profile + 8, 0x7FFFFFFF)
    (tmp_path / "a.tif").write_bytes(content)
    assert read(tmp_path / "a.tif").icc is None
    assert lost == []


def test_what_a_decoder_warns_of_need_be_no_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    lost: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lost.append)
    Image.fromarray(made_photo(20, 24)).save(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    chunk = b"iCCPI\xe3\xbcC\0\0" + zlib.compress(ICC[:38] + b"{" + ICC[39:])
    chunk = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    (tmp_path / "a.png").write_bytes(content[:33] + chunk + content[33:])
    with caplog.at_level("WARNING", logger="pyvips"), suppress(InputError):
        read(tmp_path / "a.png")
    assert lost == []
    assert any("iCCP" in record.getMessage() and "\ufffd" in record.getMessage() for record in caplog.records)


def test_segments_are_counted_like_a_decoder_does() -> None:
    def count(*segments: bytes, most: int = 1 << 30) -> int:
        return opening_bytes(
            io.BytesIO(b"\xff\xd8" + b"".join(segments) + b"\xff\xda" + bytes(99)), "jpeg", most
        )

    one = b"\xff\xe1\x10\x00" + bytes(0x0FFE)
    assert count() == 0
    assert count(one) * 2 == count(one, one) == count(b"\xff" * 9000 + one, b"between" + one)
    assert count(one, one) == count(one, b"\xff\xd0\xff\x01", one) > 2 * 0x1000
    assert count(*[one] * 99, most=5000) < 3 * 0x1000
    assert opening_bytes(io.BytesIO(b"\xff\xd8"), "jpeg", 9) == 0
    assert opening_bytes(io.BytesIO(bytes(77)), "webp", 9) == 77


def test_many_bands_count() -> None:
    limits = Limits(pixels=1 << 20)
    limits.check_size(Path("a.tif"), 1024, 1024, 16)
    with pytest.raises(InputError, match=re.escape("a.tif: 1024x1024 with 17 bytes a pixel")):
        limits.check_size(Path("a.tif"), 1024, 1024, 17)
    with pytest.raises(InputError, match="rows, strips or tiles need about 3 GiB"):
        limits.check_held(Path("a.tif"), 3 << 30)


def test_a_bitmap_beyond_the_limit_of_another_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pillow's own limit, which is one for the whole process, is neither ours nor changed by us."""
    Image.fromarray(made_photo(20, 24)).save(tmp_path / "a.bmp")
    Image.fromarray(made_photo(20, 24)).save(tmp_path / "a.ppm")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    for name in ("a.bmp", "a.ppm"):
        assert read(tmp_path / name).width == 24
        with pytest.raises(InputError, match=r"24x20 is more than .* --max-pixels"):
            read(tmp_path / name, limits=Limits(pixels=400))
    assert Image.MAX_IMAGE_PIXELS == 100


def test_the_header_of_a_bitmap_is_looked_for_at_its_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from PIL import PpmImagePlugin

    photo = b"P6\n# of some place\n3 2\n# more\n255\n" + bytes(18)
    (tmp_path / "a.ppm").write_bytes(photo)
    assert read(tmp_path / "a.ppm").width == 3
    (tmp_path / "a.ppm").write_bytes(photo + bytes(1 << 17))
    assert read(tmp_path / "a.ppm").width == 3

    def never(*_: object) -> None:
        raise AssertionError("looks through all of it")

    monkeypatch.setattr(PpmImagePlugin, "PpmImageFile", never)
    for filling in (b"#" + b"x" * (1 << 17), b"\n" * (1 << 17)):
        (tmp_path / "a.ppm").write_bytes(b"P6\n" + filling + photo[2:])
        with pytest.raises(InputError, match=r"a\.ppm: not a readable picture \(damaged PPM header\)"):
            read(tmp_path / "a.ppm")
