"""Before and after of one photo, with a divider to move between them."""

from __future__ import annotations

import base64
import hashlib
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from blindsr.comparison.embedding import SHOWN_PIXELS, Side, View, views_of
from blindsr.errors import InputError
from blindsr.picture.inputs import Photograph
from blindsr.system.files import atomic_path

_START = 'for (const figure of document.querySelectorAll(".blindsr-comparison")) mount(figure);'


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """Before and after of one photo. A notebook shows it; `save` writes it as a page of its own.

    `blindsr.compare` makes it. Nothing in it changes, so threads may share one.

    Args:
        names: File names of both sides; empty where there is none.
        titles: What the sides are called.
        sizes: True width and height of both sides.
        views: What can be seen: the whole photo, then places of it.
        notes: What of the sides cannot be seen here, such as 16 bit.

    Example:
        >>> blindsr.compare("photo.jpg", "photo.jpg", titles=("this", "that")).sizes
        ((56, 40), (56, 40))
    """

    names: tuple[str, str]
    titles: tuple[str, str]
    sizes: tuple[tuple[int, int], tuple[int, int]]
    views: tuple[View, ...]
    notes: tuple[tuple[str, ...], tuple[str, ...]]

    def __repr__(self) -> str:
        return "<Comparison {}x{} and {}x{}>".format(*self.sizes[0], *self.sizes[1])

    def figure(self) -> str:
        """The comparison as a <figure>; it needs the style and the script of `slider.css` and `slider.js`."""
        name = shown(self.names[0] or self.names[1] or "a photo")
        choices = "".join(
            f'<button type="button" data-view="{i}" aria-pressed="{_word(i == 0)}">{view.title}</button>'
            for i, view in enumerate(self.views)
        )
        rows = "".join(
            f"<tr><th scope=row>{shown(title)}</th><td><bdi>{shown(name)}</bdi></td>"
            f"<td>{width} &times; {height}</td><td>{'; '.join(notes)}</td></tr>"
            for title, name, (width, height), notes in zip(
                self.titles, self.names, self.sizes, self.notes, strict=True
            )
        )
        (width, _), (enlarged, _) = self.sizes
        remarks = [f"{enlarged / width:.4g} times as large."]
        if len(self.views) > 1:
            remarks.append(
                f"The whole photo is shown at {100 * self.views[0].shrink:.3g} % of its size, "
                "the details pixel by pixel."
            )
        if any(view.after.kind != "png" for view in self.views):
            remarks.append("Shown in copies that differ slightly from the files.")
        return (
            f'<figure class="blindsr-comparison" aria-label="Before and after: {name}">'
            '<div class="bar">'
            + (f'<span role="group" aria-label="Place">{choices}</span>' if len(self.views) > 1 else "")
            + '<span role="group" aria-label="Zoom">'
            '<button type="button" data-zoom="0" aria-pressed="true">fit</button>'
            '<button type="button" data-zoom="1" aria-pressed="false">100 %</button>'
            '<button type="button" data-zoom="2" aria-pressed="false">200 %</button></span>'
            '<button type="button" data-pixelated aria-pressed="false">pixelated</button></div>'
            + "".join(self._view(view, name, first=i == 0) for i, view in enumerate(self.views))
            + f"<figcaption><table>{rows}</table><p>{' '.join(remarks)}</p></figcaption></figure>"
        )

    def _view(self, view: View, name: str, first: bool) -> str:
        """One place: both sides on each other, and the divider's control below."""
        titles = [shown(title) for title in self.titles]
        alts = [
            f"{name}, {title}, {view.title}, {width} &times; {height} pixels"
            for title, (width, height) in zip(titles, self.sizes, strict=True)
        ]
        left, top, width, height = (f"{100 * part:.6g}%" for part in view.box)
        checkered = " checkered" if view.transparent else ""
        return (
            f'<div class="view" style="--w:{view.after.width};--h:{view.after.height}"'
            f"{'' if first else ' hidden'}>"
            f'<div class="titles" aria-hidden="true"><span>{titles[0]}</span><span>{titles[1]}</span></div>'
            '<div class="stage" tabindex="0" role="group" '
            'aria-label="Picture; when enlarged, arrow keys move it">'
            f'<div class="canvas{checkered}">'
            f'<div class="side before"><img alt="{alts[0]}" '
            f'style="left:{left};top:{top};width:{width};height:{height}" src="{view.before.uri}"></div>'
            f'<div class="side after"><img alt="{alts[1]}" src="{view.after.uri}"></div>'
            '<div class="line"><div class="grip"></div></div></div></div>'
            f'<label class="divider"><span>Divider between {titles[0]} and {titles[1]}</span>'
            '<input type="range" min="0" max="100" value="50" step="1"></label></div>'
        )

    def _repr_html_(self) -> str:
        """For a notebook. There are no ids, so any number of them can be on one page."""
        style, script = source("slider.css"), source("slider.js")
        return f"<style>{style}</style>{self.figure()}<script>(() => {{\n{script}{_START}\n}})();</script>"

    def save(self, path: str | Path) -> None:
        """Write one HTML file that holds everything it shows.

        Raises:
            InputError: The file cannot be written; the message names it.
        """
        path = Path(path)
        name = shown(self.names[0] or self.names[1])
        script = source("slider.js") + _START
        text = (
            head(f"{name}: before and after" if name else "Before and after", ["slider.css"], script)
            + f"<main>{self.figure()}</main>{tail(script)}"
        )
        try:
            with atomic_path(path) as temporary:
                temporary.write_text(text, encoding="utf-8", newline="\n")
        except OSError as error:
            raise InputError(f"{path}: cannot be written ({error.strerror})") from error


def compare(
    before: Photograph | NDArray[Any],
    after: Photograph | NDArray[Any],
    *,
    titles: tuple[str, str] = ("before", "after"),
    shown_pixels: int = SHOWN_PIXELS,
) -> Comparison:
    """Lay a photo and its restoration on each other, with a divider to move between them.

    The before side is enlarged by the browser. Colours are converted to sRGB, 16 bit is shown as 8. Only
    pixels, names and sizes go into the page: no EXIF, no place where a photo was taken.

    Args:
        before: The LR photo, as in `blindsr.read`.
        after: The same photo, restored; of any size with the same proportions.
        titles: What the two sides are called.
        shown_pixels: A side with more pixels than this is shrunk, and the three places with most detail are
            added at their true size.

    Raises:
        InputError: A side cannot be read, or they have different proportions.

    Example:
        >>> comparison = blindsr.compare("photo.jpg", blindsr.upscale("photo.jpg"))
        >>> comparison
        <Comparison 56x40 and 224x160>
        >>> comparison.save("photo.html")
    """
    if shown_pixels < 1:
        raise InputError(f"shown_pixels {shown_pixels}: give 1 or more")
    sides = Side(before), Side(after)
    views = tuple(views_of(*sides, shown_pixels))
    return Comparison(
        names=(sides[0].name, sides[1].name),
        titles=titles,
        sizes=((sides[0].width, sides[0].height), (sides[1].width, sides[1].height)),
        views=views,
        notes=(tuple(sides[0].notes), tuple(sides[1].notes)),
    )


def shown(name: str) -> str:
    """A name that may hold anything, as text of a page or value of an attribute."""
    return escape("".join("\N{REPLACEMENT CHARACTER}" if _unseen(letter) else letter for letter in name))


def _unseen(letter: str) -> bool:
    """Whether it is a control, a turn of the direction, a line end, or a byte that is no text."""
    joins = letter in "\u200c\u200d"  # parts of words and of emoji
    return not joins and unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Zl", "Zp")


def _word(truth: bool) -> str:
    return "true" if truth else "false"


@cache
def source(name: str) -> str:
    """Text of a style or a script of this folder."""
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def head(title: str, styles: Iterable[str], script: str, css: str = "") -> str:
    """A page up to its body; nothing but this script may run, and nothing may be loaded.

    Args:
        title: Of the page, escaped.
        styles: Names of its style sheets.
        script: What `tail` will be given.
        css: A style sheet's text, after those.
    """
    digest = base64.b64encode(hashlib.sha256(_wrapped(script).encode()).digest()).decode("ascii")
    policy = (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'"
    )
    sheets = "".join(source(style) for style in (*styles, "page.css")) + css
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<meta name="referrer" content="no-referrer">\n'
        f"<title>{title}</title>\n<style>{sheets}</style>\n"
        "</head>\n<body>\n"
    )


def tail(script: str) -> str:
    """The end of a page, with its script."""
    return f"\n<script>{_wrapped(script)}</script>\n</body>\n</html>\n"


def _wrapped(script: str) -> str:
    return f'(() => {{\n"use strict";\n{script}\n}})();'
