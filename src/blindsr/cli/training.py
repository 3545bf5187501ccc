"""The commands of those who train and measure, the list of models, and getting more of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from blindsr.cli.options import FITTING, RESULT, Holdout, Json, Seed
from blindsr.cli.screen import (
    EXIT_SOME_FAILED,
    as_unicode,
    ended_by_signals,
    escape,
    extra,
    file_entry,
    name,
    named_path,
    one_line,
    print_error,
    print_object,
    progress_bars,
    say,
)
from blindsr.errors import BlindSRError, InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

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


def train(
    config: Annotated[Path, typer.Argument(help="A recipe, such as configs/cmdsr_x4.yaml.")],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one setting; repeatable.")
    ] = None,
    resume: Annotated[Path | None, typer.Option(help="Go on from this checkpoint.")] = None,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", help="Folder for checkpoints and logs.", rich_help_panel=RESULT),
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(help="End after so many minutes, trained to the end of its schedule.")
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.npz",
            help="Go on from this state, if it is there, and write it anew.",
            rich_help_panel=RESULT,
        ),
    ] = None,
) -> None:
    """Train a network."""
    with extra("training", "train"):
        from blindsr import training
        from blindsr.system.files import refuse_overwriting
        from blindsr.training.state import written_with
    if resume is not None and state is not None and state.exists():
        raise InputError("--resume and --state both say where to go on from; give one of them")
    if state is not None and state.suffix != ".npz":
        raise InputError(f"{state}: a state is an .npz file")
    if state is not None:
        refuse_overwriting(written_with(state), [config], "give another --state")
    lasting = [] if minutes is None else [f"minutes={minutes}"]
    settings = training.load_config(config, [*(overrides or []), *lasting])
    with progress_bars() as progress:
        bar = progress.add_task("training", total=100)

        def show(now: training.Progress) -> None:
            losses = "  ".join(f"{name} {value:.4g}" for name, value in now.losses.items())
            progress.update(bar, completed=round(100 * now.share), description=losses)
            if not progress.console.is_terminal:
                speed = f"{now.seconds_per_step:.3g} s/step"
                say(progress.console, f"step {now.step} ({now.share:.0%})  {losses}  {speed}")
            if now.scores is not None:
                say(progress.console, escape(str(now.scores)))

        last = training.train(settings, out=out, resume=resume, report=show, state=state)
    typer.echo(str(last))


def data(
    name: Annotated[str, typer.Argument(help="A data set, such as RealSR-Canon, City100 or DIV2K.")],
    path: Annotated[
        Path, typer.Argument(envvar="BLINDSR_DATA", help="The folder that it lies in, or its own.")
    ] = Path("data"),
    split: Annotated[str | None, typer.Option(help="train or test; both if not given.")] = None,
    scale: Annotated[int | None, typer.Option(help="The usual one if not given.")] = None,
    as_json: Json = False,
) -> None:
    """Look whether a data set was downloaded and unpacked whole."""
    from blindsr.dataset.completeness import check_layout
    from blindsr.dataset.layouts import layout_of

    console, whole = Console(), True
    for part in [split] if split else layout_of(name).splits():
        report = check_layout(name, path, part, scale)
        whole = whole and not report.findings
        if as_json:
            findings = [as_unicode(str(finding)) for finding in report.findings]
            print_object({"title": report.title, "whole": not findings, "findings": findings})
            continue
        say(console, escape(str(report)))
        for finding in report.findings:
            say(console, f"[yellow]{escape(f'{report.title}: {finding}')}[/]")
    if not whole:
        raise typer.Exit(EXIT_SOME_FAILED)


def degrade(
    source: Annotated[Path, typer.Argument(help="A photo, or a folder of them.")],
    out: Annotated[
        Path, typer.Option("-o", "--out", help="Folder for the LR photos.", rich_help_panel=RESULT)
    ],
    degradation: Annotated[
        str, typer.Option("--degrade", metavar="TEXT", help='Such as "blur=2.6,noise=15,jpeg=60".')
    ] = "",
    protocol: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The degradations that a paper tests under: cmdsr, dasr-iso, dasr-aniso, gaussian8, "
            "gaussian8-direct, real-esrgan, camera; each in a folder of its own.",
        ),
    ] = None,
    scale: Annotated[int, typer.Option(min=1, help="How many times smaller the photos become.")] = 4,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Make a test set: LR photos of a known degradation, and a manifest with parameters, seeds, checksums."""
    from blindsr.degradation import Degradation, degrade_folder, degrade_protocol

    if protocol is not None and degradation:
        raise InputError("give either --degrade or --protocol: a protocol has its own degradations")
    # A photo that cannot be degraded is logged as it is met.
    if protocol is not None:
        records = degrade_protocol(source, out, protocol, scale, seed)
    else:
        records = degrade_folder(source, out, Degradation.parse(degradation, scale=scale), seed)
    if as_json:
        for record in records:
            print_object(asdict(record))
    if any(record.error for record in records):
        raise typer.Exit(EXIT_SOME_FAILED)


def export(
    checkpoint: Annotated[
        Path, typer.Argument(help="Of ours, or an official one of CMDSR, Cria-CL or ESRGAN.")
    ],
    out: Annotated[
        Path, typer.Option("-o", "--out", help="Folder of the model that is made.", rich_help_panel=RESULT)
    ],
    name: Annotated[
        str | None, typer.Option(help="Its name; the folder's if not given.", rich_help_panel=RESULT)
    ] = None,
    card: Annotated[
        Path | None,
        typer.Option(
            help="JSON file of more entries for the model card: description, licence, ...",
            rich_help_panel=RESULT,
        ),
    ] = None,
    scale: Annotated[
        int | None, typer.Option(help="Of an official Cria-CL file, which does not tell it: 4, or 1 or 2.")
    ] = None,
    licence: Annotated[
        str | None, typer.Option(help="Of the weights, such as MIT; else what --card says, or unknown.")
    ] = None,
) -> None:
    """Turn a checkpoint into a model that runs without PyTorch."""
    with extra("export", "train"):
        from blindsr.export.graphs import WRITTEN, export_checkpoint, read_entries
        from blindsr.system.files import refuse_overwriting
    if card is not None:
        refuse_overwriting([out / name for name in WRITTEN], [card])
    entries = {} if card is None else read_entries(card)
    if licence is not None:
        entries["licence"] = licence
    folder = export_checkpoint(checkpoint, out, name, entries, scale)
    typer.echo(str(folder))


def quantise(
    model: Annotated[
        Path, typer.Argument(help="A model's name or folder; its card and two files are written.")
    ],
    photos: Annotated[Path, typer.Option(help="Folder of the sharp photos that the model was trained on.")],
    degradations: Annotated[
        str | None,
        typer.Option(
            help="Space whose tasks it is calibrated under; else that of its training.",
            rich_help_panel=FITTING,
        ),
    ] = None,
    holdout: Holdout = 8,
    crops: Annotated[int, typer.Option(min=1, help="Crops to calibrate on.", rich_help_panel=FITTING)] = 120,
    side: Annotated[
        int, typer.Option(min=16, help="Side of a crop, pixels of the small photo.", rich_help_panel=FITTING)
    ] = 96,
    drop: Annotated[
        float, typer.Option(min=0, help="PSNR that it may cost, dB.", rich_help_panel=FITTING)
    ] = 0.1,
    seed: Seed = 0,
) -> None:
    """Give a model its network in 8 bit, which a CPU made for it runs several times as fast."""
    from blindsr.models.catalogue import available_models

    with extra("quantising", "int8"):
        from blindsr.export.quantisation import HEADING, quantise
    folder = available_models().get(str(model), model)
    rows = quantise(folder, photos, degradations, holdout, crops, side, drop, seed)
    typer.echo("\n".join([HEADING, *map(str, rows)]))


def fit_niqe(
    photos: Annotated[
        list[Path],
        typer.Argument(metavar="PHOTOS", help="Pristine photos, folders of them, or quoted patterns."),
    ],
    out: Annotated[
        Path, typer.Option("-o", "--out", help="The parameters, such as niqe.npz.", rich_help_panel=RESULT)
    ],
    sharpness: Annotated[
        float,
        typer.Option(
            min=0,
            max=0.99,
            help="Blocks count whose contrast exceeds this part of their photo's sharpest.",
            rich_help_panel=FITTING,
        ),
    ] = 0.75,
) -> None:
    """Fit the parameters of NIQE, which measures photos without ground truth, to pristine photos."""
    import numpy as np

    from blindsr.batch.plan import find_photos
    from blindsr.metrics.niqe import FEATURES, check_path, sharp_statistics, write_niqe
    from blindsr.metrics.niqe import fit_niqe as fit
    from blindsr.system.files import refuse_overwriting

    check_path(out)
    files = find_photos(photos)
    refuse_overwriting([out], files)
    statistics: list[NDArray[np.float64]] = []
    _for_each_photo(files, lambda file, pixels: statistics.append(sharp_statistics(pixels, sharpness)))
    blocks = np.concatenate([np.empty((0, FEATURES)), *statistics])
    write_niqe(fit(blocks), out)
    say(
        Console(),
        f"{escape(str(out))}: fitted to {len(blocks)} sharp blocks of"
        f" {len(statistics)} photo{'s' * (len(statistics) != 1)}",
    )
    if len(statistics) < len(files):
        raise typer.Exit(EXIT_SOME_FAILED)


def fit_degradations(
    photos: Annotated[
        list[Path],
        typer.Argument(
            metavar="PHOTOS", help="Photos such as are to be restored, folders of them, or quoted patterns."
        ),
    ],
    out: Annotated[
        Path, typer.Option("-o", "--out", help="The bank, such as bank.npz.", rich_help_panel=RESULT)
    ],
    scale: Annotated[int, typer.Option(min=1, max=8, help="How many times larger photos are to become.")] = 4,
    patches: Annotated[
        int, typer.Option(min=0, help="Noise patches from one photo, at most.", rich_help_panel=FITTING)
    ] = 32,
) -> None:
    """Learn from real photos how they are degraded: the kernel and the noise of each, to train with."""
    from blindsr.batch.plan import find_photos
    from blindsr.degradation.injection import BankBuilder, check_bank_path
    from blindsr.system.files import refuse_overwriting

    check_bank_path(out)
    files = find_photos(photos)
    refuse_overwriting([out], files)
    builder = BankBuilder(scale, patches)
    _for_each_photo(files, lambda file, pixels: builder.add(file.name, pixels))
    bank = builder.bank()
    bank.write(out)
    kernels, noises = len(bank.kernels), len(bank.noise)
    say(
        Console(),
        f"{escape(str(out))}: {kernels} kernel{'s' * (kernels != 1)} and"
        f" {noises} noise patch{'es' * (noises != 1)} of {kernels} photo{'s' * (kernels != 1)}, for x{scale}",
    )
    if not noises:
        say(
            Console(stderr=True),
            "no photo has a smooth part, so the bank has no noise; add photos with sky or walls",
        )
    if kernels < len(files):
        raise typer.Exit(EXIT_SOME_FAILED)


def _for_each_photo(files: Sequence[Path], take: Callable[[Path, NDArray[np.float32]], object]) -> None:
    """Read photos one by one and hand over their pixels; what cannot be read or used is told and left out."""
    from blindsr.picture import read

    with progress_bars() as progress:
        for file in progress.track(files, description="photos"):
            try:
                pixels = read(file).pixels
            except BlindSRError as error:
                print_error(error)
                continue
            try:
                take(file, pixels)
            except InputError as error:
                print_error(InputError(f"{file}: {error}"))
