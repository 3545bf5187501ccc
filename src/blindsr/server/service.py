"""Everything that requests need, and how each of them finds it and who sent it."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from anyio import CapacityLimiter
from fastapi import Request

from blindsr.server.board import Board
from blindsr.server.metrics import Metrics
from blindsr.server.problems import ProblemError
from blindsr.server.settings import Settings
from blindsr.server.shelf import Shelf
from blindsr.server.store import Store
from blindsr.server.workers import Workers


@dataclass
class Service:
    """Everything that requests need.

    Args:
        settings: What the server was told.
        store: The jobs.
        shelf: The models.
        board: Where changes are posted.
        workers: The threads.
        metrics: What is counted.

    Attributes:
        in_turn: So many forms are taken in at once, in the order in which they came; at a lock, threads have
            no order. It belongs to one event loop, as its server does.
    """

    settings: Settings
    store: Store
    shelf: Shelf
    board: Board
    workers: Workers
    metrics: Metrics
    in_turn: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(3))
    _keys: set[tuple[str, str, str]] = field(default_factory=set)
    _mutex: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def key(self, kind: str, client: str, key: str | None) -> Any:  # noqa: ANN401
        """Hold a request's name, so that it is not taken in twice at once."""
        if key is None:
            yield
            return
        name = kind, client, key
        with self._mutex:
            if name in self._keys:
                raise ProblemError(
                    409, "a request of this Idempotency-Key is being taken in; wait, and ask again"
                )
            self._keys.add(name)
        try:
            yield
        finally:
            with self._mutex:
                self._keys.discard(name)


def service_of(request: Request) -> Service:
    """What the application was built with."""
    return cast(Service, request.app.state.service)


def caller(request: Request) -> str:
    """Who sends a request, as the gate found out."""
    return str(request.scope["state"]["client"])
