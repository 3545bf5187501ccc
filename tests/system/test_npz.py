"""Arrays of strangers: what NumPy wrote is read, and what lies of itself is not believed."""

from __future__ import annotations

import io
import os
import pickle
import struct
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from blindsr.system.npz import NPZ_FAULTS, read_npz


def npy(shape: str, kind: str = "'<f4'", content: bytes = bytes(64)) -> bytes:
    """An array with any header."""
    header = f"{{'descr': {kind}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + content


def npz(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return file.getvalue()


@pytest.mark.parametrize("packed", [True, False])
def test_what_numpy_wrote(tmp_path: Path, packed: bool) -> None:
    rng = np.random.default_rng(0)
    arrays = {
        "plain": rng.normal(size=(3, 4)),
        "columns": np.asfortranarray(rng.normal(size=(3, 4, 2)).astype(np.float16)),
        "empty": np.zeros((0, 5), np.int16),
        "number": np.int64(7),
        "texts": np.array(["a", "été"]),
        "truth": np.array([True, False]),
        "big-endian": np.arange(5, dtype=">u4"),
        "large": np.zeros(1 << 18, np.uint8),
        "larger than a directory may be": rng.integers(0, 256, 5 << 20, np.uint8),
    }
    (np.savez_compressed if packed else np.savez)(tmp_path / "a.npz", **arrays)
    for source in (tmp_path / "a.npz", (tmp_path / "a.npz").read_bytes()):
        found = read_npz(source)
        assert found.keys() == arrays.keys()
        for name, array in arrays.items():
            assert found[name].dtype == array.dtype and found[name].shape == array.shape  # type: ignore[attr-defined]
            assert np.array_equal(found[name], array) and found[name].flags.writeable


HOSTILE = {
    "huge": npz(a=npy("(1000000000000,)")),
    "negative": npz(a=npy("(-1,)")),
    "overflowing": npz(a=npy("(4611686018427387904, 8)")),
    "objects": npz(a=npy("(1,)", "'|O'", pickle.dumps(print))),
    "records": npz(a=npy("(16,)", "[('a', '<f4')]")),
    "code": npz(a=npy("__import__('os').getpid()")),
    "nested": npz(a=npy("(" * 5000)),
    "endless digits": npz(a=npy(f"({'1' * 3000}x)")),
    "huge texts": npz(a=npy("(1,)", "'<U1000000000'")),
    "no texts": npz(a=npy("(1,)", "'<U16'", b"\xff" * 64)),
    "short": npz(a=npy("(17,)")),
    "long": npz(a=npy("(15,)")),
    "no array": npz(a=b"no array"),
    "another version": npz(a=b"\x93NUMPY\3\0" + bytes(64)),
    "many": npz(**{str(i): npy("(16,)") for i in range(4100)}),
    "bomb": npz(a=npy("(33554432,)", "'|u1'", bytes(1 << 25))),
    "no archive": b"\x93NUMPY" + npz(a=npy("(16,)")),
    "nothing": b"",
    "truncated": npz(a=npy("(16,)"))[:-30],
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_lies_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.npz").write_bytes(HOSTILE[name])
    for source in (tmp_path / "a.npz", HOSTILE[name]):
        with pytest.raises(NPZ_FAULTS):
            read_npz(source, most=1 << 24)


@pytest.mark.skipif(sys.platform == "win32", reason="no pipes there")
def test_a_pipe_and_a_folder(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for place in ("pipe", ".", "absent", "/dev/zero"):
        with pytest.raises(OSError):
            read_npz(tmp_path / place)
