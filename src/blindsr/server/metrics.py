"""What the server counts, as text for Prometheus (exposition format 0.0.4)."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_BUCKETS = (0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Upper bounds of times until an answer began, seconds."""

Labels = Mapping[str, str]


class Metrics:
    """Counters of a server. Any number of threads may share one."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._started = time.time()
        self._requests: Counter[tuple[str, str, int]] = Counter()
        self._times = [0] * (len(_BUCKETS) + 1)
        self._waited = 0.0
        self._photos: Counter[str] = Counter()
        self._pixels = 0
        self._seconds = 0.0

    def request_ended(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request was answered.

        Args:
            method: Its method.
            route: The pattern that its path matched: paths themselves are without number.
            status: Of the answer.
            seconds: Until the answer began.
        """
        with self._mutex:
            self._requests[method, route, status] += 1
            self._times[bisect_left(_BUCKETS, seconds)] += 1
            self._waited += seconds

    def photo_ended(self, status: str, pixels: int, seconds: float) -> None:
        """A photo is done, or failed."""
        with self._mutex:
            self._photos[status] += 1
            self._pixels += pixels if status == "done" else 0
            self._seconds += seconds

    def text(
        self,
        counts: Mapping[str, Mapping[str, int]],
        in_hand: tuple[int, int],
        loaded: Iterable[str],
        listening: int,
        workers: int = 1,
    ) -> str:
        """All of it.

        Args:
            counts: As `Store.counts` gives them.
            in_hand: As `Store.in_hand` gives it.
            loaded: Names of the models in memory.
            listening: How many listen to events.
            workers: How many photos can be restored at once.
        """
        lines: list[str] = []

        def tell(name: str, kind: str, what: str, values: Iterable[tuple[Labels, float]]) -> None:
            lines.extend((f"# HELP blindsr_{name} {what}", f"# TYPE blindsr_{name} {kind}"))
            lines.extend(f"blindsr_{name}{_shown(labels)} {value:.17g}" for labels, value in values)

        statuses = ("queued", "running", "done", "failed", "cancelled")
        for table, what in (("job", "Jobs that are kept"), ("photo", "Photos of jobs that are kept")):
            values = [({"status": status}, counts[table].get(status, 0)) for status in statuses]
            tell(f"{table}s", "gauge", f"{what}, by status.", values)
        tell("queue_pixels", "gauge", "Pixels of photos that wait or run.", [({}, in_hand[0])])
        tell("models_loaded", "gauge", "Models in memory.", [({}, len(list(loaded)))])
        tell("workers", "gauge", "Workers: photos that can be restored at once.", [({}, workers)])
        tell("listeners", "gauge", "Clients that listen to events.", [({}, listening)])
        with self._mutex:
            ended = [({"status": status}, count) for status, count in sorted(self._photos.items())]
            tell("photos_ended_total", "counter", "Photos that ended since the start.", ended)
            tell(
                "pixels_restored_total",
                "counter",
                "Pixels of photos that were restored.",
                [({}, self._pixels)],
            )
            tell("photo_seconds_total", "counter", "Time that photos took, waiting for others included.",
                 [({}, self._seconds)])  # fmt: skip
            requests = [
                ({"method": method, "route": route, "status": str(status)}, count)
                for (method, route, status), count in sorted(self._requests.items())
            ]
            tell("requests_total", "counter", "Requests answered.", requests)
            lines += self._histogram()
        tell(
            "start_time_seconds",
            "gauge",
            "When the server was started, seconds since 1970.",
            [({}, self._started)],
        )
        taken = resident()
        if taken is not None:
            tell("resident_memory_bytes", "gauge", "Memory of the process.", [({}, taken)])
        return "\n".join(lines) + "\n"

    def _histogram(self) -> list[str]:
        name = "blindsr_request_seconds"
        lines = [f"# HELP {name} Time until an answer began.", f"# TYPE {name} histogram"]
        total = 0
        for bound, count in zip((*map(str, _BUCKETS), "+Inf"), self._times, strict=True):
            total += count
            lines.append(f'{name}_bucket{{le="{bound}"}} {total}')
        return [*lines, f"{name}_sum {self._waited:.17g}", f"{name}_count {total}"]


def _shown(labels: Labels) -> str:
    """Labels in braces; of their values backslashes, quotes and ends of lines are escaped."""
    escaped = {ord("\\"): r"\\", ord('"'): r"\"", ord("\n"): r"\n"}
    pairs = (f'{name}="{value.translate(escaped)}"' for name, value in labels.items())
    return "{" + ",".join(pairs) + "}" if labels else ""


def resident() -> int | None:
    """Memory that this process holds now, bytes; None where the system does not tell."""
    try:
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) << 10
    except OSError:
        pass
    return None
