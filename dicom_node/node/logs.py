"""Where log lines go and how they look: standard error, for a person or for a collector."""

import logging
import sys

import structlog


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
        else structlog.dev.ConsoleRenderer(colors=not plain, exception_formatter=structlog.dev.plain_traceback)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    for name in ("apscheduler", "pynetdicom", "pydicom"):  # they write values of elements, or tracebacks, into their words
        logging.getLogger(name).setLevel(logging.CRITICAL)
