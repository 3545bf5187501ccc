"""The list of models, and getting more of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from blindsr.cli.options import Json
from blindsr.cli.screen import (
    as_unicode,
    ended_by_signals,
    escape,
    file_entry,
    name,
    named_path,
    print_error,
    print_object,
    progress_bars,
    say,
)
from blindsr.errors import BlindSRError
from blindsr.system.untrusted import one_line

if TYPE_CHECKING:
    from blindsr.models.card import Model


def models(
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME|PATH]", help="Tell all of these instead, files of other programs too."),
    ] = None,
    as_json: Json = False,
) -> None:
    """List the models that can be called by name, or tell what is known of some."""
    if files:
        for file in files:
            _show_model(file, as_json)
        return
    from rich.table import Table

    from blindsr.models.card import CARD, read_card
    from blindsr.models.catalogue import ADAPTING_MODEL, DEFAULT_MODEL, available_models, place_of

    columns = ("name", "scale", "adapts", "texture", "licence", "from", "description")
    table = Table(*columns, box=None, pad_edge=False)
    for called, folder in available_models().items():
        try:
            model = read_card(folder / CARD, verify=False)
        except BlindSRError as error:
            print_error(error)
            continue
        if as_json:
            print_object(_model_entry(called, folder, model))
            continue
        can = ("yes" if able else "no" for able in (model.adaptive, model.texture is not None))
        texts = (escape(one_line(text)) for text in (model.licence, place_of(folder), model.description))
        table.add_row(escape(one_line(called)), f"x{model.scale}", *can, *texts)
    if as_json:
        return
    Console().print(table)
    adapting = f"with --support or --profile, and for adapt and inspect: {ADAPTING_MODEL}"
    Console().print(f"\nDefault: {DEFAULT_MODEL}; {adapting}")


def _show_model(written: str, as_json: bool) -> None:
    """All that is known of a model, a line each, or as a JSON object."""
    from blindsr.engine.opening import load_model, read_request

    request = read_request(written)
    model = load_model(request.model, scale=request.scale)
    if as_json:
        print_object(
            {
                **_can(model),
                "pixel_range": model.pixel_range,
                "halo": model.halo,
                "tiled": model.tiled,
                "window": model.window,
                "multiple": model.multiple,
                "tile_memory": model.tile_memory,
                "files": {role: as_unicode(str(path)) for role, path in model.files.items()},
            }
        )
        return
    reach = f"{model.halo} pixels around a tile{', as measured' if model.measured else ''}"
    lines = {
        "scale": f"x{model.scale}",
        "description": model.description,
        "licence": model.licence,
        "adapts": "yes" if model.adaptive else "no",
        "texture": "no" if model.texture is None else f"yes, {model.texture:g} by default",
        "pixel range": f"0 to {model.pixel_range:g}",
        "halo": reach if model.tiled else "it looks at the whole photo: no tiles",
        "takes": "any size" if model.window is None else f"{model.window[1]}x{model.window[0]} pixels alone",
        "multiple": str(model.multiple),
        "tile memory": f"{model.tile_memory} bytes a pixel",
        "files": ", ".join(str(path) for path in model.files.values()),
    }
    console = Console()
    say(console, f"[bold]{escape(one_line(model.name))}[/]")
    for key, value in lines.items():
        say(console, f"  {key:<12} {escape(one_line(value))}")


def _can(model: Model) -> dict[str, object]:
    """What a model is and can, for its JSON object."""
    return {
        "name": as_unicode(model.name),
        "scale": model.scale,
        "adapts": model.adaptive,
        "texture": model.texture,
        "licence": model.licence,
        "description": model.description,
    }


def _model_entry(called: str, folder: Path, model: Model) -> dict[str, object]:
    """The JSON object of a model that is called by name."""
    from blindsr.models.catalogue import place_of

    entry = {**_can(model), "name": as_unicode(called)}
    return {**entry, "from": place_of(folder), **file_entry("folder", folder)}


def pull(
    source: Annotated[
        str,
        typer.Argument(
            metavar="URL|PATH",
            help="A model's folder, its card.json, or an archive of it (.zip, .tar.gz): a URL or a path.",
        ),
    ],
    name_: Annotated[
        str | None, typer.Option("--name", help="What to call it; else as its card does.")
    ] = None,
    sha256: Annotated[
        str | None, typer.Option(metavar="DIGITS", help="What the card's, or the archive's, must be.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Take the place of another model of that name.")
    ] = False,
    to: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", parser=named_path, help="Folder of models to put it into; else yours."
        ),
    ] = None,
    max_size: Annotated[str, typer.Option(metavar="SIZE", help="Most that it may have, such as 8G.")] = "2G",
    as_json: Json = False,
) -> None:
    """Fetch a model that others serve, verified by its checksums; from then on it is called by name."""
    with (
        ended_by_signals(lambda: "interrupted; no model was changed"),
        progress_bars(of_bytes=True) as progress,
    ):
        from blindsr.models.catalogue import available_models
        from blindsr.pulling.pull import pull as pull_model
        from blindsr.system.memory import read_bytes

        bar = progress.add_task("", total=None)

        def show(where: str, done: int, total: int | None) -> None:
            file = escape(one_line(where.rpartition("/")[2]))
            progress.update(bar, description=file, completed=done, total=total)

        pulled = pull_model(
            source,
            name=name_,
            folder=to,
            sha256=sha256,
            force=force,
            max_size=read_bytes(max_size, "--max-size"),
            on_bytes=show,
        )
    if as_json:
        values = {"name": pulled.name, **file_entry("folder", pulled.folder)}
        print_object({**values, "fetched": pulled.fetched, "sha256": pulled.sha256})
        return
    what = "pulled to" if pulled.fetched else "there already, as it was:"
    say(Console(), f"{escape(pulled.name)}: {what} {name(pulled.folder)} (SHA-256 {pulled.sha256})")
    known = available_models().get(pulled.name)
    if known is None or not known.samefile(pulled.folder):
        say(Console(), f"call it by its path: --model {name(pulled.folder)}")
