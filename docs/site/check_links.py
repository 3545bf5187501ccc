"""Follow every link of the built site that stays on it: `python docs/site/check_links.py build/docs`.

A link that leads nowhere, or to a place that its page does not have, is printed, and the exit status is 1.
Links to other sites are counted and not followed: the site is built and checked without a network.
"""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """What a page links to, and the places that it has."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.places: set[str] = {"", "top"}
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take what one element says."""
        for name, value in attrs:
            if name in ("id", "name") and value:
                self.places.add(value)
            elif name in ("href", "src") and value:
                self.links.append(value)


def broken_links(site: Path) -> tuple[list[str], int, int]:
    """Links that lead nowhere, each with its page; how many stay on the site, and how many lead elsewhere."""
    pages = {file: Page(file) for file in sorted(site.rglob("*.html"))}
    broken, inside, outside = [], 0, 0
    for file, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                outside += not link.startswith("data:")
                continue
            inside += 1
            target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            there = target.exists() and (
                target not in pages or unquote(parts.fragment) in pages[target].places
            )
            if not there:
                broken.append(f"{file.relative_to(site)}: {link}")
    return broken, inside, outside


if __name__ == "__main__":
    found, inside, outside = broken_links(Path(sys.argv[1]).resolve())
    sys.stdout.write(
        "\n".join([*found, f"{inside} links on the site, {len(found)} broken; {outside} lead elsewhere"])
        + "\n"
    )
    sys.exit(bool(found))
