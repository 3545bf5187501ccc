"""The page is served as it is, by itself, under a strict policy."""

from __future__ import annotations

import re

from blindsr.server.api import PAGE

from .conftest import Running, Serving


def test_the_page_and_all_that_it_names(shared: Running) -> None:
    with shared.client(None) as client:
        page = client.get("/")
        assert page.status_code == 200 and page.headers["Content-Type"] == "text/html; charset=utf-8"
        named = re.findall(r'(?:src|href)="([^"]+)"', page.text)
        assert named
        for name in named:
            assert client.get(f"/{name}").status_code == 200, name


def test_nothing_comes_from_elsewhere_and_no_text_becomes_html() -> None:
    for file in PAGE.rglob("*"):
        if file.is_file():
            text = file.read_text(encoding="utf-8")
            assert not re.search(r"(https?:)?//[a-z0-9.-]+\.[a-z]{2,}/", text), file
            assert not re.search(
                r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|\son\w+=|style=\"", text
            ), file


def test_without_the_page(serving: Serving) -> None:
    with serving(page=False) as server, server.client() as client:
        assert client.get("/").status_code == client.get("/index.html").status_code == 404
        assert client.get("/v1/models").status_code == 200
