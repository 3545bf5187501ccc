"""What a run tells: to its caller, to TensorBoard, and to the record beside its state."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blindsr.errors import InputError
from blindsr.system.files import make_folder
from blindsr.training.checkpoint import Position, with_teachers
from blindsr.training.validation import Scores

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


@dataclass(frozen=True)
class Progress:
    """What a run reports at every logged step.

    Args:
        step: Steps taken.
        share: How much of the run is done, 0 to 1.
        losses: Their means since the last report.
        seconds_per_step: Likewise.
        scores: What validation has just measured.
        phase: The part of the run that it is in, see `Recipe.phase`.
        patches: Patches that the network has restored, those of earlier runs included.
    """

    step: int
    share: float
    losses: dict[str, float]
    seconds_per_step: float
    scores: Scores | None = None
    phase: str = ""
    patches: int = 0


class RunJournal:
    """Tells how a run goes.

    Args:
        folder: TensorBoard's files go into a folder of it.
        report: Who else wants to know.
        active: Whether this process is the one that tells.
        at: Where the run begins, or goes on.
        origins: What it learns from beside photos, see `Recipe.origins`.
    """

    def __init__(
        self,
        folder: Path,
        report: Callable[[Progress], None] | None,
        active: bool,
        at: Position,
        origins: Mapping[str, Any] | None = None,
    ) -> None:
        self.writer: SummaryWriter | None = _summary_writer(folder) if active else None
        self._report = report if active else None
        self._begun = time.perf_counter()
        self._from = at.step, at.patches
        self._origins = dict(origins or {})
        self._seconds = 0.0
        self._curve: list[dict[str, Any]] = []
        self.begin(at)

    def begin(self, at: Position) -> None:
        """Count steps and their seconds from here on."""
        self._since, self._step = time.perf_counter(), at.step

    def measure(self, at: Position) -> None:
        """Take the time of the steps that were just done, and of nothing that comes after."""
        self._seconds = (time.perf_counter() - self._since) / max(1, at.step - self._step)

    def tell(
        self,
        at: Position,
        share: float,
        losses: dict[str, float],
        rates: dict[str, float],
        scores: Scores | None,
    ) -> None:
        """Tell what the steps since the last time were like, and begin anew.

        Args:
            at: Where the run is.
            share: How much of it is done.
            losses: Their means; a name without a slash is that of a loss.
            rates: Learning rates of the last step, by parameter group.
            scores: What validation measured, if it has.
        """
        if self.writer is not None:
            for name, value in losses.items():
                self.writer.add_scalar(name if "/" in name else f"loss/{name}", value, at.step)
            for name, rate in rates.items():
                self.writer.add_scalar(f"learning_rate/{name}", rate, at.step)
            self.writer.add_scalar("seconds_per_step", self._seconds, at.step)
        if scores is not None:
            rows = {name: [round(value, 4) for value in row] for name, row in scores.rows.items()}
            self._curve.append({"step": at.step, "patches": at.patches, "psnr, ssim, bicubic": rows})
        if self._report is not None:
            plain = {name: value for name, value in losses.items() if "/" not in name}
            self._report(Progress(at.step, share, plain, self._seconds, scores, at.phase or "", at.patches))
        self.begin(at)

    def runs(self, at: Position) -> list[dict[str, Any]]:
        """What is known of the runs so far, with their validations; one that is resumed counts as another."""
        steps, patches = self._from
        run = {
            "commit": source_commit(),
            "steps": at.step - steps,
            "patches": at.patches - patches,
            "seconds": round(time.perf_counter() - self._begun),
            "validation": list(self._curve),
            **self._origins,
        }
        return [*at.runs, run]

    def record(self, at: Position) -> dict[str, Any]:
        """What is to be known of a state: where it is, and the runs that made it."""
        runs = self.runs(at)
        told = {"step": at.step, "patches": at.patches, "phase": at.phase, "runs": runs}
        return told | with_teachers(runs)

    def close(self) -> None:
        """No more is to come."""
        if self.writer is not None:
            self.writer.close()


@cache
def source_commit() -> str | None:
    """The commit that this program was run from; None where it is not a checkout."""
    try:
        done = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"],
            capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _summary_writer(folder: Path) -> SummaryWriter:
    from torch.utils.tensorboard import SummaryWriter

    # Silence a notice about a feature of TensorBoard that needs another framework.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    place = folder / "tensorboard"
    try:
        make_folder(place, folder)
    except OSError as error:
        raise InputError(f"{error.filename or place}: cannot be made ({error.strerror})") from error
    return SummaryWriter(str(place))
