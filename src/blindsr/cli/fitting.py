"""What is fitted to photos without training a network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from blindsr.cli.options import FITTING, RESULT, Holdout, Json, Seed
from blindsr.cli.screen import (
    EXIT_SOME_FAILED,
    escape,
    extra,
    file_entry,
    print_error,
    print_object,
    print_rows,
    progress_bars,
    say,
)
from blindsr.errors import BlindSRError, InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


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
    as_json: Json = False,
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
    if as_json:
        print_object({**file_entry("parameters", out), "blocks": len(blocks), "photos": len(statistics)})
    else:
        read = f"{len(statistics)} photo{'s' * (len(statistics) != 1)}"
        say(Console(), f"{escape(str(out))}: fitted to {len(blocks)} sharp blocks of {read}")
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
    as_json: Json = False,
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
    if as_json:
        print_object({**file_entry("bank", out), "kernels": kernels, "noises": noises, "scale": scale})
    else:
        what = f"{kernels} kernel{'s' * (kernels != 1)} and {noises} noise patch{'es' * (noises != 1)}"
        say(Console(), f"{escape(str(out))}: {what} of {kernels} photo{'s' * (kernels != 1)}, for x{scale}")
    if not noises:
        say(
            Console(stderr=True),
            "no photo has a smooth part, so the bank has no noise; add photos with sky or walls",
        )
    if kernels < len(files):
        raise typer.Exit(EXIT_SOME_FAILED)


def fit_inspect(
    model: Annotated[Path, typer.Argument(help="A model's name or folder; its card and a file are written.")],
    photos: Annotated[Path, typer.Option(help="Folder of the sharp photos that the model was trained on.")],
    holdout: Holdout = 8,
    crops: Annotated[
        int,
        typer.Option(
            metavar="N", min=1, help="Crops of each photo; more take longer.", rich_help_panel=FITTING
        ),
    ] = 8,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Fit what a model's conditions tell, for `blindsr inspect`."""
    from blindsr.models.catalogue import available_models

    with extra("fitting", "train"):
        from blindsr.inspection.fit import HEADING, fit_inspector
    folder = available_models().get(str(model), model)
    with progress_bars() as progress:
        bar = progress.add_task("photos", total=None)
        rows = fit_inspector(
            folder,
            photos,
            holdout,
            crops,
            seed,
            lambda done, total: progress.update(bar, completed=done, total=total),
        )
    print_rows(HEADING, rows, as_json)


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
