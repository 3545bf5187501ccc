"""A server put together and run until it is told to end."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from typing import TYPE_CHECKING, Any

import uvicorn
from starlette.types import ASGIApp

from blindsr.errors import InputError
from blindsr.server.app import build_app
from blindsr.server.board import Board
from blindsr.server.connection import Connection
from blindsr.server.gate import Gate
from blindsr.server.metrics import Metrics
from blindsr.server.service import Service
from blindsr.server.settings import Settings
from blindsr.server.shelf import Shelf, keep_memory_together
from blindsr.server.store import Store
from blindsr.server.workers import Workers

if TYPE_CHECKING:
    from blindsr.cluster.handing_out import ListeningPool

_GRACE = 5.0
"""Seconds that requests in hand, and then photos, have at the end."""


@contextmanager
def assembled(settings: Settings) -> Iterator[tuple[ASGIApp, Service]]:
    """All parts of a server, at work within the block.

    Args:
        settings: What it is told.

    Yields:
        The ASGI application, and what is behind it.

    Raises:
        InputError: Something that it was told cannot be.
    """
    settings.restoring_memory  # noqa: B018  (too little is better refused now)
    shelf, board, counted = Shelf(settings), Board(), Metrics()
    store = Store(settings.folder, settings.queue, settings.pixels_in_hand)
    with closing(store), ExitStack() as stack:
        workers = _workers(store, shelf, board, counted, settings, stack)
        service = Service(settings, store, shelf, board, workers, counted)
        workers.start()
        stack.callback(workers.stop, _GRACE)
        keep_memory_together()
        threading.Thread(target=_get_ready, daemon=True).start()
        yield Gate(build_app(service), settings, counted), service


def _workers(
    store: Store, shelf: Shelf, board: Board, counted: Metrics, settings: Settings, stack: ExitStack
) -> Workers:
    """What restores: threads of this process, or workers of a cluster, joined until the stack ends."""
    if settings.cluster is None:
        return Workers(store, shelf, board, counted, settings.keep, settings.idle)
    from blindsr.cluster import ray_pool
    from blindsr.server.afar import Afar, Hand

    stack.enter_context(ray_pool.connected(settings.cluster))

    def start(arguments: Mapping[str, Any]) -> ListeningPool:
        return ray_pool.RayPool(arguments, Hand, listening=True)

    return Afar(store, shelf, board, counted, settings, start)


def _get_ready() -> None:
    """Load what reads photos' headers, so that the first request need not wait for it; no model yet."""
    from importlib import import_module

    for module in ("pyvips", "blindsr.picture.decoding", "blindsr.batch.recognition"):
        import_module(module)


def serve(
    settings: Settings,
    on_ready: Callable[[str], None],
    stop: threading.Event | None = None,
    assemble: Callable[[Settings], AbstractContextManager[tuple[ASGIApp, Service]]] = assembled,
) -> None:
    """Serve until a signal comes.

    Args:
        settings: What the server is told.
        on_ready: Called with the address to open, once it can be opened.
        stop: Set by anybody, it ends the server as well.
        assemble: Puts its parts together.

    Raises:
        InputError: Something that it was told cannot be, such as a port that is taken.
    """
    with _listening(settings) as listener, assemble(settings) as (app, _):
        config = uvicorn.Config(
            app,
            http=Connection,
            ws="none",
            lifespan="off",
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=15,
            timeout_graceful_shutdown=int(_GRACE),
        )
        server = _Server(config, lambda: on_ready(address(settings, listener)), stop)
        server.run(sockets=[listener])


class _Server(uvicorn.Server):
    """Tells when it can be reached; ends when it is told to."""

    def __init__(
        self, config: uvicorn.Config, on_ready: Callable[[], None], stop: threading.Event | None
    ) -> None:
        super().__init__(config)
        self._on_ready = on_ready
        if stop is not None:
            threading.Thread(target=self._end_after, args=(stop,), daemon=True).start()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """See `uvicorn.Server`."""
        await super().startup(sockets)
        self._on_ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As of `uvicorn.Server`, which raises the signal once more at the end: too soon for us."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {
            number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _end_after(self, stop: threading.Event) -> None:
        stop.wait()
        self.should_exit = True


def address(settings: Settings, listener: socket.socket) -> str:
    """What to open in a browser; behind the # is what only the page gets to see."""
    port = listener.getsockname()[1]
    host = settings.host if settings.host not in ("", "0.0.0.0", "::") else socket.gethostname()
    token = f"#token={settings.tokens[0]}" if settings.tokens else ""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}{settings.root_path}/{token}"


@contextmanager
def _listening(settings: Settings) -> Iterator[socket.socket]:
    """The port, taken before anything else: one that is taken already is told at once."""
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            settings.host or None, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(place)
    except OSError as error:
        why = error.strerror or str(error)
        raise InputError(
            f"{settings.host}:{settings.port}: cannot listen there ({why}); give another --port or --host"
        ) from error
    with listener:
        yield listener
