"""Graphs of strangers, run for the first time in a process of their own: what crashes there harms nobody.

An engine reads graphs in C++, where a damaged or hostile one can end the process, take all memory or never
come back. So a model that does not come with this package is tried once, under bounds on memory and time;
what passed is noted in the user's cache folder by the checksums of its files.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

from blindsr.errors import BlindSRError, ModelError
from blindsr.models.card import Model
from blindsr.models.catalogue import SHIPPED, find_model
from blindsr.system.files import atomic_path, open_file
from blindsr.system.folders import user_folder
from blindsr.system.untrusted import brief

__all__ = ["apart", "ensure_tried", "is_switched_off", "refuse_other_files", "run_apart", "try_model"]

log = logging.getLogger(__name__)

SECONDS = 120
"""Most time for one model; those that are shipped take two."""

MEMORY = 4 << 30
"""Most address space beside what the model's own files take, bytes."""

SWITCH = "BLINDSR_TRY_GRAPHS"
"""Environment variable; "0" leaves the trial out, for whoever has made the models himself."""

_FAULT = 3  # exit status: said on stdout
_SIDE = 16  # LR pixels, in multiples of the model's
_ELSEWHERE = b"\n\x08location"  # the key by which an ONNX file names another one that has its weights


def ensure_tried(model: Model) -> None:
    """Try a model, unless it is shipped, or these very files have passed before.

    Raises:
        ModelError: As `try_model`.
    """
    if model.card is None or SHIPPED in model.card.parents or is_switched_off():
        return
    known = [version("openvino"), model.scale, model.multiple, sorted(model.digests.items())]
    mark = hashlib.sha256(json.dumps(known).encode()).hexdigest()
    base = user_folder("cache")
    note = None if base is None else base / "tried" / mark
    if note is not None and note.is_file():
        return
    try_model(model)
    if note is not None:
        with suppress(OSError):  # a read-only home: it is tried anew each time
            note.parent.mkdir(parents=True, exist_ok=True)
            with atomic_path(note) as temporary:
                temporary.write_text(model.name, encoding="utf-8")


def is_switched_off() -> bool:
    """Whether the user has said that graphs need no trial."""
    return os.environ.get(SWITCH) == "0"


def try_model(model: Model) -> None:
    """Compile a model's graphs and run them once, in a process of their own.

    Args:
        model: The model; its files are those that its card means.

    Raises:
        ModelError: A graph crashes the engine, or takes too much memory or time; or is none.
    """
    for role in ("base", "condition", "int8"):
        if role in model.files:
            refuse_other_files(model.files[role])
    if model.card is not None:
        run_apart(
            __name__, str(model.card.absolute()), [*model.files.values()], f"model {model.name}", SECONDS
        )


def refuse_other_files(path: Path) -> None:
    """Refuse an ONNX graph that keeps weights in another file: nobody knows what it would lead to.

    Raises:
        ModelError: It does, or cannot be read.
    """
    try:
        with open_file(path) as file:
            elsewhere = _ELSEWHERE in file.read()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror or error})") from None
    if elsewhere:
        raise ModelError(f"{path}: keeps weights in another file, which is not read; put them into it")


def run_apart(
    module: str, argument: str, files: Sequence[Path], what: str, seconds: float = SECONDS
) -> str | None:
    """Run graphs in a process of their own, under bounds on memory and time.

    Args:
        module: What is run, whose `__main__` part calls `apart`.
        argument: For it.
        files: What the graphs are read from: their size decides how much memory they get.
        what: For messages, "model tiny".
        seconds: Most time.

    Returns:
        What the process said; None where there is no Python to start.

    Raises:
        ModelError: The graphs crash the process, or take too much memory or time; or the process refused
            them.
    """
    if not sys.executable:  # as where Python is part of another program
        log.debug("%s: not tried, there is no Python to start", what)
        return None
    taken = sum(path.stat().st_size for path in files)
    command = [sys.executable, "-m", module, argument, str(MEMORY + 8 * taken)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    try:
        done = subprocess.run(
            command,
            env=environment,
            capture_output=True,
            timeout=seconds,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        raise ModelError(f"{what}: its graphs do not come to an end; they are not run") from None
    except OSError as error:
        log.debug("%s: not tried (%s)", what, error)
        return None
    said = done.stdout.decode(errors="replace").strip()
    if done.returncode == _FAULT:
        raise ModelError(said)
    if done.returncode:
        raise ModelError(
            f"{what}: its graphs end the process that runs them ({_end_of(done.returncode)}), so they are"
            " damaged, or made to do so; they are not run"
        )
    return said


def apart(task: Callable[[str], str]) -> None:
    """The part of the process that `run_apart` starts: do a task within bounds, say what came of it, and end.

    Args:
        task: From the argument to what is said.
    """
    argument, memory = sys.argv[1:]
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (int(memory), int(memory)))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    status = 0
    try:
        said = task(argument)
    except BlindSRError as error:
        said, status = str(error), _FAULT
    except (RuntimeError, ValueError, MemoryError) as error:
        said, status = f"{argument}: its graphs do not run ({brief(error)})", _FAULT
    sys.stdout.write(said)
    sys.stdout.flush()
    os._exit(status)  # at once: what was compiled may not be fit to be taken down


def _end_of(status: int) -> str:
    """How a process ended."""
    with suppress(ValueError):
        return signal.Signals(-status).name
    return f"exit status {status}"


def _run(card: str) -> str:
    """The process's own part: every graph of a model, once."""
    import numpy as np

    from blindsr.engine.openvino import OpenVINOEngine

    model = find_model(card)
    side = _SIDE * model.multiple
    lr = np.full((1, 3, side, side), 0.5, np.float32)
    modulation = np.ones((1, model.modulation_size), np.float32) if model.adaptive else None
    for precision in ("fp32", "int8") if "int8" in model.files else ("fp32",):
        engine = OpenVINOEngine(model, threads=1, precision=precision)
        sr = engine.upscale(lr, modulation, model.texture)
        if sr.shape != (1, 3, model.scale * side, model.scale * side) or not np.isfinite(sr).all():
            raise ModelError(f"{card}: its graphs do not make a picture of x{model.scale}")
        if precision == "fp32" and model.support is not None:
            support = model.support
            count = support.count if support.fixed_count else 1
            engine.condition(np.full((count, 3, support.patch, support.patch), 0.5, np.float32))
    return ""


if __name__ == "__main__":
    apart(_run)
