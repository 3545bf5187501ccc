"""The process in which results are made: what a photo does to it, it does to nobody else.

It is started by a worker, gets its order on stdin, then a line of JSON for each thing to do, and says on
stdout what came of each. It decodes, makes and encodes three photos at once, as a batch on one machine
does and by the same code. It ends when its worker does, whichever way that was.
"""

from __future__ import annotations

import json
import os
import pickle
import queue
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from blindsr.batch.recognition import is_photo
from blindsr.batch.stages import OnTile, Outcome, Stages, Task, explained, run_stages
from blindsr.cluster.order import Maker, Order, Pulled
from blindsr.errors import BlindSRError

Say = Callable[[dict[str, Any]], None]

_KINDS = {"decode": "photo", "restore": "photo", "encode": "write"}
"""Stage in which a photo failed -> kind of the error."""


class _Workshop:
    """Does what it is told, one thing after the other, but for names, which it gives at once.

    Args:
        maker: Makes results of photos.
        say: Tells the worker something.
    """

    def __init__(self, maker: Maker, say: Say) -> None:
        self._maker, self._say = maker, say
        self._jobs: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._of: dict[Task, tuple[dict[str, Any], Pulled]] = {}
        self._ways: dict[Task, Stages[Any, Any]] = {}

    def run(self) -> None:
        """Work until there is nothing more to do."""
        run_stages(
            self._tasks(),
            Stages(self._decode, self._make, self._encode),
            on_photo=self._tell_end,
            on_tile=None,
        )

    def take(self, job: dict[str, Any] | None) -> None:
        """A thing to do; None ends the work."""
        if job is not None and job["do"] == "name":
            self._say({"named": job["id"], **self._name(job)})
        else:
            self._jobs.put(job)

    def _name(self, job: dict[str, Any]) -> dict[str, Any]:
        """The name of a photo's result, or why there is none."""
        photo = _pulled(job)
        if not job["sure"] and not is_photo(photo.source):
            return {"left_out": True}
        try:
            name, fault = self._maker.name(photo)
            return {"name": name, "fault": fault}
        except BlindSRError as error:
            return {"name": "", "fault": str(error)}

    def _tasks(self) -> Iterator[Task]:
        while (job := self._jobs.get()) is not None:
            self._say({"begun": job["id"]})
            source = Path(job["source"])
            if job["do"] == "make":
                target = Path(job["target"])
                task = Task(source, target, root=target.parent)
                self._of[task] = job, _pulled(job)
                yield task
            else:
                self._say({"ended": job["id"], **self._read(job["do"], source, Path(job["target"]))})

    def _read(self, what: str, source: Path, target: Path) -> dict[str, Any]:
        """What a pass before the making wants to know of a photo."""
        try:
            return {"status": "done", **self._maker.reads[what](source, target)}
        except Exception as error:  # whatever is wrong with it is this photo's fault
            said = explained(error, Task(source, source), "decode")
            return {"status": "failed", "error": str(said), "kind": "photo"}

    def _decode(self, task: Task) -> Any:  # noqa: ANN401
        self._ways[task] = self._maker.stages(self._of[task][1])
        return self._ways[task].decode(task)

    def _make(self, photo: Any, task: Task, on_tile: OnTile) -> Any:  # noqa: ANN401
        return self._ways[task].restore(photo, task, on_tile)

    def _encode(self, result: Any, task: Task) -> None:  # noqa: ANN401
        self._ways[task].encode(result, task)

    def _tell_end(self, outcome: Outcome) -> None:
        job, photo = self._of.pop(outcome.task)
        self._ways.pop(outcome.task, None)
        told: dict[str, Any] = {
            "status": outcome.status,
            "input_size": outcome.input_size,
            "output_size": outcome.output_size,
            "seconds": {stage: round(seconds, 4) for stage, seconds in outcome.seconds.items()},
        }
        if outcome.error is None:
            told["report"] = self._maker.report(photo, outcome)
        else:
            stage = next(reversed(outcome.seconds), "decode")
            memory = isinstance(outcome.error.__cause__, MemoryError)
            told |= {"error": str(outcome.error), "kind": "memory" if memory else _KINDS[stage]}
        self._say({"ended": job["id"], **told})


def _pulled(job: dict[str, Any]) -> Pulled:
    profiles = job.get("profiles")
    return Pulled(
        Path(job["source"]), job["name"], job["options"], None if profiles is None else Path(profiles)
    )


def main() -> None:
    """What the process does."""
    channel, telling = os.fdopen(os.dup(1), "wb"), threading.Lock()
    os.dup2(2, 1)  # what a library prints is no answer
    _be_the_first_to_go()

    def say(told: dict[str, Any]) -> None:
        with telling:
            channel.write(json.dumps(told).encode() + b"\n")
            channel.flush()

    order: Order = pickle.load(sys.stdin.buffer)  # of the worker that started this process
    try:
        maker = order.maker()
    except BlindSRError as error:
        say({"unfit": str(error)})
        return
    say({"ready": maker.identity})
    workshop = _Workshop(maker, say)
    threading.Thread(target=_listen, args=(sys.stdin.buffer, workshop), daemon=True).start()
    workshop.run()


def _listen(stdin: IO[bytes], workshop: _Workshop) -> None:
    for line in stdin:
        workshop.take(json.loads(line))
    os._exit(0)  # the worker is gone: nobody wants what is under way


def _be_the_first_to_go() -> None:
    """Where memory runs out, the system is to end this process and not its worker."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


if __name__ == "__main__":
    main()
