"""What was done to a photo is said in XMP, read from there, and changes nothing else in it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blindsr.picture import FORMATS, Picture, PictureWriter, open_photo, read
from blindsr.picture.metadata.contents import Metadata
from blindsr.picture.metadata.origin import ENHANCED, Origin, marked, read_origin
from blindsr.picture.metadata.packet import Packet
from blindsr.picture.metadata.report import Report

from .test_xmp import SPACES, packet, value

ORIGIN = Origin("1.2", "some-x4", {"scale": "4", "texture": "0.85", "precision": "int8"})
AGAIN = Origin("1.3", "other-x2", {"scale": "2"})
VOCABULARY = "http://cv.iptc.org/newscodes/digitalsourcetype/"
HISTORY = (
    '<xmpMM:History xmlns:xmpMM="http://ns.adobe.com/xap/1.0/mm/" '
    'xmlns:stEvt="http://ns.adobe.com/xap/1.0/sType/ResourceEvent#"><rdf:Seq>{}</rdf:Seq></xmpMM:History>'
)
SAVED = '<rdf:li stEvt:action="saved" stEvt:softwareAgent="Some Editor"/>'


def history(content: bytes | None) -> list[tuple[str, str]]:
    """Action and agent of all entries, in order."""
    assert content is not None
    event = "http://ns.adobe.com/xap/1.0/sType/ResourceEvent#"
    return [
        (one.getAttributeNS(event, "action"), one.getAttributeNS(event, "softwareAgent"))
        for one in Packet(content).elements()
        if one.localName == "li" and one.hasAttributeNS(event, "action")
    ]


def source(content: bytes | None) -> list[str]:
    return value(content, "Iptc4xmpExt:DigitalSourceType")


def test_a_photo_without_xmp() -> None:
    content = marked(None, [ORIGIN])
    assert content is not None and read_origin(content) == ORIGIN
    assert content.startswith('<?xpacket begin="\ufeff"'.encode()) and content.endswith(
        b'<?xpacket end="w"?>'
    )
    assert value(content, "xmp:CreatorTool") == ["blindsr 1.2"] and source(content) == [ENHANCED]
    assert history(content) == [("edited", "blindsr 1.2")]
    assert b'stEvt:parameters="model some-x4, scale 4, texture 0.85, precision int8"' in content
    assert b"when" not in content and marked(None, [ORIGIN]) == content, "the same bytes every time"


@pytest.mark.parametrize("form", ["attribute", "element"])
def test_the_tool_that_made_the_photo_stays(form: str) -> None:
    tool = "Some Camera 1.0"
    content = packet(f'xmp:CreatorTool="{tool}"') if form == "attribute" else packet(
        elements=f"<xmp:CreatorTool>{tool}</xmp:CreatorTool>"
    )  # fmt: skip
    assert value(marked(content, [ORIGIN]), "xmp:CreatorTool") == [tool]


def test_the_history_goes_on() -> None:
    once = marked(packet(elements=HISTORY.format(SAVED)), [ORIGIN])
    assert history(once) == [("saved", "Some Editor"), ("edited", "blindsr 1.2")]
    assert once is not None and once.count(b"<xmpMM:History") == 1
    twice = marked(once, [AGAIN])
    assert history(twice)[1:] == [("edited", "blindsr 1.2"), ("edited", "blindsr 1.3")]
    assert read_origin(twice) == AGAIN, "of the last time, with nothing of the first"
    assert twice is not None and twice.count(b"<rdf:Description") == once.count(b"<rdf:Description")
    assert history(marked(None, [ORIGIN, AGAIN])) == [("edited", "blindsr 1.2"), ("edited", "blindsr 1.3")]
    odd = packet(elements=HISTORY.replace("Seq", "Sack").format("words"))
    assert history(marked(odd, [ORIGIN])) == [] and read_origin(marked(odd, [ORIGIN])) == ORIGIN


FORMS = {
    "attribute": ('Iptc4xmpExt:DigitalSourceType="{}"', ""),
    "element": ("", "<Iptc4xmpExt:DigitalSourceType>{}</Iptc4xmpExt:DigitalSourceType>"),
    "address": ("", '<Iptc4xmpExt:DigitalSourceType rdf:resource="{}"/>'),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("told", "stays"),
    [
        (f"{VOCABULARY}digitalCapture", False),
        (f"{VOCABULARY}computationalCapture", False),
        (f"{VOCABULARY.replace('http', 'https')}negativeFilm", False),
        ("digsrctype:print", False),
        (ENHANCED, True),
        (f"{VOCABULARY}trainedAlgorithmicMedia", True),
        (f"{VOCABULARY}compositeWithTrainedAlgorithmicMedia", True),
        (f"{VOCABULARY}digitalCreation", True),
        ("something of somebody's own", True),
    ],
)
def test_what_was_generated_stays_so(told: str, stays: bool, form: str) -> None:
    """To be restored hides nothing of what a picture was before."""
    attribute, element = (text.format(told) for text in FORMS[form])
    content = marked(packet(attribute, element), [ORIGIN])
    assert content is not None
    expected = told if stays else ENHANCED
    assert content.count(b"<Iptc4xmpExt:DigitalSourceType") + content.count(b"DigitalSourceType=") == 1
    assert f">{expected}<".encode() in content or f'"{expected}"'.encode() in content


def test_what_a_picture_was_made_of_is_not_the_picture() -> None:
    inner = marked(packet('xmp:CreatorTool="Inner"', HISTORY.format(SAVED)), [ORIGIN])
    assert inner is not None
    described = b"".join(re.findall(rb"(<rdf:Description.*)</rdf:RDF>", inner, re.DOTALL))
    pantry = (
        '<xmpMM:Pantry xmlns:xmpMM="http://ns.adobe.com/xap/1.0/mm/"><rdf:Bag><rdf:li>'
        f"{described.decode()}</rdf:li></rdf:Bag></xmpMM:Pantry>"
    )
    content = packet(elements=pantry)
    assert read_origin(content) is None, "a collage that holds a result is none"
    outer = marked(content, [AGAIN])
    assert outer is not None and read_origin(outer) == AGAIN
    assert b'blindsr:Model="some-x4"' in outer and value(outer, "xmp:CreatorTool") == ["Inner", "blindsr 1.3"]


def test_names_of_others_stay_theirs() -> None:
    """Prefixes are anybody's: ours are told where they are used."""
    content = (
        packet(
            'xmlns:blindsr="urn:other" blindsr:Model="theirs" xmlns:stEvt="urn:events" stEvt:action="theirs"'
        )
        .replace(b"rdf:", b"r:")
        .replace(b"xmlns:rdf", b"xmlns:r")
    )
    result = marked(content, [ORIGIN])
    assert result is not None and read_origin(result) == ORIGIN
    told = [one.getAttributeNS("urn:other", "Model") for one in Packet(result).elements()]
    assert "theirs" in told and "some-x4" not in told


def test_the_rest_stays_to_the_last_letter() -> None:
    """Ends of lines in attributes, and what must be escaped, too."""
    text = "one&#10;two&#9;three &lt;four&gt; &quot;five&quot; &amp; &#13;six"
    elements = f"<dc:description>{text}</dc:description><!-- said --><dc:title><![CDATA[<a & b>]]></dc:title>"
    content = packet(f'tiff:Make="{text}"', elements)
    result = marked(content, [ORIGIN])
    assert result is not None
    before, after = (
        next(one for one in Packet(one).elements() if one.hasAttributeNS(SPACES["tiff"], "Make"))
        for one in (content, result)
    )
    assert after.getAttributeNS(SPACES["tiff"], "Make") == before.getAttributeNS(SPACES["tiff"], "Make")
    for one, other in zip(before.childNodes, after.childNodes, strict=True):
        assert one.toxml() == other.toxml()
    again = marked(result, [ORIGIN])
    assert again is not None and b"one&#10;two&#9;three" in again


def test_models_may_be_called_anything() -> None:
    odd = Origin("1.2", 'a"<&\n\x00\ud800>' + "b" * 999, {"scale": "4"})
    content = marked(None, [odd])
    told = read_origin(content)
    assert told is not None and told.model.startswith('a"<&') and len(told.model) <= 200
    assert "\n" not in told.warning


@pytest.mark.parametrize(
    "content",
    [b"no XML", b"<x/>", packet()[:-60], b"<!DOCTYPE a []>" + packet(), packet(elements="<dc:a/>" * 50_000)],
    ids=["none", "no RDF", "cut", "document type", "many"],
)
def test_packets_that_cannot_be_taken_apart_are_left_alone(content: bytes) -> None:
    assert marked(content, [ORIGIN]) is None
    assert read_origin(content + b"urn:blindsr:xmp:1.0/") is None


def written(target: Path, like: Picture) -> Report:
    """A picture as a file; what became of what it carried."""
    with PictureWriter(target, like, like.height, like.width) as writer:
        writer.place(0, 0, like.pixels, like.alpha)
        writer.save()
        return writer.report


def made(xmp: bytes | None = None, **metadata: Any) -> Picture:
    return Picture(np.zeros((20, 24, 3), np.float32), xmp=xmp, metadata=Metadata(**metadata))


@pytest.mark.parametrize("suffix", [format_.suffixes[0] for format_ in FORMATS.values()])
def test_every_format_that_holds_xmp(tmp_path: Path, suffix: str) -> None:
    target = tmp_path / f"a{suffix}"
    report = written(target, made(restored=(ORIGIN,)))
    with open_photo(target) as photo:
        assert photo.metadata.restored_before == (None if suffix in (".bmp", ".gif") else ORIGIN)
        assert (photo.xmp is None) is (suffix in (".bmp", ".gif"))
    assert not report.changed and not report.dropped and not report.warning
    report = written(target, made(packet('dc:format="image/png"'), restored=(ORIGIN,)))
    if suffix not in (".bmp", ".gif"):
        assert [item.text for item in report.changed] == ["XMP (origin)"] and not report.warning
        xmp = read(target).xmp
        assert xmp is not None and b'dc:format="image/png"' in xmp and read_origin(xmp) == ORIGIN


def test_a_result_is_known_again(tmp_path: Path) -> None:
    written(tmp_path / "a.jpg", made(restored=(ORIGIN,)))
    once = read(tmp_path / "a.jpg")
    report = written(tmp_path / "b.webp", once)
    assert report.warnings == [
        "already a result of blindsr 1.2 (model some-x4, scale 4, texture 0.85, precision int8); "
        "better enlarge the photo that it was made of"
    ]
    assert read(tmp_path / "b.webp").metadata.restored_before == ORIGIN, "a copy of a result is one"


def test_packets_without_room(tmp_path: Path) -> None:
    odd = written(tmp_path / "a.jpg", made(b"no XML", restored=(ORIGIN,)))
    assert odd.warning == "its XMP has no room for how the result was made"
    assert read(tmp_path / "a.jpg").xmp == b"no XML"
    huge = packet(f'dc:title="{"words " * 20000}"')
    assert "XMP (more than a JPEG" in written(tmp_path / "b.jpg", made(huge, restored=(ORIGIN,))).warning
    assert read(tmp_path / "b.jpg").metadata.restored_before == ORIGIN
    full = packet(f'dc:title="{"w" * 64000}"')
    report = written(tmp_path / "c.jpg", made(full, restored=(ORIGIN,)))
    assert [item.text for item in report.kept] == ["XMP"] and "no room" in report.warning
    large = packet(elements=f"<dc:description>{'words ' * 20000}</dc:description>")
    assert not written(tmp_path / "d.jpg", made(large, restored=(ORIGIN,))).warning
    back = read(tmp_path / "d.jpg")
    assert back.metadata.restored_before == ORIGIN and back.xmp is not None and b"words words" in back.xmp
