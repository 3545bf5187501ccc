"""An evaluation on one offline HTML page: tables, plots, and crops side by side."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from blindsr.comparison.embedding import Side, embed
from blindsr.comparison.slider import head, shown, tail
from blindsr.evaluation.charts import heat_map, scatter
from blindsr.evaluation.crops import CropFolder, Group
from blindsr.evaluation.summary import Table, costs, written

_ZOOMS = (1, 2, 4)


def page_of(tables: Sequence[Table], crop_folder: CropFolder | None = None) -> str:
    """The page's HTML: it holds everything it shows, and loads nothing.

    Args:
        tables: The means.
        crop_folder: The crops; None for a page without.

    Raises:
        InputError: A crop cannot be read.
    """
    script = _source("page.js")
    sections = [_section(table) for table in tables if table.methods]
    if crop_folder is not None and any(group.crops for group in crop_folder.groups):
        buttons = "".join(
            f'<button type="button" data-zoom="{zoom}" aria-pressed="{"true" if zoom == 1 else "false"}">'
            f"{100 * zoom} %</button> "
            for zoom in _ZOOMS
        )
        groups = "".join(_crops(group, crop_folder.side) for group in crop_folder.groups if group.crops)
        sections.append(
            f'<section><h2>Crops</h2><div class="zoom" role="group" aria-label="Zoom">{buttons}</div>'
            f"{groups}</section>\n"
        )
    return (
        head("Evaluation", [], script, _source("page.css"))
        + f"<h1>Evaluation</h1>\n<main>{''.join(sections)}</main>"
        + tail(script)
    )


def _section(table: Table) -> str:
    """One benchmark: its table and plots."""
    rows = dict(table.rows)
    if len(rows) > 1:
        rows["mean"] = table.total()
    names = "".join(f"<th>{shown(name)}</th>" for name in table.methods)
    body = []
    for title, row in rows.items():
        cells = "".join(f"<td>{written(table, row, name, ('<b>', '</b>'))}</td>" for name in table.methods)
        body.append(f"<tr><th>{shown(title)}</th>{cells}</tr>\n")
    for title, values in costs(table).items():
        body.append(f"<tr><th>{title}</th>{''.join(f'<td>{value}</td>' for value in values)}</tr>\n")
    plots = []
    for spec in table.specs:
        way = "higher" if spec.higher_is_better else "lower"
        for caption, svg in (
            (f"{spec.title} against time; {way} is better", scatter(table, spec)),
            (f"{spec.title} by degradation; in each row the best is darkest", heat_map(table, spec)),
        ):
            if svg:
                plots.append(f"<figure><figcaption>{shown(caption)}</figcaption>{svg}</figure>\n")
    specs = " / ".join(spec.title for spec in table.specs)
    return (
        f"<section><h2>{shown(table.benchmark)} x{table.scale}</h2>\n"
        f'<p class="convention">{shown(specs)}; {shown(table.convention)}</p>\n'
        f'<div class="wide"><table><thead><tr><th>degradation</th>{names}</tr></thead>\n'
        f"<tbody>{''.join(body)}</tbody></table></div>\n"
        f'<div class="plots">{"".join(plots)}</div></section>\n'
    )


def _crops(group: Group, side: int) -> str:
    """One picture: the same place by everyone."""
    figures = []
    for title, file in group.crops.items():
        crop = Side(file)
        uri = embed(crop.whole(crop.width, crop.height)).uri
        alt = f"{group.sample}, {title}"
        figures.append(
            f'<figure><img alt="{shown(alt)}" src="{uri}"><figcaption>{shown(title)}</figcaption></figure>\n'
        )
    return (
        f"<h3>{shown(group.benchmark)}, {shown(group.sample)}, {shown(group.degradation)}</h3>\n"
        f'<div class="crops" style="--side:{side}">{"".join(figures)}</div>\n'
    )


@cache
def _source(name: str) -> str:
    """Text of a style or a script of this folder."""
    return Path(__file__).with_name(name).read_text(encoding="utf-8")
