"""An XMP packet taken apart, and put together again.

XMP (ISO 16684-1) is RDF: a property is an attribute or an element, known by its namespace and its name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from xml.dom import minidom
from xml.parsers.expat import ExpatError

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_XMLNS, _XML = "http://www.w3.org/2000/xmlns/", "http://www.w3.org/XML/1998/namespace"

_MOST_MARKS = 40_000
"""Signs "<" of a packet that is parsed: each element takes a kilobyte."""

_DEEPEST = 100
"""Elements within each other; writers go through them by recursion."""

EMPTY = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    f'<rdf:RDF xmlns:rdf="{RDF}"/></x:xmpmeta><?xpacket end="w"?>'
).encode()
"""A packet that says nothing."""

Notes = dict[str, None]
"""Texts, each once, in order."""


class Packet:
    """An XMP packet taken apart.

    Args:
        packet: As files have it.

    Raises:
        ValueError: It is no XML, too large to be taken apart, or has a document type, which no packet has and
            by which a few bytes become many.
    """

    def __init__(self, packet: bytes) -> None:
        body = packet.strip(b"\0 \n\r\t")
        if body.count(b"<") > _MOST_MARKS or b"<!DOCTYPE" in body or b"<!ENTITY" in body:
            raise ValueError("too many elements, or a document type")
        try:
            # As text: a packet that claims to be in another code is none, and could hide the above.
            self.document: Any = minidom.parseString(body.decode("utf-8"))
        except (ExpatError, UnicodeError, LookupError) as error:
            raise ValueError(str(error)) from error
        self._all = _elements(self.document)
        self.touched = False

    def elements(self) -> list[Any]:
        """All elements that the packet had, from top to bottom."""
        return self._all

    def values(self, *names: tuple[str, str]) -> Iterator[Value]:
        """All values of these properties, whether attributes or elements."""
        for element in self.elements():
            if (element.namespaceURI, element.localName) in names:
                yield Value(self, element)
            for namespace, name in names:
                if element.hasAttributeNS(namespace, name):
                    yield Value(self, element, element.getAttributeNodeNS(namespace, name))

    def drop(self, unwanted: Callable[[str, str], str | None]) -> Notes:
        """Take out properties of which the function, given namespace and name, has a text; the texts."""
        dropped: Notes = {}
        for element in self.elements():
            for attribute in list((element.attributes or {}).values()):
                text = unwanted(attribute.namespaceURI or "", attribute.localName or "")
                if text is not None:
                    element.removeAttributeNode(attribute)
                    dropped[text] = None
            text = unwanted(element.namespaceURI or "", element.localName or "")
            if text is not None and element.parentNode is not None:
                element.parentNode.removeChild(element)
                dropped[text] = None
        self.touched |= bool(dropped)
        return dropped

    def packed(self) -> bytes:
        """The packet again, without the blanks at its end."""
        return "".join(_written(node) for node in self.document.childNodes).encode()

    def root(self) -> Any:  # noqa: ANN401
        """The element that holds the descriptions.

        Raises:
            ValueError: There is none.
        """
        found = (one for one in self.elements() if (one.namespaceURI, one.localName) == (RDF, "RDF"))
        root = next(found, None)
        if root is None:
            raise ValueError("no RDF")
        return root

    def descriptions(self) -> list[Any]:
        """The descriptions of the picture itself, not of what it was made of.

        Raises:
            ValueError: There is no place for any.
        """
        return [
            one for one in children(self.root()) if (one.namespaceURI, one.localName) == (RDF, "Description")
        ]

    @property
    def empty(self) -> bool:
        """Whether no property is left."""
        about = [one for one in self.elements() if (one.namespaceURI, one.localName) == (RDF, "Description")]
        return not any(map(says_something, about))


class Value:
    """The text of one property."""

    def __init__(self, packet: Packet, element: Any, attribute: Any = None) -> None:  # noqa: ANN401
        self._packet, self._element, self._attribute = packet, element, attribute

    def get(self) -> str:
        if self._attribute is not None:
            return str(self._attribute.value).strip()
        return text_of(self._element)

    def set(self, text: str) -> None:
        if text == self.get():
            return
        self._packet.touched = True
        if self._attribute is not None:
            self._attribute.value = text
            return
        set_text(self._element, text)

    def items(self) -> list[Any]:
        """The items of a list of values."""
        return [] if self._attribute is not None else list(self._element.getElementsByTagNameNS(RDF, "li"))


def children(element: Any) -> list[Any]:  # noqa: ANN401
    """The elements in an element."""
    return [node for node in element.childNodes if node.nodeType == node.ELEMENT_NODE]


def properties(element: Any) -> list[Any]:  # noqa: ANN401
    """The attributes of an element that are properties."""
    return [one for one in element.attributes.values() if one.namespaceURI not in (RDF, _XMLNS, _XML)]


def says_something(description: Any) -> bool:  # noqa: ANN401
    """Whether a description has any property."""
    return bool(properties(description) or children(description))


def set_attribute(element: Any, prefix: str, namespace: str, name: str, text: str) -> None:  # noqa: ANN401
    """Give an element an attribute, and what tells the namespace."""
    element.setAttributeNS(_XMLNS, f"xmlns:{prefix}", namespace)
    element.setAttributeNS(namespace, f"{prefix}:{name}", text)


def _elements(document: Any) -> list[Any]:  # noqa: ANN401
    """All elements, in order; minidom's own search goes as deep as the packet does."""
    found, waiting = [], [(document.documentElement, 1)]
    while waiting:
        element, depth = waiting.pop()
        if depth > _DEEPEST:
            raise ValueError("elements too deep within each other")
        found.append(element)
        waiting += [(child, depth + 1) for child in reversed(children(element))]
    return found


def text_of(element: Any) -> str:  # noqa: ANN401
    """The text in an element."""
    return "".join(str(node.data) for node in element.childNodes if node.nodeType == node.TEXT_NODE).strip()


def set_text(element: Any, text: str) -> None:  # noqa: ANN401
    """Let an element have this text and nothing else."""
    while element.firstChild is not None:
        element.removeChild(element.firstChild)
    element.appendChild(element.ownerDocument.createTextNode(text))


_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"})
_ATTRIBUTE_ESCAPES = {**_ESCAPES, **str.maketrans({'"': "&quot;", "\n": "&#10;", "\t": "&#9;"})}


def _written(node: Any) -> str:  # noqa: ANN401
    """A node as XML. Minidom's own writer turns the ends of lines in attributes into blanks."""
    if node.nodeType == node.TEXT_NODE:
        return str(node.data).translate(_ESCAPES)
    if node.nodeType != node.ELEMENT_NODE:
        return str(node.toxml())
    attributes = "".join(
        f' {one.name}="{str(one.value).translate(_ATTRIBUTE_ESCAPES)}"' for one in node.attributes.values()
    )
    inner = "".join(map(_written, node.childNodes))
    return (
        f"<{node.tagName}{attributes}>{inner}</{node.tagName}>" if inner else f"<{node.tagName}{attributes}/>"
    )
