"""`blindsr upscale`: restore and enlarge photos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from blindsr.cli.screen import EXIT_SOME_FAILED, complain, escape, progress_bars, say
from blindsr.errors import BlindSRError, InputError

if TYPE_CHECKING:
    from rich.progress import Progress

    from blindsr.sizing import OutputSize
    from blindsr.upscaler import Adaptation, Upscaler


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
    with progress_bars() as progress:
        photos = progress.add_task("", total=len(tasks))
        for task in tasks:
            progress.update(photos, description=escape(task.source.name))
            try:
                _upscale_one(upscaler, task, adaptation, size, quality, progress)
                say(progress.console, f"{escape(str(task.source))} -> {escape(str(task.target))}")
            except BlindSRError as error:
                failed += 1
                complain(error)
            progress.advance(photos)
    if failed:
        raise typer.Exit(EXIT_SOME_FAILED)


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
