"""When rates fall towards the end of a run, whatever its parts are."""

from __future__ import annotations

from pathlib import Path

import pytest

from blindsr.training import load_config
from blindsr.training.loop import RECIPES
from blindsr.training.recipe import Recipe


def recipe_of(config_file: Path, *overrides: str) -> Recipe:
    config = load_config(config_file, list(overrides))
    return RECIPES[config.recipe](config)


def decaying(recipe: Recipe, places: int) -> list[int]:
    return [place for place in range(places) if recipe.decays(place, places)]


def test_only_a_stable_rate_decays(any_config_file: Path) -> None:
    for schedule in ("multistep", "cosine"):
        settings = ["steps=40", f"optimiser.schedule={schedule}"]
        settings += ["pixel_steps=16"] * ("cria" in any_config_file.name)
        assert not decaying(recipe_of(any_config_file, *settings), 40)


@pytest.mark.parametrize("section", ["optimiser", "condition_optimiser"])
def test_a_run_of_one_part(config_file: Path, section: str) -> None:
    recipe = recipe_of(config_file, "steps=40", f"{section}.schedule=stable", f"{section}.decay=0.25")
    assert decaying(recipe, 40) == list(range(31, 40))


def test_the_first_stage_of_cria_decays_only_where_it_is_the_last(cria_config_file: Path) -> None:
    stable = "steps=40", "optimiser.schedule=stable", "optimiser.decay=0.25"
    assert not decaying(recipe_of(cria_config_file, *stable, "pixel_steps=16"), 40)
    for alone in (40, 100):
        recipe = recipe_of(cria_config_file, *stable, f"pixel_steps={alone}")
        assert decaying(recipe, 40) == list(range(31, 40))


def test_the_second_stage_of_cria_decays_over_its_own_steps(cria_config_file: Path) -> None:
    stable = "steps=40", "texture_optimiser.schedule=stable", "texture_optimiser.decay=0.25"
    recipe = recipe_of(cria_config_file, *stable, "pixel_steps=16")
    assert decaying(recipe, 40) == list(range(35, 40))  # a quarter of 24 steps
