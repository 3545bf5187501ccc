"""Means, and the files that other programs read."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from blindsr.dataset.layouts import Sample
from blindsr.errors import InputError
from blindsr.evaluation.benchmarks import Benchmark
from blindsr.evaluation.charts import heat_map, round_axis, scatter
from blindsr.evaluation.crops import CropFolder
from blindsr.evaluation.metric_specs import find_metric_specs
from blindsr.evaluation.page import page_of
from blindsr.evaluation.runner import Cell, Result, cells_of
from blindsr.evaluation.summary import (
    Table,
    as_csv,
    as_json,
    as_markdown,
    as_standings,
    read_tables,
    tables_of,
)

from .conftest import save

METRIC_SPECS = find_metric_specs(["psnr", "ssim"])


@pytest.fixture
def cells() -> list[Cell]:
    benchmark = Benchmark("set", 2, [Sample("p", Path("p.png"), None), Sample("q", Path("q.png"), None)])
    return cells_of(benchmark, ["", "noise=5"])


@pytest.fixture
def results() -> list[Result]:
    found = []
    for task, loss in (("bicubic", 0.0), ("noise=5", 3.0)):
        for sample, decibels in (("p", 30.0), ("q", 32.0)):
            for title, gain in (("plain", 0.0), ("<b>&", 1.0)):
                scores = {"psnr": decibels + gain - loss, "ssim": 0.5 + gain / 10}
                found.append(Result("set", task, sample, title, 0.5 + gain, 1000, 500, scores))
    return found


@pytest.fixture
def tables(results: list[Result], cells: list[Cell]) -> list[Table]:
    return tables_of(results, cells, METRIC_SPECS)


def test_means_and_speed(tables: list[Table]) -> None:
    (table,) = tables
    mean = table.rows["noise=5"]["plain"]
    assert mean.scores == {"psnr": 28.0, "ssim": 0.5} and (mean.count, mean.failed) == (2, 0)
    assert mean.ms_per_megapixel == 1000  # a second for twice half a megapixel
    assert table.total()["<b>&"].scores["psnr"] == 30.5


def test_markdown(tables: list[Table]) -> None:
    assert as_markdown(tables).splitlines()[2:] == [
        "| degradation | plain | <b>& |",
        "|---|---|---|",
        "| bicubic | 31.00 / 0.5000 | **32.00** / **0.6000** |",
        "| noise=5 | 28.00 / 0.5000 | **29.00** / **0.6000** |",
        "| mean | 29.50 / 0.5000 | **30.50** / **0.6000** |",
        "| ms / MP | 1000 | 3000 |",
    ]


def test_failures_are_counted_and_win_nothing(results: list[Result], cells: list[Cell]) -> None:
    results[1] = Result("set", "bicubic", "p", "<b>&", error="q.png: damaged")
    text = as_markdown(tables_of(results, cells, METRIC_SPECS))
    assert "| bicubic | **31.00** / **0.5000** | 33.00 / 0.6000 (1 failed) |" in text


def test_csv_holds_every_picture(results: list[Result]) -> None:
    results[0] = Result("set", "bicubic", "p", "plain", error='a, "b"')
    rows = list(csv.DictReader(as_csv(results, METRIC_SPECS).splitlines()))
    assert len(rows) == 8 and rows[0]["error"] == 'a, "b"' and rows[0]["psnr"] == ""
    assert rows[1]["psnr"] == "31.0" and rows[1]["method"] == "<b>&"


def test_json_has_no_word_for_infinity(results: list[Result], cells: list[Cell]) -> None:
    results[0].scores["psnr"] = math.inf
    content = json.loads(as_json(results, tables_of(results, cells, METRIC_SPECS)))
    assert content["pictures"][0]["scores"]["psnr"] == "inf"
    assert content["benchmarks"][0]["rows"][1]["methods"]["plain"]["scores"]["psnr"] == 28.0


def test_plots_are_whole_and_say_what_they_show(tables: list[Table]) -> None:
    for spec in METRIC_SPECS:
        dots = ElementTree.fromstring(scatter(tables[0], spec))
        assert [title.text for title in dots.iter("title")] == [
            f"plain: {spec.write(29.5 if spec.name == 'psnr' else 0.5)}, 1000 ms",
            f"<b>&: {spec.write(30.5 if spec.name == 'psnr' else 0.6)}, 3000 ms",
        ]
        fields = ElementTree.fromstring(heat_map(tables[0], spec))
        assert len(list(fields.iter("rect"))) == 4
        # The better of two is the darkest, the worse the palest.
        assert [field.get("fill") for field in fields.iter("rect")] == [
            "rgb(240,246,252)",
            "rgb(8,81,156)",
        ] * 2


def test_a_name_that_had_to_move_is_led_to_its_dot(tables: list[Table]) -> None:
    (table,) = tables
    means = {name: replace(mean, ms_per_megapixel=900.0) for name, mean in table.total().items()}
    close = {
        name: replace(mean, scores={"psnr": 30 + 1e-4 * i, "ssim": 0.5})
        for i, (name, mean) in enumerate(means.items())
    }
    table.rows.clear()
    table.rows["bicubic"] = close
    dots = ElementTree.fromstring(scatter(table, METRIC_SPECS[1]))
    tops = {text.text: float(text.get("y", "nan")) for text in dots.iter("text")}
    assert abs(tops["plain"] - tops["<b>&"]) >= 13
    leaders = [line for line in dots.iter("line") if line.get("class") == "leader"]
    assert leaders and all(float(line.get("y2", "nan")) + 4 in tops.values() for line in leaders)


def test_rows_of_methods_and_back_from_json(results: list[Result], cells: list[Cell]) -> None:
    tables = tables_of(results, cells, METRIC_SPECS, {"plain": 250_000_000, "absent": 1})
    assert as_standings(tables[0]).splitlines()[2:] == [
        "| | bicubic | noise=5 | mean | ms / MP | peak MB |",
        "|---|---|---|---|---|---|",
        "| plain | 31.00 / 0.5000 | 28.00 / 0.5000 | 29.50 / 0.5000 | 1000 | 250 |",
        "| <b>& | **32.00** / **0.6000** | **29.00** / **0.6000** | **30.50** / **0.6000** | 3000 | - |",
    ]
    (back,) = read_tables(json.loads(as_json(results, tables)), "results.json")
    assert back.rows == tables[0].rows and as_standings(back) == as_standings(tables[0])
    with pytest.raises(InputError, match=r"results\.json: not the results of an evaluation"):
        read_tables({"format": "something else"}, "results.json")


def test_nothing_is_plotted_of_one_method(results: list[Result], cells: list[Cell]) -> None:
    (table,) = tables_of([r for r in results if r.method == "plain"], cells, METRIC_SPECS)
    assert scatter(table, METRIC_SPECS[0]) == heat_map(table, METRIC_SPECS[0]) == ""


@pytest.mark.parametrize("values", [[28.4, 31.9], [0.81, 0.8102], [0.0, 0.0], [-3.0, 5e4], [7.0]])
def test_an_axis_is_round_and_holds_its_values(values: list[float]) -> None:
    low, step, high = round_axis(values)
    assert low < min(values) and max(values) < high
    assert (high - low) / step == pytest.approx(round((high - low) / step)) and 2 <= (high - low) / step <= 8


def test_page_holds_all_and_loads_nothing(tables: list[Table], tmp_path: Path) -> None:
    crop_folder = CropFolder(tmp_path)
    group = crop_folder.begin("set", "bicubic", "<p>")
    group.crops["plain"] = save(tmp_path / "crop.png", 8, 8)
    page = page_of(tables, crop_folder)
    assert "&lt;b&gt;&amp;" in page and "&lt;p&gt;" in page and "<b>&" not in page
    assert page.count("<svg") == 4 and page.count('src="data:image/png;base64,') == 1
    assert "http" not in page.replace("http-equiv", "") and str(tmp_path) not in page
    assert "data-zoom" not in page_of(tables).split("<main>")[1].split("<script>")[0]
