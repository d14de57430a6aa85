"""kill -9, and senders that err: nothing acknowledged is lost, nothing half-written is seen, no job is lost or doubled."""

from pathlib import Path

from tests.chaos.arena import Arena, Outcome, arena
from tests.chaos.senders import Manners

WHOM = ("receive", "worker", "process", "inference")
LONGEST_MOMENT_S = 0.8
EACH_KILL = 60
"""Instances that are released for sending between two kills."""


def kill(directory: Path, seed: int, rounds: int) -> Outcome:
    """Any process of the node is killed at random moments while four senders send."""
    manners = Manners(aborts=0.02)
    with arena(directory, seed) as made:
        stock = made.stock(manners)
        with made.sending(stock, manners):
            for turn in range(rounds):
                stock.release(EACH_KILL)
                made.moment(LONGEST_MOMENT_S)
                made.victim.kill(_whom(made, turn), made.chance)
                made.require_kept()
        made.require_settled(300.0)
        kills = ", ".join(f"{who} {count}" for who, count in sorted(made.victim.kills.items()))
        return made.outcome("kill", f"{sum(made.victim.kills.values())} kills: {kills}")


def _whom(made: Arena, turn: int) -> str:
    """Each in turn first, so that a short run has all; then at random."""
    return WHOM[turn] if turn < len(WHOM) else made.chance.choice(WHOM)


def aborts(directory: Path, seed: int, rounds: int) -> Outcome:
    """Every third instance breaks off at any byte of its message: by A-ABORT, reset or plain close; then it is sent again."""
    manners = Manners(aborts=0.33, duplicates=0.0)
    with arena(directory, seed, receive_only=True) as made:
        before = made.victim.usage()
        stock = made.stock(manners)
        with made.sending(stock, manners):
            stock.release(rounds)
        made.require_settled()
        after = made.victim.usage()
        return made.outcome("aborts", f"{rounds} instances", f"descriptors {before.descriptors} → {after.descriptors}")


def duplicates(directory: Path, seed: int, rounds: int) -> Outcome:
    """Half of what is sent was sent before, over other associations, studies interleaved: one file, one row, one job each."""
    manners = Manners(jobs=0.2, duplicates=0.5, count=8)
    with arena(directory, seed) as made:
        stock = made.stock(manners)
        with made.sending(stock, manners):
            stock.release(rounds)
        made.require_settled(300.0)
        return made.outcome("duplicates", f"{rounds} instances")
