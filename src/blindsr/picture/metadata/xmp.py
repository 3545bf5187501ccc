"""What of an XMP packet must follow the pixels, and packets that JPEG files hold in two parts."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from blindsr.picture.metadata.geometry import Change
from blindsr.picture.metadata.packet import (
    RDF,
    Notes,
    Packet,
    Value,
    children,
    properties,
    set_attribute,
    set_text,
    text_of,
)

_TIFF, _EXIF = "http://ns.adobe.com/tiff/1.0/", "http://ns.adobe.com/exif/1.0/"
_PANORAMA = "http://ns.google.com/photos/1.0/panorama/"
_CAMERA = "http://ns.google.com/photos/1.0/camera/"
_AREA = "http://ns.adobe.com/xmp/sType/Area#"
_SIZE = "http://ns.adobe.com/xap/1.0/sType/Dimensions#"
_REGIONS = "http://www.metadataworkinggroup.com/schemas/regions/"
_PEOPLE = "http://ns.microsoft.com/photo/1.2/t/Region#"
IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_DEVELOPING = "http://ns.adobe.com/camera-raw-settings/1.0/"
_NOTE = "http://ns.adobe.com/xmp/note/"
_FOCUS = "http://ns.google.com/photos/1.0/focus/"
_DUBLIN = "http://purl.org/dc/elements/1.1/"

_GONE = {
    "http://ns.google.com/photos/1.0/container/": "list of what the file held behind the photo",
    "http://ns.google.com/photos/dd/": "list of what the file held behind the photo",
    "http://ns.google.com/photos/1.0/depthmap/": "depth map",
    "http://ns.google.com/photos/1.0/image/": "second picture in XMP",
    "http://ns.adobe.com/hdr-gain-map/": "gain map",
    "http://ns.apple.com/HDRGainMap/": "gain map",
    "http://ns.apple.com/pixeldatainfo/": "gain map",
}
"""Beginnings of namespaces that speak of pictures which do not come with the result -> what to call them."""

_ACROSS = frozenset(
    (
        "FullPanoWidthPixels",
        "CroppedAreaImageWidthPixels",
        "CroppedAreaLeftPixels",
        "LargestValidInteriorRectWidth",
        "LargestValidInteriorRectLeft",
    )
)
_DOWN = frozenset(
    (
        "FullPanoHeightPixels",
        "CroppedAreaImageHeightPixels",
        "CroppedAreaTopPixels",
        "LargestValidInteriorRectHeight",
        "LargestValidInteriorRectTop",
    )
)
_WIDTHS = frozenset(((_TIFF, "ImageWidth"), (_EXIF, "PixelXDimension"), (_EXIF, "ImageWidth")))
_HEIGHTS = frozenset(
    (
        (_TIFF, "ImageLength"),
        (_TIFF, "ImageHeight"),
        (_EXIF, "PixelYDimension"),
        (_EXIF, "ImageLength"),
        (_EXIF, "ImageHeight"),
    )
)
_CROPS = re.compile("Crop|HasCrop|RetouchA|RetouchI|RedEye|.*BasedCorrections|MaskGroup|Perspective|Upright")
"""Names of what was cut or painted where, of those by which a raw file was developed."""

_TELLING = re.compile(
    rb"Orientation|Dimension|ImageWidth|ImageLength|Pano|Region|Subject|Crop|Area|Container|\0"
)
"""What a packet that cannot be taken apart has if it may speak of the picture's size, or of how it lies."""


def orientation(packet: bytes | None) -> int:
    """The orientation that a packet tells, 1 to 8; 1 if it tells none."""
    if packet is None or b"Orientation" not in packet:
        return 1
    try:
        told = [value.get() for value in Packet(packet).values((_TIFF, "Orientation"))]
    except ValueError:
        return 1
    return int(told[0]) if told and re.fullmatch("[1-8]", told[0]) else 1


def follow(packet: bytes, change: Change) -> tuple[bytes | None, Notes, Notes]:
    """A packet that tells of the picture as it is now.

    Args:
        packet: The packet.
        change: What became of the picture.

    Returns:
        The packet, as it was to the last byte where nothing in it speaks of what changed, or None where it
        cannot be read or nothing is left of it; what was changed; and what was dropped.
    """
    try:
        parts = Packet(packet)
    except ValueError:
        told = _TELLING.search(packet) is not None
        return (None, {}, {"XMP that cannot be read": None}) if told else (packet, {}, {})
    changed: Notes = {}
    dropped = parts.drop(lambda namespace, name: _lost(namespace, name, change.turned))
    for text, follower in _FOLLOWERS.items():
        touched, parts.touched = parts.touched, False
        follower(parts, change)
        if parts.touched:
            changed[text] = None
        parts.touched |= touched
    dropped.pop("", None)
    if not parts.touched:
        return packet, changed, dropped
    return None if parts.empty else parts.packed(), changed, dropped


def _lost(namespace: str, name: str, turned: bool) -> str | None:
    """What a property is called that the result cannot have; None if it can, "" if it is no loss."""
    for beginning, text in _GONE.items():
        if namespace.startswith(beginning):
            return text
    if namespace == _CAMERA and name.startswith(("Motion", "MicroVideo")):
        return "moving part of the photo"
    if (namespace, name) == (_NOTE, "HasExtendedXMP"):
        return ""
    if (namespace, name) == ("http://ns.adobe.com/xap/1.0/", "Thumbnails"):
        return "thumbnail"
    if turned and namespace == _PANORAMA:
        return "panorama data (the photo was turned)"
    if turned and namespace == _DEVELOPING and _CROPS.match(name):
        return "crop of the raw file (the photo was turned)"
    if turned and namespace == _FOCUS:
        return "focus data (the photo was turned)"
    return None


def _follow_orientation(parts: Packet, change: Change) -> None:
    for value in parts.values((_TIFF, "Orientation"), (_EXIF, "Orientation")):
        value.set("1")


def _follow_sizes(parts: Packet, change: Change) -> None:
    for value in parts.values(*_WIDTHS):
        value.set(str(change.after[1]))
    for value in parts.values(*_HEIGHTS):
        value.set(str(change.after[0]))
    _exchange(parts, change, _TIFF, "XResolution", "YResolution")
    _exchange(parts, change, _EXIF, "FocalPlaneXResolution", "FocalPlaneYResolution")
    for name, scale in zip(("FocalPlaneXResolution", "FocalPlaneYResolution"), change.scales, strict=True):
        for value in parts.values((_EXIF, name)):
            ratio = _fraction(value.get())
            if ratio is not None and scale != 1:
                scaled = (ratio * Fraction(scale)).limit_denominator(1 << 16)
                value.set(f"{scaled.numerator}/{scaled.denominator}")


def _exchange(parts: Packet, change: Change, namespace: str, *names: str) -> None:
    """Two values that tell across and down change places, where the picture's sides did."""
    if not change.swapped:
        return
    values = [list(parts.values((namespace, name))) for name in names]
    for one, other in zip(*values, strict=False):
        first, second = one.get(), other.get()
        one.set(second)
        other.set(first)


def _follow_panorama(parts: Packet, change: Change) -> None:
    for names, axis in ((_ACROSS, 0), (_DOWN, 1)):
        scale, before, after = change.scales[axis], change.before[1 - axis], change.after[1 - axis]
        for value in parts.values(*((_PANORAMA, name) for name in names)):
            number = _number(value.get())
            if number is not None:
                value.set(str(after if number == before else round(number * scale)))


def _follow_subject(parts: Packet, change: Change) -> None:
    for value in parts.values((_EXIF, "SubjectArea"), (_EXIF, "SubjectLocation")):
        items = value.items()
        numbers = [_number(text_of(item)) for item in items]
        told = [number for number in numbers if number is not None]
        if len(told) == len(numbers) and len(numbers) in (2, 3, 4):
            for item, number in zip(items, change.subject(told), strict=True):
                if text_of(item) != str(number):
                    set_text(item, str(number))
                    parts.touched = True


def _follow_regions(parts: Packet, change: Change) -> None:
    for element in parts.elements():
        names = element.namespaceURI, element.localName
        if names == (_REGIONS, "AppliedToDimensions"):
            _follow_dimensions(parts, _Structure(parts, element, _SIZE), change)
        elif names == (_REGIONS, "Area"):
            _follow_area(_Structure(parts, element, _AREA), change)
        elif names == (IPTC, "RegionBoundary"):
            _follow_boundary(_Structure(parts, element, IPTC), change)
    for value in parts.values((_PEOPLE, "Rectangle")):
        numbers = [_number(part) for part in value.get().split(",")]
        told = [number for number in numbers if number is not None]
        if change.turned and len(told) == len(numbers) == 4:
            corner, sides = change.corner(*told), change.sides(*told[2:])
            value.set(", ".join(_short(number) for number in (*corner, *sides)))


def _follow_dimensions(parts: Packet, size: _Structure, change: Change) -> None:
    if size.text("unit") in ("", "pixel"):
        size.put("w", str(change.after[1]))
        size.put("h", str(change.after[0]))


def _follow_area(area: _Structure, change: Change) -> None:
    """A region around its centre."""
    x, y, width, height = (area.number(name) for name in "xywh")
    if x is None or y is None:
        return
    pixels = area.text("unit") == "pixel"
    if not pixels and not change.turned:
        return
    area.put_pair("x", "y", change.place(x, y) if pixels else change.share(x, y))
    if width is not None and height is not None:
        area.put_pair("w", "h", change.extent(width, height) if pixels else change.sides(width, height))
    diameter = area.number("d")
    if pixels and diameter is not None:
        area.put("d", _short(diameter * sum(change.scales) / 2))


def _follow_boundary(area: _Structure, change: Change) -> None:
    """A region as IPTC tells it: a box by its corner, a circle by its centre, or corners."""
    pixels = area.text("rbUnit") == "pixel"
    if not pixels and not change.turned:
        return
    x, y, width, height = (area.number(f"rb{name}") for name in "XYWH")
    before, after = (change.before, change.after) if pixels else ((1, 1), (1, 1))
    if x is not None and y is not None:
        box = (width or 0) / before[1], (height or 0) / before[0]
        across, down = change.corner(x / before[1], y / before[0], *box)
        area.put_pair("rbX", "rbY", (across * after[1], down * after[0]))
        if width is not None and height is not None:
            across, down = change.sides(*box)
            area.put_pair("rbW", "rbH", (across * after[1], down * after[0]))
    radius = area.number("rbRx")
    if radius is not None and pixels:
        area.put("rbRx", _short(radius * sum(change.scales) / 2))
    elif radius is not None and change.swapped:  # in parts of the width, which is another side now
        area.put("rbRx", _short(radius * change.before[1] / max(1, change.before[0])))
    for item in area.items("rbVertices"):
        corner = _Structure(area.parts, item, IPTC)
        x, y = corner.number("rbX"), corner.number("rbY")
        if x is not None and y is not None:
            across, down = change.share(x / before[1], y / before[0])
            corner.put_pair("rbX", "rbY", (across * after[1], down * after[0]))


class _Structure:
    """A property that has fields: attributes of its element, or elements in it, or in a description in it."""

    def __init__(self, parts: Packet, element: Any, namespace: str) -> None:  # noqa: ANN401
        self.parts, self._namespace = parts, namespace
        inner = [
            one for one in children(element) if (one.namespaceURI, one.localName) == (RDF, "Description")
        ]
        self._holders = [element, *inner]

    def text(self, name: str) -> str:
        value = self._value(name)
        return "" if value is None else value.get()

    def number(self, name: str) -> float | None:
        return _number(self.text(name))

    def put(self, name: str, text: str) -> None:
        value = self._value(name)
        if value is not None:
            value.set(text)

    def put_pair(self, one: str, other: str, pair: tuple[float, float]) -> None:
        self.put(one, _short(pair[0]))
        self.put(other, _short(pair[1]))

    def items(self, name: str) -> list[Any]:
        value = self._value(name)
        return [] if value is None else value.items()

    def _value(self, name: str) -> Value | None:
        for holder in self._holders:
            if holder.hasAttributeNS(self._namespace, name):
                return Value(self.parts, holder, holder.getAttributeNodeNS(self._namespace, name))
            for child in children(holder):
                if (child.namespaceURI, child.localName) == (self._namespace, name):
                    return Value(self.parts, child)
        return None


_FOLLOWERS: dict[str, Callable[[Packet, Change], None]] = {
    "orientation": _follow_orientation,
    "size": _follow_sizes,
    "panorama": _follow_panorama,
    "subject": _follow_subject,
    "regions": _follow_regions,
}


def merged(packet: bytes, extension: bytes) -> bytes:
    """A packet and what did not fit into it, as one; the packet alone where they cannot be read."""
    try:
        one, other = Packet(packet), Packet(extension)
        whole, further = one.root(), other.descriptions()
    except ValueError:
        return packet
    for about in further:
        whole.appendChild(one.document.importNode(about, True))
    one.drop(lambda namespace, name: "" if (namespace, name) == (_NOTE, "HasExtendedXMP") else None)
    return one.packed()


def split(packet: bytes, most: int) -> tuple[bytes, bytes] | None:
    """A packet in two: one of at most so many bytes that names the other; None where that cannot be.

    The largest properties go into the second (XMP part 3, section 1.1.3.1).
    """
    try:
        first, second = Packet(packet), Packet(packet)
        tops = first.descriptions(), second.descriptions()
    except ValueError:
        return None
    sizes = [
        (place, at, len(child.toxml()))
        for place, about in enumerate(tops[0])
        for at, child in enumerate(children(about))
    ]
    room, moved = most - 300, set()
    left = len(first.packed())
    for place, at, size in sorted(sizes, key=lambda one: -one[2]):
        if left <= room:
            break
        left -= size
        moved.add((place, at))
    for place, (one, other) in enumerate(zip(*tops, strict=True)):
        for at, (child, copy) in enumerate(zip(children(one), children(other), strict=True)):
            parent, unwanted = (one, child) if (place, at) in moved else (other, copy)
            parent.removeChild(unwanted)
        for attribute in properties(other):
            other.removeAttributeNode(attribute)
    if not moved:
        return None
    for node in list(second.document.childNodes):
        if node.nodeType == node.PROCESSING_INSTRUCTION_NODE:
            second.document.removeChild(node)
    extension = second.packed()
    set_attribute(tops[0][0], "xmpNote", _NOTE, "HasExtendedXMP", digest(extension))
    packed = first.packed()
    return (packed, extension) if len(packed) <= most else None


def digest(extension: bytes) -> str:
    """What a packet calls the rest of it."""
    return hashlib.md5(extension, usedforsecurity=False).hexdigest().upper()


def _number(text: str) -> float | None:
    return (
        float(text)
        if re.fullmatch(r"\s*[-+]?([0-9]{1,15}(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]{1,2})?\s*", text)
        else None
    )


def _fraction(text: str) -> Fraction | None:
    match = re.fullmatch(r"([0-9]{1,12})/([0-9]{1,12})", text)
    return Fraction(int(match[1]), int(match[2])) if match and int(match[2]) else None


def _short(number: float) -> str:
    """A number as people write it: no more than seven places."""
    return f"{number:.7f}".rstrip("0").rstrip(".") or "0"
