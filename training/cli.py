"""The commands `dicom-node train` and `dicom-node export`; torch and its friends are imported when a command runs."""

from pathlib import Path
from typing import Annotated, NoReturn

import typer

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
) -> None:
    """Train a model; a run that was stopped or killed continues where its last checkpoint is."""
    try:
        from training.commands import TrainingRequest, train_recipe
        from training.errors import TrainingError
    except ModuleNotFoundError as error:
        _refuse(_missing(error))
    try:
        request = TrainingRequest(recipe, output, data, tuple(set_ or ()), settings, fold, from_, tensorboard)
        package = train_recipe(request)
    except ModuleNotFoundError as error:
        _refuse(_missing(error))
    except TrainingError as error:
        _refuse(str(error))
    if package is not None:
        typer.echo(f"{package.path}: weights {package.weights_digest}")


def export(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run of `dicom-node train`.", exists=True, file_okay=False)],
    output: Annotated[Path, typer.Option(help="Folder of the model package; replaced if it is one.")],
) -> None:
    """Write the model of a run as a package that the node loads."""
    try:
        from training.commands import export_run
        from training.errors import TrainingError
    except ModuleNotFoundError as error:
        _refuse(_missing(error))
    try:
        package = export_run(run, output)
    except ModuleNotFoundError as error:
        _refuse(_missing(error))
    except TrainingError as error:
        _refuse(str(error))
    typer.echo(f"{package.path}: weights {package.weights_digest}")


def _missing(error: ModuleNotFoundError) -> str:
    """Source: the extra "training" of pyproject.toml."""
    return f"{error.name} is not installed; training needs it: pip install 'dicom-node[training]'"


def _refuse(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(1)
