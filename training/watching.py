"""What can be seen of a training while it runs."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Watched:
    """One step that is done.

    Attributes:
        first: the steps that were done before this process began (a resumed training).
        loss: mean over the last steps.
        score: of the validation after this step, if there was one.
        saved: whether the state was saved after this step.
    """

    step: int
    steps: int
    first: int
    elapsed_s: float
    loss: float
    rate: float
    score: float | None
    saved: bool

    @property
    def left_s(self) -> float:
        """An estimate from the speed so far."""
        return self.elapsed_s / (self.step - self.first) * (self.steps - self.step)


Watch = Callable[[Watched], None]


def print_lines(watched: Watched) -> None:
    """A line at each checkpoint and validation, for logs."""
    if watched.saved or watched.score is not None:
        score = "" if watched.score is None else f", validation {watched.score:.4f}"
        left = f"about {watched.left_s / 60:.1f} min left"
        print(f"step {watched.step}/{watched.steps}, loss {watched.loss:.3f}{score}, {left}", flush=True)


def all_of(*watches: Watch) -> Watch:
    """Several watchers as one."""

    def watch(watched: Watched) -> None:
        for each in watches:
            each(watched)

    return watch


def in_silence(watched: Watched) -> None:
    """Nobody looks."""
