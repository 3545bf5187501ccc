"""A plan carried out: three photos in work at once, and a journal to resume from."""

from __future__ import annotations

import logging
import os
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from blindsr.batch.journal import Journal
from blindsr.batch.plan import Plan
from blindsr.batch.stages import Existing, OnPhoto, OnTaskTile, OnTile, Outcome, Stages, Task, run_stages
from blindsr.picture import Photo, PictureWriter, open_photo
from blindsr.system.files import link_below, remove_leftovers

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from blindsr.picture.sizing import OutputSize
    from blindsr.upscaling.mask import TextureMask
    from blindsr.upscaling.upscaler import Adaptation, Upscaler

__all__ = ["photo_stages", "run_batch"]

log = logging.getLogger(__name__)


def run_batch(
    plan: Plan,
    upscaler: Upscaler,
    *,
    adaptation: Adaptation | None = None,
    size: OutputSize | None = None,
    quality: int | None = None,
    existing: Existing = "resume",
    dpi: float | None = None,
    keep_date: bool = False,
    on_photo: OnPhoto | None = None,
    on_tile: OnTaskTile | None = None,
    stop: threading.Event | None = None,
) -> list[Outcome]:
    """Restore many photos. One that fails does not end the batch.

    While one photo is restored, the next is decoded and the previous encoded, each in a thread; the callbacks
    are called in this one. The batch ends early when `stop` is set or a callback raises (a KeyboardInterrupt,
    too): what is being written is finished, the rest is given up, and nothing half-written stays.

    Two photos or more have a journal in the plan's root, from which the next call with the same settings
    resumes; it is removed when all are done.

    Args:
        plan: What to do.
        upscaler: The model that does it.
        adaptation: One for all photos; None adapts the model to each.
        size: Size of the results, as in `Upscaler.upscale`.
        quality: Of the results, as in `blindsr.write`.
        existing: What becomes of results that are there already.
        dpi: Resolution that the results get, pixels per inch; None for that of each photo.
        keep_date: Whether a result's file gets the date of its photo's.
        on_photo: Called for each photo as it ends, in order.
        on_tile: Called after each tile.
        stop: Set by anybody, it ends the batch after the tile in hand.

    Returns:
        How each photo ended, in the order of the plan; without those that an early end left.

    Raises:
        InputError: Another batch is writing to the same folder.

    Example:
        >>> plan = blindsr.plan_batch(["photo.jpg", "other.jpg"], "restored", label="x4")
        >>> outcomes = blindsr.run_batch(plan, blindsr.Upscaler(), on_photo=lambda one: print(one.status))
        done
        done
    """
    for folder, above in dict.fromkeys((task.target.parent, task.root) for task in plan.tasks):
        if above is None or link_below(folder, above) is None:
            remove_leftovers(folder)
    journal = None
    if len(plan.tasks) > 1 and plan.root is not None:
        settings = upscaler.identity(support=adaptation, size=size, quality=quality)
        settings |= {} if dpi is None else {"dpi": dpi}
        try:
            journal = Journal(plan.root, settings, fresh=existing == "overwrite")
        except OSError as error:
            log.warning(
                "%s: no journal can be kept here (%s); if interrupted, this batch cannot be resumed",
                error.filename or plan.root,
                error.strerror,
            )
    outcomes: list[Outcome] = []
    try:
        stages = photo_stages(upscaler, adaptation, size, quality, dpi, keep_date)
        outcomes = run_stages(plan.tasks, stages, journal, existing, on_photo, on_tile, stop)
    finally:
        if journal is not None:
            done = len(outcomes) == len(plan.tasks) and all(one.status != "failed" for one in outcomes)
            journal.close(remove=done)
    return outcomes


@dataclass(frozen=True)
class _Decoded:
    """A decoded photo, with its support set where it needs one."""

    photo: Photo
    support: NDArray[np.float32] | None

    @property
    def width(self) -> int:
        return self.photo.width

    @property
    def height(self) -> int:
        return self.photo.height

    def close(self) -> None:
        self.photo.close()


def photo_stages(
    upscaler: Upscaler,
    adaptation: Adaptation | None = None,
    size: OutputSize | None = None,
    quality: int | None = None,
    dpi: float | None = None,
    keep_date: bool = False,
    mask: TextureMask | None = None,
) -> Stages[_Decoded, PictureWriter]:
    """How an upscaler takes a photo from file to file; arguments as in `run_batch`, and a mask of texture."""

    def decode(task: Task) -> _Decoded:
        photo = open_photo(task.source, upscaler.limits(task.target))
        photo = photo if dpi is None else replace(photo, dpi=(dpi, dpi))
        try:
            return _Decoded(photo, None if adaptation is not None else upscaler.support_of(photo))
        except BaseException:
            photo.close()
            raise

    def restore(decoded: _Decoded, task: Task, on_tile: OnTile) -> PictureWriter:
        support = decoded.support if adaptation is None else adaptation
        return upscaler.restore(
            decoded.photo,
            task.target,
            support=support,
            on_tile=on_tile,
            size=size,
            quality=quality,
            mask=mask,
        )

    def encode(result: PictureWriter, task: Task) -> None:
        result.save()
        if keep_date:
            told = task.source.stat()
            os.utime(task.target, ns=(told.st_atime_ns, told.st_mtime_ns))

    return Stages(decode, restore, encode)
