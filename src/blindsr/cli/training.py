"""Training, and what becomes of a trained network."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from blindsr.cli.options import FITTING, RESULT, Holdout, Json, Seed
from blindsr.cli.screen import (
    escape,
    extra,
    file_entry,
    print_line,
    print_object,
    print_rows,
    progress_bars,
    say,
)
from blindsr.errors import InputError

if TYPE_CHECKING:
    pass


def train(
    config: Annotated[Path, typer.Argument(help="A recipe, such as configs/cmdsr_x4.yaml.")],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one setting; repeatable.")
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(help="Go on from this checkpoint; auto: from the newest in -o, if one is there."),
    ] = None,
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
    as_json: Json = False,
) -> None:
    """Train a network."""
    with extra("training", "train"):
        from blindsr import training
        from blindsr.system.files import refuse_overwriting
        from blindsr.training.checkpoint import has_checkpoint
        from blindsr.training.processes import is_first
        from blindsr.training.state import written_with
    automatic = str(resume) == "auto"
    if not automatic and resume is not None and state is not None and state.exists():
        raise InputError("--resume and --state both say where to go on from; give one of them")
    if state is not None and state.suffix != ".npz":
        raise InputError(f"{state}: a state is an .npz file")
    if state is not None:
        refuse_overwriting(written_with(state), [config], "give another --state")
    lasting = [] if minutes is None else [f"minutes={minutes}"]
    settings = training.load_config(config, [*(overrides or []), *lasting])
    if automatic:
        folder = out or Path("runs") / settings.name
        resume = folder if has_checkpoint(folder) else None
    with progress_bars() as progress:
        bar = progress.add_task("training", total=100, visible=is_first())

        def show(now: training.Progress) -> None:
            losses = "  ".join(f"{name} {value:.4g}" for name, value in now.losses.items())
            progress.update(bar, completed=round(100 * now.share), description=losses)
            if as_json:
                print_object(asdict(now))
                return
            if not progress.console.is_terminal:
                speed = f"{now.seconds_per_step:.3g} s/step"
                say(progress.console, f"step {now.step} ({now.share:.0%})  {losses}  {speed}")
            if now.scores is not None:
                say(progress.console, escape(str(now.scores)))

        last = training.train(settings, out=out, resume=resume, report=show, state=state)
    if not is_first():
        return
    if as_json:
        print_object(file_entry("checkpoint", last))
    else:
        print_line(str(last))


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
    as_json: Json = False,
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
    if as_json:
        print_object(file_entry("folder", folder))
    else:
        print_line(str(folder))


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
    as_json: Json = False,
) -> None:
    """Give a model its network in 8 bit, which a CPU made for it runs several times as fast."""
    from blindsr.models.catalogue import available_models

    with extra("quantising", "int8"):
        from blindsr.export.quantisation import HEADING, quantise
    folder = available_models().get(str(model), model)
    rows = quantise(folder, photos, degradations, holdout, crops, side, drop, seed)
    print_rows(HEADING, rows, as_json)
