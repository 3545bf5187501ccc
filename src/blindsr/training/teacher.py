"""A teacher: a larger network, trained already, whose restorations of damaged patches are a target too.

Where much is lost, the truth is but one of many photos that a patch could come from: what is sharp in it
cannot be known, and to ask for it teaches a small network to invent. What a large network makes of the same
patch can be learned. Where little is lost, the truth is the better teacher.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from blindsr.checkpoint.reading import network_of, read_tensors
from blindsr.degradation import Task
from blindsr.degradation.damage import damage
from blindsr.errors import ConfigError
from blindsr.system.files import atomic_path, sha256
from blindsr.training.config import CriteriaConfig, TeacherSection
from blindsr.training.precision import computes_in_bfloat16

_AT_ONCE = 16
"""Patches that it restores in one go."""


def teacher_of(config: CriteriaConfig, device: torch.device) -> Teacher | None:
    """The teacher that a configuration names, on a device; None if it names none.

    Raises:
        ModelError: See `Teacher`, and so for a ConfigError.
    """
    if config.teacher is None:
        return None
    return Teacher(config.teacher, config.data.scale, device, computes_in_bfloat16(config, device))


class Teacher:
    """A network that is run and not trained.

    Args:
        section: Where its weights are, and when it is followed.
        scale: HR side / LR side.
        device: Where it runs.
        bfloat16: Whether products are taken in bfloat16.

    Attributes:
        record: What is to be known of it: its file's name and SHA-256.

    Raises:
        ModelError: Its file cannot be read, or is a network of another scale.
        ConfigError: It is a network that adapts, which needs more than a patch.
    """

    def __init__(self, section: TeacherSection, scale: int, device: torch.device, bfloat16: bool) -> None:
        network, _ = network_of(read_tensors(section.weights), section.weights, scale)
        if network.adaptive:
            raise ConfigError(
                f"teacher.weights {section.weights}: the network adapts to support sets; "
                "take one that does not"
            )
        self._network = network.requires_grad_(False).to(device)
        self._clean, self._damaged, self._kept = section.clean, section.damaged, section.kept
        self._device, self._bfloat16 = device, bfloat16
        self.record = {"file": section.weights.name, "sha256": sha256(section.weights)}

    def shares(self, tasks: Sequence[Task]) -> list[float]:
        """How far it is to be followed for each task: 0, the truth alone, to 1, as far as criteria say."""
        rise = self._damaged - self._clean
        return [min(1.0, max(0.0, (damage(task) - self._clean) / rise)) for task in tasks]

    def __call__(self, lr: Tensor) -> Tensor:
        """Restore patches: LR (N, 3, h, w), 8 bit RGB -> (N, 3, scale h, scale w), 8 bit RGB."""
        if self._kept is None:
            return self._restored(lr)
        return torch.cat([self._remembered(one, self._kept) for one in lr.split(_AT_ONCE)])

    @torch.no_grad()
    def _restored(self, lr: Tensor) -> Tensor:
        made = []
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._bfloat16):
            for some in lr.split(_AT_ONCE):
                restored = self._network.restore(some.float() / 255).float().clamp(0, 1)
                made.append((restored * 255).round().to(torch.uint8))
        return torch.cat(made)

    def _remembered(self, lr: Tensor, folder: Path) -> Tensor:
        """As `_restored`, but what was made of the same patches before is read from a file."""
        content = lr.cpu().contiguous().numpy()
        about = f"{self.record['sha256']} {self._bfloat16} {content.shape}".encode()
        file = folder / f"taught-{hashlib.sha256(about + content.tobytes()).hexdigest()[:32]}.u8"
        scale = self._network.scale
        shape = (*content.shape[:2], *(scale * side for side in content.shape[2:]))
        known = np.fromfile(file, np.uint8) if file.is_file() else np.empty(0, np.uint8)
        if known.size == np.prod(shape):
            return torch.from_numpy(known.reshape(shape)).to(lr.device)
        made = self._restored(lr)
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_path(file) as temporary:
            made.cpu().contiguous().numpy().tofile(temporary)
        return made
