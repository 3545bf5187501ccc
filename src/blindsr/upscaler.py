"""The main job: picture -> condition -> tiles -> engine -> restored picture."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from blindsr.engine import choose_engine
from blindsr.errors import InputError
from blindsr.model import DEFAULT_MODEL, Model, SupportSpec, load_model
from blindsr.picture import Picture, quantise, read
from blindsr.sizing import OutputSize
from blindsr.tiling import plan_tiles

__all__ = ["Adaptation", "Upscaler", "select_support", "upscale"]

OnTile = Callable[[int, int], None]
"""Called after each tile with the number done and the number in all."""

_CANDIDATES = 3  # per axis of a support cell


@dataclass(frozen=True, eq=False)
class Adaptation:
    """What a model read from a support set: enough to restore any photo of the same task.

    Args:
        condition: The degradation's place in the condition space, (1, C).
        modulation: The scales that adapt the BaseNet to it, (1, M).
        model: Name of the model that they belong to.
        photos: How many images it was read from.
    """

    condition: NDArray[np.float32]
    modulation: NDArray[np.float32]
    model: str
    photos: int = 1

    @staticmethod
    def mean(parts: Sequence[Adaptation]) -> Adaptation:
        """One adaptation from those of single images of one task, whatever their order, to the last bit.

        The modulation is an affine function of the condition (arXiv 2104.03926, section III-C), so the mean
        modulation is that of the mean condition.

        Args:
            parts: One or more, of one model; each counts as many times as it has images.
        """
        photos = sum(part.photos for part in parts)
        return Adaptation(
            _weighted_mean([(part.condition, part.photos) for part in parts]),
            _weighted_mean([(part.modulation, part.photos) for part in parts]),
            parts[0].model,
            photos,
        )


class Upscaler:
    """A model on a device, ready for any number of pictures.

    Args:
        model: Name of an available model, path of a model's folder, or a `Model`.
        device: "auto", "cpu", "cuda" or "mps"; see `choose_engine`.
        tile: Longest side of a tile without its halo, LR pixels, or "auto"; less takes less memory. The
            result does not depend on it.
        threads: CPU threads; None for all cores.

    Raises:
        ModelError: The model cannot be found or used.
        InputError: An option has an impossible value.
        MissingExtraError: The device needs PyTorch, which is not installed.
    """

    def __init__(
        self,
        model: str | Path | Model = DEFAULT_MODEL,
        device: str = "auto",
        tile: int | str = "auto",
        threads: int | None = None,
    ) -> None:
        if threads is not None and threads < 1:
            raise InputError(f"threads {threads}: give 1 or more")
        plan_tiles(1, 1, tile, 0)  # a bad tile is better refused now than after a model was loaded
        self.model = model if isinstance(model, Model) else load_model(model)
        self.tile = tile
        self.engine = choose_engine(self.model, device, threads)

    def adapt(self, images: Sequence[str | Path | NDArray[Any] | Picture]) -> Adaptation:
        """Read the degradation that some images share.

        Args:
            images: One or more images of one task: paths, arrays as in `upscale`, or pictures, of which one
                at a time is held. Each is read by a support set of its own, and the result is their mean.
                Only where the model takes a fixed number of patches do they share one support set, and at
                most so many images are used, taken evenly over the sequence.

        Raises:
            InputError: No image, one that cannot be read, or a model that does not adapt.
        """
        if self.model.support is None:
            raise InputError(f"model {self.model.name} does not adapt, so it takes no support set")
        if len(images) == 0:
            raise InputError("a support set needs at least one image")
        if self.model.support.fixed_count:
            chosen = _spread(images, self.model.support.count)
            return self._adapt((_colours(_as_picture(image)) for image in chosen), len(chosen))
        return Adaptation.mean([self._adapt([_colours(_as_picture(image))]) for image in images])

    @overload
    def upscale(
        self,
        image: str | Path | Picture,
        support: Adaptation | None = None,
        on_tile: OnTile | None = None,
        size: OutputSize | None = None,
    ) -> Picture: ...

    @overload
    def upscale(
        self,
        image: NDArray[Any],
        support: Adaptation | None = None,
        on_tile: OnTile | None = None,
        size: OutputSize | None = None,
    ) -> NDArray[Any]: ...

    def upscale(
        self,
        image: str | Path | Picture | NDArray[Any],
        support: Adaptation | None = None,
        on_tile: OnTile | None = None,
        size: OutputSize | None = None,
    ) -> Picture | NDArray[Any]:
        """Restore one image.

        Args:
            image: A path, a `Picture`, or an array: (H, W), (H, W, 1), (H, W, 3) RGB or (H, W, 4) RGBA of
                uint8, uint16, or floating point in [0, 1].
            support: An adaptation to use; None adapts the model to the image itself.
            on_tile: Called after each tile, for a progress bar.
            size: Size of the result; None makes its sides the model's scale times as long. Any other size is
                made from that by resizing in floating point.

        Returns:
            A `Picture` for a path or a `Picture`; for an array, an array of the same dtype and channels.

        Raises:
            InputError: The image cannot be read, the adaptation belongs to another model, or the size is
                impossible.
        """
        picture = _as_picture(image)
        scale = self.model.scale
        height, width = picture.height * scale, picture.width * scale
        if size is not None:
            try:
                height, width = size.of(picture.height, picture.width)
            except InputError as error:
                named = f"{image}: " if isinstance(image, (str, Path)) else ""
                raise InputError(f"{named}{error}") from error
        colours = _colours(picture)
        modulation = None
        if support is not None and support.model != self.model.name:
            raise InputError(f"this adaptation is for model {support.model}, not for {self.model.name}")
        if self.model.adaptive:
            modulation = (support or self._adapt([colours])).modulation
        restored = self._restore(colours, modulation, on_tile)
        if picture.gray:
            restored = restored.mean(axis=2, keepdims=True)
        restored = _resize(restored, height, width)
        # Alpha is a shape, not a degraded photo, so there is nothing to restore: it goes its own way.
        alpha = None if picture.alpha is None else _resize(picture.alpha[:, :, None], height, width)[:, :, 0]
        if isinstance(image, np.ndarray):
            return _as_array(restored, alpha, image)
        return replace(picture, pixels=restored, alpha=alpha)

    def _adapt(self, images: Iterable[NDArray[np.float32]], count: int = 1) -> Adaptation:
        """So many (H, W, 3) images of one task -> what the model reads from one support set of them."""
        assert self.model.support is not None
        condition, modulation = self.engine.condition(_gather_support(images, count, self.model.support))
        return Adaptation(condition, modulation, self.model.name, count)

    def _restore(
        self, pixels: NDArray[np.float32], modulation: NDArray[np.float32] | None, on_tile: OnTile | None
    ) -> NDArray[np.float32]:
        """(H, W, 3) -> (sH, sW, 3), clipped to [0, 1], tile by tile."""
        height, width, channels = pixels.shape
        scale = self.model.scale
        restored = np.empty((height * scale, width * scale, channels), np.float32)
        lr = pixels.transpose(2, 0, 1)[None]  # (1, 3, H, W)
        tiles = plan_tiles(height, width, self.tile, self.model.halo)
        for done, tile in enumerate(tiles, 1):
            rows, columns = tile.window.slices
            sr = self.engine.upscale(lr[:, :, rows, columns], modulation)
            rows, columns = tile.core.relative_to(tile.window).scaled(scale).slices
            core = sr[0, :, rows, columns].transpose(1, 2, 0)
            np.clip(core, 0, 1, out=restored[tile.core.scaled(scale).slices])
            if on_tile is not None:
                on_tile(done, len(tiles))
        return restored


@overload
def upscale(
    image: str | Path | Picture,
    model: str | Path | Model = ...,
    *,
    device: str = ...,
    tile: int | str = ...,
    threads: int | None = ...,
    size: OutputSize | None = ...,
) -> Picture: ...


@overload
def upscale(
    image: NDArray[Any],
    model: str | Path | Model = ...,
    *,
    device: str = ...,
    tile: int | str = ...,
    threads: int | None = ...,
    size: OutputSize | None = ...,
) -> NDArray[Any]: ...


def upscale(
    image: str | Path | Picture | NDArray[Any],
    model: str | Path | Model = DEFAULT_MODEL,
    *,
    device: str = "auto",
    tile: int | str = "auto",
    threads: int | None = None,
    size: OutputSize | None = None,
) -> Picture | NDArray[Any]:
    """Restore one image with a model that adapts itself to it; for several images keep an `Upscaler`.

    Args:
        image: As in `Upscaler.upscale`.
        model: As in `Upscaler`, like the options after it.
        size: As in `Upscaler.upscale`.

    Returns:
        A `Picture`, or an array like the one given.
    """
    return Upscaler(model, device=device, tile=tile, threads=threads).upscale(image, size=size)


def select_support(pixels: NDArray[np.float32], count: int, patch: int) -> NDArray[np.float32]:
    """Choose support patches from one image: the same ones every time, evenly spread, with content.

    The image is divided into `count` cells, and each gives one patch, so that every part of the image is
    heard, flat ones too. Within a cell the patch at the upper quartile of gradient energy is taken: blur
    shows only where there are edges and noise best where there are none, so neither the flattest nor the
    busiest patch would tell both; and the network was trained on crops taken anywhere, which the extremes do
    not resemble.

    Args:
        pixels: (H, W, 3), [0, 1]. An image smaller than a patch is continued by reflection.
        count: Patches wanted.
        patch: Side of a patch, pixels.

    Returns:
        Support set, (P, 3, patch, patch); P is less than `count` where the image has fewer positions.
    """
    missing = [max(0, patch - side) for side in pixels.shape[:2]]
    if any(missing):
        pixels = np.pad(
            pixels, [*((lack // 2, lack - lack // 2) for lack in missing), (0, 0)], mode="reflect"
        )
    energy = _gradient_energy(pixels)
    height, width = (side - patch + 1 for side in pixels.shape[:2])  # positions of a patch's corner
    rows = min(max(1, round((count * height / width) ** 0.5)), count, height)
    corners: dict[tuple[int, int], None] = {}  # a dict keeps the order
    for row, (top, bottom) in enumerate(_cells(height, rows)):
        columns = (row + 1) * count // rows - row * count // rows  # cells of this row
        for left, right in _cells(width, min(columns, width)):
            candidates = [(y, x) for y in _positions(top, bottom) for x in _positions(left, right)]
            candidates.sort(key=lambda at: (_sum(energy, at, patch), at))
            corners[candidates[(3 * (len(candidates) - 1) + 2) // 4]] = None
    patches = [pixels[y : y + patch, x : x + patch] for y, x in corners]
    return np.ascontiguousarray(np.stack(patches).transpose(0, 3, 1, 2))


def _gather_support(
    images: Iterable[NDArray[np.float32]], count: int, spec: SupportSpec
) -> NDArray[np.float32]:
    """The support set that the model wants, shared evenly by so many images."""
    shares = [(i + 1) * spec.count // count - i * spec.count // count for i in range(count)]
    support = np.concatenate(
        [select_support(image, share, spec.patch) for image, share in zip(images, shares, strict=True)]
    )
    if spec.fixed_count and len(support) < spec.count:
        support = support[np.arange(spec.count) % len(support)]
    return support


def _weighted_mean(vectors: Sequence[tuple[NDArray[np.float32], int]]) -> NDArray[np.float32]:
    """Mean of (1, K) vectors with their weights; exactly rounded sums do not depend on the order."""
    weight = sum(count for _, count in vectors)
    weighted = np.concatenate([vector.astype(np.float64) * count for vector, count in vectors])
    return np.array([[math.fsum(column) / weight for column in weighted.T]], np.float32)


def _spread(images: Sequence[Any], most: int) -> list[Any]:
    """At most so many of the images, taken evenly over the sequence."""
    count = min(len(images), most)
    return [images[i * len(images) // count] for i in range(count)]


def _cells(length: int, count: int) -> list[tuple[int, int]]:
    """Divide 0..length into `count` parts, as (start, end)."""
    return [(i * length // count, (i + 1) * length // count) for i in range(count)]


def _positions(start: int, end: int) -> list[int]:
    """A few positions spread over start..end, without its ends where there is room."""
    count = min(_CANDIDATES, end - start)
    return [start + (2 * i + 1) * (end - start) // (2 * count) for i in range(count)]


def _gradient_energy(pixels: NDArray[np.float32]) -> NDArray[np.float64]:
    """Summed-area table of the squared luma gradient, (H + 1, W + 1)."""
    luma = pixels @ np.array([0.299, 0.587, 0.114], np.float32)
    energy = np.zeros(luma.shape, np.float64)
    energy[1:] += np.square(np.diff(luma, axis=0))
    energy[:, 1:] += np.square(np.diff(luma, axis=1))
    return np.pad(energy.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))


def _sum(table: NDArray[np.float64], corner: tuple[int, int], side: int) -> float:
    """Sum over a square, from a summed-area table."""
    top, left = corner
    bottom, right = top + side, left + side
    return float(table[bottom, right] - table[top, right] - table[bottom, left] + table[top, left])


def _as_picture(image: str | Path | Picture | NDArray[Any]) -> Picture:
    """Whatever was given, as a picture."""
    if isinstance(image, Picture):
        return image
    if not isinstance(image, np.ndarray):
        return read(image)
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] not in (1, 3, 4)) or 0 in image.shape:
        raise InputError(f"array of shape {image.shape}: give (H, W), (H, W, 1), (H, W, 3) or (H, W, 4)")
    array = image.reshape(*image.shape[:2], -1)
    if array.dtype in (np.uint8, np.uint16):
        array = array / np.float32(np.iinfo(array.dtype).max)
    elif not np.issubdtype(array.dtype, np.floating):
        raise InputError(f"array of {image.dtype}: give uint8, uint16, or floating point in [0, 1]")
    elif not (np.isfinite(array).all() and array.min() >= -1e-3 and array.max() <= 1 + 1e-3):
        raise InputError("array of floating point: every value must be in [0, 1]")
    array = np.clip(array, 0, 1, dtype=np.float32)
    if array.shape[2] == 4:
        return Picture(array[:, :, :3], alpha=array[:, :, 3])
    return Picture(array)


def _as_array(
    pixels: NDArray[np.float32], alpha: NDArray[np.float32] | None, like: NDArray[Any]
) -> NDArray[Any]:
    """Pixels in the dtype and the channels of the array that was given."""
    if alpha is not None:
        pixels = np.concatenate([pixels, alpha[:, :, None]], axis=2)
    if like.ndim == 2:
        pixels = pixels[:, :, 0]
    if like.dtype in (np.uint8, np.uint16):
        return quantise(pixels, 8 * like.dtype.itemsize)
    return pixels.astype(like.dtype, copy=False)


def _colours(picture: Picture) -> NDArray[np.float32]:
    """(H, W, 3) for the network: gray thrice, and no invented colours under transparent pixels."""
    pixels = picture.pixels
    if picture.alpha is not None and not picture.alpha.all():
        pixels = _fill_transparent(pixels, picture.alpha)
    return np.repeat(pixels, 3, axis=2) if picture.gray else pixels


def _fill_transparent(pixels: NDArray[np.float32], alpha: NDArray[np.float32]) -> NDArray[np.float32]:
    """Continue the visible colours under fully transparent pixels.

    What a file holds there is arbitrary, often black, and the network would spread it over the edge as a
    fringe. Filled from a pyramid of averages weighted by alpha: each pixel takes the finest scale that sees
    any colour.
    """
    height, width, channels = pixels.shape
    if not alpha.any():
        return pixels
    hidden = alpha == 0
    if height == 1 and width == 1:
        return pixels
    # One level up: sums over 2x2 blocks of the colours, weighted by alpha.
    padding = ((0, height % 2), (0, width % 2), (0, 0))
    weighted = np.concatenate([pixels * alpha[:, :, None], alpha[:, :, None]], axis=2)
    blocks = np.pad(weighted, padding).reshape((height + 1) // 2, 2, (width + 1) // 2, 2, channels + 1)
    coarse = blocks.sum(axis=(1, 3)) / 4
    weight = coarse[:, :, channels]
    colours = coarse[:, :, :channels] / np.where(weight > 0, weight, 1)[:, :, None]
    filled = _fill_transparent(colours, weight)
    finer = filled.repeat(2, axis=0).repeat(2, axis=1)[:height, :width]
    return np.where(hidden[:, :, None], finer, pixels)


def _resize(pixels: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """(H, W, C) -> (height, width, C), clipped to [0, 1].

    In the values as they are stored, not in linear light: the network takes a degraded photo for a shrunk one
    in these values, so shrinking its result back gives the photo's own brightness. Shrinking is by libvips
    with Lanczos: on waves its error is 0.2 to 0.6 of the antialiased bicubic's, in 0.6 of the time and a
    quarter of the memory (x4 to x2.5). Enlarging is ours: the same libvips shifts an enlarged picture by a
    part of a pixel.
    """
    if pixels.shape[:2] == (height, width):
        return pixels
    first = pixels[:1, :1]
    if (pixels == first).all():  # most often an opaque alpha
        return np.broadcast_to(first, (height, width, pixels.shape[2])).copy()
    if height > pixels.shape[0] or width > pixels.shape[1]:
        from blindsr.degradation.resize import enlarge  # few pictures need it

        resized = enlarge(pixels, height, width)
    else:
        resized = _shrink(pixels, height, width)
    return np.clip(resized, 0, 1, out=resized)


def _shrink(pixels: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """(H, W, C) -> (height, width, C), by libvips with Lanczos, antialiased."""
    import pyvips

    rows, columns, channels = pixels.shape
    image = pyvips.Image.new_from_memory(np.ascontiguousarray(pixels), columns, rows, channels, "float")
    image = image.resize(width / columns, vscale=height / rows, kernel="lanczos3")
    shrunk: NDArray[np.float32] = np.frombuffer(image.write_to_memory(), np.float32)
    return shrunk.reshape(height, width, channels).copy()  # the buffer cannot be written to
