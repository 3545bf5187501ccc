"""One comparison as a page and in a notebook: whole, offline, safe with any name."""

from __future__ import annotations

import base64
import io
import os
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import blindsr
from blindsr.comparison import compare
from blindsr.errors import InputError

from ..conftest import made_photo

_VOID = {"meta", "img", "input", "br", "link"}


class Page(HTMLParser):
    """Checks that tags close in order and keeps what was found."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), "an attribute twice"
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def check_offline(text: str) -> Page:
    """No reference out of the page but links below the page's own folder tree."""
    page = Page(text)
    for _, attributes in page.tags:
        assert (attributes.get("src") or "data:image/").startswith("data:image/")
        assert (attributes.get("href") or "./").startswith("./")
        assert not {"srcset", "action", "background", "data", "poster", "id"} & set(attributes)
        assert not any(name.startswith("on") for name in attributes)
    assert not page.all("link") and not page.all("iframe")
    bare = re.sub(r"data:image/[a-z]+;base64,[A-Za-z0-9+/=]+", "", text)
    assert not re.search(r"https?:|url\(|@import|\bimport\b|fetch\(|//[a-z]+\.", bare, re.IGNORECASE)
    return page


def embedded(page: Page) -> list[NDArray[np.uint8]]:
    images = [str(attributes["src"]).partition("base64,")[2] for attributes in page.all("img")]
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(one, validate=True)))) for one in images]


def test_saved_page_holds_both_sides(tmp_path: Path, photo: NDArray[np.uint8]) -> None:
    larger = photo.repeat(4, axis=0).repeat(4, axis=1)
    Image.fromarray(photo).save(tmp_path / "small.png")
    blindsr.compare(tmp_path / "small.png", larger).save(tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    page = check_offline(text)
    before, after = embedded(page)
    assert (before == photo).all() and (after == larger).all()
    assert "small.png" in page.text and "56 × 40" in page.text and "224 × 160" in page.text  # noqa: RUF001
    assert "4 times as large" in page.text
    assert [image["alt"] for image in page.all("img")] == [
        "small.png, before, whole photo, 56 × 40 pixels",  # noqa: RUF001
        "small.png, after, whole photo, 224 × 160 pixels",  # noqa: RUF001
    ]
    (divider,) = page.all("input")
    assert divider["type"] == "range" and "Divider between before and after" in page.text
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_policy_names_the_one_script(tmp_path: Path, photo: NDArray[np.uint8]) -> None:
    import hashlib

    compare(photo, photo).save(tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in text and "default-src 'none'" in text


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("<script>alert(1)</script>", "<script>alert(1)<"),
        ("\"'><img src=x onerror=alert(1)>.png", "\"'><img src=x onerror=alert(1)>.png"),
        ("a\nb\r\t.png", "a��b"),
        ("&amp;&lt;b&gt;.png", "&amp;&lt;b&gt;.png"),
        (os.fsdecode(b"caf\xe9.png"), "caf�.png"),
        ("photo\u202egnp.exe", "photo�gnp.exe"),
        ("👩\u200d🚀 näïve 写真.png", "👩\u200d🚀 näïve 写真.png"),
        ("--></template></style>.png", "--></template><"),
    ],
)
def test_hostile_names_are_text(name: str, seen: str, photo: NDArray[np.uint8]) -> None:
    from dataclasses import replace

    one = replace(compare(photo, photo, titles=(name, "after")), names=(name, name))
    text = one._repr_html_()
    text.encode("utf-8")
    page = check_offline(text)
    assert len(page.all("script")) == 1 and len(page.all("img")) == 2
    if "\n" in name:
        seen = "a�b��.png"
    assert page.text.count(seen.rstrip("<")) >= 4
    assert str(page.all("img")[0]["alt"]).startswith(seen.rstrip("<"))


def test_notebook_may_show_several(photo: NDArray[np.uint8]) -> None:
    both = compare(photo, photo)._repr_html_() + compare(photo, photo[::-1])._repr_html_()
    page = check_offline(both)  # which finds no id: none can be there twice
    assert len(page.all("input")) == 2 and len(page.all("figure")) == 2
    # Every rule is bound to the comparison.
    style = both.partition("<style>")[2].partition("</style>")[0]
    style = re.sub(r"/\*.*?\*/|@media print \{", "", style, flags=re.DOTALL)
    selectors = [rule.split("{")[0].strip() for rule in style.split("}") if "{" in rule]
    assert len(selectors) > 20
    assert all(selector.startswith(".blindsr-comparison") for selector in selectors)


def test_same_sides_same_bytes(tmp_path: Path) -> None:
    photo = made_photo(60, 80)
    larger = photo.repeat(2, axis=0).repeat(2, axis=1)
    for name in ("a", "b"):
        compare(photo, larger, shown_pixels=4000).save(tmp_path / f"{name}.html")
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_large_photo_says_that_it_is_shrunk() -> None:
    photo = made_photo(120, 160)
    one = compare(photo, photo, shown_pixels=4800)
    page = check_offline(one._repr_html_())
    assert "at 50 % of its size" in page.text and "detail 1" in page.text
    assert len(page.all("input")) == len(one.views) > 1
    assert "120" in page.text and "160" in page.text


def test_errors_name_what_is_wrong(tmp_path: Path, photo: NDArray[np.uint8]) -> None:
    with pytest.raises(InputError, match=r"missing\.png"):
        compare(tmp_path / "missing.png", photo)
    with pytest.raises(InputError, match="shown_pixels 0"):
        compare(photo, photo, shown_pixels=0)
    with pytest.raises(InputError, match=r"page\.html"):
        compare(photo, photo).save(tmp_path / "no folder" / "page.html")
