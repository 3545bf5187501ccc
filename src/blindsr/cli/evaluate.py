"""`blindsr evaluate`: models against each other on test pictures."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from blindsr.cli.cluster import everywhere, measure_on_cluster
from blindsr.cli.options import (
    MEASURES,
    MODEL,
    RESULT,
    TEST_SETS,
    Device,
    Json,
    Machines,
    Threads,
    Tries,
    Workers,
)
from blindsr.cli.screen import (
    EXIT_SOME_FAILED,
    ended_by_closed_pipe,
    ended_by_signals,
    escape,
    print_object,
    progress_bars,
    say,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from blindsr.cluster.measuring import Measuring
    from blindsr.evaluation.benchmarks import Benchmark
    from blindsr.evaluation.methods import Method
    from blindsr.evaluation.metric_specs import MetricSpec
    from blindsr.evaluation.runner import Cell, Result
    from blindsr.evaluation.summary import Table


def evaluate(
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            metavar="[TITLE=]NAME|PATH",
            help="bicubic, input, a model, or a file: .param, .onnx, .pth, .safetensors; with @int8, "
            "@scale=1 and the like after it; repeatable.",
            rich_help_panel=MODEL,
        ),
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(
            "--data",
            metavar="NAME[=PATH]",
            help="A benchmark below --root, or a folder: HR/ and LR/, HR:LR, or photos; repeatable.",
            rich_help_panel=TEST_SETS,
        ),
    ] = None,
    degradation: Annotated[
        list[str] | None,
        typer.Option(
            "--degrade",
            metavar="TEXT",
            help='Make the LR photos, such as "blur=2.6,noise=15", or as a paper does: cmdsr, dasr-iso, '
            'dasr-aniso, gaussian8, real-esrgan; "" is bicubic, "given" the LR there are. Repeatable.',
            rich_help_panel=TEST_SETS,
        ),
    ] = None,
    out: Annotated[
        Path,
        typer.Option("-o", "--out", help="Folder for cache, tables and the page.", rich_help_panel=RESULT),
    ] = Path("evaluation"),
    root: Annotated[
        Path,
        typer.Option(
            envvar="BLINDSR_DATA",
            help="Folder that the named benchmarks lie below.",
            rich_help_panel=TEST_SETS,
        ),
    ] = Path("data"),
    scale: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            max=16,
            help="Of the test sets; else what each usually has, or 4.",
            rich_help_panel=TEST_SETS,
        ),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="What to measure: psnr, ssim, niqe, lpips, lpips-no-grid, lpips-alex, pyiqa:NAME; "
            "repeatable. Default: psnr, ssim, and what files are given for.",
            rich_help_panel=MEASURES,
        ),
    ] = None,
    niqe: Annotated[
        Path | None,
        typer.Option(
            envvar="BLINDSR_NIQE",
            help="Parameters of NIQE, which needs no ground truth.",
            rich_help_panel=MEASURES,
        ),
    ] = None,
    lpips: Annotated[
        str | None,
        typer.Option(
            metavar="FEATURES:HEADS",
            envvar="BLINDSR_LPIPS",
            help="Files of LPIPS: weights of SqueezeNet, and the linear ones.",
            rich_help_panel=MEASURES,
        ),
    ] = None,
    channel: Annotated[
        str | None,
        typer.Option(
            metavar="y|rgb", help="y or rgb, whatever the benchmark's papers do.", rich_help_panel=MEASURES
        ),
    ] = None,
    border: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, help="Pixels left out along every edge.", rich_help_panel=MEASURES),
    ] = None,
    luma: Annotated[
        bool,
        typer.Option(
            "--luma", help="Luma alone, as the published rows of bicubic were made.", rich_help_panel=MEASURES
        ),
    ] = False,
    device: Device = "auto",
    threads: Threads = None,
    memory: Annotated[
        bool,
        typer.Option(
            "--peak-memory/--no-peak-memory",
            help="Also measure each model's peak memory.",
            rich_help_panel=MEASURES,
        ),
    ] = True,
    crops: Annotated[
        int,
        typer.Option(
            "--shown",
            metavar="N",
            min=0,
            help="Pictures of each set that the page shows.",
            rich_help_panel=RESULT,
        ),
    ] = 2,
    as_json: Json = False,
    cluster: Machines = None,
    workers: Workers = None,
    tries: Tries = 2,
) -> None:
    """Measure models on test sets: a table, and table.md, pictures.csv, results.json, index.html in --out.

    An interrupted run goes on where it ended; what is known is not measured again.
    """
    if cluster is not None:  # a worker takes a core, unless told otherwise
        threads = threads or 1
    if threads is not None:
        # NumPy reads them when it is loaded, which is below; bicubic interpolation is its matrix products.
        for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
            os.environ.setdefault(name, str(threads))
    from blindsr.errors import InputError
    from blindsr.evaluation.crops import CropFolder
    from blindsr.evaluation.methods import find_method
    from blindsr.evaluation.metric_specs import find_metric_specs, metric_specs_from
    from blindsr.evaluation.page import page_of
    from blindsr.evaluation.peak_memory import peak_memory
    from blindsr.evaluation.result_cache import ResultCache
    from blindsr.evaluation.runner import cells_of, evaluate
    from blindsr.evaluation.summary import as_csv, as_markdown, as_objects, tables_of, write_text
    from blindsr.evaluation.summary import as_json as document_of
    from blindsr.system.files import refuse_overwriting

    if not model:
        raise InputError("no model given: name one --model or more, such as --model bicubic --model cmdsr-x4")
    if not data:
        raise InputError(
            "no test set given: name one --data or more, such as --data Set5 or --data NAME=PATH"
        )
    files = None if lpips is None else _files_of_lpips(lpips)
    known = metric_specs_from(niqe, files, device if device in ("cuda", "mps") else "cpu")
    specs = find_metric_specs(metric or list(known), known)
    methods = [find_method(text, device, threads) for text in model]
    benchmarks = [_benchmark(text, root, scale, degradation is not None) for text in data]
    names = [benchmark.name for benchmark in benchmarks]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"two test sets are called {name}; rename one: NAME=PATH")
    benchmarks = [_under(benchmark, channel, border, luma) for benchmark in benchmarks]
    for benchmark, text in zip(benchmarks, data, strict=True):
        _say_what_is_missing(benchmark, text, specs)
    cells = [cell for benchmark in benchmarks for cell in cells_of(benchmark, degradation or [])]
    writes = [
        out / name for name in ("records.jsonl", "table.md", "pictures.csv", "results.json", "index.html")
    ]
    refuse_overwriting(writes, _read_by(benchmarks, model, niqe, files))
    cache = ResultCache(writes[0])
    crop_folder = CropFolder(out / "crops", crops) if crops else None
    errors: list[Result] = []
    total = len(methods) * sum(len(cell.benchmark.samples) for cell in cells)
    with (
        ended_by_closed_pipe(),
        ended_by_signals(lambda: "interrupted: give the command again to go on") as end,
    ):
        with progress_bars() as progress:
            bar = progress.add_task("evaluating", total=total)

            def show(result: Result) -> None:
                progress.update(bar, advance=1, description=escape(f"{result.benchmark} {result.sample}"))
                if result.error:
                    errors.append(result)

            stop = end.graceful_stop()
            failed = None
            if cluster is not None:
                order = _order(methods, model, cells, specs, niqe, files, device, threads, crops, tries)
                failed = measure_on_cluster(order, cache, crop_folder, cluster, workers, progress, stop)
            results = evaluate(methods, cells, specs, cache, crop_folder, show, stop, failed)
            taken: dict[str, int] = {}
            able = {result.method for result in results if not result.error}
            for text, method in zip(model, methods, strict=True):
                if stop.is_set() or not memory or method.title not in able:
                    continue
                progress.update(bar, description=escape(f"memory of {method.title}"))
                found = peak_memory(text, method, device, threads, cache)
                if found is not None:
                    taken[method.title] = found
        if stop.is_set():
            return
        tables = tables_of(results, cells, specs, taken)
        texts = (
            as_markdown(tables) + "\n", as_csv(results, specs), document_of(results, tables),
            page_of(tables, crop_folder),
        )  # fmt: skip
        for path, text in zip(writes[1:], texts, strict=True):
            write_text(path, text)
        if as_json:
            for entry in as_objects(tables):
                print_object(entry)
        else:
            for table in tables:
                _print(table)
    if not any(table.methods for table in tables):
        raise InputError("no model has the scale of any test set")
    if errors:
        raise typer.Exit(EXIT_SOME_FAILED)


def _order(
    methods: Sequence[Method],
    texts: Sequence[str],
    cells: Sequence[Cell],
    specs: Sequence[MetricSpec],
    niqe: Path | None,
    lpips: tuple[Path, Path] | None,
    device: str,
    threads: int | None,
    crops: int,
    tries: int,
) -> Measuring:
    """What workers are to measure, with the files' whole names."""
    from blindsr.cluster.measuring import Measuring
    from blindsr.engine.opening import read_request
    from blindsr.evaluation.methods import split_title

    named = []
    for method, text in zip(methods, texts, strict=True):
        written = split_title(text)[1]
        model = read_request(written).model
        named.append((method.title, everywhere(model) + written.removeprefix(model)))
    return Measuring(
        cells=tuple(map(_everywhere, cells)),
        methods=tuple(named),
        metrics=tuple(spec.name for spec in specs),
        niqe=None if niqe is None else niqe.absolute(),
        lpips=None if lpips is None else (lpips[0].absolute(), lpips[1].absolute()),
        device=device,
        threads=threads or 1,
        crops=crops,
        tries=tries,
    )


def _everywhere(cell: Cell) -> Cell:
    """A cell whose files have their whole names."""
    from dataclasses import replace

    samples = [
        replace(
            one,
            hr=None if one.hr is None else one.hr.absolute(),
            lr=None if one.lr is None else one.lr.absolute(),
        )
        for one in cell.benchmark.samples
    ]
    return replace(cell, benchmark=replace(cell.benchmark, samples=samples))


def _benchmark(text: str, root: Path, scale: int | None, degraded: bool) -> Benchmark:
    """A test set as it is written on the command line."""
    from blindsr.evaluation.benchmarks import find_benchmark, folder_benchmark

    name, equals, places = text.partition("=")
    if equals:
        return folder_benchmark(name, places, scale or 4, degraded)
    return find_benchmark(name, root, scale)


def _read_by(
    benchmarks: Sequence[Benchmark],
    models: Sequence[str],
    niqe: Path | None,
    lpips: tuple[Path, Path] | None,
) -> list[Path]:
    """The files that an evaluation reads."""
    from blindsr.engine.opening import read_request
    from blindsr.evaluation.methods import split_title

    pictures = [side for one in benchmarks for sample in one.samples for side in (sample.hr, sample.lr)]
    named = [Path(read_request(split_title(text)[1]).model).expanduser() for text in models]
    return [path for path in (*pictures, *named, niqe, *(lpips or ())) if path is not None]


def _files_of_lpips(text: str) -> tuple[Path, Path]:
    """The two files as they are written on the command line."""
    from blindsr.errors import InputError

    features, separator, heads = text.partition(os.pathsep)
    if not (separator and heads):
        raise InputError(f"--lpips {text}: give two files, FEATURES{os.pathsep}HEADS")
    return Path(features).expanduser(), Path(heads).expanduser()


def _say_what_is_missing(benchmark: Benchmark, text: str, specs: Sequence[MetricSpec]) -> None:
    """Say in one line why a test set without ground truth will have no values of some metrics."""
    from blindsr.evaluation.benchmarks import pairs_below

    lost = [spec.name for spec in specs if spec.needs_truth]
    if benchmark.has_truth or not lost:
        return
    _, equals, place = text.partition("=")
    below = pairs_below(Path(place).expanduser()) if equals and os.pathsep not in place else None
    if below is not None:
        advice = f"there are pairs in {below}: give that folder"
    elif len(lost) < len(specs):
        advice = "they are left out"
    else:
        advice = (
            "give HR/ and LR/ in it or HR:LR, --degrade to take its photos as ground truth, or --niqe FILE"
        )
    console = Console(stderr=True)
    say(console, escape(f"{benchmark.name}: no ground truth, which {' and '.join(lost)} need; {advice}"))


def _under(benchmark: Benchmark, channel: str | None, border: int | None, luma: bool) -> Benchmark:
    """The test set under the convention that was asked for."""
    from dataclasses import replace

    from blindsr.errors import InputError

    convention = benchmark.convention
    if channel is not None:
        if channel not in ("y", "rgb"):
            raise InputError(f"--channel {channel}: give y or rgb")
        convention = replace(convention, channel="y" if channel == "y" else "rgb")
    if border is not None:
        convention = replace(convention, border=border)
    return replace(benchmark, convention=replace(convention, luma=luma))


def _print(table: Table) -> None:
    """A benchmark's means on the terminal."""
    from rich.markup import escape as markup
    from rich.table import Table as Grid

    from blindsr.evaluation.summary import costs, written

    console = Console()
    names = " / ".join(spec.title for spec in table.specs)
    say(console, f"[bold]{markup(table.benchmark)} x{table.scale}[/]: {names} ({table.convention})")
    grid = Grid("degradation", *map(markup, table.methods), box=None, pad_edge=False)
    rows = dict(table.rows)
    if len(rows) > 1:
        rows["mean"] = table.total()
    for title, row in rows.items():
        cells = [written(table, row, name, ("[bold]", "[/]")) for name in table.methods]
        grid.add_row(markup(title), *cells)
    for title, values in costs(table).items():
        grid.add_row(title, *values, style="dim")
    # On a pipe or a narrow terminal a value must stay whole.
    wide = Console(width=None if console.is_terminal else 1000)
    wide.print(grid)
    say(console, "")
