"""The command `dicom-node`. Engines and networks are imported by the commands that need them, so that help is quick.

Exit status: 0 done; 1 failed, or a check found a problem; 2 the command line is wrong; 3 nothing was analysed, or nothing was
found; 78 the configuration is refused.
"""

import sys

if {"serve", "receive"} <= set(sys.argv):
    from dicom_node.node import without_codecs  # noqa: F401  # before pydicom

from dicom_node.cli.application import app
from dicom_node.cli.commands import extensions, inspection, offline, operations, services
from dicom_node.cli.output import errors
from dicom_node.errors import ConfigurationError, NodeError

EXIT_FAILED = 1
EXIT_CONFIGURATION = 78  # EX_CONFIG of sysexits.h: systemd does not try again

__all__ = ["app", "extensions", "inspection", "main", "offline", "operations", "services"]


def main() -> None:
    """Run the command line; errors of the node's own are one sentence, not a traceback."""
    extensions.add_found(app)
    try:
        app()
    except ConfigurationError as error:
        errors.print(str(error))
        sys.exit(EXIT_CONFIGURATION)
    except NodeError as error:
        errors.print(str(error))
        sys.exit(EXIT_FAILED)
