"""Speed of a whole upscale, decoding to encoding, against the plain PyTorch network on the same weights.

    python benchmarks/speed.py --model cmdsr-x4

Each contestant lives in a process of its own, so that no thread pool disturbs another's, and they run in
turn: a machine that drifts does not favour one. Ratios are medians over the rounds, against PyTorch eager of
the same round. "Whole" is what a user waits for once the program runs: read the file, choose the support set,
both networks, write the file. PyTorch's rows are the networks alone (ConditionNet and BaseNet on ready
tensors).
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

    from blindsr.model import load_model
    from blindsr.network import build_network
    from blindsr.picture import read
    from blindsr.support import select_support

    torch.set_num_threads(threads)
    card = load_model(model)
    network = build_network(card.network).eval()
    network.load_state_dict(load_file(card.file("weights")))
    pixels = read(files[0]).pixels
    lr = torch.from_numpy(pixels.transpose(2, 0, 1)[None].copy()) * card.pixel_range
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
        return network(lr, modulation)

    return work


def torch_eager(model: str, files: list[Path], threads: int) -> Work:
    return torch_network(model, files, threads, channels_last=False)


def torch_channels_last(model: str, files: list[Path], threads: int) -> Work:
    return torch_network(model, files, threads, channels_last=True)


def network_alone(model: str, files: list[Path], threads: int) -> Work:
    from blindsr.picture import read
    from blindsr.upscaler import Upscaler

    upscaler = Upscaler(model, device="cpu", threads=threads)
    pixels = read(files[0]).pixels
    return lambda: upscaler.upscale(pixels)


def whole(
    model: str,
    files: list[Path],
    threads: int,
    *,
    suffix: str = ".jpg",
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
        fold: Compile the modulation into the graph instead of feeding it.
        shared: Adapt once to all of them instead of to each.
        one: One photo a call, the next one each time, so that nothing is left over from the call before.
    """
    from blindsr.engine.openvino import OpenVINOEngine
    from blindsr.picture import write
    from blindsr.upscaler import Upscaler

    upscaler = Upscaler(model, device="cpu", threads=threads)
    upscaler.engine = OpenVINOEngine(upscaler.model, threads=threads, fold=fold)
    adaptation = upscaler.adapt(files) if shared and upscaler.model.adaptive else None
    turns = itertools.cycle([[file] for file in files] if one else [files])

    def work() -> None:
        for file in next(turns):
            write(upscaler.upscale(file, adaptation), file.with_name(f"{file.stem}_sr{suffix}"))

    return work


ONE: dict[str, Callable[[str, list[Path], int], Work]] = {
    "PyTorch eager, network alone": torch_eager,
    "PyTorch channels_last, network alone": torch_channels_last,
    "blindsr, network alone": network_alone,
    "blindsr, whole upscale, modulation fed": partial(whole, one=True),
    "blindsr, whole upscale to PNG, modulation fed": partial(whole, one=True, suffix=".png"),
    "blindsr, whole upscale, modulation folded": partial(whole, one=True, fold=True),
}
FOLDER: dict[str, Callable[[str, list[Path], int], Work]] = {
    "each photo's own condition, fed": whole,
    "each photo's own condition, folded": partial(whole, fold=True),
    "one condition, fed": partial(whole, shared=True),
    "one condition, folded": partial(whole, shared=True, fold=True),
}


def serve(name: str, arguments: tuple[str, list[Path], int], pipe: Connection) -> None:
    """One contestant: it runs once for each message and answers with the seconds."""
    work = (ONE | FOLDER)[name](*arguments)
    while pipe.recv():
        start = time.perf_counter()
        work()
        pipe.send(time.perf_counter() - start)


def main(
    model: Annotated[str, typer.Option(help="Name or folder of a model.")] = "cmdsr-x4",
    size: Annotated[int, typer.Option(help="Side of the photo, LR pixels.")] = 256,
    count: Annotated[int, typer.Option(help="Photos in the folder.")] = 8,
    rounds: Annotated[int, typer.Option(help="Counted rounds.")] = 9,
    threads: Annotated[int, typer.Option(help="CPU threads of each contestant.")] = 2,
) -> None:
    """Print a table of times and ratios."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        pipes: dict[str, Connection] = {}
        for name in (*ONE, *FOLDER):
            place = Path(folder) / str(len(pipes))
            place.mkdir()
            pipes[name], end = context.Pipe()
            arguments = (model, photos(place, size, count), threads)
            context.Process(target=serve, args=(name, arguments, end), daemon=True).start()
        times: dict[str, list[float]] = {name: [] for name in pipes}
        for _ in range(rounds + 1):
            for name, pipe in pipes.items():
                pipe.send(True)
                times[name].append(pipe.recv())
        for pipe in pipes.values():
            pipe.send(False)
    print(f"{model}, {size}x{size} LR, {threads} threads, median of {rounds} rounds in turn\n")
    for rows, unit in ((ONE, 1), (FOLDER, count)):
        first = times[next(iter(rows))][1:]
        heading = "one photo" if unit == 1 else f"a folder of {count}"
        print(f"| {heading} | ms a photo | speed-up |\n|---|---|---|")
        for name in rows:
            seconds = times[name][1:]  # the first round is the warm-up
            ratio = median(b / s for b, s in zip(first, seconds, strict=True))
            print(f"| {name} | {1000 * median(seconds) / unit:.0f} | {ratio:.2f} |")
        print()


if __name__ == "__main__":
    typer.run(main)
