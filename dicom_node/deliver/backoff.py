"""When a delivery is tried again: growing waits up to a cap, for as long as it takes."""

import hashlib
import math

from dicom_node.model import Destination

_JITTER = 0.2  # share of the wait that differs from delivery to delivery


def next_attempt(attempts: int, destination: Destination, now: float, delivery_id: int = 0) -> float:
    """The time of the next try, in seconds since the epoch.

    The wait after attempt n is `retry_first_s · retry_multiplier^(n-1)`, at most `retry_cap_s`, less up to a fifth that depends
    on delivery and attempt only, so that an outage does not end in one burst.

    Args:
        attempts: tries so far, 1 after the first.
        destination: holds first wait, multiplier and cap.
        now: seconds since the epoch.
        delivery_id: spreads deliveries.
    """
    exponent = max(attempts, 1) - 1
    multiplier = max(destination.retry_multiplier, 1.0)
    headroom = math.log(max(destination.retry_cap_s / max(destination.retry_first_s, 1e-9), 1.0))
    capped = exponent * math.log(multiplier) >= headroom  # without the power, which overflows after some hundred tries
    wait_s = destination.retry_cap_s if capped else destination.retry_first_s * multiplier**exponent
    digest = hashlib.sha256(f"{delivery_id}:{attempts}".encode()).digest()
    return now + wait_s * (1.0 - _JITTER * int.from_bytes(digest[:4]) / 2**32)
