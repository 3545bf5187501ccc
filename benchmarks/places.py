"""Where the benchmarks look for pictures, metrics' files and peers unless told.

`BLINDSR_BENCHMARKS` names the folder that holds data/, metrics/ and peers/; docs/results/reproduce.md lists
where to get each of them. Without it they are looked for in a folder `shared` beside the repository.
"""

import os
from pathlib import Path

ROOT = Path(__file__).parents[1]
_ALL = Path(os.environ.get("BLINDSR_BENCHMARKS") or ROOT.parent / "shared")

DATA = _ALL / "data"
METRICS = _ALL / "metrics"
PEER_FILES = _ALL / "peers"
QUALITY_RECORDS = ROOT / ".cache" / "quality" / "records.jsonl"
RESTORED = ROOT / ".cache" / "restored"
KEPT_BACK = ROOT / ".cache" / "kept-back"

TRAINING_PHOTOS = DATA / "train"
TEST_PHOTOS = DATA / "Set14" / "x4" / "HR"


def metric_files(folder: Path = METRICS) -> tuple[Path | None, tuple[Path, Path] | None]:
    """Parameters of NIQE and the two files of LPIPS, as far as they are there."""
    niqe = folder / "niqe_pris_params.npz"
    squeeze = folder / "squeezenet1_1_fp16.npz", folder / "lpips_v0.1_squeeze_lin.pth"
    return (niqe if niqe.is_file() else None, squeeze if all(map(Path.is_file, squeeze)) else None)
