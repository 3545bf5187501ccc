"""What was done to a photo, said in the XMP packet of its result, and read from there again.

An entry in the history that editors write, the kind of source as IPTC names it, and properties of a namespace
of our own. No time is told: the same photo and settings give the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from blindsr.picture.metadata.packet import (
    EMPTY,
    RDF,
    Packet,
    Value,
    children,
    properties,
    says_something,
    set_attribute,
)
from blindsr.picture.metadata.xmp import IPTC

PROGRAM = "blindsr"

ENHANCED = "http://cv.iptc.org/newscodes/digitalsourcetype/algorithmicallyEnhanced"
"""What IPTC calls media that an algorithm has corrected without changing what they show."""

_CAPTURED = frozenset(
    (
        *("digitalCapture", "computationalCapture", "negativeFilm", "positiveFilm", "print"),
        *("minorHumanEdits", "humanEdits"),
    )
)
"""Kinds of source that a restored photo no longer has. Any other says more than that it was restored (that it
was generated, or composed), and must not be hidden by us."""

_OWN = "urn:blindsr:xmp:1.0/"
_XMP = "http://ns.adobe.com/xap/1.0/"
_MANAGEMENT = "http://ns.adobe.com/xap/1.0/mm/"
_EVENT = "http://ns.adobe.com/xap/1.0/sType/ResourceEvent#"
_PREFIXES = {
    RDF: "rdf",
    _OWN: PROGRAM,
    _XMP: "xmp",
    _MANAGEMENT: "xmpMM",
    _EVENT: "stEvt",
    IPTC: "Iptc4xmpExt",
}

_LISTS = ("Seq", "Bag", "Alt")
_VERSION, _MODEL = "Version", "Model"
_LONGEST = 200  # characters of a value, as a model's name may have
_MOST = 16  # settings of another version of this program


@dataclass(frozen=True)
class Origin:
    """How a picture was made of a photo.

    Args:
        version: Of this program.
        model: Name of the model.
        settings: What else matters, such as {"scale": "4", "texture": "0.85"}: names are lower-case words.
    """

    version: str
    model: str
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def program(self) -> str:
        """The program and its version."""
        return f"{PROGRAM} {self.version}"

    @property
    def parameters(self) -> str:
        """The model and the settings, on one line."""
        return ", ".join(f"{name} {value}" for name, value in {"model": self.model, **self.settings}.items())

    @property
    def warning(self) -> str:
        """What to say to whoever has the picture enlarged again."""
        return (
            f"already a result of {self.program} ({self.parameters}); "
            "better enlarge the photo that it was made of"
        )


def marked(packet: bytes | None, origins: Sequence[Origin]) -> bytes | None:
    """A packet that says how the picture was made.

    The tool that made the photo stays what it is where the packet names one; the history goes on; the kind of
    source changes only where it said that nothing but a camera, a scanner or a hand was at work.

    Args:
        packet: That of the photo, or None where it has none.
        origins: What was done to it, in order; one or more.

    Returns:
        The packet; None where it cannot be taken apart.
    """
    try:
        parts = Packet(EMPTY if packet is None else packet)
        about = parts.descriptions()
    except ValueError:
        return None
    added, own = (_new_description(parts, about) for _ in range(2))
    _forget_earlier(parts, about)
    if next(_values(parts, about, _XMP, "CreatorTool"), None) is None:
        _set(added, _XMP, "CreatorTool", origins[0].program)
    _name_source(parts, about, added)
    _go_on_with_history(about, added, origins)
    last = origins[-1]
    _set(own, _OWN, _VERSION, last.version)
    _set(own, _OWN, _MODEL, last.model)
    for name, value in last.settings.items():
        _set(own, _OWN, name.capitalize(), value)
    if not says_something(added):
        parts.root().removeChild(added)
    return parts.packed()


def read_origin(packet: bytes | None) -> Origin | None:
    """How a picture was made, if it was made by this program and its packet says so."""
    if packet is None or _OWN.encode() not in packet:
        return None
    try:
        parts = Packet(packet)
        about = parts.descriptions()
    except ValueError:
        return None
    told = dict(_own_values(parts, about))
    version, model = told.pop(_VERSION, ""), told.pop(_MODEL, "")
    settings = {name.lower(): value for name, value in list(told.items())[:_MOST]}
    return Origin(version, model, settings) if version else None


def _new_description(parts: Packet, about: list[Any]) -> Any:  # noqa: ANN401
    """A place for what is new: names there are nobody else's, whatever the packet calls its own."""
    added = _element(parts.document, RDF, "Description")
    told = [one.getAttributeNS(RDF, "about") for one in about]
    set_attribute(added, "rdf", RDF, "about", told[0] if told else "")
    parts.root().appendChild(added)
    return added


def _forget_earlier(parts: Packet, about: list[Any]) -> None:
    """Take out what says how the photo was made, if that was by us; its history stays."""
    for one in about:
        for attribute in properties(one):
            if attribute.namespaceURI == _OWN:
                one.removeAttributeNode(attribute)
        for child in children(one):
            if child.namespaceURI == _OWN:
                one.removeChild(child)
        if not says_something(one):
            parts.root().removeChild(one)


def _name_source(parts: Packet, about: list[Any], added: Any) -> None:  # noqa: ANN401
    """The kind of source, unless the photo has one that says more."""
    told = list(_values(parts, about, IPTC, "DigitalSourceType"))
    for value in told:
        if re.split("[/:]", value.get().rstrip("/"))[-1] in _CAPTURED:
            value.set(ENHANCED)
    if not told:
        _set(added, IPTC, "DigitalSourceType", ENHANCED)


def _go_on_with_history(about: list[Any], added: Any, origins: Sequence[Origin]) -> None:  # noqa: ANN401
    """An entry a step, behind those that the photo has."""
    document = added.ownerDocument
    found = [child for one in about for child in children(one) if _is(child, _MANAGEMENT, "History")]
    lists = [one for history in found for one in children(history) if _is(one, RDF, *_LISTS)]
    if lists:
        entries = lists[-1]
    elif found:
        return  # not as anybody writes it; a second history would make both unreadable
    else:
        history, entries = _element(document, _MANAGEMENT, "History"), _element(document, RDF, "Seq")
        history.appendChild(entries)
        added.appendChild(history)
    for origin in origins:
        entry = _element(document, RDF, "li")
        told = {"action": "edited", "softwareAgent": origin.program, "changed": "/"}
        for name, value in {**told, "parameters": origin.parameters}.items():
            _set(entry, _EVENT, name, value)
        entries.appendChild(entry)


def _own_values(parts: Packet, about: list[Any]) -> Iterator[tuple[str, str]]:
    """Our properties of the picture itself: a picture among those that it was made of may have others."""
    for one in about:
        for attribute in properties(one):
            if attribute.namespaceURI == _OWN:
                yield attribute.localName, _cleaned(attribute.value)
        for child in children(one):
            if child.namespaceURI == _OWN:
                yield child.localName, _cleaned(Value(parts, child).get())


def _values(parts: Packet, about: list[Any], namespace: str, name: str) -> Iterator[Value]:
    """The values of a property of the picture itself."""
    for one in about:
        if one.hasAttributeNS(namespace, name):
            yield Value(parts, one, one.getAttributeNodeNS(namespace, name))
        for child in children(one):
            if _is(child, namespace, name):
                address = child.getAttributeNodeNS(RDF, "resource")
                yield Value(parts, child, address)


def _is(element: Any, namespace: str, *names: str) -> bool:  # noqa: ANN401
    return element.namespaceURI == namespace and element.localName in names


def _element(document: Any, namespace: str, name: str) -> Any:  # noqa: ANN401
    """An element that tells its namespace itself."""
    prefix = _PREFIXES[namespace]
    element = document.createElementNS(namespace, f"{prefix}:{name}")
    element.setAttributeNS("http://www.w3.org/2000/xmlns/", f"xmlns:{prefix}", namespace)
    return element


def _set(element: Any, namespace: str, name: str, text: str) -> None:  # noqa: ANN401
    set_attribute(element, _PREFIXES[namespace], namespace, name, _cleaned(text))


def _cleaned(text: str) -> str:
    """A value on one line, of what XML can hold and a screen can show: names of models are anybody's."""
    return "".join(letter if letter.isprintable() else " " for letter in text).strip()[:_LONGEST]
