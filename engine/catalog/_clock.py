"""How long each step of an analysis took."""

import time
from dataclasses import dataclass, field


@dataclass
class Clock:
    """Seconds per step."""

    timings_s: dict[str, float] = field(default_factory=dict)
    started: float = field(default_factory=time.perf_counter)

    def lap(self, step: str) -> None:
        """End a step, and begin the next one."""
        now = time.perf_counter()
        self.timings_s[step] = now - self.started
        self.started = now
