"""What becomes of a job, told as it happens: server-sent events, which end with the job."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from anyio import sleep, to_thread

from blindsr.server.board import Board, Progress
from blindsr.server.store import ENDED

HEARTBEAT = 15.0
"""Seconds of silence after which a line that means nothing tells that the connection lives."""

LONGEST = 3600.0
"""Seconds after which a stream ends in any case; a browser then opens the next one by itself."""

_BREATH = 0.1
"""Seconds between two looks: of many tiles at once only the last is told."""

Look = Callable[[], "dict[str, Any] | None"]


async def tell(look: Look, board: Board, job: str) -> AsyncIterator[str]:
    """The events of a job from now on; the first tells how it is.

    Args:
        look: Gives the job as the API shows it; None once it is forgotten.
        board: Where changes are posted.
        job: Its id.
    """
    end = time.monotonic() + LONGEST
    yield "retry: 1000\n\n"
    with board.listen(job) as listener:
        before: dict[str, Any] = {}
        while True:
            shown = await to_thread.run_sync(look)
            for event in _changes(before, shown, listener.heard(), job):
                yield event
            if shown is None or shown["status"] in ENDED or time.monotonic() > end:
                return
            before = shown
            while not await listener.wait(HEARTBEAT) and time.monotonic() < end:
                yield ": still here\n\n"
            await sleep(_BREATH)


def _changes(
    before: dict[str, Any], shown: dict[str, Any] | None, heard: list[Progress], job: str
) -> list[str]:
    """Events for what has changed."""
    if shown is None:
        return [_event("cancelled", {"id": job, "status": "cancelled"})]
    status = shown["status"]
    events = []
    if status == "queued" and (before.get("status"), before.get("place")) != (status, shown["place"]):
        events.append(_event("queued", {"id": job, "place": shown["place"]}))
    elif status == "running" != before.get("status"):
        events.append(_event("running", shown))
    for one in heard:
        name = shown["photos"][one.n]["name"]
        events.append(_event("tile", {"n": one.n, "name": name, "done": one.done, "total": one.total}))
    old = {photo["n"]: photo["status"] for photo in before.get("photos", ())}
    for photo in shown["photos"]:
        if photo["status"] in ("done", "failed") and old.get(photo["n"]) != photo["status"]:
            events.append(_event("photo", photo))
    if status in ENDED:
        events.append(_event(status, shown))
    return events


def _event(kind: str, content: dict[str, Any]) -> str:
    return f"event: {kind}\ndata: {json.dumps(content)}\n\n"
