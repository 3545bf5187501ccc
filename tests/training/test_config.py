"""The configuration: strict, helpful about typos, overridable."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from blindsr.errors import ConfigError
from blindsr.network import build_network
from blindsr.training import load_config
from blindsr.training.config import CMDSRConfig, CriteriaConfig
from blindsr.training.criteria import Declared
from blindsr.training.recipe import degradation_space

CONFIGS = sorted((Path(__file__).parents[2] / "configs").rglob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_every_published_configuration_is_valid(path: Path) -> None:
    config = load_config(path)
    assert isinstance(config, CMDSRConfig | CriteriaConfig)
    assert build_network(config.network).scale == config.data.scale
    if config.data.photos is not None:
        assert degradation_space(config).scale == config.data.scale
    if isinstance(config, CriteriaConfig):
        assert [Declared.of(spec).name for spec in config.criteria]


def test_there_are_configurations() -> None:
    assert {"cmdsr_x4", "cmdsr_x4_paper", "cmdsr_x4_twin", "cria_x4", "cria_x1_city100"} <= {
        p.stem for p in CONFIGS
    }


def test_the_twin_differs_in_the_condition_alone() -> None:
    folder = CONFIGS[0].parent
    model, twin = load_config(folder / "cmdsr_x4.yaml"), load_config(folder / "cmdsr_x4_twin.yaml")
    network = model.network | {"condition": None}
    assert twin == model.model_copy(update={"network": network, "name": "cmdsr-x4-twin"})


def test_what_is_said_once_may_be_meant_twice(config_file: Path) -> None:
    """Aliases, which programs write for values that they share; merges too."""
    plain = yaml.safe_load(config_file.read_text())
    text = yaml.safe_dump(plain | {"optimiser": {"lr": 2e-4}})
    aliased = (
        text.replace("optimiser:\n", "optimiser: &rates\n")
        + "condition_optimiser:\n  <<: *rates\n  gamma: 0.25\n"
    )
    config_file.write_text(aliased)
    config = load_config(config_file)
    assert isinstance(config, CMDSRConfig)
    assert config.optimiser.lr == config.condition_optimiser.lr == 2e-4
    assert config.condition_optimiser.gamma == 0.25


def test_overrides(config_file: Path) -> None:
    config = load_config(config_file, ["steps=12", "optimiser.lr=2e-4", "data.degradations={noise: [0, 5]}"])
    assert config.steps == 12
    assert config.optimiser.lr == 2e-4
    assert degradation_space(config).noise == (0, 5)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("stepps=3", "stepps: unknown key; did you mean 'steps'?"),
        ("optimiser.learning=3", "optimiser.learning: unknown key"),
        ("data.suport=3", "did you mean 'data.support'?"),
        ("data.tasks=1", "data.tasks: input should be greater than or equal to 2"),
        ("steps=many", "steps: input should be a valid integer"),
        ("steps", "write it as key=value"),
        ("name.x=1", "name is a value, not a section"),
        ("steps=[", "not YAML"),
    ],
)
def test_a_wrong_override_is_one_clear_line(config_file: Path, override: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(config_file, [override])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_wrong_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path / "none.yaml")
    (tmp_path / "list.yaml").write_text("[1, 2]")
    with pytest.raises(ConfigError, match="a mapping"):
        load_config(tmp_path / "list.yaml")
    (tmp_path / "bad.yaml").write_text("a: [")
    with pytest.raises(ConfigError, match="not YAML"):
        load_config(tmp_path / "bad.yaml")


def test_unknown_degradations_are_named(config_file: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'real'"):
        degradation_space(load_config(config_file, ["data.degradations=rael"]))
    with pytest.raises(ConfigError, match="noise"):
        degradation_space(load_config(config_file, ["data.degradations={noize: [0, 5]}"]))
