"""The command line: parse, call, show. What it does lives elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from blindsr import __version__
from blindsr.errors import BlindSRError, InputError, MissingExtraError

if TYPE_CHECKING:
    from rich.progress import Progress

    from blindsr.sizing import OutputSize
    from blindsr.upscaler import Adaptation, Upscaler

EXIT_SOME_FAILED = 3
EXIT_USAGE = 2

app = typer.Typer(
    help="Blind image super-resolution: reads a photo's degradation and adapts itself to it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run the command line; an error that the user can act on is one line, not a traceback."""
    try:
        app(prog_name="blindsr")
    except BlindSRError as error:
        _complain(error)
        sys.exit(EXIT_USAGE)


def _complain(error: BlindSRError) -> None:
    """The error as one line on stderr."""
    text = " ".join(str(error).splitlines())
    _say(Console(stderr=True), f"[bold red]error:[/] {_escape(text)}")


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


@app.command()
def upscale(
    inputs: Annotated[list[Path], typer.Argument(metavar="INPUT", help="Photos, or folders of them.")],
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", help="A file (for one photo) or a folder; else beside the photo."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(metavar="NAME|PATH", help='A model; "blindsr models" lists them.')
    ] = None,
    scale: Annotated[
        float | None,
        typer.Option(metavar="X", help="Times as large, such as 2.5; else as the model makes it."),
    ] = None,
    width: Annotated[
        int | None, typer.Option(help="Width of the result in pixels; the height follows.")
    ] = None,
    height: Annotated[
        int | None, typer.Option(help="Height of the result in pixels; the width follows.")
    ] = None,
    fit: Annotated[
        str | None, typer.Option(metavar="WxH", help="Box that the result must fit, such as 3840x2160.")
    ] = None,
    support: Annotated[
        Path | None,
        typer.Option(help="Photos of the same degradation to adapt to, instead of to each photo itself."),
    ] = None,
    format_: Annotated[
        str | None,
        typer.Option(
            "-f", "--format", metavar="NAME", help="png, jpeg, webp, tiff, avif or bmp; else the photo's own."
        ),
    ] = None,
    quality: Annotated[
        int | None, typer.Option(min=1, max=100, help="Quality of a JPEG, WebP or AVIF result.")
    ] = None,
    tile: Annotated[
        str, typer.Option(metavar="auto|N", help="Side of a tile in pixels; less takes less memory.")
    ] = "auto",
    device: Annotated[str, typer.Option(metavar="auto|cpu|cuda|mps", help="Where to run.")] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; all if not given.")] = None,
) -> None:
    """Restore and enlarge photos."""
    from blindsr.model import DEFAULT_MODEL
    from blindsr.upscaler import Upscaler

    size = _size(scale, width, height, fit)
    _check_format(format_, quality, out)
    tile_side = int(tile) if tile.isdecimal() else tile
    upscaler = Upscaler(DEFAULT_MODEL if model is None else model, device, tile_side, threads)
    tasks = _plan(inputs, out, f"x{upscaler.model.scale}" if size is None else size.label, format_, quality)
    adaptation = None if support is None else upscaler.adapt(_photos_in(support))
    failed = 0
    with _progress() as progress:
        photos = progress.add_task("", total=len(tasks))
        for task in tasks:
            progress.update(photos, description=_escape(task.source.name))
            try:
                _upscale_one(upscaler, task, adaptation, size, quality, progress)
                _say(progress.console, f"{_escape(str(task.source))} -> {_escape(str(task.target))}")
            except BlindSRError as error:
                failed += 1
                _complain(error)
            progress.advance(photos)
    if failed:
        raise typer.Exit(EXIT_SOME_FAILED)


@app.command()
def models() -> None:
    """List the models that can be called by name."""
    from rich.table import Table

    from blindsr.model import CARD, available_models, read_card

    table = Table("name", "scale", "adapts", "licence", "description", box=None, pad_edge=False)
    for name, folder in available_models().items():
        try:
            model = read_card(folder / CARD, verify=False)
        except BlindSRError as error:
            _complain(error)
            continue
        adapts = "yes" if model.adaptive else "no"
        table.add_row(name, f"x{model.scale}", adapts, _escape(model.licence), _escape(model.description))
    Console().print(table)


@app.command()
def train(
    config: Annotated[Path, typer.Argument(help="A recipe, such as configs/cmdsr_x4.yaml.")],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one setting; repeatable.")
    ] = None,
    resume: Annotated[Path | None, typer.Option(help="Go on from this checkpoint.")] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Folder for checkpoints and logs.")] = None,
) -> None:
    """Train a network."""
    with _extra("training", "train"):
        from blindsr import training
    settings = training.load_config(config, overrides or [])
    with _progress() as progress:
        bar = progress.add_task("training", total=None)

        def show(state: training.Progress) -> None:
            losses = "  ".join(f"{name} {value:.4g}" for name, value in state.losses.items())
            progress.update(bar, completed=state.step, total=state.steps, description=losses)
            if not progress.console.is_terminal:
                speed = f"{state.seconds_per_step:.3g} s/step"
                _say(progress.console, f"step {state.step}/{state.steps}  {losses}  {speed}")
            if state.table is not None:
                _say(progress.console, _escape(state.table))

        last = training.train(settings, out=out, resume=resume, report=show)
    typer.echo(str(last))


@app.command()
def degrade(
    source: Annotated[Path, typer.Argument(help="A photo, or a folder of them.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for the LR photos.")],
    degradation: Annotated[
        str, typer.Option("--degrade", metavar="TEXT", help='Such as "blur=2.6,noise=15,jpeg=60".')
    ] = "",
    scale: Annotated[int, typer.Option(min=1, help="How many times smaller the photos become.")] = 4,
    seed: Annotated[int, typer.Option(help="Seed of the noise.")] = 0,
) -> None:
    """Make a test set: LR photos of a known degradation."""
    from blindsr.degradation import Degradation, degrade_folder

    # A photo that cannot be degraded is logged as it is met.
    records = degrade_folder(source, out, Degradation.parse(degradation, scale=scale), seed)
    if any(record.error for record in records):
        raise typer.Exit(EXIT_SOME_FAILED)


@app.command()
def export(
    checkpoint: Annotated[Path, typer.Argument(help="A checkpoint of ours, or an official CMDSR one.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder of the model that is made.")],
    name: Annotated[str | None, typer.Option(help="Its name; the folder's if not given.")] = None,
    card: Annotated[
        Path | None,
        typer.Option(help="JSON file of more entries for the model card: description, licence, ..."),
    ] = None,
) -> None:
    """Turn a checkpoint into a model that runs without PyTorch."""
    with _extra("export", "train"):
        from blindsr.export import export_checkpoint, read_entries
    folder = export_checkpoint(checkpoint, out, name, None if card is None else read_entries(card))
    typer.echo(str(folder))


@contextmanager
def _extra(purpose: str, extra: str) -> Iterator[None]:
    """Turn a missing optional dependency into an error that says what to install."""
    try:
        yield
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing == "blindsr":
            raise
        raise MissingExtraError(purpose, extra, missing) from error


@dataclass(frozen=True)
class _Task:
    """One photo, the file it becomes, and why it must not become that."""

    source: Path
    target: Path
    fault: str = ""


def _size(scale: float | None, width: int | None, height: int | None, fit: str | None) -> OutputSize | None:
    """The size asked for, None for the model's own; two of the options contradict each other."""
    given = {"--scale": scale, "--width": width, "--height": height, "--fit": fit}
    names = [name for name, value in given.items() if value is not None]
    if not names:
        return None
    if len(names) > 1:
        raise InputError(f"{' and '.join(names)}: give only one of {', '.join(given)}")
    from blindsr.sizing import OutputSize

    return OutputSize(scale, width, height) if fit is None else OutputSize.parse_fit(fit)


def _check_format(name: str | None, quality: int | None, out: Path | None) -> None:
    """Refuse a format that cannot be, before anything is read."""
    from blindsr.picture import FORMATS, WRITABLE

    if name is None:
        return
    if name not in FORMATS:
        raise InputError(f"format {name!r}: give one of {', '.join(FORMATS)}")
    if quality is not None and not FORMATS[name].lossy:
        raise InputError(f"--quality: {name} loses nothing, so it takes no quality; leave it out")
    others = set(WRITABLE) - set(FORMATS[name].suffixes)
    if out is not None and not out.is_dir() and out.suffix.lower() in others:
        raise InputError(f"-o {out} and --format {name} contradict each other; give one of them")


def _plan(
    inputs: Sequence[Path],
    out: Path | None,
    label: str,
    format_: str | None = None,
    quality: int | None = None,
) -> list[_Task]:
    """Decide which photos are read and where each result goes; none replaces a photo or another result.

    A result beside its photo or in a folder is named after the photo and, by the label, its size.
    """
    from blindsr.picture import FORMATS, READABLE, WRITABLE

    suffixes = WRITABLE if format_ is None else FORMATS[format_].suffixes
    lossy = tuple(suffix for one in FORMATS.values() if one.lossy for suffix in one.suffixes)
    found: list[tuple[Path, Path, bool]] = []  # photo, folder below the input, named itself
    for entry in inputs:
        if entry.is_dir():
            found += [(photo, photo.parent.relative_to(entry), False) for photo in _photos_in(entry)]
        else:
            found.append((entry, Path(), True))

    def target(photo: Path, below: Path) -> Path:
        suffix = photo.suffix if photo.suffix.lower() in suffixes else suffixes[0]
        return (photo.parent if out is None else out / below) / f"{photo.stem}_{label}{suffix}"

    if out is not None and out.suffix.lower() in (*READABLE, *WRITABLE) and not out.is_dir():
        if len(found) != 1 or not found[0][2]:
            raise InputError(f"{out}: one file cannot take the results of several photos; give a folder")
        tasks = [_Task(found[0][0], out)]
    else:
        results = {target(photo, below).resolve() for photo, below, _ in found}
        # An earlier run's results lie among the photos of a folder: they are not to be enlarged again.
        tasks = [
            _Task(photo, target(photo, below))
            for photo, below, named in found
            if named or photo.resolve() not in results
        ]
    sources = {task.source.resolve() for task in tasks}
    taken: dict[Path, Path] = {}
    checked = []
    for task in tasks:
        place = task.target.resolve()
        fault = ""
        if place in sources:
            fault = f"its result would overwrite the photo {task.target}; give another -o"
        elif place in taken:
            fault = f"its result would overwrite that of {taken[place]}; give another -o"
        elif quality is not None and place.suffix.lower() not in lossy:
            fault = f"{task.target.suffix} files lose nothing, so they take no --quality; give --format"
        taken.setdefault(place, task.source)
        checked.append(_Task(task.source, task.target, fault))
    return checked


def _photos_in(place: Path) -> list[Path]:
    """All photos in a folder and below it, in order; a file is itself."""
    from blindsr.picture import find_pictures

    return find_pictures(place) if place.is_dir() else [place]


def _upscale_one(
    upscaler: Upscaler,
    task: _Task,
    adaptation: Adaptation | None,
    size: OutputSize | None,
    quality: int | None,
    progress: Progress,
) -> None:
    """Read, restore, write; several tiles get a bar of their own."""
    from blindsr.picture import write

    if task.fault:
        raise InputError(f"{task.source}: {task.fault}")
    bar = progress.add_task("  tiles", total=None, visible=False)

    def show(done: int, total: int) -> None:
        progress.update(bar, completed=done, total=total, visible=total > 1)

    try:
        picture = upscaler.upscale(task.source, adaptation, on_tile=show, size=size)
        try:
            task.target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{task.target.parent}: cannot be made ({error.strerror})") from error
        write(picture, task.target, quality)
    finally:
        progress.remove_task(bar)


def _progress() -> Progress:
    """Bars on a terminal, nothing elsewhere."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def _say(console: Console, text: str) -> None:
    """One line as it is: a long name stays whole, and markup in it means nothing."""
    console.print(text, soft_wrap=True, highlight=False, emoji=False)


def _escape(text: str) -> str:
    """A name that may hold anything, fit for a terminal."""
    from rich.markup import escape

    return escape(text.encode(errors="replace").decode())
