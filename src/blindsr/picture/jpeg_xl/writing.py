"""Frames of samples as a JPEG XL file, with what belongs to them."""

from __future__ import annotations

import ctypes
import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import accumulate, pairwise
from math import lcm
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from blindsr.picture.jpeg_xl import library as jxl
from blindsr.picture.jpeg_xl.reading import Reader, pixel_format
from blindsr.picture.loaders import UndecodableError
from blindsr.picture.profiles import PRIMARIES

LOSSLESS = 100
"""The quality at which nothing is lost."""

SRGB = (1, 13)
"""Its code points."""

_PIECE = 1 << 20
_FINEST = 1_000_000  # ticks a second, where the durations have no common measure above
_MILLISECOND = 1000  # ticks a second
_MOST_TICKS = (1 << 32) - 2  # that a frame is shown; one more would make pages of frames
_EFFORT = 3
_TRANSFERS = {
    **{code: code for code in (1, 8, 13, 16, 17, 18)},
    **dict.fromkeys((6, 14, 15), 1),
    **dict.fromkeys((4, 5), jxl.GAMMA),
}
"""Transfer characteristics by code points of H.273 -> the format's own."""

_GAMMAS = {4: 1 / 2.2, 5: 1 / 2.8}
_RED = slice(2, 4), slice(4, 6), slice(6, 8)


@dataclass(frozen=True)
class Belongings:
    """What a file says besides its samples.

    Args:
        icc: Colour profile; without it `code_points` count.
        code_points: Primaries and transfer characteristics as in H.273, such as `has_place_for` knows.
        peak: Candelas a square metre of the largest sample; None for what is usual of such colours.
        exif: EXIF block.
        xmp: XMP packet.
    """

    icc: bytes | None = None
    code_points: tuple[int, int] = SRGB
    peak: float | None = None
    exif: bytes | None = None
    xmp: bytes | None = None


def is_at_hand() -> bool:
    """Whether libjxl is."""
    try:
        jxl.libjxl()
    except ModuleNotFoundError:
        return False
    return True


def has_place_for(primaries: int, transfer: int) -> bool:
    """Whether a file can tell colours by these code points of H.273."""
    return primaries in PRIMARIES and transfer in _TRANSFERS


@lru_cache(16)
def keeps(profile: bytes, gray: bool) -> bool:
    """Whether a file with loss has this profile as it is: of many libjxl keeps the numbers alone."""
    file = io.BytesIO()
    level = np.zeros((1, 1, 1 if gray else 3), np.uint8)
    try:
        write(file, [level], 8, LOSSLESS - 1, Belongings(profile))
        with Reader(file.getvalue()) as reader:
            return reader.icc == profile
    except (ValueError, ModuleNotFoundError, UndecodableError):  # which is told when the file is written
        return False


def write(
    file: IO[bytes],
    frames: Iterable[NDArray[Any]],
    depth: int,
    quality: int,
    belongings: Belongings,
    durations: Sequence[Fraction] | None = None,
    plays: int = 0,
) -> None:
    """Write frames of one size.

    Args:
        file: Open for writing.
        frames: (H, W, C): one colour or three, then alpha if their number is even.
        depth: Bits a sample: uint8 of 8, uint16 of more.
        quality: 1 to 100, which is lossless.
        belongings: What the file says besides.
        durations: Seconds that each frame is shown; None of a still picture.
        plays: How many times all are; 0 for ever.

    Raises:
        ModuleNotFoundError: Libjxl is not at hand.
        ValueError: Libjxl refuses it.
        OSError: The disk is full.
    """
    ticks, told = (1, [0]) if durations is None else _in_ticks(durations)
    settings = None
    with _Encoder() as encoder:
        for number, (levels, duration) in enumerate(zip(frames, told, strict=True)):
            if settings is None:
                timing = None if durations is None else (ticks, plays)
                encoder.begin(levels.shape, depth, quality, belongings, timing)
                settings = encoder.settings(quality, levels.shape[2] % 2 == 0, depth)
            if durations is not None:
                encoder.set_duration(settings, duration)
            encoder.add(settings, np.ascontiguousarray(levels))
            if number == len(told) - 1:
                encoder.do("CloseFrames")
            for piece in encoder.pieces():
                file.write(piece)


def _in_ticks(durations: Sequence[Fraction]) -> tuple[int, list[int]]:
    """Ticks a second, and how many each frame is shown: their sum stays where they are rounded.

    A frame that is shown for no time would be a layer of the next one, so it gets a tick.
    """
    ticks = min(lcm(*(one.denominator for one in durations)), _FINEST)
    if min(durations) == 0:
        ticks *= -(-_MILLISECOND // ticks)
    places = [round(end * ticks) for end in accumulate(durations, initial=Fraction(0))]
    return ticks, [max(1, min(after - before, _MOST_TICKS)) for before, after in pairwise(places)]


class _Encoder:
    """An encoder; use it as a context manager."""

    def __init__(self) -> None:
        self._library, self._open = jxl.libjxl(), ExitStack()
        self._threads = self._open.enter_context(jxl.Threads())
        self._encoder = self._library.JxlEncoderCreate(None)
        if not self._encoder:
            raise MemoryError
        self._open.callback(self._library.JxlEncoderDestroy, self._encoder)
        if self._threads.function is not None:
            self.do("SetParallelRunner", self._threads.function, self._threads.state)

    def __enter__(self) -> _Encoder:
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()

    def do(self, name: str, *arguments: Any) -> None:  # noqa: ANN401
        """A function of the library's with the encoder as its first argument.

        Raises:
            ValueError: It refuses.
        """
        self.on(self._encoder, name, *arguments)

    def on(self, object_: Any, name: str, *arguments: Any) -> None:  # noqa: ANN401
        """The same with another first argument, as settings are."""
        passed = (ctypes.byref(one) if isinstance(one, ctypes.Structure) else one for one in arguments)
        if getattr(self._library, f"JxlEncoder{name}")(object_, *passed):
            raise self._failure(name)

    def begin(
        self,
        shape: tuple[int, ...],
        depth: int,
        quality: int,
        belongings: Belongings,
        animation: tuple[int, int] | None,
    ) -> None:
        """All that stands before the first frame."""
        info = jxl.BasicInfo()
        self._library.JxlEncoderInitBasicInfo(ctypes.byref(info))
        info.height, info.width, channels = shape
        info.bits, info.colours = depth, 1 if channels < 3 else 3
        info.extra_channels = 1 - channels % 2
        info.alpha_bits = depth * info.extra_channels
        info.original_profile = quality == LOSSLESS
        info.peak = belongings.peak or 0.0
        if animation is not None:
            info.animation, (info.ticks, info.plays), info.tick_seconds = 1, animation, 1
        self.do("UseContainer", 1)
        self.do("UseBoxes")
        self.do("SetBasicInfo", info)
        if belongings.icc is not None:
            self.do("SetICCProfile", belongings.icc, len(belongings.icc))
        else:
            self.do("SetColorEncoding", encoding_of(*belongings.code_points, gray=info.colours == 1))
        if belongings.exif is not None:
            self._add_box(b"Exif", bytes(4) + belongings.exif)
        if belongings.xmp is not None:
            self._add_box(b"xml ", belongings.xmp)
        self.do("CloseBoxes")

    def _add_box(self, name: bytes, content: bytes) -> None:
        self.do("AddBox", name, content, len(content), 0)

    def settings(self, quality: int, alpha: bool, depth: int) -> Any:  # noqa: ANN401
        """How frames are encoded."""
        made = self._library.JxlEncoderFrameSettingsCreate(self._encoder, None)
        self.on(made, "FrameSettingsSetOption", jxl.EFFORT, _EFFORT)
        self.on(made, "SetFrameBitDepth", jxl.BitDepth(jxl.FROM_CODESTREAM, depth, 0))
        if quality == LOSSLESS:
            self.on(made, "SetFrameLossless", 1)
            return made
        self.on(made, "SetFrameDistance", self._library.JxlEncoderDistanceFromQuality(quality))
        if alpha:
            self.on(made, "SetExtraChannelDistance", 0, 0.0)
        return made

    def set_duration(self, settings: Any, ticks: int) -> None:  # noqa: ANN401
        """How long the next frame is shown."""
        header = jxl.FrameHeader()
        self._library.JxlEncoderInitFrameHeader(ctypes.byref(header))
        header.duration = ticks
        self.on(settings, "SetFrameHeader", header)

    def add(self, settings: Any, levels: NDArray[Any]) -> None:  # noqa: ANN401
        """The next frame."""
        self.on(settings, "AddImageFrame", pixel_format(levels), levels.ctypes.data, levels.nbytes)

    def pieces(self) -> Iterator[bytes]:
        """What can be written by now."""
        room, status = ctypes.create_string_buffer(_PIECE), jxl.ENCODER_NEEDS_MORE_OUTPUT
        while status == jxl.ENCODER_NEEDS_MORE_OUTPUT:
            place, left = ctypes.c_void_p(ctypes.addressof(room)), ctypes.c_size_t(_PIECE)
            status = self._library.JxlEncoderProcessOutput(
                self._encoder, ctypes.byref(place), ctypes.byref(left)
            )
            if status not in (jxl.SUCCESS, jxl.ENCODER_NEEDS_MORE_OUTPUT):
                raise self._failure("ProcessOutput")
            yield room.raw[: _PIECE - left.value]

    def _failure(self, name: str) -> ValueError:
        """What went wrong in a function."""
        return ValueError(f"libjxl refuses: {name}, error {self._library.JxlEncoderGetError(self._encoder)}")


def encoding_of(primaries: int, transfer: int, gray: bool) -> jxl.ColourEncoding:
    """Colours told by code points, as the format tells them: by numbers."""
    values = PRIMARIES[primaries]
    made = jxl.ColourEncoding(space=jxl.GRAY if gray else jxl.RGB, white=jxl.CUSTOM, primaries=jxl.CUSTOM)
    for array, part in zip(
        (made.white_xy, made.red, made.green, made.blue), (slice(0, 2), *_RED), strict=True
    ):
        array[:] = values[part]
    made.transfer, made.gamma = _TRANSFERS[transfer], _GAMMAS.get(transfer, 0.0)
    made.intent = 1  # media-relative
    return made
