"""`blindsr upscale`: restore and enlarge photos."""

from __future__ import annotations

import re
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from blindsr.cli.cluster import everywhere, refuse_urls, upscale_on_cluster
from blindsr.cli.options import (
    MANY,
    MODEL,
    RESULT,
    SIZE,
    SPEED,
    Cluster,
    Device,
    Json,
    MemoryBound,
    ModelName,
    Threads,
    TimeLimit,
    Tries,
    Workers,
)
from blindsr.cli.screen import (
    EXIT_SOME_FAILED,
    as_unicode,
    ended_by_closed_pipe,
    ended_by_signals,
    file_entry,
    name,
    named_path,
    named_place,
    print_error,
    print_object,
    print_warning,
    progress_bars,
    report_entry,
    say,
)
from blindsr.cli.streams import STREAM, restore_stream
from blindsr.errors import BlindSRError, InputError

if TYPE_CHECKING:
    from rich.progress import Progress

    from blindsr.batch.plan import Plan
    from blindsr.batch.stages import Existing, Outcome, Task
    from blindsr.comparison import ComparisonPage
    from blindsr.engine.opening import Request

BY_CAMERA = Path("by-camera")
"""What `--profile` says for one profile a camera."""


def upscale(
    inputs: Annotated[
        list[Any],
        typer.Argument(
            metavar="INPUT",
            parser=named_place,
            help='Photos, folders of them, or quoted patterns: "scans/**/*.tif"; - is stdin.',
        ),
    ],
    out: Annotated[  # noqa: ANN401  (a path, or a URL's text)
        Any,
        typer.Option(
            "-o",
            "--out",
            metavar="PATH",
            parser=named_place,
            help="A file (for one photo), a folder, or - for stdout; else beside the photo.",
            rich_help_panel=RESULT,
        ),
    ] = None,
    model: ModelName = None,
    model_scale: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            max=16,
            help="What the model enlarges by, where its file does not tell.",
            rich_help_panel=MODEL,
        ),
    ] = None,
    scale: Annotated[
        float | None,
        typer.Option(
            metavar="X", help="Times as large, such as 2.5; else as the model makes it.", rich_help_panel=SIZE
        ),
    ] = None,
    width: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Width of the result in pixels; the height follows.", rich_help_panel=SIZE
        ),
    ] = None,
    height: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Height of the result in pixels; the width follows.", rich_help_panel=SIZE
        ),
    ] = None,
    fit: Annotated[
        str | None,
        typer.Option(
            metavar="WxH", help="Box that the result must fit, such as 3840x2160.", rich_help_panel=SIZE
        ),
    ] = None,
    print_size: Annotated[
        str | None,
        typer.Option(
            "--print",
            metavar="SIZE@DPI",
            help="Size of a print and its resolution: 30cm@300dpi for the longer side, or 30x20cm@300dpi.",
            rich_help_panel=SIZE,
        ),
    ] = None,
    support: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            readable=False,
            help="Photos of the same degradation to adapt to, instead of to each photo itself; the default "
            "model is then the one that adapts.",
            rich_help_panel=MODEL,
        ),
    ] = None,
    profile: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            readable=False,
            help='A camera\'s profile, as "blindsr adapt" makes it; or by-camera with --cluster.',
            rich_help_panel=MODEL,
        ),
    ] = None,
    texture: Annotated[
        float | None,
        typer.Option(
            metavar="0..1",
            help="Texture that the model adds: from 0, what is certain, to 1, the sharpest; else its own.",
            rich_help_panel=MODEL,
        ),
    ] = None,
    mask: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            parser=named_path,
            help="Gray picture of where the texture goes: white all of it, black none.",
            rich_help_panel=MODEL,
        ),
    ] = None,
    format_: Annotated[
        str | None,
        typer.Option(
            "-f",
            "--format",
            metavar="NAME",
            help="png, jpeg, webp, tiff, avif, jxl, bmp or gif; else the photo's own.",
            rich_help_panel=RESULT,
        ),
    ] = None,
    quality: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            max=100,
            help="Quality of a JPEG, WebP, AVIF or JPEG XL result; of the last, 100 loses nothing.",
            rich_help_panel=RESULT,
        ),
    ] = None,
    tile: Annotated[
        str,
        typer.Option(
            metavar="auto|N", help="Side of a tile in pixels; less takes less memory.", rich_help_panel=SPEED
        ),
    ] = "auto",
    memory: MemoryBound = None,
    max_pixels: Annotated[
        str | None,
        typer.Option(
            metavar="N", help="Largest photo to read, such as 500M pixels; else 134M.", rich_help_panel=SPEED
        ),
    ] = None,
    device: Device = "auto",
    precision: Annotated[
        str,
        typer.Option(
            metavar="auto|fp32|int8",
            help="8 bit on CPUs where that is faster, or as you say.",
            rich_help_panel=MODEL,
        ),
    ] = "auto",
    recursive: Annotated[
        bool,
        typer.Option(
            "--recursive/--no-recursive", "-r", help="Walk the folders below as well.", rich_help_panel=MANY
        ),
    ] = True,
    skip_existing: Annotated[
        bool,
        typer.Option(
            "--skip-existing", help="Leave every result that is there already.", rich_help_panel=MANY
        ),
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Redo every photo, including finished ones.", rich_help_panel=MANY),
    ] = False,
    name: Annotated[
        str | None,
        typer.Option(
            metavar="PATTERN",
            help='Names of results: "{stem}_{model}_{width}"; also {suffix}, {parent}, {label}, {height}.',
            rich_help_panel=RESULT,
        ),
    ] = None,
    keep_date: Annotated[
        bool,
        typer.Option("--keep-date", help="Give each result its photo's date.", rich_help_panel=RESULT),
    ] = False,
    mark: Annotated[
        bool,
        typer.Option(
            help="Say in each result's XMP how it was made, and know it again.", rich_help_panel=RESULT
        ),
    ] = True,
    damaged: Annotated[
        bool,
        typer.Option(
            "--damaged", help="Restore what can be read of damaged photos, too.", rich_help_panel=MANY
        ),
    ] = False,
    compare: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.html",
            help="Write a page with before and after of every photo.",
            rich_help_panel=RESULT,
        ),
    ] = None,
    as_json: Json = False,
    threads: Threads = None,
    cluster: Cluster = None,
    workers: Workers = None,
    time_limit: TimeLimit = 600.0,
    tries: Tries = 2,
) -> None:
    """Restore and enlarge photos.

    A run that was interrupted goes on where it ended when the same command is given again.
    """
    plan: Plan | None = None
    with (
        ended_by_signals(lambda: "interrupted" + _resumption(plan, overwrite, "does the rest")) as signals,
        ended_by_closed_pipe(),
    ):
        from blindsr.batch.asked import read_format, read_size
        from blindsr.batch.naming import NamePattern
        from blindsr.batch.plan import Plan, find_photos, plan_batch
        from blindsr.batch.recognition import describe
        from blindsr.batch.run import run_batch
        from blindsr.cluster.order import MEMORY
        from blindsr.cluster.restoring import Restoring
        from blindsr.engine.opening import load_model, read_request
        from blindsr.models.catalogue import ADAPTING_MODEL, DEFAULT_MODEL
        from blindsr.picture import MAX_PIXELS
        from blindsr.system.files import refuse_overwriting
        from blindsr.upscaling.upscaler import Upscaler

        size, dpi = read_size(scale, width, height, fit, print_size)
        format_ = read_format(format_, quality, out if isinstance(out, Path) else None)
        existing = _existing(skip_existing, overwrite)
        if support is not None and profile is not None:
            raise InputError("--support and --profile: give only one of them")
        by_camera = profile == BY_CAMERA
        if cluster is None:
            _check_places(inputs, out, by_camera)
        if by_camera:
            profile, model = None, model or ADAPTING_MODEL
        if model is None:
            model = DEFAULT_MODEL if support is None and profile is None else ADAPTING_MODEL
        request = _asked(read_request(model), model_scale, texture, precision)
        tile_side = int(tile) if re.fullmatch(r"[0-9]{1,9}", tile) else tile[:40]
        if cluster is not None:
            _check_cluster(inputs, out, compare)
            order = Restoring(
                model=everywhere(request.model),
                model_scale=request.scale,
                device=device,
                tile=tile_side,
                threads=threads or 1,
                memory=memory or MEMORY,
                max_pixels=None if max_pixels is None else pixels_of(max_pixels),
                texture=request.texture,
                precision=request.precision,
                damaged=damaged,
                size=size,
                dpi=dpi,
                quality=quality,
                format_=format_,
                name=name,
                keep_date=keep_date,
                mark=mark,
                by_camera=by_camera,
                existing=existing,
                seconds=time_limit,
                tries=tries,
            )
            upscale_on_cluster(
                [*map(str, inputs)], str(out), order, cluster, workers, recursive, as_json, signals,
                mask=mask, profile=profile, support=support,
            )  # fmt: skip
            return
        upscaler = Upscaler(
            load_model(request.model, scale=request.scale),
            device=device,
            tile=tile_side,
            threads=threads,
            memory=memory,
            max_pixels=MAX_PIXELS if max_pixels is None else pixels_of(max_pixels),
            texture=request.texture,
            precision=request.precision,
            damaged=damaged,
        )
        label = f"x{upscaler.model.scale}" if size is None else size.label
        stream = STREAM in inputs or out == STREAM
        if stream:
            _check_stream(inputs, out, as_json, compare is not None or name is not None or keep_date)
            plan = Plan([], None)
        else:
            plan = plan_batch(
                inputs,
                out,
                label=label,
                format_=format_,
                quality=quality,
                recursive=recursive,
                name=None
                if name is None
                else NamePattern(name, upscaler.model.name, label, upscaler.size_of(size)),
            )
        results = [task.target for task in plan.tasks if not task.fault]
        earlier = [] if out in results else results  # -o may name a photo, made-up names are of earlier runs
        alike = [] if support is None else find_photos([support], results=earlier)
        named = [file for file in (profile, mask) if file is not None]
        read = [*alike, *named, *upscaler.model.reads]
        refuse_overwriting(results, read)
        if compare is not None:
            photos = [task.source for task in plan.tasks]
            refuse_overwriting([compare], [*photos, *read], "give another --compare")
        placed = None if mask is None else upscaler.mask(mask)
        adaptation = None
        if support is not None:
            adaptation = upscaler.adapt(alike)
        elif profile is not None:
            from blindsr.upscaling.profile import read_profile

            adaptation = read_profile(profile, upscaler.model)
        if stream:
            restore = partial(
                upscaler.upscale_file,
                support=adaptation,
                size=size,
                quality=quality,
                dpi=dpi,
                mask=placed,
                mark=mark,
            )
            restore_stream(restore, inputs[0], out or STREAM, format_)
            return
        if plan.others and not as_json:
            print_warning(describe(plan.others))
        with (
            _comparison(compare) as page,
            progress_bars(shown=not (as_json and sys.stdout.isatty())) as progress,
        ):
            report = _Report(progress, plan, as_json, page)
            run_batch(
                plan,
                upscaler,
                adaptation=adaptation,
                size=size,
                quality=quality,
                existing=existing,
                dpi=dpi,
                keep_date=keep_date,
                mask=placed,
                mark=mark,
                on_photo=report.show_photo,
                on_tile=report.show_tile,
                stop=signals.graceful_stop(),
            )
        report.sum_up(interrupted=bool(signals.caught))
    failed, skipped = report.counts["failed"], report.counts["skipped"]
    if (failed or skipped) and not as_json:
        tail = _resumption(plan, overwrite, "tries only those again") if failed else ""
        typer.echo(f"{report.counts['done']} done, {skipped} skipped, {failed} failed{tail}", err=True)
    if failed:
        raise typer.Exit(EXIT_SOME_FAILED)


def _asked(request: Request, scale: int | None, texture: float | None, precision: str) -> Request:
    """What is asked for after the model's name, and by options; both of one thing contradict each other."""
    chosen = None if precision == "auto" else precision
    written = None if request.precision == "auto" else request.precision
    for option, one, other in (
        ("--model-scale", scale, request.scale),
        ("--texture", texture, request.texture),
        ("--precision", chosen, written),
    ):
        if one is not None and other is not None:
            raise InputError(f"{option} and @{request.settings}: give only one of them")
    return replace(
        request,
        scale=request.scale if scale is None else scale,
        texture=request.texture if texture is None else texture,
        precision=chosen or request.precision,
    )


class _Report:
    """Tells of each photo as it ends, by lines on stderr or JSON on stdout, and shows how far the batch is.

    Args:
        progress: Where the bars are.
        plan: What is to be done.
        as_json: Whether to print JSON instead of lines for people.
        page: Gets every photo that is done, or was before.
    """

    def __init__(
        self, progress: Progress, plan: Plan, as_json: bool, page: ComparisonPage | None = None
    ) -> None:
        self._page = page
        self.counts: Counter[str] = Counter()
        self._start = time.perf_counter()
        self._progress = progress
        self._as_json = as_json
        self._planned = self._total = len(plan.tasks)
        self._others = {as_unicode(suffix): count for suffix, count in plan.others.items()}
        self._restored = 0  # photos that the network is through with, or will never see
        self._being_written: set[Task] = set()
        self._photos = progress.add_task("", total=self._total)
        self._tiles = progress.add_task("  tiles", total=None, visible=False)

    def show_tile(self, task: Task, done: int, total: int) -> None:
        """A photo's tile is restored: the bars move on, that of the photos by a part of one."""
        if done == total:
            self._restored += 1
            self._being_written.add(task)
        self._progress.update(
            self._photos,
            description=name(Path(task.source.name)),
            completed=self._restored + (done / total if done < total else 0),
        )
        self._progress.update(self._tiles, completed=done, total=total, visible=total > 1)

    def show_photo(self, outcome: Outcome) -> None:
        """A photo has ended."""
        self.counts[outcome.status] += 1
        if outcome.status == "skipped":  # that took no time, and must not count in what is left
            self._total -= 1
        elif outcome.task in self._being_written:
            self._being_written.remove(outcome.task)
        else:
            self._restored += 1
        self._progress.update(self._photos, completed=self._restored, total=self._total)
        self._show_on_page(outcome)
        if self._as_json:
            print_object(_entry(outcome))
        elif outcome.error is not None:
            print_error(outcome.error)
        elif outcome.status == "done":
            say(self._progress.console, f"{name(outcome.task.source)} -> {name(outcome.task.target)}")
            if outcome.report is not None and outcome.report.warning:
                print_warning(f"{outcome.task.source}: {outcome.report.warning}")

    def _show_on_page(self, outcome: Outcome) -> None:
        """Before and after; a page that cannot be written must not end the batch."""
        if self._page is None:
            return
        try:
            if outcome.status == "failed":
                self._page.leave_out(outcome.task.source, str(outcome.error))
            else:
                self._page.add(outcome.task.source, outcome.task.target)
        except BlindSRError as error:
            print_error(error)
            self._page = None

    def sum_up(self, interrupted: bool) -> None:
        """The last JSON object."""
        if self._as_json:
            counts = {status: self.counts[status] for status in ("done", "skipped", "failed")}
            left = self._planned - sum(counts.values())
            seconds = round(time.perf_counter() - self._start, 3)
            summary = {
                **counts,
                "left": left,
                "left_out": dict(self._others),
                "interrupted": interrupted,
                "seconds": seconds,
            }
            print_object({"summary": summary})


def _entry(outcome: Outcome) -> dict[str, object]:
    """A photo's JSON object."""
    return {
        **file_entry("source", outcome.task.source),
        **file_entry("target", outcome.task.target),
        "status": outcome.status,
        "error": None if outcome.error is None else as_unicode(str(outcome.error)),
        "input_size": outcome.input_size,
        "output_size": outcome.output_size,
        **({} if outcome.report is None else report_entry(outcome.report.as_dict())),
        "seconds": {stage: round(seconds, 4) for stage, seconds in outcome.seconds.items()},
    }


def _resumption(plan: Plan | None, overwrite: bool, what: str) -> str:
    """What giving the command again would do, if there is a journal to go on from."""
    from blindsr.batch.journal import JOURNAL

    if plan is None or len(plan.tasks) < 2 or plan.root is None or not (plan.root / JOURNAL).exists():
        return ""
    return f"; the same command{' without --overwrite' if overwrite else ''} {what}"


@contextmanager
def _comparison(path: Path | None) -> Iterator[ComparisonPage | None]:
    """The page that --compare asks for."""
    if path is None:
        yield None
        return
    from blindsr.comparison import ComparisonPage

    if path.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"--compare {path}: the page is an HTML file; name it such as compare.html")
    with ComparisonPage(path) as page:
        yield page


def pixels_of(text: str) -> int:
    """A number of pixels such as "500M".

    Raises:
        InputError: The text is no such number.
    """
    from blindsr.system.memory import NUMBER

    match = re.fullmatch(rf"({NUMBER})([KMG]?)", text, re.ASCII | re.IGNORECASE)
    count = (
        0 if match is None else int(float(match[1]) * {"": 1, "K": 1e3, "M": 1e6, "G": 1e9}[match[2].upper()])
    )
    if count < 1:
        raise InputError(f"--max-pixels {text[:40]!r}: give a number of pixels, such as 500M")
    return count


def _existing(skip_existing: bool, overwrite: bool) -> Existing:
    """What the two options say of results that are there already."""
    if skip_existing and overwrite:
        raise InputError("--skip-existing and --overwrite: give only one of them")
    return "skip" if skip_existing else "overwrite" if overwrite else "resume"


def _check_places(inputs: Sequence[Path | str], out: Path | str | None, by_camera: bool) -> None:
    """Refuse what only a cluster knows."""
    refuse_urls(*inputs, out)
    if by_camera:
        raise InputError(
            "--profile by-camera: sorts photos by their cameras with --cluster only; give that, or the"
            ' profile that "blindsr adapt" makes (./by-camera for a file of this name)'
        )


def _check_cluster(inputs: Sequence[Path | str], out: Path | str | None, compare: Path | None) -> None:
    """Refuse what a cluster does not do."""
    if STREAM in inputs or out == STREAM:
        raise InputError("-: stdin and stdout belong to this machine alone; leave --cluster out")
    if out is None:
        raise InputError("--cluster: name the place of the results by -o; none is put beside its photo")
    if compare is not None:
        raise InputError("--compare: shows the photos of one machine; leave it out, or --cluster")


def _check_stream(inputs: list[Path], out: Path | None, as_json: bool, others: bool) -> None:
    """A photo from stdin or to stdout is one photo, and stdout belongs to it."""
    if len(inputs) != 1 or inputs[0].is_dir():
        raise InputError("-: stdin and stdout hold one photo; give one input")
    if (out is None or out == STREAM) and as_json:
        raise InputError("--json and -o -: both would go to stdout; give -o a file")
    if others:
        raise InputError("-: takes neither --name nor --keep-date nor --compare; leave them out")
