"""Put a built site beside those of other versions: `python docs/site/publish.py build/docs public`.

`public/VERSION/` becomes the site, `public/versions.json` lists what is there, the newest first, and
`public/index.html` leads to the newest. Any web server can serve `public` as it is.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

HOME = '<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url={0}/index.html">{0}\n'


def publish(built: Path, public: Path, version: str) -> list[str]:
    """Copy a built site to its place, and write the list of versions.

    Args:
        built: The folder that `make docs` made.
        public: The folder that a web server serves; made if it is not there.
        version: What the site is of, such as "0.2.0"; a site of the same version is replaced.

    Returns:
        The versions that are there now, the newest first.
    """
    if not (built / "index.html").is_file():
        raise SystemExit(f"publish: {built} holds no site; make it by: make docs")
    place = public / version
    if place.exists():
        shutil.rmtree(place)
    shutil.copytree(built, place, ignore=shutil.ignore_patterns(".doctrees", ".buildinfo*"))
    versions = sorted((f.parent.name for f in public.glob("*/index.html")), key=_in_order, reverse=True)
    (public / "versions.json").write_text(json.dumps(versions) + "\n", encoding="utf-8")
    (public / "index.html").write_text(HOME.format(versions[0]), encoding="utf-8")
    return versions


def _in_order(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))
    from blindsr.version import __version__

    sys.stdout.write(" ".join(publish(Path(sys.argv[1]), Path(sys.argv[2]), __version__)) + "\n")
