"""How long each step of an analysis took."""

import time
from dataclasses import dataclass, field

from engine.api import Progress


@dataclass
class Clock:
    """Seconds per step; steps of one name are added up.

    Attributes:
        progress: told of each step for which the share done is given.
    """

    progress: Progress = lambda step, share: None
    timings_s: dict[str, float] = field(default_factory=dict)
    started: float = field(default_factory=time.perf_counter)

    def lap(self, step: str, share: float | None = None) -> None:
        """End a step, and begin the next one."""
        now = time.perf_counter()
        self.timings_s[step] = self.timings_s.get(step, 0.0) + now - self.started
        self.started = now
        if share is not None:
            self.progress(step, share)
