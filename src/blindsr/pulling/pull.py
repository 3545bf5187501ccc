"""A model from somewhere else: fetched, verified, and put among the models that can be called by name."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from blindsr.engine.trial import ensure_tried
from blindsr.errors import InputError, ModelError
from blindsr.models.card import CARD, Model, read_card
from blindsr.models.catalogue import available_models, is_model, model_places
from blindsr.pulling.sources import Archive, Source, Stream, find_source, gunzip, open_archive
from blindsr.system.files import DOCUMENT, exchange, is_folder, remove_leftovers, temporary_folder
from blindsr.system.files import sha256 as sha256_of
from blindsr.system.memory import show_bytes
from blindsr.system.untrusted import parse_json, shorten

__all__ = ["MAX_SIZE", "Pulled", "pull"]

MAX_SIZE = 2 << 30
"""Most bytes that a model, or the archive of one, may have unless somebody says otherwise."""

_REPLACED = ".blindsr-replaced-"
"""Begins the name of a model that is being replaced."""

OnBytes = Callable[[str, int, int | None], None]
"""Told of the file that is being fetched: its path or URL, bytes done, bytes in all (None: not known)."""


@dataclass(frozen=True)
class Pulled:
    """A model that is in its place.

    Nothing in it changes, so threads may share one.

    Args:
        name: What it is called by, if its folder is one where models are looked for.
        folder: Where it is.
        fetched: Whether it was fetched; False: it was there already, whole.
        sha256: SHA-256 of the card, or of the archive that the model came in: what pins it.

    Example:
        >>> blindsr.pull("downloads/faces-x4", folder="shelf").fetched
        True
        >>> blindsr.pull("downloads/faces-x4", folder="shelf").fetched  # it is there already
        False
    """

    name: str
    folder: Path
    fetched: bool
    sha256: str


def pull(
    source: str | Path,
    *,
    name: str | None = None,
    folder: str | Path | None = None,
    sha256: str | None = None,
    force: bool = False,
    max_size: int = MAX_SIZE,
    on_bytes: OnBytes | None = None,
) -> Pulled:
    """Fetch a model and put it where it can be called by name.

    Its card and the files that the card names are fetched into a temporary folder, each compared with its
    SHA-256; its graphs are run once in a process of their own, see `blindsr.engine.trial`; and the folder
    gets its place by one rename, or by one exchange for the model that it replaces: at any moment the one or
    the other is there, wholly. What the card does not name is not fetched.

    Args:
        source: Path, or URL of http, https or file, of a model's folder, of its card, or of an archive of it
            (.zip, .tar.gz, .tgz, .tar); see `find_source`.
        name: What to call it; None: as its card does.
        folder: Folder of models to put it into, made if need be. None: the first in BLINDSR_MODELS that is
            there, holds models and can be written to, else the user's own.
        sha256: SHA-256 that the card, or the archive, must have; hexadecimal.
        force: Replace a model of that name with other content, or come before it.
        max_size: Most bytes that the model's files may have together, and the archive as it comes and
            unpacked.
        on_bytes: Called as files arrive.

    Raises:
        ModelError: The source is not there, is no sound model, or is not the one that `sha256` means.
        InputError: The name cannot be used or is taken, or the folder cannot be written to.

    Example:
        >>> pulled = blindsr.pull("downloads/faces-x4", name="faces", folder="shelf")
        >>> blindsr.load_model(pulled.folder).scale
        2
    """
    if name is not None:
        _check_name(name)
    if sha256 is not None and re.fullmatch("[0-9a-fA-F]{64}", sha256) is None:
        raise InputError(f"sha256 {sha256!r}: give the 64 hex digits of the card's or the archive's SHA-256")
    place = _place_for_models() if folder is None else Path(folder)
    _recover(place)
    with _writing(place), ExitStack() as stack:
        workspace = cache(lambda: stack.enter_context(_workspace(place)))
        found = find_source(str(source))
        if isinstance(found, Archive):
            file, pin = _fetch_archive(found, workspace, sha256, max_size, on_bytes)
            found = stack.enter_context(closing(open_archive(file, found.packing, found.where)))
            where, card = _read_card(found)
        else:
            where, card = _read_card(found)
            pin = hashlib.sha256(card).hexdigest()
            _check_pin(where, pin, sha256)
        target = place / (name or _name_in(card, where))
        there = _find_namesake(target, everywhere=folder is None)
        same = there is not None and (there / CARD).read_bytes() == card
        if there is not None and same and _is_whole(there):
            return Pulled(target.name, there, False, pin)
        if there is not None and not (same or force):
            raise InputError(
                f"{there}: a model of that name is there already, with other content; give this one another"
                " with --name, or its place with --force"
            )
        new = workspace() / "model"
        model = _fetch_model(found, card, where, new, max_size, on_bytes)
        try:
            ensure_tried(model)
        except ModelError as error:  # which tells of the copy
            raise ModelError(f"{where}: {str(error).replace(f'{new}{os.sep}', '')}") from error
        _put(model, new, target)
    return Pulled(target.name, target, True, pin)


def _place_for_models() -> Path:
    """The folder of models that a model is put into if nobody says where."""
    for kind, place in model_places():
        if kind == "user":
            return place
        may_be_written = os.access(place, os.W_OK | os.X_OK)
        if kind == "BLINDSR_MODELS" and is_folder(place) and not is_model(place) and may_be_written:
            return place
    raise InputError("there is no home to keep models in; name a folder with --to")


@contextmanager
def _writing(place: Path) -> Iterator[None]:
    """Say of what cannot be written that it cannot; what cannot be read is told of by its source."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{error.filename or place}: cannot be written ({error.strerror}); free some space, or name"
            " another folder with --to"
        ) from error


@contextmanager
def _workspace(place: Path) -> Iterator[Path]:
    """A temporary folder beside the models."""
    place.mkdir(parents=True, exist_ok=True)
    remove_leftovers(place)
    with temporary_folder(place) as workspace:
        yield workspace


def _fetch_archive(
    archive: Archive,
    workspace: Callable[[], Path],
    pin: str | None,
    max_size: int,
    on_bytes: OnBytes | None,
) -> tuple[Path, str]:
    """An archive that can be looked into, and the SHA-256 of what it came as."""
    file = archive.file
    if file is None:
        assert archive.stream is not None
        file = workspace() / "archive"
        _, digest = _save(archive.stream, file, max_size, max_size, on_bytes)
    else:
        try:
            digest = sha256_of(file)
        except OSError as error:
            raise ModelError(f"{file}: cannot be read ({error.strerror})") from error
    _check_pin(archive.where, digest, pin)
    if archive.packing == "tar.gz":
        packed, file = file, workspace() / "archive.tar"
        _save(gunzip(packed, archive.where), file, max_size, max_size, None)
    return file, digest


def _read_card(source: Source) -> tuple[str, bytes]:
    """Where a card is, and its content."""
    stream = source.open(source.card)
    card = b""
    for block in stream.blocks:
        card += block
        if len(card) > DOCUMENT:
            raise ModelError(f"{stream.where}: larger than {show_bytes(DOCUMENT)}, so it is no model card")
    return stream.where, card


def _fetch_model(
    source: Source, card: bytes, where: str, new: Path, max_size: int, on_bytes: OnBytes | None
) -> Model:
    """Fetch the files that a card names into a new folder; each is compared with its SHA-256."""
    new.mkdir()
    path = new / CARD
    _save(Stream(where, len(card), iter([card])), path, DOCUMENT, DOCUMENT, None)
    try:
        model = read_card(path, verify=False)
    except ModelError as error:  # which tells of the copy
        raise ModelError(f"{where}: {str(error).removeprefix(f'{path}: ')}") from error
    left, where_from = max_size, where
    digests: dict[Path, str] = {}
    for role, file in model.files.items():
        relative = file.relative_to(new).as_posix()
        if file not in digests:
            stream = source.open(relative)
            file.parent.mkdir(parents=True, exist_ok=True)
            try:
                size, digests[file] = _save(stream, file, left, max_size, on_bytes)
            except FileExistsError as error:
                raise ModelError(f"{where}: files.{role}: {relative!r} is another file's name") from error
            left -= size
            where_from = stream.where
        if digests[file] != model.digests[role]:
            raise ModelError(f"{where_from}: not the file that the card means (its SHA-256 is another)")
    return model


def _save(
    stream: Stream, target: Path, left: int, max_size: int, on_bytes: OnBytes | None
) -> tuple[int, str]:
    """Write what arrives to a new file.

    Args:
        stream: What arrives.
        target: The file.
        left: Most bytes that it may have.
        max_size: What it may have together with others, for the message.
        on_bytes: Called after each block.

    Returns:
        Its size in bytes and its SHA-256.

    Raises:
        ModelError: It is too large, or cannot be read to its end.
        OSError: It cannot be written; FileExistsError: there is such a file.
    """
    too_large = ModelError(
        f"{stream.where}: takes the model beyond {show_bytes(max_size)}; a larger one needs --max-size"
    )
    if stream.size is not None and stream.size > left:
        raise too_large
    size, digest = 0, hashlib.sha256()
    with target.open("xb") as file:
        for block in stream.blocks:
            size += len(block)
            if size > left:
                raise too_large
            digest.update(block)
            file.write(block)
            if on_bytes is not None:
                on_bytes(stream.where, size, stream.size)
        file.flush()
        os.fsync(file.fileno())
    return size, digest.hexdigest()


def _put(model: Model, new: Path, target: Path) -> None:
    """Give a new model its place; one that is there is exchanged for it, and goes with the workspace.

    Where the system cannot exchange two folders, the old one gets a name of its own in between; of a process
    that is killed then, `_recover` gives it its place back.

    Raises:
        InputError: There is more in its place than a model, which nobody asked to remove.
    """
    there = os.path.lexists(target)
    if there and not target.is_symlink():
        own = {path for folder in (new, target) for path in _files_of(folder)}
        for path in sorted(target.rglob("*")):
            if not path.is_dir() and path.relative_to(target) not in own:
                raise InputError(f"{path}: in the place of the model, and not part of it; move it away first")
    if not there:
        new.rename(target)
    elif not exchange(new, target):
        aside = target.with_name(f"{_REPLACED}{target.name}")
        target.rename(aside)
        try:
            new.rename(target)
        except BaseException:
            aside.rename(target)
            raise
        aside.rename(new)


def _recover(place: Path) -> None:
    """Give models their places back that a killed process was about to replace, or remove them if it had."""
    with suppress(OSError):
        for aside in list(place.glob(f"{_REPLACED}*")):
            target = aside.with_name(aside.name.removeprefix(_REPLACED))
            if not os.path.lexists(target):
                aside.rename(target)
            elif aside.is_symlink():
                aside.unlink()
            else:
                shutil.rmtree(aside)


def _files_of(folder: Path) -> list[Path]:
    """Paths of a model's files in its folder; of one with a faulty card only the card's."""
    try:
        files = read_card(folder / CARD, verify=False).files.values()
    except ModelError:
        files = {}.values()
    return [Path(CARD), *(file.relative_to(folder) for file in files)]


def _find_namesake(target: Path, everywhere: bool) -> Path | None:
    """The folder of the model that is called as the target is: in its place, or, if asked for, anywhere.

    Raises:
        InputError: What is in its place is no model.
    """
    if not os.path.lexists(target):
        return available_models().get(target.name) if everywhere else None
    if not is_model(target):
        raise InputError(
            f"{target}: in the way, and no model; move it away, or give another name with --name"
        )
    return target


def _is_whole(folder: Path) -> bool:
    """Whether all of a model's files are those that its card means."""
    try:
        read_card(folder / CARD)
    except ModelError:
        return False
    return True


def _check_pin(where: str, digest: str, pin: str | None) -> None:
    if pin is not None and digest != pin.lower():
        raise ModelError(f"{where}: its SHA-256 is {digest}, not the one that was asked for")


def _name_in(card: bytes, where: str) -> str:
    """The name that a card gives its model."""
    try:
        content = parse_json(card)
    except ValueError as error:
        raise ModelError(f"{where}: no model card, not valid JSON ({error})") from error
    name = content.get("name") if isinstance(content, dict) else None
    if not isinstance(name, str):
        raise ModelError(f"{where}: no model card, it names no model")
    _check_name(name)
    return name


def _check_name(name: str) -> None:
    """Refuse a name that is no folder's, or that would be a place elsewhere."""
    if re.fullmatch(r"\w[\w.+-]{0,99}", name) is None or name.endswith("."):
        raise InputError(
            f"model name {shorten(name, 120)}: not fit for a folder; give one of letters, digits and . _ + -"
            " with --name"
        )
