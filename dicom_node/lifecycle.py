"""The one transition table of jobs and deliveries; nothing else changes a state.

```
            claim            finish
  queued ──────────▶ running ──────────▶ done
    ▲  ▲               │ │ │  sent        ▲
    │  └─ retry ───────┘ │ ├──────────▶ awaiting ── confirm
    │                    │ │               │
    │       refuse, hold ▼ ▼               │ retry (resend)
    └─ requeue ─── failed, held ◀──────────┘
```
`superseded` ends whatever a newer revision replaces before it was done; `cancelled` is a person's word. What is done is
neither. What ran while it was superseded or cancelled keeps that state: its outcome is only noted.
"""

from enum import StrEnum

from dicom_node.errors import IllegalTransitionError


class State(StrEnum):
    """Where a job or a delivery stands."""

    QUEUED = "queued"
    RUNNING = "running"
    AWAITING = "awaiting"  # stored by the destination, storage commitment not yet reported
    DONE = "done"
    FAILED = "failed"  # refused for good: dead letter, a person may requeue it
    HELD = "held"  # the node's own check stopped it
    SUPERSEDED = "superseded"  # a newer revision replaced it
    CANCELLED = "cancelled"


class Change(StrEnum):
    """Why a state changes."""

    CLAIM = "claim"
    FINISH = "finish"
    SEND = "send"
    CONFIRM = "confirm"
    RETRY = "retry"  # transient failure or interruption: again, later
    REFUSE = "refuse"
    HOLD = "hold"
    REQUEUE = "requeue"
    SUPERSEDE = "supersede"
    CANCEL = "cancel"


TRANSITIONS: dict[tuple[State, Change], State] = {
    (State.QUEUED, Change.CLAIM): State.RUNNING,
    (State.QUEUED, Change.SUPERSEDE): State.SUPERSEDED,
    (State.QUEUED, Change.CANCEL): State.CANCELLED,
    (State.QUEUED, Change.REQUEUE): State.QUEUED,
    (State.RUNNING, Change.FINISH): State.DONE,
    (State.RUNNING, Change.SEND): State.AWAITING,
    (State.RUNNING, Change.RETRY): State.QUEUED,
    (State.RUNNING, Change.REFUSE): State.FAILED,
    (State.RUNNING, Change.HOLD): State.HELD,
    (State.RUNNING, Change.SUPERSEDE): State.SUPERSEDED,
    (State.RUNNING, Change.CANCEL): State.CANCELLED,
    (State.AWAITING, Change.CONFIRM): State.DONE,
    (State.AWAITING, Change.RETRY): State.QUEUED,
    (State.AWAITING, Change.REFUSE): State.FAILED,
    (State.AWAITING, Change.SUPERSEDE): State.SUPERSEDED,
    (State.AWAITING, Change.CANCEL): State.CANCELLED,
    (State.FAILED, Change.REQUEUE): State.QUEUED,
    (State.FAILED, Change.SUPERSEDE): State.SUPERSEDED,
    (State.FAILED, Change.CANCEL): State.CANCELLED,
    (State.HELD, Change.REQUEUE): State.QUEUED,
    (State.HELD, Change.SUPERSEDE): State.SUPERSEDED,
    (State.HELD, Change.CANCEL): State.CANCELLED,
    (State.CANCELLED, Change.REQUEUE): State.QUEUED,
    (State.DONE, Change.REQUEUE): State.QUEUED,  # a person asks to run or send it again
}

OPEN = frozenset({State.QUEUED, State.RUNNING, State.AWAITING})


def after(state: State, change: Change) -> State:
    """The state that follows.

    Raises:
        IllegalTransitionError: the table has no such change.
    """
    try:
        return TRANSITIONS[state, change]
    except KeyError:
        raise IllegalTransitionError(f"{state} cannot {change}") from None
