"""WebP files that are damaged or cut short: what libwebp decodes before it must stop.

Libvips and Pillow give such a file up as a whole. The library that Pillow comes with can do better, through
its functions for files that arrive piece by piece.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, c_char_p, c_int, c_size_t, c_void_p
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

_GRAY = 127
_RGB, _RGBA = 0, 1  # WEBP_CSP_MODE
_SIGNATURES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "WebPINewRGB": (c_void_p, (c_int, c_void_p, c_size_t, c_int)),
    "WebPIUpdate": (c_int, (c_void_p, c_char_p, c_size_t)),
    "WebPIDecGetRGB": (c_void_p, (c_void_p, *[POINTER(c_int)] * 4)),
    "WebPIDelete": (None, (c_void_p,)),
}


def decoded(content: bytes, size: tuple[int, int], alpha: bool) -> NDArray[np.uint8]:
    """The rows of a still picture that can be decoded, (H, W, 3 or 4); the others are gray.

    Args:
        content: The file, as far as it is there.
        size: (width, height) that it tells and that was found not too large.
        alpha: Whether it has alpha.

    Raises:
        ValueError: No row can be.
    """
    library = _libwebp()
    if library is None:
        raise ValueError("Pillow's libwebp is not at hand")
    width, height = size
    levels = np.full((height, width, 3 + alpha), _GRAY, np.uint8)
    levels[:, :, 3:] = 255
    made = levels.copy()
    decoder = library.WebPINewRGB(
        _RGBA if alpha else _RGB, made.ctypes.data, made.nbytes, made.shape[2] * width
    )
    if not decoder:
        raise ValueError("libwebp cannot begin")
    rows, told = c_int(0), [c_int(0) for _ in range(3)]
    try:
        library.WebPIUpdate(decoder, content, len(content))
        found = library.WebPIDecGetRGB(decoder, *(ctypes.byref(one) for one in (rows, *told)))
    finally:
        library.WebPIDelete(decoder)
    if not found or rows.value < 1 or (told[0].value, told[1].value) != size:
        raise ValueError("not a row of it can be decoded")
    levels[: rows.value] = made[: rows.value]
    return levels


@cache
def _libwebp() -> Any:  # noqa: ANN401
    """Pillow's libwebp: what its own module is linked to is found through it, whatever its file's name."""
    try:
        from PIL import _webp

        library = ctypes.CDLL(_webp.__file__)
        for name, (result, arguments) in _SIGNATURES.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
    except (ImportError, OSError, AttributeError):
        return None
    return library
