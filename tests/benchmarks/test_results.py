"""The comparisons of docs/results/quality.md: measured, resumed, and written between their lines alone."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from blindsr.engine.openvino import compile_graph
from blindsr.errors import InputError

from ..conftest import MakeModel, made_photo, save_photos

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def results() -> ModuleType:
    """benchmarks/results.py, which lies outside the package."""
    folder = ROOT / "benchmarks"
    sys.path.insert(0, str(folder))
    try:
        spec = importlib.util.spec_from_file_location("results", folder / "results.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["results"] = module
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(folder))
    return module


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two pictures of Set5 and two photos without ground truth."""
    for place in ("data/Set5/HR", "data/RealSRSet"):
        save_photos(tmp_path / place, 2, 48, 56)
    return tmp_path / "data"


def test_measured_resumed_and_written(
    results: ModuleType,
    data: Path,
    make_model: MakeModel,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    peers, out, page = tmp_path / "peers", tmp_path / "out", tmp_path / "page.md"
    peers.mkdir()
    (peers / "damaged.onnx").write_bytes(b"no graph")
    model = f"tiny={make_model()}"

    def measure() -> None:
        results.measure([model], ["set5"], data, peers, tmp_path, out, 1, None, memory=False)

    measure()
    said = capsys.readouterr().err
    assert "[1/1] set5: begins" in said and "[1/1] set5: done" in said
    content = json.loads((out / "set5.json").read_text(encoding="utf-8"))
    assert len(content["pictures"]) == 2 * 2 * len(results.MADE)  # two models, two pictures
    assert list(content["absent"]) == ["damaged"]
    # As if it had been killed in the middle: what is known is not restored again, and the rest is.
    lines = (out / "records.jsonl").read_bytes().splitlines(keepends=True)
    (out / "records.jsonl").write_bytes(b"".join(lines[:7]) + lines[7][:30])
    (out / "set5.json").unlink()
    measure()
    again = json.loads((out / "set5.json").read_text(encoding="utf-8"))
    scores = [[p["scores"] for p in found["pictures"]] for found in (content, again)]
    assert scores[0] == scores[1]
    assert [p["seconds"] for p in again["pictures"][:7]] == [p["seconds"] for p in content["pictures"][:7]]

    page.write_text(
        "# Mine\n\n<!-- generated: set5 -->\nold\n<!-- end: set5 -->\n\nby hand \\1\n\n"
        "<!-- generated: published -->\n<!-- end: published -->\n"
    )
    results.write(out, page)
    text = page.read_text(encoding="utf-8")
    assert text.startswith("# Mine\n\n<!-- generated: set5 -->\n\n**Set5 x4**, PSNR (dB) / SSIM; Y of BT.601")
    assert "old" not in text and "\n\nby hand \\1\n\n" in text and "arXiv 2104.00416" in text
    header, _, *rows = [line for line in text.split("by hand")[0].splitlines() if line.startswith("|")]
    assert header == f"| | bicubic | {' | '.join(results.MADE[1:])} | mean | ms / MP |"
    assert [row.split(" | ")[0] for row in rows] == ["| bicubic", "| tiny"]
    assert "Took no part: damaged (damaged.onnx: " in text and str(tmp_path) not in text
    results.write(out, page)
    assert page.read_text(encoding="utf-8") == text
    assert results.brief("/my photos/and more/a b.onnx: no graph, see /e/f") == "a b.onnx: no graph, see f"


@pytest.mark.slow
def test_imdn_runs_as_a_graph_whatever_the_size(results: ModuleType, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        imdn = importlib.import_module("imdn")
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))
    torch.manual_seed(0)
    network = imdn.IMDN().eval()
    assert sum(p.numel() for p in network.parameters()) == 715_176  # as the paper's table has it: 715 K
    torch.save({f"module.{k}": v for k, v in network.state_dict().items()}, tmp_path / "imdn.pth")
    imdn.write_imdn(tmp_path / "imdn.pth", tmp_path / "new" / "imdn.onnx")
    lr = np.ascontiguousarray(made_photo(30, 21, 0).transpose(2, 0, 1)[None], np.float32) / 255
    (restored,) = compile_graph(tmp_path / "new" / "imdn.onnx", 1)({"lr": lr})  # type: ignore[dict-item]
    with torch.inference_mode():
        np.testing.assert_allclose(restored, network(torch.from_numpy(lr)).numpy(), atol=1e-4)


def test_the_page_of_the_project_has_a_place_for_every_section(results: ModuleType) -> None:
    text = results.PAGE.read_text(encoding="utf-8")
    places = re.findall(r"<!-- generated: ([\w-]+) -->", text)
    assert sorted(places) == sorted([*results.SECTIONS, "published"])
    published = "\n\n".join(map(results.as_markdown, results.PUBLISHED))
    assert published in text  # the page is as the command writes it


def test_a_page_without_places_is_refused(results: ModuleType) -> None:
    with pytest.raises(InputError, match="no line such as <!-- generated: set5 -->"):
        results.insert("# Page\n", {"set5": "table"}, "page.md")
    with pytest.raises(InputError, match="without <!-- end: set5 -->"):
        results.insert("<!-- generated: set5 -->\n", {"set5": "table"}, "page.md")


def test_progress_is_a_line_now_and_then(results: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    from blindsr.evaluation.runner import Result

    now = [0.0]
    progress = results.Progress(lambda: now[0])
    progress.begin("[1/2] set5")
    progress.total = 30
    for _ in range(30):
        now[0] += 1
        progress.result(Result("Set5", "noise=15", "baby", "bicubic"))
    assert capsys.readouterr().err.splitlines() == [
        "[1/2] set5: begins (0.0 min)",
        *(f"[1/2] set5: {n} of 30: noise=15, baby, bicubic ({n / 60:.1f} min)" for n in (10, 20, 30)),
    ]
