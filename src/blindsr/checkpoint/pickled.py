"""What a checkpoint says of its tensors, compared with what is there before PyTorch believes it.

PyTorch runs no code of a file that it loads with `weights_only`, but takes the file's word for sizes: a
storage that is larger than what holds it is read beyond its end, a few bytes unpack to any number, and a view
of one number has as many elements as somebody writes. So the pickle is read here first, into stand-ins that
have sizes and nothing else.
"""

from __future__ import annotations

import math
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Any, NamedTuple

from blindsr.system.archives import DAMAGED, open_zip
from blindsr.system.untrusted import shorten

__all__ = ["CHECKPOINT_FAULTS", "ForeignObject", "check_checkpoint"]

CHECKPOINT_FAULTS = (
    *DAMAGED, pickle.PickleError, TypeError, AttributeError, AssertionError, MemoryError,
)  # fmt: skip
"""What a file raises here and in PyTorch that is no checkpoint, or a damaged one."""

_PICKLED = 8 << 20  # bytes; a tensor takes some hundred
_MEMBERS = 100_000
_ENTRIES = 500_000
_DEPTH = 32
_LONGEST = 1 << 40  # elements along a dimension
_MAGIC = 0x1950A86A20F9469CFC6C  # of files that are no archives, as PyTorch wrote until 2020

_END = 22  # bytes of an archive's end without a comment

_SIZES = {
    "Double": 8, "Float": 4, "Half": 2, "BFloat16": 2, "Long": 8, "Int": 4, "Short": 2, "Char": 1, "Byte": 1,
    "Bool": 1, "ComplexFloat": 8, "ComplexDouble": 16,
}  # fmt: skip
_DTYPES = {
    "float64": 8, "float32": 4, "float16": 2, "bfloat16": 2, "int64": 8, "int32": 4, "int16": 2, "int8": 1,
    "uint8": 1, "uint16": 2, "uint32": 4, "uint64": 8, "bool": 1, "complex64": 8, "complex128": 16,
}  # fmt: skip


class ForeignObject(pickle.UnpicklingError):
    """A file holds what is no tensor, no number, no text, and no list or dictionary of them."""


class _Kind(NamedTuple):
    """Bytes of an element."""

    size: int


class _Storage(NamedTuple):
    """Memory of tensors: elements, and bytes of each."""

    elements: int
    size: int


class _Tensor(NamedTuple):
    """Bytes that a tensor's elements take."""

    taken: int


def check_checkpoint(file: IO[bytes]) -> None:
    """Compare what a file of PyTorch's says of itself with what it has.

    Args:
        file: The file, at its beginning.

    Raises:
        ForeignObject: It holds other objects than tensors and plain values.
        ValueError: It says what is not true, or holds more than any checkpoint; or another of
            `CHECKPOINT_FAULTS`.
    """
    length = file.seek(0, 2)
    file.seek(0)
    start = file.read(4)
    file.seek(0)
    found = _read_archive(file, length) if start == b"PK\3\4" else _read_stream(file, length)
    taken = _count(found)
    if taken > 4 * length + (1 << 20):
        raise ValueError(f"its tensors would take {taken} bytes, and the file has {length}")


def _read_archive(file: IO[bytes], length: int) -> object:
    """The contents of a file as PyTorch writes them since 2020: an archive, in which nothing is packed."""
    file.seek(max(0, length - _END))
    end = file.read()
    if end.rfind(b"PK\5\6") != 0 or end[-2:] != b"\0\0":  # of another end PyTorch could read other sizes
        raise ValueError("no archive of PyTorch's, or a truncated one")
    file.seek(0)
    archive = open_zip(file, _MEMBERS)
    members = archive.infolist()
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise ValueError("packed, which PyTorch's files are not")
    if sum(member.file_size for member in members) > length:
        raise ValueError("its parts are larger than the whole")
    parts = {member.filename.partition("/")[2]: member for member in members}
    if "constants.pkl" in parts:
        raise ForeignObject("a program of TorchScript")
    if len(parts) != len(members) or "data.pkl" not in parts:
        raise ValueError("no archive of PyTorch's")
    if parts["data.pkl"].file_size > _PICKLED:
        raise ValueError(f"what it says of its tensors has more than {_PICKLED >> 20} MiB")
    sizes = {name[5:]: part.file_size for name, part in parts.items() if name.startswith("data/")}
    with archive.open(parts["data.pkl"]) as content:
        return _Reader(_Bounded(content, parts["data.pkl"].file_size), sizes.__getitem__).load()


def _read_stream(file: IO[bytes], length: int) -> object:
    """The contents of a file as PyTorch wrote them before: pickles, then the bytes of the storages."""
    stored: dict[str, int] = {}

    def room(key: str) -> int:
        return length

    bounded = _Bounded(file, min(length, _PICKLED))
    if file.read(1) != b"\x80":
        raise ValueError("no file of PyTorch's")
    file.seek(0)
    if _Reader(bounded, room).load() != _MAGIC:
        raise ValueError("no file of PyTorch's")
    for _ in range(2):  # the version, and the machine that it was written on
        _Reader(bounded, room).load()
    found = _Reader(bounded, room, stored).load()
    if sum(stored.values()) > length:
        raise ValueError("its storages are larger than the file")
    return found


class _Bounded:
    """A file of which no more is read than there is: where a length is a lie, nothing is allocated for it."""

    def __init__(self, file: IO[bytes], left: int) -> None:
        self._file, self._left = file, left

    def read(self, size: int) -> bytes:
        """As any file's; raises EOFError beyond the end."""
        if not 0 <= size <= self._left:
            raise EOFError("it ends early, or says more of its tensors than any checkpoint")
        self._left -= size
        return self._file.read(size)

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401  (any writable buffer)
        """As any file's; raises EOFError beyond the end."""
        content = self.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)

    def readline(self) -> bytes:
        """As any file's; raises EOFError beyond the end."""
        line = self._file.readline(self._left + 1)
        self._left -= len(line)
        if self._left < 0:
            raise EOFError("it ends early")
        return line


class _Reader(pickle._Unpickler):  # C's allocates what it is told to
    """Reads a pickle of tensors into stand-ins; nothing that it names is imported.

    Args:
        file: The pickle.
        room: Bytes that are there of a storage, by its key; raises KeyError where there is none.
        stored: Takes each storage's bytes, by its key.
    """

    def __init__(
        self, file: _Bounded, room: Callable[[str], int], stored: dict[str, int] | None = None
    ) -> None:
        super().__init__(file, encoding="utf-8")
        self._room, self._stored = room, {} if stored is None else stored

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401
        """The stand-in of what a pickle names."""
        known = _KNOWN.get((module.replace("__builtin__", "builtins"), name))
        if known is not None:
            return known
        if module == "torch" and name in _DTYPES:
            return _Kind(_DTYPES[name])
        if module in ("torch", "torch.storage") and name in ("UntypedStorage", "TypedStorage"):
            return _Kind(1)
        if module in ("torch", "torch.cuda") and name.removesuffix("Storage") in _SIZES:
            return _Kind(_SIZES[name.removesuffix("Storage")])
        raise ForeignObject(f"{shorten(module)}.{shorten(name)}")

    def persistent_load(self, pid: Any) -> _Storage:  # noqa: ANN401  (whatever the file has there)
        """A storage's stand-in."""
        # What a sixth entry tells is a view of another storage, which nothing writes any more.
        known = isinstance(pid, tuple) and len(pid) > 4 and pid[0] == "storage" and pid[5:] in ((), (None,))
        _, kind, key, _, elements = pid[:5] if known else (None,) * 5
        if not (isinstance(kind, _Kind) and isinstance(key, str) and isinstance(elements, int)):
            raise ValueError("a storage of an unknown kind")
        if not _is_size(elements):
            raise ValueError("a storage of an unknown kind")
        if elements * kind.size > self._room(key):
            raise ValueError("a storage is larger than what is there of it")
        self._stored[key] = max(self._stored.get(key, 0), elements * kind.size)
        return _Storage(elements, kind.size)


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _LONGEST


def _tensor(storage: object, offset: object, shape: object, strides: object, *more: object) -> _Tensor:
    """A tensor's stand-in, which lies within its storage and has no element twice."""
    if not (isinstance(storage, _Storage) and isinstance(shape, Sequence) and isinstance(strides, Sequence)):
        raise ValueError("a tensor of an unknown kind")
    numbers = [offset, *shape, *strides]
    if len(shape) != len(strides) or len(shape) > 16 or not all(map(_is_size, numbers)):
        raise ValueError("a tensor's shape is none")
    size = next((kind.size for kind in more if isinstance(kind, _Kind)), storage.size)
    room = storage.elements * storage.size // size
    elements = math.prod(shape)
    if elements:
        assert isinstance(offset, int)
        last = offset + sum((side - 1) * step for side, step in zip(shape, strides, strict=True))
        if elements > room or last >= room:
            raise ValueError("a tensor is larger than its storage")
    return _Tensor(elements * size)


def _parameter(tensor: object, *more: object) -> object:
    return tensor


def _encoded(text: str, encoding: str) -> bytes:
    """Bytes, as protocol 2 writes them."""
    if encoding != "latin1":
        raise ValueError("bytes of an unknown kind")
    return text.encode("latin1")


_KNOWN: Mapping[tuple[str, str], Any] = {
    ("torch._utils", "_rebuild_tensor"): _tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_tensor_v3"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch", "Size"): tuple,
    ("torch", "device"): lambda *name: "device",
    ("collections", "OrderedDict"): OrderedDict,
    ("builtins", "set"): set,
    ("_codecs", "encode"): _encoded,
}


def _count(found: object) -> int:
    """Bytes of all tensors.

    Raises:
        ValueError: There are too many entries, or they are nested too deeply, or for ever.
    """
    taken, entries = 0, 0
    waiting: list[tuple[object, int]] = [(found, 0)]
    while waiting:
        value, depth = waiting.pop()
        entries += 1
        if entries > _ENTRIES or depth > _DEPTH:
            raise ValueError("it holds too many entries, or nests them too deeply")
        if isinstance(value, _Tensor):
            taken += value.taken
        elif isinstance(value, Mapping):
            waiting += [(one, depth + 1) for pair in value.items() for one in pair]
        elif isinstance(value, (list, tuple, set)) and not isinstance(value, (_Storage, _Kind)):
            waiting += [(one, depth + 1) for one in value]
    return taken
