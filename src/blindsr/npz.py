"""Arrays from .npz files that anybody may have made: nothing is unpickled, nothing believed of its size."""

from __future__ import annotations

import io
import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blindsr.archives import DAMAGED, open_zip
from blindsr.files import open_file
from blindsr.memory import show_bytes
from blindsr.untrusted import shorten

__all__ = ["NPZ", "NPZ_FAULTS", "read_npz"]

NPZ = 1 << 30
"""Most bytes that the arrays of a file may have, unless somebody says otherwise."""

_ARRAYS = 4096
_HEADER = 1 << 16
_KINDS = "biufU"  # of arrays: numbers and texts, and nothing that is made by code

NPZ_FAULTS = (*DAMAGED, TypeError, MemoryError, SyntaxError)  # the last two of NumPy's way to read headers
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
        header = io.BytesIO(content.read(_HEADER))
        version = np.lib.format.read_magic(header)
        if version == (1, 0):
            shape, in_columns, kind = np.lib.format.read_array_header_1_0(header)
        elif version == (2, 0):
            shape, in_columns, kind = np.lib.format.read_array_header_2_0(header)
        else:
            raise ValueError(f"arrays of version {version}")
        if kind.kind not in _KINDS or any(side < 0 for side in shape):
            raise ValueError(f"{shorten(member.filename)} is no array of numbers or texts")
        size = math.prod(shape) * kind.itemsize
        if size != member.file_size - header.tell():
            raise ValueError(f"{shorten(member.filename)} is not as large as it says")
        values = header.read() + content.read(member.file_size)
    flat = np.frombuffer(values, kind) if size else np.empty(0, kind)
    return flat.reshape(shape, order="F" if in_columns else "C").copy()
