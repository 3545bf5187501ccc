"""What a bare machine needs to train a recipe, in one folder that is small enough to be sent there."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from minutes import MANIFEST, RECIPE
from numpy.typing import NDArray
from packaging.utils import parse_wheel_filename
from PIL import Image, ImageOps
from places import ROOT

from blindsr.dataset.layouts import training_photos
from blindsr.dataset.photos import split_holdout
from blindsr.errors import InputError
from blindsr.system.files import atomic_path
from blindsr.training.config import CriteriaConfig, TrainConfig, load_config
from blindsr.training.criteria import Declared
from blindsr.training.journal import source_commit
from blindsr.training.state import read_average

PACKAGES = {
    "pydantic": ("pydantic", "pydantic-core", "annotated-types", "typing-inspection"),
    "pillow": ("pillow",),
}
"""What may be missing there, and the wheels that it takes."""
PLATFORMS = (
    "manylinux_2_28_x86_64",
    "manylinux_2_27_x86_64",
    "manylinux2014_x86_64",
    "manylinux_2_17_x86_64",
)
QUALITIES = (95, 92, 90, 87, 85, 82, 80, 77, 75, 72, 70, 65, 60)
"""Of AVIF, best first; under the last one photos are left out instead."""
SAMPLE = 10
"""Photos that the quality is chosen by."""
_MARGIN = 0.98


class Packer:
    """Fills a folder.

    Args:
        folder: A pack that is there already is replaced.
        most: Bytes that it may have in all.
        speed: Of the AVIF encoder, 0 slow to 10 fast.
    """

    def __init__(self, folder: Path, most: int, speed: int = 8) -> None:
        if folder.exists() and not (folder / MANIFEST).is_file() and any(folder.iterdir()):
            raise InputError(f"{folder}: is there already, and no pack; choose another folder")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self.folder, self.most, self.speed = folder, most, speed
        self.cache = ROOT / ".cache" / "avif"

    @property
    def size(self) -> int:
        """Bytes so far."""
        return sum(file.stat().st_size for file in self.folder.rglob("*") if file.is_file())

    def add(self, file: Path, name: str) -> str:
        """Take a file along under a name."""
        try:
            shutil.copyfile(file, self.folder / name)
        except OSError as error:
            raise InputError(f"{file}: cannot be read ({error.strerror})") from None
        return name

    def add_wheels(self, python: str, lacks: Sequence[str]) -> dict[str, list[str]]:
        """Take the wheels along that a Python may need: of the versions that are installed here."""
        folder = self.folder / "wheels"
        named = [f"{name}=={version(name)}" for group in lacks for name in PACKAGES[group]]
        platforms = [part for platform in PLATFORMS for part in ("--platform", platform)]
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:"),
                *("--python-version", python, "--implementation", "cp", *platforms),
                *("-d", str(folder), *named),
            ],
            capture_output=True,
            text=True,
        )
        if done.returncode:
            lines = done.stderr.strip().splitlines() or ["pip says nothing"]
            raise InputError(f"the wheels cannot be had: {lines[-1]}")
        found: dict[str, list[str]] = {group: [] for group in lacks}
        for file in sorted(folder.iterdir()):
            name, _, _, tags = parse_wheel_filename(file.name)
            if not any(_fits(str(tag), python) for tag in tags):
                raise InputError(f"{file.name}: not for Python {python} on x86-64 Linux")
            group = next(group for group in lacks if name in PACKAGES[group])
            found[group].append(f"wheels/{file.name}")
        return found

    def add_photos(self, files: Sequence[Path], holdout: int, room: int) -> dict[str, Any]:
        """Take as many photos along as there is room for, as AVIF where that is needed and smaller.

        They get numbers for names, such that those held out here are held out there.

        Returns:
            What the manifest says of them.
        """
        held_out, rest = split_holdout(files, holdout)
        total = sum(file.stat().st_size for file in files)
        record: dict[str, Any] = {"given": len(files), "quality": None}
        content: dict[Path, bytes] = {}
        if total > room:
            quality, share = self._quality(files, room)
            if share < 1:
                count = int((len(files) - len(held_out)) * share)
                rest = [rest[i * len(rest) // count] for i in range(count)]
            kept = sorted([*held_out, *rest])
            content = {file: self._encoded(file, quality) for file in kept}
            lower = max(QUALITIES[-1], quality - 10)
            for file in sorted(kept, key=lambda f: -len(content[f])):
                if _size(content) <= room:
                    break
                content[file] = self._encoded(file, lower)
            for file in sorted(rest, key=lambda f: -len(content[f])):
                if _size(content) > room:
                    del content[file]
            if _size(content) > room:
                raise InputError(
                    f"the photos held out alone have {_size(content)} bytes, and there is room for {room}"
                )
            rest = [file for file in rest if file in content]
            record |= {"quality": quality} | _judged(kept, content)
        (self.folder / "photos").mkdir()
        for number, file in enumerate(_merged(held_out, rest)):
            data = content.get(file) or file.read_bytes()
            suffix = ".avif" if data[4:12] == b"ftypavif" else file.suffix.lower()
            (self.folder / "photos" / f"{number:05}{suffix}").write_bytes(data)
        avif = sum(1 for _ in (self.folder / "photos").glob("*.avif"))
        return record | {"count": len(held_out) + len(rest), "avif": avif}

    def _quality(self, files: Sequence[Path], room: int) -> tuple[int, float]:
        """The best quality by which all photos fit, and else the share of them that does by the least."""
        sample = [files[i * len(files) // SAMPLE] for i in range(SAMPLE)] if len(files) > SAMPLE else files
        total, whole = (sum(file.stat().st_size for file in some) for some in (files, sample))
        low, high = 0, len(QUALITIES) - 1
        sizes: dict[int, float] = {}

        def size(i: int) -> float:
            if i not in sizes:
                sizes[i] = sum(len(self._encoded(file, QUALITIES[i])) for file in sample) / whole * total
            return sizes[i]

        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if size(middle) <= _MARGIN * room else (middle + 1, high)
        return QUALITIES[low], min(1.0, _MARGIN * room / size(low))

    def _encoded(self, file: Path, quality: int) -> bytes:
        """A photo as AVIF, upright, or as it is where that is smaller."""
        own = file.read_bytes()
        key = f"{hashlib.sha256(own).hexdigest()[:20]}-{quality}-{self.speed}.avif"
        known = self.cache / key
        if not known.is_file():
            self.cache.mkdir(parents=True, exist_ok=True)
            with atomic_path(known) as temporary:
                _upright(file).save(
                    temporary, "AVIF", quality=quality, speed=self.speed, max_threads=1, subsampling="4:2:0"
                )
        made = known.read_bytes()
        return made if len(made) < len(own) else own


def pack(
    config_file: Path,
    folder: Path,
    most: int,
    photos: Path | None = None,
    state: Path | None = None,
    features: Path | None = None,
    python: str = "3.12",
    lacks: Sequence[str] = (),
    overrides: Sequence[str] = (),
    speed: int = 8,
) -> dict[str, Any]:
    """Make a pack; returns its manifest.

    Args:
        config_file: The recipe.
        folder: Of the pack.
        most: Bytes that it may have.
        photos: Where the training photos are; else where the recipe says.
        state: What the run is to go on from.
        features: The weights of the network that perceptual criteria compare by, where they need one.
        python: Of that machine, for which wheels are taken along ...
        lacks: ... of these, see `PACKAGES`.
        overrides: Of the recipe, "key=value".
        speed: Of the AVIF encoder.

    Raises:
        BlindSRError: It cannot be made, or is larger than `most`; one line says why.
    """
    settings = [*overrides, *([] if photos is None else [f"data.photos={photos}"])]
    config = load_config(config_file, settings)
    source = config.data.photos  # type: ignore[attr-defined]
    if source is None:
        raise InputError(f"{config_file}: trains on pairs; only photos are packed")
    files = training_photos(source)
    packer = Packer(folder, most, speed)
    try:
        return _filled(packer, config_file, settings, files, state, features, python, lacks)
    except BaseException:
        shutil.rmtree(folder)
        raise


def _filled(
    packer: Packer,
    config_file: Path,
    settings: list[str],
    files: Sequence[Path],
    state: Path | None,
    features: Path | None,
    python: str,
    lacks: Sequence[str],
) -> dict[str, Any]:
    config, folder, most = load_config(config_file, settings), packer.folder, packer.most
    manifest: dict[str, Any] = {"format": 1, "name": config.name, "recipe": config_file.name}
    manifest |= {"commit": source_commit(), "python": python, "wheels": {}}
    if lacks:
        manifest["wheels"] = packer.add_wheels(python, lacks)
    settings += ["data.photos=photos", "data.cache=cache", *_brought(packer, config, state, features)]
    resolved = load_config(config_file, settings).model_dump(mode="json")
    (folder / RECIPE).write_text(yaml.safe_dump(resolved, sort_keys=False), encoding="utf-8")
    listed = 2**14 + 160 * (len(files) + 20)  # bytes that the manifest will have, at most
    holdout = config.data.holdout  # type: ignore[attr-defined]
    wheels, room = manifest["wheels"], most - packer.size - listed
    _check(room, packer.size + listed, most)
    if sum(file.stat().st_size for file in files) <= room + _bytes(folder, wheels.get("pillow", [])):
        for name in wheels.pop("pillow", []):  # nothing becomes AVIF
            (folder / name).unlink()
        room = most - packer.size - listed
    manifest["photos"] = packer.add_photos(files, holdout, room)
    manifest["command"] = f"python3 benchmarks/minutes.py run {folder} --minutes 9.0 --out $OUT"
    manifest["files"] = {
        file.relative_to(folder).as_posix(): {
            "bytes": file.stat().st_size,
            "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        }
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    _check(most - packer.size, packer.size, most)
    return manifest


def _brought(packer: Packer, config: TrainConfig, state: Path | None, features: Path | None) -> list[str]:
    """Take along what the run starts from and judges by; returns where the recipe finds it, as overrides."""
    settings = []
    begins = [key for key in ("init", "init_condition") if getattr(config, key, None) is not None]
    if state is not None:
        read_average(state)  # that it is whole
        packer.add(state, "state.npz")
        packer.add(state.with_suffix(".json"), "state.json")
        settings += [f"{key}=null" for key in begins]
        begins = []
    for key in begins:
        initial = Path(getattr(config, key))
        if initial.is_file() or initial.suffix in (".npz", ".ckpt", ".pth"):  # else a model's name
            settings.append(f"{key}={packer.add(initial, f'{key}{initial.suffix}')}")
            if initial.suffix == ".npz":
                packer.add(initial.with_suffix(".json"), f"{key}.json")
    if isinstance(config, CriteriaConfig) and config.features.network != "discriminator":
        needed = {need for spec in config.criteria for need in Declared.of(spec).needs}
        weights = features or config.features.weights
        if "features" in needed:
            if weights is None:
                raise InputError(f"the criteria need {config.features.network}: --features says where it is")
            settings.append(f"features.weights={packer.add(weights, f'features{weights.suffix}')}")
    if isinstance(config, CriteriaConfig) and config.teacher is not None:
        weights = config.teacher.weights
        settings.append(f"teacher.weights={packer.add(weights, f'teacher{weights.suffix}')}")
    return settings


def _check(room: int, size: int, most: int) -> None:
    if room < 0:
        mib = 2**20
        raise InputError(
            f"a pack of {size / mib:.1f} MiB, and at most {most / mib:.1f} MiB may travel (--most)"
        )


def _fits(tag: str, python: str) -> bool:
    """Whether a wheel's tag is one for that Python on Linux for x86-64."""
    interpreter, abi, platform = tag.split("-")
    own = "cp" + python.replace(".", "")
    plain = platform == "any" or (platform.startswith("manylinux") and platform.endswith("x86_64"))
    return plain and ((interpreter == own and abi == own) or interpreter == "py3" or abi == "abi3")


def _merged(held_out: Sequence[Path], rest: Sequence[Path]) -> list[Path]:
    """All photos in an order from which `split_holdout` takes the same ones away."""
    count, holdout = len(held_out) + len(rest), len(held_out)
    places = {i * count // holdout for i in range(holdout)}
    first, second = iter(held_out), iter(rest)
    return [next(first) if i in places else next(second) for i in range(count)]


def _judged(kept: Sequence[Path], content: dict[Path, bytes]) -> dict[str, float]:
    """PSNR of what was encoded anew, of a sample: its mean and its least, in dB."""
    encoded = [file for file in kept if content.get(file, b"")[4:12] == b"ftypavif"]
    found = []
    for file in encoded[:: max(1, len(encoded) // SAMPLE)]:
        with Image.open(io.BytesIO(content[file])) as image:
            error = _pixels(image) - _pixels(_upright(file))
        found.append(10 * np.log10(255**2 / max(1e-9, np.square(error).mean())))
    return (
        {"psnr": round(float(np.mean(found)), 2), "least psnr": round(float(min(found)), 2)} if found else {}
    )


def _upright(file: Path) -> Image.Image:
    try:
        with Image.open(file) as image:
            return ImageOps.exif_transpose(image).convert("RGB")
    except OSError as error:
        raise InputError(f"{file}: cannot be decoded ({error})") from None


def _pixels(image: Image.Image) -> NDArray[np.float64]:
    return np.asarray(image.convert("RGB"), np.float64)


def _size(content: dict[Path, bytes]) -> int:
    return sum(map(len, content.values()))


def _bytes(folder: Path, names: Sequence[str]) -> int:
    return sum((folder / name).stat().st_size for name in names)
