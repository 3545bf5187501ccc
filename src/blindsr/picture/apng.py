"""Animated PNG files: their frames one by one, and their writing (PNG, third edition, W3C 2025).

A frame is a PNG file of its own with the header, the palette and the transparent colour of the whole: so what
decodes PNG files decodes it. It is drawn into the canvas as its control chunk says.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from blindsr.picture.loaders import UndecodableError, opened
from blindsr.picture.metadata.pieces import insert
from blindsr.picture.metadata.png import SIGNATURE, chunk, chunks

NONE, BACKGROUND, PREVIOUS = 0, 1, 2
"""What becomes of a frame when its time is over: it stays, its box is cleared, or is what it was before."""

_OVER = 1
_CONTROL = ">IIIIIHHBB"  # of fcTL: number, width, height, left, top, duration as a ratio, disposal, blending
_SHARED = (b"IHDR", b"PLTE", b"tRNS")
_ROWS = 64  # that are blended at once
_LONGEST = 65535


@dataclass
class Frame:
    """A frame as its file tells it.

    Args:
        width: Columns.
        height: Rows.
        left: Its first column in the canvas.
        top: Its first row in the canvas.
        duration: Seconds that it is shown.
        disposal: What becomes of it then.
        over: Whether it is laid over what is there, else it takes its place.
        spans: Where its packed pixels are, and bytes of them.
    """

    width: int
    height: int
    left: int
    top: int
    duration: Fraction
    disposal: int
    over: bool
    spans: list[tuple[int, int]] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Bytes of its packed pixels."""
        return sum(size for _, size in self.spans)

    @property
    def box(self) -> tuple[slice, slice]:
        """Rows and columns of the canvas."""
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)


@dataclass(frozen=True)
class Layout:
    """What an animated PNG file says of itself.

    Args:
        width: Columns of the canvas.
        height: Rows of the canvas.
        plays: How many times it is shown; 0 for ever.
        frames: In order.
        hidden: Whether there is a picture besides, for programs that show no animation.
        shared: Header, palette and transparent colour, which all frames have.
    """

    width: int
    height: int
    plays: int
    frames: Sequence[Frame]
    hidden: bool
    shared: Sequence[tuple[bytes, bytes]]

    @property
    def clear(self) -> bool:
        """Whether a part of the canvas may be clear though every frame is opaque."""
        first = self.frames[0]
        return (
            (first.width, first.height) != (self.width, self.height)
            or first.disposal == PREVIOUS
            or any(one.disposal == BACKGROUND for one in self.frames[:-1])
        )


def layout(file: IO[bytes], damaged: bool = False) -> Layout:
    """What an animated PNG file says of itself.

    Args:
        file: The file; where it stands does not matter.
        damaged: Whether the frames that are whole are enough.

    Raises:
        UndecodableError: A frame lies outside the canvas, or there are fewer than it says.
    """
    shared: list[tuple[bytes, bytes]] = []
    frames: list[Frame] = []
    count = plays = 0
    hidden = False
    for one in chunks(file):
        if one.name in _SHARED:
            shared.append((one.name, one.content(file)))
        elif one.name == b"acTL" and one.size == 8:
            count, plays = struct.unpack(">II", one.content(file))
        elif one.name == b"fcTL" and one.size == struct.calcsize(_CONTROL):
            frames.append(_frame(one.content(file)))
        elif one.name == b"IDAT" and not frames:
            hidden = True
        elif one.name == b"IDAT" and not hidden:
            frames[0].spans.append((one.place, one.size))
        elif one.name == b"fdAT" and frames and one.size > 4:
            frames[-1].spans.append((one.place + 4, one.size - 4))
    if not shared or shared[0][0] != b"IHDR" or len(shared[0][1]) != 13:
        raise UndecodableError("no header")
    width, height = struct.unpack_from(">II", shared[0][1])
    whole = [
        one
        for one in frames
        if one.spans and min(one.width, one.height) > 0
        and one.left + one.width <= width and one.top + one.height <= height
    ]  # fmt: skip
    if not whole or (not damaged and (len(whole) < len(frames) or len(frames) != count)):
        raise UndecodableError(f"it tells of {count} frames, of which {len(whole)} are whole")
    return Layout(width, height, plays, whole, hidden, shared)


def _frame(content: bytes) -> Frame:
    _, width, height, left, top, over, under, disposal, blending = struct.unpack(_CONTROL, content)
    return Frame(width, height, left, top, Fraction(over, under or 100), disposal, blending == _OVER)


def composed(file: IO[bytes], told: Layout, bands: int, fail_on: str = "error") -> Iterator[NDArray[Any]]:
    """The canvas as each frame shows it, (H, W, bands); not to be kept, for the next one changes it.

    Args:
        file: The file.
        told: Its `layout`.
        bands: Of the canvas: as many as a frame's, or alpha more.
        fail_on: As in `loaders.opened`.

    Raises:
        UndecodableError: A frame is damaged.
    """
    canvas: NDArray[Any] | None = None
    for frame in told.frames:
        levels = _decoded(file, told, frame, fail_on)
        if canvas is None:
            canvas = np.zeros((told.height, told.width, bands), levels.dtype)
        box = canvas[frame.box]
        before = box.copy() if frame.disposal == PREVIOUS else None
        _draw(box, levels, frame.over)
        yield canvas
        if frame.disposal == BACKGROUND:
            box[:] = 0
        elif before is not None:
            box[:] = before


def _decoded(file: IO[bytes], told: Layout, frame: Frame, fail_on: str) -> NDArray[Any]:
    """A frame's samples, (h, w, bands)."""
    sides = struct.pack(">II", frame.width, frame.height)
    shared = [(name, sides + content[8:] if name == b"IHDR" else content) for name, content in told.shared]
    packed = []
    for place, size in frame.spans:
        file.seek(place)
        packed.append((b"IDAT", file.read(size)))
    pieces = [chunk(*one) for one in (*shared, *packed, (b"IEND", b""))]
    with opened(io.BytesIO(SIGNATURE + b"".join(pieces)), "png", fail_on=fail_on) as image:
        levels: NDArray[Any] = image.numpy()
    return levels.reshape(frame.height, frame.width, -1)


def _draw(box: NDArray[Any], levels: NDArray[Any], over: bool) -> None:
    """Lay a frame over a part of the canvas, or put it in its place."""
    bands, white = levels.shape[2], np.iinfo(levels.dtype).max
    if bands < box.shape[2]:
        box[:, :, :bands], box[:, :, bands] = levels, white
    elif not over or bands in (1, 3):
        box[:] = levels
    else:
        for top in range(0, len(box), _ROWS):
            rows = slice(top, top + _ROWS)
            box[rows] = _blended(box[rows], levels[rows], float(white))


def _blended(under: NDArray[Any], over: NDArray[Any], white: float) -> NDArray[Any]:
    """The "over" operation on colours that are not multiplied by their alpha."""
    above = over[:, :, -1:] / white
    below = under[:, :, -1:] / white * (1 - above)
    opacity = above + below
    weight = np.where(opacity > 0, opacity, 1)
    colours = (over[:, :, :-1] * above + under[:, :, :-1] * below) / weight
    blended: NDArray[Any] = np.concatenate([colours, opacity * white], axis=2)
    return (blended + 0.5).astype(over.dtype)


def changed_parts(
    frames: Iterable[NDArray[Any]], interpretation: str, options: dict[str, Any]
) -> Iterator[tuple[int, int, bytes]]:
    """The frames of an animation from the second on, as PNG files of what differs from the one before.

    Args:
        frames: Samples of all frames, (H, W, bands) each.
        interpretation: What libvips calls their colours.
        options: Of libvips's saver.

    Yields:
        Row and column of the frame where the part begins, and the file.
    """
    import pyvips

    before: NDArray[Any] | None = None
    for levels in frames:
        if before is not None:
            differs = (levels != before).any(axis=2)
            rows, columns = (np.flatnonzero(differs.any(axis=axis)) for axis in (1, 0))
            top, left = (int(at[0]) if len(at) else 0 for at in (rows, columns))
            bottom, right = (int(at[-1]) + 1 if len(at) else 1 for at in (rows, columns))
            part = np.ascontiguousarray(levels[top:bottom, left:right])
            image = pyvips.Image.new_from_array(part, interpretation=interpretation)
            yield top, left, image.pngsave_buffer(keep="none", **options)
        before = levels


def add_frames(
    file: IO[bytes],
    frames: Iterable[tuple[int, int, bytes]],
    durations: Sequence[Fraction],
    plays: int,
) -> None:
    """Make an animation of a PNG file: its picture becomes the first frame, others follow.

    Args:
        file: A written file, open for reading and writing.
        frames: The others: row and column of the canvas where each begins, and a PNG file of the same kind.
            What they do not cover stays as it was.
        durations: Seconds that each frame is shown.
        plays: How many times all are; 0 for ever.

    Raises:
        ValueError: There are not as many frames as durations.
    """
    found = {one.name: one for one in reversed(list(chunks(file)))}
    number = 0

    def control(header: bytes, top: int, left: int, duration: Fraction) -> bytes:
        nonlocal number
        number += 1
        sides = struct.unpack_from(">II", header)
        told = (number - 1, *sides, left, top, *as_ratio(duration), NONE, 0)
        return chunk(b"fcTL", struct.pack(_CONTROL, *told))

    head = chunk(b"acTL", struct.pack(">II", len(durations), plays))
    head += control(found[b"IHDR"].content(file), 0, 0, durations[0])
    place = found[b"IEND"].place - 8 + len(head)
    insert(file, found[b"IDAT"].place - 8, head)
    file.seek(place)
    for (top, left, frame), duration in zip(frames, durations[1:], strict=True):
        content = io.BytesIO(frame)
        for one in chunks(content):
            if one.name == b"IHDR":
                file.write(control(one.content(content), top, left, duration))
            elif one.name == b"IDAT":
                packed = frame[one.place : one.place + one.size]
                file.write(chunk(b"fdAT", struct.pack(">I", number) + packed))
                number += 1
    file.write(chunk(b"IEND", b""))


def as_ratio(duration: Fraction) -> tuple[int, int]:
    """Seconds as two numbers of 16 bits."""
    duration = min(duration, Fraction(_LONGEST)).limit_denominator(_LONGEST)
    if duration.numerator > _LONGEST:
        duration = duration.limit_denominator(max(1, int(_LONGEST / (duration + 1))))
    return duration.numerator, duration.denominator
