"""The command line: parse, call, show. What it does lives elsewhere."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from blindsr.cli.camera import adapt, inspect
from blindsr.cli.data_sets import data, degrade
from blindsr.cli.evaluate import evaluate
from blindsr.cli.fitting import fit_degradations, fit_inspect, fit_niqe
from blindsr.cli.models import models, pull
from blindsr.cli.screen import EXIT_USAGE as EXIT_USAGE
from blindsr.cli.screen import exit_status, open_streams
from blindsr.cli.serve import serve
from blindsr.cli.training import export, quantise, train
from blindsr.cli.upscale import upscale
from blindsr.version import __version__

app = typer.Typer(
    help="Blind image super-resolution: reads a photo's degradation and adapts itself to it.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run the command line; an error is one line, not a traceback, and the exit status a documented one."""
    open_streams()
    sys.exit(exit_status(lambda: app(prog_name="blindsr", standalone_mode=False)))


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"blindsr {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Options of the program itself."""


_PANELS = {
    "Restore": (upscale, adapt, inspect, serve),
    "Models": (models, pull),
    "Measure": (evaluate, degrade, data, fit_niqe),
    "Train": (train, export, quantise, fit_inspect, fit_degradations),
}
for panel, commands in _PANELS.items():
    for command in commands:
        app.command(rich_help_panel=panel)(command)
app.command("quantize", hidden=True)(quantise)  # as others spell it
