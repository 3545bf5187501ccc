"""Which models there are, and where they are found by name."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from blindsr.errors import ModelError
from blindsr.models.card import CARD, Model, read_card
from blindsr.system.folders import user_folder
from blindsr.system.nearest import nearest

DEFAULT_MODEL = "cria-x4-compact"
"""What restores where nobody says which model (docs/results/which-model.md argues why)."""
ADAPTING_MODEL = "cmdsr-x4"
"""The same where there are photos to adapt to."""
SHIPPED = Path(__file__).parents[1] / "weights"


def model_places() -> list[tuple[str, Path]]:
    """Where models are looked for, in that order, each with what it is called in the list of models.

    The entries of BLINDSR_MODELS, which lists folders as PATH does; the user's own folder of models, where
    `blindsr pull` puts them; the shipped ones.
    """
    listed = [Path(entry) for entry in os.environ.get("BLINDSR_MODELS", "").split(os.pathsep) if entry]
    own = user_folder("data")
    return [
        *(("BLINDSR_MODELS", entry) for entry in listed),
        *([("user", own / "models")] if own is not None else []),
        ("shipped", SHIPPED),
    ]


def available_models() -> dict[str, Path]:
    """Folders of the models that can be called by name; of one name, that found first in `model_places`.

    Each place may be a model's folder or hold several of them; hidden ones are left out. A model is called by
    its folder's name.

    Example:
        >>> sorted(blindsr.available_models())[:2]
        ['cmdsr-x2', 'cmdsr-x4']
    """
    found: dict[str, Path] = {}
    for _, place in model_places():
        if is_model(place):
            found.setdefault(place.resolve().name, place)
            continue
        with suppress(OSError):  # not there, or not for this user to look into
            for folder in sorted(place.iterdir()):
                if not folder.name.startswith(".") and is_model(folder):
                    found.setdefault(folder.name, folder)
    return found


def place_of(folder: Path) -> str:
    """What the place is called that an available model was found in; see `model_places`."""
    return next(kind for kind, place in model_places() if place in (folder, folder.parent))


def is_model(folder: Path) -> bool:
    """Whether a folder holds a card; one that may not be looked into holds none."""
    try:
        return (folder / CARD).is_file()
    except OSError:
        return False


def models_with_texture() -> list[str]:
    """Names of the available models whose texture can be turned up and down; faulty cards are passed over."""
    names = []
    for name, folder in available_models().items():
        with suppress(ModelError):
            if read_card(folder / CARD, verify=False).texture is not None:
                names.append(name)
    return names


_PLACES = ("/", "~", os.sep, os.altsep or os.sep)
"""What no name of a model holds: who writes it means a place on the disk."""


def find_model(name_or_path: str | Path) -> Model:
    """Find a model, read its card and verify its files.

    Args:
        name_or_path: The name of an available model, a model's folder, or the path of its card.

    Raises:
        ModelError: No such model, a faulty card, or a file that is missing or is not the one the card means.

    Example:
        >>> blindsr.load_model("cria-x4-compact").texture
        0.85
    """
    known = available_models()
    if str(name_or_path) in known:
        return read_card(known[str(name_or_path)] / CARD)
    path = Path(name_or_path).expanduser()
    if path.is_dir():
        try:
            there = (path / CARD).is_file()
        except OSError as error:
            raise ModelError(f"{path}: this folder cannot be read ({error.strerror})") from error
        if not there:
            raise ModelError(f"{path}: no {CARD} in this folder, so it is not a model")
        return read_card(path / CARD)
    if path.is_file():
        if path.suffix != ".json":
            raise ModelError(
                f"{path}: not a model card; give the folder that holds {CARD}"
                ' (a training checkpoint becomes one with "blindsr export")'
            )
        return read_card(path)
    if "://" in str(name_or_path):
        raise ModelError(f'{name_or_path}: models run from folders; fetch it once with "blindsr pull"')
    written_as_path = any(sign in str(name_or_path) for sign in _PLACES)
    if isinstance(name_or_path, Path) or written_as_path or path.suffix == ".json":
        raise ModelError(f"{path}: no such model folder")
    close = nearest(name_or_path, known, cutoff=0.5)
    hint = f"; did you mean {close[0]}?" if close else '; "blindsr pull" fetches more'
    raise ModelError(f"no model named {name_or_path!r} (known: {', '.join(known) or 'none'}){hint}")
