"""Put a model package into a folder: of what lies there, only an older package of the same model ever gives way."""

import json
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from engine.models import METADATA_FILE, SUMS_FILE
from training.errors import TrainingError


def require_replaceable(output: Path, run: Path) -> None:
    """Refuse an output that holds anything but a package, or that lies in the run or around it.

    Raises:
        TrainingError: the output is such a folder, or no folder.
    """
    here, begun = output.resolve(), run.resolve()
    if here == begun or here in begun.parents or begun in here.parents:
        raise TrainingError(f"{output} is the run {run}, or one lies in the other: choose another --output")
    if here.exists() and not here.is_dir():
        raise TrainingError(f"{output} is no folder: choose another --output")
    if not here.exists() or not any(here.iterdir()):
        return
    models = _models(here)
    stranger = _stranger(here, models) if models else next(here.iterdir())
    if stranger is not None:
        found = stranger.relative_to(here)
        raise TrainingError(f"{output} is not empty and no model package ({found} belongs to none): choose another --output")


def place(package: Path, output: Path, run: Path) -> None:
    """Copy a package to the output; an older one of the same model goes once the copy is complete.

    Args:
        package: as a recipe wrote it.
        output: does not exist, is empty, or holds such a package.
        run: where the package was made.

    Raises:
        TrainingError: the output holds something else, or cannot be written; it is then as it was.
    """
    require_replaceable(output, run)
    here = output.resolve()
    present, coming = _models(here), _models(package)
    if not present.items() <= coming.items():
        names = ", ".join(sorted(set(present.values())))
        raise TrainingError(f"{output} holds other models ({names}), which would be lost: choose another --output")
    try:
        here.parent.mkdir(parents=True, exist_ok=True)
        _exchange(package, here)
    except OSError as error:
        raise TrainingError(f"{output} cannot be written and is as it was: {error}") from error


def _exchange(package: Path, output: Path) -> None:
    with TemporaryDirectory(prefix=f".{output.name}.", dir=output.parent) as beside:
        new, old = Path(beside) / "new", Path(beside) / "old"
        shutil.copytree(package, new)
        try:
            if output.exists():
                output.rename(old)
            new.rename(output)
        except BaseException:
            if old.exists() and not output.exists():
                old.rename(output)
            raise


def _models(folder: Path) -> dict[str, str]:
    """The model's name of each package: the folder itself ("."), and those directly in it."""
    found = {}
    for sums in (folder / SUMS_FILE, *folder.glob(f"*/{SUMS_FILE}")):
        try:
            name = json.loads((sums.parent / METADATA_FILE).read_text(encoding="utf-8"))["name"]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if sums.is_file():
            found[sums.parent.relative_to(folder).as_posix()] = str(name)
    return found


def _stranger(folder: Path, models: dict[str, str]) -> Path | None:
    """A file or link that no package lists."""
    listed = {folder / place / name for place in models for name in _listed(folder / place)}
    places = (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    return next((path for path in places if path not in listed), None)


def _listed(package: Path) -> set[str]:
    lines = (package / SUMS_FILE).read_text(encoding="ascii", errors="replace").splitlines()
    return {SUMS_FILE, *(line.partition("  ")[2] for line in lines)}
