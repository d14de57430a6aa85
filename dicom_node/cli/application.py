"""The command itself, and what every command shares: the configuration file, and JSON instead of tables."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from dicom_node import __version__
from dicom_node.config import NodeConfiguration, load

DEFAULT_CONFIGURATION = Path("/etc/dicom-node/node.toml")
EXIT_NOTHING = 3

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="A DICOM node: receives series from a PACS, runs AI engines on them and sends back SEG and SR.\n\n"
    "Exit status: 0 done; 1 failed, or a check found a problem; 2 wrong command line; 3 nothing analysed or nothing found; "
    "78 configuration refused.",
)

Json = Annotated[bool, typer.Option("--json", help="JSON for scripts instead of tables for people.")]


@dataclass(frozen=True, slots=True)
class Chosen:
    """The configuration file of this call, and whether somebody named it."""

    path: Path
    named: bool

    def load(self) -> NodeConfiguration:
        """The configuration.

        Raises:
            ConfigurationError: it is missing or has a mistake.
        """
        return load(self.path)

    def load_or_default(self) -> NodeConfiguration:
        """The same; the defaults where there is no file and none was asked for: for commands that need no node."""
        return load(self.file) if self.file else NodeConfiguration()

    @property
    def file(self) -> Path | None:
        """The file to read; None where there is none and none was asked for."""
        return self.path if self.named or self.path.exists() else None


def _version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it
    if wanted:
        print(f"dicom-node {__version__}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    config: Annotated[
        Path | None, typer.Option(help=f"The configuration file [{DEFAULT_CONFIGURATION}].", envvar="DICOM_NODE_CONFIG")
    ] = None,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version.")] = False,  # noqa: ARG001, FBT002
) -> None:
    """Options that stand before the command."""
    context.obj = Chosen(config or DEFAULT_CONFIGURATION, config is not None)


def chosen(context: typer.Context) -> Chosen:
    """What `options` chose."""
    found: Chosen = context.find_object(Chosen)  # type: ignore[assignment]  # set before every command
    return found
