"""To be imported before anything else by a process that shows nothing to a person: structlog then loads no printer, 7 MB."""

import sys

sys.modules.setdefault("rich", None)  # type: ignore[arg-type]
