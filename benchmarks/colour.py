"""Whether colours mean the same after as before: patches of many colours, through `upscale --texture 0`.

    python benchmarks/colour.py
    python benchmarks/colour.py --only "PQ" --model cmdsr-x4

A chart of 24 patches is written in each colour space and format, restored from file to file, and read again:
by libvips and the profile, or by code points as ITU-T H.273, BT.2100 and BT.2408 have them (203 candelas a
square metre are white, and what is brighter counts), not by this program. Printed is the distance dE2000 from
the chart enlarged pixel by pixel: the mean over the insides of all patches (what is more than four LR pixels
from their edges), and that of the patch which is farthest off. What the chart's own file loses, as a JPEG
does, is not counted. PQ goes up to 1000 candelas, as phones and films do. The line of sRGB tells what the
network alone does to flat colours.
"""

from __future__ import annotations

import struct
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyvips
import typer
from numpy.typing import NDArray
from PIL import Image, ImageCms
from skimage.color import deltaE_ciede2000

from blindsr.picture.jpeg_xl import writing as jpeg_xl
from blindsr.picture.jpeg_xl.reading import Reader
from blindsr.picture.metadata.heif import set_colour
from blindsr.picture.profiles import PRIMARIES, Chromaticities, from_code_points, from_gamma
from blindsr.upscaling.upscaler import Upscaler

Pixels = NDArray[np.float64]

SIDE, EDGE = 32, 4  # of a patch, and what is left out of its inside, LR pixels
D50 = np.array([0.9642, 1.0, 0.8249])
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
ADOBE = (0.3127, 0.329, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)
PQ, HLG = (9, 16), (9, 18)
P3, LINEAR = (12, 13), (1, 8)
RESULTS = (".png", ".tif", ".jpg", ".webp", ".avif", ".jxl", ".bmp")
BRIGHTEST = 0.7518 / 0.95
"""What makes the chart's lightest samples those of 1000 candelas in PQ."""

GRAYS = [(level, level, level) for level in (0.08, 0.25, 0.4, 0.55, 0.7, 0.92)]
COLOURS = [
    tuple(low + (high - low) * (one if bits >> channel & 1 else 0.0) for channel in range(3))
    for low, high, one in ((0.15, 0.55, 1.0), (0.45, 0.85, 1.0), (0.05, 0.9, 0.9))
    for bits in range(1, 7)
]


def chart(gray: bool = False, most: float = 1.0) -> Pixels:
    """Code values of the chart up to `most`, (H, W, 3), or (H, W, 1) with as many levels."""
    patches = np.array(GRAYS + COLOURS)
    if gray:
        patches = np.linspace(0.05, 0.95, len(patches))[:, None]
    grid = patches.reshape(4, 6, -1)
    return most * grid.repeat(SIDE, axis=0).repeat(SIDE, axis=1)


def levels(pixels: Pixels, bits: int) -> NDArray[Any]:
    """Samples in [0, 1] as whole numbers."""
    return np.round(pixels * ((1 << bits) - 1)).astype(np.uint8 if bits == 8 else np.uint16)


def as_vips(pixels: Pixels, bits: int) -> Any:  # noqa: ANN401
    """Samples in [0, 1] as an image of libvips."""
    bands = pixels.shape[2]
    names = {1: ("b-w", "grey16"), 3: ("srgb", "rgb16"), 4: ("cmyk", "cmyk")}[bands]
    image = pyvips.Image.new_from_array(np.ascontiguousarray(levels(pixels, bits)))
    return image.copy(interpretation=names[bits > 8])


@dataclass(frozen=True)
class Chart:
    """A chart in a file.

    Args:
        name: What it is.
        suffix: Of its file.
        write: Writes it.
        to: Suffixes of the results' formats.
    """

    name: str
    suffix: str
    write: Callable[[Path], None]
    to: tuple[str, ...] = ()


def by_profile(
    profile: bytes | None, bits: int = 8, gray: bool = False, **options: object
) -> Callable[[Path], None]:
    """Writes a chart with a profile, by libvips."""

    def write(path: Path) -> None:
        image = as_vips(chart(gray), bits).copy()
        if profile is not None:
            image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
        image.write_to_file(str(path), **options)

    return write


def by_chunks(*chunks: tuple[bytes, bytes], gray: bool = False, most: float = 1.0) -> Callable[[Path], None]:
    """Writes a PNG file of 16 bit with chunks that tell its colours."""

    def write(path: Path) -> None:
        as_vips(chart(gray, most), 16).pngsave(str(path), keep="none")
        content = path.read_bytes()
        told = b"".join(
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
            for name, data in chunks
        )
        path.write_bytes(content[:33] + told + content[33:])

    return write


def by_nclx(primaries: int, transfer: int, bits: int, most: float = 1.0) -> Callable[[Path], None]:
    """Writes an AVIF file that tells code points."""

    def write(path: Path) -> None:
        image = as_vips(chart(most=most), 16 if bits > 8 else 8)
        options = {"compression": "av1", "Q": 95, "subsample_mode": "off", "effort": 0, "keep": "none"}
        image.heifsave(str(path), bitdepth=bits, **options)
        with path.open("rb+") as file:
            assert set_colour(file, primaries, transfer)

    return write


def by_numbers(primaries: int, transfer: int, bits: int, most: float = 1.0) -> Callable[[Path], None]:
    """Writes a JPEG XL file that tells code points, without loss."""

    def write(path: Path) -> None:
        told = jpeg_xl.Belongings(code_points=(primaries, transfer))
        with path.open("wb") as file:
            jpeg_xl.write(file, [levels(chart(most=most), bits)], bits, jpeg_xl.LOSSLESS, told)

    return write


def by_cmyk(bits: int, **options: object) -> Callable[[Path], None]:
    """Writes a chart in CMYK: that in sRGB, as libvips's profile prints it."""

    def write(path: Path) -> None:
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        image = as_vips(chart(), 8).copy()
        image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
        printed = image.icc_transform("cmyk", input_profile="srgb", depth=bits)
        printed.write_to_file(str(path), **options)

    return write


def charts() -> list[Chart]:
    """All of them."""
    wide, adobe = from_code_points(*P3), from_gamma(563 / 256, ADOBE)
    gray = from_gamma(1.8, PRIMARIES[1], gray=True)
    gamma = struct.pack(">I", round(100000 / 1.8))
    return [
        Chart("sRGB", ".png", by_profile(None)),
        Chart("Display P3, profile", ".png", by_profile(wide), RESULTS),
        Chart("Display P3, profile", ".jpg", by_profile(wide, Q=95, subsample_mode="off")),
        Chart("Display P3, nclx", ".avif", by_nclx(*P3, 10), RESULTS),
        Chart("Display P3, numbers", ".jxl", by_numbers(*P3, 8), RESULTS),
        Chart("Adobe RGB, 16 bit", ".tif", by_profile(adobe, 16), RESULTS),
        Chart("Adobe RGB", ".jpg", by_profile(adobe, Q=95, subsample_mode="off")),
        Chart("BT.2020 PQ, cICP", ".png", by_chunks((b"cICP", bytes((*PQ, 0, 1))), most=BRIGHTEST), RESULTS),
        Chart("BT.2020 PQ, nclx, 10 bit", ".avif", by_nclx(*PQ, 10, most=BRIGHTEST), RESULTS),
        Chart("BT.2020 PQ, numbers, 12 bit", ".jxl", by_numbers(*PQ, 12, most=BRIGHTEST), RESULTS),
        Chart("BT.2020 HLG, cICP", ".png", by_chunks((b"cICP", bytes((*HLG, 0, 1)))), RESULTS),
        Chart("BT.2020 HLG, nclx, 10 bit", ".avif", by_nclx(*HLG, 10), RESULTS),
        Chart("linear, cICP", ".png", by_chunks((b"cICP", bytes((*LINEAR, 0, 1)))), RESULTS),
        Chart("gamma 1.8, gAMA", ".png", by_chunks((b"gAMA", gamma)), RESULTS),
        Chart("gray, gamma 1.8, profile", ".png", by_profile(gray, gray=True), RESULTS),
        Chart("gray, gamma 1.8, profile, 16 bit", ".tif", by_profile(gray, 16, gray=True), RESULTS),
        Chart("gray, gamma 1.8, gAMA", ".png", by_chunks((b"gAMA", gamma), gray=True), RESULTS),
        Chart("gray with an RGB profile", ".png", by_profile(wide, gray=True), RESULTS),
        Chart("CMYK", ".tif", by_cmyk(8), RESULTS),
        Chart("CMYK, 16 bit", ".tif", by_cmyk(16), (".png",)),
        Chart("CMYK", ".jpg", by_cmyk(8, Q=95, subsample_mode="off")),
    ]


def told_code_points(content: bytes) -> tuple[int, int] | None:
    """What cICP or nclx says."""
    if content.startswith(b"\x89PNG") and b"cICP" in content[: 1 << 12]:
        at = content.index(b"cICP") + 4
        return content[at], content[at + 1]
    if b"colrnclx" in content[: 1 << 12]:
        primaries, transfer = struct.unpack_from(">HH", content, content.index(b"colrnclx") + 8)
        return primaries, transfer
    return None


def told_gamma(content: bytes) -> float | None:
    """What gAMA says."""
    at = content[: 1 << 12].find(b"gAMA")
    return 100000 / struct.unpack_from(">I", content, at + 4)[0] if at > 0 else None


def lab_of(path: Path) -> Pixels:
    """CIELAB of a file, (H, W, 3), D50, as a reader of profiles and code points sees it."""
    if path.suffix == ".bmp":  # which libvips does not read, and has no profile
        return lab_of_codes(np.asarray(Image.open(path).convert("RGB")) / 255, 1, 13)
    if path.suffix == ".jxl":
        return lab_of_jpeg_xl(path.read_bytes())
    image, content = pyvips.Image.new_from_file(str(path)), path.read_bytes()
    if image.interpretation == "cmyk":
        return np.asarray(
            image.icc_import(input_profile="cmyk", embedded=True, pcs="lab").numpy(), np.float64
        )
    bits = 16 if image.format == "ushort" else 8
    if content[4:8] == b"ftyp" and bits == 16:
        bits = int(image.get("bits-per-sample"))
    shift = 16 - bits if bits > 8 else 0  # libvips has fewer bits than sixteen as the upper ones
    codes = np.atleast_3d(image.numpy() >> shift) / ((1 << bits) - 1)
    has_profile = image.get_typeof("icc-profile-data") != 0
    points, gamma = told_code_points(content), told_gamma(content)
    if has_profile:
        embedded = image.get("icc-profile-data")
        at = embedded.find(b"cicp", 132 + 12 * int.from_bytes(embedded[128:132], "big"))
        if (
            at > 0
            and codes.shape[2] == 3
            and embedded[at + 9]
            in (
                16,
                18,
            )
        ):  # beyond white, where a profile of a matrix and curves ends
            return lab_of_codes(codes, embedded[at + 8], embedded[at + 9])
    if has_profile and image.get("icc-profile-data")[16:20] == (b"GRAY" if codes.shape[2] == 1 else b"RGB "):
        return lab_by_profile(codes, image.get("icc-profile-data"))
    if points is not None and points != (2, 2):
        return lab_of_codes(codes, *points)
    return lab_of_codes(codes, 1, 13, gamma)


def lab_of_jpeg_xl(content: bytes) -> Pixels:
    """CIELAB of a JPEG XL file, by the numbers or the profile that libjxl gives."""
    with Reader(content) as reader:
        samples, told = next(reader.frames()), reader.colours
        if told is None:
            return lab_by_profile(samples / np.iinfo(samples.dtype).max, reader.icc or b"")
    codes = samples / np.iinfo(samples.dtype).max
    return lab_of_codes(codes, told.chromaticities, told.transfer or 0, told.gamma or None)


def lab_by_profile(codes: Pixels, profile: bytes) -> Pixels:
    """CIELAB of samples in [0, 1] by a profile."""
    wide = as_vips(codes, 16).copy()
    wide.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    return np.asarray(wide.icc_import(embedded=True, intent="relative", pcs="lab").numpy(), np.float64)


def lab_of_codes(
    codes: Pixels, primaries: int | Chromaticities, transfer: int, gamma: float | None = None
) -> Pixels:
    """CIELAB of samples in [0, 1] by code points, or by primaries and a gamma."""
    light = codes**gamma if gamma is not None else LIGHT[transfer](codes)
    points = PRIMARIES[primaries] if isinstance(primaries, int) else primaries
    x, y = (np.array(points[first::2]) for first in (0, 1))
    xyz = np.stack([x / y, np.ones(4), (1 - x - y) / y])  # columns: white, red, green, blue
    matrix = xyz[:, 1:] * np.linalg.solve(xyz[:, 1:], xyz[:, 0])
    cones = np.diag((BRADFORD @ D50) / (BRADFORD @ xyz[:, 0]))
    matrix = np.linalg.solve(BRADFORD, cones @ BRADFORD @ matrix)
    relative = (np.repeat(light, 3, axis=2) if light.shape[2] == 1 else light) @ (matrix / D50[:, None]).T
    root = np.where(relative > (6 / 29) ** 3, np.cbrt(relative), relative / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack(
        [116 * root[..., 1] - 16, 500 * (root[..., 0] - root[..., 1]), 200 * (root[..., 1] - root[..., 2])],
        axis=2,
    )


def _pq(codes: Pixels) -> Pixels:
    power = codes ** (32 / 2523)
    light: Pixels = (
        10000
        / 203
        * (np.maximum(power - 3424 / 4096, 0) / (2413 / 128 - 2392 / 128 * power)) ** (8192 / 1305)
    )
    return light


def _hlg(codes: Pixels) -> Pixels:
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(codes <= 0.5, codes**2 / 3, (np.exp((codes - c) / a) + b) / 12)
    white = (np.exp((0.75 - c) / a) + b) / 12
    light: Pixels = scene / white
    return light


LIGHT: dict[int, Callable[[Pixels], Pixels]] = {
    8: lambda codes: codes,
    13: lambda codes: np.where(codes <= 0.04045, codes / 12.92, ((codes + 0.055) / 1.055) ** 2.4),
    16: _pq,
    18: _hlg,
}
"""Code points of transfer characteristics -> light, white being 1."""


def distances(before: Pixels, after: Pixels) -> tuple[float, float]:
    """Mean dE2000 of the insides of all patches, and of the worst."""
    scale = after.shape[0] // before.shape[0]
    distance = deltaE_ciede2000(before.repeat(scale, 0).repeat(scale, 1), after)
    side, edge = SIDE * scale, EDGE * scale
    patches = distance.reshape(4, side, 6, side)[:, edge:-edge, :, edge:-edge].mean(axis=(1, 3))
    return float(patches.mean()), float(patches.max())


def main(
    model: Annotated[str | None, typer.Option(help="Name or folder; else the default.")] = None,
    only: Annotated[str, typer.Option(help="Charts whose name holds this.")] = "",
    precision: Annotated[str, typer.Option(help="As in `blindsr upscale`.")] = "auto",
    threads: Annotated[int | None, typer.Option(help="CPU threads.")] = None,
) -> None:
    """Print a table."""
    upscaler = Upscaler(
        *([] if model is None else [model]), texture=0.0, threads=threads, precision=precision
    )
    print(f"{upscaler!r}\n")
    print(f"| chart | file | {' | '.join(suffix[1:] for suffix in RESULTS)} |")
    print("|---|---|" + "---|" * len(RESULTS))
    with tempfile.TemporaryDirectory() as name:
        folder, all_means = Path(name), []
        for at, one in enumerate(one for one in charts() if only.lower() in one.name.lower()):
            source = folder / f"{at}{one.suffix}"
            one.write(source)
            before, cells = lab_of(source), dict.fromkeys(RESULTS, "")
            for suffix in {one.suffix, *one.to}:
                target = folder / f"{at} restored{suffix}"
                upscaler.upscale_file(source, target)
                mean, worst = distances(before, lab_of(target))
                if suffix != ".bmp":
                    all_means.append(mean)
                cells[suffix] = f"{mean:.2f} / {worst:.2f}"
            print(f"| {one.name} | {one.suffix[1:]} | {' | '.join(cells.values())} |", flush=True)
    print(f"\nworst mean {max(all_means):.2f} of {len(all_means)}, without BMP, which holds sRGB alone")


if __name__ == "__main__":
    typer.run(main)
