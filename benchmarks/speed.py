"""Speed of a whole upscale, decoding to encoding, against the plain PyTorch network on the same weights.

    python benchmarks/speed.py --model cmdsr-x4 --size 512 --count 4

Each method lives in a process of its own, so that no thread pool disturbs another's, and they run in
turn: a machine that drifts does not favour one. Ratios are medians over the rounds, against PyTorch eager of
the same round. "Whole" is what a user waits for once the program runs: read the file, choose the support set,
both networks, write the file. PyTorch's rows are the networks alone (ConditionNet and BaseNet on ready
tensors). "x GEMM" is what a row achieves in direct-convolution arithmetic, in units of what NumPy's product
of two large fp32 matrices achieves in the same run; MB is the peak of the process's memory.

Real-ESRGAN general-x4v3 runs in ncnn from the peers' folder, where there is one, and in OpenVINO as a
network of the same layers with random weights: speed does not depend on them.
"""

from __future__ import annotations

import itertools
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Annotated

import numpy as np
import typer

from blindsr.errors import BlindSRError
from blindsr.system.memory import peak

Work = Callable[[], object]


def photos(folder: Path, size: int, count: int) -> list[Path]:
    """Made photos with edges, texture and noise: JPEG files of size x size."""
    from PIL import Image

    files = []
    for seed in range(count):
        rng = np.random.default_rng(seed)
        coarse = Image.fromarray(rng.integers(0, 256, (size // 16, size // 16, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize((size, size), Image.Resampling.BICUBIC), np.float32)
        noisy = (smooth + rng.normal(0, 8, smooth.shape)).clip(0, 255).astype(np.uint8)
        files.append(folder / f"{seed}.jpg")
        Image.fromarray(noisy).save(files[-1], quality=92)
    return files


def torch_network(model: str, files: list[Path], threads: int, channels_last: bool) -> Work:
    import torch
    from safetensors.torch import load_file

    from blindsr.models.catalogue import find_model
    from blindsr.network import build_network
    from blindsr.picture import read
    from blindsr.upscaling.support import select_support

    torch.set_num_threads(threads)
    card = find_model(model)
    network = build_network(card.network).eval()
    network.load_state_dict(load_file(card.file("weights")))
    pixels = read(files[0]).pixels
    lr = torch.from_numpy(pixels.transpose(2, 0, 1)[None].copy())
    support = None
    if card.support is not None:
        patches = select_support(pixels, card.support.count, card.support.patch)
        support = torch.from_numpy(patches) * card.pixel_range
    if channels_last:
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        lr = lr.contiguous(memory_format=torch.channels_last)

    @torch.inference_mode()
    def work() -> object:
        modulation = None if support is None else network.modulation(network.condition(support))
        return network.restore(lr, modulation=modulation)

    return work


def torch_eager(model: str, files: list[Path], threads: int) -> Work:
    return torch_network(model, files, threads, channels_last=False)


def torch_channels_last(model: str, files: list[Path], threads: int) -> Work:
    return torch_network(model, files, threads, channels_last=True)


def network_alone(model: str, files: list[Path], threads: int, precision: str = "fp32") -> Work:
    from blindsr.picture import read
    from blindsr.upscaling.upscaler import Upscaler

    upscaler = Upscaler(model, device="cpu", threads=threads, precision=precision)
    pixels = read(files[0]).pixels
    return lambda: upscaler.upscale(pixels)


def general_in_ncnn(model: str, files: list[Path], threads: int) -> Work:
    from peers import find_peer

    from blindsr.picture import read

    restorer, pixels = find_peer("realesrgan", threads=threads).restorer, read(files[0]).pixels
    return lambda: restorer.restore(pixels, 4)


def general_in_openvino(model: str, files: list[Path], threads: int) -> Work:
    """SRVGGNetCompact as Real-ESRGAN's general-x4v3 has it: 32 convolutions of 64 channels and PReLU."""
    import torch
    from torch import nn

    from blindsr.engine.openvino import compile_graph
    from blindsr.picture import read
    from blindsr.picture.rim import MARGIN

    layers: list[nn.Module] = [nn.Conv2d(3, 64, 3, padding=1), nn.PReLU(64)]
    for _ in range(32):
        layers += [nn.Conv2d(64, 64, 3, padding=1), nn.PReLU(64)]
    network = nn.Sequential(*layers, nn.Conv2d(64, 48, 3, padding=1), nn.PixelShuffle(4)).eval()
    path = files[0].with_suffix(".onnx")
    sides = {2: torch.export.Dim("height", min=8), 3: torch.export.Dim("width", min=8)}
    torch.onnx.export(
        network, (torch.rand(1, 3, 24, 32),), path, dynamo=True, input_names=["lr"], output_names=["sr"],
        dynamic_shapes=[sides], verbose=False,
    )  # fmt: skip
    graph = compile_graph(path, threads)
    # Its weights are random, so it is no model; the photo is extended as models get it.
    around = [(MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0)]
    planes = np.pad(read(files[0]).pixels, around, mode="symmetric").transpose(2, 0, 1)[None]
    return lambda: graph({"lr": planes})


def gemm(model: str, files: list[Path], threads: int) -> Work:
    from threadpoolctl import threadpool_limits

    a, b = (np.random.default_rng(i).random((GEMM, GEMM), np.float32) for i in range(2))

    def work() -> object:
        with threadpool_limits(threads):
            return a @ b

    return work


def macs_of(model: str) -> float:
    """Multiply-accumulates of a model's base network for one LR pixel."""
    import torch
    from arithmetic import macs

    from blindsr.engine.torch import load_weights
    from blindsr.models.catalogue import find_model

    side = 32
    return macs(load_weights(find_model(model)), torch.zeros(1, 3, side, side)) / side**2


def whole(
    model: str,
    files: list[Path],
    threads: int,
    *,
    suffix: str = ".jpg",
    precision: str = "fp32",
    fold: bool = False,
    shared: bool = False,
    one: bool = False,
) -> Work:
    """Read, adapt, restore and write every file.

    Args:
        model: Name or folder of a model.
        files: The photos.
        threads: CPU threads.
        suffix: Of the files written; a JPEG photo becomes a JPEG file if nothing else is asked for.
        precision: "fp32" or "int8".
        fold: Compile the modulation into the graph instead of feeding it.
        shared: Adapt once to all of them instead of to each.
        one: One photo a call, the next one each time, so that nothing is left over from the call before.
    """
    from blindsr.engine.openvino import OpenVINOEngine
    from blindsr.picture import write
    from blindsr.upscaling.upscaler import Upscaler

    upscaler = Upscaler(model, device="cpu", threads=threads, precision=precision)
    if fold:
        upscaler.engine = OpenVINOEngine(upscaler.model, threads=threads, fold=True)
    adaptation = upscaler.adapt(files) if shared and upscaler.model.adaptive else None
    turns = itertools.cycle([[file] for file in files] if one else [files])

    def work() -> None:
        for file in next(turns):
            write(upscaler.upscale(file, support=adaptation), file.with_name(f"{file.stem}_sr{suffix}"))

    return work


GEMM = 2048

ONE: dict[str, Callable[[str, list[Path], int], Work]] = {
    "PyTorch eager, network alone": torch_eager,
    "PyTorch channels_last, network alone": torch_channels_last,
    "blindsr fp32, network alone": network_alone,
    "blindsr int8, network alone": partial(network_alone, precision="int8"),
    "blindsr fp32, whole": partial(whole, one=True),
    "blindsr fp32, whole, modulation folded": partial(whole, one=True, fold=True),
    "blindsr int8, whole": partial(whole, one=True, precision="int8"),
    "blindsr int8, whole, to PNG": partial(whole, one=True, suffix=".png", precision="int8"),
    "Real-ESRGAN general-x4v3 in ncnn, network alone": general_in_ncnn,
    "Real-ESRGAN general-x4v3's layers in OpenVINO fp32, network alone": general_in_openvino,
    "NumPy, product of two matrices": gemm,
}
FOLDER: dict[str, Callable[[str, list[Path], int], Work]] = {
    "fp32, each photo's own condition, fed": whole,
    "fp32, each photo's own condition, folded": partial(whole, fold=True),
    "fp32, one condition, fed": partial(whole, shared=True),
    "fp32, one condition, folded": partial(whole, shared=True, fold=True),
    "int8, each photo's own condition": partial(whole, precision="int8"),
    "int8, one condition": partial(whole, shared=True, precision="int8"),
}


def serve(name: str, arguments: tuple[str, list[Path], int], pipe: Connection) -> None:
    """One method: it runs once for each message and answers with the seconds; at last with its memory."""
    try:
        work = (ONE | FOLDER)[name](*arguments)
    except BlindSRError as error:  # the peers are not there, or the model does not come in int8
        pipe.send(str(error))
        return
    pipe.send(None)
    while pipe.recv():
        start = time.perf_counter()
        work()
        pipe.send(time.perf_counter() - start)
    pipe.send(peak())


def main(
    model: Annotated[str, typer.Option(help="Name or folder of a model.")] = "cmdsr-x4",
    size: Annotated[int, typer.Option(help="Side of the photo, LR pixels.")] = 256,
    count: Annotated[int, typer.Option(help="Photos in the folder.")] = 8,
    rounds: Annotated[int, typer.Option(help="Counted rounds.")] = 9,
    threads: Annotated[int, typer.Option(help="CPU threads of each method.")] = 2,
) -> None:
    """Print a table of times and ratios."""
    context = multiprocessing.get_context("spawn")
    operations = 2 * macs_of(model) * size**2
    with tempfile.TemporaryDirectory() as folder:
        pipes: dict[str, Connection] = {}
        for name in (*ONE, *FOLDER):
            place = Path(folder) / str(len(pipes))
            place.mkdir()
            pipes[name], end = context.Pipe()
            arguments = (model, photos(place, size, count), threads)
            context.Process(target=serve, args=(name, arguments, end), daemon=True).start()
            fault = pipes[name].recv()
            if fault is not None:
                print(f"left out: {name}: {fault}")
                del pipes[name]
        times: dict[str, list[float]] = {name: [] for name in pipes}
        for _ in range(rounds + 1):
            for name, pipe in pipes.items():
                pipe.send(True)
                times[name].append(pipe.recv())
        memory: dict[str, int | None] = {}
        for name, pipe in pipes.items():
            pipe.send(False)
            memory[name] = pipe.recv()
    products = times["NumPy, product of two matrices"][1:]
    print(f"{model}, {size}x{size} LR, {threads} threads, median of {rounds} rounds in turn")
    print(f"fp32 product of matrices: {2 * GEMM**3 / median(products) / 1e9:.0f} GFLOP/s\n")
    for rows, unit in ((ONE, 1), (FOLDER, count)):
        first = times[next(iter(rows))][1:]
        heading = "one photo" if unit == 1 else f"a folder of {count}"
        print(f"| {heading} | ms a photo | speed-up | x GEMM | MB |\n|---|---|---|---|---|")
        for name in [name for name in rows if name in times and rows[name] is not gemm]:
            seconds = times[name][1:]  # the first round is the warm-up
            ratio = median(b / s for b, s in zip(first, seconds, strict=True))
            rate = median(
                operations * unit / s / (2 * GEMM**3 / g) for s, g in zip(seconds, products, strict=True)
            )
            taken = memory[name]
            achieved = "-" if "general" in name else f"{rate:.2f}"
            shown = "-" if taken is None else f"{taken / 1e6:.0f}"
            print(f"| {name} | {1000 * median(seconds) / unit:.0f} | {ratio:.2f} | {achieved} | {shown} |")
        print()


if __name__ == "__main__":
    typer.run(main)
