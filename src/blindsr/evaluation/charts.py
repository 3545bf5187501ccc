"""Plots as inline SVG: quality against time, and quality by degradation."""

from __future__ import annotations

import math
from collections.abc import Sequence

from blindsr.comparison.slider import shown
from blindsr.evaluation.metric_specs import MetricSpec
from blindsr.evaluation.summary import Mean, Table

_WIDTH, _HEIGHT = 520, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 24, 14, 44
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f", "#b8a200")
_CELL_WIDTH, _CELL_HEIGHT = 92, 26
_SIGN = 7.2  # width of a letter, pixels; a little more than most have


def scatter(table: Table, spec: MetricSpec) -> str:
    """Quality against time: a dot for each method, time on a logarithmic axis.

    Empty where fewer than two methods have both.
    """
    dots = [
        (title, mean.ms_per_megapixel, mean.scores[spec.name])
        for title, mean in table.total().items()
        if mean.ms_per_megapixel > 0 and math.isfinite(mean.scores.get(spec.name, math.inf))
    ]
    if len(dots) < 2:
        return ""
    low, step, high = round_axis([value for _, _, value in dots])
    decades = [math.log10(time) for _, time, _ in dots]
    first, last = math.floor(min(decades) - 0.05), math.ceil(max(decades) + 0.05)

    def across(time: float) -> float:
        return _LEFT + (math.log10(time) - first) / (last - first) * (_WIDTH - _LEFT - _RIGHT)

    def up(value: float) -> float:
        return _HEIGHT - _BOTTOM - (value - low) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)

    parts = []
    for i in range(round((high - low) / step) + 1):
        value, y = low + i * step, up(low + i * step)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(_text(_LEFT - 6, y + 4, f"{value:.{_decimals(step)}f}", "end"))
    for decade in range(first, last + 1):
        x = across(10.0**decade)
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}"/>')
        parts.append(_text(x, _HEIGHT - _BOTTOM + 16, f"{10.0**decade:g}", "middle"))
    corner = f"M{_LEFT} {_TOP}V{_HEIGHT - _BOTTOM}H{_WIDTH - _RIGHT}"
    parts.append(f'<path class="axis" d="{corner}"/>')
    parts.append(_text((_LEFT + _WIDTH) / 2, _HEIGHT - 8, "ms for a megapixel of output", "middle"))
    taken = [(across(time) - 6, up(value) + 4, 12.0) for _, time, value in dots]
    for i, (title, time, value) in enumerate(dots):
        x, y, colour = across(time), up(value), _COLOURS[i % len(_COLOURS)]
        name = f"{title}: {spec.write(value)}, {time:.0f} ms"
        parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{colour}"><title>{shown(name)}</title></circle>'
        )
        parts.append(_label(title, x, y, taken))
    return _svg(_WIDTH, _HEIGHT, f"{spec.title} against time on {table.benchmark}", parts)


def heat_map(table: Table, spec: MetricSpec) -> str:
    """Quality by degradation: a row each, a column for each method, the better the darker in its row.

    Empty where there are not two methods to compare.
    """
    rows = {
        title: {name: mean for name, mean in row.items() if spec.name in mean.scores}
        for title, row in table.rows.items()
    }
    if len(table.methods) < 2 or not any(rows.values()):
        return ""
    left = max(60.0, 12 + _SIGN * max(map(len, rows)))
    slant = 18 + 0.62 * _SIGN * max(map(len, table.methods))
    parts = []
    for column, title in enumerate(table.methods):
        x = left + (column + 0.5) * _CELL_WIDTH
        place = f"translate({x - 18:.1f} {slant - 6:.1f}) rotate(-38)"
        parts.append(f'<g transform="{place}">{_text(0, 0, title, "start")}</g>')
    for index, (title, row) in enumerate(rows.items()):
        y = slant + index * _CELL_HEIGHT
        parts.append(_text(left - 8, y + 17, title, "end"))
        for column, name in enumerate(table.methods):
            parts += _cell(row, name, spec, left + column * _CELL_WIDTH, y)
    width = left + _CELL_WIDTH * len(table.methods) + 0.8 * slant
    title = f"{spec.title} by degradation on {table.benchmark}"
    return _svg(width, slant + _CELL_HEIGHT * len(rows) + 4, title, parts)


def round_axis(values: Sequence[float]) -> tuple[float, float, float]:
    """A round lowest value, step and highest value of an axis that holds the values with some room.

    Args:
        values: One or more, finite.
    """
    low, high = min(values), max(values)
    room = (high - low) * 0.08 or abs(high) * 0.05 or 1.0
    low, high = low - room, high + room
    rough = (high - low) / 5
    magnitude = 10.0 ** math.floor(math.log10(rough))
    step = next(factor for factor in (1, 2, 5, 10) if factor * magnitude >= rough) * magnitude
    return math.floor(low / step) * step, step, math.ceil(high / step) * step


def _cell(row: dict[str, Mean], name: str, spec: MetricSpec, x: float, y: float) -> list[str]:
    """One field of a heat map: how far from the worst to the best of its row."""
    if name not in row:
        return [_text(x + _CELL_WIDTH / 2, y + 17, "-", "middle")]
    values = [mean.scores[spec.name] for mean in row.values()]
    finite = [value for value in values if math.isfinite(value)]
    value = row[name].scores[spec.name]
    spread = max(finite) - min(finite) if finite else 0.0
    part = (value - min(finite)) / spread if spread > 0 and math.isfinite(value) else 1.0
    part = part if spec.higher_is_better else 1 - part
    # From a pale to a deep blue; the text turns white where black could no longer be read.
    light, dark = (240, 246, 252), (8, 81, 156)
    colour = ",".join(f"{a + (b - a) * part:.0f}" for a, b in zip(light, dark, strict=True))
    kind = "on-dark" if part > 0.5 else "on-cell"
    return [
        f'<rect x="{x + 1:.1f}" y="{y + 1:.1f}" width="{_CELL_WIDTH - 2}" height="{_CELL_HEIGHT - 2}" '
        f'fill="rgb({colour})"/>',
        _text(x + _CELL_WIDTH / 2, y + 17, spec.write(value), "middle", kind),
    ]


def _label(title: str, x: float, y: float, taken: list[tuple[float, float, float]]) -> str:
    """A dot's name beside it, moved down as far as others are in the way; then a line leads to it."""
    width = _SIGN * len(title)
    end = x + 9 + width > _WIDTH - _RIGHT
    left, top = (x - 9 - width if end else x + 9), y + 4
    for other_left, other_top, other_width in sorted(taken, key=lambda place: place[1]):
        apart = left > other_left + other_width or other_left > left + width
        if not apart and abs(top - other_top) < 13:
            top = other_top + 13
    taken.append((left, top, width))
    at = x - 9 if end else x + 9
    leader = ""
    if top > y + 4:
        leader = f'<line class="leader" x1="{x:.1f}" y1="{y:.1f}" x2="{at:.1f}" y2="{top - 4:.1f}"/>'
    return leader + _text(at, top, title, "end" if end else "start")


def _text(x: float, y: float, text: str, anchor: str, kind: str = "") -> str:
    style = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{style}>{shown(text)}</text>'


def _svg(width: float, height: float, title: str, parts: Sequence[str]) -> str:
    return (
        f'<svg role="img" aria-label="{shown(title)}" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}">{"".join(parts)}</svg>'
    )


def _decimals(step: float) -> int:
    """Decimal places that a multiple of a step needs."""
    return max(0, -math.floor(math.log10(step) + 1e-9))
