"""Commands that other packages add (train, export, evaluate): the node knows their names, not who does the work.

A package names a command in its metadata, group "dicom_node.commands": `train = "training.cli:train"`. The function carries
Typer's annotations and imports what it needs when it runs, so that help stays quick.
"""

from collections.abc import Callable, Iterable
from importlib.metadata import EntryPoint, entry_points

import typer

GROUP = "dicom_node.commands"


def add_found(application: typer.Typer, found: Iterable[EntryPoint] | None = None) -> None:
    """Add the commands that installed packages offer, in the order of their names."""
    for entry in sorted(entry_points(group=GROUP) if found is None else found, key=lambda entry: entry.name):
        try:
            command = entry.load()
        except ImportError as error:
            command = _unavailable(entry, error)
        application.command(name=entry.name)(command)


def _unavailable(entry: EntryPoint, error: ImportError) -> Callable[[], None]:
    """A command that says why it cannot run: one broken package must not take the others' commands away."""
    reason = f"{entry.name} ({entry.value}) cannot be loaded: {error}; install its package again, with all it needs"

    def unavailable() -> None:
        typer.echo(reason, err=True)
        raise typer.Exit(1)

    unavailable.__doc__ = f"Not available: {error}."
    return unavailable
