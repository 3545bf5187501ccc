"""What a photo carries, made to fit a result of another size and of some format, and put into its file."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import IO, TYPE_CHECKING

from blindsr.picture import exif as exif_block
from blindsr.picture.jpeg_xl.writing import has_place_for, keeps
from blindsr.picture.metadata import gain_map as gain_maps
from blindsr.picture.metadata import geotiff, heif, jpeg, photoshop, png, webp
from blindsr.picture.metadata import signalling as signals
from blindsr.picture.metadata import xmp as xmp_packet
from blindsr.picture.metadata.contents import Metadata
from blindsr.picture.metadata.geometry import Change
from blindsr.picture.metadata.origin import marked
from blindsr.picture.metadata.report import Item, Report
from blindsr.picture.tiff import Tree, add_tags, exif_tags, resolution_tags

if TYPE_CHECKING:
    from blindsr.picture.formats import Format
    from blindsr.picture.photo import Photo, Picture

_OWN_PLACES = ("jpeg", "png")
"""Formats whose blocks we write ourselves; in others libvips makes the places for them."""

_RESOLUTION_TAGS = frozenset((282, 283, 296))
"""Libvips makes one up where none is known, and rounds the others."""

_RESOURCES_TAG, _IPTC_TAG = 34377, 33723
_COMMENT = "Comment"
_RESOLUTION = "resolution"
_PIECES = 256  # segments of a result; more comments than that are no photo's


@dataclass
class Load:
    """What goes into a file besides its pixels.

    Args:
        format_: The file's format.
        icc: Colour profile.
        exif: EXIF block.
        xmp: XMP packet.
        report: What becomes of what the photo carried.
        pieces: Segments or chunks.
        tags: Entries of a TIFF file.
        aspect: What stands where a resolution would; None where there is one.
        code_points: Colours of an AVIF or JPEG XL file.
        peak: As in `Metadata`, for a JPEG XL file.
        gain_map: The same, for a JPEG file.
    """

    format_: Format
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    report: Report = field(default_factory=Report)
    pieces: list[bytes] = field(default_factory=list)
    tags: Tree = field(default_factory=dict)
    aspect: tuple[int, int] | None = None
    code_points: tuple[int, int] | None = None
    peak: float | None = None
    gain_map: bytes | None = None

    @property
    def by_libvips(self) -> dict[str, bytes | None]:
        """Blocks that its saver is to write, by libvips's names of their kinds."""
        blocks = {"icc": self.icc, "exif": self.exif, "xmp": self.xmp}
        ours = (
            {"exif", "xmp"}
            if self.format_.name in _OWN_PLACES
            else {"exif"}
            if self.format_.name == "tiff"
            else set()
        )
        return {name: None if name in ours else block for name, block in blocks.items()}

    def put(self, file: IO[bytes]) -> None:
        """Put all that its saver has not written into a written file, open for reading and writing."""
        kind = self.format_.name
        if kind == "jpeg":
            jpeg.add_segments(file, self.pieces)
            if self.gain_map is not None:
                gain_maps.append(file, self.gain_map)
        elif kind == "png":
            png.add_chunks(file, self.pieces, self.aspect)
        elif kind == "tiff":
            add_tags(file, self.tags, _RESOLUTION_TAGS)
        elif kind == "webp" and self.exif is not None:
            _check(webp.set_exif(file, self.exif), "EXIF")
        elif kind == "avif":
            if self.code_points is not None:
                _check(heif.set_colour(file, *self.code_points), "what its colours mean")
            if self.exif is not None:
                _check(heif.set_exif(file, self.exif), "EXIF")


def _check(done: bool, what: str) -> None:
    """Better no file than one without what was said to be kept."""
    if not done:
        raise OSError(f"{what} finds no place in what libvips has written; use PNG or TIFF")


def load(like: Photo | Picture, format_: Format, height: int, width: int, lossless: bool = False) -> Load:
    """What a photo carries, for a file of this format.

    Args:
        like: The photo.
        format_: The format of the file.
        height: Rows of the result.
        width: Its columns.
        lossless: Whether nothing is to be lost in a format that may.
    """
    metadata = like.metadata
    change = Change(metadata.size or (like.height, like.width), (height, width))
    made = Load(format_, aspect=None if like.dpi is not None else metadata.aspect or (1, 1))
    made.report.warnings += metadata.warnings
    if metadata.restored_before is not None:
        made.report.warnings.append(metadata.restored_before.warning)
    made.report.dropped += metadata.others
    if format_.name == "jpeg":
        sides = [max(1, min(round(side), 65535)) for side in like.dpi or made.aspect or ()]
        made.pieces.append(jpeg.jfif(0 if like.dpi is None else 1, sides[0], sides[1]))
    made.report.changed += [Item("colour", text) for owner, text in metadata.changed if not owner]
    _load_alpha(like, made)
    _load_colours(like, made, lossless)
    _load_peak(metadata, made)
    _load_gain_map(metadata, change, made)
    _load_exif(like, change, made)
    _load_xmp(like, change, made)
    _load_resolution(like, made)
    _load_resources(metadata, change, made)
    _load_texts(metadata, made)
    _load_tags(metadata, change, made)
    return made


def with_resolution(photo: Photo, dpi: float) -> Photo:
    """A photo whose result gets this resolution, pixels per inch, whatever its own is."""
    metadata = replace(photo.metadata, changed=(*photo.metadata.changed, (_RESOLUTION, "as asked for")))
    return replace(photo, dpi=(dpi, dpi), metadata=metadata)


def inventory(like: Photo | Picture) -> list[Item]:
    """All that a photo carries besides its pixels."""
    metadata = like.metadata
    found = [Item("alpha", "alpha")] if like.has_alpha else []
    told = metadata.signalling
    if like.icc is not None and (told is None or told.profile != like.icc):
        found.append(Item("icc", "colour profile", len(like.icc)))
    found += [Item("colour", told.text)] if told is not None else []
    found += [Item("gain map", gain_maps.TEXT, len(metadata.gain_map))] if metadata.gain_map else []
    found += [_peak_item(metadata.peak)] if metadata.peak is not None else []
    for kind, block in (("EXIF", like.exif), ("XMP", like.xmp)):
        if block is not None:
            found.append(Item(kind.lower(), kind, len(block)))
    found += [Item("resolution", "resolution")] if like.dpi is not None or metadata.aspect is not None else []
    found += _resource_items(metadata)
    found += [Item("comment", "comment", len(comment)) for comment in metadata.comments]
    found += [_text_item(name, content) for name, content in metadata.texts]
    found += [Item("geotiff", "GeoTIFF tags")] if metadata.tags else []
    return [*found, *metadata.others]


def _load_alpha(like: Photo | Picture, made: Load) -> None:
    if like.has_alpha and made.format_.name == "gif":
        made.report.changed.append(Item("alpha", "alpha (each pixel is opaque or clear now)"))
    elif like.has_alpha and made.format_.alpha:
        made.report.kept.append(Item("alpha", "alpha"))
    elif like.has_alpha:
        made.report.dropped.append(Item("alpha", "alpha (laid on white)"))


def _load_colours(like: Photo | Picture, made: Load, lossless: bool) -> None:
    """A profile; or what tells the colours otherwise, else a profile made of that."""
    told, report, kind = like.metadata.signalling, made.report, made.format_.name
    own = like.icc is not None and (told is None or told.profile != like.icc)
    stays = made.format_.profile and not (like.gray and not made.format_.gray)
    made.icc = like.icc
    if own:
        item = Item("icc", "colour profile")
        if stays and kind == "jxl" and not lossless and not keeps(like.icc or b"", like.gray):
            report.changed.append(Item("icc", "colour profile (told by numbers now)"))
        elif stays:
            report.kept.append(item)
        else:
            report.changed.append(Item("icc", "colour profile (the colours are sRGB now)"))
    if told is None or (
        told.profile is not None and like.icc is None
    ):  # taken away by whoever made the picture
        return
    item = Item("colour", told.text)
    chunks = signals.png_chunks(told)
    if kind == "png" and chunks:
        made.pieces += [png.chunk(name, content) for name, content in chunks]
        made.icc = like.icc if own else None
        report.kept.append(item)
    elif told.code_points is not None and not own and _tells(made.format_, told.code_points, like.gray):
        made.code_points, made.icc = told.code_points, None
        report.kept.append(item)
    elif told.profile is None or own:
        report.kept.append(item)  # it says what is meant where nothing is said, or what the profile says
    elif stays:
        report.changed.append(Item("colour", f"{told.text} (as a profile)"))
    else:
        report.changed.append(Item("colour", f"{told.text} (the colours are sRGB now)"))


def _tells(format_: Format, code_points: tuple[int, int], gray: bool) -> bool:
    """Whether a format has a place for code points that is no profile."""
    if format_.name == "jxl":
        return has_place_for(*code_points)
    return format_.name == "avif" and not gray


def _load_peak(metadata: Metadata, made: Load) -> None:
    if metadata.peak is None:
        return
    if made.format_.name == "jxl":
        made.peak = metadata.peak
        made.report.kept.append(_peak_item(metadata.peak))
    else:
        made.report.dropped.append(_peak_item(metadata.peak))


def _peak_item(peak: float) -> Item:
    return Item("peak", f"brightness of its largest sample ({peak:.4g} candelas)")


def _load_gain_map(metadata: Metadata, change: Change, made: Load) -> None:
    """A JPEG file of the same shape has it as it was."""
    if metadata.gain_map is None:
        return
    item = Item("gain map", gain_maps.TEXT)
    if made.format_.name != "jpeg" or not change.same_shape:
        made.report.dropped.append(item)
        return
    made.gain_map = metadata.gain_map
    made.pieces += gain_maps.segments(metadata.gain_map)
    made.report.kept.append(item)


def _load_exif(like: Photo | Picture, change: Change, made: Load) -> None:
    format_, report = made.format_, made.report
    if like.exif is None:
        if like.dpi is not None and not format_.density:
            made.exif = exif_block.of_resolution(like.dpi)
            _place_exif(made)
        return
    if not format_.profile:
        report.dropped.append(Item("exif", "EXIF", len(like.exif)))
        return
    exif, notes, lost = exif_block.follow(like.exif, change)
    if like.dpi is not None:
        before, exif = exif, exif_block.with_resolution(exif, like.dpi, add=not format_.density)
        notes = notes if exif == before else {**notes, "resolution": None}
    if format_.name == "jpeg":
        exif, larger = exif_block.fit(exif, jpeg.MOST - len(jpeg.EXIF))
        lost = {**lost, **{f"{text} (more than a JPEG file holds)": None for text in larger}}
    notes = {**dict.fromkeys(text for owner, text in like.metadata.changed if owner == "EXIF"), **notes}
    report.dropped += [
        Item("exif", text if text == "thumbnail" else f"EXIF: {text}", derived=text == "thumbnail")
        for text in lost
    ]
    moved = like.metadata.moved or format_.name == "tiff"
    if moved and exif_block.has_maker_notes(exif):
        report.changed.append(Item("exif", "maker notes (as bytes: what they point to has moved)"))
    _report_block("EXIF", notes, report)
    made.exif = exif
    _place_exif(made)


def _place_exif(made: Load) -> None:
    """Where the format's own functions write it."""
    exif, kind = made.exif, made.format_.name
    if exif is None:
        return
    if kind == "jpeg":
        made.pieces.append(jpeg.segment(0xE1, jpeg.EXIF + exif))
    elif kind == "png":
        made.pieces.append(png.chunk(b"eXIf", exif))
    elif kind == "tiff":
        made.tags.update(exif_tags(exif))


def _load_xmp(like: Photo | Picture, change: Change, made: Load) -> None:
    """The photo's packet, which follows the pixels and says how they were made."""
    if not made.format_.profile:
        made.report.dropped += [] if like.xmp is None else [Item("xmp", "XMP", len(like.xmp))]
        return
    packet = notes = None
    if like.xmp is not None:
        packet, notes, lost = xmp_packet.follow(like.xmp, change)
        notes = {**dict.fromkeys(text for owner, text in like.metadata.changed if owner == "XMP"), **notes}
        made.report.dropped += [Item("xmp", f"XMP: {text}") for text in lost if text]
    if packet is not None and not _xmp_fits(packet, made.format_):
        made.report.dropped.append(Item("xmp", "XMP (more than a JPEG file holds)", len(packet)))
        packet = None
    if like.metadata.restored:
        signed = marked(packet, like.metadata.restored)
        if signed is None or not _xmp_fits(signed, made.format_):
            made.report.warnings.append("its XMP has no room for how the result was made")
        else:
            made.xmp = signed
    if packet is not None and notes is not None:
        _report_block("XMP", notes if made.xmp is None else {**notes, "origin": None}, made.report)
    made.xmp = packet if made.xmp is None else made.xmp
    told = None if made.gain_map is None else gain_maps.packet(made.gain_map)
    if told is not None:
        both = told if made.xmp is None else xmp_packet.merged(made.xmp, told)
        made.xmp = both if _xmp_fits(both, made.format_) else made.xmp
    if made.xmp is not None and made.format_.name == "jpeg":
        made.pieces += jpeg.xmp_segments(made.xmp) or []
    elif made.xmp is not None and made.format_.name == "png":
        made.pieces.append(png.chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + made.xmp))


def _xmp_fits(packet: bytes, format_: Format) -> bool:
    return format_.name != "jpeg" or jpeg.xmp_segments(packet) is not None


def _report_block(name: str, notes: dict[str, None], report: Report) -> None:
    """A block is kept as it was, or with what follows the pixels."""
    kind = name.lower()
    if notes:
        report.changed.append(Item(kind, f"{name} ({', '.join(notes)})"))
    else:
        report.kept.append(Item(kind, name))


def _load_resolution(like: Photo | Picture, made: Load) -> None:
    aspect = like.metadata.aspect
    if like.dpi is not None:
        asked = [text for owner, text in like.metadata.changed if owner == _RESOLUTION]
        if not (made.format_.density or made.format_.profile):  # no place of its own, nor that of EXIF
            made.report.dropped.append(Item("resolution", "resolution"))
        elif asked:
            made.report.changed.append(Item("resolution", f"resolution ({asked[-1]})"))
        else:
            made.report.kept.append(Item("resolution", "resolution"))
        if made.format_.name == "tiff":
            made.tags.update(resolution_tags(like.dpi, 2))
    elif aspect is not None:
        has_place = made.format_.name in ("jpeg", "png", "tiff")
        if made.format_.name == "tiff":
            made.tags.update(resolution_tags(aspect, 1))
        (made.report.kept if has_place else made.report.dropped).append(
            Item("resolution", "shape of the pixels")
        )


def _resource_items(metadata: Metadata) -> list[Item]:
    """IPTC, and Photoshop's other resources."""
    found = photoshop.resources(metadata.resources or b"")
    items = [Item("iptc", "IPTC", len(one.content)) for one in found if one.number == photoshop.IPTC]
    others = sum(len(one.content) for one in found if one.number != photoshop.IPTC)
    return [*items, Item("photoshop", "Photoshop resources", others)] if len(found) > len(items) else items


def _load_resources(metadata: Metadata, change: Change, made: Load) -> None:
    if metadata.resources is None:
        return
    items, kind = _resource_items(metadata), made.format_.name
    if kind not in ("jpeg", "png", "tiff"):
        made.report.dropped += items
        return
    block, notes, lost = photoshop.follow(metadata.resources, change)
    made.report.dropped += [Item("photoshop", text) for text in lost if text]
    notes = notes or dict.fromkeys(text for owner, text in metadata.changed if owner == "Photoshop")
    (made.report.changed if notes else made.report.kept).extend(items)
    if block is None:
        return
    if kind == "jpeg":
        made.pieces += jpeg.resource_segments(block)
    elif kind == "png":
        made.pieces.append(png.profile_chunk("iptc", block))
    else:  # IPTC has a tag of its own, and two of it would be one too many
        iptc, others = photoshop.iptc_of(block), photoshop.without_iptc(block)
        if iptc:
            made.tags[_IPTC_TAG] = 7, len(iptc), iptc
        if others:
            made.tags[_RESOURCES_TAG] = 1, len(others), others


def _text_item(name: bytes, content: bytes) -> Item:
    return Item("text", f"text {png.shown_text(name, content)!r}", len(content))


def _load_texts(metadata: Metadata, made: Load) -> None:
    """Comments and texts: those of one format are the other's where it has a place for them."""
    kind, report = made.format_.name, made.report
    for comment in metadata.comments:
        item = Item("comment", "comment", len(comment))
        if kind == "jpeg" and len(comment) <= jpeg.MOST:
            made.pieces.append(jpeg.segment(0xFE, comment))
        elif kind == "png":
            made.pieces.append(png.text_chunk(_COMMENT, _as_text(comment)))
        else:
            report.dropped.append(item)
            continue
        report.kept.append(item)
    for name, content in metadata.texts:
        item = _text_item(name, content)
        told = _comment_of(name, content) if kind == "jpeg" and len(made.pieces) < _PIECES else None
        if kind == "png":
            made.pieces.append(png.chunk(name, content))
        elif told is not None:
            made.pieces.append(jpeg.segment(0xFE, told))
        else:
            report.dropped.append(item)
            continue
        report.kept.append(item)


def _comment_of(name: bytes, content: bytes) -> bytes | None:
    """What a chunk of text says that is a comment; None of another, and of what no segment holds."""
    told = png.text_of(name, content) if content.startswith(_COMMENT.encode() + b"\0") else None
    if told is None:
        return None
    text = told[1].decode("utf-8" if name == b"iTXt" else "latin-1", "replace").encode()
    return text if len(text) <= jpeg.MOST else None


def _as_text(comment: bytes) -> str:
    """A comment as text; a NUL at its end, as some programs write it, is none of it."""
    comment = comment.rstrip(b"\0").replace(b"\0", b" ")
    try:
        return comment.decode("utf-8")
    except UnicodeDecodeError:
        return comment.decode("latin-1")


def _load_tags(metadata: Metadata, change: Change, made: Load) -> None:
    if not metadata.tags:
        return
    item = Item("geotiff", "GeoTIFF tags")
    tags = geotiff.follow(metadata.tags, change)
    if made.format_.name == "tiff" and tags is not None:
        made.tags.update(tags)
        made.report.changed.append(Item("geotiff", "GeoTIFF tags (size of a pixel)"))
    else:
        made.report.dropped.append(item)
