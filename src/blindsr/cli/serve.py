"""`blindsr serve`: the page and the HTTP API."""

from __future__ import annotations

import secrets
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from blindsr.cli.options import MODEL, Json, Machines, MemoryBound, Threads, Workers
from blindsr.cli.screen import extra, print_line, print_object, print_warning
from blindsr.errors import InputError

if TYPE_CHECKING:
    from blindsr.server.settings import Settings
    from blindsr.system.memory import Memory

LISTEN, WHO, LIMITS = "Where it listens", "Who may use it", "Limits"
"""Panels of `--help`."""

_GENERATED = "generated"
_SHORT = 16  # characters: a shorter token is soon guessed


def serve(
    host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS", help="Address to listen at; 0.0.0.0 is all of them.", rich_help_panel=LISTEN
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option(metavar="N", min=0, max=65535, help="Port; 0 takes a free one.", rich_help_panel=LISTEN),
    ] = 8000,
    root_path: Annotated[
        str,
        typer.Option(
            metavar="PATH", help="What a proxy puts before every path: /photos.", rich_help_panel=LISTEN
        ),
    ] = "",
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Name that browsers may call it by; several times.", rich_help_panel=LISTEN
        ),
    ] = None,
    no_page: Annotated[
        bool, typer.Option("--no-page", help="The API alone, without the page.", rich_help_panel=LISTEN)
    ] = False,
    token: Annotated[
        list[str] | None,
        typer.Option(
            envvar="BLINDSR_TOKEN",
            metavar="TOKEN|generated",
            help="What clients must show; several times for several clients. Beyond this machine one is "
            "needed, and generated if none is given.",
            rich_help_panel=WHO,
        ),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File with tokens, one a line.", rich_help_panel=WHO),
    ] = None,
    metrics_token: Annotated[
        str | None,
        typer.Option(
            envvar="BLINDSR_METRICS_TOKEN",
            metavar="TOKEN",
            help="What opens /metrics, instead of a client's token.",
            rich_help_panel=WHO,
        ),
    ] = None,
    models: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="A model to serve; several times. Else all.", rich_help_panel=MODEL
        ),
    ] = None,
    idle: Annotated[
        str,
        typer.Option(metavar="TIME", help="After it an unused model leaves memory.", rich_help_panel=MODEL),
    ] = "5m",
    max_pixels: Annotated[
        str | None,
        typer.Option(
            metavar="N", help="Largest photo to read, such as 500M pixels; else 134M.", rich_help_panel=LIMITS
        ),
    ] = None,
    max_upload: Annotated[
        str, typer.Option(metavar="SIZE", help="Largest request to take.", rich_help_panel=LIMITS)
    ] = "512M",
    queue: Annotated[
        int,
        typer.Option(
            metavar="N", min=1, max=100_000, help="Photos of a client that may wait.", rich_help_panel=LIMITS
        ),
    ] = 200,
    keep: Annotated[
        str, typer.Option(metavar="TIME", help="How long results are kept.", rich_help_panel=LIMITS)
    ] = "24h",
    folder: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH", help="Where jobs are kept; else in your own data folder.", rich_help_panel=LIMITS
        ),
    ] = None,
    memory: MemoryBound = None,
    threads: Threads = None,
    as_json: Json = False,
    cluster: Machines = None,
    workers: Workers = None,
) -> None:
    """Serve a page and an HTTP API that restore photos, for this machine or others.

    What waits or runs when it is ended, in whatever way, goes on when it is started again.
    """
    from blindsr.cli.upscale import pixels_of
    from blindsr.server.settings import Settings, is_loopback, read_duration, read_root_path
    from blindsr.system.memory import read_bytes

    tokens = _tokens(token, token_file)
    if not tokens and not is_loopback(host):
        tokens = (secrets.token_urlsafe(24),)
    settings = Settings(
        folder=folder or _own_folder(),
        host=host,
        port=port,
        tokens=tokens,
        metrics_token=metrics_token or None,
        models=tuple(models or ()),
        hosts=tuple(allow_host or ()),
        root_path=read_root_path(root_path),
        page=not no_page,
        max_upload=read_bytes(max_upload, "--max-upload"),
        queue=queue,
        memory=_bound(memory, cluster is not None),
        threads=threads,
        keep=read_duration(keep, "--keep"),
        idle=read_duration(idle, "--idle"),
        cluster=cluster,
        workers=workers,
    )
    if max_pixels is not None:
        settings = replace(settings, max_pixels=pixels_of(max_pixels))
    for one in (*tokens, *filter(None, [metrics_token])):
        if len(one) < _SHORT:
            print_warning(
                f"a token of {len(one)} characters is soon guessed; give {_SHORT}, or --token generated"
            )
            break
    _serve(settings, as_json)


def _serve(settings: Settings, as_json: bool) -> None:
    with extra("serving", "serve"):
        from blindsr.server.running import serve as run

    run(settings, (lambda address: print_object({"address": address})) if as_json else print_line)


def _bound(asked: str | None, on_cluster: bool) -> Memory | None:
    """What is asked for; else what a worker of any cluster has, or a safe share of what is free here.

    That share is taken once and for all; None where it is less than a server needs.
    """
    from blindsr.cluster.order import MEMORY
    from blindsr.server.settings import SERVER_MEMORY
    from blindsr.system.memory import SMALLEST, Memory

    if asked is not None or on_cluster:
        return Memory.parse(asked or MEMORY)
    share = Memory.safe_share()
    return share if share.total >= SMALLEST + SERVER_MEMORY else None


def _tokens(given: list[str] | None, file: Path | None) -> tuple[str, ...]:
    """All tokens, each once."""
    found = [secrets.token_urlsafe(24) if one == _GENERATED else one for one in given or ()]
    if file is not None:
        from blindsr.system.files import read_whole

        try:
            text = read_whole(file).decode()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "not UTF-8"
            raise InputError(f"--token-file {file}: cannot be read ({why})") from error
        found += [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
        if not found:
            raise InputError(f"--token-file {file}: holds no token; write one a line")
    for one in found:
        if not one.isascii() or not one.isprintable() or " " in one or not one:
            raise InputError("--token: give letters, digits and signs of ASCII, without spaces")
    return tuple(dict.fromkeys(found))


def _own_folder() -> Path:
    from blindsr.system.folders import user_folder

    own = user_folder("data")
    if own is None:
        raise InputError("no folder for jobs: there is no home; name one by --folder")
    return own / "server"
