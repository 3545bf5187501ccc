"""What a JPEG XL file says of itself, its boxes, and its frames as samples."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blindsr.picture.jpeg_xl import library as jxl
from blindsr.picture.loaders import UndecodableError
from blindsr.picture.metadata.pieces import LARGEST
from blindsr.picture.profiles import PRIMARIES, Chromaticities

_ALIKE = 0.0015  # of two chromaticities, as the format rounds them
_MOST_BOXES = 1 << 12
_DATA = 1  # the profile of what is decoded, not that of what was encoded
_READ = (b"Exif", b"xml ")
_PIECE = 1 << 16
_STEPS = 128  # of a damaged file, to find how much of it can be read


class CutShortError(UndecodableError):
    """A file that ends before its pictures do."""


@dataclass(frozen=True)
class Colours:
    """What colours mean, where the file tells it by numbers and no profile.

    Args:
        primaries: Code point as in H.273; None where no code point means these.
        transfer: The same; None for a power.
        gamma: The power of a display; 0 where `transfer` tells it.
        chromaticities: Of white, red, green and blue.
    """

    primaries: int | None
    transfer: int | None
    gamma: float
    chromaticities: Chromaticities


@dataclass(frozen=True)
class Header:
    """What the file says of its pictures before any of them is decoded.

    Args:
        width: Columns, upright.
        height: Rows, upright.
        gray: Whether there is one colour.
        alpha: Whether there is alpha.
        dtype: Of the samples: float32, uint8, or uint16 up to 65535.
        bits: Of a sample, as the file says.
        further: Channels that are neither colours, black nor alpha.
        black: Which of the extra channels is the black of CMYK; None of other colours.
        frames: Whether frames follow each other in time.
        tick: Seconds that a frame's duration counts in.
        plays: How many times all are shown; 0 for ever.
        lossless: Whether its samples are those that were encoded, perhaps.
        peak: Candelas a square metre of the largest sample, as the file says.
    """

    width: int
    height: int
    gray: bool
    alpha: bool
    dtype: np.dtype[Any]
    bits: int
    further: int
    black: int | None
    frames: bool
    tick: Fraction
    plays: int
    lossless: bool
    peak: float

    @property
    def bands(self) -> int:
        """Channels that are decoded: colours, the black of CMYK, then alpha."""
        return (1 if self.gray else 3) + (self.black is not None) + self.alpha


@dataclass(frozen=True)
class Box:
    """A box of a file: its name, bytes of it there, and its content if that is metadata and whole."""

    name: bytes
    size: int
    content: bytes | None


@dataclass(frozen=True)
class Layer:
    """A picture that is decoded for a frame: that itself, or one that it is laid on.

    Args:
        width: Columns, which may be more than those of the frame.
        height: Rows.
        shown: Whether it completes a frame.
        ticks: How long that is shown.
    """

    width: int
    height: int
    shown: bool
    ticks: int


class Reader:
    """A file from its beginning to its end; use it as a context manager.

    Args:
        content: The file.
        most: Bytes that decoding may take; None for any number.

    Raises:
        ModuleNotFoundError: Libjxl is not at hand.
        UndecodableError: The header is damaged.

    Attributes:
        header: What it says.
        icc: Colour profile of what is decoded; None where `colours` tells it.
        colours: What colours mean, without a profile.
    """

    def __init__(self, content: bytes, most: int | None = None) -> None:
        self.header: Header
        self.icc: bytes | None = None
        self.colours: Colours | None = None
        self._content, self._most = content, most
        self._start(content)

    def _start(self, content: bytes) -> None:
        events = jxl.BASIC_INFO | jxl.COLOUR | jxl.FRAME | jxl.FULL_IMAGE
        self._decoder = _Decoder(content, events, self._most)
        try:
            self._read_header()
        except BaseException:
            self._decoder.close()
            raise

    def frames(self, damaged: bool = False) -> Iterator[NDArray[Any]]:
        """The samples of each frame, (H, W, C); of CMYK, 0 is all the ink.

        Args:
            damaged: Whether what is there of a frame that is cut short is enough; it is the last one then.

        Raises:
            UndecodableError: It is damaged, or cut short.
        """
        planes: list[NDArray[Any]] = []
        while (status := self._decoder.next()) != jxl.SUCCESS:
            if status == jxl.FRAME:
                planes = []
            elif status == jxl.NEED_BUFFER:
                planes = self._buffers()
            elif status == jxl.FULL_IMAGE and planes:
                yield self._joined(planes)
            elif status in (jxl.ERROR, jxl.NEED_MORE_INPUT):
                if status == jxl.ERROR or not (planes and damaged):
                    raise _failure(status)
                self._decoder.call("FlushImage")
                yield self._joined(planes)
                return

    @property
    def durations(self) -> tuple[Fraction, ...]:
        """Seconds that each frame is shown, as far as the file is whole."""
        shown = (one.ticks for one in layers(self._content) if one.shown)
        return tuple(self.header.tick * ticks for ticks in shown)

    def restart(self, content: bytes) -> None:
        """Begin again, with as much of the file.

        Raises:
            UndecodableError: The header is damaged.
        """
        self._decoder.close()
        self._start(content)

    @property
    def refused(self) -> bool:
        """Whether decoding would have taken more memory than it may."""
        return self._decoder.refused

    def close(self) -> None:
        """Give its memory back."""
        self._decoder.close()

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _read_header(self) -> None:
        info = jxl.BasicInfo()
        status = self._decoder.next()
        if status != jxl.BASIC_INFO or self._decoder.ask("GetBasicInfo", info):
            raise _failure(status)
        self.header = _header(info, self._kinds(info.extra_channels))
        status = self._decoder.next()
        if status != jxl.COLOUR:
            raise _failure(status)
        self._keep_colours()
        encoding = jxl.ColourEncoding()
        if self._decoder.ask("GetColorAsEncodedProfile", _DATA, encoding) == jxl.SUCCESS:
            self.colours = _colours(encoding)
        if self.colours is None:
            self.icc = self._decoder.profile(_DATA)

    def _keep_colours(self) -> None:
        """Let samples mean what they meant when they were encoded: else some would be linear, or sRGB."""
        if self.header.lossless:
            return
        encoding = jxl.ColourEncoding()
        if self._decoder.ask("GetColorAsEncodedProfile", 0, encoding) == jxl.SUCCESS:
            self._decoder.ask("SetOutputColorProfile", encoding, None, 0)
        elif (profile := self._decoder.profile(0)) is not None:
            self._decoder.call("SetOutputColorProfile", None, profile, len(profile))

    def _kinds(self, number: int) -> list[int]:
        """What the extra channels are."""
        one, found = jxl.ExtraChannel(), []
        for index in range(number):
            self._decoder.ask("GetExtraChannelInfo", index, one)
            found.append(one.kind)
        return found

    def _buffers(self) -> list[NDArray[Any]]:
        """Where the next frame's samples go, black by itself; of a damaged one some are never written."""
        header, ask = self.header, self._decoder.ask
        black = header.black is not None
        levels = np.zeros((header.height, header.width, header.bands - black), header.dtype)
        layout, size = pixel_format(levels), ctypes.c_size_t()
        ask("ImageOutBufferSize", layout, size)
        if size.value != levels.nbytes or ask("SetImageOutBuffer", layout, levels.ctypes.data, size.value):
            raise UndecodableError("its frames have another size than it says")
        if not black:
            return [levels]
        plane = np.zeros((header.height, header.width, 1), header.dtype)
        layout = pixel_format(plane)
        if ask("SetExtraChannelBuffer", layout, plane.ctypes.data, plane.nbytes, header.black):
            raise UndecodableError("its black has another size than it says")
        return [levels, plane]

    def _joined(self, planes: list[NDArray[Any]]) -> NDArray[Any]:
        """All channels of a frame in their order."""
        levels, *black = planes
        return np.concatenate([levels[:, :, :3], *black, levels[:, :, 3:]], axis=2) if black else levels


def sound_part(content: bytes, most: int | None = None) -> bytes:
    """As much of a damaged file as can be decoded before libjxl refuses it, about.

    When it does, all that it has decoded since it was last given something to read is lost.

    Args:
        content: The file.
        most: As in `Reader`.

    """
    good, bad = 0, len(content) + 1
    while bad - good > max(1, len(content) // _STEPS):
        middle = (good + bad) // 2
        if _is_sound(content[:middle], most):
            good = middle
        else:
            bad = middle
    return content[:good]


def _is_sound(content: bytes, most: int | None) -> bool:
    """Whether nothing is wrong with a file but that it ends too early."""
    try:
        with Reader(content, most) as reader:
            for _ in reader.frames():
                pass
    except CutShortError:
        return True
    except UndecodableError:
        return False
    return True


def layers(content: bytes) -> Iterator[Layer]:
    """What a file's frames are made of, as far as it is whole; nothing is decoded.

    Raises:
        ModuleNotFoundError: Libjxl is not at hand.
    """
    told = jxl.FrameHeader()
    with closing(_Decoder(content, jxl.FRAME)) as decoder:
        decoder.call("SetCoalescing", 0)
        while decoder.next() == jxl.FRAME:
            decoder.ask("GetFrameHeader", told)
            ticks = int(told.duration)
            yield Layer(told.width, told.height, ticks > 0 or bool(told.last), ticks)


def pixel_format(levels: NDArray[Any]) -> jxl.PixelFormat:
    """How samples lie in memory."""
    types = {"f": jxl.FLOAT, "u": jxl.UINT8 if levels.dtype.itemsize == 1 else jxl.UINT16}
    return jxl.PixelFormat(levels.shape[2], types[levels.dtype.kind], 0, 0)


def boxes(content: bytes) -> list[Box]:
    """The boxes of a file, those of metadata with what is in them; of a damaged file those before.

    Raises:
        ModuleNotFoundError: Libjxl is not at hand.
    """
    found: list[Box] = []
    with closing(_Decoder(content, jxl.BOX)) as decoder:
        decoder.call("SetDecompressBoxes", 1)
        decoder.call("CloseInput")  # the last box may have no end but that of the file
        reading: _BoxContent | None = None
        while (status := decoder.next()) in (jxl.BOX, jxl.BOX_NEED_MORE):
            if status == jxl.BOX_NEED_MORE and reading is not None:
                if not reading.grow():
                    break
                continue
            if reading is not None:
                found.append(reading.box())
            if len(found) >= _MOST_BOXES:
                return found
            reading = _BoxContent(decoder)
        if reading is not None:
            found.append(reading.box(whole=status == jxl.SUCCESS))
    return found


class _BoxContent:
    """A box that is being read."""

    def __init__(self, decoder: _Decoder) -> None:
        name, size = ctypes.create_string_buffer(4), ctypes.c_uint64()
        decoder.call("GetBoxType", name, 1)
        decoder.ask("GetBoxSizeRaw", size)
        self._decoder, self._name, self._size = decoder, name.raw, size.value
        self._parts: list[bytes] = []
        self._wanted = self._name in _READ
        if self._wanted:
            self._offer()

    def grow(self) -> bool:
        """Take what has been read, and make room for more; False where it is too large."""
        self._take()
        if sum(map(len, self._parts)) > LARGEST:
            return False
        self._offer()
        return True

    def box(self, whole: bool = True) -> Box:
        """It, now that all of it is read, or the file ends in it."""
        if self._wanted:
            self._take()
        return Box(self._name, self._size, b"".join(self._parts) if self._wanted and whole else None)

    def _offer(self) -> None:
        self._room = ctypes.create_string_buffer(_PIECE)
        self._decoder.call("SetBoxBuffer", self._room, _PIECE)

    def _take(self) -> None:
        left = self._decoder.call("ReleaseBoxBuffer")
        self._parts.append(self._room.raw[: _PIECE - left])


class _Decoder:
    """A decoder with the file that it reads."""

    def __init__(self, content: bytes, events: int, most: int | None = None) -> None:
        self._library, self._open = jxl.libjxl(), ExitStack()
        self._content = content  # the decoder does not keep it
        self._threads = self._open.enter_context(jxl.Threads())
        self._memory = jxl.Memory(most)
        manager = self._memory.manager
        self._decoder = self._library.JxlDecoderCreate(manager and ctypes.byref(manager))
        if not self._decoder:
            raise MemoryError
        self._open.callback(self._library.JxlDecoderDestroy, self._decoder)
        self.call("SubscribeEvents", events)
        self.call("SetUnpremultiplyAlpha", 1)
        if self._threads.function is not None:
            self.call("SetParallelRunner", self._threads.function, self._threads.state)
        converter = jxl.cms()
        if converter is not None:
            self.call("SetCms", converter)
        self.call("SetInput", content, len(content))

    def call(self, name: str, *arguments: Any) -> int:  # noqa: ANN401
        """A function of the library's with the decoder as its first argument; its status."""
        done: int = getattr(self._library, f"JxlDecoder{name}")(self._decoder, *arguments)
        return done

    def ask(self, name: str, *arguments: Any) -> int:  # noqa: ANN401
        """The same of a function that writes into its arguments, where they are structures."""
        by_pointer = (ctypes.Structure, ctypes.c_size_t, ctypes.c_uint64)
        passed = (ctypes.byref(one) if isinstance(one, by_pointer) else one for one in arguments)
        return self.call(name, *passed)

    def next(self) -> int:
        """What is to be done, or known, next."""
        return self.call("ProcessInput")

    @property
    def refused(self) -> bool:
        """Whether it wanted more memory than it may have."""
        return self._memory.refused

    def profile(self, target: int) -> bytes | None:
        """A colour profile; None where none can be made of what the file says."""
        size = ctypes.c_size_t()
        if self.ask("GetICCProfileSize", target, size) != jxl.SUCCESS or not 0 < size.value <= LARGEST:
            return None
        profile = ctypes.create_string_buffer(size.value)
        done = self.call("GetColorAsICCProfile", target, profile, size.value)
        return profile.raw if done == jxl.SUCCESS else None

    def close(self) -> None:
        """Give its memory back."""
        self._open.close()


def _failure(status: int) -> UndecodableError:
    """Why a file cannot be read on."""
    if status == jxl.NEED_MORE_INPUT:
        return CutShortError("it ends too early")
    return UndecodableError("libjxl finds it damaged")


def _header(info: jxl.BasicInfo, kinds: list[int]) -> Header:
    floating = info.exponent_bits > 0
    dtype = np.dtype(np.float32 if floating else np.uint8 if info.bits <= 8 else np.uint16)
    alpha = jxl.ALPHA in kinds
    black = kinds.index(jxl.BLACK) if jxl.BLACK in kinds and info.colours == 3 else None
    return Header(
        width=info.width,
        height=info.height,
        gray=info.colours == 1,
        alpha=alpha,
        dtype=dtype,
        bits=info.bits,
        further=len(kinds) - alpha - (black is not None),
        black=black,
        frames=bool(info.animation),
        tick=Fraction(info.tick_seconds, info.ticks or 1) if info.animation else Fraction(0),
        plays=info.plays if info.animation else 0,
        lossless=bool(info.original_profile),
        peak=info.peak,
    )


def _colours(told: jxl.ColourEncoding) -> Colours | None:
    """Colours told by numbers; None where only a profile tells these."""
    gray = told.space == jxl.GRAY
    if told.space not in (jxl.RGB, jxl.GRAY) or told.transfer == jxl.CUSTOM:
        return None
    values = [*told.white_xy, *told.red, *told.green, *told.blue]
    chromaticities = (values[0], values[1], values[2], values[3], values[4], values[5], values[6], values[7])
    if gray:
        chromaticities = (values[0], values[1], *PRIMARIES[1][2:])
    primaries = next((code for code, known in PRIMARIES.items() if _is_same(known, chromaticities)), None)
    if told.transfer == jxl.GAMMA:
        return Colours(primaries, None, 1 / told.gamma if told.gamma > 0 else 0.0, chromaticities)
    return None if primaries is None else Colours(primaries, told.transfer, 0.0, chromaticities)


def _is_same(known: Chromaticities, told: Chromaticities) -> bool:
    return all(abs(a - b) <= _ALIKE for a, b in zip(known, told, strict=True))
