"""Files of strangers, mutated: whatever is read of them is taken, or refused in one line.

In the tests a few seconds of each kind; longer by

    python -m tests.robustness.fuzz archives --count 100000

from the project's folder. Input i of a seed is the same on every machine: what is printed can be tried again
by `--seed` and `--first`. The kinds: archives, cards, checkpoints, journal, profiles, states.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import shutil
import sys
import tarfile
import tempfile
import time
import traceback
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from blindsr.errors import BlindSRError

MOST_SECONDS = 10.0
"""After which an input counts as one that takes for ever."""

MEMORY = 3 << 30
"""Address space beside what is taken at the start, bytes: more is a finding."""

Try = Callable[[bytes], object]
"""Reads one input; what is refused is a BlindSRError, an OSError where its caller tells of it."""

_NUMBERS = [
    0,
    1,
    2,
    3,
    7,
    8,
    127,
    128,
    255,
    256,
    511,
    512,
    65535,
    65536,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**63 - 1,
    2**63,
]
_TEXTS = [
    "null", "true", "-1", "1e999", "NaN", "9" * 400, "9" * 5000, "[]", "{}", '""', '"\\u0000"', '"\\ud800"',
    "[" * 2000, '"' + "a" * 100_000 + '"', '"\\u001b[2J"', '"../../x"', "0.5", "-0", "[[[[[[[[]]]]]]]]",
    "1" + "0" * 30,
]  # fmt: skip


def mutate(content: bytes, rng: random.Random) -> bytes:
    """The same bytes with one to six faults: flipped, overwritten by telling numbers, cut, doubled, moved."""
    for _ in range(rng.randint(1, 6)):
        if len(content) < 4:
            return content + bytes(rng.randrange(256) for _ in range(rng.randrange(20)))
        # Heads and tails tell of the rest, so they are hit more often.
        near = int(len(content) ** rng.random()) - 1
        at = rng.choice((rng.randrange(len(content)), near, len(content) - 1 - near))
        size = min(len(content) - at, 1 << rng.randrange(9))
        kind = rng.randrange(8)
        if kind == 0:
            content = content[:at] + bytes([content[at] ^ 1 << rng.randrange(8)]) + content[at + 1 :]
        elif kind == 1:
            width = rng.choice((1, 2, 4, 8))
            number = rng.choice(_NUMBERS) + rng.randint(-2, 2)
            told = (number % (1 << 8 * width)).to_bytes(width, rng.choice(("little", "big")))
            content = content[:at] + told + content[at + width :]
        elif kind == 2:
            content = content[:at]
        elif kind == 3:
            content = content[:at] + content[at + size :]
        elif kind == 4:
            content = (
                content[: at + size] + content[at : at + size] * rng.randint(1, 5) + content[at + size :]
            )
        elif kind == 5:
            other = rng.randrange(len(content))
            content = content[:other] + content[at : at + size] + content[other + size :]
        elif kind == 6:
            content = content[:at] + bytes(rng.randrange(256) for _ in range(size)) + content[at + size :]
        else:
            content = content[:at] + bytes(size) + content[at + size :]
    return content


def mutate_json(content: bytes, rng: random.Random) -> bytes:
    """A JSON document with one to four of its values replaced, its keys renamed, or entries doubled."""
    if rng.random() < 0.2:
        return mutate(content, rng)
    document = json.loads(content)
    faults: list[str] = []
    for _ in range(rng.randint(1, 4)):
        holder, key = rng.choice([*_places(document)])
        kind = rng.randrange(4)
        if kind == 0:
            faults.append(rng.choice(_TEXTS))
            holder[key] = f"@{len(faults) - 1}@"
        elif kind == 1:
            holder[key] = rng.choice(
                [rng.choice(_NUMBERS), -rng.choice(_NUMBERS), rng.random(), None, [], {}, "x", True]
            )
        elif kind == 2 and isinstance(holder, dict):
            holder[rng.choice(("x" * 50_000, "\x1b[31m", "", "__class__", key + "s"))] = holder.pop(key)
        else:
            holder[key] = [holder[key]] * rng.randint(2, 5)
    text = json.dumps(document)
    for number, fault in enumerate(faults):
        text = text.replace(f'"@{number}@"', fault)
    return text.encode("utf-8", "surrogatepass")


def mutate_zip(
    content: bytes, rng: random.Random, part: Callable[[bytes, random.Random], bytes] = mutate
) -> bytes:
    """An archive of which a part is mutated inside, or the whole outside."""
    if rng.random() < 0.4:
        return mutate(content, rng)
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old:
        names = old.namelist()
        chosen = rng.choice(names)
        packing = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
        with zipfile.ZipFile(file, "w", packing) as new:
            for name in names:
                inside = old.read(name)
                new.writestr(name, part(inside, rng) if name == chosen else inside)
    return file.getvalue()


def mutate_tar(content: bytes, rng: random.Random) -> bytes:
    """A .tar archive with faults in its headers, whose sums are right all the same, or anywhere."""
    if rng.random() < 0.3:
        return mutate(content, rng)
    changed = bytearray(content)
    for _ in range(rng.randint(1, 3)):
        at = 512 * rng.randrange(max(1, len(changed) // 512))
        header = bytearray(changed[at : at + 512].ljust(512, b"\0"))
        start, size = rng.choice(((0, 100), (124, 12), (156, 1), (257, 8), (345, 155)))
        mark = rng.choice((b"L", b"x", b"g", b"K", b"S", b"1", b"2", b"5", b"0"))
        noise = bytes(rng.randrange(256) for _ in range(size))
        field = rng.choice(
            (noise, b"\xff" * size, b"\x80" + bytes(size - 1), mark * size, b"7" * size, b"../" * size)
        )
        header[start : start + size] = field[:size]
        header[148:156] = b" " * 8
        header[148:156] = b"%06o\0 " % sum(header)
        changed[at : at + 512] = header
    return bytes(changed)


def _places(document: Any) -> Iterator[tuple[Any, Any]]:
    """Every entry of a JSON document, as what holds it and its key."""
    keys = (
        list(document)
        if isinstance(document, dict)
        else range(len(document))
        if isinstance(document, list)
        else ()
    )
    for key in keys:
        yield document, key
        yield from _places(document[key])


class Kind:
    """Files of one kind: sound ones, how they are mutated, and who reads them.

    Args:
        folder: An empty folder to work in.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sound: list[tuple[bytes, Callable[[bytes, random.Random], bytes], Try]] = []

    def input(self, seed: int, number: int) -> tuple[bytes, Try]:
        """Input `number` of a seed, and who reads it. Every hundredth is sound."""
        rng = random.Random(f"{seed}/{number}")
        content, change, read = self.sound[number % len(self.sound)]
        return (content if number // len(self.sound) % 100 == 0 else change(content, rng)), read

    def __call__(self, path: Path, content: bytes) -> Path:
        """A file with this content."""
        path.write_bytes(content)
        return path


def _model(folder: Path) -> Path:
    """A small model with an inspector; its graphs are no graphs, for nothing runs them."""
    from ..conftest import add_inspector, write_model

    return add_inspector(write_model(folder / "tiny"))


def archives(folder: Path) -> Kind:
    """Archives of a model, pulled."""
    from blindsr.pulling.pull import pull

    kind, model = Kind(folder), _model(folder)
    names = [file.name for file in sorted(model.iterdir())]
    packed: dict[str, bytes] = {}
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode="w", format=form) as archive:
            for name in names:
                archive.add(model / name, f"{'long/' * 30}{name}")
        packed[f"{form}.tar"] = file.getvalue()
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name in names:
            zipped.write(model / name, f"m/{name}")
    packed["a.zip"] = file.getvalue()

    def reading(suffix: str) -> Try:
        def read(content: bytes) -> object:
            shelf = folder / "shelf"
            try:
                return pull(kind(folder / f"a{suffix}", content), folder=shelf, max_size=1 << 22)
            finally:
                left = [path.name for path in shelf.iterdir()] if shelf.exists() else []
                shutil.rmtree(shelf, ignore_errors=True)
                if any(name.startswith(".") for name in left):
                    raise AssertionError(f"left behind: {left}")

        return read

    def pack(content: bytes, rng: random.Random) -> bytes:
        mutated = zlib.compress(mutate_tar(content, rng), wbits=31)
        return mutate(mutated, rng) if rng.random() < 0.5 else mutated

    for name, content in packed.items():
        if name.endswith(".zip"):
            kind.sound.append((content, mutate_zip, reading(".zip")))
        else:
            kind.sound.append((content, mutate_tar, reading(".tar")))
            kind.sound.append(
                (zlib.compress(content, wbits=31), lambda _, rng, c=content: pack(c, rng), reading(".tgz"))  # type: ignore[misc]
            )
    return kind


def cards(folder: Path) -> Kind:
    """Model cards, and what their conditions tell."""
    from blindsr.inspection.reading import Inspector
    from blindsr.models.catalogue import find_model

    kind, model = Kind(folder), _model(folder)
    card = (model / "card.json").read_bytes()

    def read(content: bytes) -> object:
        return repr(find_model(kind(model / "card.json", content).parent))

    def inspect(content: bytes) -> object:
        from dataclasses import replace

        loaded = find_model(kind(model / "card.json", card).parent)
        files = dict(loaded.files) | {"inspect": kind(folder / "inspect.json", content)}
        inspector = Inspector(replace(loaded, files=files))
        import numpy as np

        ends = [np.full((1, loaded.condition_size), end, np.float32) for end in (-9, 0, 0.5, 9)]
        return repr([inspector.read(condition) for condition in ends])

    kind.sound += [(card, mutate_json, read), ((model / "inspect.json").read_bytes(), mutate_json, inspect)]
    return kind


def profiles(folder: Path) -> Kind:
    """Cameras' profiles, and the parameters and banks that are .npz files."""
    import numpy as np

    from blindsr.degradation.injection import InjectionBank
    from blindsr.metrics.niqe import FEATURES, NIQEParameters, read_niqe, write_niqe
    from blindsr.models.catalogue import find_model
    from blindsr.upscaling.profile import read_profile, write_profile
    from blindsr.upscaling.upscaler import Adaptation

    kind, model = Kind(folder), find_model(_model(folder))
    rng = np.random.default_rng(0)
    condition, modulation = (
        rng.normal(size=(1, size)).astype(np.float32)
        for size in (model.condition_size, model.modulation_size)
    )
    camera = Adaptation(condition, modulation, model.name, photos=3)
    write_profile(camera, model, folder / "a.profile", names=["a.jpg"])
    write_niqe(NIQEParameters(np.zeros(FEATURES), np.eye(FEATURES)), folder / "niqe.npz")
    kernels = np.full((2, 5, 5), 1 / 25, np.float32)
    noise = rng.normal(size=(3, 4, 4, 3)).astype(np.float16)
    np.savez(
        folder / "bank.npz", scale=np.int64(4), kernels=kernels, noise=noise, photos=np.array(["a", "b"]),
        kernel_photos=np.array([0, 1]), noise_photos=np.array([0, 0, 1]),
    )  # fmt: skip
    for name, change, read in (
        ("a.profile", mutate_json, lambda path: read_profile(path, model)),
        ("niqe.npz", mutate_zip, read_niqe),
        ("bank.npz", mutate_zip, InjectionBank.read),
    ):
        path = folder / f"mutated {name}"
        kind.sound.append(
            (
                (folder / name).read_bytes(),
                change,
                lambda content, path=path, read=read: read(kind(path, content)),  # type: ignore[misc]
            )
        )
    return kind


def journal(folder: Path) -> Kind:
    """Journals of batches, and records of evaluations: what is no line of theirs is passed over."""
    from blindsr.batch.journal import JOURNAL, Journal, signature
    from blindsr.evaluation.result_cache import Measured, ResultCache

    kind, settings = Kind(folder), {"model": "tiny", "tile": "auto"}
    for name in "abc":
        (folder / name).write_text(name)
    whole = Journal(folder, settings)
    for name in "abc":
        whole.record(folder / name, folder / name, signature(folder / name))
    whole.close(remove=False)
    cache = ResultCache(folder / "records.jsonl")
    for name in "abc":
        cache.add(name, Measured(1.0, 2, 3, {"psnr": 4.0}))

    def read(content: bytes) -> object:
        kind(folder / JOURNAL, content)
        opened = Journal(folder, settings)
        opened.record(folder / "a", folder / "a", signature(folder / "a"))
        known = [opened.finished(folder / name, folder / name) for name in "abc"]
        opened.close(remove=False)
        if not known[0]:
            raise AssertionError("what was recorded just now is not known")
        return known

    def read_records(content: bytes) -> object:
        cache = ResultCache(kind(folder / "records.jsonl", content))
        cache.add("new", Measured(1.0, 2, 3, {}))
        if ResultCache(folder / "records.jsonl").find("new") is None:
            raise AssertionError("what was added just now is not known")
        return cache.find("a")

    def lines(content: bytes, rng: random.Random) -> bytes:
        if rng.random() < 0.3:
            return mutate(content, rng)
        split = content.splitlines(keepends=True)
        at = rng.randrange(len(split))
        split[at] = mutate_json(split[at], rng) + b"\n"
        return b"".join(split)

    kind.sound += [
        ((folder / JOURNAL).read_bytes(), lines, read),
        ((folder / "records.jsonl").read_bytes(), lines, read_records),
    ]
    return kind


def checkpoints(folder: Path) -> Kind:
    """Checkpoints of today's form and the former, .safetensors and .npz files of weights."""
    import numpy as np
    import torch
    from safetensors.torch import save

    from blindsr.checkpoint.reading import FORMAT, load_network, read_weights
    from blindsr.network import build_network

    kind = Kind(folder)
    spec = {
        "basenet": {
            "name": "srresnet",
            "scale": 2,
            "channels": 4,
            "blocks": 1,
            "tail": "direct",
            "skip": True,
        },
        "condition": {"name": "attentive", "size": 4, "width": 4},
        "pixel_range": 1.0,
    }
    state = build_network(spec).state_dict()
    content = {
        "format": FORMAT,
        "network": spec,
        "state": state,
        "ema": state,
        "step": 7,
        "config": {"data": {"patch": 32}},
    }
    official = {
        "sr_net.input_conv.weight": torch.zeros(4, 3, 3, 3),
        "condition_net.condition.0.weight": torch.zeros(4, 6, 3, 3),
        "condition_net.condition.7.weight": torch.zeros(4, 4, 1, 1),
        "sr_net.upsampler.0.weight": torch.zeros(16, 4, 3, 3),
        "sr_net.backbone.0.x": torch.zeros(1),
    }
    for what in (content, official):
        for new in (True, False):
            file = io.BytesIO()
            torch.save(what, file, _use_new_zipfile_serialization=new)
            kind.sound.append(
                (
                    file.getvalue(),
                    mutate_zip if new else mutate,
                    lambda mutated: load_network(kind(folder / "a.ckpt", mutated)),
                )
            )
    weights = {"a": torch.zeros(3, 4), "b": torch.ones(5)}
    np.savez(folder / "whole.npz", **{name: tensor.numpy() for name, tensor in weights.items()})
    shapes = {"a": (3, 4), "b": (5,)}
    for suffix, sound, change in (
        (".safetensors", save(weights), mutate),
        (".npz", (folder / "whole.npz").read_bytes(), mutate_zip),
    ):
        path = folder / f"a{suffix}"
        kind.sound.append(
            (sound, change, lambda mutated, path=path: read_weights(kind(path, mutated), shapes, "weights"))  # type: ignore[misc]
        )
    return kind


def states(folder: Path) -> Kind:
    """Compact states of training runs, and the JSON beside them."""
    import hashlib

    import numpy as np

    from blindsr.training.state import FORMAT, read_average

    kind = Kind(folder)
    weights, moments = np.zeros((4, 30), np.uint8), np.zeros(24, np.uint8)
    header = {
        "format": FORMAT, "network": {"a": 1}, "updates": 3, "steps": {"basenet": 5},
        "shapes": {"network/a": [2, 3], "network/b": [24]},
    }  # fmt: skip
    arrays = {
        "header": np.frombuffer(json.dumps(header).encode(), np.uint8),
        "weights": weights,
        "average": np.zeros((2, 30), np.uint8),
        "moment/basenet": moments,
        "tops/basenet": np.ones(1, np.float32),
    }
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    whole = file.getvalue()

    def record(content: bytes) -> bytes:
        digest = hashlib.sha256(content).hexdigest()
        return json.dumps({"format": FORMAT, "sha256": digest, "step": 1, "patches": 2, "runs": []}).encode()

    def read(content: bytes) -> object:
        kind(folder / "a.json", record(content))
        return read_average(kind(folder / "a.npz", content))

    def read_record(content: bytes) -> object:
        kind(folder / "a.json", content)
        return read_average(kind(folder / "a.npz", whole))

    kind.sound += [(whole, mutate_zip, read), (record(whole), mutate_json, read_record)]
    return kind


KINDS: dict[str, Callable[[Path], Kind]] = {
    "archives": archives,
    "cards": cards,
    "checkpoints": checkpoints,
    "journal": journal,
    "profiles": profiles,
    "states": states,
}


def fuzz(kind: Kind, seed: int, numbers: range) -> tuple[Counter[str], list[str]]:
    """Try inputs.

    Returns:
        How many were read and how many refused; and the findings, a line or more each.
    """
    counts: Counter[str] = Counter()
    findings = []
    for number in numbers:
        content, read = kind.input(seed, number)
        start = time.process_time()
        fault = ""
        try:
            read(content)
            counts["read"] += 1
        except BlindSRError as error:
            counts["refused"] += 1
            if "\n" in str(error) or len(str(error)) > 2000:
                fault = f"a message of several lines, or a very long one: {str(error)[:300]!r}"
        except Exception:
            fault = traceback.format_exc()
        seconds = time.process_time() - start
        if seconds > MOST_SECONDS:
            fault = fault or f"took {seconds:.0f} seconds"
        if fault:
            counts["findings"] += 1
            findings.append(f"--seed {seed} --first {number}: {fault}")
    return counts, findings


@contextmanager
def bounded_memory() -> Iterator[None]:
    """Let no more memory be taken than `MEMORY`, where the system can be asked for that."""
    if sys.platform != "linux":
        yield
        return
    import resource

    before = resource.getrlimit(resource.RLIMIT_AS)
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, bounded_memory():
        kind, start = KINDS[chosen.kind](Path(folder)), time.monotonic()
        counts, findings = fuzz(kind, chosen.seed, range(chosen.first, chosen.first + chosen.count))
    for finding in findings:
        sys.stdout.write(f"{finding}\n")
    told = ", ".join(f"{counts[what]} {what}" for what in ("read", "refused", "findings"))
    sys.stdout.write(f"{chosen.kind}: {told}; {time.monotonic() - start:.0f} seconds\n")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
