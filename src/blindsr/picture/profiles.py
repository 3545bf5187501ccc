"""Colour profiles for colours that a file tells otherwise: code points of H.273, or gamma and chromaticities.

A profile (ICC.1:2022) made here is a matrix and three curves, or one curve of gray; its tag "cicp" repeats
the code points for readers that know them.
"""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

Chromaticities = tuple[float, float, float, float, float, float, float, float]
"""x and y of white, red, green and blue."""

_D65, _DCI, _C, _E = (0.3127, 0.329), (0.314, 0.351), (0.310, 0.316), (1 / 3, 1 / 3)
SRGB: Chromaticities = (*_D65, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)

PRIMARIES: dict[int, Chromaticities] = {
    1: SRGB,
    4: (*_C, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08),
    5: (*_D65, 0.64, 0.33, 0.29, 0.60, 0.15, 0.06),
    6: (*_D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    7: (*_D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    8: (*_C, 0.681, 0.319, 0.243, 0.692, 0.145, 0.049),
    9: (*_D65, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046),
    11: (*_DCI, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    12: (*_D65, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    22: (*_D65, 0.630, 0.340, 0.295, 0.605, 0.155, 0.077),
}
"""Primaries by their code points (ITU-T H.273, table 2)."""

_PQ, _HLG = 16, 18
_SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
_CAMERA_CURVE = (1 / 0.45, 1 / 1.099, 0.099 / 1.099, 1 / 4.5, 0.081)
_CURVES: dict[int, tuple[float, ...]] = {
    **dict.fromkeys((1, 6, 11, 12, 14, 15), _CAMERA_CURVE),
    4: (2.2,),
    5: (2.8,),
    7: (1 / 0.45, 1 / 1.1115, 0.1115 / 1.1115, 1 / 4.0, 0.0913),
    8: (1.0,),
    13: _SRGB_CURVE,
    17: (2.6,),
}
"""Transfer characteristics by code points (table 3) -> gamma; or also a, b, c and d of ICC's function."""

TRANSFERS = frozenset((*_CURVES, _PQ, _HLG))
"""Code points of transfer characteristics that a profile can be made for."""

_WHITE = 203.0
"""Candelas a square metre of white in a picture of high dynamic range (ITU-R BT.2408): a profile's white."""

_D50 = np.array([0.9642, 1.0, 0.8249])
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_SAMPLES = 4096


def from_code_points(primaries: int, transfer: int, gray: bool = False) -> bytes | None:
    """A profile for colours told by code points; None where they stand for no colours known here.

    Of PQ and HLG the curve ends at 203 candelas: what is brighter is white to a reader that goes by it.

    Args:
        primaries: As in H.273, table 2; 2 means not told, and is taken for sRGB's, like 2 below.
        transfer: As in table 3.
        gray: Whether the picture has one channel.
    """
    primaries, transfer = (1 if primaries == 2 else primaries), (13 if transfer == 2 else transfer)
    if primaries not in PRIMARIES or transfer not in TRANSFERS:
        return None
    curve = _curve_of(transfer)
    code_points = b"cicp" + bytes(4) + bytes((primaries, transfer, 0, 1))
    return _profile(
        f"Colours {primaries}/{transfer} of H.273", PRIMARIES[primaries], curve, gray, code_points
    )


def from_gamma(gamma: float, chromaticities: Chromaticities, gray: bool = False) -> bytes | None:
    """A profile for colours told by the gamma of a display and by chromaticities; None for impossible ones.

    Args:
        gamma: Light as a power of the sample, such as 2.2.
        chromaticities: Of the display.
        gray: Whether the picture has one channel.
    """
    if not 0.1 <= gamma <= 10 or min(chromaticities[1::2]) <= 0:
        return None
    try:
        return _profile(f"Gamma {gamma:.4g}", chromaticities, _parametric((gamma,)), gray, None)
    except (ValueError, np.linalg.LinAlgError):
        return None


def is_usable(profile: bytes, gray: bool) -> bool:
    """Whether a profile is whole, and of the colours of the picture that has it.

    Args:
        profile: The profile.
        gray: Whether the picture has one channel.
    """
    if len(profile) < 132 or profile[36:40] != b"acsp" or profile[16:20] != (b"GRAY" if gray else b"RGB "):
        return False
    size, count = int.from_bytes(profile[:4], "big"), int.from_bytes(profile[128:132], "big")
    if not 0 < count <= 100 or 132 + 12 * count > len(profile) or size > len(profile):
        return False
    places = [struct.unpack_from(">II", profile, 136 + 12 * entry) for entry in range(count)]
    return all(start + length <= len(profile) for start, length in places)


def _profile(
    name: str, chromaticities: Chromaticities, curve: bytes, gray: bool, code_points: bytes | None
) -> bytes | None:
    """The profile; None where the primaries span no colours."""
    white = _to_xyz(chromaticities[0], chromaticities[1])
    adaptation = _adaptation(white)
    tags = {
        b"desc": _text(name),
        b"cprt": _text("No copyright, use freely"),
        b"wtpt": _xyz(_D50),
        b"chad": b"sf32" + bytes(4) + struct.pack(">9i", *_fixed(adaptation.ravel())),
    }
    if gray:
        tags[b"kTRC"] = curve
    else:
        primaries = np.stack([_to_xyz(*chromaticities[i : i + 2]) for i in (2, 4, 6)], axis=1)
        if abs(np.linalg.det(primaries)) < 1e-6:
            return None
        matrix = adaptation @ (primaries * np.linalg.solve(primaries, white))
        for letter, column in zip(b"rgb", matrix.T, strict=True):
            tags[bytes((letter,)) + b"XYZ"] = _xyz(column)
            tags[bytes((letter,)) + b"TRC"] = curve
        if code_points is not None:
            tags[b"cicp"] = code_points
    return _packed(tags, b"GRAY" if gray else b"RGB ")


def _packed(tags: dict[bytes, bytes], space: bytes) -> bytes:
    """Header, table and contents; equal contents once."""
    start = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    places: dict[bytes, int] = {}
    for tag, content in tags.items():
        if content not in places:
            places[content] = start + len(body)
            body += content + bytes(-len(content) % 4)
        table += struct.pack(">4sII", tag, places[content], len(content))
    head = struct.pack(">I4sI4s4s4s", start + len(body), bytes(4), 0x04400000, b"mntr", space, b"XYZ ")
    head += struct.pack(">6H", 2024, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + struct.pack(">3i", *_fixed(_D50))
    return head.ljust(128, b"\0") + table + body


def _curve_of(transfer: int) -> bytes:
    """What makes light of samples."""
    if transfer in _CURVES:
        return _parametric(_CURVES[transfer])
    codes = np.linspace(0, 1, _SAMPLES)
    light = _pq_light(codes) / _WHITE if transfer == _PQ else _hlg_light(codes) / _hlg_light(np.array([0.75]))
    levels = np.round(light.clip(0, 1) * 65535).astype(">u2")
    return b"curv" + bytes(4) + struct.pack(">I", _SAMPLES) + levels.tobytes()


def _pq_light(codes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Candelas a square metre (ITU-R BT.2100, table 4)."""
    root = codes ** (1 / 78.84375)
    light: NDArray[np.float64] = 1e4 * (np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (
        1 / 0.1593017578125
    )
    return light


def _hlg_light(codes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Light of the scene, 1 at most (table 5)."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(codes <= 0.5, codes**2 / 3, (np.exp((codes - c) / a) + b) / 12)


def _parametric(values: tuple[float, ...]) -> bytes:
    kind = 0 if len(values) == 1 else 3
    return b"para" + bytes(4) + struct.pack(f">HH{len(values)}i", kind, 0, *_fixed(np.array(values)))


def _to_xyz(x: float, y: float) -> NDArray[np.float64]:
    return np.array([x / y, 1, (1 - x - y) / y])


def _adaptation(white: NDArray[np.float64]) -> NDArray[np.float64]:
    """From colours under a white to those under a profile's, as Bradford has it."""
    ratio = (_BRADFORD @ _D50) / (_BRADFORD @ white)
    adaptation: NDArray[np.float64] = np.linalg.inv(_BRADFORD) @ np.diag(ratio) @ _BRADFORD
    return adaptation


def _fixed(values: NDArray[np.float64]) -> list[int]:
    """As a profile has numbers.

    Raises:
        ValueError: It cannot have one of these.
    """
    if not (np.abs(values) < 1 << 15).all():
        raise ValueError("beyond a profile's numbers")
    return [round(float(value) * 65536) for value in values]


def _xyz(values: NDArray[np.float64]) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *_fixed(values))


def _text(text: str) -> bytes:
    packed = text.encode("utf-16-be")
    return b"mluc" + bytes(4) + struct.pack(">II4sII", 1, 12, b"enUS", len(packed), 28) + packed
