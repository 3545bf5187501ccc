"""The pool on the training device: groups are degraded into it, patches are drawn from it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from blindsr.dataset.cutting import Cutter, cut_patches
from blindsr.dataset.pool import BatchLimits, CropGroup, PoolBatch, PoolDataset
from blindsr.degradation import TwoStage, degrade
from blindsr.degradation.batched import OneStageBatch, Resizing, TwoStageBatch
from blindsr.loss.criterion import Taught
from blindsr.training.teacher import Teacher


class GroupDegradation:
    """Degrades groups of crops: all at once where there is a batched form of their tasks, else one by one.

    Args:
        limits: Of the batched forms; None for none.
        device: Where crops are.
    """

    def __init__(self, limits: BatchLimits | None, device: torch.device) -> None:
        self.device = device
        one, two = (None, None) if limits is None else (limits.one_stage, limits.two_stage)
        self._one_stage = None if one is None else OneStageBatch(one, device)
        self._two_stage = None if two is None else TwoStageBatch(two, device)

    @torch.no_grad()
    def __call__(self, hr: Tensor, group: CropGroup) -> Tensor:
        """HR crops (G e, 3, S, S) -> LR crops, both RGB in [0, 1]."""
        columns = {name: torch.from_numpy(c).to(self.device) for name, c in group.columns.items()}
        first = group.tasks[0]
        if columns and isinstance(first, TwoStage):
            assert self._two_stage is not None
            return self._two_stage(hr, columns, Resizing.of(first, hr.shape[3]))
        if columns:
            assert self._one_stage is not None
            return self._one_stage(hr, columns)
        crops = zip(hr.chunk(len(group.tasks)), group.tasks, group.seeds, strict=True)
        return torch.cat([degrade(images, task, seed) for images, task, seed in crops])


class PairPool:
    """Pairs in 8 bit, or the patches of tasks: e crops in a row have a task in common and are picked at once.

    Args:
        cutter: Cuts HR crops.
        degradation: Makes LR crops of them.
        slots: Groups that there is room for.
        group: Pairs, or tasks, in a group.
        scale: HR side / LR side.
        device: Where they are kept.
        each: Number e of crops in a task.
        truths: Which of them are kept in HR too: those that are to be restored.
        teacher: Its restorations of those are kept beside them.
    """

    def __init__(
        self,
        cutter: Cutter,
        degradation: GroupDegradation,
        slots: int,
        group: int,
        scale: int,
        device: torch.device,
        each: int = 1,
        truths: Sequence[int] = (0,),
        teacher: Teacher | None = None,
    ) -> None:
        self._cutter, self._degradation = cutter, degradation
        self.slots, self.group, self.scale, self.truths = slots, group, scale, list(truths)

        def room(crops: int, side: int) -> Tensor:
            return torch.zeros((slots * group, crops, 3, side, side), dtype=torch.uint8, device=device)

        self._hr, self._lr = room(len(self.truths), cutter.size), room(each, cutter.size // scale)
        self._teacher = teacher
        if teacher is not None:
            self._taught = room(len(self.truths), cutter.size)
            self._shares = torch.zeros(slots * group, device=device)
        self._held: list[int | None] = [None] * slots

    @torch.no_grad()
    def fill(self, batch: PoolBatch, dataset: PoolDataset) -> None:
        """Degrade the groups that a batch needs and the pool has not."""
        for number in range(*batch.kept):
            slot = number % self.slots
            if self._held[slot] == number:
                continue
            # In a run that is resumed, those of the steps before have to be made again.
            crops = batch.fresh[number] if number in batch.fresh else dataset.crops(number)
            hr = self._cutter(torch.from_numpy(crops.places))
            lr = self._degradation(hr, crops)
            rows = slice(slot * self.group, (slot + 1) * self.group)
            self._lr[rows] = _levels(lr).unflatten(0, (self.group, -1))
            self._hr[rows] = _levels(hr).unflatten(0, (self.group, -1))[:, self.truths]
            if self._teacher is not None:
                self._teach(self._teacher, crops, rows)
            self._held[slot] = number

    def _teach(self, teacher: Teacher, group: CropGroup, rows: slice) -> None:
        """Keep what the teacher makes of a group; of what it is not followed for, it makes nothing."""
        shares = teacher.shares(group.tasks)
        self._shares[rows] = torch.tensor(shares, device=self._shares.device)
        self._taught[rows] = self._hr[rows]
        followed = [rows.start + i for i, share in enumerate(shares) if share > 0]
        if followed:
            restored = teacher(self._lr[followed][:, self.truths].flatten(0, 1))
            self._taught[followed] = restored.unflatten(0, (len(followed), -1))

    def draw(self, picks: Tensor, offset: Tensor, poses: Tensor, size: int) -> tuple[Tensor, Tensor]:
        """Patches of some pairs or tasks.

        Args:
            picks: Which ones, (N,).
            offset: Where each is cut, (N, 2) LR pixels.
            poses: Whether each is mirrored, flipped and transposed, (N, 3).
            size: Side of an LR patch.

        Returns:
            LR (N, e, 3, size, size) and HR (N, k, 3, scale size, scale size) of the k `truths`, RGB in
            [0, 1].
        """
        lr = _drawn(self._lr, picks, offset, poses, size)
        return lr, _drawn(self._hr, picks, offset * self.scale, poses, size * self.scale)

    def draw_taught(self, picks: Tensor, offset: Tensor, poses: Tensor, size: int) -> Taught | None:
        """What the teacher made of what `draw` gives: as HR, and a share for each of N; None without one."""
        if self._teacher is None:
            return None
        image = _drawn(self._taught, picks, offset * self.scale, poses, size * self.scale)
        return Taught(image, self._shares.index_select(0, picks))


def drawn_from_pool(batch: PoolBatch) -> dict[str, Tensor]:
    """What a step takes of a batch whose pool is filled."""
    arrays = {"picks": batch.picks, "offset": batch.offset, "poses": batch.poses}
    if batch.negatives is not None:
        arrays["negatives"] = batch.negatives
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def _levels(images: Tensor) -> Tensor:
    """RGB in [0, 1] -> 8 bit."""
    return (images * 255).round().to(torch.uint8)


def _drawn(kept: Tensor, picks: Tensor, offset: Tensor, poses: Tensor, size: int) -> Tensor:
    """Squares out of some of the crops (P, e, 3, S, S), in their poses: (N, e, 3, size, size) in [0, 1]."""
    crops = kept.index_select(0, picks)
    each = crops.shape[1]
    offset, poses = (one.repeat_interleave(each, 0, output_size=each * len(picks)) for one in (offset, poses))
    patches = _posed(cut_patches(crops.flatten(0, 1), offset, size), poses).float() / 255
    of_picks: Tensor = patches.unflatten(0, (-1, each))
    return of_picks


def _posed(images: Tensor, poses: Tensor) -> Tensor:
    """Squares (N, C, S, S), each in its pose, as `Crop` has it."""
    mirrored, flipped, transposed = poses[:, :, None, None, None].unbind(1)
    images = torch.where(mirrored, images.flip(3), images)
    images = torch.where(flipped, images.flip(2), images)
    return torch.where(transposed, images.transpose(2, 3), images)
