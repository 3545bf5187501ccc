"""What a file carries, made to belong to its upright pixels."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from blindsr.picture import exif as exif_block
from blindsr.picture.metadata import gain_map as gain_maps
from blindsr.picture.metadata import geotiff, photoshop
from blindsr.picture.metadata import xmp as xmp_packet
from blindsr.picture.metadata.contents import Metadata
from blindsr.picture.metadata.geometry import Change
from blindsr.picture.metadata.origin import read_origin
from blindsr.picture.metadata.pieces import LARGEST
from blindsr.picture.metadata.report import Item
from blindsr.picture.metadata.survey import Survey
from blindsr.picture.profiles import is_usable
from blindsr.picture.tiff import LARGEST_EXIF
from blindsr.system.memory import show_bytes

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Belongings:
    """What belongs to a picture besides its pixels: as in `Picture`."""

    icc: bytes | None
    exif: bytes | None
    xmp: bytes | None
    metadata: Metadata


def orientation_of(exif: bytes | None, xmp: bytes | None) -> int:
    """How a picture is to be turned: as EXIF says; where that says nothing, as XMP does."""
    told = exif_block.orientation(exif)
    return xmp_packet.orientation(xmp) if told is None else told


def belongings(
    found: Survey,
    blocks: Mapping[str, bytes | None],
    change: Change,
    path: Path,
    gray: bool = False,
    moved: bool = False,
) -> Belongings:
    """What was found, for the upright picture.

    Args:
        found: What the survey of the file found.
        blocks: "icc", "exif" and "xmp" as its decoder gave them.
        change: How the picture is turned.
        path: The file, for the log.
        gray: Whether the picture has one channel.
        moved: Whether what EXIF holds has moved.
    """
    changed: list[tuple[str, str]] = []
    others = list(found.others)

    def note(owner: str, notes: dict[str, None], lost: dict[str, None]) -> None:
        changed.extend((owner, text) for text in notes)
        others.extend(
            Item(owner.lower(), text if text in _ALONE else f"{owner}: {text}", derived=text in _ALONE)
            for text in lost
            if text
        )

    exif, xmp, resources = blocks["exif"], blocks["xmp"], found.resources
    if exif is not None and len(exif) > LARGEST_EXIF:
        log.warning("%s: its EXIF is left out; it is larger than a camera writes", path)
        exif = None
    if exif is not None:
        exif, notes, lost = exif_block.follow(exif, change)
        note("EXIF", notes, lost)
    elif found.exif_size:
        others.append(Item("exif", "EXIF that cannot be read", found.exif_size))
    xmp = bounded(xmp, "XMP packet", path)
    if xmp is not None and found.extension is not None:
        xmp = xmp_packet.merged(xmp, found.extension)
    if xmp is not None:
        xmp, notes, lost = xmp_packet.follow(xmp, change)
        note("XMP", notes, lost)
    elif found.xmp_size:
        others.append(Item("xmp", "XMP that cannot be read", found.xmp_size))
    if resources is not None:
        resources, notes, lost = photoshop.follow(resources, change)
        note("Photoshop", notes, lost)
    tags = geotiff.follow(found.tags, change)
    if tags is None and found.tags:
        others.append(Item("geotiff", "GeoTIFF tags (the photo was turned)"))
    gain_map = found.gain_map
    if gain_map is not None and change.orientation != 1:  # it would have to be turned, too
        others.append(Item("gain map", gain_maps.TEXT))
        gain_map = None
    if gain_map is not None:
        others = [one for one in others if one.text not in _OF_GAIN_MAP]
    icc = bounded(blocks["icc"], "colour profile", path)
    if icc is not None and not is_usable(icc, gray):
        icc, found.icc = None, True
    if icc is None and found.icc:
        others.append(Item("icc", "colour profile that is damaged or of other colours"))
    told = found.signalling
    aspect = found.aspect[::-1] if found.aspect is not None and change.swapped else found.aspect
    metadata = Metadata(
        size=change.after,
        turned=change.orientation,
        resources=resources,
        comments=tuple(found.comments),
        texts=tuple(found.texts),
        signalling=told,
        gain_map=gain_map,
        tags=tags or {},
        aspect=aspect,
        others=tuple(dict.fromkeys(others)),
        changed=tuple(dict.fromkeys(changed)),
        warnings=tuple(found.warnings),
        moved=moved,
        restored_before=read_origin(xmp),
    )
    return Belongings(told.profile if icc is None and told is not None else icc, exif, xmp, metadata)


_OF_GAIN_MAP = ("XMP: gain map", "XMP: list of what the file held behind the photo")
"""What XMP says of a gain map, which a result with one says anew."""

_ALONE = ("thumbnail",)
"""Losses that need no owner, and are none: they are made of the photo itself."""


def bounded(block: bytes | None, name: str, path: Path) -> bytes | None:
    """A block of metadata, unless it is larger than any program writes."""
    if block is not None and len(block) > LARGEST:
        log.warning("%s: its %s is left out; it has more than %s", path, name, show_bytes(LARGEST))
        return None
    return block
