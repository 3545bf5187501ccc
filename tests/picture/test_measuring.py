"""The size of a photo by its header alone: that of its samples, in every format, within the same limits."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from blindsr.errors import InputError
from blindsr.picture import FORMATS, Limits, write
from blindsr.picture.limits import TooLargeError
from blindsr.picture.measuring import measure_photo

from ..conftest import made_photo


@pytest.mark.parametrize(
    "suffix", sorted({one.suffixes[0] for one in FORMATS.values()} | {".gif", ".ppm", ".pgm"})
)
def test_every_format(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    if suffix in (".gif", ".ppm", ".pgm"):
        Image.fromarray(made_photo(30, 50)).convert("L").save(path)
    else:
        write(made_photo(30, 50), path)
    assert measure_photo(path) == (50, 30)
    with pytest.raises(TooLargeError, match="50x30 is more than"):
        measure_photo(path, Limits(pixels=1499))
    assert measure_photo(path, Limits(pixels=1500)) == (50, 30)


def test_rare_files(tmp_path: Path) -> None:
    (tmp_path / "wide.ppm").write_bytes(b"P6 7 5 65535\n" + bytes(7 * 5 * 6))
    (tmp_path / "float.pfm").write_bytes(b"Pf\n7 5\n-1.0\n" + bytes(7 * 5 * 4))
    assert measure_photo(tmp_path / "wide.ppm") == measure_photo(tmp_path / "float.pfm") == (7, 5)
    tifffile = pytest.importorskip("tifffile")
    tifffile.imwrite(tmp_path / "double.tif", made_photo(5, 7).astype("f8") / 255)
    assert measure_photo(tmp_path / "double.tif") == (7, 5)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no photo at all",
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff",
        b"BM",
        b"P6",
        b"P7\n",
        b"II*\0",
        b"GIF89a",
    ],
)
def test_what_has_no_header(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.png: ") as told:
        measure_photo(path)
    assert "\n" not in str(told.value)


def test_what_is_no_file(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing.png"):
        with pytest.raises(InputError, match="cannot be read"):
            measure_photo(path)
