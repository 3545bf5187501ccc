"""Model cards of strangers: what is beyond all bounds is one line, and none commands a terminal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from blindsr.errors import ModelError
from blindsr.models.catalogue import find_model

from ..conftest import MakeModel, Run

BIG = 10**400
LONG = "x" * 1_000_000
SUPPORT = {"patch": 12, "count": 6, "fixed_count": False}

HOSTILE: list[dict[str, Any]] = [
    {"scale": 10**9}, {"scale": BIG}, {"scale": 0}, {"scale": -4}, {"scale": True}, {"scale": 4.0},
    {"halo": -1}, {"halo": BIG}, {"pixel_range": BIG}, {"pixel_range": -1}, {"pixel_range": 1e300},
    {"tile_memory": 0}, {"tile_memory": BIG}, {"tile_memory": -1}, {"tile_memory": 10**12},
    {"multiple": BIG}, {"multiple": 0}, {"texture": BIG}, {"texture": -0.1}, {"texture": True},
    {"support": SUPPORT | {"patch": 10**9}}, {"support": SUPPORT | {"patch": BIG}},
    {"support": SUPPORT | {"count": 10**9}},
    {"support": SUPPORT | {"count": 10**9, "fixed_count": True}},
    {"support": SUPPORT | {"x": 1}}, {"support": SUPPORT | {"patch": "12"}}, {"support": None},
    {"modulation_size": 10**12}, {"modulation_size": BIG}, {"modulation_size": 0},
    {"condition_size": 10**12},
    {"name": LONG}, {"description": LONG}, {"licence": LONG}, {"name": 5}, {LONG: 1}, {"\x1b[31mred": 1},
    {"files": []}, {"files": {}}, {"files": {"base": None}}, {"files": {LONG: {}}},
    {"files": {"base": {"path": LONG, "sha256": "0" * 64}}},
    {"files": {"base": {"path": "a", "sha256": LONG}}},
    {"files": {"base": {"path": "../a", "sha256": "0" * 64}}},
]  # fmt: skip


def with_entries(model: Path, entries: dict[str, Any]) -> Path:
    card = json.loads((model / "card.json").read_text(encoding="utf-8"))
    (model / "card.json").write_text(json.dumps(card | entries), encoding="utf-8")
    return model


@pytest.mark.parametrize("entries", HOSTILE, ids=lambda entries: f"{next(iter(entries))!r:.20}")
def test_values_beyond_all_bounds(make_model: MakeModel, run: Run, entries: dict[str, Any]) -> None:
    model = with_entries(make_model(), entries)
    with pytest.raises(ModelError, match=r"card\.json: ") as caught:
        find_model(model)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600


@pytest.mark.parametrize(
    "content",
    [
        "", "[1]", "x", '{"name":' * 100_000, "[" * 200_000, '{"scale":' + "9" * 5000 + "}", '{"scale": NaN}',
        '{"scale": 1e999}', " " * (5 << 20) + "{}", "\x00",
    ],
    ids=lambda content: f"{content!r:.20}",
)  # fmt: skip
def test_what_is_no_card(make_model: MakeModel, content: str) -> None:
    model = make_model()
    (model / "card.json").write_text(content)
    with pytest.raises(ModelError, match=r"card\.json: ") as caught:
        find_model(model)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600


def test_the_list_of_models_is_fit_for_a_terminal(
    make_model: MakeModel, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = {"description": "[link=http://x]x[/link]\x1b]0;t\x07\u202e", "licence": "\x1b[2J[bold]"}
    places = [
        with_entries(make_model("plain"), texts | {"name": "\x1b[31m"}),
        with_entries(make_model("[red]na\x1b[31mme\n"), {}),
        with_entries(make_model("faulty\x1b[31m"), {"pixel_range": BIG}),
    ]
    monkeypatch.setenv("BLINDSR_MODELS", ":".join(map(str, places)))
    monkeypatch.setenv("COLUMNS", "300")
    code, out, error = run("models")
    assert code == 0 and "plain" in out and "cmdsr-x4" in out and "faulty" in error
    assert "\x1b" not in out + error and "\u202e" not in out and "\x07" not in out
    assert "[link=http://x]" in out and "[red]na" in out and "[bold]" in out
