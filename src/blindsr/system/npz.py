"""Arrays from .npz files that anybody may have made: nothing is unpickled, nothing believed of its size."""

from __future__ import annotations

import io
import math
import re
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blindsr.system.archives import BLOCK, DAMAGED, open_zip
from blindsr.system.files import open_file
from blindsr.system.memory import show_bytes
from blindsr.system.untrusted import shorten

__all__ = ["NPZ", "NPZ_FAULTS", "read_npz"]

NPZ = 1 << 30
"""Most bytes that the arrays of a file may have, unless somebody says otherwise."""

_ARRAYS = 4096
_LONGEST = 1 << 12  # bytes of a header
_HEADER = re.compile(
    rb"\{'descr': '(?P<kind>[<>|][biufU]\d{1,9})', 'fortran_order': (?P<columns>True|False),"
    rb" 'shape': \((?P<shape>(?:\d{1,15}, ?)*(?:\d{1,15})?)\),? *\}\s*"
)
"""What NumPy writes before numbers and texts, which are all that is read: NumPy itself would evaluate it."""

NPZ_FAULTS = (*DAMAGED, TypeError, MemoryError)
"""What `read_npz` raises of a file that is none, or a damaged one."""


def read_npz(source: Path | bytes, most: int = NPZ) -> dict[str, NDArray[Any]]:
    """The arrays of an .npz file by name. Nothing is unpickled, and nothing is taken for larger than it is.

    Args:
        source: The file, or its content.
        most: Bytes that the arrays may have together.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no whole .npz file of numbers and texts, or a larger one; or others of `NPZ_FAULTS`.
    """
    file = io.BytesIO(source) if isinstance(source, bytes) else open_file(source)
    with file, open_zip(file, _ARRAYS) as archive:
        members = archive.infolist()
        if sum(member.file_size for member in members) > most:
            raise ValueError(f"its arrays have more than {show_bytes(most)}")
        return {member.filename.removesuffix(".npy"): _read_array(archive, member) for member in members}


def _read_array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    """One array, whose header must agree with the size of what holds it."""
    with archive.open(member) as content:
        start = content.read(12)
        width = {b"\x93NUMPY\1\0": 2, b"\x93NUMPY\2\0": 4}.get(start[:8])
        if width is None:
            raise ValueError(f"{shorten(member.filename)} is no array")
        begun = start[8 + width :]
        length = int.from_bytes(start[8 : 8 + width], "little")
        header = _HEADER.fullmatch(begun + content.read(min(length, _LONGEST) - len(begun)))
        if header is None:
            raise ValueError(f"{shorten(member.filename)} is no array of numbers or texts")
        kind = np.dtype(header["kind"].decode())
        shape = tuple(int(side) for side in header["shape"].split(b",") if side.strip())
        size = math.prod(shape) * kind.itemsize
        if size != member.file_size - 8 - width - length:
            raise ValueError(f"{shorten(member.filename)} is not as large as it says")
        values = bytearray()
        while block := content.read(min(BLOCK, size - len(values))):
            values += block
        if len(values) != size:
            raise ValueError(f"{shorten(member.filename)} is not whole")
    flat = np.frombuffer(values, kind) if size else np.empty(0, kind)
    if kind.kind == "U" and size and flat.view(kind.byteorder + "u4").max() > sys.maxunicode:
        raise ValueError(f"{shorten(member.filename)} holds no text")
    return flat.reshape(shape, order="F" if header["columns"] == b"True" else "C").copy(order="K")
