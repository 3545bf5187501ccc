"""What a model can do (scale, halo, pixel range, whether it adapts) and where its files are."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from blindsr.errors import ModelError
from blindsr.system.files import atomic_path, read_whole, sha256
from blindsr.system.nearest import nearest
from blindsr.system.untrusted import parse_json, shorten

CARD = "card.json"

MOST_PATCH = 1024
"""Largest side of a support patch, pixels."""

_MOST_PATCHES = 4096
_MOST_NUMBERS = 1 << 20  # of a condition, or a modulation
_MOST_MEMORY = 1 << 30
_LONGEST_PATH = 1000  # characters
_LONGEST = {"name": 200, "description": 2000, "licence": 500}  # characters

UNKNOWN_LICENCE = "unknown"
"""Of weights that nobody has said it of."""

TILE_MEMORY = 12_000
"""Bytes for each LR pixel of a tile where a card does not tell: what the published CMDSR takes."""

_FIELDS: dict[str, type | tuple[type, ...]] = {
    "name": str,
    "description": str,
    "scale": int,
    "halo": int,
    "pixel_range": (int, float),
    "adaptive": bool,
    "support": (dict, type(None)),
    "modulation_size": (int, type(None)),
    "condition_size": (int, type(None)),
    "texture": (int, float, type(None)),
    "multiple": int,
    "tile_memory": int,
    "files": dict,
    "network": dict,
    "licence": str,
    "provenance": dict,
    "metrics": dict,
}
_OPTIONAL = {
    "support",
    "modulation_size",
    "condition_size",
    "texture",
    "multiple",
    "tile_memory",
    "network",
    "provenance",
    "metrics",
}
_FILES = ("base", "condition", "weights", "inspect", "int8", "int8_weights")


@dataclass(frozen=True)
class SupportSpec:
    """The support set a model reads its condition from.

    Args:
        patch: Side of a patch, LR pixels.
        count: Patches the model was trained with.
        fixed_count: Whether the network takes exactly `count` patches, or any number of them.
    """

    patch: int
    count: int
    fixed_count: bool


@dataclass(frozen=True, kw_only=True, repr=False)
class Model:
    """A model, as its card describes it.

    `blindsr.load_model` reads it. Nothing in it changes, so threads may share one.

    Args:
        name: The name it is called by.
        description: One line on what it is for.
        scale: How many times larger the SR image is along each axis.
        halo: Receptive radius on the LR side, pixels; tiles with this halo show no seams.
        pixel_range: Pixels of its graphs are RGB in [0, pixel_range].
        adaptive: Whether it reads a support set and is modulated by it.
        support: The support set it wants; None when not adaptive.
        modulation_size: Length of the modulation; 0 when not adaptive.
        condition_size: Length of the condition; 0 when not adaptive.
        texture: How much of its texture view is added to its structure view unless somebody says otherwise,
            0 to 1; None for a model that has no such views.
        multiple: Sides of what its graph takes are multiples of this, LR pixels: photos are extended to that.
        tile_memory: Bytes that the engine takes for each LR pixel of a tile.
        tiled: Whether photos may be cut into tiles: False for a network that looks at the whole of them.
        measured: Whether the halo was measured, by which tiles differ from the whole by less than a level of
            8 bit; else they are exact.
        window: The only (height, width) that its graph takes, LR pixels; None for any.
        files: Verified paths by role: `base` and `condition` (ONNX graphs), `weights` (safetensors),
            `inspect` (what its conditions tell of a photo, see `blindsr.inspection.reading`), `int8` and
            `int8_weights` (the base graph in 8 bit, as OpenVINO's .xml and .bin). Of a file without a card it
            is `onnx`, `ncnn` and `ncnn_weights` (and `planes`), `spandrel` or `checkpoint`.
        digests: SHA-256 of each file, hexadecimal.
        network: Hyper-parameters from which the network is built for the PyTorch engine.
        licence: Licence of the weights.
        provenance: Where the weights come from.
        metrics: What was measured.
        card: The file that says all this; None for a model without one.

    Example:
        >>> model = blindsr.load_model("cmdsr-x4")
        >>> model
        <Model 'cmdsr-x4', x4, adapts to photos>
        >>> model.scale, model.adaptive, model.texture
        (4, True, None)
    """

    name: str
    description: str
    scale: int
    halo: int
    pixel_range: float
    adaptive: bool
    support: SupportSpec | None
    modulation_size: int
    condition_size: int
    files: Mapping[str, Path]
    digests: Mapping[str, str]
    licence: str
    network: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    tile_memory: int = TILE_MEMORY
    texture: float | None = None
    multiple: int = 1
    tiled: bool = True
    measured: bool = False
    window: tuple[int, int] | None = None
    card: Path | None = None

    def __repr__(self) -> str:
        able = ["adapts to photos"] * self.adaptive
        if self.texture is not None:
            able.append(f"texture {self.texture:g}")
        return f"<Model {', '.join([shorten(self.name), f'x{self.scale}', *able])}>"

    @property
    def reads(self) -> list[Path]:
        """Every file that the model is read from."""
        return [*self.files.values(), *([] if self.card is None else [self.card])]

    def file(self, role: str) -> Path:
        """Path of one of the model's files.

        Raises:
            ModelError: The model has no such file.
        """
        if role not in self.files:
            raise ModelError(f"model {self.name}: it has no {role!r} file (it has {', '.join(self.files)})")
        return self.files[role]


def read_card(path: Path, verify: bool = True) -> Model:
    """Read a model card.

    Args:
        path: The card, a JSON file beside the model's other files.
        verify: Compare every file with its SHA-256; without it only the card itself is read.

    Raises:
        ModelError: Names the card or the file, and its fault.
    """
    try:
        card = parse_json(read_whole(path))
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise ModelError(f"{path}: not valid JSON ({error})") from error
    if not isinstance(card, dict):
        raise ModelError(f"{path}: a model card is a JSON object, this is a {type(card).__name__}")
    _check_fields(path, card, _FIELDS, _OPTIONAL)
    for key, most in _LONGEST.items():
        _require(path, len(card[key]) <= most, f"{key} has more than {most} characters")
    scale, halo, pixel_range = card["scale"], card["halo"], card["pixel_range"]
    adaptive = card["adaptive"]
    _require(path, 1 <= scale <= 16, f"scale {shorten(scale)} is not between 1 and 16")
    _require(path, 0 <= halo <= 4096, f"halo {shorten(halo)} is not between 0 and 4096 pixels")
    _require(path, pixel_range in (1.0, 255.0), f"pixel_range {shorten(pixel_range)} is neither 1 nor 255")
    support = None
    if adaptive:
        support = _read_support(path, card.get("support"))
        for key in ("modulation_size", "condition_size"):
            size = card.get(key) or 0
            _require(path, size > 0, f"an adaptive model needs a positive {key}")
            _require(path, size <= _MOST_NUMBERS, f"{key} {shorten(size)} is beyond {_MOST_NUMBERS}")
    texture = card.get("texture")
    _require(path, texture is None or 0 <= texture <= 1, f"texture {shorten(texture)} is not between 0 and 1")
    multiple = card.get("multiple", 1)
    _require(path, 1 <= multiple <= 64, f"multiple {shorten(multiple)} is not between 1 and 64 pixels")
    memory = card.get("tile_memory", 1)
    fits = 1 <= memory <= _MOST_MEMORY
    _require(path, fits, f"tile_memory {shorten(memory)} is not between 1 and {_MOST_MEMORY} bytes")
    files = {role: _read_file(path, role, entry, verify) for role, entry in sorted(card["files"].items())}
    for role in ("base", "condition") if adaptive else ("base",):
        _require(path, role in files, f"files has no {role!r}")
    if "int8" in files or "int8_weights" in files:
        # The one names the other by its own name.
        pair = [files.get(role) for role in ("int8", "int8_weights")]
        stems = {None if file is None else file.with_suffix("") for file in pair}
        suffixes = [None if file is None else file.suffix for file in pair]
        fits = len(stems) == 1 and suffixes == [".xml", ".bin"]
        _require(path, fits, "files: int8 is NAME.xml and int8_weights NAME.bin beside it")
    return Model(
        name=card["name"],
        description=card["description"],
        scale=scale,
        halo=halo,
        pixel_range=float(pixel_range),
        adaptive=adaptive,
        support=support,
        modulation_size=card.get("modulation_size") or 0,
        condition_size=card.get("condition_size") or 0,
        files=files,
        digests={role: entry["sha256"].lower() for role, entry in sorted(card["files"].items())},
        licence=card["licence"],
        network=card.get("network", {}),
        provenance=card.get("provenance", {}),
        metrics=card.get("metrics", {}),
        tile_memory=card.get("tile_memory", TILE_MEMORY),
        texture=None if texture is None else float(texture),
        multiple=multiple,
        card=path,
    )


def write_card(folder: Path, entries: Mapping[str, Any]) -> None:
    """Write a model's card, whole or not at all."""
    with atomic_path(folder / CARD) as temporary:
        temporary.write_text(json.dumps(entries, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def add_to_card(folder: Path, files: Mapping[str, str], about: str, measured: Mapping[str, Any]) -> None:
    """Let a model's card name more of the files in its folder, and what was measured of them.

    Args:
        folder: The model's folder.
        files: Names of files that were written into it, by role.
        about: What `measured` is called among the card's metrics.
        measured: What JSON can hold.

    Raises:
        ModelError: What came of it is no model.
    """
    card = json.loads((folder / CARD).read_text(encoding="utf-8"))
    for role, name in files.items():
        card["files"][role] = {"path": name, "sha256": sha256(folder / name)}
    card.setdefault("metrics", {})[about] = measured
    write_card(folder, card)
    read_card(folder / CARD)


def drop_from_card(folder: Path, roles: Collection[str]) -> None:
    """Let a model's card forget files that are about to be replaced: if that fails, the others are a model.

    Args:
        folder: The model's folder.
        roles: Of the files.
    """
    card = json.loads((folder / CARD).read_text(encoding="utf-8"))
    kept = {role: file for role, file in card["files"].items() if role not in roles}
    if kept != card["files"]:
        write_card(folder, card | {"files": kept})


def _require(path: Path, condition: bool, fault: str) -> None:
    if not condition:
        raise ModelError(f"{path}: {fault}")


def _check_fields(
    path: Path,
    table: dict[str, Any],
    fields: Mapping[str, type | tuple[type, ...]],
    optional: set[str],
    where: str = "",
) -> None:
    """Each key is known, each needed key is there, each value has the right type."""
    for key in table:
        close = nearest(key, fields)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        _require(path, key in fields, f"unknown key {shorten(where + key)}{hint}")
    for key, kind in fields.items():
        _require(path, key in table or key in optional, f"{where + key!r} is missing")
        if key in table:
            value = table[key]
            kinds = kind if isinstance(kind, tuple) else (kind,)
            # In Python a bool is an int; in a card it is not.
            right = isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))
            names = " or ".join("null" if k is type(None) else k.__name__ for k in kinds)
            _require(path, right, f"{where + key!r} should be {names}, not {shorten(value)}")


def _read_support(path: Path, support: dict[str, Any] | None) -> SupportSpec:
    if support is None:
        raise ModelError(f"{path}: an adaptive model needs 'support'")
    _check_fields(path, support, {"patch": int, "count": int, "fixed_count": bool}, set(), "support.")
    for key, most in (("patch", MOST_PATCH), ("count", _MOST_PATCHES)):
        value = support[key]
        _require(path, 1 <= value <= most, f"support.{key} {shorten(value)} is not between 1 and {most}")
    return SupportSpec(**support)


def _read_file(path: Path, role: str, entry: object, verify: bool) -> Path:
    """Path of a file named by the card, which must lie in the card's folder and be the one that was meant."""
    _require(path, role in _FILES, f"files: unknown role {shorten(role)} (known: {', '.join(_FILES)})")
    if not isinstance(entry, dict):
        raise ModelError(f"{path}: files.{role} should be an object with path and sha256")
    _check_fields(path, entry, {"path": str, "sha256": str}, set(), f"files.{role}.")
    relative = PurePosixPath(entry["path"])
    inside = not relative.is_absolute() and ".." not in relative.parts
    # On Windows "\\" and ":" lead elsewhere as well.
    inside = inside and len(entry["path"]) <= _LONGEST_PATH
    inside = inside and entry["path"].isprintable() and not {"\\", ":"} & set(entry["path"])
    _require(
        path,
        inside and bool(relative.parts),
        f"files.{role}: {shorten(entry['path'])} is not a file in the model's folder",
    )
    digest = entry["sha256"].lower()
    well_formed = re.fullmatch("[0-9a-f]{64}", digest) is not None
    _require(path, well_formed, f"files.{role}: sha256 is not 64 hex digits")
    file = path.parent / relative
    if verify:
        try:
            actual = sha256(file)
        except OSError as error:
            raise ModelError(f"{file}: cannot be read ({error.strerror}); the model is incomplete") from error
        if actual != digest:
            raise ModelError(f"{file}: damaged or replaced (its SHA-256 is not the one in {path.name})")
    return file
