"""The report: every photo in a Parquet file, sums on a page that loads nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from blindsr.cluster.items import Ended
from blindsr.cluster.report import Totals, page_of, write_report
from blindsr.cluster.restoring import Restoring
from blindsr.cluster.runs import Record, Run, state_of
from blindsr.cluster.stores import open_store

SECONDS = {"pull": 0.25, "decode": 0.5, "restore": 2.0, "encode": 0.5, "push": 0.25}


def ends() -> list[Ended]:
    done = [
        Ended(
            f"{i}",
            f"s3://in/{i}.jpg",
            f"{i}.png",
            output_size=(2000, 1000),
            seconds=SECONDS,
            node=f"n{i % 2}",
        )
        for i in range(4)
    ]
    bad = [
        Ended(f"5{i}", "<b>\u202e.jpg", status="failed", error=f"<script>{i}", kind="crash")
        for i in range(30)
    ]
    return [*done, *bad, Ended("9", "\udcff", status="failed", error="x", kind="photo")]


def test_sums_and_rows(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    out = open_store(str(tmp_path))
    run = Run(state_of(out), 1)
    run.write_kept(0, ends()[:2])
    Record(run, 0, "a").add(ends()[2:])
    page = write_report(run, out, Restoring(model="<tiny>"))
    assert page == str(tmp_path / ".blindsr-cluster" / "report.html")
    rows = parquet.read_table(Path(page).with_suffix(".parquet")).to_pylist()
    assert len(rows) == 35 and rows[0]["source"] == "s3://in/0.jpg" and rows[0]["output_width"] == 2000
    assert rows[0]["seconds_restore"] == 2.0 and rows[-1]["input_width"] is None
    text = Path(page).read_text(encoding="utf-8")
    for told in (
        "<td>31</td>",
        "30: it ended the process",
        "and 10 more",
        "&lt;tiny&gt;",
        "<td>restore</td><td>8.0</td>",
    ):
        assert told in text, told
    # Four megapixels in two photos of three seconds in work each.
    assert "<td>n0</td><td>2</td><td>4.0</td><td>0.67</td>" in text
    assert "<script>0" not in text and "\u202e" not in text and "http" not in text.replace("http-equiv", "")


def test_nothing_was_done() -> None:
    assert "<h2>Errors" not in page_of(Totals(), Restoring(model="tiny"), "s3://out")
