"""Trained models of other projects, to compare with: what they are called and where they are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from places import PEER_FILES, ROOT

from blindsr.engine.opening import SUFFIXES
from blindsr.errors import InputError
from blindsr.evaluation.methods import Method, find_method
from blindsr.system.files import sha256

#: What tables call them, and their files.
PEERS = {
    "realesrgan": ("Real-ESRGAN general-x4v3", "RealESRGAN_General_x4_v3.param"),
    "realesrgan-wdn": ("Real-ESRGAN general-wdn-x4v3", "RealESRGAN_General_WDN_x4_v3.param"),
    "animevideo": ("Real-ESRGAN animevideov3-x4", "realesr-animevideov3-x4.param"),
    "x4plus": ("Real-ESRGAN x4plus", "realesrgan-x4plus.param"),
    "df2k": ("RealSR DF2K", "realsr-df2k-x4.param"),
    "lsdir": ("LSDIR Compact C3 x4", "4xLSDIRCompactC3.param"),
    "srmd": ("SRMD x4, told noise 3", "srmd_x4.param"),
    "srmdnf": ("SRMDNF x4", "srmdnf_x4.param"),
    "imdn": ("IMDN x4", "IMDN_x4.pth"),
}

#: SRMD (Zhang et al. 2018) must be told the blur, as the kernel's place among 15 principal components, and
#: the noise in parts of white. These are the components that nihui/srmd-ncnn-vulkan, whose files these are,
#: tells it for every photo.
SRMD_KERNEL = (
    -1.12360956e-08, -1.36899159e-08, 1.85637958e-02, 2.86066886e-08, 3.35292965e-02, 8.37272935e-08,
    -2.54424009e-07, -3.16234976e-02, -1.35169253e-02, -1.10466090e-08, 3.84753793e-02, 3.79465739e-08,
    -2.44916752e-01, -8.02213490e-01, -5.40549755e-01,
)  # fmt: skip
_TOLD: dict[str, Sequence[float]] = {"srmd": (*SRMD_KERNEL, 3 / 255), "srmdnf": SRMD_KERNEL}

#: What serves SRMD best of isotropic Gaussian blurs (15x15 kernel, sigma in HR pixels), bicubic x4, found by
#: benchmarks/srmd.py.
SRMD_TOLD: dict[float, Sequence[float]] = {
    0.2: (
        -0.049, 0.059, 0.016, 0.011, 0.041, -0.071, 0.026, -0.034,
        0.002, -0.021, 0.048, -0.052, -0.243, -0.802, -0.522,
    ),
    1.3: (
        -0.002, -0.003, 0.024, -0.059, 0.013, -0.093, -0.009, -0.115,
        -0.037, 0.060, 0.007, -0.047, -0.367, -0.546, -0.367,
    ),
    2.6: (
        0.001, -0.097, 0.008, -0.001, 0.105, 0.007, 0.059, 0.005,
        -0.030, -0.017, -0.086, 0.010, -0.389, -0.400, -0.256,
    ),
}  # fmt: skip

#: Where files lie beside what the network must be told, and the graph of weights that no library reads: the
#: peers' own folder may not let us write.
WRITTEN_FOLDER = ROOT / ".cache" / "peers"


def find_peer(name: str, folder: Path = PEER_FILES, threads: int | None = None) -> Method:
    """A peer by its short name, or one of ncnn's by its files' stem.

    Raises:
        InputError: There is none of that name.
        ModelError: Its files are not there.
    """
    if name not in PEERS:
        if (folder / f"{name}.param").is_file():
            return find_method(f"{name}={folder / name}.param", "cpu", threads)
        raise InputError(f"--peer {name}: there are {', '.join(PEERS)}, and no {name}.param lies in {folder}")
    return find_method(written_peer(name, folder), "cpu", threads)


def srmd_told(blur: float, noise: float, folder: Path = PEER_FILES, threads: int | None = None) -> Method:
    """SRMD told the true degradation: a width of `SRMD_TOLD`, and the noise in levels of 255."""
    file, place = PEERS["srmd"][1], WRITTEN_FOLDER / f"blur {blur:g} noise {noise:g}"
    written = _tell(folder / file, place, (*SRMD_TOLD[blur], noise / 255))
    return find_method(f"SRMD x4, told all={written}", "cpu", threads)


def written_peer(name: str, folder: Path = PEER_FILES) -> str:
    """A peer as the command line of `blindsr evaluate` has it: TITLE=FILE."""
    title, file = PEERS[name]
    place = folder / file
    if name in _TOLD and place.is_file():
        place = _tell(place, WRITTEN_FOLDER, _TOLD[name])
    if name == "imdn" and place.is_file():
        graph = WRITTEN_FOLDER / f"{place.stem}-{sha256(place)[:8]}.onnx"
        if not graph.is_file():
            from imdn import (
                write_imdn,
            )  # PyTorch and its exporter: seconds that the other peers need not wait

            write_imdn(place, graph)
        place = graph
    return f"{title}={place}"


def _tell(param: Path, folder: Path, planes: Sequence[float]) -> Path:
    """A network's files in another folder, beside what it is told."""
    folder.mkdir(parents=True, exist_ok=True)
    for suffix in (".param", ".bin"):
        link = folder / param.with_suffix(suffix).name
        link.unlink(missing_ok=True)
        link.symlink_to(param.with_suffix(suffix).resolve())
    told = folder / param.name
    told.with_suffix(".json").write_text(json.dumps({"planes": list(planes)}), encoding="utf-8")
    return told


def written_peers(folder: Path = PEER_FILES) -> list[str]:
    """Every model in a folder of peers, as TITLE=FILE: those known by name first, then the others."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder of peers")
    files = {file for _, file in PEERS.values()}
    found = [written_peer(name, folder) for name, (_, file) in PEERS.items() if (folder / file).is_file()]
    for file in sorted(folder.iterdir()):
        if file.suffix in SUFFIXES and file.suffix != ".bin" and file.name not in files:
            found.append(f"{file.stem}={file}")
    return found
