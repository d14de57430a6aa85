"""What a recipe is: a module training/recipes/<engine>.py, found by the name of its engine."""

import pkgutil
from difflib import get_close_matches
from importlib import import_module
from typing import Any, ClassVar, Protocol

from torch import nn

import training.recipes
from engine.models import ModelPackage
from training.errors import TrainingError
from training.run import Run


class Recipe(Protocol):
    """The names that a module of training/recipes has."""

    Settings: ClassVar[type[Any]]
    """A frozen dataclass; its values stand in conf/recipes/<engine>.toml."""

    USES: ClassVar[frozenset[str]]
    """Which of "data", "fold" and "from" of a run it heeds, and whether it gives `fit` a "validation"; the command refuses
    what asks for the others."""

    def train(self, settings: Any, run: Run) -> nn.Module:
        """The trained network; whatever is kept between two calls lies in the run's folder."""

    def export(self, network: nn.Module, settings: Any, run: Run) -> ModelPackage:
        """The package of a trained network with its card, in the run's folder under the recipe's name."""


def find_recipe(name: str) -> Recipe:
    """The recipe of an engine.

    Args:
        name: of the engine, such as "lung-segmentation".

    Raises:
        TrainingError: there is none.
    """
    known = recipe_names()
    if name not in known:
        close = get_close_matches(name.replace("_", "-"), known, n=1)
        remedy = f"did you mean {close[0]}?" if close else f"there are: {', '.join(known)}"
        raise TrainingError(f"no recipe {name!r}; {remedy}")
    recipe: Any = import_module(f"training.recipes.{name.replace('-', '_')}")
    return recipe  # type: ignore[no-any-return]


def recipe_names() -> list[str]:
    """All recipes by the names of their engines; a module whose name begins with _ is part of another."""
    found = pkgutil.iter_modules(training.recipes.__path__)
    return sorted(module.name.replace("_", "-") for module in found if not module.name.startswith("_"))
