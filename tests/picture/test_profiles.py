"""Profiles made from code points and from gamma, as LittleCMS reads them."""

from __future__ import annotations

import io
import itertools

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from blindsr.picture.profiles import PRIMARIES, SRGB, TRANSFERS, from_code_points, from_gamma, is_usable

LEVELS = (
    np.stack(np.meshgrid(*[np.linspace(0, 255, 6).round()] * 3), axis=-1).reshape(6, 36, 3).astype(np.uint8)
)


def to_srgb(levels: NDArray[np.uint8], profile: bytes | None) -> NDArray[np.float64]:
    """Levels as sRGB has them, by LittleCMS."""
    assert profile is not None
    cms = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    mode = "RGB" if levels.ndim == 3 else "L"
    image = Image.fromarray(levels)
    out = ImageCms.profileToProfile(image, cms, ImageCms.createProfile("sRGB"), outputMode="RGB")
    assert image.mode == mode and out is not None
    return np.asarray(out).astype(np.float64)


def srgb_of(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """Linear light of sRGB's primaries -> levels."""
    light = light.clip(0, 1)
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def test_srgb_is_srgb() -> None:
    assert np.abs(to_srgb(LEVELS, from_code_points(1, 13)) - LEVELS).max() <= 1
    assert np.abs(to_srgb(LEVELS, from_code_points(2, 2)) - LEVELS).max() <= 1


def test_linear_light() -> None:
    for profile in (from_code_points(1, 8), from_gamma(1.0, SRGB)):
        assert np.abs(to_srgb(LEVELS, profile) - srgb_of(LEVELS / 255)).max() <= 1.5


@pytest.mark.parametrize("primaries", [9, 12])
def test_wide_colours_by_their_matrix(primaries: int) -> None:
    """What of them is within sRGB, from the definition: no profile takes part."""

    def to_xyz(told: tuple[float, ...]) -> NDArray[np.float64]:
        points = np.array([[x / y, 1, (1 - x - y) / y] for x, y in zip(told[::2], told[1::2], strict=True)]).T
        return points[:, 1:] * np.linalg.solve(points[:, 1:], points[:, 0])

    matrix = np.linalg.inv(to_xyz(SRGB)) @ to_xyz(PRIMARIES[primaries])
    light = np.where(LEVELS / 255 <= 0.04045, LEVELS / 255 / 12.92, ((LEVELS / 255 + 0.055) / 1.055) ** 2.4)
    expected = light @ matrix.T
    inside = ((expected > 0.002) & (expected < 0.998)).all(axis=2)
    found = to_srgb(LEVELS, from_code_points(primaries, 13))
    assert inside.sum() > 30 and np.abs(found - srgb_of(expected))[inside].max() <= 2


def test_white_of_high_dynamic_range() -> None:
    """203 candelas are code 0.5807 in PQ, 0.75 in HLG (ITU-R BT.2408), and white by the curve."""
    for transfer, code in ((16, 0.5807), (18, 0.75)):
        ramp = np.arange(256, dtype=np.uint8)[None].repeat(2, axis=0)
        gray = to_srgb(np.stack([ramp] * 3, axis=-1), from_code_points(9, transfer))[0, :, 1]
        assert (np.diff(gray) >= 0).all() and gray[0] == 0
        assert gray[int(code * 255) + 1] >= 254 and gray[int(code * 255) - 8] < 254


def test_gray_has_one_curve() -> None:
    ramp = np.arange(256, dtype=np.uint8)[None]
    profile = from_gamma(1.0, SRGB, gray=True)
    assert profile is not None and is_usable(profile, gray=True) and not is_usable(profile, gray=False)
    found = to_srgb(ramp, profile)
    # In the shadows LittleCMS goes by the steps of its L*.
    assert np.abs(found[0, :, 0] - srgb_of(ramp[0] / 255))[24:].max() <= 2


@pytest.mark.parametrize("gray", [False, True])
def test_every_code_point_makes_a_sound_profile(gray: bool) -> None:
    for primaries in PRIMARIES:
        for transfer in TRANSFERS:
            profile = from_code_points(primaries, transfer, gray)
            assert profile is not None and is_usable(profile, gray)
            assert int.from_bytes(profile[:4], "big") == len(profile) and not len(profile) % 4
            read = ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile
            assert read.xcolor_space.strip() == ("GRAY" if gray else "RGB") and read.version == 4.4


def test_impossible_ones() -> None:
    assert from_code_points(3, 13) is None and from_code_points(1, 3) is None
    assert from_gamma(0.0, SRGB) is None and from_gamma(2.2, (0.3, 0.0, *SRGB[2:])) is None  # type: ignore[arg-type]
    assert from_gamma(2.2, (*SRGB[:2], *[0.3] * 6)) is None  # type: ignore[arg-type]
    extremes = (42949.6, 1e-5, 0.0, 0.33)
    for values in itertools.product(extremes, repeat=4):  # of white and red: they make numbers of any size
        profile = from_gamma(2.2, (*values, *SRGB[4:]))
        assert profile is None or is_usable(profile, gray=False)
    nearly_one = (0.3127, 0.30721, 2277.9, 38128.8, 39487.9, 41791.8, 19583.9, 27489.5)
    assert from_gamma(1.0, nearly_one) is None, "colours so alike make numbers that no profile can have"
    whole = from_code_points(12, 13)
    assert whole is not None
    for damaged in (b"", whole[:200], whole[:-4], whole[:36] + b"none" + whole[40:], b"\xff" * len(whole)):
        assert not is_usable(damaged, gray=False)
