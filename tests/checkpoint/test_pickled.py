"""Checkpoints of strangers: each is one line, and none takes more memory than it has bytes."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import sys
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from blindsr.checkpoint.pickled import ForeignObject, check_checkpoint
from blindsr.checkpoint.reading import FORMAT, load_network, read_safetensors, read_tensors
from blindsr.errors import ModelError

from ..children import finished

OFFICIAL = "sr_net.input_conv.weight"
SPEC: dict[str, Any] = {
    "basenet": {"name": "srresnet", "scale": 4, "channels": 8, "blocks": 2, "tail": "direct", "skip": True},
    "condition": {"name": "attentive", "size": 8, "width": 8},
    "pixel_range": 1.0,
}


class Foreign:
    """What would run something."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("exit 1",)


def saved(content: object, old: bool = False) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, _use_new_zipfile_serialization=not old)
    return file.getvalue()


def ours(**changes: Any) -> bytes:
    return saved({"format": FORMAT, "network": SPEC, "state": {}} | changes)


def network(**changes: Any) -> bytes:
    return ours(network=SPEC | {"basenet": SPEC["basenet"] | changes})


def official(**changes: Any) -> bytes:
    state = {
        OFFICIAL: torch.zeros(8, 3, 3, 3),
        "condition_net.condition.0.weight": torch.zeros(8, 60, 3, 3),
        "condition_net.condition.7.weight": torch.zeros(8, 8, 1, 1),
        "sr_net.upsampler.0.weight": torch.zeros(32, 8, 3, 3),
        "sr_net.backbone.0.x": torch.zeros(1),
    }
    return saved(state | changes)


def repacked(
    content: bytes, change: Callable[[str, bytes], bytes], packing: int = zipfile.ZIP_STORED
) -> bytes:
    """The same archive with other parts."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(file, "w", packing) as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
    return file.getvalue()


def with_pickle(content: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """The same archive with another pickle."""
    return repacked(content, lambda name, part: change(part) if name.endswith("data.pkl") else part)


def lying(elements: int, old: bool = False) -> bytes:
    """A tensor of 7 numbers, of which the file says that there are more."""
    content = saved({"a": torch.arange(7, dtype=torch.float32)}, old)
    seven, more = b"K\x07", b"\x8a\x06" + elements.to_bytes(6, "little")
    if old:
        return content.replace(seven, more)
    return repacked(
        content, lambda name, part: part.replace(seven, more) if name.endswith("data.pkl") else part
    )


def bomb() -> bytes:
    """A storage of zeros, packed."""
    content = saved({"a": torch.zeros(1000)})
    return repacked(
        content, lambda name, part: bytes(1 << 24) if name.endswith("data/0") else part, zipfile.ZIP_DEFLATED
    )


def in_itself() -> bytes:
    circle: list[object] = []
    circle.append(circle)
    return saved({"a": circle})


def doubled(depth: int = 30) -> bytes:
    """A list of lists, each twice in the next: two to the thirty entries."""
    inner: list[object] = []
    for _ in range(depth):
        inner = [inner, inner]
    return saved({"a": inner})


def deep() -> bytes:
    inner: list[object] = []
    for _ in range(300):
        inner = [inner]
    return saved({"a": inner})


def legacy_tar() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            content = pickle.dumps(Foreign())
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return file.getvalue()


def script() -> bytes:
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), file)
    return file.getvalue()


def in_pickle(opcodes: bytes) -> bytes:
    """A file as of today, with a pickle of its own."""
    content = saved({"a": torch.zeros(3)})
    return with_pickle(content, lambda part: b"\x80\x02" + opcodes)


HOSTILE: dict[str, Callable[[], bytes]] = {
    "code": lambda: saved({"a": Foreign()}),
    "code of old": lambda: saved({"a": Foreign()}, old=True),
    "a bare pickle": lambda: pickle.dumps(Foreign()),
    "a tar of old": legacy_tar,
    "a program": script,
    "nothing": lambda: b"",
    "text": lambda: b"<html>" * 100,
    "truncated": lambda: official()[:-100],
    "a comment behind": lambda: official() + b"PK\5\6" + bytes(18),
    "a bomb": bomb,
    "more than is there": lambda: lying(8),
    "far more than is there": lambda: lying(10**11),
    "more than is there, of old": lambda: lying(10**6, old=True),
    "far more than is there, of old": lambda: lying(10**11, old=True),
    "a view of one": lambda: saved({"a": torch.zeros(1).expand(10**6, 10**6)}),
    "many views": lambda: saved({"a": (whole := torch.zeros(1 << 16)), "b": [whole.view(-1)] * 2000}),
    "of no memory": lambda: saved({"a": torch.empty(10**6, 10**6, device="meta")}),
    "in itself": in_itself,
    "doubled": doubled,
    "deep": deep,
    "a huge place in the memo": lambda: in_pickle(b"Nr\xff\xff\xff\xff."),
    "huge bytes": lambda: in_pickle(b"\x8e" + (1 << 40).to_bytes(8, "little") + b"."),
    "huge text": lambda: in_pickle(b"X\xff\xff\xff\x7f."),
    "a huge number": lambda: in_pickle(b"\x8b\xff\xff\xff\x7f."),
    "an endless pickle": lambda: in_pickle(b"}" * 1000),
    "a list": lambda: saved([1]),
    "a tensor": lambda: saved(torch.zeros(2)),
    "other keys": lambda: saved({1: 2, None: 3}),
    "no network": lambda: saved({"format": FORMAT}),
    "a number for a network": lambda: ours(network=5),
    "an unknown network": lambda: ours(network={"a": 1}),
    "a number for weights": lambda: ours(state=5),
    "a number for a weight": lambda: ours(state={"x": 1}),
    "a tensor for weights": lambda: ours(ema=torch.zeros(3)),
    "a tensor for a format": lambda: ours(format=torch.zeros(3)),
    **{
        f"{name}={value}": lambda name=name, value=value: network(**{name: value})  # type: ignore[misc]
        for name, value in (
            ("blocks", 10**9), ("channels", 10**7), ("channels", -1), ("channels", 0), ("scale", 10**6),
            ("channels", "8"), ("channels", 8.5), ("channels", float("nan")), ("name", "os.system"),
            ("evil", 1), ("channels", [8]), ("blocks", 10**400), ("channels", 60_000),
        )
    },
    "an official one": official,
    "an official one without channels": lambda: official(**{OFFICIAL: torch.zeros(0, 3, 3, 3)}),
    "an official one of a number": lambda: official(**{OFFICIAL: torch.zeros(())}),
    "an official one of endless blocks": lambda: official(**{"sr_net.backbone.9999999999.x": torch.zeros(1)}),
    "an official one of more digits": lambda: official(**{f"sr_net.backbone.{'9' * 5000}.x": torch.zeros(1)}),
    "an official one with a stage": lambda: official(**{"sr_net.upsampler.zz.weight": torch.zeros(1)}),
    "an official one without stages": lambda: official(**{"sr_net.upsampler": torch.zeros(1)}),
    "an official one in a wrapper": lambda: saved({"params": {OFFICIAL: torch.zeros(0, 3, 3, 3)}}),
    "an ESRGAN of endless blocks": lambda: saved(
        {"conv_first.weight": torch.zeros(8, 3, 3, 3), "body.99999999999.rdb1.conv1.weight": torch.zeros(1)}
    ),
    "an ESRGAN of one weight": lambda: saved({"body.0.rdb1.conv1.weight": torch.zeros(1)}),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_checkpoints(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.ckpt"
    path.write_bytes(HOSTILE[name]())
    with pytest.raises(ModelError) as caught:
        load_network(path)
    said = str(caught.value)
    assert said.startswith(str(path)) and "\n" not in said and len(said) < 1000


@pytest.mark.parametrize("old", [False, True])
def test_what_checkpoints_hold_is_read(tmp_path: Path, old: bool) -> None:
    whole = torch.arange(24.0)
    content = {
        "tensors": {str(kind): torch.ones(2, 3, dtype=kind) for kind in (
            torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32,
            torch.int16, torch.int8, torch.uint8, torch.bool, torch.complex64)},
        "views": [whole, whole[3:9], whole.view(4, 6).T, whole[::2]],
        "parameter": torch.nn.Parameter(torch.zeros(2)),
        "module": torch.nn.Linear(3, 2).state_dict(),
        "adam": torch.optim.Adam([torch.nn.Parameter(torch.zeros(2))]).state_dict(),
        "rng": torch.get_rng_state(),
        "plain": [1, -(2**70), 2.5, "é", None, True, (1, 2), b"bytes", float("inf")],
        "empty": torch.zeros(0, 5), "number": torch.tensor(3.0), "shape": torch.Size([1, 2]),
    }  # fmt: skip
    (tmp_path / "a.ckpt").write_bytes(saved(content, old))
    found = read_tensors(tmp_path / "a.ckpt")
    assert found.keys() == content.keys() and found["plain"] == content["plain"]
    for one, other in zip(found["views"], content["views"], strict=True):  # type: ignore[arg-type]
        assert torch.equal(one, other)


def test_foreign_objects_are_named(tmp_path: Path) -> None:
    for content in (HOSTILE["code"](), HOSTILE["code of old"]()):
        with pytest.raises(ForeignObject, match="system"):
            check_checkpoint(io.BytesIO(content))
        (tmp_path / "a.ckpt").write_bytes(content)
        with pytest.raises(ModelError, match="which could run code; save a plain state_dict"):
            read_tensors(tmp_path / "a.ckpt")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="bounds on memory hold there")
def test_none_takes_memory(tmp_path: Path) -> None:
    """Those that ask for most, under a bound of what PyTorch itself takes and little more."""
    program = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from blindsr.errors import ModelError\n"
        "from blindsr.checkpoint.reading import load_network\n"
        "taken = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (taken + (1 << 28),) * 2)\n"
        "for name in sys.argv[1:]:\n"
        "    try:\n"
        "        load_network(Path(name))\n"
        "    except ModelError:\n"
        "        print('refused')\n"
    )
    files = []
    for name in HOSTILE:
        files.append(tmp_path / f"{len(files)}.ckpt")
        files[-1].write_bytes(HOSTILE[name]())
    done = finished(sys.executable, "-c", program, *files, env={"OMP_NUM_THREADS": "1"})
    assert done.stdout.split() == ["refused"] * len(files), done.stderr[-500:]


def header(content: object, length: int | None = None, data: bytes = bytes(16)) -> bytes:
    text = json.dumps(content).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(kind: str, shape: list[int], end: int) -> dict[str, Any]:
    return {"a": {"dtype": kind, "shape": shape, "data_offsets": [0, end]}}


@pytest.mark.parametrize(
    "content",
    [
        b"", b"short", header(entry("F32", [4], 16), 2**63), header(entry("F32", [4], 16), 2**40),
        header(entry("F32", [4], 16), 8), header(entry("F32", [10**12], 4)),
        header(entry("F32", [2**62, 4], 16)),
        header(entry("F99", [4], 16)), header(entry("F32", [4], 12)),
        struct.pack("<Q", 90_000) + b"[" * 90_000, struct.pack("<Q", 9 << 20) + b" " * (9 << 20) + b"{}",
    ],
)  # fmt: skip
def test_hostile_safetensors(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.safetensors").write_bytes(content)
    with pytest.raises(ModelError) as caught:
        read_safetensors(tmp_path / "a.safetensors")
    assert "\n" not in str(caught.value) and "a.safetensors: not a whole" in str(caught.value)


@pytest.mark.skipif(sys.platform == "win32", reason="no pipes there")
@pytest.mark.parametrize("suffix", [".ckpt", ".safetensors"])
def test_pipes_and_folders(tmp_path: Path, suffix: str) -> None:
    read = read_safetensors if suffix == ".safetensors" else read_tensors
    os.mkfifo(tmp_path / f"pipe{suffix}")
    (tmp_path / f"folder{suffix}").mkdir()
    for name in ("pipe", "folder", "absent"):
        with pytest.raises(ModelError, match=name):
            read(tmp_path / f"{name}{suffix}")
