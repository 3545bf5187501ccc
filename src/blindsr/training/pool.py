"""The pool of pairs on the training device: groups degraded into it, patches drawn from it."""

from __future__ import annotations

import torch
from torch import Tensor

from blindsr.dataset.cutting import Cutter, cut_patches
from blindsr.dataset.pool import BatchLimits, CropGroup, PoolBatch, PoolDataset
from blindsr.degradation import TwoStage, degrade
from blindsr.degradation.batched import OneStageBatch, Resizing, TwoStageBatch


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
        """HR crops (G, 3, S, S) -> LR crops, both RGB in [0, 1]."""
        columns = {name: torch.from_numpy(c).to(self.device) for name, c in group.columns.items()}
        first = group.tasks[0]
        if columns and isinstance(first, TwoStage):
            assert self._two_stage is not None
            return self._two_stage(hr, columns, Resizing.of(first, hr.shape[3]))
        if columns:
            assert self._one_stage is not None
            return self._one_stage(hr, columns)
        images = zip(hr.split(1), group.tasks, group.seeds, strict=True)
        return torch.cat([degrade(image, task, seed) for image, task, seed in images])


class PairPool:
    """Pairs in 8 bit.

    Args:
        cutter: Cuts HR crops.
        degradation: Makes LR crops of them.
        slots: Groups that there is room for.
        group: Crops in a group.
        scale: HR side / LR side.
        device: Where pairs are kept.
    """

    def __init__(
        self,
        cutter: Cutter,
        degradation: GroupDegradation,
        slots: int,
        group: int,
        scale: int,
        device: torch.device,
    ) -> None:
        self._cutter, self._degradation = cutter, degradation
        self.slots, self.group, self.scale = slots, group, scale
        shape = (slots * group, 3, cutter.size, cutter.size)
        self._hr = torch.zeros(shape, dtype=torch.uint8, device=device)
        self._lr = torch.zeros(
            (*shape[:2], cutter.size // scale, cutter.size // scale), dtype=torch.uint8, device=device
        )
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
            pairs = slice(slot * self.group, (slot + 1) * self.group)
            self._lr[pairs] = (self._degradation(hr, crops) * 255).round().to(torch.uint8)
            self._hr[pairs] = (hr * 255).round().to(torch.uint8)
            self._held[slot] = number

    def draw(self, picks: Tensor, offset: Tensor, poses: Tensor, size: int) -> tuple[Tensor, Tensor]:
        """Patches of some pairs.

        Args:
            picks: Which pairs, (N,).
            offset: Where each is cut, (N, 2) LR pixels.
            poses: Whether each is mirrored, flipped and transposed, (N, 3).
            size: Side of an LR patch.

        Returns:
            LR (N, 3, size, size) and HR (N, 3, scale size, scale size), RGB in [0, 1].
        """
        pairs = ((self._lr, offset, size), (self._hr, offset * self.scale, size * self.scale))
        lr, hr = (
            _posed(cut_patches(kept.index_select(0, picks), at, side), poses).float() / 255
            for kept, at, side in pairs
        )
        return lr, hr


def _posed(images: Tensor, poses: Tensor) -> Tensor:
    """Squares (N, C, S, S), each in its pose, as `Crop` has it."""
    mirrored, flipped, transposed = poses[:, :, None, None, None].unbind(1)
    images = torch.where(mirrored, images.flip(3), images)
    images = torch.where(flipped, images.flip(2), images)
    return torch.where(transposed, images.transpose(2, 3), images)
