"""How a file tells what its colours mean, other than by a profile, and the same told in other formats."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from blindsr.picture.profiles import SRGB, Chromaticities, from_code_points, from_gamma

CHUNKS = (b"cICP", b"sRGB", b"gAMA", b"cHRM", b"mDCV", b"cLLI", b"mDCv", b"cLLi")
"""Chunks of PNG files that tell what colours mean."""

_ALIKE = 0.002  # of two chromaticities, as programs round them
_SRGB_GAMMA = (2.15, 2.25)  # that stand for sRGB's curve: 1 / 0.45455 as a rule


@dataclass(frozen=True)
class Signalling:
    """What a file says of its colours besides a profile.

    Args:
        code_points: Primaries and transfer characteristics as in H.273; None where they are not told so.
        chunks: Name and content of the chunks of a PNG file that say it.
        profile: A profile of the same meaning; None where that is sRGB, or nothing that is known here.
    """

    code_points: tuple[int, int] | None = None
    chunks: tuple[tuple[bytes, bytes], ...] = ()
    profile: bytes | None = None

    @property
    def text(self) -> str:
        """It for people."""
        if self.code_points is not None:
            return "colour code points {}/{}".format(*self.code_points)
        names = dict.fromkeys(name.decode() for name, _ in self.chunks)
        return f"colour chunks {', '.join(names)}"


def of_code_points(primaries: int, transfer: int, gray: bool = False) -> Signalling | None:
    """Colours told by code points; None where these tell nothing."""
    if (primaries, transfer) == (2, 2):
        return None
    return Signalling((primaries, transfer), (), _profile(primaries, transfer, gray))


def of_gamma(gamma: float, chromaticities: Chromaticities, gray: bool) -> Signalling | None:
    """Colours told by the power of a display and chromaticities; None of a power that no chunk can tell."""
    if not 0.01 < gamma < 100:
        return None
    whole = [round(100000 * value) for value in chromaticities]
    if not all(0 <= value < 1 << 31 for value in whole):
        return None
    told = (b"gAMA", struct.pack(">I", round(100000 / gamma))), (b"cHRM", struct.pack(">8I", *whole))
    return of_chunks(told, gray)


def of_chunks(chunks: tuple[tuple[bytes, bytes], ...], gray: bool) -> Signalling | None:
    """Colours told by chunks of a PNG file, of which the first of cICP, sRGB and gAMA counts."""
    if not chunks:
        return None
    told = dict(chunks)
    points = told.get(b"cICP", b"")
    if len(points) == 4:
        return Signalling((points[0], points[1]), chunks, _profile(points[0], points[1], gray))
    if b"sRGB" in told or len(told.get(b"gAMA", b"")) != 4:
        return Signalling(None, chunks)
    (level,) = struct.unpack(">I", told[b"gAMA"])
    chromaticities = _chromaticities(told.get(b"cHRM", b""))
    gamma = 100000 / level if level else 0.0
    standard = all(abs(a - b) <= _ALIKE for a, b in zip(chromaticities, SRGB, strict=True))
    if standard and _SRGB_GAMMA[0] <= gamma <= _SRGB_GAMMA[1]:
        return Signalling(None, chunks)
    return Signalling(None, chunks, from_gamma(gamma, chromaticities, gray))


def png_chunks(told: Signalling) -> list[tuple[bytes, bytes]]:
    """The same as chunks of a PNG file; none where only a profile tells it."""
    if told.chunks:
        return list(told.chunks)
    if told.code_points is None or max(told.code_points) > 255:
        return []
    return [(b"cICP", bytes((*told.code_points, 0, 1)))]


def _profile(primaries: int, transfer: int, gray: bool) -> bytes | None:
    standard = primaries in (1, 2) and transfer in (2, 13)
    return None if standard else from_code_points(primaries, transfer, gray)


def _chromaticities(content: bytes) -> Chromaticities:
    if len(content) != 32:
        return SRGB
    values = [value / 100000 for value in struct.unpack(">8I", content)]
    return (values[0], values[1], values[2], values[3], values[4], values[5], values[6], values[7])
