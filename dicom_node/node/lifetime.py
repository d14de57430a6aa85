"""A service's life under systemd or in a terminal: ready, alive, told to stop."""

import os
import signal
import threading
from types import FrameType
from typing import Protocol

import sdnotify
import structlog

log = structlog.get_logger()

DEFAULT_PULSE_S = 10.0


class Service(Protocol):
    """What runs between `start` and `stop`."""

    def start(self) -> None: ...

    def is_alive(self) -> bool:
        """Whether every part that must run does."""
        ...

    def stop(self) -> None:
        """Drain: finish or hand back what runs, then end."""
        ...


def live(service: Service) -> bool:
    """Run a service until SIGTERM or SIGINT, or until a part of it dies.

    systemd is told READY=1, WATCHDOG=1 for as long as every part lives, and STOPPING=1 (sd_notify).

    Returns:
        True after a signal; False if the service died.
    """
    told_to_stop = threading.Event()

    def on_signal(number: int, _frame: FrameType | None) -> None:
        log.info("stopping", signal=signal.Signals(number).name)
        told_to_stop.set()

    previous = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
    notifier = sdnotify.SystemdNotifier()
    try:
        service.start()
        notifier.notify("READY=1")
        while not told_to_stop.wait(_pulse_s()) and service.is_alive():
            notifier.notify("WATCHDOG=1")
        notifier.notify("STOPPING=1")
        if not told_to_stop.is_set():
            log.error("a part of the service died", alarm=True)
        service.stop()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    return told_to_stop.is_set()


def _pulse_s() -> float:
    """A third of the watchdog's time, as sd_watchdog_enabled(3) recommends at most a half."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    return int(microseconds) / 3e6 if microseconds.isdigit() else DEFAULT_PULSE_S
