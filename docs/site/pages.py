"""Pages of the site that are written from the code, anew at each build, into docs/generated/.

The commands and their options, the keys of the training recipes, the cards of the shipped models; and the two
files at the top of the repository that belong on the site as well.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import click
    from pydantic import BaseModel
    from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[2]
GENERATED = ROOT / "docs" / "generated"


def write_pages(folder: Path = GENERATED) -> list[Path]:
    """Write them all; what has not changed keeps its date, so that Sphinx need not read it again."""
    pages = {
        "cli.md": cli_page(),
        "configuration.md": configuration_page(),
        "model-cards.md": model_cards_page(),
        "changelog.md": moved((ROOT / "CHANGELOG.md").read_text(encoding="utf-8")),
        "contributing.md": moved((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")),
    } | schemas()
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages.items():
        file = folder / name
        if not file.is_file() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")
    return [folder / name for name in pages]


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table in Markdown."""
    titles = list(header)
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(_cell(text) for text in line)} |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


# --- commands -----------------------------------------------------------------------------------------------


def cli_page() -> str:
    """Every command, its arguments and its options, as `--help` shows them."""
    from typer.main import get_command

    from blindsr.cli import _PANELS, app

    commands: dict[str, click.Command] = get_command(app).commands  # type: ignore[attr-defined]
    parts = [
        "# Commands",
        "What `blindsr COMMAND --help` prints. The exit statuses and the lines of `--json` are those of "
        "[Many photos](../batches.md#exit-status). `blindsr --install-completion` lets the shell complete "
        "commands and options.",
    ]
    for panel, functions in _PANELS.items():
        parts.append(f"## {panel}")
        for function in functions:
            name = function.__name__.replace("_", "-")
            parts += _command(name, commands[name])
    return "\n\n".join(parts) + "\n"


def _command(name: str, command: click.Command) -> Iterator[str]:
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    usage = " ".join(_metavar(one) for one in arguments)
    yield f"### blindsr {name}"
    yield f"```text\nblindsr {name} [OPTIONS] {usage}".rstrip() + "\n```"
    yield inspect.cleandoc(command.help or "").replace("\b", "")
    if arguments:
        rows = [[f"`{_metavar(one)}`", _plain(getattr(one, "help", "") or "")] for one in arguments]
        yield table(["argument", "means"], rows)
    panels: dict[str, list[Any]] = {}
    for one in command.params:
        if one.param_type_name == "option" and not getattr(one, "hidden", False):
            panels.setdefault(getattr(one, "rich_help_panel", None) or "Options", []).append(one)
    for title, options in panels.items():
        yield table(
            [title, "means", "else"],
            ([_flags(one), _plain(one.help or ""), _default(one)] for one in options),
        )


def _metavar(parameter: Any) -> str:  # noqa: ANN401  (typer's parameters are click's with more)
    text = parameter.metavar or parameter.name.upper()
    return f"{text}..." if parameter.nargs == -1 else text


def _flags(option: Any) -> str:  # noqa: ANN401
    value = "" if option.is_flag else f" {option.metavar or _kind_of_value(option)}"
    return ", ".join(f"`{flag}{value if flag.startswith('--') else ''}`" for flag in option.opts) + "".join(
        f", `{flag}`" for flag in option.secondary_opts
    )


def _plain(text: str) -> str:
    """A text that is no Markdown, as Markdown: `{stem}_{model}_{width}` has nothing in italics."""
    return re.sub(r"([*_<>\[\]`\\])", r"\\\1", text)


def _kind_of_value(option: Any) -> str:  # noqa: ANN401
    """What stands for a value whose option gives it no name of its own."""
    described = getattr(option, "type_descriptor", None)  # typer with its own parser ...
    text = str(described.annotation if described else option.type.name).lower()  # ... or click's
    words = {"int": "N", "float": "NUMBER", "path": "PATH"}
    return next((word for kind, word in words.items() if kind in text), "TEXT")


def _default(option: Any) -> str:  # noqa: ANN401
    value = option.default
    if value is None or value is False or callable(value) or value in ("", [], ()):
        return ""
    return f"`{'on' if value is True else value}`"


# --- recipes ------------------------------------------------------------------------------------------------


def configuration_page() -> str:
    """Every key of a training recipe: its kind, its bounds, what it is if it is left out, what it means."""
    from blindsr.training import config

    parts = [
        "# Keys of a training recipe",
        "A recipe is a YAML file ([configs/](../../configs) has those of the shipped models), and "
        "`--set section.key=value` changes one key of it ([Training](../training.md)). The schema is strict: "
        "an unknown key is an error that names the nearest right one. For editors that check YAML there are "
        "JSON schemas: " + ", ".join(f"[{name}]({name}.schema.json)" for name in config.CONFIGS) + ".",
        "## Every recipe",
        *_section(config.TrainConfig),
    ]
    for name, kind in config.CONFIGS.items():
        parts += [f"## recipe: {name}", *_section(kind)]
    parts.append("## Sections")
    shown = {config.TrainConfig, *config.CONFIGS.values()}
    for kind in vars(config).values():
        if (
            inspect.isclass(kind)
            and issubclass(kind, config.Section)
            and kind not in shown | {config.Section}
        ):
            parts += [f"### {kind.__name__}", *_section(kind)]
    return "\n\n".join(parts) + "\n"


def _section(kind: type[BaseModel]) -> Iterator[str]:
    """What one section adds to that which it is built on."""
    base = kind.__mro__[1]
    yield " ".join((kind.__doc__ or "").split())
    if base.__name__ not in ("Section", "TrainConfig"):
        yield (
            f"Has the keys of [{base.__name__}](#{base.__name__.lower()}) too."
            if base.__name__.endswith("Section")
            else f"Has the keys of the recipes below `{base.__name__}` too: "
            + ", ".join(f"`{key}`" for key in base.model_fields if key not in base.__mro__[1].model_fields)
            + "."
        )
    rows = [[f"`{key}`", *entry] for key, entry in _own_keys(kind).items()]
    if rows:
        yield table(["key", "kind", "if left out", "means"], rows)


def _own_keys(kind: type[BaseModel]) -> dict[str, list[str]]:
    """Kind, default and meaning of the keys that a section itself declares, by the source."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    assert isinstance(tree, ast.ClassDef)
    found: dict[str, list[str]] = {}
    for node, following in zip(tree.body, [*tree.body[1:], None], strict=True):
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        key, meaning = node.target.id, ""
        if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
            meaning = _markdown(str(following.value.value))
        found[key] = [_kind(kind, key, node.annotation), _if_left_out(kind, key), meaning]
    return found


def _kind(kind: type[BaseModel], key: str, annotation: ast.expr) -> str:
    bounds = [f"{name} {getattr(bound, name):g}" for bound in kind.model_fields[key].metadata for name in (
        "gt", "ge", "lt", "le") if isinstance(getattr(bound, name, None), int | float)]  # fmt: skip
    words = {"gt": "more than", "ge": "at least", "lt": "less than", "le": "at most"}
    told = [f"{words[name]} {number}" for name, number in (text.split() for text in bounds)]
    return ", ".join([f"`{ast.unparse(annotation)}`", *told])


def _if_left_out(kind: type[BaseModel], key: str) -> str:
    field = kind.model_fields[key]
    if field.is_required():
        return "must be given"
    value = field.default
    if hasattr(value, "model_fields_set"):
        given = ", ".join(f"{name}: {getattr(value, name)}" for name in sorted(value.model_fields_set))
        return f"its own defaults{f', but `{given}`' if given else ''}"
    return f"`{value}`"


def schemas() -> dict[str, str]:
    """The JSON schemas of the recipes, by file name."""
    from blindsr.training.config import CONFIGS

    return {
        f"{name}.schema.json": json.dumps(kind.model_json_schema(), indent=1, ensure_ascii=False) + "\n"
        for name, kind in CONFIGS.items()
    }


# --- models -------------------------------------------------------------------------------------------------


def model_cards_page() -> str:
    """What the shipped models say of themselves."""
    from blindsr.models.card import CARD, read_card
    from blindsr.models.catalogue import DEFAULT_MODEL, SHIPPED

    parts = [
        "# Cards of the shipped models",
        "Each model's `card.json`, which says all that a program needs to run it "
        "([Models](../models.md#what-a-folder-holds)), where it comes from, and what was measured of it. "
        "`blindsr models NAME --json` prints the same.",
    ]
    for folder in sorted(SHIPPED.iterdir()):
        if not (folder / CARD).is_file():
            continue
        model = read_card(folder / CARD)
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
        megabytes = sum(file.stat().st_size for file in folder.iterdir()) / 1e6
        rows = [
            ["scale", f"x{model.scale}"],
            ["adapts to photos", "yes" if model.adaptive else "no"],
            ["texture", "none" if model.texture is None else f"{model.texture:g} unless told"],
            ["halo", f"{model.halo} LR pixels"],
            [
                "memory of a tile",
                f"{model.tile_memory} bytes an LR pixel" if model.tile_memory else "not known",
            ],
            ["licence", model.licence],
            ["files", f"{len(card['files'])}, {megabytes:.1f} MB"],
            ["the default", "yes" if model.name == DEFAULT_MODEL else "no"],
        ]
        parts += [f"## {model.name}", model.description + ".", table(["", ""], rows)]
        for title in ("provenance", "metrics"):
            if card.get(title):
                text = json.dumps(card[title], indent=2, ensure_ascii=False)
                parts.append(f"```{{dropdown}} {title.capitalize()}\n:::json\n{text}\n:::\n```".replace(
                    ":::json", "~~~json").replace("\n:::", "\n~~~"))  # fmt: skip
    return "\n\n".join(parts) + "\n"


# --- files at the top of the repository ---------------------------------------------------------------------


def moved(text: str) -> str:
    """A page from the top of the repository with its links as seen from docs/generated/."""
    text = re.sub(r"\]\(docs/", "](../", text)
    return re.sub(r"\]\((?!https?:|mailto:|#|\.\./)", "](../../", text)


def _markdown(docstring: str) -> str:
    """A docstring's text without the line that only closes a sentence begun above."""
    return " ".join(docstring.split())


def setup(app: Sphinx) -> dict[str, Any]:
    """What Sphinx calls: the pages are written before it looks for pages."""
    app.connect("config-inited", lambda _app, _config: write_pages() and None)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
