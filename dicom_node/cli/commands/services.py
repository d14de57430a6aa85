"""Commands that run something for long: serve, demo."""

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from dicom_node.cli.application import app, chosen
from dicom_node.node.lifetime import live
from dicom_node.node.logs import configure_logs


class Only(StrEnum):
    """One of the two services."""

    RECEIVE = "receive"
    PROCESS = "process"


@app.command()
def serve(
    context: typer.Context,
    only: Annotated[Only | None, typer.Option(help="Run one of the two services; both without this.")] = None,
) -> None:
    """Run the node until SIGTERM: receive series, analyse them, deliver results.

    With --only receive nothing but receiving runs, with --only process everything else; they meet in the state directory.
    SIGTERM drains: open associations and the running job end first, or are handed back; nothing is lost.
    """
    configuration = chosen(context).load_or_default()
    os.umask(0o027)  # images and results are for the node's user and group
    configure_logs(configuration.node.log_level.value, configuration.node.log_format.value)
    if only is Only.RECEIVE:
        from dicom_node.node.receiving import ReceivingService

        ended_well = live(ReceivingService(configuration))
    elif only is Only.PROCESS:
        from dicom_node.node.processing import ProcessingService

        ended_well = live(ProcessingService(configuration))
    else:
        from dicom_node.node.supervision import Supervisor

        ended_well = live(Supervisor(chosen(context).file))
    sys.exit(0 if ended_well else 1)


@app.command()
def demo(
    dicom: Annotated[Path | None, typer.Argument(help="Folder with a DICOM study; a synthetic thorax CT without it.")] = None,
    directory: Annotated[Path, typer.Option(help="Where everything goes; emptied first.")] = Path("demo"),
) -> None:
    """Send a study from a PACS through the node and back, and show what came of it.

    Orthanc is the PACS where it is installed, else a small one that comes with the node. What was sent is left in
    DIRECTORY/source, what came back in DIRECTORY/results.
    """
    from dicom_node.demo.show import demonstrate

    sys.exit(demonstrate(directory, dicom))
