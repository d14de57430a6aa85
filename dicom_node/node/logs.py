"""Where log lines go and how they look: standard error, for a person or for a collector."""

import logging
import sys
import traceback
import warnings
from pathlib import Path

import structlog
from structlog.typing import EventDict


def configure_logs(level: str, log_format: str) -> None:
    """Set up structlog, and keep libraries to their warnings.

    Args:
        level: "debug", "info", "warning" or "error".
        log_format: "console", or "json" with one object a line.
    """
    plain = not sys.stderr.isatty()
    renderer = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=not plain)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _without_words_of_others,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    for name in ("apscheduler", "pynetdicom", "pydicom"):  # they write values of elements, or tracebacks, into their words
        logging.getLogger(name).setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", module=r"pynetdicom|pydicom|highdicom")  # they quote values, too


def _without_words_of_others(_logger: object, _method: str, event: EventDict) -> EventDict:
    """In place of a traceback the kind of exception and where it was raised: a library's words may quote patient data."""
    error = sys.exc_info()[1] if event.pop("exc_info", None) else None
    if error is not None:
        frames = traceback.extract_tb(error.__traceback__)
        where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
        event["error"] = f"{type(error).__name__}{where}"
    return event
