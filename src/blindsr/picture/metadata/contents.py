"""What a photo carries besides pixels, profile, EXIF, XMP and resolution, on its way into the result."""

from __future__ import annotations

from dataclasses import dataclass, field

from blindsr.picture.metadata.origin import Origin
from blindsr.picture.metadata.report import Item
from blindsr.picture.metadata.signalling import Signalling
from blindsr.picture.tiff import Tree


@dataclass(frozen=True)
class Metadata:
    """What a file says and holds besides what a picture has attributes for.

    Args:
        size: (height, width) that places in EXIF, XMP and these are told in; None for the picture's own.
        turned: Orientation that was applied when it was read, 1 to 8.
        resources: Photoshop's image resources; one of them is IPTC.
        comments: Comments of a JPEG or PPM file.
        texts: Name and content of chunks of text of a PNG file.
        signalling: How colours are told other than by a profile.
        peak: Candelas a square metre of the largest sample, where a file tells another than is usual.
        gain_map: The picture behind a JPEG file that brightens it (high dynamic range), as a file.
        tags: Entries of a TIFF file that say where on the earth its pixels lie.
        aspect: Pixels across and down for the same length, where a file tells these and no resolution.
        others: What the file holds that no result can.
        changed: What was changed when it was read: texts, by what they belong to.
        warnings: What was wrong with the file, though it could be read.
        moved: Whether what EXIF holds has moved, which maker notes may not bear.
        restored_before: How the photo was made of another one by this program; None of any other photo.
        restored: What was done to the picture since it was read, in order: its file says so in XMP.
    """

    size: tuple[int, int] | None = None
    turned: int = 1
    resources: bytes | None = None
    comments: tuple[bytes, ...] = ()
    texts: tuple[tuple[bytes, bytes], ...] = ()
    signalling: Signalling | None = None
    peak: float | None = None
    gain_map: bytes | None = None
    tags: Tree = field(default_factory=dict)
    aspect: tuple[int, int] | None = None
    others: tuple[Item, ...] = ()
    changed: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()
    moved: bool = False
    restored_before: Origin | None = None
    restored: tuple[Origin, ...] = ()
