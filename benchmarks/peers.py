"""Trained models of other projects, as ncnn runs them, to compare with. Needs the extra [peers]."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from blindsr.errors import MissingExtraError, ModelError

#: Where the files of the peers are looked for: beside the repository.
FOLDER = Path(__file__).parents[2] / "shared" / "peers"


@dataclass(frozen=True)
class Peer:
    """A model of another project: RGB in [0, 1] in, the same `scale` times as large out.

    Args:
        title: How tables call it.
        stem: Name of its .param and .bin files.
        scale: Magnification.
    """

    title: str
    stem: str
    scale: int = 4


PEERS = {
    "realesrgan": Peer("Real-ESRGAN general-x4v3", "RealESRGAN_General_x4_v3"),
    "realesrgan-wdn": Peer("Real-ESRGAN general-wdn-x4v3", "RealESRGAN_General_WDN_x4_v3"),
    "animevideo": Peer("Real-ESRGAN animevideov3-x4", "realesr-animevideov3-x4"),
    "lsdir": Peer("LSDIR Compact C3 x4", "4xLSDIRCompactC3"),
}


class NcnnUpscaler:
    """One peer, loaded.

    Args:
        peer: Which one.
        folder: Where its .param and .bin files are.
        threads: CPU threads.

    Raises:
        MissingExtraError: ncnn is not installed.
        ModelError: A file is missing, or is not what ncnn reads.
    """

    def __init__(self, peer: Peer, folder: Path = FOLDER, threads: int = 2) -> None:
        try:
            import ncnn
        except ImportError:
            raise MissingExtraError("comparing with other projects' models", "peers", "ncnn") from None
        self.peer = peer
        self._ncnn = ncnn
        self._net = ncnn.Net()
        self._net.opt.use_vulkan_compute = False
        self._net.opt.num_threads = threads
        for suffix, load in ((".param", self._net.load_param), (".bin", self._net.load_model)):
            file = folder / (peer.stem + suffix)
            if not file.is_file():
                raise ModelError(
                    f"{file}: not there; {peer.title} needs {peer.stem}.param and {peer.stem}.bin"
                )
            if load(str(file)) != 0:
                raise ModelError(f"{file}: ncnn cannot read it")

    def upscale(self, picture: NDArray[np.floating]) -> NDArray[np.float32]:
        """Restore one picture, untiled.

        Args:
            picture: RGB in [0, 1], (H, W, 3).

        Returns:
            RGB, clipped to [0, 1], (scale * H, scale * W, 3).
        """
        planes = np.ascontiguousarray(picture.transpose(2, 0, 1), np.float32)
        extractor = self._net.create_extractor()
        # The clone owns its memory: a Mat made from an array only points into it.
        extractor.input("data", self._ncnn.Mat(planes).clone())
        failed, result = extractor.extract("output")
        if failed:
            raise ModelError(f"{self.peer.title}: ncnn could not run it (code {failed})")
        restored = np.array(result, np.float32).transpose(1, 2, 0)
        height, width = picture.shape[:2]
        expected = (height * self.peer.scale, width * self.peer.scale, 3)
        if restored.shape != expected:
            raise ModelError(f"{self.peer.title}: gave a picture of {restored.shape}, not {expected}")
        return np.clip(restored, 0.0, 1.0)
