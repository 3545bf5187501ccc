"""The pages are in plain English: no word of docs/site/words.txt, which says what to say instead."""

from __future__ import annotations

import re

import pytest

from .blocks import PAGES, ROOT

WORDS = [
    tuple(line.split(" -> "))
    for line in (ROOT / "docs" / "site" / "words.txt").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
]


def prose_of(text: str) -> str:
    """A page without blocks of code, code in a line, tables of numbers and the targets of links."""
    text = re.sub(
        r"^```.*?^```", lambda block: "\n" * block[0].count("\n"), text, flags=re.MULTILINE | re.DOTALL
    )
    text = re.sub(r"`[^`]*`|\]\([^)]*\)|<[^>]*>", "", text)
    return re.sub(r"^    .*$", "", text, flags=re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_plain_words(page: object) -> None:
    found = []
    for number, line in enumerate(prose_of(page.read_text(encoding="utf-8")).splitlines(), 1):  # type: ignore[attr-defined]
        for pattern, instead in WORDS:
            if match := re.search(pattern, line, re.IGNORECASE):
                found.append(f"{number}: {match[0]!r}: say {instead}")
    assert not found, "\n".join(found)


def test_code_is_no_prose() -> None:
    text = "a `twin` of [b](twin.md)\n\n```sh\ntwin\n```\n\n    twin\n\ntwin\n"
    assert re.findall("twin", prose_of(text)) == ["twin"]
    assert prose_of(text).count("\n") == text.count("\n"), "so numbers of lines stay"
