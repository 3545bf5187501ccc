"""Model cards are read strictly, and faults name the file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from blindsr.errors import ModelError
from blindsr.models.card import read_card
from blindsr.models.catalogue import available_models, find_model, models_with_texture, place_of

from ..conftest import HALO, MakeModel


def edit(folder: Path, **changes: object) -> Path:
    card = json.loads((folder / "card.json").read_text())
    card.update(changes)
    (folder / "card.json").write_text(json.dumps({k: v for k, v in card.items() if v != "gone"}))
    return folder


def test_folder_and_card_are_both_paths(make_model: MakeModel) -> None:
    folder = make_model(scale=2)
    model = find_model(folder)
    assert (model.scale, model.halo, model.adaptive) == (2, HALO, True)
    assert model.support is not None and model.support.patch == 12
    assert model.file("base") == folder / "base.onnx"
    assert find_model(str(folder / "card.json")) == model


def test_not_adaptive(make_model: MakeModel) -> None:
    model = find_model(make_model(adaptive=False))
    assert model.support is None and model.modulation_size == 0
    with pytest.raises(ModelError, match="no 'condition' file"):
        model.file("condition")


def test_what_a_card_need_not_tell(make_model: MakeModel) -> None:
    plain = find_model(edit(make_model(), texture="gone", multiple="gone"))
    assert (plain.texture, plain.multiple) == (None, 1)
    model = find_model(make_model("views", texture=0, multiple=4))
    assert (model.texture, model.multiple) == (0.0, 4) and isinstance(model.texture, float)


def test_models_with_texture(make_model: MakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_model("views", texture=1.0)
    make_model("plain")
    edit(make_model("faulty", texture=1.0), halo="gone")
    monkeypatch.setenv("BLINDSR_MODELS", str(folder.parent))
    assert "views" in models_with_texture() and not {"plain", "faulty"} & set(models_with_texture())


def test_names_come_from_the_environment(make_model: MakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_model("sharp-x4")
    make_model("soft-x4", scale=2)
    monkeypatch.setenv("BLINDSR_MODELS", str(folder.parent))
    assert {"sharp-x4", "soft-x4"} <= set(available_models())
    assert find_model("soft-x4").scale == 2
    with pytest.raises(ModelError, match=r"sharpx4.*known: .*sharp-x4.*did you mean sharp-x4\?"):
        find_model("sharpx4")
    monkeypatch.setenv("BLINDSR_MODELS", str(folder))
    assert find_model("sharp-x4").scale == 4


def test_the_users_own_models(make_model: MakeModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """They come after those of BLINDSR_MODELS and before the shipped ones; what is hidden is none."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    own, shipped = tmp_path / "data" / "blindsr" / "models", next(iter(available_models()))
    for name in ("mine", "both", shipped, ".part"):
        own.mkdir(parents=True, exist_ok=True)
        make_model(name).rename(own / name)
    listed = make_model("both", scale=2).parent
    assert not (listed / shipped).exists()
    monkeypatch.setenv("BLINDSR_MODELS", str(listed))
    found = available_models()
    assert found["mine"] == own / "mine" and found["both"] == listed / "both"
    assert found[shipped] == own / shipped and ".part" not in found
    assert [place_of(found[name]) for name in ("both", "mine")] == ["BLINDSR_MODELS", "user"]
    assert "shipped" in map(place_of, found.values())


def test_a_place_that_may_not_be_looked_into(make_model: MakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_model("tiny")
    make_model("locked")
    is_file = Path.is_file

    def refuse(path: Path) -> bool:
        if "locked" in path.parts:
            raise PermissionError(13, "Permission denied", str(path))
        return is_file(path)

    monkeypatch.setattr(Path, "is_file", refuse)
    monkeypatch.setenv("BLINDSR_MODELS", os.pathsep.join(map(str, (folder.parent / "locked", folder.parent))))
    assert "tiny" in available_models() and "locked" not in available_models()


def test_every_shipped_card_is_sound() -> None:
    for name, folder in available_models().items():
        assert find_model(folder).name == name


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"halo": "gone"}, "'halo' is missing"),
        ({"scael": 4}, "unknown key 'scael'; did you mean 'scale'"),
        ({"scale": "4"}, "'scale' should be int, not '4'"),
        ({"scale": True}, "'scale' should be int"),
        ({"scale": 0}, "scale 0"),
        ({"halo": -1}, "halo -1"),
        ({"pixel_range": 100}, "pixel_range 100"),
        ({"texture": 1.5}, "texture 1.5 is not between 0 and 1"),
        ({"texture": float("nan")}, "NaN is no number"),
        ({"texture": True}, "'texture' should be int or float or null"),
        ({"multiple": 0}, "multiple 0"),
        ({"multiple": None}, "'multiple' should be int"),
        ({"support": None}, "needs 'support'"),
        ({"support": {"patch": 32, "count": 20}}, "'support.fixed_count' is missing"),
        ({"support": {"patch": 0, "count": 20, "fixed_count": False}}, "support.patch 0 is not between 1"),
        ({"modulation_size": None}, "positive modulation_size"),
        ({"files": {}}, "files has no 'base'"),
        ({"files": {"base": "base.onnx"}}, "files.base should be an object"),
        ({"files": {"bass": {"path": "base.onnx", "sha256": "0" * 64}}}, "unknown role 'bass'"),
        (
            {"files": {"base": {"path": "../base.onnx", "sha256": "0" * 64}}},
            "not a file in the model's folder",
        ),
        (
            {"files": {"base": {"path": "/etc/passwd", "sha256": "0" * 64}}},
            "not a file in the model's folder",
        ),
        ({"files": {"base": {"path": "base.onnx", "sha256": "zz"}}}, "not 64 hex digits"),
        ({"files": {"base": {"path": "base.onnx", "sha256": "0" * 64}}}, "damaged or replaced"),
        ({"files": {"base": {"path": "none.onnx", "sha256": "0" * 64}}}, "the model is incomplete"),
    ],
)
def test_faulty_card(make_model: MakeModel, changes: dict[str, Any], fault: str) -> None:
    folder = edit(make_model(), **changes)
    with pytest.raises(ModelError, match=fault) as caught:
        find_model(folder)
    assert str(folder) in str(caught.value) and "\n" not in str(caught.value)


def test_card_that_is_no_card(tmp_path: Path) -> None:
    card = tmp_path / "card.json"
    for content, fault in (("{", "not valid JSON"), ("[]", "JSON object"), ("\udcff", "not valid JSON")):
        card.write_bytes(content.encode("utf-8", "surrogateescape"))
        with pytest.raises(ModelError, match=fault):
            find_model(card)


def test_paths_that_are_no_models(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no card\.json"):
        find_model(tmp_path)
    with pytest.raises(ModelError, match="no such model folder"):
        find_model(tmp_path / "absent")
    for written in ("./absent", "shelf/absent", "~/absent", "absent.json"):
        with pytest.raises(ModelError, match="no such model folder"):
            find_model(written)
    with (
        mock.patch.object(Path, "is_file", side_effect=PermissionError(13, "Permission denied")),
        mock.patch("blindsr.models.catalogue.available_models", return_value={}),
        pytest.raises(ModelError, match=r"this folder cannot be read \(Permission denied\)"),
    ):
        find_model(tmp_path)
    checkpoint = tmp_path / "last.ckpt"
    checkpoint.touch()
    with pytest.raises(ModelError, match="blindsr export"):
        find_model(checkpoint)


def test_a_changed_file_is_noticed_unless_only_the_card_is_read(make_model: MakeModel) -> None:
    folder = make_model()
    with (folder / "base.onnx").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(ModelError, match=r"base\.onnx: damaged"):
        find_model(folder)
    assert read_card(folder / "card.json", verify=False).scale == 4
