"""Links to files of the repository that lie outside docs/, which are no pages of the site.

Read as plain Markdown they lead to the file. On the site the changelog and the like are pages of their own,
and so is what is written from code, or run as an example: those links lead there. Other files lead to the
repository's address where BLINDSR_DOCS_REPOSITORY tells it (".../blob/main", without a slash at the end);
where it does not, a file can be downloaded, and of a folder or a page the name is shown.
"""

from __future__ import annotations

import os
import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx

LINK = re.compile(r"\[([^\]\n]*)\]\((?!https?:|mailto:|#)([^)#\s]+)(#[^)\s]*)?\)")
DOCS = Path(__file__).resolve().parents[1]
PAGES = {
    "../CHANGELOG.md": "generated/changelog.md",
    "../CONTRIBUTING.md": "generated/contributing.md",
    "../src/blindsr/cli": "generated/cli.md",
    "../src/blindsr/training/config.py": "generated/configuration.md",
    "../src/blindsr/weights": "generated/model-cards.md",
    "gallery": "examples/index",
}
"""What is a page of the site: files that `pages.py` puts there, and code that its other pages are made of."""
EXAMPLE = re.compile(r"gallery/(plot_\w+)\.py")


def rewrite(text: str, page: str, repository: str = "", folder: Path = DOCS) -> str:
    """The text of a page with its links out of the folder changed.

    Args:
        text: Markdown.
        page: The page's path below the folder, with slashes.
        repository: Where the repository can be read, or nothing.
        folder: The folder of the pages.
    """

    def change(link: re.Match[str]) -> str:
        label, target = link[1], posixpath.normpath(posixpath.join(posixpath.dirname(page), link[2]))
        own = PAGES.get(target) or EXAMPLE.sub(r"examples/\1", target)
        if own != target:
            return f"[{label}]({posixpath.relpath(own, posixpath.dirname(page))}{link[3] or ''})"
        if not target.startswith("../"):
            return link[0]
        if repository:
            return f"[{label}]({repository}/{target.removeprefix('../')})"
        file = folder / target
        return link[0] if file.is_file() and file.suffix != ".md" else label

    return LINK.sub(change, text)


def _on_source(app: Sphinx, page: str, content: list[str]) -> None:
    if Path(app.env.doc2path(page)).suffix == ".md":
        content[0] = rewrite(content[0], page, os.environ.get("BLINDSR_DOCS_REPOSITORY", ""))


def setup(app: Sphinx) -> dict[str, Any]:
    """What Sphinx calls."""
    from pygments.lexers.special import TextLexer

    app.connect("source-read", _on_source)
    app.add_lexer("mermaid", TextLexer)  # forges draw it; here it is a list of what imports what
    return {"parallel_read_safe": True, "parallel_write_safe": True}
