"""8-bit models: post-training quantisation of a base graph by NNCF, checked on photos it did not see."""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from blindsr.dataset.layouts import training_photos
from blindsr.dataset.photos import split_holdout
from blindsr.degradation import Degradation, degrade
from blindsr.degradation.space import TaskSpace, read_space
from blindsr.engine.inputs import fill_inputs
from blindsr.engine.openvino import import_openvino, import_quietly, shared_core
from blindsr.engine.torch import load_weights
from blindsr.errors import InputError, MissingExtraError
from blindsr.export.graphs import write_base
from blindsr.metrics import psnr
from blindsr.models.card import CARD, Model, add_to_card, drop_from_card
from blindsr.models.catalogue import find_model
from blindsr.picture import Picture, as_rgb, read
from blindsr.picture.colours import Colours
from blindsr.system.files import refuse_overwriting, temporary_folder
from blindsr.upscaling.tiling import Tile, whole
from blindsr.upscaling.upscaler import Upscaler

log = logging.getLogger(__name__)

Pixels = NDArray[np.float32]
Feed = dict[str, Pixels]

DROP = 0.1
"""dB of PSNR that 8 bits may cost under any of `ROWS`."""

ROWS = tuple(
    ",".join(filter(None, [f"blur={blur}", f"noise={noise}" if noise else "", jpeg]))
    for blur in (0.2, 1.3, 2.6)
    for noise in (0, 15, 30)
    for jpeg in ("", "jpeg=60")
)
"""Degradations that the check is made under."""

_GRAPH = "int8"  # .xml and .bin
_UNHARMED = 100.0  # of a graph that loses nothing: NNCF divides by it
_FP32_TYPES = ["Add", "Multiply", "Subtract", "Divide", "Power", "AvgPool", "ReduceMean"]
"""Sums and scalings between the convolutions, and the lattice filter, which works on the result."""


@dataclass(frozen=True)
class Row:
    """What 8 bits cost under one degradation.

    Args:
        degradation: As `Degradation.parse` reads it.
        fp32: PSNR in dB, luma, 8 bit, the scale's pixels of border left out; mean over the photos.
        int8: The same.
    """

    degradation: str
    fp32: float
    int8: float

    def __str__(self) -> str:
        return f"{self.degradation:<26} {self.fp32:>8.3f} {self.int8:>8.3f} {self.int8 - self.fp32:>+8.3f}"


HEADING = f"{'':<26} {'fp32':>8} {'int8':>8} {'cost':>8}"


@dataclass(frozen=True)
class _Probe:
    """A degraded crop: what the graph is fed, the truth, the row that it belongs to, and PSNR in fp32."""

    feed: Feed
    truth: Pixels  # (sh, sw, 3)
    row: int
    fp32: float


def quantise(
    folder: Path,
    photos: Path,
    degradations: str | None = None,
    holdout: int = 8,
    crops: int = 120,
    side: int = 96,
    drop: float = DROP,
    seed: int = 0,
) -> list[Row]:
    """Add a model's base graph in 8 bit to its folder.

    Every convolution computes in 8 bit, but for the first one and the bicubic skip, which see the photo's own
    pixels, and those that cost too much: NNCF takes them back one by one, the most harmful first, until the
    loss is below `drop` under every degradation of `ROWS`. Sums and scalings between the convolutions stay in
    fp32, which costs no time, as the residual sums would lose a little at every block; so does what comes
    after the network, whose steps of 8 bits would be seen.

    Args:
        folder: A model's folder, with weights; `int8.xml` and `int8.bin` are written, the card names them.
        photos: Folder of sharp photos, the ones that the model was trained on.
        degradations: Name of the space whose tasks the calibration is made under; None: that of the training.
        holdout: How many of the photos the training held out; the loss is measured on those.
        crops: Crops that the calibration sees.
        side: Of a crop, LR pixels.
        drop: dB of PSNR that may be lost.
        seed: Of all draws.

    Returns:
        What it costs, row by row.

    Raises:
        InputError: The photos do not suffice.
        MissingExtraError: NNCF is not installed.
        ModelError: The model cannot be used, or carries no weights.
    """
    nncf = _import_nncf()
    openvino = import_openvino()
    model = find_model(folder)
    if not (folder / CARD).is_file():
        raise InputError(f"{folder}: give the folder of a model")
    model.file("weights")  # the graph is made of them
    files = {"int8": f"{_GRAPH}.xml", "int8_weights": f"{_GRAPH}.bin"}
    others = [path for role, path in model.files.items() if role not in files]
    refuse_overwriting([folder / name for name in files.values()], others, "give that file another name")
    space = replace(read_space(degradations or _trained_under(model)), scale=model.scale)
    held_out, rest = split_holdout(training_photos(photos), holdout)
    if not held_out or not rest:
        raise InputError(f"{photos}: photos are needed to calibrate and others to measure")
    upscaler = Upscaler(model, device="cpu", precision="fp32")
    feeds = _calibration(upscaler, rest, space, crops, side, seed)
    with tempfile.TemporaryDirectory() as temporary:
        graph = _float_graph(model, Path(temporary))
        loss = _Loss(model)
        probes = _probes(upscaler, held_out, side, partial(loss.psnr, _compiled(graph)))
        present = {op.get_type_name() for op in graph.get_ordered_ops()}  # it knows no others
        types = [name for name in _FP32_TYPES if name in present]
        scope = nncf.IgnoredScope(names=_first_convolutions(graph), types=types)
        # Without VNNI a CPU adds two products in 16 bits, which overflow unless weights keep to 7.
        settings = nncf.AdvancedQuantizationParameters(overflow_fix=nncf.OverflowFix.ENABLE)
        with contextlib.redirect_stdout(io.StringIO()), _one_core(openvino):  # it draws bars
            quantised = nncf.quantize_with_accuracy_control(
                graph,
                nncf.Dataset(feeds),
                nncf.Dataset(probes),
                validation_fn=loss,
                max_drop=drop,
                drop_type=nncf.DropType.ABSOLUTE,
                preset=nncf.QuantizationPreset.MIXED,
                subset_size=len(feeds),
                ignored_scope=scope,
                advanced_quantization_parameters=settings,
            )
    rows = loss.rows(_compiled(quantised), probes)
    convolutions = _convolutions(quantised)
    drop_from_card(folder, files)
    with temporary_folder(folder) as made:  # saved in place it would be written through a link
        openvino.save_model(quantised, made / files["int8"], compress_to_fp16=False)
        for name in files.values():
            (made / name).replace(folder / name)
    measures = {
        "convention": f"{len(held_out)} photos held out: PSNR (dB) on Y, border {model.scale}, 8 bit",
        "convolutions": f"{sum(convolutions.values())} of {len(convolutions)} in 8 bit",
        "rows": [
            {"degradation": r.degradation, "fp32": round(r.fp32, 3), "int8": round(r.int8, 3)} for r in rows
        ],
    }
    add_to_card(folder, files, "int8", measures)
    return rows


class _Loss:
    """What a graph loses against the one in fp32, as NNCF asks for it: greater is better.

    NNCF asks for all photos, and to rank the convolutions for one at a time.
    """

    def __init__(self, model: Model) -> None:
        self._model = model

    def __call__(self, compiled: Callable[[Feed], Any], probes: Iterable[_Probe]) -> tuple[float, None]:
        lost = [row.fp32 - row.int8 for row in self.rows(compiled, probes)]
        return _UNHARMED - max(lost), None

    def rows(self, compiled: Callable[[Feed], Any], probes: Iterable[_Probe]) -> list[Row]:
        """The rows that some photos belong to."""
        found: dict[int, list[tuple[float, float]]] = {}
        for probe in probes:
            found.setdefault(probe.row, []).append((probe.fp32, self.psnr(compiled, probe.feed, probe.truth)))
        return [Row(ROWS[i], *np.mean(pairs, axis=0).tolist()) for i, pairs in sorted(found.items())]

    def psnr(self, compiled: Callable[[Feed], Any], feed: Feed, truth: Pixels) -> float:
        """PSNR of a restored crop in dB."""
        (sr,) = list(compiled(feed).values())
        tile = _tile(self._model, *(side // self._model.scale for side in truth.shape[:2]))
        core = sr[(0, slice(None), *tile.kept(self._model.scale).slices)]
        restored = (core.transpose(1, 2, 0) / np.float32(self._model.pixel_range)).clip(0, 1)
        return psnr(restored, truth, channel="y", border=self._model.scale)


def _import_nncf() -> ModuleType:
    try:
        nncf = import_quietly("nncf")
    except ImportError as error:
        raise MissingExtraError("quantising", "int8", str(error.name)) from None
    # Its own `set_log_level` changes handlers, those of others too.
    logging.getLogger("nncf").setLevel(logging.ERROR)
    return nncf


@contextlib.contextmanager
def _one_core(openvino: ModuleType) -> Iterator[None]:
    """Let NNCF use the process's one Core: it would make and drop its own, which `shared_core` tells of."""
    core = shared_core()
    # NNCF takes it from the package; the package's `compile_model`, which it calls too, from its own module.
    own = {module: module.Core for module in (openvino, import_module("openvino._ov_api"))}
    for module in own:
        module.Core = lambda *_: core  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for module, there in own.items():
            module.Core = there  # type: ignore[attr-defined]


def _trained_under(model: Model) -> Any:  # noqa: ANN401  (what a configuration can say)
    """The degradations of a model's training, as its card has them."""
    return model.provenance.get("config", {}).get("data", {}).get("degradations") or "real"


def _float_graph(model: Model, folder: Path) -> Any:  # noqa: ANN401
    """The base graph in fp32, its modulation scaling features: only constant weights can be in 8 bit."""
    modulation = torch.ones(1, model.modulation_size) if model.adaptive else None
    path = folder / "base.onnx"
    write_base(load_weights(model), modulation, path, modulate_weights=False)
    return shared_core().read_model(path)


def _compiled(graph: Any) -> Callable[[Feed], Any]:  # noqa: ANN401
    compiled: Callable[[Feed], Any] = shared_core().compile_model(
        graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    return compiled


def _first_convolutions(graph: Any) -> list[str]:  # noqa: ANN401
    """Names of the convolutions that see the photo's pixels: three channels, not features."""
    return [
        op.get_friendly_name()
        for op in graph.get_ordered_ops()
        if op.get_type_name() == "Convolution" and op.input(0).get_partial_shape()[1].get_length() == 3
    ]


def _convolutions(graph: Any) -> dict[str, bool]:  # noqa: ANN401
    """Every convolution, and whether its weights were quantised: those that were not are plain constants."""
    return {
        op.get_friendly_name(): op.input_value(1).get_node().get_type_name() != "Constant"
        for op in graph.get_ordered_ops()
        if op.get_type_name() == "Convolution"
    }


def _calibration(
    upscaler: Upscaler, photos: Sequence[Path], space: TaskSpace, crops: int, side: int, seed: int
) -> list[Feed]:
    """What the graph is fed for crops of photos under random tasks, each under its own condition."""
    feeds = []
    for number in range(crops):
        rng = np.random.default_rng([seed, number])
        hr = _crop(photos[number * len(photos) // crops % len(photos)], side * space.scale, rng)
        lr = degrade(hr.transpose(2, 0, 1)[None], space.sample(rng), number)
        feeds.append(_feed(upscaler, lr, float(rng.uniform(0, 1))))
    return feeds


def _probes(
    upscaler: Upscaler, photos: Sequence[Path], side: int, measure: Callable[[Feed, Pixels], float]
) -> list[_Probe]:
    """Central crops of photos under every degradation of `ROWS`."""
    probes = []
    scale = upscaler.model.scale
    for number, photo in enumerate(photos):
        hr = _crop(photo, side * scale, None)
        for row, text in enumerate(ROWS):
            lr = degrade(hr.transpose(2, 0, 1)[None], Degradation.parse(text, scale=scale), number)
            feed = _feed(upscaler, lr, None)
            probes.append(_Probe(feed, hr, row, measure(feed, hr)))
    return probes


def _feed(upscaler: Upscaler, lr: Pixels, texture: float | None) -> Feed:
    """Inputs of the graph for an LR crop, (1, 3, h, w) in [0, 1], extended as photos are."""
    model, pixels = upscaler.model, lr[0].transpose(1, 2, 0)
    modulation = upscaler.adapt([pixels]).modulation if model.adaptive else None
    window = Colours(Picture(pixels)).window(*_tile(model, *lr.shape[2:]).window.slices)
    feed = fill_inputs(
        model, window.transpose(2, 0, 1)[None], modulation, texture if model.texture is not None else None
    )
    return {**feed, "lr": np.ascontiguousarray(feed["lr"] * np.float32(model.pixel_range))}


def _tile(model: Model, height: int, width: int) -> Tile:
    """An LR crop as one tile."""
    return whole(height, width, model.halo, model.multiple)


def _crop(photo: Path, side: int, rng: np.random.Generator | None) -> Pixels:
    """A crop of a photo, RGB in [0, 1], (side, side, 3): anywhere, or without `rng` the middle."""
    pixels = read(photo).pixels
    if min(pixels.shape[:2]) < side:
        raise InputError(
            f"{photo}: smaller than {side} pixels, which a crop needs; take it out of the folder"
        )
    rooms = [length - side for length in pixels.shape[:2]]
    top, left = (room // 2 if rng is None else int(rng.integers(room + 1)) for room in rooms)
    crop = pixels[top : top + side, left : left + side]
    return np.ascontiguousarray(as_rgb(crop), np.float32)
