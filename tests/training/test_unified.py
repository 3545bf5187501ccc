"""The recipe of the unified network: what learns when, from what, and where it begins."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from blindsr.checkpoint.reading import FORMAT
from blindsr.errors import ConfigError
from blindsr.network import build_network
from blindsr.training import load_config
from blindsr.training.unified import UnifiedRecipe


def recipe_of(path: Path, *settings: str) -> UnifiedRecipe:
    config = load_config(path, list(settings))
    torch.manual_seed(0)
    recipe = UnifiedRecipe(config)  # type: ignore[arg-type]
    recipe.load_data(torch.device("cpu"))
    return recipe


def losses(recipe: UnifiedRecipe, step: int) -> list[tuple[Tensor, tuple[str, ...]]]:
    batch = recipe.prepare(recipe.dataset(0)[step])
    return recipe.losses(recipe.network, batch, recipe.stage(step, step)).objectives


def moved(recipe: UnifiedRecipe, objective: tuple[Tensor, tuple[str, ...]]) -> set[str]:
    """The parameter groups that an objective has a gradient for."""
    loss, _ = objective
    names, weights = zip(*((n, p) for n, ps in recipe.parameters.items() for p in ps), strict=True)
    gradients = torch.autograd.grad(loss, weights, allow_unused=True)
    return {n for n, g in zip(names, gradients, strict=True) if g is not None and bool(g.abs().sum() > 0)}


def checkpoint(path: Path, spec: dict[str, object]) -> Path:
    """A network with random weights of its own, as a checkpoint."""
    torch.manual_seed(3)
    network = build_network(spec)
    with torch.no_grad():
        for p in network.parameters():
            p.add_(0.01 * torch.randn_like(p))
    torch.save({"format": FORMAT, "network": spec, "state": network.state_dict()}, path)
    return path


def test_what_learns_when(unified_config_file: Path) -> None:
    recipe = recipe_of(unified_config_file)
    stages = [recipe.stage(step, step) for step in range(4)]
    network = ("basenet", "condition")
    assert [s.groups for s in stages] == [network, network, ("discriminator",), (*network, "discriminator")]
    (first,) = losses(recipe, 0)
    assert first[1] == network and moved(recipe, first) == set(network)
    (alone,) = losses(recipe, 2)
    assert moved(recipe, alone) == {"discriminator"}
    judge, last = losses(recipe, 3)
    assert judge[1] == ("discriminator",) and moved(recipe, judge) == {"discriminator"}
    assert last[1] == network and set(network) <= moved(recipe, last)


def test_the_condition_net_may_learn_at_some_steps_only(unified_config_file: Path) -> None:
    recipe = recipe_of(unified_config_file, "loss.condition_every=2")
    assert [("condition" in recipe.stage(step, step).groups) for step in (0, 1, 4, 5)] == [True, False] * 2
    (objective,) = losses(recipe, 1)
    assert moved(recipe, objective) == {"basenet"}


def test_it_begins_as_the_cria_cl_that_it_is_told(unified_config_file: Path, tmp_path: Path) -> None:
    cria = {
        "scale": 2, "channels": 4, "blocks": 1, "growth": 2, "projector": 4, "projector_blocks": 1,
        "mask": "views", "tail": "direct", "carry": 1, "skip": True, "lattice_filter": 3,
    }  # fmt: skip
    adapting = {
        "basenet": {"name": "srresnet", "scale": 2},
        "condition": {"name": "patches", "size": 8, "width": 4},
    }
    beginning = checkpoint(tmp_path / "cria.ckpt", {"cria": cria})
    reader = checkpoint(tmp_path / "cmdsr.ckpt", adapting)
    recipe = recipe_of(unified_config_file, f"init_condition={reader}")
    recipe.initialise(str(beginning))
    network = build_network({"cria": cria})
    network.load_state_dict(torch.load(beginning, weights_only=True)["state"])
    lr = torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        modulation = recipe.network.modulation(recipe.network.condition(torch.rand(2, 3, 16, 16)))
        torch.testing.assert_close(recipe.network(lr, modulation), network(lr), rtol=1e-5, atol=1e-6)
    read = torch.load(reader, weights_only=True)["state"]
    assert recipe.network.condition_net is not None
    for name, tensor in recipe.network.condition_net.state_dict().items():
        assert torch.equal(tensor, read[f"condition_net.{name}"])
    with pytest.raises(ConfigError, match="does not fit in"):
        recipe.initialise(str(checkpoint(tmp_path / "other.ckpt", {"cria": cria | {"carry": 2}})))
    with pytest.raises(ConfigError, match=r"init_condition .* has not the ConditionNet"):
        recipe_of(unified_config_file, f"init_condition={beginning}").initialise(str(beginning))


def test_it_begins_as_the_cmdsr_that_it_is_told(unified_config_file: Path, tmp_path: Path) -> None:
    basenet = {"name": "srresnet", "scale": 2, "channels": 4, "blocks": 1, "tail": "direct", "skip": True}
    condition = {"name": "patches", "size": 8, "width": 4}
    spec = {"basenet": basenet, "condition": condition}
    beginning = checkpoint(tmp_path / "cmdsr.ckpt", spec)
    grown = "{name: srresnet, scale: 2, channels: 4, blocks: 2, tail: direct, skip: true, carry: 1}"
    recipe = recipe_of(unified_config_file, f"network.basenet={grown}", "network.unified={projector: 4}")
    recipe.initialise(str(beginning))
    network = build_network(spec)
    network.load_state_dict(torch.load(beginning, weights_only=True)["state"])
    lr, support = torch.rand(1, 3, 16, 16), torch.rand(2, 3, 16, 16)
    projector = recipe.network.projector
    assert projector is not None
    with torch.no_grad():
        for weights in projector.structure_out.parameters():
            weights.zero_()  # it begins as a small change, and this takes it away
        modulations = [net.modulation(net.condition(support)) for net in (network, recipe.network)]
        views = recipe.network.views(lr, modulations[1])
        torch.testing.assert_close(views.structure, network(lr, modulations[0]), rtol=1e-4, atol=1e-5)


def test_what_cannot_be_is_refused(unified_config_file: Path) -> None:
    with pytest.raises(ConfigError, match="network of basenet, condition and unified"):
        recipe_of(unified_config_file, "network={cria: {scale: 2}}")
    with pytest.raises(ConfigError, match="structural is a criterion here"):
        load_config(unified_config_file, ["loss.structural=1"])
    with pytest.raises(ConfigError, match="it is the structure view"):
        recipe_of(
            unified_config_file, "contrast.regression=frozen",
            "criteria=[{name: pixel, stage: 1}, {name: pixel, as: away, polarity: repel}]",
        )  # fmt: skip
