"""Names that clients give their photos: they are shown and given back, and never lead to a file."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from urllib.parse import quote

_LONGEST = 150  # bytes: with what is added to it, every file system takes the name
_UNFIT = re.compile(r'[<>:"|?*]')  # what Windows takes in no name
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\.|$)")


def shown_name(name: str) -> str:
    """A photo's name as it is shown and given back: a path's last part, on one line, fit for any system.

    Example:
        >>> shown_name("../../etc/passwd"), shown_name(r"C:\\\\photos\\\\a<b>.jpg")
        ('passwd', 'a_b_.jpg')
    """
    last = re.split(r"[/\\]", name)[-1]
    # Control characters, lone surrogates, and signs that turn the direction of writing are left out.
    kept = "".join(sign for sign in last if unicodedata.category(sign) not in ("Cc", "Cf", "Cs", "Zl", "Zp"))
    fit = _UNFIT.sub("_", kept).strip().lstrip(".").rstrip(". ")
    if _RESERVED.match(fit):
        fit = f"_{fit}"
    stem, dot, suffix = fit.rpartition(".")
    if not dot or len(suffix.encode()) > 10:
        stem, dot, suffix = fit, "", ""
    room = _LONGEST - len((dot + suffix).encode())
    return (stem.encode()[:room].decode(errors="ignore") + dot + suffix) or "photo"


def told_apart(names: Iterable[str]) -> Iterator[str]:
    """Names of an archive's files: of equal ones, also in other capitals, the later get a number."""
    taken: set[str] = set()
    for name in names:
        stem, dot, suffix = name.rpartition(".")
        stem, suffix = (stem, dot + suffix) if dot else (name, "")
        number, free = 1, name
        while free.casefold() in taken:
            number += 1
            free = f"{stem}-{number}{suffix}"
        taken.add(free.casefold())
        yield free


def disposition(name: str) -> str:
    """The Content-Disposition of a file to be saved under a name (RFC 6266), in ASCII and beyond.

    Example:
        >>> disposition("Zoë.png")
        'attachment; filename="Zo_.png"; filename*=UTF-8\\'\\'Zo%C3%AB.png'
    """
    plain = re.sub(r'[^ -~]|["\\%]', "_", name)
    more = "" if plain == name else f"; filename*=UTF-8''{quote(name, safe='')}"
    return f'attachment; filename="{plain}"{more}'
