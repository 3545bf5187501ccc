"""Archives of strangers: what tar and zip programs write is read, and everything else is bounded."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator

import pytest

from blindsr.system.archives import DAMAGED, MEMBERS, gunzip, open_zip, tar_members, zip_members

FILES = {
    "a": b"",
    "folder/b.bin": bytes(range(256)) * 3,
    "é/" + "long name" * 20: b"x" * 512,
    "n" * 300: b"y" * 513,
    "last": b"z" * 1_000_000,
}


def tarred(files: dict[str, bytes], format_: int = tarfile.PAX_FORMAT) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=format_) as archive:
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return file.getvalue()


def zipped(files: dict[str, bytes], packing: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", packing) as archive:
        archive.writestr("folder/", b"")
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


def members(content: bytes) -> Iterator[tuple[str, str, bytes]]:
    """All that is in an archive: names, kinds and contents."""
    file = io.BytesIO(content)
    found = zip_members(open_zip(file)) if content[:2] == b"PK" else tar_members(file)
    for member in found:
        inside = b"".join(member.blocks()) if member.kind == "file" else b""
        assert member.kind != "file" or len(inside) == member.size
        yield member.name.rstrip("/"), member.kind, inside


@pytest.mark.parametrize("format_", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_what_tar_writes(format_: int) -> None:
    found = [*members(tarred(FILES, format_))]
    assert found == [("folder", "folder", b""), *((name, "file", content) for name, content in FILES.items())]


def test_a_name_in_two_parts() -> None:
    name = "f" * 90 + "/" + "n" * 80
    assert [*members(tarred({name: b"x"}, tarfile.USTAR_FORMAT))][1] == (name, "file", b"x")


@pytest.mark.parametrize("packing", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_what_zip_writes(packing: int) -> None:
    found = [*members(zipped(FILES, packing))]
    assert found == [("folder", "folder", b""), *((name, "file", content) for name, content in FILES.items())]


@pytest.mark.parametrize("size", [0, 1, 1 << 18, (1 << 20) + 7])
def test_what_gzip_writes(size: int) -> None:
    content = bytes(i * i % 251 for i in range(size))
    packed = gzip.compress(content)
    assert b"".join(gunzip(io.BytesIO(packed))) == content
    assert b"".join(gunzip(io.BytesIO(packed * 3 + bytes(512)))) == content * 3
    for damaged in (packed[:-4], packed[:5], b"", b"no gzip", packed + b"x" * 9, packed[:-8] + b"\1" * 8):
        with pytest.raises(DAMAGED):
            b"".join(gunzip(io.BytesIO(damaged)))


def test_a_bomb_is_unpacked_piece_by_piece() -> None:
    packed = gzip.compress(bytes(1 << 26), 9)
    assert max(map(len, gunzip(io.BytesIO(packed)))) <= 1 << 18


def test_kinds_that_are_no_files() -> None:
    file = io.BytesIO()
    kinds = (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE)
    with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for kind in kinds:
            entry = tarfile.TarInfo("member")
            entry.type, entry.linkname = kind, "/etc/passwd" + "x" * 200
            archive.addfile(entry)
    assert [kind for _, kind, _ in members(file.getvalue())] == ["other"] * len(kinds)


def with_size(field: bytes, name: str = "m") -> bytes:
    """A member whose header has any size."""
    header = bytearray(tarfile.TarInfo(name).tobuf(tarfile.GNU_FORMAT))
    header[124:136] = field
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header[:512])
    return bytes(header)


def base256(number: int) -> bytes:
    return bytes([0xFF if number < 0 else 0x80]) + (number & ((1 << 88) - 1)).to_bytes(11, "big")


def long_name(size: int) -> bytes:
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, size
    return header.tobuf(tarfile.GNU_FORMAT)


def with_pax(**headers: str) -> bytes:
    entry = tarfile.TarInfo("m")
    entry.pax_headers = {key.replace("_", "."): value for key, value in headers.items()}
    return entry.tobuf(tarfile.PAX_FORMAT) + bytes(1024)


def many_in_a_zip(count: int) -> bytes:
    """A directory of so many members that are all the same one."""
    content = zipped({"a": b""})
    at, end = content.index(b"PK\1\2"), content.rindex(b"PK\5\6")
    # Of each its signature, the version that it takes, twice, and the length of its name.
    head = struct.pack("<IHH20xH16x", 0x02014B50, 20, 20, 8)
    entries = b"".join(head + b"%08d" % i for i in range(count))
    there = content[at:end] + entries
    end64 = struct.pack("<IQHHIIQQQQ", 0x06064B50, 44, 45, 45, 0, 0, count + 2, count + 2, len(there), at)
    where = struct.pack("<IIQI", 0x07064B50, 0, at + len(there), 1)
    last = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    return content[:at] + there + end64 + where + last


SOUND = tarred({"a": b"content"})[:1536]  # without the zeros behind

HOSTILE: dict[str, Callable[[], bytes]] = {
    **{f"size {n}": lambda n=n: SOUND + with_size(base256(n)) + bytes(1024) for n in (-512, -2048, -1)},  # type: ignore[misc]
    "size 2**80": lambda: SOUND + with_size(base256(1 << 80)) + bytes(1024),
    "size of text": lambda: SOUND + with_size(b"-0000001000\0") + bytes(1024),
    "more than is there": lambda: SOUND + with_size(b"00000100000\0") + bytes(1024),
    "many members": lambda: b"".join(tarfile.TarInfo(str(i)).tobuf() for i in range(MEMBERS + 1)),
    "a long name": lambda: long_name(1 << 20) + b"a" * (1 << 20) + tarfile.TarInfo("x").tobuf(),
    "a longer name than is there": lambda: long_name(1 << 12) + b"a" * 512,
    "a name of 2 kB": lambda: tarred({"n" * 2000: b""}),
    "a negative size in pax": lambda: with_pax(size="-512"),
    "a huge size in pax": lambda: with_pax(size="1" + "0" * 30),
    "a size of text in pax": lambda: with_pax(size="abc"),
    "holes": lambda: with_pax(GNU_sparse_map="0,zz", GNU_sparse_major="9" * 5000),
    "a damaged header": lambda: SOUND + b"x" * 512,
    "no tar": lambda: b"<html>" * 200,
    "truncated tar": lambda: tarred(FILES)[:-800_000],
    "nothing": lambda: b"",
    "many in a zip": lambda: many_in_a_zip(MEMBERS + 1),
    "very many in a zip": lambda: many_in_a_zip(100_000),
    "truncated zip": lambda: zipped(FILES)[:-30],
    "a name of 2 kB in a zip": lambda: zipped({"n" * 2000: b""}),
    "another packing": lambda: zipped(FILES, zipfile.ZIP_LZMA),
    "no zip": lambda: b"PK" + b"<html>" * 200,
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_archives(name: str) -> None:
    content = HOSTILE[name]()
    with pytest.raises(DAMAGED) as caught:
        for _ in members(content):
            pass
    assert not isinstance(caught.value, (OSError, zlib.error)) or name == "nothing"


def test_an_archive_without_an_end() -> None:
    assert [name for name, _, _ in members(SOUND)] == ["folder", "a"]
