"""XMP packets follow the pixels: turned, enlarged, without what does not come with the result."""

from __future__ import annotations

import re

import numpy as np
import pytest

from blindsr.picture.metadata.geometry import Change
from blindsr.picture.metadata.packet import Packet
from blindsr.picture.metadata.xmp import digest, follow, merged, orientation, split
from blindsr.picture.samples import Samples

SPACES = {
    "tiff": "http://ns.adobe.com/tiff/1.0/",
    "exif": "http://ns.adobe.com/exif/1.0/",
    "dc": "http://purl.org/dc/elements/1.1/",
    "GPano": "http://ns.google.com/photos/1.0/panorama/",
    "GCamera": "http://ns.google.com/photos/1.0/camera/",
    "Container": "http://ns.google.com/photos/1.0/container/",
    "Item": "http://ns.google.com/photos/1.0/container/item/",
    "hdrgm": "http://ns.adobe.com/hdr-gain-map/1.0/",
    "crs": "http://ns.adobe.com/camera-raw-settings/1.0/",
    "mwg-rs": "http://www.metadataworkinggroup.com/schemas/regions/",
    "stArea": "http://ns.adobe.com/xmp/sType/Area#",
    "stDim": "http://ns.adobe.com/xap/1.0/sType/Dimensions#",
    "MP": "http://ns.microsoft.com/photo/1.2/",
    "MPRI": "http://ns.microsoft.com/photo/1.2/t/RegionInfo#",
    "MPReg": "http://ns.microsoft.com/photo/1.2/t/Region#",
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
}
TURNED = Change.upright(40, 60, 6)
ENLARGED = Change((40, 60), (160, 240))


def packet(attributes: str = "", elements: str = "", padding: int = 0) -> bytes:
    """A packet of these properties, as programs write it."""
    spaces = " ".join(f'xmlns:{name}="{space}"' for name, space in SPACES.items())
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" {spaces} {attributes}>{elements}'
        "</rdf:Description></rdf:RDF></x:xmpmeta>"
        f'{" " * padding}<?xpacket end="w"?>'
    ).encode()


def value(content: bytes | None, name: str) -> list[str]:
    """What a packet says under a name, in either form."""
    assert content is not None
    prefix, local = name.split(":")
    return [one.get() for one in Packet(content).values((SPACES[prefix], local))]


@pytest.mark.parametrize("form", ["attributes", "elements"])
def test_orientation_and_sizes(form: str) -> None:
    told = {
        "tiff:Orientation": "6", "tiff:ImageWidth": "60", "tiff:ImageLength": "40",
        "exif:PixelXDimension": "60", "exif:PixelYDimension": "40", "dc:format": "image/jpeg",
        "tiff:XResolution": "300/1", "tiff:YResolution": "200/1",
    }  # fmt: skip
    content = packet(
        " ".join(f'{name}="{text}"' for name, text in told.items()) if form == "attributes" else "",
        "".join(f"<{name}>{text}</{name}>" for name, text in told.items()) if form == "elements" else "",
    )
    assert orientation(content) == 6
    upright, changed, lost = follow(content, TURNED)
    assert list(changed) == ["orientation", "size"] and not lost
    assert upright is not None and orientation(upright) == 1
    enlarged, _, _ = follow(upright, Change((60, 40), (240, 160)))
    for name, text in {
        "tiff:Orientation": "1", "tiff:ImageWidth": "160", "tiff:ImageLength": "240",
        "exif:PixelXDimension": "160", "exif:PixelYDimension": "240", "dc:format": "image/jpeg",
        "tiff:XResolution": "200/1", "tiff:YResolution": "300/1",
    }.items():  # fmt: skip
        assert value(enlarged, name) == [text], name


def test_what_does_not_speak_of_geometry_stays_to_the_last_byte() -> None:
    content = packet('dc:format="image/jpeg" tiff:Make="A  &quot;maker&quot;"', padding=2000)
    assert follow(content, TURNED) == (content, {}, {})
    assert follow(b"no XML at all", TURNED) == (b"no XML at all", {}, {})


def test_ends_of_lines_in_attributes_stay_where_something_else_follows() -> None:
    text = "one&#10;two&#9;three"
    upright, _, _ = follow(packet(f'tiff:Orientation="6" dc:source="{text}"'), TURNED)
    assert upright is not None and f'dc:source="{text}"'.encode() in upright


def test_the_subject() -> None:
    def area(*numbers: float) -> str:
        items = "".join(f"<rdf:li>{number}</rdf:li>" for number in numbers)
        return f"<exif:SubjectArea><rdf:Seq>{items}</rdf:Seq></exif:SubjectArea>"

    content, changed, _ = follow(packet(elements=area(10, 5, 6, 4)), TURNED)
    assert content is not None and "subject" in changed
    # Row 5 of 40 becomes column 34 from the left, column 10 row 10; the box lies on its side.
    assert re.findall(rb"<rdf:li>(\d+)</rdf:li>", content) == [b"34", b"10", b"4", b"6"]
    content, _, _ = follow(packet(elements=area(10, 5)), ENLARGED)
    assert content is not None and re.findall(rb"<rdf:li>(\d+)</rdf:li>", content) == [b"42", b"22"]


def test_panoramas_grow_and_cannot_be_turned() -> None:
    content = packet(
        'GPano:FullPanoWidthPixels="120" GPano:FullPanoHeightPixels="60" '
        'GPano:CroppedAreaImageWidthPixels="60" GPano:CroppedAreaImageHeightPixels="40" '
        'GPano:CroppedAreaLeftPixels="30" GPano:CroppedAreaTopPixels="10" '
        'GPano:ProjectionType="equirectangular"'
    )
    enlarged, changed, _ = follow(content, ENLARGED)
    told = [value(enlarged, f"GPano:{name}Pixels") for name in ("FullPanoWidth", "CroppedAreaImageWidth")]
    told += [value(enlarged, f"GPano:{name}Pixels") for name in ("CroppedAreaLeft", "CroppedAreaTop")]
    assert told == [["480"], ["240"], ["120"], ["40"]] and "panorama" in changed
    uneven, _, _ = follow(content, Change((40, 60), (90, 133)))
    assert value(uneven, "GPano:CroppedAreaImageWidthPixels") == ["133"], "exactly the picture's width"
    turned, _, lost = follow(content, TURNED)
    assert turned is None and list(lost) == ["panorama data (the photo was turned)"]


@pytest.mark.parametrize("told", range(1, 9))
@pytest.mark.parametrize("form", ["mwg", "mwg nested", "people", "iptc", "iptc pixels"])
def test_regions_stay_on_what_they_name(form: str, told: int) -> None:
    """A box over columns 6 to 18 and rows 10 to 30 of 60 x 40."""
    area = 'stArea:x="0.2" stArea:y="0.5" stArea:w="0.2" stArea:h="0.5" stArea:unit="normalized"'
    nested = re.sub(r'(\S+)="(\S+)"', r"<\1>\2</\1>", area)
    dimensions = '<mwg-rs:AppliedToDimensions stDim:w="60" stDim:h="40" stDim:unit="pixel"/>'
    shape = "<Iptc4xmpExt:RegionBoundary rdf:parseType='Resource'>{}</Iptc4xmpExt:RegionBoundary>"
    iptc = {"iptc": ("relative", 0.1, 0.25, 0.2, 0.5), "iptc pixels": ("pixel", 6, 10, 12, 20)}
    content = packet(
        elements={
            "mwg": f"<mwg-rs:Regions rdf:parseType='Resource'>{dimensions}<mwg-rs:Area {area}/>"
            "</mwg-rs:Regions>",
            "mwg nested": f"<mwg-rs:Regions rdf:parseType='Resource'>{dimensions}<mwg-rs:Area rdf:parseType="
            f"'Resource'>{nested}</mwg-rs:Area></mwg-rs:Regions>",
            "people": "<MPReg:Rectangle>0.1, 0.25, 0.2, 0.5</MPReg:Rectangle>",
            **{
                name: shape.format(
                    "".join(
                        f"<Iptc4xmpExt:rb{key}>{number}</Iptc4xmpExt:rb{key}>"
                        for key, number in zip(("Unit", "X", "Y", "W", "H"), numbers, strict=True)
                    )
                )
                for name, numbers in iptc.items()
            },
        }[form]
    )
    turn = Change.upright(40, 60, told)
    upright, _, lost = follow(content, turn)
    assert upright is not None and not lost
    after = turn.after[0] * 4, turn.after[1] * 4
    enlarged, _, _ = follow(upright, Change(turn.after, after))

    def number(name: str) -> float:
        return float(value(enlarged, name)[0])

    if form.startswith("mwg"):
        box = [number(f"stArea:{key}") for key in "xywh"]
        left, top, width, height = box[0] - box[2] / 2, box[1] - box[3] / 2, box[2], box[3]
        assert (number("stDim:w"), number("stDim:h")) == after[::-1]
    elif form == "people":
        left, top, width, height = (float(part) for part in value(enlarged, "MPReg:Rectangle")[0].split(","))
    else:
        left, top, width, height = (number(f"Iptc4xmpExt:rb{key}") for key in "XYWH")
        if form == "iptc pixels":
            left, width, top, height = left / after[1], width / after[1], top / after[0], height / after[0]
    # The same box, turned as pixels are.
    samples = Samples(40, 60, 1, np.dtype("u1"), orientation=told)
    stored = np.zeros((40, 60, 1), np.uint8)
    stored[10:30, 6:18] = 1
    samples.put(0, 0, stored)
    rows, columns = np.nonzero(samples.window(slice(0, samples.height), slice(0, samples.width))[:, :, 0])
    expected = columns.min() / samples.width, rows.min() / samples.height
    assert (left, top) == pytest.approx(expected, abs=1e-6)
    assert width * samples.width == pytest.approx(np.ptp(columns) + 1, abs=1e-4)
    assert height * samples.height == pytest.approx(np.ptp(rows) + 1, abs=1e-4)


def test_what_lies_behind_the_photo_does_not_come_along() -> None:
    directory = (
        "<Container:Directory><rdf:Seq><rdf:li rdf:parseType='Resource'>"
        "<Container:Item Item:Semantic='MotionPhoto' Item:Length='99'/></rdf:li></rdf:Seq>"
        "</Container:Directory>"
    )
    content = packet('GCamera:MotionPhoto="1" hdrgm:Version="1.0" dc:format="image/jpeg"', directory)
    kept, _, lost = follow(content, ENLARGED)
    assert kept is not None and b"image/jpeg" in kept
    assert not any(word in kept for word in (b'MotionPhoto="', b"<Container", b"hdrgm:Version"))
    assert set(lost) == {
        "list of what the file held behind the photo", "moving part of the photo", "gain map",
    }  # fmt: skip


def test_crops_of_the_raw_file() -> None:
    content = packet('crs:CropTop="0.1" crs:HasCrop="True" crs:Exposure2012="0.5"')
    assert follow(content, ENLARGED) == (content, {}, {})
    kept, _, lost = follow(content, TURNED)
    assert kept is not None and b"Exposure2012" in kept and b"CropTop" not in kept and b"HasCrop" not in kept
    assert list(lost) == ["crop of the raw file (the photo was turned)"]


@pytest.mark.parametrize(
    "content",
    [
        b"<!DOCTYPE x [<!ENTITY a 'b'>]>" + packet('tiff:Orientation="6"'),
        packet(elements="<dc:a>" * 3000 + "tiff:Orientation" + "</dc:a>" * 3000),
        packet('tiff:Orientation="6"', "<dc:a/>" * 100_001),
        packet('tiff:Orientation="6"').decode().encode("utf-16"),
        packet('tiff:Orientation="6"')[:-60],
    ],
    ids=["entities", "deep", "many", "utf-16", "cut"],
)
def test_packets_that_cannot_be_taken_apart_are_named(content: bytes) -> None:
    assert orientation(content) == 1
    assert follow(content, TURNED) == (None, {}, {"XMP that cannot be read": None})


def test_large_packets_in_two_parts() -> None:
    large = f"<dc:description>{'words ' * 20000}</dc:description>"
    content = packet('tiff:Make="A maker"', f"<dc:title>A title</dc:title>{large}", padding=3000)
    parts = split(content, 65000)
    assert parts is not None
    main, extension = parts
    assert len(main) <= 65000 and b"A title" in main and digest(extension).encode() in main
    assert b"words words" in extension and b"A title" not in extension and b"A maker" not in extension
    whole = merged(main, extension)
    assert value(whole, "dc:description") == [("words " * 20000).strip()]
    assert value(whole, "dc:title") == ["A title"] and value(whole, "tiff:Make") == ["A maker"]
    assert b"HasExtendedXMP" not in whole
    assert split(packet(f'dc:title="{"words " * 20000}"'), 65000) is None, "one attribute is not cut in two"
