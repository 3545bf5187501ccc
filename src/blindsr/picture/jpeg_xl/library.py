"""Libjxl: where it is found, and as much of its C interface as reading and writing take.

Structures and numbers are those of its public headers (version 0.9 and later: before, some functions had
other arguments). The library comes with the wheels of imagecodecs; a system's own is the second choice.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import os
from ctypes import (
    POINTER,
    Structure,
    c_char_p,
    c_double,
    c_float,
    c_int,
    c_size_t,
    c_uint8,
    c_uint32,
    c_void_p,
)
from functools import cache
from threading import Lock
from typing import Any

_OLDEST = 9000  # 0.9.0
_MOST_THREADS = 4

# What the decoder says (JxlDecoderStatus); what it may be asked to say is a bit each.
SUCCESS, ERROR, NEED_MORE_INPUT, NEED_BUFFER, BOX_NEED_MORE = 0, 1, 2, 5, 7
BASIC_INFO, COLOUR, FRAME, FULL_IMAGE, BOX = 0x40, 0x100, 0x400, 0x1000, 0x4000
ENCODER_NEEDS_MORE_OUTPUT = 2

FLOAT, UINT8, UINT16 = 0, 2, 3
"""Types of samples."""

ALPHA, BLACK = 0, 4
"""Kinds of extra channels."""

RGB, GRAY = 0, 1
"""Colour spaces."""

CUSTOM, GAMMA = 2, 65535
"""White points and primaries, and transfer functions, that are told by numbers."""

EFFORT, FROM_CODESTREAM = 0, 1


class PixelFormat(Structure):
    """JxlPixelFormat."""

    _fields_ = [("channels", c_uint32), ("type", c_int), ("order", c_int), ("align", c_size_t)]


class BitDepth(Structure):
    """JxlBitDepth."""

    _fields_ = [("type", c_int), ("bits", c_uint32), ("exponent_bits", c_uint32)]


class BasicInfo(Structure):
    """JxlBasicInfo."""

    _fields_ = [
        *(("container", c_int), ("width", c_uint32), ("height", c_uint32)),
        *(("bits", c_uint32), ("exponent_bits", c_uint32)),
        *(("peak", c_float), ("darkest", c_float), ("relative", c_int), ("linear_below", c_float)),
        *(("original_profile", c_int), ("preview", c_int), ("animation", c_int), ("orientation", c_int)),
        *(("colours", c_uint32), ("extra_channels", c_uint32)),
        *(("alpha_bits", c_uint32), ("alpha_exponent_bits", c_uint32), ("premultiplied", c_int)),
        *(("preview_width", c_uint32), ("preview_height", c_uint32)),
        *(("ticks", c_uint32), ("tick_seconds", c_uint32), ("plays", c_uint32), ("timecodes", c_int)),
        *(("intrinsic_width", c_uint32), ("intrinsic_height", c_uint32), ("padding", c_uint8 * 100)),
    ]


class ExtraChannel(Structure):
    """JxlExtraChannelInfo."""

    _fields_ = [
        *(("kind", c_int), ("bits", c_uint32), ("exponent_bits", c_uint32), ("shift", c_uint32)),
        *(("name_length", c_uint32), ("premultiplied", c_int), ("spot", c_float * 4), ("cfa", c_uint32)),
    ]


class ColourEncoding(Structure):
    """JxlColorEncoding."""

    _fields_ = [
        *(("space", c_int), ("white", c_int), ("white_xy", c_double * 2)),
        *(("primaries", c_int), ("red", c_double * 2), ("green", c_double * 2), ("blue", c_double * 2)),
        *(("transfer", c_int), ("gamma", c_double), ("intent", c_int)),
    ]


class BlendInfo(Structure):
    """JxlBlendInfo."""

    _fields_ = [("mode", c_int), ("source", c_uint32), ("alpha", c_uint32), ("clamp", c_int)]


class FrameHeader(Structure):
    """JxlFrameHeader, with its JxlLayerInfo."""

    _fields_ = [
        *(("duration", c_uint32), ("timecode", c_uint32), ("name_length", c_uint32), ("last", c_int)),
        *(("crop", c_int), ("left", c_int), ("top", c_int), ("width", c_uint32), ("height", c_uint32)),
        *(("blend", BlendInfo), ("saved_as", c_uint32)),
    ]


class Cms(Structure):
    """JxlCmsInterface: what converts colours."""

    _fields_ = [("functions", c_void_p * 8)]


_ALLOCATE = ctypes.CFUNCTYPE(c_void_p, c_void_p, c_size_t)
_FREE = ctypes.CFUNCTYPE(None, c_void_p, c_void_p)


class MemoryManager(Structure):
    """JxlMemoryManager."""

    _fields_ = [("opaque", c_void_p), ("allocate", _ALLOCATE), ("free", _FREE)]


class Memory:
    """What a decoder may take: it is refused what is more, and then says that the file is damaged.

    A small file can make it hold pictures of any size that are never shown.

    Args:
        most: Bytes; None for any number.

    Attributes:
        manager: For the library's Create.
        refused: Whether it was refused some.
    """

    def __init__(self, most: int | None) -> None:
        self.manager: MemoryManager | None = None
        self.refused = False
        if most is not None:
            self._left, self._sizes, self._lock = most, dict[int, int](), Lock()
            self._libc = ctypes.CDLL(None)
            self._libc.malloc.restype, self._libc.malloc.argtypes = c_void_p, (c_size_t,)
            self._libc.free.restype, self._libc.free.argtypes = None, (c_void_p,)
            self.manager = MemoryManager(None, _ALLOCATE(self._allocate), _FREE(self._free))

    def _allocate(self, _: object, size: int) -> int | None:
        with self._lock:
            if size > self._left:
                self.refused = True
                return None
            self._left -= size
        place: int | None = self._libc.malloc(size)
        if place is not None:
            self._sizes[place] = size
        return place

    def _free(self, _: object, place: int | None) -> None:
        if place is not None:
            size = self._sizes.pop(place)
            self._libc.free(place)
            with self._lock:
                self._left += size


_D, _I, _Z = c_void_p, c_int, c_size_t  # a decoder, encoder or settings; a number; a size
_SIGNATURES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "JxlDecoderVersion": (c_uint32, ()),
    "JxlDecoderCreate": (_D, (c_void_p,)),
    "JxlDecoderDestroy": (None, (_D,)),
    "JxlDecoderSubscribeEvents": (_I, (_D, _I)),
    "JxlDecoderSetParallelRunner": (_I, (_D, c_void_p, c_void_p)),
    "JxlDecoderSetUnpremultiplyAlpha": (_I, (_D, _I)),
    "JxlDecoderSetCoalescing": (_I, (_D, _I)),
    "JxlDecoderSetDecompressBoxes": (_I, (_D, _I)),
    "JxlDecoderSetCms": (_I, (_D, Cms)),
    "JxlDecoderSetInput": (_I, (_D, c_char_p, _Z)),
    "JxlDecoderCloseInput": (None, (_D,)),
    "JxlDecoderProcessInput": (_I, (_D,)),
    "JxlDecoderGetBasicInfo": (_I, (_D, POINTER(BasicInfo))),
    "JxlDecoderGetExtraChannelInfo": (_I, (_D, _Z, POINTER(ExtraChannel))),
    "JxlDecoderGetFrameHeader": (_I, (_D, POINTER(FrameHeader))),
    "JxlDecoderGetColorAsEncodedProfile": (_I, (_D, _I, POINTER(ColourEncoding))),
    "JxlDecoderGetICCProfileSize": (_I, (_D, _I, POINTER(_Z))),
    "JxlDecoderGetColorAsICCProfile": (_I, (_D, _I, c_void_p, _Z)),
    "JxlDecoderSetOutputColorProfile": (_I, (_D, POINTER(ColourEncoding), c_char_p, _Z)),
    "JxlDecoderImageOutBufferSize": (_I, (_D, POINTER(PixelFormat), POINTER(_Z))),
    "JxlDecoderSetImageOutBuffer": (_I, (_D, POINTER(PixelFormat), c_void_p, _Z)),
    "JxlDecoderFlushImage": (_I, (_D,)),
    "JxlDecoderSetExtraChannelBuffer": (_I, (_D, POINTER(PixelFormat), c_void_p, _Z, c_uint32)),
    "JxlDecoderSetBoxBuffer": (_I, (_D, c_void_p, _Z)),
    "JxlDecoderReleaseBoxBuffer": (_Z, (_D,)),
    "JxlDecoderGetBoxType": (_I, (_D, c_void_p, _I)),
    "JxlDecoderGetBoxSizeRaw": (_I, (_D, POINTER(ctypes.c_uint64))),
    "JxlEncoderCreate": (_D, (c_void_p,)),
    "JxlEncoderDestroy": (None, (_D,)),
    "JxlEncoderSetParallelRunner": (_I, (_D, c_void_p, c_void_p)),
    "JxlEncoderUseContainer": (_I, (_D, _I)),
    "JxlEncoderUseBoxes": (_I, (_D,)),
    "JxlEncoderAddBox": (_I, (_D, c_char_p, c_char_p, _Z, _I)),
    "JxlEncoderCloseBoxes": (None, (_D,)),
    "JxlEncoderInitBasicInfo": (None, (POINTER(BasicInfo),)),
    "JxlEncoderSetBasicInfo": (_I, (_D, POINTER(BasicInfo))),
    "JxlEncoderSetColorEncoding": (_I, (_D, POINTER(ColourEncoding))),
    "JxlEncoderSetICCProfile": (_I, (_D, c_char_p, _Z)),
    "JxlEncoderFrameSettingsCreate": (_D, (_D, c_void_p)),
    "JxlEncoderFrameSettingsSetOption": (_I, (_D, _I, ctypes.c_int64)),
    "JxlEncoderSetFrameDistance": (_I, (_D, c_float)),
    "JxlEncoderSetExtraChannelDistance": (_I, (_D, _Z, c_float)),
    "JxlEncoderSetFrameLossless": (_I, (_D, _I)),
    "JxlEncoderDistanceFromQuality": (c_float, (c_float,)),
    "JxlEncoderSetFrameBitDepth": (_I, (_D, POINTER(BitDepth))),
    "JxlEncoderInitFrameHeader": (None, (POINTER(FrameHeader),)),
    "JxlEncoderSetFrameHeader": (_I, (_D, POINTER(FrameHeader))),
    "JxlEncoderAddImageFrame": (_I, (_D, POINTER(PixelFormat), c_void_p, _Z)),
    "JxlEncoderCloseFrames": (None, (_D,)),
    "JxlEncoderGetError": (_I, (_D,)),
    "JxlEncoderProcessOutput": (_I, (_D, POINTER(c_void_p), POINTER(_Z))),
}
_THREADS = {
    "JxlThreadParallelRunnerCreate": (c_void_p, (c_void_p, _Z)),
    "JxlThreadParallelRunnerDestroy": (None, (c_void_p,)),
}


@cache
def libjxl() -> Any:  # noqa: ANN401  (its functions are named at run time)
    """The library, its functions ready to be called.

    Raises:
        ModuleNotFoundError: It is not installed, or too old.
    """
    for found in (_of_imagecodecs, _of_system):
        library = found()
        if library is not None and _prepare(library):
            return library
    raise ModuleNotFoundError("libjxl", name="imagecodecs")


def _of_imagecodecs() -> Any:  # noqa: ANN401
    """That of imagecodecs: what its own module is linked to is found through it, whatever its file's name."""
    try:
        from imagecodecs import _jpegxl
    except ImportError:
        return None
    try:
        return ctypes.CDLL(_jpegxl.__file__)
    except OSError:
        return None


def _of_system() -> Any:  # noqa: ANN401
    name = ctypes.util.find_library("jxl")
    try:
        return None if name is None else ctypes.CDLL(name)
    except OSError:
        return None


def _prepare(library: Any) -> bool:  # noqa: ANN401
    """Tell the types of its functions; whether it has them all and is new enough."""
    for name, (result, arguments) in _SIGNATURES.items():
        try:
            function = getattr(library, name)
        except AttributeError:
            return False
        function.restype, function.argtypes = result, arguments
    return bool(library.JxlDecoderVersion() >= _OLDEST)


@cache
def cms() -> Cms | None:
    """What converts colours while they are decoded; None where the library's own is not at hand."""
    for library in (libjxl(), _companion("jxl_cms")):
        if library is not None and hasattr(library, "JxlGetDefaultCms"):
            library.JxlGetDefaultCms.restype = POINTER(Cms)
            made: Cms = library.JxlGetDefaultCms().contents
            return made
    return None


def _companion(name: str) -> Any:  # noqa: ANN401
    """Another library of a system's libjxl."""
    found = ctypes.util.find_library(name)
    try:
        return None if found is None else ctypes.CDLL(found)
    except OSError:
        return None


class Threads:
    """Threads that decode and encode, within a block; none where their library is not at hand.

    Attributes:
        function: For the library's SetParallelRunner, like the next; None for its caller's thread alone.
        state: See `function`.
    """

    def __init__(self) -> None:
        self.function: Any = None
        self.state: Any = None
        self._library: Any = None

    def __enter__(self) -> Threads:
        library, number = _threads(), min(_MOST_THREADS, os.cpu_count() or 1)
        if library is not None and number > 1:
            self._library, self.function = library, ctypes.cast(library.JxlThreadParallelRunner, c_void_p)
            self.state = library.JxlThreadParallelRunnerCreate(None, number)
        return self

    def __exit__(self, *error: object) -> None:
        if self.state is not None:
            self._library.JxlThreadParallelRunnerDestroy(self.state)


@cache
def _threads() -> Any:  # noqa: ANN401
    """The library of threads."""
    for library in (libjxl(), _companion("jxl_threads")):
        if library is not None and hasattr(library, "JxlThreadParallelRunner"):
            for name, (result, arguments) in _THREADS.items():
                function = getattr(library, name)
                function.restype, function.argtypes = result, arguments
            return library
    return None
