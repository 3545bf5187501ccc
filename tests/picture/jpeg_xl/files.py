"""JPEG XL files of kinds that this program does not write, made by libjxl itself."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blindsr.picture.jpeg_xl import library as jxl
from blindsr.picture.jpeg_xl.reading import pixel_format
from blindsr.picture.jpeg_xl.writing import encoding_of

ALPHA, DEPTH, BLACK = 0, 1, 4

_MORE = {
    "JxlEncoderSetExtraChannelInfo": (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p),
    "JxlEncoderSetExtraChannelBuffer": (ctypes.c_void_p,) * 3 + (ctypes.c_size_t, ctypes.c_uint32),
    "JxlEncoderInitExtraChannelInfo": (ctypes.c_int, ctypes.c_void_p),
}


@dataclass(frozen=True)
class Layer:
    """A frame, or a part of one that is laid on the last.

    Args:
        levels: (H, W, C) of the colours, with alpha behind if the file has it.
        duration: Ticks that it is shown; 0 of one that the next is laid on.
        place: Column and row where it begins, of a part.
        blend: 0 replaces, 2 blends by alpha.
    """

    levels: NDArray[Any]
    duration: int = 0
    place: tuple[int, int] | None = None
    blend: int = 0


@dataclass(frozen=True)
class Kind:
    """What the file says.

    Args:
        bits: Of a sample.
        exponent: Bits of a float's exponent.
        size: (height, width) of the picture; None for the first layer's.
        orientation: As EXIF has it.
        premultiplied: Whether alpha is multiplied into the colours.
        extra: Further channels: kind and samples (H, W).
        boxes: Names and contents, packed by Brotli where so said.
        icc: Colour profile.
        code_points: Colours without one.
        peak: Candelas of the largest sample.
        lossless: Whether all samples come back as they were.
        animation: Ticks a second, and how often all is played.
        options: Numbers of the encoder's settings and their values.
    """

    bits: int = 8
    exponent: int = 0
    size: tuple[int, int] | None = None
    orientation: int = 1
    premultiplied: bool = False
    extra: Sequence[tuple[int, NDArray[Any]]] = ()
    boxes: Sequence[tuple[bytes, bytes, bool]] = ()
    icc: bytes | None = None
    code_points: tuple[int, int] = (1, 13)
    peak: float = 0.0
    lossless: bool = True
    animation: tuple[int, int] | None = None
    options: dict[int, int] = field(default_factory=dict)


def encoded(layers: NDArray[Any] | Sequence[Layer], kind: Kind | None = None) -> bytes:
    """A file of these layers, or of one picture."""
    kind = kind or Kind()
    if isinstance(layers, np.ndarray):
        layers = [Layer(layers)]
    library, passed = jxl.libjxl(), ctypes.byref
    for name, arguments in _MORE.items():
        getattr(library, name).argtypes = arguments
    encoder = library.JxlEncoderCreate(None)

    def do(name: str, target: Any, *arguments: Any) -> None:
        assert not getattr(library, f"JxlEncoder{name}")(target, *arguments), name

    first = layers[0].levels
    info = jxl.BasicInfo()
    library.JxlEncoderInitBasicInfo(passed(info))
    info.height, info.width = kind.size or first.shape[:2]
    channels = first.shape[2]
    info.bits, info.exponent_bits, info.colours = kind.bits, kind.exponent, 1 if channels < 3 else 3
    alpha = channels % 2 == 0
    info.extra_channels = alpha + len(kind.extra)
    if alpha:
        info.alpha_bits, info.alpha_exponent_bits = kind.bits, kind.exponent
        info.premultiplied = kind.premultiplied
    info.original_profile, info.orientation, info.peak = kind.lossless, kind.orientation, kind.peak
    if kind.animation is not None:
        info.animation, info.tick_seconds, (info.ticks, info.plays) = 1, 1, kind.animation
    do("UseContainer", encoder, 1)
    do("UseBoxes", encoder)
    do("SetBasicInfo", encoder, passed(info))
    for index, channel in enumerate([*[ALPHA] * alpha, *(channel for channel, _ in kind.extra)]):
        extra = jxl.ExtraChannel()
        library.JxlEncoderInitExtraChannelInfo(channel, passed(extra))
        extra.bits, extra.exponent_bits = kind.bits, kind.exponent
        extra.premultiplied = kind.premultiplied and channel == ALPHA
        do("SetExtraChannelInfo", encoder, index, passed(extra))
    if kind.icc is not None:
        do("SetICCProfile", encoder, kind.icc, len(kind.icc))
    else:
        do("SetColorEncoding", encoder, passed(encoding_of(*kind.code_points, gray=info.colours == 1)))
    for box, content, packed in kind.boxes:
        do("AddBox", encoder, box, content, len(content), packed)
    library.JxlEncoderCloseBoxes(encoder)
    settings = library.JxlEncoderFrameSettingsCreate(encoder, None)
    do("FrameSettingsSetOption", settings, jxl.EFFORT, 1)
    for number, value in kind.options.items():
        do("FrameSettingsSetOption", settings, number, value)
    if kind.lossless:
        do("SetFrameLossless", settings, 1)
    file = b""
    for number, layer in enumerate(layers):
        levels = np.ascontiguousarray(layer.levels)
        header = jxl.FrameHeader()
        library.JxlEncoderInitFrameHeader(passed(header))
        header.duration, header.blend.mode = layer.duration, layer.blend
        header.blend.source = 0 if layer.place is None else 1
        header.saved_as = 1
        if layer.place is not None:
            header.crop, (header.left, header.top) = 1, layer.place
            header.height, header.width = levels.shape[:2]
        do("SetFrameHeader", settings, passed(header))
        do("AddImageFrame", settings, passed(pixel_format(levels)), levels.ctypes.data, levels.nbytes)
        for index, (_, plane) in enumerate(kind.extra, start=int(alpha)):
            plane = np.ascontiguousarray(plane[:, :, None])
            layout = pixel_format(plane)
            do("SetExtraChannelBuffer", settings, passed(layout), plane.ctypes.data, plane.nbytes, index)
        if number == len(layers) - 1:
            library.JxlEncoderCloseFrames(encoder)
        file += _pieces(library, encoder)
    library.JxlEncoderDestroy(encoder)
    return file


def _pieces(library: Any, encoder: Any) -> bytes:
    """What can be written by now."""
    file, status, room = b"", jxl.ENCODER_NEEDS_MORE_OUTPUT, ctypes.create_string_buffer(1 << 16)
    while status == jxl.ENCODER_NEEDS_MORE_OUTPUT:
        place, left = ctypes.c_void_p(ctypes.addressof(room)), ctypes.c_size_t(1 << 16)
        status = library.JxlEncoderProcessOutput(encoder, ctypes.byref(place), ctypes.byref(left))
        file += room.raw[: (1 << 16) - left.value]
    assert status == jxl.SUCCESS, status
    return file


def cmyk_profile() -> bytes:
    """A small profile of inks: CIELAB of all sixteen that can be laid on each other, and what is between."""
    corners = []
    for bits in range(16):
        cyan, magenta, yellow, black = (bits >> shift & 1 for shift in (3, 2, 1, 0))
        light = max(0.0, 100 - 35 * cyan - 40 * magenta - 5 * yellow - 90 * black)
        corners += [round(light * 2.55), 128 + 60 * magenta - 40 * cyan, 128 + 80 * yellow - 40 * cyan]
    ramp = bytes(range(256))
    table = struct.pack(">4B", 4, 3, 2, 0) + struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    table = b"mft1" + bytes(4) + table + ramp * 4 + bytes(corners) + ramp * 3
    white = b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061)
    text = b"text" + bytes(4) + b"none\0\0\0\0"
    name = b"desc" + bytes(4) + struct.pack(">I", 5) + b"inks\0" + bytes(78) + bytes(1)
    tags, body, start = b"", b"", 128 + 4 + 4 * 12
    for tag, content in ((b"A2B0", table), (b"wtpt", white), (b"cprt", text), (b"desc", name)):
        tags += tag + struct.pack(">2I", start + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    header = struct.pack(">I4sI4s4s4s", start + len(body), b"", 0x02100000, b"prtr", b"CMYK", b"Lab ")
    header = (header + struct.pack(">6H", 2024, 1, 1, 0, 0, 0) + b"acsp").ljust(68, b"\0")
    header = (header + struct.pack(">3i", 63190, 65536, 54061)).ljust(128, b"\0")
    return header + struct.pack(">I", 4) + tags + body
