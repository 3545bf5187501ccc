"""Data sets, and making one of a known degradation."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from blindsr.cli.cluster import degrade_on_cluster, refuse_urls
from blindsr.cli.options import RESULT, Cluster, Json, MemoryBound, Seed, TimeLimit, Tries, Workers
from blindsr.cli.screen import (
    EXIT_SOME_FAILED,
    as_unicode,
    ended_by_closed_pipe,
    ended_by_signals,
    escape,
    named_place,
    print_object,
    say,
)
from blindsr.errors import InputError


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
    source: Annotated[  # noqa: ANN401  (a path, or a URL's text)
        Any, typer.Argument(metavar="SOURCE", parser=named_place, help="A photo, or a folder of them.")
    ],
    out: Annotated[  # noqa: ANN401
        Any,
        typer.Option(
            "-o",
            "--out",
            metavar="PATH",
            parser=named_place,
            help="Folder for the LR photos.",
            rich_help_panel=RESULT,
        ),
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
    cluster: Cluster = None,
    workers: Workers = None,
    memory: MemoryBound = None,
    time_limit: TimeLimit = 600.0,
    tries: Tries = 2,
) -> None:
    """Make a test set: LR photos of a known degradation, and a manifest with parameters, seeds, checksums."""
    from blindsr.degradation import Degradation, Task, degrade_folder, degrade_protocol
    from blindsr.degradation.protocols import about_protocol, folders_of

    if protocol is not None and degradation:
        raise InputError("give either --degrade or --protocol: a protocol has its own degradations")
    if cluster is not None:
        from blindsr.cluster.order import MEMORY

        about = None if protocol is None else about_protocol(protocol)
        tasks: dict[str, Task] = {"": Degradation.parse(degradation, scale=scale)}
        if protocol is not None:
            tasks = folders_of(protocol, scale)
        order = {"seed": seed, "memory": memory or MEMORY, "seconds": time_limit, "tries": tries}
        with (
            ended_by_signals(lambda: "interrupted: the same command does the rest") as signals,
            ended_by_closed_pipe(),
        ):
            whole = degrade_on_cluster(
                str(source), str(out), tasks, about, order, cluster, workers, as_json, signals
            )
        if not whole:
            raise typer.Exit(EXIT_SOME_FAILED)
        return
    refuse_urls(source, out)
    if memory is not None:
        raise InputError("--memory: bounds the workers of a cluster here; give --cluster, or leave it out")
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
