"""`blindsr upscale --cluster`: a batch on many machines, told of as one on a single machine is."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from blindsr.cli.screen import (
    EXIT_SOME_FAILED,
    Signals,
    as_unicode,
    escape,
    file_entry,
    print_error,
    print_object,
    print_warning,
    progress_bars,
    report_entry,
    say,
)
from blindsr.errors import InputError
from blindsr.system.untrusted import one_line

if TYPE_CHECKING:
    from rich.progress import Progress

    from blindsr.cluster.driving import Summary
    from blindsr.cluster.items import Ended
    from blindsr.cluster.order import Order
    from blindsr.cluster.stores import Store
    from blindsr.upscaling.upscaler import Upscaler


def upscale_on_cluster(
    inputs: Sequence[str],
    out: str,
    order: Order,
    address: str,
    workers: int | None,
    recursive: bool,
    as_json: bool,
    signals: Signals,
    *,
    mask: Path | None = None,
    profile: Path | None = None,
    support: Path | None = None,
) -> None:
    """Restore photos on a cluster.

    Args:
        inputs: URLs, paths and patterns, or one list.
        out: Where the results go.
        order: What is done with each photo.
        address: Of the Ray cluster.
        workers: How many there may be; None for as many as there is room for.
        recursive: Whether folders are walked with all that is below them.
        as_json: Whether to print JSON instead of lines for people.
        signals: What may interrupt it.
        mask: As of `upscale`, like the next two: files of this machine, which are read here.
        profile: As there.
        support: As there.

    Raises:
        InputError: As of `drive`, and for what cannot be read.
    """
    from blindsr.batch.recognition import describe
    from blindsr.cluster.driving import Batch, drive
    from blindsr.cluster.inputs import Inputs
    from blindsr.cluster.ray_pool import RayPool, connected
    from blindsr.cluster.report import write_report
    from blindsr.cluster.stores import open_store

    start = time.perf_counter()
    store = open_store(out)
    _check_folder(out)
    order.check()
    upscaler = order.upscaler()
    order = _with_files(order, upscaler, mask, profile, support)
    given = Inputs(inputs, store, recursive)
    batch = Batch(given, store, order, order.header(upscaler, given.given))
    batch.check()
    del upscaler  # its memory is for workers, which may be on this machine
    with connected(address), progress_bars(shown=not (as_json and sys.stdout.isatty())) as progress:
        teller = _Teller(progress, store, as_json)
        summary, run = drive(
            batch, RayPool, workers=workers, on_end=teller.show, stop=signals.graceful_stop()
        )
    page = write_report(run, store, order)
    if summary.others and not as_json:
        print_warning(describe(summary.others))
    _sum_up(summary, page, as_json, time.perf_counter() - start, bool(signals.caught))
    if summary.counts["failed"]:
        raise typer.Exit(EXIT_SOME_FAILED)


def _check_folder(out: str) -> None:
    """The results of a cluster have a folder."""
    from blindsr.picture.formats import PICTURES

    if Path(out).suffix.lower() in PICTURES and not Path(out).is_dir():
        raise InputError(
            f"-o {out}: one file cannot take the results of a cluster; name a folder or a bucket"
        )


def _with_files(
    order: Order, upscaler: Upscaler, mask: Path | None, profile: Path | None, support: Path | None
) -> Order:
    """What files of this machine say, fit to travel."""
    from blindsr.batch.plan import find_photos
    from blindsr.upscaling.profile import read_profile

    adaptation = None
    if support is not None:
        adaptation = upscaler.adapt(find_photos([support]))
    elif profile is not None:
        adaptation = read_profile(profile, upscaler.model)
    if order.by_camera and upscaler.model.support is None:
        raise InputError(f"--profile by-camera: model {upscaler.model.name} does not adapt")
    return replace(order, mask=None if mask is None else upscaler.mask(mask), adaptation=adaptation)


class _Teller:
    """Tells of photos as they end, by lines on stderr or JSON on stdout, and shows how many have."""

    def __init__(self, progress: Progress, out: Store, as_json: bool) -> None:
        self._progress, self._out, self._as_json = progress, out, as_json
        self._bar = progress.add_task("photos", total=None)

    def show(self, ended: Sequence[Ended]) -> None:
        """Photos have ended."""
        self._progress.advance(self._bar, len(ended))
        for one in ended:
            if self._as_json:
                print_object(_entry(one, self._out))
            elif one.status == "failed":
                print_error(InputError(one.error))
            elif one.status == "done":
                line = f"{one.source} -> {self._out.full(one.target)}"
                say(self._progress.console, escape(one_line(line)))
                if one.report.get("warning"):
                    print_warning(f"{one.source}: {one.report['warning']}")


def _entry(ended: Ended, out: Store) -> dict[str, Any]:
    """A photo's JSON object: as of a batch on one machine, and where it was restored."""
    report = {key: value for key, value in ended.report.items() if key != "warning"}
    return {
        **file_entry("source", ended.source),
        **(file_entry("target", out.full(ended.target)) if ended.target else {"target": None}),
        "status": ended.status,
        "error": as_unicode(ended.error) or None,
        "input_size": ended.input_size,
        "output_size": ended.output_size,
        **report_entry(report),
        "seconds": dict(ended.seconds),
        "kind": ended.kind or None,
        "node": ended.node,
    }


def _sum_up(summary: Summary, page: str, as_json: bool, seconds: float, interrupted: bool) -> None:
    counts = {status: summary.counts[status] for status in ("done", "skipped", "failed")}
    if as_json:
        left = None if summary.photos is None else summary.photos - summary.counts.total()
        print_object(
            {
                "summary": {
                    **counts,
                    "left": left,
                    "left_out": dict(summary.others),
                    "interrupted": interrupted,
                    "lost_workers": summary.lost,
                    "report": page,
                    "seconds": round(seconds, 3),
                }
            }
        )
        return
    more = "; the same command tries only those again" if counts["failed"] else ""
    lost = f", {summary.lost} workers lost" if summary.lost else ""
    told = f"{counts['done']} done, {counts['skipped']} skipped, {counts['failed']} failed{lost}{more}"
    typer.echo(f"{told}\n{page}", err=True)
