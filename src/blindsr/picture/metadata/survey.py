"""What a file carries, found by its own pieces: nothing is decoded, and no piece read that is not needed."""

from __future__ import annotations

import re
import struct
from collections import Counter
from dataclasses import dataclass, field
from itertools import islice
from typing import IO

from blindsr.picture.jpeg_xl.reading import boxes
from blindsr.picture.metadata import gain_map as gain_maps
from blindsr.picture.metadata import geotiff, gif, heif, jpeg, photoshop, png, signalling, webp
from blindsr.picture.metadata.frames import count_frames
from blindsr.picture.metadata.pieces import LARGEST, read_at, size_of
from blindsr.picture.metadata.report import Item
from blindsr.picture.metadata.signalling import Signalling
from blindsr.picture.tiff import DESCRIPTIVE, INNER, Tree, read_tags, tag_numbers
from blindsr.picture.tiff_pages import directories

_SEGMENTS = 1 << 12
_UNKNOWN = (25.4, 2.834 * 25.4)
"""Pixels per inch that libvips writes, and earlier results of this program say, where nothing is known."""

_PICTURES = 64
_PAGES = 1 << 14  # that are counted
_BLOCKS = 1 << 15  # of a GIF file
_LOOKED_AT = 16  # segments of a picture behind the first
_PROFILES = 8  # raw profiles of a PNG file that are unpacked
_LOOK = 1 << 16

_IPTC_TAG, _RESOURCES_TAG, _LAYERS_TAG = 33723, 34377, 37724
_PIXEL_TAGS = frozenset((
    254, 255, 256, 257, 258, 259, 262, 263, 264, 265, 266, 273, 274, 277, 278, 279, 280, 281, 282, 283,
    284, 286, 287, 288, 289, 290, 291, 292, 293, 296, 297, 301, 317, 318, 319, 320, 321, 322, 323, 324,
    325, 326, 327, 328, 332, 333, 334, 336, 337, 338, 339, 340, 341, 342, 347, 512, 513, 514, 515, 517,
    518, 519, 520, 521, 529, 530, 531, 532, 559, 700, 32995, 32996, 32997, 34675, 40961, 40962, 40963,
))  # fmt: skip
"""Tags that say how the pixels are stored, and those that are looked at elsewhere."""

_QUIET_TAGS = {330: "smaller pictures within the file", _LAYERS_TAG: "Photoshop's layers"}
_KNOWN_TAGS = {
    50341: "print data (PrintIM)",
    50838: "ImageJ's metadata",
    50839: "ImageJ's metadata",
    37679: "text of Microsoft's document imaging",
    37680: "document's properties",
    45056: "multi-picture index",
}

_SEGMENT_NAMES = (
    (0xE1, b"", "APP1 data"),
    (0xE2, b"FPXR", "FlashPix data"),
    (0xEB, b"JP", "content credentials (their signature is of the original)"),
    (0xE3, b"Meta", "Kodak's EXIF"),
    (0xE3, b"_JPSJPS_", "stereo description"),
)
_SILENT_SEGMENTS = (
    (0xE0, b"JFIF\0"),
    (0xE1, jpeg.EXIF),
    (0xE1, jpeg.XMP),
    (0xE1, jpeg.EXTENSION),
    (0xE2, b"ICC_PROFILE\0"),
    (0xE2, b"MPF\0"),
    (0xEC, b"Ducky"),
    (0xED, jpeg.RESOURCES),
    (0xEE, b"Adobe"),
)
_GAIN_MAP = (b"urn:iso:std:iso:ts:21496", b"hdrgm:", b"HDRGainMap")

_SILENT_CHUNKS = frozenset(
    (b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"iCCP", b"eXIf", b"acTL", b"fcTL", b"fdAT")
)
_CHUNK_NAMES = {
    b"caBX": Item("credentials", "content credentials (their signature is of the original)"),
    b"tIME": Item("time", "time of the last change", derived=True),
    b"sBIT": Item("depth", "significant bits", derived=True),
    b"hIST": Item("palette", "histogram of the palette", derived=True),
    b"iDOT": Item("layout", "places of the pixels", derived=True),
    b"bKGD": Item("background", "background colour"),
    b"sPLT": Item("palette", "suggested palette"),
}


_SILENT_BOXES = frozenset((b"JXL ", b"ftyp", b"jxll", b"jxlc", b"jxlp", b"free", b"skip"))
_BOX_NAMES = {
    b"jumb": Item("credentials", "content credentials (their signature is of the original)"),
    b"jhgm": Item("gain map", "gain map (high dynamic range)"),
    b"jbrd": Item("layout", "what the JPEG file needs that it was made of", derived=True),
    b"jxli": Item("layout", "places of the frames", derived=True),
}


@dataclass
class Survey:
    """What was found in a file.

    Args:
        exif: An EXIF block that its decoder does not give.
        xmp: An XMP packet that its decoder does not give.
        extension: The rest of an XMP packet.
        resources: As in `Metadata`, like the next five.
        icc: Whether there is a colour profile, which the decoder may refuse.
        exif_size: Bytes of EXIF where the file has any.
        xmp_size: Bytes of XMP where the file has any.
        dpi: Resolution, where the file tells one by itself.
        warnings: What is wrong with the file, though it can be read.
        profiles: Raw profiles that were met.
        profile: A colour profile that its decoder does not give.
        gain_map: As in `Metadata`.
    """

    exif: bytes | None = None
    xmp: bytes | None = None
    extension: bytes | None = None
    resources: bytes | None = None
    comments: list[bytes] = field(default_factory=list)
    texts: list[tuple[bytes, bytes]] = field(default_factory=list)
    signalling: Signalling | None = None
    tags: Tree = field(default_factory=dict)
    aspect: tuple[int, int] | None = None
    others: list[Item] = field(default_factory=list)
    icc: bool = False
    exif_size: int = 0
    xmp_size: int = 0
    dpi: tuple[float, float] | None = None
    warnings: list[str] = field(default_factory=list)
    profiles: int = 0
    profile: bytes | None = None
    gain_map: bytes | None = None

    def name(self, kind: str, text: str, size: int = 0, derived: bool = False) -> None:
        """Note something that no result can have."""
        self.others.append(Item(kind, text, size, derived))


def survey(file: IO[bytes], kind: str) -> Survey:
    """What a file carries.

    Args:
        file: The file; where it stands does not matter.
        kind: Of the file, as in `loaders`.
    """
    found = Survey()
    read = {
        "jpeg": _survey_jpeg,
        "png": _survey_png,
        "tiff": _survey_tiff,
        "webp": _survey_webp,
        "heif": _survey_heif,
        "heic": _survey_heif,
        "jxl": _survey_jpeg_xl,
        "gif": _survey_gif,
        "ppm": _survey_ppm,
        "bmp": _survey_bmp,
    }.get(kind)
    if read is not None:
        try:
            read(file, found)
        except (struct.error, IndexError, ValueError):  # what was found before it counts
            found.warnings.append("its metadata ends in the middle of an entry; the rest of it was not read")
    _name_more(file, kind, found)
    return found


def _name_more(file: IO[bytes], kind: str, found: Survey) -> None:
    """Further pages and frames."""
    if kind == "tiff":
        counted = Counter(one.kind for one in directories(file, _PAGES))
        more, what, least = counted["page"] - 1, "page", counted.total() == _PAGES
        if counted["smaller"]:
            found.name("smaller", "smaller pictures of the same", derived=True)
        if counted["mask"]:
            found.name("mask", "mask of transparency")
    else:
        more, what = count_frames(file, kind, _PAGES) - 1, "frame"
        least = more == _PAGES - 1
    if more > 0:
        found.name(f"{what}s", f"{more}{' or more' * least} further {what}{'s' * (more > 1)}")


def _survey_jpeg(file: IO[bytes], found: Survey) -> None:
    segments = list(islice(jpeg.segments(file), _SEGMENTS))
    resources = b""
    budget = LARGEST
    gain_map = False
    for one in segments:
        budget -= one.size
        if budget < 0:
            found.name("segments", "metadata beyond 16 MiB")
            break
        if one.marker == 0xE0 and one.head.startswith(b"JFIF\0"):
            _read_jfif(one, found)
        elif one.marker == 0xE1 and one.head.startswith(jpeg.EXIF):
            found.exif_size += one.size
        elif one.marker == 0xE1 and one.head.startswith((jpeg.XMP, jpeg.EXTENSION)):
            content = one.content(file)
            found.xmp_size += one.size
            gain_map |= any(sign in content for sign in _GAIN_MAP)
            if one.head.startswith(jpeg.XMP) and found.xmp is None:
                found.xmp = content[len(jpeg.XMP) :]
        elif one.marker == 0xE2 and one.head.startswith(b"ICC_PROFILE\0"):
            found.icc = True
        elif one.marker == 0xED and one.head.startswith(jpeg.RESOURCES):
            resources += one.content(file)[len(jpeg.RESOURCES) :]
        elif one.marker == 0xFE:
            found.comments.append(one.content(file))
        elif one.marker == 0xE2 and one.head.startswith(b"urn:iso:std:iso:ts:21496"):
            gain_map = True
        elif 0xE0 <= one.marker <= 0xEF and not _is_silent(one):
            text = next(
                (
                    name
                    for marker, head, name in _SEGMENT_NAMES
                    if marker == one.marker and one.head.startswith(head)
                ),
                "",
            )
            label = re.match(rb"[A-Za-z0-9_ .:-]{2,20}", one.head)
            label_text = f" ({label[0].decode()})" if label else ""
            found.name("segment", text or f"APP{one.marker - 0xE0} data{label_text}", one.size)
    found.resources = resources or None
    found.extension = jpeg.extended_xmp(file, segments, found.xmp)
    if segments and segments[-1].marker == 0xDA:
        end = jpeg.end_of_picture(file, segments[-1].place)
        if end is not None:
            _survey_trailer(file, end, gain_map, found)
    _merge_notes(found)


def _is_silent(one: jpeg.Segment) -> bool:
    return any(marker == one.marker and one.head.startswith(head) for marker, head in _SILENT_SEGMENTS)


def _read_jfif(one: jpeg.Segment, found: Survey) -> None:
    """Resolution without a unit, and a thumbnail."""
    if len(one.head) < 14:
        return
    unit, across, down, width, height = struct.unpack_from(">BHHBB", one.head, 7)
    if unit in (1, 2) and across and down:
        found.dpi = _per_inch(across, down, 2.54 if unit == 2 else 1.0)
    elif unit == 0 and across and down and across != down:
        found.aspect = (across, down)
    if width and height:
        found.name("thumbnail", "thumbnail", one.size, derived=True)


def _survey_trailer(file: IO[bytes], place: int, gain_map: bool, found: Survey) -> None:
    """What lies behind the picture."""
    size = size_of(file)
    pictures = 0
    while place < size and pictures < _PICTURES:
        look = read_at(file, place, _LOOK)
        blank = len(look) - len(look.lstrip(b"\0"))
        if blank == len(look) or not look:
            place += len(look)
            if not look:
                break
            continue
        place += blank
        head = look[blank:]
        if not head.startswith(b"\xff\xd8\xff"):
            break
        segments = list(islice(jpeg.segments(file, place), _SEGMENTS))
        gain_map |= any(
            sign in read_at(file, one.place, min(one.size, _LOOK))
            for one in segments[:_LOOKED_AT]
            for sign in _GAIN_MAP
        )
        last = segments[-1] if segments else None
        end = None if last is None or last.marker != 0xDA else jpeg.end_of_picture(file, last.place)
        pictures += 1
        if found.gain_map is None and end is not None and end - place <= LARGEST:
            picture = read_at(file, place, end - place)
            found.gain_map = picture if gain_maps.is_one(picture) else None
        place = size if end is None else end
    if gain_map and found.gain_map is None:
        found.name("gain map", gain_maps.TEXT)
    pictures -= gain_map
    if pictures > 0:
        found.name("pictures", f"{pictures} further picture{'s' * (pictures > 1)}")
    if place < size:
        _name_rest(file, place, size, found)


def _name_rest(file: IO[bytes], place: int, size: int, found: Survey) -> None:
    """What lies behind the last picture."""
    head = read_at(file, place, _LOOK)
    if not head.strip(b"\0\xff \r\n"):
        return
    if head[4:8] == b"ftyp" or b"MotionPhoto_Data" in head or b"ftypmp4" in head or b"ftypisom" in head:
        found.name("motion", "video (motion photo)", size - place)
    else:
        found.name("trailer", f"{size - place} bytes behind the picture", size - place)


def _merge_notes(found: Survey) -> None:
    """Each text once, with the sum of the bytes."""
    sizes: Counter[str] = Counter()
    first: dict[str, Item] = {}
    for item in found.others:
        sizes[item.text] += item.size
        first.setdefault(item.text, item)
    found.others = [Item(one.kind, text, sizes[text], one.derived) for text, one in first.items()]


def _survey_png(file: IO[bytes], found: Survey) -> None:
    colours: list[tuple[bytes, bytes]] = []
    gray, budget = False, LARGEST
    for one in png.chunks(file):
        if one.name == b"IHDR":
            gray = one.content(file)[9:10] in (b"\0", b"\4")
        elif one.name in png.TEXTS:
            budget -= one.size
            if budget < 0:
                found.name("text", "text beyond 16 MiB", one.size)
            else:
                _read_text(one.name, one.content(file), found)
        elif one.name in signalling.CHUNKS:
            colours.append((one.name, one.content(file)))
        elif one.name == b"pHYs" and one.size == 9:
            across, down, unit = struct.unpack(">IIB", one.content(file).ljust(9, b"\0"))
            if unit == 1 and across and down:
                found.dpi = _per_inch(across, down, 0.0254)
            elif unit != 1 and across and down and across != down and max(across, down) < 1 << 16:
                found.aspect = (across, down)
        elif one.name == b"iCCP":
            found.icc = True
        elif one.name == b"eXIf":
            found.exif_size = one.size
        elif one.name in _CHUNK_NAMES:
            known = _CHUNK_NAMES[one.name]
            found.name(known.kind, known.text, one.size, known.derived)
        elif one.name not in _SILENT_CHUNKS:
            shown = one.name.decode("ascii", "replace") if one.name.isalnum() else repr(one.name)
            found.name("chunk", f"chunk {shown}", one.size)
    found.signalling = signalling.of_chunks(tuple(colours), gray)
    _merge_notes(found)


def _read_text(name: bytes, content: bytes, found: Survey) -> None:
    """A chunk of text: a packet, a block in digits, or what people and programs write."""
    if name == b"iTXt" and content.startswith(b"XML:com.adobe.xmp\0"):
        found.xmp_size += len(content)
        return
    raw = content.startswith(b"Raw profile type ")
    found.profiles += raw
    profile = png.raw_profile(name, content) if raw and found.profiles <= _PROFILES else None
    if profile is None:
        found.texts.append((name, content))
        return
    kind, block = profile
    if kind in ("exif", "app1") and block.startswith((jpeg.EXIF, b"II*\0", b"MM\0*")):
        found.exif = found.exif or block.removeprefix(jpeg.EXIF)
        found.exif_size = len(block)
    elif kind == "xmp" or block.startswith(jpeg.XMP):
        found.xmp = found.xmp or block.removeprefix(jpeg.XMP)
        found.xmp_size += len(block)
    elif kind in ("iptc", "8bim", "app13"):
        block = block.removeprefix(jpeg.RESOURCES)
        found.resources = block if block.startswith(b"8BIM") else photoshop.of_iptc(block)
    else:
        found.name("profile", f"raw profile '{kind}'", len(block))


def _survey_tiff(file: IO[bytes], found: Survey) -> None:
    numbers = tag_numbers(file)
    wanted = geotiff.TAGS | {_IPTC_TAG, _RESOURCES_TAG, 282, 283, 296}
    tags = read_tags(file, wanted, LARGEST)
    found.tags = {tag: value for tag, value in tags.items() if tag in geotiff.TAGS}
    found.resources = _resources_of(tags)
    _read_resolution(tags, found)
    found.icc = 34675 in numbers
    unknown = set(numbers) - _PIXEL_TAGS - DESCRIPTIVE - INNER - wanted
    private = []
    for tag in sorted(unknown):
        if tag in _QUIET_TAGS or tag in _KNOWN_TAGS:
            found.name("tags", {**_QUIET_TAGS, **_KNOWN_TAGS}[tag], derived=tag == 330)
        else:
            private.append(str(tag))
    if private:
        shown = ", ".join(private[:8]) + (", ..." if len(private) > 8 else "")
        found.name("tags", f"private tag{'s' * (len(private) > 1)} {shown}")
    lost = [tag for tag in (*geotiff.TAGS, _IPTC_TAG, _RESOURCES_TAG) if tag in numbers and tag not in tags]
    if lost:
        found.name("tags", f"damaged tag{'s' * (len(lost) > 1)} {', '.join(map(str, sorted(lost)))}")
    _merge_notes(found)


def _read_resolution(tags: Tree, found: Survey) -> None:
    """A resolution; without a unit it tells the shape of the pixels at most."""
    sides = [_numbers(tags.get(tag)) for tag in (282, 283)]
    ratios = [side[0] / side[1] for side in sides if side and len(side) == 2 and side[1]]
    if len(ratios) < 2 or min(ratios) <= 0:
        return
    unit = (_numbers(tags.get(296)) or [2])[0]
    if unit in (2, 3):
        found.dpi = _per_inch(ratios[0], ratios[1], 2.54 if unit == 3 else 1.0)
    elif ratios[0] != ratios[1]:
        found.aspect = _density(ratios[0]), _density(ratios[1])


def _density(ratio: float) -> int:
    """A number of pixels in whole hundredths, as 16 bits hold it."""
    return max(1, min(round(100 * ratio), 65535))


def _per_inch(across: float, down: float, times: float) -> tuple[float, float] | None:
    """A resolution in pixels per inch; None for what libvips writes where it is not known."""
    made_up = any(max(abs(across * times - one), abs(down * times - one)) < 0.006 for one in _UNKNOWN)
    return None if made_up else (round(across * times, 4), round(down * times, 4))


def _numbers(value: object) -> list[int] | None:
    """Whole numbers of an entry: one short one, or a ratio's two."""
    if not isinstance(value, tuple):
        return None
    letters = {3: f"<{value[1]}H", 4: f"<{value[1]}I", 5: f"<{2 * value[1]}I"}.get(value[0])
    return None if letters is None else list(struct.unpack(letters, value[2]))


def _resources_of(tags: Tree) -> bytes | None:
    """Photoshop's resources, or what stands beside them: IPTC alone."""
    found, iptc = (tags.get(tag) for tag in (_RESOURCES_TAG, _IPTC_TAG))
    block = found[2] if isinstance(found, tuple) else b""
    if photoshop.iptc_of(block) is None and isinstance(iptc, tuple):
        records = iptc[2]
        if (
            records[:1] != b"\x1c" and records[3:4] == b"\x1c"
        ):  # told as numbers, and written in another order
            records = b"".join(records[i : i + 4][::-1] for i in range(0, len(records), 4))
        if iptc[0] == 4:
            records = records.rstrip(b"\0")
        block += photoshop.of_iptc(records)
    return block or None


def _survey_webp(file: IO[bytes], found: Survey) -> None:
    known = (b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF")
    for name, _, size in webp.chunks(file):
        if name == b"ICCP":
            found.icc = True
        elif name == b"EXIF":
            found.exif_size = size
        elif name == b"XMP ":
            found.xmp_size = size
        elif name == b"C2PA":
            found.name("credentials", "content credentials (their signature is of the original)", size)
        elif name not in known:
            found.name("chunk", f"chunk {name.decode('ascii', 'replace').strip()!r}", size)
    end, size = webp.end(file), size_of(file)
    if end < size:
        found.name("trailer", f"{size - end} bytes behind the picture", size - end)
    _merge_notes(found)


def _survey_heif(file: IO[bytes], found: Survey) -> None:
    told = heif.pictures(file)
    if told.colour is not None:
        found.signalling = signalling.of_code_points(*told.colour[:2])
    kinds = {source: kind for kind, source, _ in told.references if kind in (b"thmb", b"auxl")}
    parts = {target for kind, _, target in told.references if kind == b"dimg"}
    if b"tmap" in told.items.values() or "gain map" in told.auxiliary.values():
        found.name("gain map", "gain map (high dynamic range)")
    counted: Counter[str] = Counter()
    for item, kind in told.items.items():
        if kinds.get(item) == b"thmb":
            found.name("thumbnail", "thumbnail", derived=True)
        elif item in told.auxiliary or kinds.get(item) == b"auxl":
            what = told.auxiliary.get(item, "auxiliary picture")
            if what not in ("alpha", "gain map"):
                found.name("auxiliary", what)
        elif (
            kind in (b"av01", b"hvc1", b"grid", b"iovl", b"iden")
            and item != told.primary
            and item not in parts
        ):
            counted["pictures"] += 1
        elif kind == b"uri ":
            found.name("data", "data of a kind of its own")
    if counted["pictures"]:
        number = counted["pictures"]
        found.name("pictures", f"{number} further picture{'s' * (number > 1)}")
    if b"mpvd" in told.boxes:
        found.name("motion", "video (motion photo)")
    if b"moov" in told.boxes:
        found.name("motion", "sequence of pictures")
    _merge_notes(found)


def _survey_jpeg_xl(file: IO[bytes], found: Survey) -> None:
    """Its boxes; what the colours are its header tells."""
    for one in boxes(read_at(file, 0, size_of(file))):
        if one.name == b"Exif":
            found.exif_size += one.size
            if one.content is not None and found.exif is None:
                skipped = int.from_bytes(one.content[:4], "big")
                found.exif = one.content[4 + skipped :] or None
        elif one.name == b"xml ":
            found.xmp_size += one.size
            found.xmp = found.xmp or one.content
        elif one.name in _BOX_NAMES:
            known = _BOX_NAMES[one.name]
            found.name(known.kind, known.text, one.size, known.derived)
        elif one.name not in _SILENT_BOXES:
            found.name("box", f"box {one.name.decode('ascii', 'replace').strip()!r}", one.size)
    _merge_notes(found)


def _survey_gif(file: IO[bytes], found: Survey) -> None:
    """Comments, and blocks of programs."""
    budget = LARGEST
    for one in islice(gif.blocks(file), _BLOCKS):
        if one.sign != gif.EXTENSION or one.label not in (b"\xfe", b"\x01", b"\xff"):
            continue
        content = one.content(file, min(budget, LARGEST >> 4))
        budget -= len(content)
        if one.label == b"\xfe":
            found.comments.append(content)
        elif one.label == b"\x01":
            found.name("text", "text laid on the picture", len(content))
        elif content[:11] == b"XMP DataXMP":
            found.xmp_size = len(content)
    _merge_notes(found)


def _survey_ppm(file: IO[bytes], found: Survey) -> None:
    """Comments before the sizes."""
    matched = re.match(rb"P[1-7Ff]\s*((?:#[^\r\n]*[\r\n]+\s*)*)", read_at(file, 0, 1 << 12))
    for line in matched[1].splitlines() if matched else ():
        if line.lstrip().startswith(b"#"):
            found.comments.append(line.lstrip()[1:].strip())


def _survey_bmp(file: IO[bytes], found: Survey) -> None:
    """A colour profile behind a header of version 5 (BITMAPV5HEADER)."""
    head = read_at(file, 14, 124)
    if len(head) == 124 and int.from_bytes(head[:4], "little") >= 124 and head[56:60] == b"DEBM":
        start, size = struct.unpack_from("<II", head, 112)
        found.profile = read_at(file, 14 + start, size) or None
        found.icc = True
