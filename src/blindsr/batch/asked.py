"""What a user asks of results, in options of a command or in the columns of a list."""

from __future__ import annotations

from pathlib import Path

from blindsr.errors import InputError
from blindsr.picture.formats import FORMATS, WRITABLE
from blindsr.picture.sizing import OutputSize

__all__ = ["read_format", "read_size"]


def read_size(
    scale: float | None = None,
    width: int | None = None,
    height: int | None = None,
    fit: str | None = None,
    print_size: str | None = None,
) -> tuple[OutputSize | None, float | None]:
    """The size asked for, and a print's resolution.

    Args:
        scale: As in `OutputSize`, like the next two.
        width: As there.
        height: As there.
        fit: As in `OutputSize.parse_fit`.
        print_size: As in `OutputSize.parse_print`.

    Returns:
        None for the model's own size; and the pixels per inch of a print, else None.

    Raises:
        InputError: Several are given, or one is no size.

    Example:
        >>> read_size(fit="3840x2160")
        (OutputSize(fit=(3840, 2160)), None)
    """
    given = {"--scale": scale, "--width": width, "--height": height, "--fit": fit, "--print": print_size}
    names = [name for name, value in given.items() if value is not None]
    if not names:
        return None, None
    if len(names) > 1:
        raise InputError(f"{' and '.join(names)}: give only one of {', '.join(given)}")
    if print_size is not None:
        return OutputSize.parse_print(print_size)
    if fit is not None:
        return OutputSize.parse_fit(fit), None
    return OutputSize(scale=scale, width=width, height=height), None


def read_format(name: str | None, quality: int | None = None, out: Path | None = None) -> str | None:
    """The name in `FORMATS` that was meant; one that cannot be is refused, before anything is read.

    Args:
        name: As a format is named, or as its files end: "jpeg", "JPG", ".jpg"; None for each photo's own.
        quality: Of the results, which a format that loses nothing has not.
        out: Where the results go; None where that says nothing of a format.

    Raises:
        InputError: There is no such format, or the three contradict each other.

    Example:
        >>> read_format(".JPG")
        'jpeg'
    """
    if name is None:
        return None
    suffix = f".{name.lower().removeprefix('.')}"
    found = next((one for one, format_ in FORMATS.items() if suffix in (f".{one}", *format_.suffixes)), None)
    if found is None:
        raise InputError(f"format {name!r}: give one of {', '.join(FORMATS)}")
    if quality is not None and not FORMATS[found].lossy:
        raise InputError(f"--quality: {found} loses nothing, so it takes no quality; leave it out")
    others = set(WRITABLE) - set(FORMATS[found].suffixes)
    if out is not None and not out.is_dir() and out.suffix.lower() in others:
        raise InputError(f"-o {out} and --format {name} contradict each other; give one of them")
    return found
