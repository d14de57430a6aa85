"""What the commands train and export do, free of the command line."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from engine.models import METADATA_FILE, ModelPackage, load_package
from training.distributed import process_group
from training.errors import TrainingError
from training.progress import progress_bar, tensorboard_log
from training.recipe import find_recipe
from training.run import Run, read_record, record, record_end, run_of
from training.settings import load_settings, parse_settings, settings_file
from training.splits import Fold
from training.watching import Watch, all_of, in_silence, print_lines


@dataclass(frozen=True, slots=True)
class TrainingRequest:
    """The words of `dicom-node train`."""

    recipe: str
    output: Path
    data: Path | None = None
    overrides: tuple[str, ...] = ()
    settings: Path | None = None
    fold: str = ""
    start_from: Path | None = None
    tensorboard: bool = False


def train_recipe(request: TrainingRequest) -> ModelPackage | None:
    """Train, or go on training, and write the package into the run; None in a process that does not lead its group.

    Raises:
        TrainingError: the request, its settings or its data are refused.
    """
    recipe = find_recipe(request.recipe)
    file = request.settings or settings_file(request.recipe)
    settings = load_settings(recipe.Settings, file, request.overrides)
    fold = Fold.parse(request.fold) if request.fold else None
    run = Run(request.output, request.data, fold, request.start_from)
    with process_group() as group, _watching(run.folder, tensorboard=request.tensorboard, leads=group.leads) as watch:
        if group.leads:
            record(run, request.recipe, settings)
        network = recipe.train(settings, replace(run, watch=watch))
        if not group.leads:
            return None
        record_end(run.folder)
        return recipe.export(network, settings, run)


def export_run(folder: Path, output: Path) -> ModelPackage:
    """Write the model of a run as a package.

    Raises:
        TrainingError: the folder holds no run, or the output is something else than a package.
    """
    begun = read_record(folder)
    if output.exists() and any(output.iterdir()) and not (output / METADATA_FILE).exists():
        raise TrainingError(f"{output} is not empty and no model package: choose another --output")
    recipe = find_recipe(begun["recipe"])
    settings = parse_settings(recipe.Settings, begun["settings"], str(folder))
    run = run_of(folder)
    if not begun.get("finished"):
        raise TrainingError(f"the training in {folder} is not finished: give its `dicom-node train` command again")
    made = recipe.export(recipe.train(settings, run), settings, run)
    if made.path.resolve() != output.resolve():
        if output.exists():
            shutil.rmtree(output)
        shutil.copytree(made.path, output)
    return load_package(output)


@contextmanager
def _watching(folder: Path, *, tensorboard: bool, leads: bool) -> Iterator[Watch]:
    if not leads:
        yield in_silence
        return
    with progress_bar() as bar, tensorboard_log(folder / "tensorboard", wanted=tensorboard) as log:
        yield all_of(bar or print_lines, log)
