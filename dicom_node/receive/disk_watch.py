"""Watches the disk fill: warns while there is time, and leaves word of it for other processes, such as `dicom-node status`."""

import json
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import structlog

from dicom_node.receive.disk import Space, floor_bytes
from dicom_node.receive.forecast import Sample, is_near, seconds_until
from dicom_node.receive.settings import ReceiverSettings

log = structlog.get_logger()

SAMPLE_S = 60.0
WINDOW_S = 3600.0
SEEN_AHEAD = 24
NO_ANSWER = "the file system of the spool does not answer"


@dataclass(frozen=True, slots=True)
class DiskReport:
    """What the receiving service says of itself.

    Attributes:
        at: when it was said, seconds since the epoch.
        refused_because: why C-STORE is refused; empty if it is accepted.
        refused_since: since when; None if it is accepted.
        full_in_s: when C-STORE will be refused at the present rate; None if that is not in sight, or not known yet.
        observed_s: how long the rate was observed.
    """

    at: float
    refused_because: str
    refused_since: float | None
    full_in_s: float | None
    observed_s: float

    @classmethod
    def read(cls, path: Path) -> "DiskReport | None":
        """The last word; None if there is none."""
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def write(self, path: Path) -> None:
        """Replace the last word in one step. It need not survive a power cut.

        Raises:
            OSError: there is no room for it.
        """
        beside = path.with_suffix(".new")
        beside.write_text(json.dumps(asdict(self)), encoding="utf-8")
        beside.replace(path)


class DiskWatch:
    """To be called every second or so.

    Args:
        directory: of the file system that fills.
        report: file for the last word.
        settings: watermarks, and how early to warn.
        refusal: why nothing is taken now; empty if it is.
        clock: seconds that never jump.
    """

    def __init__(
        self,
        directory: Path,
        report: Path,
        settings: ReceiverSettings,
        refusal: Callable[[], str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._directory = directory
        self._report = report
        self._settings = settings
        self._refusal = refusal
        self._clock = clock
        self._samples: deque[Sample] = deque(maxlen=int(WINDOW_S / SAMPLE_S))
        self._left_s: float | None = None
        self._near = False
        self._refused_because = ""
        self._refused_since: float | None = None

    def look(self) -> None:
        """Look at the disk; once a minute forecast, and leave word; at once when C-STORE begins or ceases to be refused."""
        try:
            because = self._refusal()
            now = self._clock()
            due = not self._samples or now - self._samples[-1].at >= SAMPLE_S
            if due or because != self._refused_because:
                self._take(now, Space.of(self._directory), due=due)
                self._say(because)
        except OSError as error:
            if self._refused_because != NO_ANSWER:
                log.error(NO_ANSWER, errno=error.errno, alarm=True)
                self._say(NO_ANSWER)

    def _take(self, now: float, space: Space, *, due: bool) -> None:
        if due:
            self._samples.append(Sample(now, space.free_bytes))
        self._left_s = seconds_until(self._samples, floor_bytes(space.total_bytes, self._settings.watermarks))
        self._warn(self._left_s, space)

    def _warn(self, left_s: float | None, space: Space) -> None:
        observed_s = self._samples[-1].at - self._samples[0].at
        within_s = min(self._settings.warn_full_within_s, SEEN_AHEAD * observed_s)  # a burst of minutes says nothing of a day
        was_near, self._near = self._near, is_near(self._near, left_s, within_s)
        if self._near and not was_near and left_s is not None:
            hours = round(left_s / 3600, 1)
            log.warning(
                "the disk will be full soon, then C-STORE is refused", hours=hours, free_bytes=space.free_bytes, alarm=True
            )
        elif was_near and not self._near:
            log.info("the disk fills no longer, or much slower", free_bytes=space.free_bytes)

    def _say(self, because: str) -> None:
        now = time.time()
        if bool(because) != bool(self._refused_because):
            self._refused_since = now if because else None
        self._refused_because = because
        observed_s = self._samples[-1].at - self._samples[0].at if self._samples else 0.0
        try:
            DiskReport(now, because, self._refused_since, self._left_s, observed_s).write(self._report)
        except OSError as error:  # whoever asks sees how old the last word is, and measures the disk itself
            log.debug("no room for the word about the disk", errno=error.errno)
