"""`--cluster`: a batch on many machines, told of as one on a single machine is."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from threading import Event
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

    from blindsr.cluster.degrading import Degrading
    from blindsr.cluster.driving import Summary
    from blindsr.cluster.handing_out import Pool
    from blindsr.cluster.items import Ended
    from blindsr.cluster.measuring import Measuring
    from blindsr.cluster.restoring import Restoring
    from blindsr.cluster.stores import Store
    from blindsr.degradation.pipeline import Task
    from blindsr.evaluation.crops import CropFolder
    from blindsr.evaluation.result_cache import ResultCache
    from blindsr.evaluation.runner import Failed
    from blindsr.upscaling.upscaler import Upscaler


def upscale_on_cluster(
    inputs: Sequence[str],
    out: str,
    order: Restoring,
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
    batch = Batch(given, store, order, order.header(order.identity(upscaler), given.given))
    batch.check()
    del upscaler  # its memory is for workers, which may be on this machine
    with connected(address), progress_bars(shown=not (as_json and sys.stdout.isatty())) as progress:
        teller = _Teller(progress, store, as_json, lambda one: _entry(one, store))
        summary, run = drive(
            batch, RayPool, workers=workers, on_end=teller.show, stop=signals.graceful_stop()
        )
    page = write_report(run, store, order)
    if summary.others and not as_json:
        print_warning(describe(summary.others))
    _sum_up(summary, page, as_json, time.perf_counter() - start, bool(signals.caught))
    if summary.counts["failed"]:
        raise typer.Exit(EXIT_SOME_FAILED)


def degrade_on_cluster(
    source: str,
    out: str,
    tasks: Mapping[str, Task],
    about: Mapping[str, str] | None,
    order: Mapping[str, Any],
    address: str,
    workers: int | None,
    as_json: bool,
    signals: Signals,
) -> bool:
    """Make a test set on a cluster.

    Args:
        source: URL or path of a photo, a folder or a bucket, or a pattern.
        out: Where the LR photos go.
        tasks: The degradations, by the folders below `out` for their LR photos; "" is `out` itself.
        about: As of `manifest_of`.
        order: Of `Degrading`, all but the task.
        address: Of the Ray cluster.
        workers: How many there may be; None for as many as there is room for.
        as_json: Whether to print JSON instead of lines for people.
        signals: What may interrupt it.

    Returns:
        Whether all photos were degraded, as far as it was not interrupted.

    Raises:
        InputError: As of `drive`.
    """
    from blindsr.cluster.degrading import Degrading, records_of
    from blindsr.cluster.driving import Batch, drive
    from blindsr.cluster.inputs import Inputs
    from blindsr.cluster.ray_pool import RayPool, connected
    from blindsr.cluster.report import write_report
    from blindsr.cluster.stores import open_store
    from blindsr.degradation.manifest import MANIFEST, manifest_of

    store, stop = open_store(out), signals.graceful_stop()
    batches = []
    for folder, task in tasks.items():
        asked = Degrading(task=task, **order)
        given = Inputs([source], store, by_content=False)
        if given.may_collide:
            raise InputError(f"{source}: a list of photos; name the folder or the bucket that they lie in")
        header = asked.header(asked.maker().identity, given.given)
        batch = Batch(given, store.below(folder) if folder else store, asked, header)
        batch.check()
        batches.append((asked, batch))
    failed = 0
    with connected(address), progress_bars(shown=not (as_json and sys.stdout.isatty())) as progress:
        for asked, batch in batches:
            start = time.perf_counter()
            teller = _Teller(progress, batch.out, as_json, partial(_record_entry, order=asked))
            summary, run = drive(batch, RayPool, workers=workers, on_end=teller.show, stop=stop)
            if not summary.interrupted:
                records = records_of(run.all_ended(), asked)
                batch.out.write(MANIFEST, manifest_of(records, asked.task, asked.seed, about))
            page = write_report(run, batch.out, asked)
            _sum_up(summary, page, as_json, time.perf_counter() - start, summary.interrupted)
            failed += summary.counts["failed"]
            if summary.interrupted:
                break
    return not failed


def measure_on_cluster(
    order: Measuring,
    cache: ResultCache,
    crop_folder: CropFolder | None,
    address: str,
    workers: int | None,
    progress: Progress,
    stop: Event,
) -> Failed:
    """Let workers measure what is not in a cache yet.

    Args:
        order: What is measured.
        cache: Where it is kept.
        crop_folder: Where crops are kept; None for none.
        address: Of the Ray cluster, which is joined only where something is to be measured.
        workers: How many there may be; None for as many as there is room for.
        progress: Shows how many pictures are measured.
        stop: Ends it.

    Returns:
        Why pictures have no result, as of `evaluate`.

    Raises:
        InputError: As of `measure_by_workers`.
    """
    from blindsr.cluster.measuring import Measurer, measure_by_workers
    from blindsr.cluster.ray_pool import RayPool, connected

    bar = progress.add_task("pictures on the cluster", total=None)

    def show(done: int, known: int) -> None:
        progress.update(bar, completed=done)

    with ExitStack() as stack:

        def start(arguments: Mapping[str, Any]) -> Pool:
            stack.enter_context(connected(address))
            return RayPool(arguments, Measurer)

        failed = measure_by_workers(
            order, cache, crop_folder, start, workers=workers, on_picture=show, stop=stop
        )
    progress.remove_task(bar)
    return failed


def everywhere(model: str) -> str:
    """A model as other machines find it: a path in full, a name as it is."""
    path = Path(model).expanduser()
    return str(path.absolute()) if path.exists() else model


def refuse_urls(*places: object) -> None:
    """Refuse what only a cluster reads and writes.

    Args:
        places: As `named_place` gives them.

    Raises:
        InputError: One is a URL.
    """
    url = next((place for place in places if isinstance(place, str)), None)
    if url is not None:
        raise InputError(f"{url}: a place on a store; give --cluster auto, which reads and writes them")


def _check_folder(out: str) -> None:
    """The results of a cluster have a folder."""
    from blindsr.picture.formats import PICTURES

    if Path(out).suffix.lower() in PICTURES and not Path(out).is_dir():
        raise InputError(
            f"-o {out}: one file cannot take the results of a cluster; name a folder or a bucket"
        )


def _with_files(
    order: Restoring, upscaler: Upscaler, mask: Path | None, profile: Path | None, support: Path | None
) -> Restoring:
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
    """Tells of photos as they end, by lines on stderr or JSON on stdout, and shows how many have.

    Args:
        progress: Where.
        out: The store of results.
        as_json: Whether to print JSON.
        entry: A photo's object there; None for none.
    """

    def __init__(
        self,
        progress: Progress,
        out: Store,
        as_json: bool,
        entry: Callable[[Ended], Mapping[str, Any] | None],
    ) -> None:
        self._progress, self._out, self._as_json, self._entry = progress, out, as_json, entry
        self._bar = progress.add_task("photos", total=None)

    def show(self, ended: Sequence[Ended]) -> None:
        """Photos have ended."""
        self._progress.advance(self._bar, len(ended))
        for one in ended:
            if self._as_json:
                if (entry := self._entry(one)) is not None:
                    print_object(entry)
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


def _record_entry(ended: Ended, order: Degrading) -> dict[str, Any] | None:
    """An LR photo's JSON object: as of one machine, and where it was made."""
    from blindsr.cluster.degrading import record_of

    if ended.status == "left_out":
        return None
    record = {key: as_unicode(value) if isinstance(value, str) else value
              for key, value in asdict(record_of(ended, order)).items()}  # fmt: skip
    return {**record, "kind": ended.kind or None, "node": ended.node}


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
