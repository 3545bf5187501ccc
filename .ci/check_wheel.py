#!/usr/bin/env python3
"""Build the wheel, and check it as somebody who has nothing else: `python3 .ci/check_wheel.py [--out dist]`.

Builds it twice, from here and from a copy whose files have other dates, and compares every byte; installs it
in a fresh environment with the versions of constraints.txt; restores a photo there, without PyTorch; lists
what was installed with its licences (licences.md) and, where cyclonedx-py is at hand
(`pip install ".[release]"`), as a bill of materials (sbom.json). Needs Python alone, and a package index that
pip can reach.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TRACKED = ["git", "ls-files", "-z"]

RESTORE = """
import importlib.util, blindsr
from PIL import Image
Image.radial_gradient("L").resize((64, 48)).convert("RGB").save("photo.png")
blindsr.upscale("photo.png").save("photo_x4.png")
assert Image.open("photo_x4.png").size == (256, 192)
assert importlib.util.find_spec("torch") is None, "PyTorch came along"
print(blindsr.__version__, "restored a photo from", blindsr.__file__)
"""

LICENCES = """
from importlib.metadata import distributions
for one in sorted(distributions(), key=lambda one: one.name.lower()):
    told = one.metadata
    named = told["License-Expression"] or "; ".join(
        entry.rpartition("::")[2].strip() for entry in told.get_all("Classifier", []) if "License ::" in entry
    )
    named = named or " ".join((told["License"] or "").split())[:60] or "UNKNOWN"
    print(f"| {one.name} | {one.version} | {named} |")
"""


def main() -> None:
    """Build, compare, install, try, list."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="where the wheel and the lists go")
    out = parser.parse_args().out.resolve()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        wheel = build(ROOT, place / "first")
        again = build(copy_of_sources(place / "copy"), place / "second")
        digests = [hashlib.sha256(file.read_bytes()).hexdigest() for file in (wheel, again)]
        if digests[0] != digests[1] or wheel.name != again.name:
            raise SystemExit(f"{wheel.name}: two builds of the same files differ ({' '.join(digests)})")
        print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB, the same twice, SHA-256 {digests[0]}")
        began = time.monotonic()
        python = fresh_environment(place / "env", wheel)
        installed = time.monotonic()
        elsewhere = place / "elsewhere"
        elsewhere.mkdir()
        print(run([python, "-c", RESTORE], cwd=elsewhere).strip())
        now = time.monotonic()
        print(f"installing took {installed - began:.0f} s, the first photo {now - installed:.1f} s")
        run([python, "-m", "pip", "check"], cwd=elsewhere)
        out.mkdir(parents=True, exist_ok=True)
        shutil.copy(wheel, out)
        rows = run([python, "-c", LICENCES], cwd=elsewhere)
        if "UNKNOWN" in rows:
            raise SystemExit(f"of these nobody says the licence:\n{rows}")
        header = "| installed with `pip install blindsr` | version | licence |\n|---|---|---|\n"
        (out / "licences.md").write_text(header + rows, encoding="utf-8")
        listed = bill_of_materials(python, out / "sbom.json")
        print(f"{out}: {wheel.name}, licences.md ({rows.count(chr(10))} packages){', sbom.json' * listed}")


def run(command: list[str | Path], cwd: Path = ROOT) -> str:
    """What a program prints; it must succeed, and sees nothing of this checkout."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run([*map(str, command)], cwd=cwd, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))[:200]}\n{done.stdout}{done.stderr}")
    return done.stdout


def build(sources: Path, out: Path) -> Path:
    """A wheel of some sources, by what pyproject.toml says."""
    run([sys.executable, "-m", "pip", "wheel", "--no-deps", "-q", "-w", out, sources])
    (wheel,) = out.glob("*.whl")
    return wheel


def copy_of_sources(place: Path) -> Path:
    """The tracked files as another checkout would have them: with other dates."""
    for name in run([*TRACKED]).split("\0"):  # type: ignore[list-item]
        if name and (ROOT / name).is_file():
            target = place / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, target)
            os.utime(target, (1_500_000_000, 1_500_000_000))
    return place


def fresh_environment(place: Path, wheel: Path) -> Path:
    """An environment with the wheel and what it needs; its Python."""
    venv.create(place, with_pip=True)
    python = place / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    run([python, "-m", "pip", "install", "-q", "-c", ROOT / "constraints.txt", wheel])
    return python


def bill_of_materials(python: Path, target: Path) -> bool:
    """Write it in CycloneDX's form, where the tool is at hand."""
    beside = Path(sys.executable).parent / "cyclonedx-py"
    tool = str(beside) if beside.is_file() else shutil.which("cyclonedx-py")
    if tool is None:
        print('no cyclonedx-py here, so no sbom.json: pip install ".[release]"', file=sys.stderr)
        return False
    run([tool, "environment", "--output-reproducible", "--of", "JSON", "-o", target, python])
    return True


if __name__ == "__main__":
    main()
