"""The recipe of Cria-CL: stages, views, what each criterion may move, pairs, and wrong configurations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from blindsr.checkpoint.reading import read_tensors
from blindsr.errors import ConfigError
from blindsr.network import build_network
from blindsr.training import load_config, train
from blindsr.training.config import CriaConfig
from blindsr.training.cria import CriaRecipe
from blindsr.training.recipe import Losses
from blindsr.training.schedule import learning_rate


def recipe_of(config_file: Path, *overrides: str) -> CriaRecipe:
    config = load_config(config_file, list(overrides))
    assert isinstance(config, CriaConfig)
    torch.manual_seed(0)
    recipe = CriaRecipe(config)
    recipe.load_data(torch.device("cpu"))
    return recipe


def losses(recipe: CriaRecipe, step: int) -> dict[str, torch.Tensor]:
    return losses_of(recipe, step).logged


def losses_of(recipe: CriaRecipe, step: int) -> Losses:
    if recipe.phase(step) != recipe.phase(step - 1):
        recipe.enter(recipe.phase(step))
    inputs = recipe.prepare(recipe.dataset(0)[step])
    return recipe.losses(recipe.network, inputs, recipe.stage(step, step))


def gradients(recipe: CriaRecipe, step: int) -> dict[str, float]:
    """Largest gradient of each parameter."""
    recipe.network.zero_grad()
    losses(recipe, step)["total"].backward()
    named = recipe.network.named_parameters()
    return {name: 0.0 if p.grad is None else float(p.grad.abs().max()) for name, p in named}


def test_the_first_stage_is_of_pixel_criteria_alone(cria_config_file: Path) -> None:
    recipe = recipe_of(cria_config_file)
    assert set(losses(recipe, 3)) == {"total", "pixel", "structural"}
    assert recipe.stage(3, 3).groups == ("network",)
    found = losses(recipe, 4)
    assert {"discriminator", "perceptual", "adversarial", "contrastive"} < set(found)
    assert recipe.stage(4, 4).groups == ("network", "discriminator")
    weights = {"pixel": 1, "structural": 0.1, "perceptual": 0.1, "adversarial": 0.01, "contrastive": 0.1}
    total = sum(weight * found[name] for name, weight in weights.items())
    torch.testing.assert_close(found["total"], total)


def test_each_stage_has_its_schedule(cria_config_file: Path) -> None:
    recipe = recipe_of(
        cria_config_file, "optimiser={lr: 1, schedule: cosine}", "texture_optimiser={lr: 2, schedule: cosine}"
    )
    rates = [learning_rate(*recipe.section("network", step)) for step in range(6)]
    assert rates[0] == 1 and rates[4] == 2
    assert rates[:4] == sorted(rates[:4], reverse=True) and rates[5] < rates[4]


def test_a_view_is_moved_by_its_own_criteria(cria_config_file: Path) -> None:
    """A criterion of the structure view alone moves nothing of the texture branch."""
    pixel = "criteria=[{name: pixel, stage: 1, view: structure}]"
    moved = gradients(recipe_of(cria_config_file, pixel), 4)
    assert moved["projector.texture_out.weight"] == 0
    assert moved["projector.structure_out.weight"] > 0 and moved["trunk.first.weight"] > 0
    moved = gradients(recipe_of(cria_config_file, pixel.replace("structure", "output")), 4)
    assert moved["projector.texture_out.weight"] > 0


def test_discriminator_and_network_learn_from_their_own_losses(cria_config_file: Path) -> None:
    recipe = recipe_of(cria_config_file, "criteria=[{name: adversarial}]", "pixel_steps=0")
    judge = recipe.auxiliary["discriminator"]
    (own, groups), (total, others) = losses_of(recipe, 0).objectives
    assert groups == ("discriminator",) and others == ("network",)
    torch.autograd.backward(total, inputs=recipe.parameters["network"])
    assert all(p.grad is None for p in judge.parameters())
    found = [float(p.grad.abs().max()) for p in recipe.network.parameters() if p.grad is not None]
    assert max(found) > 0
    own.backward()  # it sees the output detached: nothing is added to the network's gradient
    assert found == [float(p.grad.abs().max()) for p in recipe.network.parameters() if p.grad is not None]
    assert all(p.grad is not None for p in judge.parameters())


def test_a_step_moves_each_network_by_its_own_loss(cria_config_file: Path, tmp_path: Path) -> None:
    """The discriminator is the same after a step whatever the network learns by."""
    states = []
    for weight in (0.0, 5.0):
        settings = [f"criteria=[{{name: adversarial, weight: {weight}}}]", "pixel_steps=0", "steps=1"]
        last = train(load_config(cria_config_file, settings), tmp_path / str(weight))
        states.append(read_tensors(last))
    for name, tensor in states[0]["companions"]["discriminator"].items():
        assert torch.equal(tensor, states[1]["companions"]["discriminator"][name])
    assert any(not torch.equal(t, states[1]["state"][name]) for name, t in states[0]["state"].items())


def test_the_discriminator_may_learn_alone_first(cria_config_file: Path) -> None:
    recipe = recipe_of(cria_config_file, "texture_optimiser.after=1")
    assert [recipe.stage(step, step).groups for step in (3, 4, 5)] == [
        ("network",), ("discriminator",), ("network", "discriminator"),
    ]  # fmt: skip
    alone = losses(recipe, 4)
    assert set(alone) == {"total", "discriminator"}
    alone["total"].backward()
    assert all(p.grad is None for p in recipe.network.parameters())
    found = recipe_of(cria_config_file)
    torch.testing.assert_close(alone["total"], losses(found, 4)["discriminator"])
    frozen, network = recipe.auxiliary["regression"], recipe.network.state_dict()
    assert all(torch.equal(tensor, network[key]) for key, tensor in frozen.state_dict().items())
    assert "perceptual" in losses(recipe, 5)


def test_the_frozen_regression_is_the_network_at_the_end_of_the_first_stage(cria_config_file: Path) -> None:
    recipe = recipe_of(cria_config_file)
    frozen = recipe.auxiliary["regression"]
    losses(recipe, 4)
    for key, tensor in recipe.network.state_dict().items():
        assert torch.equal(frozen.state_dict()[key], tensor)
    before = {key: tensor.clone() for key, tensor in frozen.state_dict().items()}
    with torch.no_grad():
        for p in recipe.network.parameters():
            p.add_(1)
    losses(recipe, 5)
    assert all(torch.equal(frozen.state_dict()[key], tensor) for key, tensor in before.items())
    recipe = recipe_of(cria_config_file, "contrast.regression=structure")
    assert "regression" not in recipe.auxiliary


def test_logs_tell_the_contrast_of_the_criteria(cria_config_file: Path) -> None:
    found = losses(recipe_of(cria_config_file), 4)
    names = ["pixel", "structural", "perceptual", "adversarial", "contrastive"]
    assert all(float(found[f"gradient/{name}"]) > 0 for name in names)
    cosines = {key: float(value) for key, value in found.items() if key.startswith("cosine/")}
    assert len(cosines) == 10 and all(-1 <= value <= 1 for value in cosines.values())
    assert not any("/" in key for key in losses(recipe_of(cria_config_file, "log_every=100"), 4))


@pytest.mark.parametrize("scale", [1, 2])
def test_it_trains_on_real_pairs(cria_config_file: Path, tmp_path: Path, scale: int) -> None:
    rng = np.random.default_rng(0)
    for i in range(3):
        hr = Image.fromarray(rng.integers(0, 256, (12, 10, 3), dtype=np.uint8)).resize((80, 96), 3)
        for side, picture in (("HR", hr), ("LR", hr.resize((80 // scale, 96 // scale), 3))):
            (tmp_path / "pairs" / side).mkdir(parents=True, exist_ok=True)
            picture.save(tmp_path / "pairs" / side / f"{i}.png")
    config = load_config(
        cria_config_file,
        [
            "data.photos=null", f"data.pairs={tmp_path / 'pairs'}", f"data.scale={scale}",
            f"network.cria.scale={scale}", f"network.cria.unshuffle={2 // scale}",
        ],
    )  # fmt: skip
    tables: list[Any] = []
    last = train(config, tmp_path / "run", report=lambda progress: tables.append(progress.scores))
    assert last.name == "step-00000006.ckpt"
    assert "pairs" in tables[-1].rows


def test_it_starts_from_an_esrgan(cria_config_file: Path, tmp_path: Path) -> None:
    esrgan = build_network({"cria": {"scale": 2, "channels": 4, "blocks": 1, "growth": 2, "projector": 0}})
    spec = {"scale": 2, "channels": 4, "blocks": 1, "growth": 2, "projector": 0}
    checkpoint = {"format": "blindsr-checkpoint", "network": {"cria": spec}, "state": esrgan.state_dict()}
    torch.save(checkpoint, tmp_path / "esrgan.ckpt")
    recipe = recipe_of(cria_config_file)
    recipe.initialise(str(tmp_path / "esrgan.ckpt"))
    assert torch.equal(recipe.network.trunk.first.weight, esrgan.state_dict()["trunk.first.weight"])
    with pytest.raises(ConfigError, match="its trunk is not the configuration's"):
        recipe_of(cria_config_file, "network.cria.channels=6").initialise(str(tmp_path / "esrgan.ckpt"))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("criteria=[{name: pixl}]", "did you mean 'pixel'"),
        ("criteria=[{name: pixel, veiw: output}]", "did you mean"),
        ("criteria=[{name: pixel, view: mid}]", "view of pixel is one of structure, output"),
        ("criteria=[{name: pixel, polarity: contrast}]", "polarity of pixel is one of attract, repel"),
        ("criteria=[{name: perceptual, stage: 1}]", "no place in the first stage"),
        ("criteria=[{name: pixel, weight: -1}]", "a number of 0 or more"),
        ("criteria=[{name: pixel}, {name: pixel}]", "another name by the key as"),
        ("criteria=[{name: pixel}]", "pixel_steps needs a criterion of stage 1"),
        ("criteria=[{name: contrastive, form: triple}]", "form is one of"),
        ("discriminator=null", "discriminator: these criteria need one"),
        ("discriminator.name=path", "did you mean 'patch'"),
        ("devices=2", "one device"),
        ("data.scale=4", "data.scale is 4"),
        ("data.photos=null", "give photos"),
        ("network={basenet: {name: srresnet}}", "not of basenet"),
        ("recipe=crea", "not one of cmdsr, cria"),
    ],
)
def test_a_wrong_configuration_is_one_clear_line(cria_config_file: Path, override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        recipe_of(cria_config_file, override)
    assert "\n" not in str(caught.value)
