"""What the commands train and export do, free of the command line."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from training.cross_validation import FoldScore, cross_validate
from training.distributed import launched_processes, process_group
from training.errors import TrainingError
from training.fit import NO_VALIDATION
from training.placing import place, require_replaceable
from training.plan import plans_of
from training.progress import progress_bar, tensorboard_log
from training.recipe import Recipe, find_recipe
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


@dataclass(frozen=True, slots=True)
class Exported:
    """A model package that was written.

    Attributes:
        weights_digest: SHA-256 of the weights in hex; of an engine with several networks, that of the last.
    """

    path: Path
    weights_digest: str


def train_recipe(request: TrainingRequest) -> Exported | None:
    """Train, or go on training, and write the package into the run; None in a process that does not lead its group.

    Raises:
        TrainingError: the request, its settings or its data are refused.
    """
    recipe = find_recipe(request.recipe)
    _refuse_unheeded(recipe, request)
    settings = load_settings(recipe.Settings, request.settings or settings_file(request.recipe), request.overrides)
    if "validation" not in recipe.USES and any(plan.validation_steps for plan in plans_of(settings)):
        raise TrainingError(NO_VALIDATION)
    fold = Fold.parse(request.fold) if request.fold else None
    run = Run(request.output, request.data, fold, request.start_from)
    with process_group() as group, _watching(run.folder, tensorboard=request.tensorboard, leads=group.leads) as watch:
        if group.leads:
            record(run, request.recipe, settings)
        network = recipe.train(settings, replace(run, watch=watch))
    if not group.leads:
        return None  # the group is left: what follows is the leader's alone, and waits for nobody
    if run.fold is not None and hasattr(recipe, "measure_held_out"):
        recipe.measure_held_out(network, settings, run).write(run.folder)
    made = _exported(request.recipe, recipe, network, settings, run)
    record_end(run.folder)
    return made


def train_folds(request: TrainingRequest, count: int) -> tuple[FoldScore, ...]:
    """Train one model per fold, each in a folder of its own below the output.

    Raises:
        TrainingError: as train_recipe, no fold measures held-out cases, or there are several processes.
    """
    if launched_processes() > 1:
        raise TrainingError("--folds trains one fold after the other in one process: give each fold, --fold 1/N, a torchrun")
    if request.fold or request.data is None:
        raise TrainingError("--folds needs --data, and stands instead of --fold")
    if not hasattr(find_recipe(request.recipe), "measure_held_out"):
        raise TrainingError(f"the recipe {request.recipe} does not measure what a fold leaves out: use --fold, then `evaluate`")
    return cross_validate(request.output, count, lambda fold, folder: train_recipe(replace(request, fold=fold, output=folder)))


def export_run(folder: Path, output: Path) -> Exported:
    """Write the model of a finished run as a package.

    Raises:
        TrainingError: the folder holds no finished run, or the output something else than an older package of the model.
    """
    begun = read_record(folder)
    if not begun.get("finished"):
        raise TrainingError(f"the training in {folder} is not finished: give its `dicom-node train` command again")
    require_replaceable(output, folder)
    recipe = find_recipe(begun["recipe"])
    settings = parse_settings(recipe.Settings, begun["settings"], str(folder))
    run = run_of(folder)
    made = _exported(begun["recipe"], recipe, recipe.train(settings, run), settings, run)
    place(made.path, output, folder)
    return replace(made, path=output)


def _exported(name: str, recipe: Recipe, network: Any, settings: Any, run: Run) -> Exported:
    """By convention the package lies in the run under the recipe's name, however many networks it has."""
    made = recipe.export(network, settings, run)
    return Exported(run.folder / name.replace("-", "_"), made.weights_digest)


def _refuse_unheeded(recipe: Recipe, request: TrainingRequest) -> None:
    """An option without effect would let somebody believe in a model that was trained otherwise."""
    given = {"data": request.data, "fold": request.fold, "from": request.start_from}
    for option, value in given.items():
        if value and option not in recipe.USES:
            raise TrainingError(f"the recipe {request.recipe} has no use for --{option}: leave it out")
    if request.fold and not request.data:
        raise TrainingError("--fold divides the patients of --data: give both")


@contextmanager
def _watching(folder: Path, *, tensorboard: bool, leads: bool) -> Iterator[Watch]:
    if not leads:
        yield in_silence
        return
    with progress_bar() as bar, tensorboard_log(folder / "tensorboard", wanted=tensorboard) as log:
        yield all_of(bar or print_lines, log)
