from dataclasses import dataclass, field
from pathlib import Path

import pytest

from training.errors import TrainingError
from training.plan import Plan
from training.recipe import find_recipe, recipe_names
from training.settings import load_settings, parse_settings, settings_file, settings_values


@dataclass(frozen=True, slots=True)
class Settings:
    plan: Plan
    size: tuple[int, int] = (4, 4)
    words: str = ""
    extra: Plan = field(default_factory=lambda: Plan(steps=1))


FILE = """
words = "as they stand"
[plan]
steps = 10
[plan.optimiser]
rate = 0.1
"""


def _load(tmp_path: Path, *overrides: str, text: str = FILE) -> Settings:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return load_settings(Settings, path, overrides)


def test_what_the_file_leaves_out_has_its_default(tmp_path: Path) -> None:
    settings = _load(tmp_path)
    assert settings.plan.steps == 10
    assert settings.plan.optimiser.rate == 0.1
    assert settings.plan.optimiser.name == "adamw"
    assert settings.size == (4, 4)


def test_a_value_of_the_command_line_replaces_the_files(tmp_path: Path) -> None:
    settings = _load(
        tmp_path, "plan.optimiser.name=sgd", "plan.steps=7", "size=[8, 9]", "words=two words", "plan.rates.power=2.0"
    )
    assert (settings.plan.optimiser.name, settings.plan.optimiser.rate) == ("sgd", 0.1)
    assert (settings.plan.steps, settings.size, settings.words) == (7, (8, 9), "two words")
    assert settings.plan.rates.power == 2.0


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("plan.stepps=7", "plan.stepps is no setting; did you mean plan.steps?"),
        ("plan.optimiser.rat=7", "did you mean plan.optimiser.rate?"),
        ("nothing=7", "there are: extra, plan, size, words"),
        ("plan.steps=many", "plan.steps: 'many'"),
        ("plan.steps=0", "must be at least 1"),
        ("plan.optimiser.name=adan", "'adam'"),
        ("plan.patience=3", "patience needs validation_steps"),
        ("plan.rates.name=plateau", "rates.name = plateau needs validation_steps"),
        ("words", "write it as key=value"),
        ("words.more=1", "words is a value, not a section"),
    ],
)
def test_a_wrong_value_is_refused_with_a_remedy(tmp_path: Path, override: str, said: str) -> None:
    with pytest.raises(TrainingError) as refused:
        _load(tmp_path, override)
    assert said in str(refused.value)


def test_a_file_that_is_no_toml_or_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="is not TOML"):
        _load(tmp_path, text="words = as they stand")
    with pytest.raises(TrainingError, match="cannot be read"):
        load_settings(Settings, tmp_path / "none.toml")
    with pytest.raises(TrainingError, match="is missing; add it"):
        _load(tmp_path, text="words = 'no plan'")


def test_settings_survive_being_written_down(tmp_path: Path) -> None:
    settings = _load(tmp_path)
    assert parse_settings(Settings, settings_values(settings), "again") == settings


@pytest.mark.parametrize("name", recipe_names())
def test_the_settings_of_every_recipe_are_accepted(name: str) -> None:
    recipe = find_recipe(name)
    settings = load_settings(recipe.Settings, settings_file(name))
    assert parse_settings(recipe.Settings, settings_values(settings), name) == settings


def test_an_unknown_recipe_is_refused_with_what_was_meant() -> None:
    with pytest.raises(TrainingError, match="did you mean lung-segmentation"):
        find_recipe("lung_segmentation")
    with pytest.raises(TrainingError, match="there are: "):
        find_recipe("weather")
    with pytest.raises(TrainingError, match="--settings"):
        settings_file("weather")
