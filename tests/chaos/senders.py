"""Senders that keep sending: over several associations, studies interleaved, again what was not acknowledged."""

import random
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from tests.chaos.journal import NO_ANSWER, SUCCESS, Journal
from tests.chaos.studies import Outgoing, series
from tests.chaos.wire import CT, EXPLICIT_LITTLE, FRAGMENT_BYTES, MR, Connection, Gone, Rejected, c_store_rq, message

CONTEXTS = ((CT, (EXPLICIT_LITTLE,)), (MR, (EXPLICIT_LITTLE,)))
CONTEXT_IDS = {CT: 1, MR: 3}
PAUSE_S = 0.05
ABORT_BYTES = 10
OPEN_SERIES = 4
OUT_OF_RESOURCES = range(0xA700, 0xA800)
JOIN_S = 300.0


@dataclass(frozen=True, slots=True)
class Manners:
    """How senders behave.

    Attributes:
        jobs: share of series of which a job is made.
        duplicates: share of instances that are sent again although they were acknowledged.
        aborts: share of instances of which only a part is sent, before an abort, a reset or a plain close.
        count: instances of a series.
        batch: the most instances of one association.
        fragments: sizes of PDVs to choose from.
    """

    jobs: float = 0.1
    duplicates: float = 0.05
    aborts: float = 0.0
    count: int = 6
    batch: int = 12
    fragments: tuple[int, ...] = (1000, 16_384, FRAGMENT_BYTES, 1 << 20)


class Stock:
    """What is to be sent. New series come as `release` allows; what fails comes back."""

    def __init__(self, name: str, seed: int, manners: Manners) -> None:
        self._name = name
        self._chance = random.Random(seed)
        self._manners = manners
        self._changed = threading.Condition()
        self._open: list[list[Outgoing]] = []
        self._again: deque[Outgoing] = deque()
        self._sent: list[Outgoing] = []
        self._allowed = 0
        self._out = 0
        self._made = 0
        self._finishing = False

    def release(self, count: int) -> None:
        """Allow so many more instances to be sent."""
        with self._changed:
            self._allowed += count
            self._changed.notify_all()

    def withhold(self) -> None:
        """Take back what was released and is not begun."""
        with self._changed:
            self._allowed = 0

    def finish(self) -> None:
        """Begin no series beyond what was released; those that were begun are sent to their end."""
        with self._changed:
            self._finishing = True
            self._changed.notify_all()

    def abandon(self) -> None:
        """Send nothing more."""
        with self._changed:
            self._finishing, self._allowed, self._out = True, 0, 0
            self._open.clear()
            self._again.clear()
            self._changed.notify_all()

    def take(self, count: int) -> list[Outgoing]:
        """The next to send, at least one, each to be settled; waits for that. Nothing: all was sent."""
        with self._changed:
            self._changed.wait_for(lambda: self._again or self._has_new() or self._is_over())
            taken = [outgoing for outgoing in (self._next() for _ in range(count)) if outgoing is not None]
            self._out += len(taken)
            return taken

    def settle(self, outgoing: Outgoing, *, acknowledged: bool) -> None:
        """What became of one that was taken."""
        with self._changed:
            self._out -= 1
            (self._sent if acknowledged else self._again).append(outgoing)
            self._changed.notify_all()

    def _is_over(self) -> bool:
        return self._finishing and not self._has_new() and not self._again and not self._out

    def _has_new(self) -> bool:
        return self._allowed > 0 or (self._finishing and bool(self._open))

    def _next(self) -> Outgoing | None:
        if self._again and (self._chance.random() < 0.5 or not self._has_new()):
            return self._again.popleft()
        if not self._has_new():
            return None
        self._allowed -= 1
        if self._sent and self._chance.random() < self._manners.duplicates:
            return self._chance.choice(self._sent[-1000:])
        return self._new()

    def _new(self) -> Outgoing:
        while len(self._open) < OPEN_SERIES and self._allowed >= 0:
            self._made += 1
            made = series(
                f"{self._name}.{self._made}", self._manners.count, with_job=self._chance.random() < self._manners.jobs
            )
            self._chance.shuffle(made)
            self._open.append(made)
        chosen = self._chance.choice(self._open)
        outgoing = chosen.pop()
        if not chosen:
            self._open.remove(chosen)
        return outgoing


class Sender(threading.Thread):
    """One peer: association after association, until the stock is empty."""

    def __init__(self, address: tuple[str, int], stock: Stock, journal: Journal, seed: int, manners: Manners) -> None:
        super().__init__(name=f"sender-{seed}", daemon=True)
        self._address = address
        self._stock = stock
        self._journal = journal
        self._chance = random.Random(seed)
        self._manners = manners
        self._pause = threading.Event()
        self.surprises: list[str] = []
        """What no node may answer, whatever happens to it."""

    def run(self) -> None:
        while batch := self._stock.take(self._chance.randint(1, self._manners.batch)):
            left = deque(batch)
            try:
                self._associate(left)
            except Gone as gone:
                if isinstance(gone, Rejected) and gone.is_transient:
                    self._journal.reject()
                elif isinstance(gone, Rejected):
                    self.surprises.append(f"association {gone}")
                self._pause.wait(PAUSE_S)
            except Exception as error:  # a thread that dies would be waited for
                self.surprises.append(f"the sender broke: {error!r}")
                raise
            finally:
                for outgoing in left:
                    self._stock.settle(outgoing, acknowledged=False)

    def _associate(self, left: deque[Outgoing]) -> None:
        with Connection.open(self._address) as connection:
            connection.associate("DICOM-NODE", "CHAOS", CONTEXTS)
            while left:
                self._send(connection, left)
            connection.release()

    def _send(self, connection: Connection, left: deque[Outgoing]) -> None:
        outgoing, status = left[0], NO_ANSWER
        dataset = outgoing.dataset()
        self._journal.begin(outgoing, dataset)
        try:
            if self._chance.random() < self._manners.aborts:
                self._break_off(connection, outgoing, dataset)
            context_id, fragment = CONTEXT_IDS[outgoing.sop_class_uid], self._chance.choice(self._manners.fragments)
            status = connection.store(context_id, outgoing.sop_class_uid, outgoing.sop_instance_uid, dataset, fragment)
        finally:
            self._journal.end(outgoing, status)
        self._stock.settle(left.popleft(), acknowledged=status == SUCCESS)
        if status in OUT_OF_RESOURCES:
            self._pause.wait(PAUSE_S)
        elif status != SUCCESS:
            self.surprises.append(f"{outgoing.sop_instance_uid}: status {status:04X}H")

    def _break_off(self, connection: Connection, outgoing: Outgoing, dataset: bytes) -> None:
        """Send the message up to any byte of it, and go."""
        request = c_store_rq(outgoing.sop_class_uid, outgoing.sop_instance_uid, 1)
        fragment = min(self._chance.choice(self._manners.fragments), connection.largest_pdu - 6)
        whole = b"".join(message(CONTEXT_IDS[outgoing.sop_class_uid], request, dataset, fragment))
        # An A-ABORT in the middle of a PDU reads as its content: it must not be what completes the message.
        connection.send(whole[: self._chance.randrange(len(whole) - ABORT_BYTES)])
        self._chance.choice([connection.abort, connection.reset, connection.socket.close])()
        raise Gone("broken off")


@contextmanager
def sending(
    address: tuple[str, int], stock: Stock, journal: Journal, seed: int, manners: Manners, count: int = 4
) -> Iterator[Sequence[Sender]]:
    """So many senders for the length of the block; at its end everything is sent and acknowledged.

    Raises:
        AssertionError: a sender met what it never should, or did not come to its end.
    """
    senders = [Sender(address, stock, journal, seed * 1000 + number, manners) for number in range(count)]
    for sender in senders:
        sender.start()
    try:
        yield senders
    except BaseException:
        stock.abandon()
        raise
    stock.finish()
    for sender in senders:
        sender.join(JOIN_S)
    assert not any(sender.is_alive() for sender in senders), f"not everything could be sent within {JOIN_S} s"
    surprises = [surprise for sender in senders for surprise in sender.surprises]
    assert not surprises, surprises[:20]
