"""The site: its pages from the code are whole, its links lead somewhere, and its versions find each other."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
from typer.main import get_command

import blindsr
from blindsr.cli import app
from blindsr.models.catalogue import SHIPPED

from .blocks import PAGES, ROOT

DOCS = ROOT / "docs"
LINK = re.compile(r"!?\[[^\]\n]*\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]*))?\)")


def load(name: str) -> ModuleType:
    """A module of docs/site, which lies outside the package."""
    spec = importlib.util.spec_from_file_location(f"docs_{name}", DOCS / "site" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def anchors(text: str) -> set[str]:
    """What a forge and MyST make of a page's headings."""
    outside = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.*)$", outside, re.MULTILINE)
    plain = (re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", title) for title in titles)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in plain}


# --- links, as plain Markdown has them ---------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target, anchor in LINK.findall(text):
        file = (page.parent / target).resolve() if target else page
        assert file.exists(), f"{page.name}: {target} is not there"
        if anchor and file.suffix == ".md":
            assert anchor in anchors(file.read_text(encoding="utf-8")), f"{page.name}: {target}#{anchor}"


def test_pages_that_code_names_are_there() -> None:
    named = re.compile(r"docs/[\w/-]+\.(?:md|jpg|png|webp)\b")
    for folder in ("src", "tests", "benchmarks", "examples", "deploy", "configs"):
        for file in (ROOT / folder).rglob("*"):
            if file.suffix in (".py", ".yaml", ".js", ".md", ".service"):
                for target in named.findall(file.read_text(encoding="utf-8")):
                    assert (ROOT / target).is_file(), f"{file.relative_to(ROOT)}: {target}"


# --- pages from the code ------------------------------------------------------------------------------------


def test_every_public_name_is_in_the_reference() -> None:
    listed = set(re.findall(r"auto\w+:: blindsr\.(\w+)$", (DOCS / "api.md").read_text(), re.MULTILINE))
    assert listed - {"metrics", "degradation"} == set(blindsr.__all__) - {"__version__"}


def test_every_option_is_on_the_page_of_commands() -> None:
    text = load("pages").cli_page()
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
        if getattr(command, "hidden", False):
            continue
        section = text.partition(f"### blindsr {name}\n")[2].partition("\n### ")[0]
        assert section, name
        for parameter in command.params:
            flags = [flag for flag in parameter.opts if flag.startswith("-")]
            assert all(f"`{flag}" in section for flag in flags), (name, flags)
            told = " ".join((getattr(parameter, "help", "") or "").split())
            assert told in re.sub(r"\\([^a-z0-9\s])", r"\1", section), (name, flags)


def test_what_help_says_is_no_markdown() -> None:
    pages = load("pages")
    assert pages._plain('"{stem}_{model}_{width}"; a*b <c> [d]') == (
        r'"{stem}\_{model}\_{width}"; a\*b \<c\> \[d\]'
    )


def test_every_key_is_on_the_page_of_recipes() -> None:
    pages = load("pages")
    from blindsr.training import config

    text = pages.configuration_page()
    for kind in vars(config).values():
        if isinstance(kind, type) and issubclass(kind, config.Section) and kind is not config.Section:
            assert all(f"| `{key}` |" in text for key in kind.model_fields), kind
    assert "| `clip` | `float \\| None`, more than 0 | `None` | Greatest norm of the gradient. |" in text
    schemas = pages.schemas()
    assert set(schemas) == {f"{name}.schema.json" for name in config.CONFIGS}
    assert "steps" in json.loads(schemas["cmdsr.schema.json"])["properties"]


def test_every_shipped_model_has_its_card() -> None:
    text = load("pages").model_cards_page()
    shipped = {card.parent.name for card in SHIPPED.glob("*/card.json")}
    assert set(re.findall(r"^## (.*)$", text, re.MULTILINE)) == shipped


def test_pages_that_have_not_changed_keep_their_date(tmp_path: Path) -> None:
    pages = load("pages")
    files = pages.write_pages(tmp_path)
    dates = [file.stat().st_mtime_ns for file in files]
    files[0].write_text("old")
    assert pages.write_pages(tmp_path) == files and files[0].read_text() != "old"
    assert [file.stat().st_mtime_ns for file in files[1:]] == dates[1:]


# --- links on the site --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "page", "repository", "shown"),
    [
        ("[a](photos.md#x)", "index.md", "", "[a](photos.md#x)"),
        ("[a](../CHANGELOG.md)", "serve.md", "", "[a](generated/changelog.md)"),
        ("[a](../../CHANGELOG.md#b)", "results/speed.md", "", "[a](../generated/changelog.md#b)"),
        ("[a](../src/blindsr/cli)", "index.md", "", "[a](generated/cli.md)"),
        ("[a](gallery/plot_tiles.py)", "tiles.md", "", "[a](examples/plot_tiles)"),
        ("[a](../deploy)", "serve.md", "", "a"),
        ("[a](../deploy)", "serve.md", "https://x/main", "[a](https://x/main/deploy)"),
        ("[a](../benchmarks/speed.py)", "a.md", "", "[a](../benchmarks/speed.py)"),
        ("[a](../examples/README.md)", "a.md", "", "a"),
        ("[a](https://x/../y)", "a.md", "https://x/main", "[a](https://x/../y)"),
    ],
)
def test_links_out_of_the_folder(written: str, page: str, repository: str, shown: str) -> None:
    assert load("outside").rewrite(written, page, repository) == shown


# --- versions -----------------------------------------------------------------------------------------------


def test_sites_of_versions_lie_side_by_side(tmp_path: Path) -> None:
    publish = load("publish").publish
    built = tmp_path / "built"
    built.mkdir()
    with pytest.raises(SystemExit, match="holds no site"):
        publish(built, tmp_path / "public", "0.1.0")
    (built / "index.html").write_text("first")
    for version in ("0.9.0", "0.10.0", "0.2.0"):
        publish(built, tmp_path / "public", version)
    (built / "index.html").write_text("again")
    assert publish(built, tmp_path / "public", "0.9.0") == ["0.10.0", "0.9.0", "0.2.0"]
    assert json.loads((tmp_path / "public" / "versions.json").read_text()) == ["0.10.0", "0.9.0", "0.2.0"]
    assert "url=0.10.0/index.html" in (tmp_path / "public" / "index.html").read_text()
    assert (tmp_path / "public" / "0.9.0" / "index.html").read_text() == "again"


def test_links_that_lead_nowhere_are_told(tmp_path: Path) -> None:
    broken_links = load("check_links").broken_links
    (tmp_path / "a.html").write_text('<h1 id="here">A</h1><a href="b.html#there">b</a><a href="#here">a</a>')
    (tmp_path / "b.html").write_text(
        '<img src="no.png"><a href="a.html#gone">a</a><a href="https://x/">x</a>'
    )
    assert broken_links(tmp_path) == (["a.html: b.html#there", "b.html: no.png", "b.html: a.html#gone"], 4, 1)


# --- the gallery --------------------------------------------------------------------------------------------


def test_examples_begin_with_a_title_and_make_their_own_photos() -> None:
    scripts = sorted((DOCS / "gallery").glob("plot_*.py"))
    assert len(scripts) >= 10
    for script in scripts:
        text = script.read_text(encoding="utf-8")
        title, line = text.splitlines()[1:3]
        assert set(line) == {"="} and len(line) >= len(title), script.name
        assert "plt.subplots" in text and not re.search(r"open\(|https?:|shared|\.cache", text), script.name
