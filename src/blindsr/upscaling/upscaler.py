"""The main job: picture -> condition -> tiles -> engine -> restored picture."""

from __future__ import annotations

import copy
import hashlib
import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import KW_ONLY, asdict, dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

from blindsr.engine import choose_engine
from blindsr.engine.identity import package_version
from blindsr.engine.opening import load_model
from blindsr.errors import InputError
from blindsr.models.card import Model
from blindsr.models.catalogue import ADAPTING_MODEL, DEFAULT_MODEL, models_with_texture
from blindsr.picture import MAX_PIXELS, Limits, Photo, Picture, PictureWriter, open_photo
from blindsr.picture.animation import Animation, Timing
from blindsr.picture.arrays import as_array
from blindsr.picture.colours import Colours
from blindsr.picture.encoded import Encoded, is_encoded, path_of
from blindsr.picture.inputs import Photograph, as_picture, is_photo
from blindsr.picture.metadata.carrying import with_resolution
from blindsr.picture.metadata.contents import Metadata
from blindsr.picture.metadata.origin import Origin
from blindsr.picture.metadata.report import Report
from blindsr.picture.paging import PagesWriter, needs_big_places
from blindsr.picture.series import Opened, Pages, open_for
from blindsr.picture.sizing import OutputSize
from blindsr.picture.tiff_pages import Page
from blindsr.system.files import is_folder, refuse_overwriting
from blindsr.system.memory import Memory, show_bytes
from blindsr.system.untrusted import shorten
from blindsr.upscaling.masking import TextureMask
from blindsr.upscaling.stitching import Below, Canvas, ResizingWriter, Sink, TileWriter
from blindsr.upscaling.support import gather_support, spread
from blindsr.upscaling.tiling import AUTO_PIXELS, Tile, plan_tiles, plan_windows, whole

log = logging.getLogger(__name__)

__all__ = ["Adaptation", "Upscaler", "upscale"]

Mask: TypeAlias = "TextureMask | Photograph | NDArray[Any]"
"""Where the texture goes, in any form."""

OnTile = Callable[[int, int], None]
"""Called after each tile with the number done and the number in all."""

AUTO_MEMORY = 4 << 30
"""Bytes that "auto" lets the network take for one tile, where there is no other bound."""

_FRAMES_SEEN = 8
"""Frames of an animation that its support set is taken from."""

_LEAST_PIXELS = (
    64 * 64
)  # of a tile's window: memory that does not suffice for so few will suffice for nothing


@dataclass(frozen=True, eq=False, repr=False)
class Adaptation:
    """What a model read from a support set: enough to restore any photo of the same task.

    `Upscaler.adapt` makes it. Nothing in it changes, so threads may share one.

    Args:
        condition: The degradation's place in the condition space, (1, C).
        modulation: The scales that adapt the BaseNet to it, (1, M).
        model: Name of the model that they belong to.
        photos: How many images it was read from.

    Example:
        >>> upscaler = blindsr.Upscaler("cmdsr-x4")
        >>> camera = upscaler.adapt(["photo.jpg", "other.jpg"])
        >>> camera
        <Adaptation of 'cmdsr-x4' to 2 photos>
        >>> upscaler.upscale("photo.jpg", support=camera)
        <Picture 224x160 RGB, 8 bit>
    """

    condition: NDArray[np.float32]
    modulation: NDArray[np.float32]
    model: str
    _: KW_ONLY
    photos: int = 1

    def __repr__(self) -> str:
        return f"<Adaptation of {shorten(self.model)} to {self.photos} photo{'s' * (self.photos != 1)}>"

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
            photos=photos,
        )


@dataclass(frozen=True)
class _Order:
    """What is to become of one file; the values are as in `Upscaler.upscale_file`."""

    target: Path
    support: Adaptation | None
    on_tile: OnTile | None
    size: OutputSize | None
    quality: int | None
    dpi: float | None
    mask: TextureMask | None
    mark: bool

    def part(self, number: int, count: int) -> _Order:
        """The same for one of so many pictures: tiles are counted as if all had as many."""
        on_tile = self.on_tile
        if on_tile is None:
            return self
        return replace(self, on_tile=lambda done, total: on_tile(number * total + done, count * total))


class Upscaler:
    """A model on a device, ready for any number of pictures.

    The network sees every picture extended by its own reflection, for beyond what it is given it sees zeros,
    a black frame; what is made of the extension is cut off.

    Threads may share one: each result is, to the last bit, what a thread alone would get. They share its
    engine and its memory bound, which holds for one picture at a time.

    Args:
        model: Name of an available model, path of a model's folder, a file of another program's model or a
            checkpoint (see `blindsr.load_model`), or a `Model`.
        device: "auto", "cpu", "cuda" or "mps"; see `choose_engine`.
        tile: Longest side of a tile without its halo, LR pixels, or "auto"; less takes less memory. The
            result does not depend on it.
        threads: CPU threads; None for all cores.
        memory: Bound on the memory of the process while files are restored, such as "1.5G"; None for a safe
            share of what is free. Arrays and pictures that are handed over or asked for come on top.
        max_pixels: Largest photo that is decoded from a file, pixels.
        damaged: Whether what can be read of a damaged file is enough.
        texture: How much of the texture view is added to the structure view, from 0 (what the pixels make
            certain) to 1 (all the texture that the model was trained to add), only for a model that has
            these views; None takes the model's default.
        precision: "auto", "fp32" or "int8"; see `choose_engine`.

    Raises:
        ModelError: The model cannot be found or used.
        InputError: An option has an impossible value.
        MissingExtraError: The device needs PyTorch, which is not installed.

    Example:
        >>> upscaler = blindsr.Upscaler("cria-x4-compact", threads=1, texture=0.5)
        >>> upscaler
        <Upscaler 'cria-x4-compact', x4, on cpu in fp32, texture 0.5>
        >>> upscaler.upscale("photo.jpg").save("photo_x4.jpg")
        >>> upscaler.upscale("photo.jpg", size=blindsr.OutputSize(width=100))
        <Picture 100x71 RGB, 8 bit>
        >>> upscaler.upscale(np.zeros((10, 20), np.uint8)).shape
        (40, 80)
    """

    def __init__(
        self,
        model: str | Path | Model = DEFAULT_MODEL,
        *,
        device: str = "auto",
        tile: int | str = "auto",
        threads: int | None = None,
        memory: Memory | str | None = None,
        max_pixels: int = MAX_PIXELS,
        damaged: bool = False,
        texture: float | None = None,
        precision: str = "auto",
    ) -> None:
        if threads is not None and threads < 1:
            raise InputError(f"threads {threads}: give 1 or more")
        plan_tiles(1, 1, tile, 0)  # a bad tile is better refused now than after a model was loaded
        self.model = model if isinstance(model, Model) else load_model(model)
        self.texture = _texture(self.model, texture)
        self.tile, self.max_pixels, self.damaged = tile, max_pixels, damaged
        self.memory = Memory.parse(memory) if isinstance(memory, str) else memory or Memory.safe_share()
        # What works on groups of pixels takes so much less for each pixel, and has so much wider a halo.
        most = AUTO_PIXELS * self.model.multiple**2
        self._most_pixels = min(most, max(_LEAST_PIXELS, AUTO_MEMORY // self.model.tile_memory))
        self._found_short = self._said_whole = False
        self._shrinking = Lock()
        self.engine = choose_engine(self.model, device, threads, precision)

    def __repr__(self) -> str:
        texture = "" if self.texture is None else f", texture {self.texture:g}"
        engine = self.engine.identity
        runs = f"on {engine['device'][0]} in {engine['precision']}"
        return f"<Upscaler {shorten(self.model.name)}, x{self.model.scale}, {runs}{texture}>"

    def with_texture(self, texture: float | None) -> Upscaler:
        """The same model, ready, with another texture; both share the engine and the bound on memory.

        Args:
            texture: As in `Upscaler`.

        Raises:
            InputError: The model has no texture view, or the number is not from 0 to 1.

        Example:
            >>> blindsr.Upscaler("cria-x4-compact").with_texture(0.5)
            <Upscaler 'cria-x4-compact', x4, on cpu in fp32, texture 0.5>
        """
        other = copy.copy(self)
        other.texture = _texture(self.model, texture)
        return other

    def adapt(self, images: Photograph | NDArray[Any] | Iterable[Photograph | NDArray[Any]]) -> Adaptation:
        """Read the degradation that some images share.

        Args:
            images: One or more images of one task, each as in `blindsr.read`, of which one at a time is
                decoded. Each is read by a support set of its own, and the result is their mean.
                Only where the model takes a fixed number of patches do they share one support set, and at
                most so many images are used, taken evenly over the sequence.

        Raises:
            InputError: No image, one that cannot be read, or a model that does not adapt.
        """
        if self.model.support is None:
            raise InputError(
                f"model {self.model.name} does not adapt, so it takes no support set; {ADAPTING_MODEL} does"
            )
        photos = _each(images)
        if not photos:
            raise InputError("a support set needs at least one image")
        if self.model.support.fixed_count:
            chosen = spread(photos, self.model.support.count)
            return self._adapt(self._seen(chosen), len(chosen))
        return Adaptation.mean([self._adapt(self._seen([photo])) for photo in photos])

    @overload
    def upscale(
        self,
        image: NDArray[Any],
        *,
        support: Adaptation | None = None,
        on_tile: OnTile | None = None,
        size: OutputSize | None = None,
        mask: Mask | None = None,
        mark: bool = True,
    ) -> NDArray[Any]: ...

    @overload
    def upscale(
        self,
        image: Photograph,
        *,
        support: Adaptation | None = None,
        on_tile: OnTile | None = None,
        size: OutputSize | None = None,
        mask: Mask | None = None,
        mark: bool = True,
    ) -> Picture: ...

    def upscale(
        self,
        image: Photograph | NDArray[Any],
        *,
        support: Adaptation | None = None,
        on_tile: OnTile | None = None,
        size: OutputSize | None = None,
        mask: Mask | None = None,
        mark: bool = True,
    ) -> Picture | NDArray[Any]:
        """Restore one image.

        Args:
            image: A photo in any form, as in `blindsr.read`.
            support: An adaptation to use; None adapts the model to the image itself.
            on_tile: Called after each tile, for a progress bar.
            size: Size of the result; None makes its sides the model's scale times as long. Any other size is
                made from that by resizing in floating point.
            mask: Where the texture goes: a gray picture in any form, white where all of it is, black where
                none; over the whole result, whatever its own size. None: everywhere.
            mark: Whether the file that a `Picture` is saved to says in its XMP how it was made.

        Returns:
            For an array an array of the same dtype, byte order and channels; for anything else a `Picture`.

        Raises:
            InputError: The image or the mask cannot be read, the adaptation belongs to another model, the
                model has no texture view that a mask could place, or the size is impossible.
        """
        placed = self.mask(mask)
        picture = as_picture(image, Limits(pixels=self.max_pixels, damaged=self.damaged))
        height, width = self._output_size(picture, image, size)
        canvas = Canvas(picture, height, width)
        self._restore(picture, canvas, support, on_tile, None, placed)
        pixels, alpha = canvas.finished()
        if isinstance(image, np.ndarray):
            return as_array(pixels, alpha, image)
        metadata = self._marked(picture, width) if mark else picture.metadata
        return replace(picture, pixels=pixels, alpha=alpha, metadata=metadata)

    def support_of(self, photo: Opened) -> NDArray[np.float32] | None:
        """The support set that `restore` would read from a photo; None if the model does not adapt.

        Choosing it needs no network, so a batch does it while another photo has the network. The frames of an
        animation have one together, of some of them, evenly spread; each page has its own in its time.
        """
        if self.model.support is None or isinstance(photo, Pages):
            return None
        if isinstance(photo, Photo):
            return gather_support([Colours(photo)], 1, self.model.support)
        wanted = spread(range(photo.count), min(_FRAMES_SEEN, self.model.support.count))
        frames = (Colours(frame) for _, frame in photo.photos(wanted))
        return gather_support(frames, len(wanted), self.model.support)

    def restore(
        self,
        photo: Opened,
        target: str | Path,
        *,
        support: Adaptation | NDArray[np.float32] | None = None,
        on_tile: OnTile | None = None,
        size: OutputSize | None = None,
        quality: int | None = None,
        dpi: float | None = None,
        mask: Mask | None = None,
        mark: bool = True,
    ) -> PictureWriter | PagesWriter:
        """Restore a decoded photo of any size, pages or frames within this upscaler's memory.

        Every page is restored as a photo of its own; all frames under one condition.

        Args:
            photo: As `open_photo` gives it, with `limits`; or as `open_for` does.
            target: The file that the result is for; what it can hold decides how the result is kept.
            support: As in `upscale`; or the photo's own support set, as `support_of` chose it.
            on_tile: As in `upscale`.
            size: As in `upscale`; of each page.
            quality: As in `blindsr.picture.write`.
            dpi: As in `upscale_file`.
            mask: As in `upscale`; over each page and frame.
            mark: Whether the result says in its XMP how it was made, where its format holds XMP.

        Returns:
            The result, to be saved and closed.

        Raises:
            InputError: As `upscale`, or the target cannot hold the result; a mask, and the model has no
                texture view.
        """
        if isinstance(support, np.ndarray):
            support = Adaptation(*self.engine.condition(support), self.model.name)
        order = _Order(Path(target), support, on_tile, size, quality, dpi, self.mask(mask), mark)
        if isinstance(photo, Pages):
            return self._restore_pages(photo, order)
        if isinstance(photo, Animation):
            return self._restore_frames(photo, order)
        return self._restore_photo(photo, order)

    def upscale_file(
        self,
        source: Encoded,
        target: str | Path,
        *,
        support: Adaptation | None = None,
        on_tile: OnTile | None = None,
        size: OutputSize | None = None,
        quality: int | None = None,
        dpi: float | None = None,
        mask: Mask | None = None,
        mark: bool = True,
    ) -> Report:
        """Restore a photo from file to file within this upscaler's memory, however large it is.

        All pages of a TIFF are restored where the target is one, and all frames of an animation where it is a
        WebP, PNG or GIF; else the first, and the report names the others.

        Args:
            source: The photo: a path, the bytes of a file, or an open binary file.
            target: The file to be made; its suffix names the format.
            support: As in `upscale`, like the next two.
            on_tile: As in `upscale`.
            size: As in `upscale`.
            quality: As in `blindsr.picture.write`.
            dpi: Resolution that the result gets, pixels per inch; None for that of the photo.
            mark: As in `restore`.

        Returns:
            What became of what the photo carried besides its pixels.

        Raises:
            InputError: The photo cannot be read, or the result not written; or the result would overwrite the
                photo. The message names the file.

        Example:
            >>> blindsr.Upscaler().upscale_file("photo.jpg", "photo_x4.webp", quality=80)
            <Report 0 kept, 0 changed, 0 dropped>
        """
        path = path_of(source)
        own = [] if path is None else [path]
        refuse_overwriting([Path(target)], [*own, *self.model.reads], "give another target")
        with open_for(source, target, self.limits(target)) as photo:
            self._output_size(photo, source, size)  # an impossible one names the photo
            with self.restore(
                photo,
                target,
                support=support,
                on_tile=on_tile,
                size=size,
                quality=quality,
                dpi=dpi,
                mask=mask,
                mark=mark,
            ) as writer:
                writer.save()
                return writer.report

    def identity(
        self,
        *,
        support: Adaptation | None = None,
        size: OutputSize | None = None,
        quality: int | None = None,
        mask: TextureMask | None = None,
        mark: bool = True,
    ) -> dict[str, Any]:
        """Everything that a result's bytes depend on besides the photo, as values for JSON.

        Tiles are exact, so neither `tile` nor `memory` is in it, but for a result of another size than the
        model's: there the order in which the tiles' shares are summed moves the last bit; and for a model
        whose halo was measured, whose tiles are exact but for less than a level of 8 bit. The format is not
        in it either, which a result's name tells; nor are `threads` and `max_pixels`.

        Args:
            support: As in `upscale`; None for a model adapted to the photo itself.
            size: As in `upscale`.
            quality: As in `restore`.
            mask: As in `restore`, read.
            mark: With it the model's name counts, too.

        Example:
            >>> blindsr.Upscaler("cria-x4-compact").identity()["texture"]
            0.85
        """
        native = size is not None and size.scale == self.model.scale
        return {
            **result_identity(self.engine.identity, self.texture),
            "adaptation": None if support is None else _digest(support.modulation),
            "size": None if size is None or native else [asdict(size), self.tile, self.most_pixels],
            "tiles": [self.tile, self.most_pixels] if self.model.measured else None,
            "quality": quality,
            "mask": None if mask is None else mask.digest,
            "mark": self.model.name if mark else None,
        }

    @property
    def most_pixels(self) -> int:
        """LR pixels that one tile's window may hold, halo and margin included."""
        return min(self._most_pixels, self.memory.tile // self.model.tile_memory)

    def limits(self, target: str | Path) -> Limits:
        """What decoding and encoding may take; temporary files lie beside the target, on a disk with room."""
        places = Path(target).absolute().parents
        folder = next((place for place in places if is_folder(place)), None)
        return Limits(self.max_pixels, self.memory.samples, self.memory.codec, folder, self.damaged)

    @overload
    def mask(self, image: Mask) -> TextureMask: ...

    @overload
    def mask(self, image: Mask | None) -> TextureMask | None: ...

    def mask(self, image: Mask | None) -> TextureMask | None:
        """A mask, read once for any number of photos.

        Raises:
            InputError: It cannot be read, or the model has no texture view that a mask could place.
        """
        if image is None:
            return None
        if self.texture is None:
            raise InputError(_no_texture(self.model, "that a mask could place; leave --mask out"))
        return TextureMask.read(image)

    def size_of(self, size: OutputSize | None) -> Callable[[Path], tuple[int, int]]:
        """What tells (width, height) of the result of a photo's file; `size` as in `upscale`."""

        def measure(path: Path) -> tuple[int, int]:
            with open_photo(path, self.limits(path)) as photo:
                return self._output_size(photo, path, size)[::-1]

        return measure

    def _marked(self, picture: Picture | Photo, width: int) -> Metadata:
        """What belongs to a picture, and that it is restored to so many columns."""
        from blindsr.version import __version__

        settings = {"scale": f"{width / picture.width:.4g}"}
        if self.texture is not None:
            settings["texture"] = f"{self.texture:g}"
        settings["precision"] = str(self.engine.identity.get("precision", "fp32"))
        origin, metadata = Origin(__version__, self.model.name, settings), picture.metadata
        return replace(metadata, restored=(*metadata.restored, origin))

    def _output_size(
        self, picture: Picture | Opened | Page, named: object, size: OutputSize | None
    ) -> tuple[int, int]:
        """Height and width of the result."""
        try:
            return (size or OutputSize(scale=self.model.scale)).of(picture.height, picture.width)
        except InputError as error:
            path = path_of(named)
            raise InputError(str(error) if path is None else f"{path}: {error}") from error

    def _restore_photo(self, photo: Photo, order: _Order, big: bool = False) -> PictureWriter:
        """One photo, or a page of many; `big` is as in `PictureWriter`."""
        height, width = self._output_size(photo, None, order.size)
        writer = self._writer(photo, order, height, width, big=big)
        with _closed_if_it_fails(writer):
            self._restore(photo, writer, order.support, order.on_tile, self.memory, order.mask)
        return writer

    def _restore_pages(self, pages: Pages, order: _Order) -> PagesWriter:
        """Page by page, each written before the next is read."""
        sides = [self._output_size(page, None, order.size) for page in pages.pages]
        big = needs_big_places(sides, pages.bit_depth)
        result = PagesWriter(order.target, self.limits(order.target).folder)
        with _closed_if_it_fails(result):
            for place, page in pages.photos():
                with self._restore_photo(page, order.part(place, pages.count), big) as writer:
                    result.add(writer, pages.numbers[place])
            result.leave_out(pages.left_out)
            if order.on_tile is not None and pages.left_out:
                order.on_tile(pages.count, pages.count)
        return result

    def _restore_frames(self, animation: Animation, order: _Order) -> PictureWriter:
        """Frame by frame under one condition; those that are the same are restored once."""
        height, width = self._output_size(animation, None, order.size)
        writer = self._writer(animation.like, order, height, width, timing=animation.timing)
        with _closed_if_it_fails(writer):
            support = order.support
            if support is None and (seen := self.support_of(animation)) is not None:
                support = Adaptation(*self.engine.condition(seen), self.model.name)
            wanted = {number for number, first in enumerate(animation.same_as) if number == first}
            for number, frame in animation.photos(wanted):
                sink = Below(writer, number * height, height)
                on_tile = order.part(number, animation.count).on_tile
                self._restore(frame, sink, support, on_tile, self.memory, order.mask)
            for number, first in enumerate(animation.same_as):
                if number != first:
                    writer.repeat(first, number)
            if order.on_tile is not None and animation.count - 1 not in wanted:
                order.on_tile(animation.count, animation.count)
        return writer

    def _writer(
        self, photo: Photo, order: _Order, height: int, width: int, *,
        big: bool = False, timing: Timing | None = None,
    ) -> PictureWriter:  # fmt: skip
        """What a result is written by, with what belongs to its photo."""
        like = photo if order.dpi is None else with_resolution(photo, order.dpi)
        if order.mark:
            like = replace(like, metadata=self._marked(like, width))
        limits = self.limits(order.target)
        return PictureWriter(order.target, like, height, width, order.quality, limits, big=big, timing=timing)

    def _seen(self, images: Iterable[Photograph | NDArray[Any]]) -> Iterator[Colours]:
        """The images as the network sees them, one at a time in memory."""
        limits = Limits(self.max_pixels, self.memory.samples, self.memory.codec, damaged=self.damaged)
        for image in images:
            if is_encoded(image):
                with open_photo(image, limits) as photo:
                    yield Colours(photo)
            else:
                yield Colours(as_picture(image, limits))

    def _adapt(self, images: Iterable[Colours], count: int = 1) -> Adaptation:
        """So many images of one task -> what the model reads from one support set of them."""
        assert self.model.support is not None
        condition, modulation = self.engine.condition(gather_support(images, count, self.model.support))
        return Adaptation(condition, modulation, self.model.name, photos=count)

    def _restore(
        self,
        picture: Picture | Photo,
        sink: Sink,
        support: Adaptation | None,
        on_tile: OnTile | None,
        memory: Memory | None,
        mask: TextureMask | None,
    ) -> None:
        """Restore a picture into a sink, tile by tile; if the memory does not suffice, with smaller tiles."""
        if support is not None and support.model != self.model.name:
            raise InputError(f"this adaptation is for model {support.model}, not for {self.model.name}")
        colours = Colours(picture)
        modulation = None
        if self.model.adaptive:
            modulation = (support or self._adapt([colours])).modulation
        while True:
            tiles = self._plan(picture, sink.height, sink.width, memory)
            try:
                self._restore_tiles(colours, modulation, tiles, sink, on_tile, mask)
                return
            except MemoryError as error:
                largest = max(tile.window.area for tile in tiles)
                with self._shrinking:  # another thread may have found less to be too much
                    self._most_pixels = min(self._most_pixels, largest // 2)
                smaller = self._plan(picture, sink.height, sink.width, memory)
                # A wide halo may leave no room for smaller ones.
                if largest <= _LEAST_PIXELS or max(tile.window.area for tile in smaller) >= largest:
                    raise InputError(
                        "not enough memory even for small tiles; close other programs, or use --device cpu"
                    ) from error
                with self._shrinking:
                    said, self._found_short = self._found_short, True
                if not said:
                    log.warning("not enough memory for tiles of this size: going on with smaller ones")

    def _plan(self, picture: Picture | Photo, height: int, width: int, memory: Memory | None) -> list[Tile]:
        """Tiles that the memory has room for, beside the rows of a resized result that are in hand."""
        scale, most, most_rows = self.model.scale, self._most_pixels, None
        model, sides = self.model, (picture.height, picture.width)
        if model.window is not None and (model.tiled or self.tile != "auto"):
            return plan_windows(*sides, model.window, min(model.halo, min(model.window) // 4), model.multiple)
        room = None
        if memory is not None:
            room = memory.tile
            if (height, width) != (picture.height * scale, picture.width * scale):
                # A third for the rows in hand: float32, and a copy while they are handed over.
                row = 2 * 4 * 3 * width * max(1.0, height / picture.height)
                most_rows, room = max(1, int(room / 3 / row)), room * 2 // 3
            most = min(most, room // model.tile_memory)
        if not model.tiled and self.tile == "auto":
            return [self._whole(picture, room)]
        return plan_tiles(*sides, self.tile, model.halo, most, most_rows, model.multiple)

    def _whole(self, picture: Picture | Photo, room: int | None) -> Tile:
        """The photo in one piece, for a network that looks at the whole of it.

        Raises:
            InputError: There is no room for that, or the network takes no piece of this size.
        """
        model = self.model
        says = f"model {model.name} looks at the whole photo, so it is not cut into tiles"
        yet = "give --tile N to cut it nevertheless, with seams"
        if model.window is not None:
            tiles = plan_windows(picture.height, picture.width, model.window, 0)
            if len(tiles) == 1:
                return tiles[0]
            taken = f"{model.window[1]}x{model.window[0]}"
            raise InputError(f"{says}, and takes {taken} pixels: {yet}")
        tile = whole(picture.height, picture.width, model.halo, model.multiple)
        needed = tile.window.area * model.tile_memory
        if room is not None and needed > room:
            raise InputError(
                f"{says}: {picture.width}x{picture.height} need about {show_bytes(needed)}, and there are "
                f"{show_bytes(room)}; raise --memory, or {yet}"
            )
        with self._shrinking:
            said, self._said_whole = self._said_whole, True
        if not said:
            log.warning("%s", says)
        return tile

    def _restore_tiles(
        self,
        colours: Colours,
        modulation: NDArray[np.float32] | None,
        tiles: Sequence[Tile],
        sink: Sink,
        on_tile: OnTile | None,
        mask: TextureMask | None,
    ) -> None:
        """Restore tile after tile, and hand the sink what is finished."""
        scale, picture = self.model.scale, colours.picture
        native = (sink.height, sink.width) == (picture.height * scale, picture.width * scale)
        finish = TileWriter(colours, sink) if native else ResizingWriter(colours, scale, sink)
        for done, tile in enumerate(tiles, 1):
            lr = colours.window(*tile.window.slices).transpose(2, 0, 1)[None]  # (1, 3, h, w)
            shares = None
            if mask is not None:
                place = tile.core.scaled(scale)
                shares = mask.window(place, picture.height * scale, picture.width * scale)
            core = self._core(lr, modulation, tile, shares)
            if picture.gray:
                core = core.clip(0, 1).mean(axis=0, keepdims=True)
            finish(core, tile.core.scaled(scale))
            if on_tile is not None:
                on_tile(done, len(tiles))

    def _core(
        self,
        lr: NDArray[np.float32],
        modulation: NDArray[np.float32] | None,
        tile: Tile,
        shares: NDArray[np.float32] | None,
    ) -> NDArray[np.float32]:
        """What is made of a tile's core, (3, sh, sw): with the texture where the mask's shares are 1."""

        def view(texture: float | None) -> NDArray[np.float32]:
            return self.engine.upscale(lr, modulation, texture)[
                (0, slice(None), *tile.kept(self.model.scale).slices)
            ]

        if shares is None or shares.min() == 1:
            return view(self.texture)
        if shares.max() == 0:
            return view(0.0)
        # A network adds its texture view to the structure view, so this is what so much of it would give.
        return view(0.0) * (1 - shares) + view(self.texture) * shares


@overload
def upscale(
    image: NDArray[Any],
    *,
    model: str | Path | Model = ...,
    device: str = ...,
    tile: int | str = ...,
    threads: int | None = ...,
    texture: float | None = ...,
    precision: str = ...,
    size: OutputSize | None = ...,
    mask: Mask | None = ...,
    mark: bool = ...,
) -> NDArray[Any]: ...


@overload
def upscale(
    image: Photograph,
    *,
    model: str | Path | Model = ...,
    device: str = ...,
    tile: int | str = ...,
    threads: int | None = ...,
    texture: float | None = ...,
    precision: str = ...,
    size: OutputSize | None = ...,
    mask: Mask | None = ...,
    mark: bool = ...,
) -> Picture: ...


def upscale(
    image: Photograph | NDArray[Any],
    *,
    model: str | Path | Model = DEFAULT_MODEL,
    device: str = "auto",
    tile: int | str = "auto",
    threads: int | None = None,
    texture: float | None = None,
    precision: str = "auto",
    size: OutputSize | None = None,
    mask: Mask | None = None,
    mark: bool = True,
) -> Picture | NDArray[Any]:
    """Restore one image; for several images keep an `Upscaler`.

    Args:
        image: As in `Upscaler.upscale`.
        model: As in `Upscaler`, like the options after it.
        device: As in `Upscaler`.
        tile: As in `Upscaler`.
        threads: As in `Upscaler`.
        texture: As in `Upscaler`.
        precision: As in `Upscaler`.
        size: As in `Upscaler.upscale`, like the next.
        mark: As there.

    Returns:
        A `Picture`; for an array, an array like the one given.

    Raises:
        ModelError: As `Upscaler`, like the next.
        MissingExtraError: As `Upscaler`.
        InputError: As `Upscaler` and `Upscaler.upscale`.

    Example:
        >>> blindsr.upscale("photo.jpg").save("photo_x4.png")
        >>> pixels = np.zeros((20, 30, 3), np.uint8)
        >>> blindsr.upscale(pixels, model="cmdsr-x4").shape
        (80, 120, 3)
    """
    upscaler = Upscaler(
        model, device=device, tile=tile, threads=threads, texture=texture, precision=precision
    )
    return upscaler.upscale(image, size=size, mask=mask, mark=mark)


@contextmanager
def _closed_if_it_fails(writer: PictureWriter | PagesWriter) -> Iterator[None]:
    """Close a result if the block raises; else it is the caller's."""
    try:
        yield
    except BaseException:
        writer.close()
        raise


def _each(images: Photograph | NDArray[Any] | Iterable[Photograph | NDArray[Any]]) -> list[Any]:
    """The images, of which there may be one that is not in a list."""
    if is_photo(images):
        return [images]
    if not isinstance(images, Iterable):
        raise InputError(f"a support set of type {type(images).__name__[:40]}: give photos, in a list")
    return list(images)


def result_identity(engine: Mapping[str, Any], texture: float | None) -> dict[str, Any]:
    """What the bytes of every result of an upscaler depend on.

    Args:
        engine: `Engine.identity`.
        texture: As the engine is asked for it.
    """
    import pyvips

    from blindsr.picture.rim import MARGIN
    from blindsr.version import __version__

    libraries = {library: package_version(library) for library in ("numpy", "pillow", "pillow-heif")}
    return {
        "blindsr": __version__,
        "engine": dict(engine),
        "libraries": {**libraries, "libvips": [pyvips.version(part) for part in range(3)]},
        "margin": MARGIN,
        "texture": texture,
    }


def _digest(vector: NDArray[np.float32]) -> str:
    return hashlib.sha256(vector.tobytes()).hexdigest()


def _texture(model: Model, texture: float | None) -> float | None:
    """What was asked for, or the model's default; None for a model without a texture view."""
    if texture is None:
        return model.texture
    if model.texture is None:
        raise InputError(_no_texture(model, "to turn up or down; leave --texture out"))
    if not 0 <= texture <= 1:
        raise InputError(f"texture {texture:g}: give a number from 0 to 1")
    return float(texture)


def _no_texture(model: Model, why: str) -> str:
    """That a model has no texture view, and which have one."""
    others = ", ".join(models_with_texture())
    hint = f", or take a model that has it: {others}" if others else ""
    return f"model {model.name} has no texture {why}{hint}"


def _weighted_mean(vectors: Sequence[tuple[NDArray[np.float32], int]]) -> NDArray[np.float32]:
    """Mean of (1, K) vectors with their weights; exactly rounded sums do not depend on the order."""
    weight = sum(count for _, count in vectors)
    weighted = np.concatenate([vector.astype(np.float64) * count for vector, count in vectors])
    return np.array([[math.fsum(column) / weight for column in weighted.T]], np.float32)
