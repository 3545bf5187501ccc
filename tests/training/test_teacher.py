"""A teacher beside the truth: what it is asked, whom it teaches, and that a run tells of it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from blindsr.checkpoint.reading import FORMAT, read_tensors
from blindsr.degradation import Degradation, TwoStage
from blindsr.degradation.damage import damage
from blindsr.errors import ConfigError, ModelError
from blindsr.export.graphs import _provenance
from blindsr.loss.criterion import Restored, Taught
from blindsr.loss.perceptual import Perceptual
from blindsr.loss.pixel import Pixel
from blindsr.loss.structural import Structural
from blindsr.network import build_network
from blindsr.training import Progress, load_config, train
from blindsr.training.checkpoint import with_teachers
from blindsr.training.config import TeacherSection
from blindsr.training.criteria import Declared
from blindsr.training.loop import RECIPES
from blindsr.training.teacher import Teacher

CPU = torch.device("cpu")
SPEC = {"cria": {"scale": 2, "channels": 4, "blocks": 1, "growth": 2, "projector": 0}}
CRITERIA = [
    {"name": "pixel", "stage": 1, "view": "structure", "teacher": 0.8},
    {"name": "perceptual", "weight": 0.1, "teacher": 0.5},
    {"name": "adversarial", "weight": 0.01},
]


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A tiny ESRGAN of random weights, in our layout."""
    torch.manual_seed(11)
    path = tmp_path / "large.ckpt"
    network = build_network(SPEC)
    torch.save({"format": FORMAT, "network": SPEC, "state": network.state_dict()}, path)
    return path


@pytest.fixture(params=["cria", "unified"])
def taught_file(request: pytest.FixtureRequest, weights: Path, tmp_path: Path) -> Path:
    """A tiny run with a teacher, on a pool, of each recipe that can have one."""
    path: Path = request.getfixturevalue(f"{request.param}_config_file")
    content: dict[str, Any] = yaml.safe_load(path.read_text())
    bare = {"blur_probability": 0, "noise_probability": 0}
    content["data"] |= {"degradations": ["real", "camera", bare], "group": 2, "pool": 8, "reuse": 1.5}
    content |= {"criteria": CRITERIA, "teacher": {"weights": str(weights)}}
    taught = tmp_path / "taught.yaml"
    taught.write_text(yaml.safe_dump(content))
    return taught


def recipe_of(path: Path, *settings: str) -> Any:
    config = load_config(path, list(settings))
    torch.manual_seed(0)
    recipe = RECIPES[config.recipe](config)
    recipe.load_data(CPU)
    return recipe


def test_its_share_rises_with_the_damage(weights: Path) -> None:
    teacher = Teacher(TeacherSection(weights=weights, clean=0.2, damaged=0.5), 2, CPU, False)
    tasks = [Degradation(2), Degradation(2, noise=4), Degradation(2, noise=50), TwoStage(2)]
    assert 0.2 < damage(tasks[1]) < 0.5
    assert teacher.shares(tasks) == [0, pytest.approx((damage(tasks[1]) - 0.2) / 0.3), 1, 0]


def test_a_pool_holds_what_the_teacher_makes_of_its_lr(taught_file: Path, weights: Path) -> None:
    recipe = recipe_of(taught_file)
    network = build_network(SPEC)
    network.load_state_dict(torch.load(weights, weights_only=True)["state"])
    dataset, pool = recipe.dataset(0), recipe._pool
    shares = []
    for step in (0, 4):
        recipe.prepare(dataset[step])
        for number in range(*dataset[step].kept):
            group = recipe._groups.crops(number)
            for i, task in enumerate(group.tasks):
                row = number % 4 * 2 + i
                share = min(1.0, max(0.0, (damage(task) - 0.1) / 0.5))
                assert float(pool._shares[row]) == pytest.approx(share)
                lr = pool._lr[row][pool.truths].float() / 255
                with torch.no_grad():
                    expected = network.restore(lr).clamp(0, 1) if share else pool._hr[row].float() / 255
                assert (pool._taught[row].float() / 255 - expected).abs().max() <= 0.51 / 255
                shares.append(share)
    assert min(shares) == 0 and max(shares) > 0.5


def test_what_is_taught_lies_where_the_truth_lies(taught_file: Path) -> None:
    recipe = recipe_of(taught_file)
    inputs = recipe.prepare(recipe.dataset(0)[2])
    recipe._pool._taught = recipe._pool._hr.clone()  # a teacher that knows
    recipe._pool._shares = torch.arange(8) / 8
    taught = recipe._taught(inputs)
    if "negatives" in inputs:
        _, hr = recipe.halves(inputs)  # (2T, m, 3, ...)
        assert torch.equal(taught.image, hr.flatten(0, 1))
        assert torch.equal(taught.share, recipe._pool._shares[inputs["picks"]].repeat(2))
    else:
        assert torch.equal(taught.image, recipe._images(inputs)[1])
        assert torch.equal(taught.share, recipe._pool._shares[inputs["picks"]])
    assert taught.image.shape[0] == taught.share.shape[0] == recipe.patches(recipe.stage(0, 0))


@pytest.mark.slow
def test_who_begins_from_taught_weights_has_been_taught(taught_file: Path, tmp_path: Path) -> None:
    state = tmp_path / "state.npz"
    train(load_config(taught_file, ["steps=1"]), tmp_path / "a", state=state)
    known = json.loads(state.with_suffix(".json").read_text())["teachers"]
    untaught = ["teacher=null", "steps=1", f"criteria={json.dumps([{**c, 'teacher': 0} for c in CRITERIA])}"]
    for init in (state, tmp_path / "a" / "weights.ckpt", tmp_path / "a" / "step-00000001.ckpt"):
        out, own = tmp_path / init.stem, tmp_path / f"{init.stem}-own.npz"
        train(load_config(taught_file, [*untaught, f"init={init}"]), out, state=own)
        assert json.loads(own.with_suffix(".json").read_text())["teachers"] == known
        assert read_tensors(out / "weights.ckpt")["teachers"] == known


def test_runs_of_a_strangers_state_may_be_anything() -> None:
    one = {"file": "a.pth", "sha256": "0"}
    assert with_teachers(["run", None, {}, {"teacher": one}, {"init_teachers": [one]}]) == {"teachers": [one]}  # type: ignore[list-item]
    assert with_teachers([{"init_teachers": "none"}, {"init_teachers": 3}]) == {}


@pytest.mark.parametrize("criterion", [Pixel(), Structural(), Perceptual()], ids=lambda c: type(c).__name__)
def test_each_photo_is_judged_by_its_own_share(criterion: Any) -> None:
    torch.manual_seed(0)
    view, truth, image = torch.rand(3, 3, 3, 16, 16)
    share = torch.tensor([0.0, 0.5, 1.0])

    def features(x: torch.Tensor) -> list[torch.Tensor]:
        return [x, x[:, :1, ::2]]

    made = Restored({"output": view}, truth, features=features, taught=Taught(image, share))
    declared = Declared("one", criterion, 1.0, "output", "attract", 2, teacher=0.8)
    expected = []
    for i, own in enumerate((0.8 * share).tolist()):
        one = slice(i, i + 1)
        alone = [
            criterion(Restored({"output": view[one]}, target[one], features=features), "output", "attract")
            for target in (truth, image)
        ]
        expected.append((1 - own) * alone[0] + own * alone[1])
    torch.testing.assert_close(declared.judge(made), torch.stack(expected).mean())
    untaught = Declared("one", criterion, 1.0, "output", "attract", 2)
    torch.testing.assert_close(untaught.judge(made), criterion(made, "output", "attract"))


@pytest.mark.slow
def test_a_taught_run_resumes_and_tells_of_its_teacher(
    taught_file: Path, weights: Path, tmp_path: Path
) -> None:
    state, whole = tmp_path / "state.npz", list[Progress]()
    train(load_config(taught_file, ["checkpoint_every=4"]), tmp_path / "a", report=whole.append, state=state)
    rest: list[Progress] = []
    resumed = tmp_path / "a" / "step-00000004.ckpt"
    train(load_config(taught_file), tmp_path / "b", resumed, rest.append)
    assert [p.losses for p in rest] == [p.losses for p in whole[4:]]
    known = [{"file": "large.ckpt", "sha256": hashlib.sha256(weights.read_bytes()).hexdigest()}]
    record = json.loads(state.with_suffix(".json").read_text())
    assert record["teachers"] == known and record["runs"][0]["teacher"] == known[0]
    assert record["configuration"]["teacher"]["weights"] == "large.ckpt"
    for name in ("a/weights.ckpt", "b/step-00000006.ckpt"):
        path = tmp_path / name
        assert _provenance(path, read_tensors(path))["teachers"] == known
    # A later run without one goes on from the state: it has still learned from that teacher.
    untaught = ["teacher=null", f"criteria={json.dumps([{**c, 'teacher': 0} for c in CRITERIA])}"]
    train(load_config(taught_file, untaught), tmp_path / "c", state=state)
    record = json.loads(state.with_suffix(".json").read_text())
    assert record["teachers"] == known and "teacher" not in record["runs"][1]
    path = tmp_path / "c" / "weights.ckpt"
    assert _provenance(path, read_tensors(path))["teachers"] == known


def test_what_it_made_is_read_again(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    section = TeacherSection(weights=weights, kept=tmp_path / "kept")
    lr = torch.randint(0, 256, (20, 3, 8, 8), dtype=torch.uint8)
    first = Teacher(section, 2, CPU, False)(lr)
    files = sorted((tmp_path / "kept").iterdir())
    assert first.shape == (20, 3, 16, 16) and len(files) == 2
    again = Teacher(section, 2, CPU, False)
    asked: list[int] = []
    restored = again._restored
    monkeypatch.setattr(again, "_restored", lambda x: asked.append(len(x)) or restored(x))
    assert torch.equal(again(lr), first) and not asked
    files[0].write_bytes(files[0].read_bytes()[:-1])  # cut short
    assert torch.equal(again(lr), first) and len(asked) == 1
    other = lr.clone()
    other[0, 0, 0, 0] += 1
    again(other)
    assert asked[1:] == [16]
    torch.manual_seed(1)
    network = {"format": FORMAT, "network": SPEC, "state": build_network(SPEC).state_dict()}
    torch.save(network, tmp_path / "another.ckpt")
    changed = Teacher(section.model_copy(update={"weights": tmp_path / "another.ckpt"}), 2, CPU, False)
    assert not torch.equal(changed(lr), first)


def test_the_teacher_does_not_learn(taught_file: Path, weights: Path) -> None:
    recipe = recipe_of(taught_file)
    assert all(not p.requires_grad for p in recipe._teacher._network.parameters())
    own = {id(p) for group in recipe.parameters.values() for p in group}
    assert not own & {id(p) for p in recipe._teacher._network.parameters()}
    inputs = recipe.prepare(recipe.dataset(0)[0])
    for loss, _ in recipe.losses(recipe.network, inputs, recipe.stage(4, 4)).objectives:
        loss.backward(retain_graph=True)
    assert (
        recipe._teacher._network.state_dict().keys() == torch.load(weights, weights_only=True)["state"].keys()
    )
    kept = torch.load(weights, weights_only=True)["state"]
    assert all(torch.equal(t, kept[name]) for name, t in recipe._teacher._network.state_dict().items())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["teacher=null"], "teacher: these criteria need one"),
        (["criteria=[{name: pixel, stage: 1}]"], "none follows the teacher"),
        (["criteria=[{name: pixel, stage: 1, teacher: 1.5}]"], "teacher of pixel is a number of 0 to 1"),
        (["criteria=[{name: pixel, stage: 1, teacher: true}]"], "teacher of pixel is a number of 0 to 1"),
        (["criteria=[{name: pixel, stage: 1}, {name: adversarial, teacher: 1}]"], "can follow no teacher"),
        (
            ["criteria=[{name: pixel, stage: 1}, {name: pixel, as: away, polarity: repel, teacher: 1}]"],
            "can follow no teacher",
        ),
        (["criteria=[{name: pixel, stage: 1, techer: 1}]"], "did you mean 'teacher'"),
        (["data.pool=0"], "teacher: needs a pool"),
        (["teacher.clean=0.6"], "clean 0.6 must be less than damaged 0.6"),
        (["teacher.weight=x"], "did you mean 'teacher.weights'"),
    ],
)
def test_a_wrong_configuration_is_one_clear_line(
    taught_file: Path, settings: list[str], message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        recipe_of(taught_file, *settings)
    assert "\n" not in str(caught.value)


def test_a_teacher_that_cannot_teach_is_refused(taught_file: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such file"):
        recipe_of(taught_file, f"teacher.weights={tmp_path / 'none.pth'}")
    adapting = {
        "basenet": {"name": "srresnet", "scale": 2, "channels": 4, "blocks": 1},
        "condition": {"name": "patches", "size": 8, "width": 4},
    }
    larger = {"cria": SPEC["cria"] | {"scale": 4}}
    for spec, error, message in (
        (adapting, ConfigError, "adapts to support sets"),
        (larger, ModelError, "for x4, not x2"),
    ):
        path = tmp_path / "other.ckpt"
        torch.save({"format": FORMAT, "network": spec, "state": build_network(spec).state_dict()}, path)
        with pytest.raises(error, match=message):
            recipe_of(taught_file, f"teacher.weights={path}")


def test_an_official_esrgan_teaches(weights: Path, tmp_path: Path) -> None:
    """RRDBNet as Real-ESRGAN publishes it: x4, under "params_ema"."""
    spec = {"cria": SPEC["cria"] | {"scale": 4}}
    torch.manual_seed(2)
    network = build_network(spec)
    names = {"trunk.first": "conv_first", "trunk.last": "conv_body", "tail.up.0": "conv_up1",
             "tail.up.1": "conv_up2", "tail.hr": "conv_hr", "tail.last": "conv_last"}  # fmt: skip
    official = {}
    for name, tensor in network.state_dict().items():
        layer, _, kind = name.rpartition(".")
        if layer.startswith("trunk.blocks."):
            _, _, block, _, dense, _, conv = layer.split(".")
            official[f"body.{block}.rdb{int(dense) + 1}.conv{int(conv) + 1}.{kind}"] = tensor
        else:
            official[f"{names[layer]}.{kind}"] = tensor
    torch.save({"params_ema": official}, tmp_path / "official.pth")
    lr = torch.randint(0, 256, (1, 3, 12, 12), dtype=torch.uint8)
    taught = Teacher(TeacherSection(weights=tmp_path / "official.pth"), 4, CPU, False)(lr)
    with torch.no_grad():
        expected = (network.restore(lr.float() / 255).clamp(0, 1) * 255).round().to(torch.uint8)
    assert torch.equal(taught, expected)
