"""How many times as fast int8 is as fp32 on this machine: a row for `blindsr.engine.instructions`.

    python benchmarks/int8.py --rounds 7

Both engines of a model run in turn on one photo, so that a machine that drifts favours neither; the ratio is
the median over the rounds.
"""

from __future__ import annotations

import time
from statistics import median
from typing import Annotated

import numpy as np
import typer

from blindsr.engine.instructions import INSTRUCTION_SETS, instruction_set
from blindsr.engine.openvino import OpenVINOEngine
from blindsr.models.card import Model
from blindsr.models.catalogue import find_model


def ratio_of(model: Model, size: int, rounds: int, threads: int) -> tuple[float, float, float]:
    """Median milliseconds in fp32 and in int8, and the median of the rounds' ratios."""
    engines = [OpenVINOEngine(model, threads, precision=precision) for precision in ("fp32", "int8")]
    rng = np.random.default_rng(0)
    lr = rng.random((1, 3, size, size), np.float32)
    modulation = np.ones((1, model.modulation_size), np.float32) if model.adaptive else None
    times: list[list[float]] = []
    for _ in range(rounds + 1):
        times.append([])
        for engine in engines:
            start = time.perf_counter()
            engine.upscale(lr, modulation)
            times[-1].append(time.perf_counter() - start)
    fp32, int8 = zip(*times[1:], strict=True)  # the first round is the warm-up
    return 1000 * median(fp32), 1000 * median(int8), median(a / b for a, b in times[1:])


def main(
    models: Annotated[list[str] | None, typer.Option("--model", help="Names or folders of models.")] = None,
    size: Annotated[int, typer.Option(help="Side of the photo, LR pixels.")] = 256,
    rounds: Annotated[int, typer.Option(help="Counted rounds.")] = 7,
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 1,
) -> None:
    """Print the table's row for this machine, and the rows that are known."""
    own = instruction_set()
    measured = {}
    for name in models or ["cria-x4-compact", "cmdsr-x4"]:
        fp32, int8, ratio = ratio_of(find_model(name), size, rounds, threads)
        print(f"{name}: fp32 {fp32:.0f} ms, int8 {int8:.0f} ms, {ratio:.2f} times as fast")
        measured[name] = round(ratio, 1)
    print(f"\n{own.name}: int8={measured}")
    for row in INSTRUCTION_SETS:
        print(f"known of {row.name}: {dict(row.int8) or 'nothing'}")


if __name__ == "__main__":
    typer.run(main)
