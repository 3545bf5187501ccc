"""The page is served as it is, by itself, under a strict policy."""

from __future__ import annotations

import re

from blindsr.server.app import PAGE

from .conftest import Running, Serving

_NAMESPACE = "http://www.w3.org/2000/svg"
"""A name, which nobody fetches."""


def test_the_page_and_all_that_it_names(shared: Running) -> None:
    with shared.client(None) as client:
        page = client.get("/")
        assert page.status_code == 200 and page.headers["Content-Type"] == "text/html; charset=utf-8"
        named = set(re.findall(r'(?:src|href)="([^#"]+)"', page.text))
        assert "page.js" in named
        for name in sorted(named):
            answer = client.get(f"/{name}")
            assert answer.status_code == 200, name
        for file in PAGE.glob("*.js"):
            for name in re.findall(r'from "\./([^"]+)"', file.read_text(encoding="utf-8")):
                assert client.get(f"/{name}").headers["Content-Type"] == "text/javascript; charset=utf-8", (
                    name
                )


def test_nothing_comes_from_elsewhere_and_no_text_becomes_html() -> None:
    for file in PAGE.rglob("*"):
        if file.is_file():
            text = file.read_text(encoding="utf-8").replace(_NAMESPACE, "")
            assert not re.search(r"(https?:)?//[a-z0-9.-]+\.[a-z]{2,}/", text), file
            assert not re.search(
                r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|\son\w+=|style=\"", text
            ), file


def tables() -> dict[str, dict[str, str]]:
    """The texts of each language."""
    text = (PAGE / "texts.js").read_text(encoding="utf-8")
    parts = re.split(r"^  (\w+): \{$", text, flags=re.MULTILINE)[1:]
    found = {}
    for name, part in zip(parts[::2], parts[1::2], strict=True):
        lines = re.findall(r'^    (\w+): "(.+)",$', part, re.MULTILINE)
        assert len(lines) == len(dict(lines)) == part.count("\n    ")
        found[name] = dict(lines)
    return found


def test_each_language_has_every_text_with_the_same_values() -> None:
    english, *others = tables().values()
    assert others
    for other in others:
        assert list(other) == list(english)
        for key, text in english.items():
            assert set(re.findall(r"\{\w+\}", other[key])) == set(re.findall(r"\{\w+\}", text)), key


def test_every_text_that_is_used_is_there_and_the_other_way_round() -> None:
    known = set(tables()["en"])
    sources = {
        file: file.read_text(encoding="utf-8") for file in PAGE.iterdir() if file.suffix in (".js", ".html")
    }
    sources.pop(PAGE / "texts.js")
    used: set[str] = set()
    for text in sources.values():
        used |= set(re.findall(r'data-(?:text|label)"?[=:] ?"(\w+)"', text))
        used |= set(re.findall(r'\b(?:text|button|offer|tool|slider)\("(\w+)"', text))
        for counted in re.findall(r'\bcounted\("(\w+)"', text):
            used |= {f"{counted}_one", f"{counted}_many"}
    assert not used - known
    # The others are put together of what the server says, or named in passing.
    named = set(re.findall(r'"(\w+)"', "".join(sources.values())))
    named |= {f"{name}_name" for name in named} | {"waiting", "running", "seconds", "kept"}
    assert known - used <= named | {"itself"}


def test_without_the_page(serving: Serving) -> None:
    with serving(page=False) as server, server.client() as client:
        assert client.get("/").status_code == client.get("/index.html").status_code == 404
        assert client.get("/v1/models").status_code == 200
