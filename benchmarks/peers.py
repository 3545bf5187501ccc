"""Trained models of other projects, to compare with: what they are called and where they are."""

from __future__ import annotations

from pathlib import Path

from blindsr.errors import InputError
from blindsr.evaluation.contestants import Contestant, find_contestant

#: Where the files of the peers are looked for: beside the repository.
FOLDER = Path(__file__).parents[2] / "shared" / "peers"

#: What tables call them, and their files.
PEERS = {
    "realesrgan": ("Real-ESRGAN general-x4v3", "RealESRGAN_General_x4_v3.param"),
    "realesrgan-wdn": ("Real-ESRGAN general-wdn-x4v3", "RealESRGAN_General_WDN_x4_v3.param"),
    "animevideo": ("Real-ESRGAN animevideov3-x4", "realesr-animevideov3-x4.param"),
    "lsdir": ("LSDIR Compact C3 x4", "4xLSDIRCompactC3.param"),
}


def find_peer(name: str, folder: Path = FOLDER, threads: int | None = None) -> Contestant:
    """A peer by its short name.

    Raises:
        InputError: There is none of that name.
        ModelError: Its files are not there.
    """
    if name not in PEERS:
        raise InputError(f"--peer {name}: there are {', '.join(PEERS)}")
    title, file = PEERS[name]
    return find_contestant(f"{title}={folder / file}", "cpu", threads)
