"""Peak memory of a method: that of a process which restores one picture and does nothing else."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys

from blindsr.engine.probe import probe_picture
from blindsr.evaluation.methods import Method, find_method
from blindsr.evaluation.methods.method import Pixels
from blindsr.evaluation.result_cache import Measured, ResultCache, code_digest, digest
from blindsr.system.memory import peak

log = logging.getLogger(__name__)

SIDE = 256
"""Rows and columns of the LR picture that is restored: the same for all, so that the numbers compare."""


def peak_memory(
    text: str, method: Method, device: str, threads: int | None, cache: ResultCache
) -> int | None:
    """Most memory that a process takes to load a method and to restore one picture of 256x256 pixels.

    It is measured once and then known, as pictures are.

    Args:
        text: The method as a command line has it (see `find_method`), which is how the process finds
            it.
        method: The same, for what its memory depends on.
        device: See `find_method`.
        threads: See `find_method`.
        cache: What is known.

    Returns:
        Bytes of resident memory, Python and what it imports included; None where the method cannot run or
        the system does not tell.
    """
    key = digest("peak memory", method.identity, SIDE, code_digest())
    known = cache.find(key)
    if known is None:
        command = [
            sys.executable,
            "-m",
            "blindsr.evaluation.peak_memory",
            json.dumps([text, device, threads]),
        ]
        # Where the system allows it, a folder that the command happens to be given in is no place of modules.
        environment = {**os.environ, "PYTHONSAFEPATH": "1"}
        child = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        try:
            taken = int(child.stdout.split()[-1])
        except (ValueError, IndexError):
            reason = (child.stderr.strip().splitlines() or ["the system does not tell"])[-1]
            log.warning("%s: its memory is not known (%s)", method.title, reason)
            return None
        known = cache.add(key, Measured(0.0, SIDE, SIDE, {"bytes": taken}))
    return int(known.scores["bytes"])


def picture() -> Pixels:
    """The picture that is restored: smooth, each channel of its own, (256, 256, 3) in [0.1, 0.9]."""
    small = probe_picture(64, 64).transpose(1, 2, 0)
    times = SIDE // small.shape[0]
    return small.repeat(times, axis=0).repeat(times, axis=1)


def _measure(text: str, device: str, threads: int | None) -> int | None:
    restorer = find_method(text, device, threads).restorer
    restorer.restore(picture(), restorer.scale or 4)
    return peak()


if __name__ == "__main__":
    sys.stdout.write(f"{_measure(*json.loads(sys.argv[1]))}\n")
