"""The commands `dicom-node train` and `dicom-node export`; torch and its friends are imported when a command runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from training.errors import TrainingError

Set = Annotated[list[str] | None, typer.Option("--set", help="A setting instead of the recipe's: key=value; may be repeated.")]


def train(
    recipe: Annotated[str, typer.Argument(help="The engine to train a model for, such as lung-segmentation.")],
    output: Annotated[Path, typer.Option(help="Folder of the run: cases, checkpoint, log. The same folder continues it.")],
    data: Annotated[
        Path | None, typer.Option(help="Folder of labelled cases, beside or instead of the synthetic ones.")
    ] = None,
    set_: Set = None,
    settings: Annotated[Path | None, typer.Option(help="Settings instead of conf/recipes/RECIPE.toml.")] = None,
    fold: Annotated[
        str, typer.Option(help="Train on one fold of several: 2/5 leaves out the second fifth of the patients.")
    ] = "",
    from_: Annotated[
        Path | None, typer.Option("--from", help="A model package to start from instead of random weights.")
    ] = None,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Write curves for TensorBoard into the run.")] = False,
    folds: Annotated[int, typer.Option(help="Train one model for each of so many folds, and say what they reach.")] = 0,
) -> None:
    """Train a model; a run that was stopped or killed continues where its last checkpoint is."""
    with _told():
        from training.commands import TrainingRequest, train_folds, train_recipe

        request = TrainingRequest(recipe, output, data, tuple(set_ or ()), settings, fold, from_, tensorboard)
        if folds:
            for score in train_folds(request, folds):
                typer.echo(str(score))
            return
        package = train_recipe(request)
        if package is not None:
            typer.echo(f"{package.path}: weights {package.weights_digest}")


def export(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run of `dicom-node train`.", exists=True, file_okay=False)],
    output: Annotated[Path, typer.Option(help="Folder of the model package; replaced if it is one.")],
) -> None:
    """Write the model of a run as a package that the node loads."""
    with _told():
        from training.commands import export_run

        package = export_run(run, output)
        typer.echo(f"{package.path}: weights {package.weights_digest}")


@contextmanager
def _told() -> Iterator[None]:
    """Refusals as a sentence, not a traceback. Source of the remedy: the extra "training" of pyproject.toml."""
    try:
        yield
    except ModuleNotFoundError as error:
        _refuse(f"{error.name} is not installed; training needs it: pip install 'dicom-node[training]'")
    except TrainingError as error:
        _refuse(str(error))


def _refuse(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(1)
