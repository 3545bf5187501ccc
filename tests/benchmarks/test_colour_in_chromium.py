"""Photos and their results side by side in a real Chromium: colours look the same before and after.

Chromium goes by profiles, by cICP, gAMA and nclx, and maps PQ and HLG to what its screen can show, all by
code that has nothing to do with ours. Its screen is sRGB here, whatever the machine's is.
"""

from __future__ import annotations

import base64
import io
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image
from skimage.color import deltaE_ciede2000, rgb2lab

from blindsr.picture import write
from blindsr.upscaling.upscaler import Upscaler

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")]

MEAN, WORST = 1.0, 3.0
"""dE2000 of a patch's mean: 1 is what an eye just sees of two patches that touch. What is allowed is what
the network itself does to flat colours (0.4 in sRGB), more where a level of the screen is a large step.
"""

CHARTS = (
    *("Display P3, profile .png", "Display P3, nclx .avif", "Adobe RGB .jpg"),
    *(
        "gray, gamma 1.8, profile .png",
        "gray, gamma 1.8, gAMA .png",
        "gamma 1.8, gAMA .png",
        "linear, cICP .png",
    ),
    *("BT.2020 PQ, cICP .png", "BT.2020 PQ, nclx, 10 bit .avif"),
    *("BT.2020 HLG, cICP .png", "BT.2020 HLG, nclx, 10 bit .avif"),
)
RESULTS = (".png", ".jpg", ".webp", ".avif")
TYPES = {".png": "image/png", ".jpg": "image/jpeg", ".webp": "image/webp", ".avif": "image/avif"}
SIDE, EDGE = 128, 16  # pixels of a patch on the screen, and what is left out of its inside

Patches = Any


@pytest.fixture(scope="module")
def colour(benchmark: Callable[[str], ModuleType]) -> ModuleType:
    return benchmark("colour")


@pytest.fixture(scope="module")
def page() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        # As root it has no sandbox; what it is shown here is our own files.
        options = ["--no-sandbox", "--force-color-profile=srgb"]
        browser = started.chromium.launch(executable_path=CHROMIUM, args=options)
        yield browser.new_page(viewport={"width": 6 * SIDE, "height": 4 * SIDE})
        browser.close()


def shown(page: Any, suffix: str, content: bytes) -> Patches:
    """CIELAB of the means of the chart's patches on the screen, (4, 6, 3)."""
    source = f"data:{TYPES[suffix]};base64,{base64.b64encode(content).decode()}"
    style = f"display:block;width:{6 * SIDE}px;height:{4 * SIDE}px;image-rendering:pixelated"
    page.set_content(f'<body style="margin:0"><img style="{style}" src="{source}">')
    page.wait_for_function("document.images[0].complete")
    assert page.evaluate("document.images[0].naturalWidth") > 0, "Chromium reads it"
    with Image.open(io.BytesIO(page.screenshot())) as image:
        pixels = np.asarray(image.convert("RGB")) / 255
    inside = pixels.reshape(4, SIDE, 6, SIDE, 3)[:, EDGE:-EDGE, :, EDGE:-EDGE]
    return rgb2lab(inside.mean(axis=(1, 3)))


@pytest.mark.parametrize("name", CHARTS)
def test_colours_look_the_same_in_a_browser(colour: ModuleType, page: Any, tmp_path: Path, name: str) -> None:
    chart = next(one for one in colour.charts() if f"{one.name} {one.suffix}" == name)
    source = tmp_path / f"chart{chart.suffix}"
    chart.write(source)
    before = shown(page, chart.suffix, source.read_bytes())
    restored = Upscaler(texture=0.0, threads=1).upscale(source)
    for suffix in RESULTS:
        target = tmp_path / f"result{suffix}"
        write(restored, target)
        distance = deltaE_ciede2000(before, shown(page, suffix, target.read_bytes()))
        assert distance.mean() < MEAN and distance.max() < WORST, (suffix, distance.mean(), distance.max())


@pytest.mark.parametrize(
    ("name", "told"), [("Display P3, nclx .avif", b"nclx"), ("BT.2020 PQ, cICP .png", b"cICP")]
)
def test_colours_that_are_not_told_would_be_seen(
    colour: ModuleType, page: Any, tmp_path: Path, name: str, told: bytes
) -> None:
    """The bounds above are no wider than what a lost word about the colours costs."""
    chart = next(one for one in colour.charts() if f"{one.name} {one.suffix}" == name)
    source = tmp_path / f"chart{chart.suffix}"
    chart.write(source)
    content = source.read_bytes()
    silent = re.sub(re.escape(told), told[:3] + b"z", content)
    if chart.suffix == ".png":  # the chunk goes, its checksum would not be right
        at = content.index(told) - 4
        silent = content[:at] + content[at + 12 + int.from_bytes(content[at : at + 4], "big") :]
    distance = deltaE_ciede2000(*(shown(page, chart.suffix, one) for one in (content, silent)))
    assert distance.mean() > MEAN and distance.max() > WORST
