"""Options that several commands have: each means the same, and reads the same, in all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from blindsr.cli.screen import named_path

RESULT, SIZE, MODEL, SPEED, MANY, MACHINES, TEST_SETS, MEASURES, FITTING = (
    "Result",
    "Size of the result",
    "Model",
    "Device and memory",
    "Many photos",
    "Many machines",
    "Test sets",
    "What is measured",
    "Fitting",
)
"""Panels of `--help`, in the order of a command's first option of each."""

Photos = Annotated[
    list[Path],
    typer.Argument(metavar="INPUT", parser=named_path, help="Photos, folders of them, or quoted patterns."),
]
ModelName = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="NAME|PATH",
        help='A model; "blindsr models" lists them. Or a file: .onnx, .param, .pth, .safetensors.',
        rich_help_panel=MODEL,
    ),
]
Device = Annotated[
    str, typer.Option(metavar="auto|cpu|cuda|mps", help="Where to run.", rich_help_panel=SPEED)
]
Threads = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, max=1024, help="CPU threads; else all.", rich_help_panel=SPEED),
]
MemoryBound = Annotated[
    str | None,
    typer.Option(
        "--memory",
        metavar="SIZE",
        help="Most memory to take, such as 1.5G; else a share of what is free.",
        rich_help_panel=SPEED,
    ),
]
Cluster = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        metavar="auto|ADDRESS",
        help="A Ray cluster: this machine's, or ray://HOST:10001. Inputs and -o may then be s3://, gs://, az://.",
        rich_help_panel=MACHINES,
    ),
]
Machines = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        metavar="auto|ADDRESS",
        help="A Ray cluster, whose workers do it: this machine's, or ray://HOST:10001.",
        rich_help_panel=MACHINES,
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        help="Workers at most; else as many as there is room for.",
        rich_help_panel=MACHINES,
    ),
]
TimeLimit = Annotated[
    float,
    typer.Option(metavar="SECONDS", help="Most time for one photo on a cluster.", rich_help_panel=MACHINES),
]
Tries = Annotated[
    int,
    typer.Option(
        metavar="N",
        min=1,
        help="How often a photo that may have ended a worker is tried alone.",
        rich_help_panel=MACHINES,
    ),
]
Json = Annotated[
    bool, typer.Option("--json", help="Print JSON, an object a line, for programs.", rich_help_panel=RESULT)
]
Holdout = Annotated[
    int,
    typer.Option(metavar="N", min=1, help="How many of them its training held out.", rich_help_panel=FITTING),
]
Seed = Annotated[int, typer.Option(metavar="N", min=0, help="Seed of all draws.", rich_help_panel=FITTING)]
