"""The process that has the model: what a photo does to it, it does to nobody else.

It is started by a worker, gets its order on stdin, then a line of JSON for each thing to do, and says on
stdout what came of each. It decodes, restores and encodes three photos at once, as a batch on one machine
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
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

from blindsr.batch.plan import fault_of_name
from blindsr.batch.recognition import is_photo, result_suffix
from blindsr.batch.run import photo_stages
from blindsr.batch.stages import OnTile, Outcome, Stages, Task, explained, run_stages
from blindsr.cluster.cameras import camera_of, profile_name
from blindsr.cluster.order import Asked, Order
from blindsr.errors import BlindSRError
from blindsr.upscaling.profile import read_profile, write_profile
from blindsr.upscaling.upscaler import Adaptation, Upscaler

Say = Callable[[dict[str, Any]], None]

_KINDS = {"decode": "photo", "restore": "photo", "encode": "write"}
"""Stage in which a photo failed -> kind of the error."""


class _Restorer:
    """Does what it is told, one thing after the other, but for names, which it gives at once.

    Args:
        order: What to do with photos.
        say: Tells the worker something.
    """

    def __init__(self, order: Order, say: Say) -> None:
        self.upscaler: Upscaler = order.upscaler()
        self._order, self._say = order, say
        self._jobs: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._of: dict[Task, dict[str, Any]] = {}
        self._stages = lru_cache(maxsize=64)(self._make_stages)

    def run(self) -> None:
        """Work until there is nothing more to do."""
        run_stages(
            self._tasks(),
            Stages(self._decode, self._restore, self._encode),
            on_photo=self._tell_end,
            on_tile=None,
        )

    def take(self, job: dict[str, Any] | None) -> None:
        """A thing to do; None ends the work."""
        if job is not None and job["do"] == "name":
            self._say({"named": job["id"], **self._name(Path(job["source"]), job)})
        else:
            self._jobs.put(job)

    def _name(self, source: Path, job: dict[str, Any]) -> dict[str, Any]:
        """The name of a photo's result, or why there is none."""
        if not job["sure"] and not is_photo(source):
            return {"left_out": True}
        try:
            asked = self._order.asked(job["options"])
            stem = self._order.pattern(self.upscaler, asked.size).of(source)
            name = f"{stem}{result_suffix(source, asked.format_)}"
            return {"name": name, "fault": fault_of_name(name, asked.quality)}
        except BlindSRError as error:
            return {"name": "", "fault": str(error)}

    def _tasks(self) -> Iterator[Task]:
        while (job := self._jobs.get()) is not None:
            self._say({"begun": job["id"]})
            source = Path(job["source"])
            if job["do"] == "restore":
                target = Path(job["target"])
                task = Task(source, target, root=target.parent)
                self._of[task] = job
                yield task
            else:
                self._say({"ended": job["id"], **self._read(job["do"], source, job)})

    def _read(self, what: str, source: Path, job: dict[str, Any]) -> dict[str, Any]:
        """A photo's camera, or what the model reads from the photo, into a file."""
        try:
            if what == "camera":
                return {"status": "done", "camera": camera_of(source)}
            adaptation = self.upscaler.adapt([source])
            write_profile(adaptation, self.upscaler.model, Path(job["target"]))
            return {"status": "done"}
        except Exception as error:  # whatever is wrong with it is this photo's fault
            said = explained(error, Task(source, source), "decode")
            return {"status": "failed", "error": str(said), "kind": "photo"}

    def _make_stages(self, asked: Asked, profile: str | None) -> Stages[Any, Any]:
        order, upscaler = self._order, self.upscaler
        if asked.texture is not None:
            upscaler = upscaler.with_texture(asked.texture)
        adaptation: Adaptation | None = order.adaptation
        if profile is not None:
            adaptation = read_profile(profile, upscaler.model)
        return photo_stages(
            upscaler,
            adaptation,
            asked.size,
            asked.quality,
            order.dpi,
            order.keep_date,
            order.mask,
            order.mark,
        )

    def _stages_of(self, task: Task) -> Stages[Any, Any]:
        job = self._of[task]
        if "profile" not in job:
            job["profile"] = None
            if job["profiles"] is not None and (camera := camera_of(task.source)):
                profile = Path(job["profiles"]) / profile_name(camera)
                job["profile"] = str(profile) if profile.is_file() else None
        return self._stages(self._order.asked(job["options"]), job["profile"])

    def _decode(self, task: Task) -> Any:  # noqa: ANN401
        return self._stages_of(task).decode(task)

    def _restore(self, photo: Any, task: Task, on_tile: OnTile) -> Any:  # noqa: ANN401
        return self._stages_of(task).restore(photo, task, on_tile)

    def _encode(self, result: Any, task: Task) -> None:  # noqa: ANN401
        self._stages_of(task).encode(result, task)

    def _tell_end(self, outcome: Outcome) -> None:
        job = self._of.pop(outcome.task)
        report = outcome.report
        told: dict[str, Any] = {
            "status": outcome.status,
            "input_size": outcome.input_size,
            "output_size": outcome.output_size,
            "seconds": {stage: round(seconds, 4) for stage, seconds in outcome.seconds.items()},
            "report": {} if report is None else {**report.as_dict(), "warning": report.warning},
        }
        if outcome.error is not None:
            stage = next(reversed(outcome.seconds), "decode")
            memory = isinstance(outcome.error.__cause__, MemoryError)
            told |= {"error": str(outcome.error), "kind": "memory" if memory else _KINDS[stage]}
        self._say({"ended": job["id"], **told})


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
        restorer = _Restorer(order, say)
    except BlindSRError as error:
        say({"unfit": str(error)})
        return
    say({"ready": order.identity(restorer.upscaler)})
    threading.Thread(target=_listen, args=(sys.stdin.buffer, restorer), daemon=True).start()
    restorer.run()


def _listen(stdin: IO[bytes], restorer: _Restorer) -> None:
    for line in stdin:
        restorer.take(json.loads(line))
    os._exit(0)  # the worker is gone: nobody wants what is under way


def _be_the_first_to_go() -> None:
    """Where memory runs out, the system is to end this process and not its worker."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


if __name__ == "__main__":
    main()
