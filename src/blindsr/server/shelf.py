"""Models: which may be asked for, loaded when first used, and gone when nobody has used them for a while."""

from __future__ import annotations

import ctypes
import gc
import re
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from blindsr.errors import BlindSRError, InputError
from blindsr.models.card import CARD, Model, read_card
from blindsr.models.catalogue import ADAPTING_MODEL, DEFAULT_MODEL, available_models

if TYPE_CHECKING:
    from blindsr.server.settings import Settings
    from blindsr.upscaling.upscaler import Upscaler

_ARENA_MAX = -8  # M_ARENA_MAX of malloc.h
_MADV_DONTNEED = 4  # of mman.h

MOST_LOADED = 2
"""Models that stay loaded at once."""


class Shelf:
    """The models of a server. Any number of threads may share one.

    Args:
        settings: Which models there are, and what they may take.

    Raises:
        InputError: One that is named is not there, or there is none.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.cards = _cards(settings.models)
        self._mutex = threading.Lock()
        self._loading = threading.Lock()
        self._loaded: dict[str, _Loaded] = {}
        self._returned = False

    @property
    def default(self) -> str:
        """The model of a job that names none."""
        return DEFAULT_MODEL if DEFAULT_MODEL in self.cards else next(iter(self.cards))

    @property
    def adapting(self) -> str | None:
        """The same for a profile; None where no model adapts."""
        able = [name for name, card in self.cards.items() if card.adaptive]
        return ADAPTING_MODEL if ADAPTING_MODEL in able else next(iter(able), None)

    @property
    def loaded(self) -> list[str]:
        """Names of the models in memory."""
        with self._mutex:
            return sorted(self._loaded)

    @contextmanager
    def upscaler(self, name: str, texture: float | None = None) -> Iterator[Upscaler]:
        """A model, ready, which stays loaded within the block.

        Args:
            name: One of `cards`.
            texture: As of `Upscaler`.

        Raises:
            BlindSRError: It cannot be loaded.
        """
        with self._loading:  # two at once would take the memory of two
            with self._mutex:
                found = self._loaded.get(name)
                if found is not None:
                    found.users += 1
            if found is None:
                self._make_room()
                found = _Loaded(self._load(name), users=1)
                with self._mutex:
                    self._loaded[name] = found
        try:
            yield found.upscaler if texture is None else found.upscaler.with_texture(texture)
        finally:
            with self._mutex:
                found.users -= 1
                found.last = time.monotonic()

    def tidy(self, idle: float) -> None:
        """Let go of the models that nobody has used for so many seconds."""
        now = time.monotonic()
        with self._mutex:
            old = [name for name, one in self._loaded.items() if not one.users and now - one.last >= idle]
            for name in old:
                del self._loaded[name]
            emptied = not self._loaded and not self._returned
            self._returned = not self._loaded and not old
        # Once more a while after: the engine's threads give back what they hold only then.
        if old or emptied:
            _return_memory()

    def _make_room(self) -> None:
        """Of as many models as may be loaded, let the one go that was not used for the longest time."""
        with self._mutex:
            free = sorted((one.last, name) for name, one in self._loaded.items() if not one.users)
            for _, name in free[: max(0, len(self._loaded) - MOST_LOADED + 1)]:
                del self._loaded[name]

    def _load(self, name: str) -> Upscaler:
        from blindsr.upscaling.upscaler import Upscaler

        settings, card = self._settings, self.cards[name].card
        assert card is not None  # it was read from there
        return Upscaler(
            card.parent,
            device="cpu",
            threads=settings.threads,
            memory=settings.restoring_memory,
            max_pixels=settings.max_pixels,
        )


@dataclass
class _Loaded:
    """A model in memory, and who uses it."""

    upscaler: Upscaler
    users: int = 0
    last: float = 0.0


def _cards(wanted: tuple[str, ...]) -> dict[str, Model]:
    """The models that may be asked for: by their names alone, which are no paths."""
    found = available_models()
    unknown = [name for name in wanted if name not in found]
    if unknown:
        raise InputError(f"--models {unknown[0][:60]}: no such model; there are {', '.join(found) or 'none'}")
    cards = {}
    for name in wanted or found:
        try:
            cards[name] = read_card(found[name] / CARD, verify=False)
        except BlindSRError:
            if wanted:
                raise
    if not cards:
        raise InputError('there is no model to serve; "blindsr pull" fetches one')
    return cards


def keep_memory_together() -> None:
    """Let threads share their heaps: of many small ones less can be given back. Of the GNU C library only."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).mallopt(_ARENA_MAX, 2)


def _return_memory() -> None:
    """Give what is free back to the system, where the C library keeps it otherwise."""
    gc.collect()
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)
            _forget_code("libopenvino")


def _forget_code(library: str) -> None:
    """Let go of a library's machine code: who runs it again reads it again. Of Linux only.

    Nothing else of it: what programs may have written to, such as addresses filled in, would be lost.
    """
    advise = ctypes.CDLL(None).madvise
    advise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    code = re.compile(r"([0-9a-f]+)-([0-9a-f]+) r-xp (?:\S+ ){3} *(\S.*)")
    for line in Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace").splitlines():
        found = code.fullmatch(line)
        if found is not None and Path(found[3]).name.startswith(library):
            start, end = int(found[1], 16), int(found[2], 16)
            advise(start, end - start, _MADV_DONTNEED)
