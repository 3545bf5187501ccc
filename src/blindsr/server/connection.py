"""Connections that do not wait for ever: uvicorn waits for a request's head as long as it takes."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 15.0
"""Within which the head of a request must have come."""

MOST_CONNECTIONS = 1000
"""Open at once; a further one is closed."""


class Connection(H11Protocol):
    """An HTTP/1.1 connection whose requests must begin, and their heads end, within some time."""

    def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401  (uvicorn's own)
        super().__init__(*args, **options)
        self.app_state = {**self.app_state, "abort": self._abort}  # what requests have in scope["state"]
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Somebody has come."""
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            transport.close()
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Something was sent, maybe not yet a whole head."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """An answer was sent; of the next request something may have come already."""
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended."""
        self._unwatch()
        super().connection_lost(exc)

    def _abort(self) -> None:
        """End it at once, whatever is still to be sent."""
        self.transport.abort()

    def _watch(self) -> None:
        """Time runs as long as a head is due; what comes of it meanwhile does not set it back."""
        if self.conn.their_state is not h11.IDLE:
            self._unwatch()
        elif self._deadline is None and not self.transport.is_closing():
            self._deadline = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _unwatch(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
