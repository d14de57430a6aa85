"""Progress for people: a bar with the time left on a terminal, curves in TensorBoard."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from training.watching import Watch, Watched, in_silence

_MINUTE_S, _HOUR_S = 60, 3600


@contextmanager
def progress_bar(console: Console | None = None) -> Iterator[Watch | None]:
    """A watcher that draws a bar; None where nobody looks at a terminal."""
    console = console or Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    words = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
    )
    with Progress(*words, console=console) as progress:
        task = progress.add_task("train", total=None, left="")

        def watch(watched: Watched) -> None:
            score = "" if watched.score is None else f", validation {watched.score:.4f}"
            progress.update(
                task,
                total=watched.steps,
                completed=watched.step,
                description=f"loss {watched.loss:.3f}",
                left=f"{in_words(watched.left_s)} left",
            )
            if score:
                progress.console.print(f"step {watched.step}/{watched.steps}, loss {watched.loss:.3f}{score}", highlight=False)

        yield watch


@contextmanager
def tensorboard_log(folder: Path, *, wanted: bool) -> Iterator[Watch]:
    """A watcher that writes loss, learning rate and validation score as curves; a resumed run goes on with them."""
    if not wanted:
        yield in_silence
        return
    from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - loads tensorboard, which few runs want

    with SummaryWriter(str(folder)) as writer:

        def watch(watched: Watched) -> None:
            values = {"loss": watched.loss, "rate": watched.rate, "validation": watched.score}
            for name, value in values.items():
                if value is not None:
                    writer.add_scalar(name, value, watched.step)

        yield watch


def in_words(seconds: float) -> str:
    """A duration as a person says it: 40 s, 12 min, 3.5 h."""
    if seconds < _MINUTE_S:
        return f"{seconds:.0f} s"
    return f"{seconds / _MINUTE_S:.0f} min" if seconds < _HOUR_S else f"{seconds / _HOUR_S:.1f} h"
