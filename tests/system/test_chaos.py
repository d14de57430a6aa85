"""The scenarios of `make chaos`, short, with a fixed seed; and that their verdict sees what it should."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.chaos.arena import Arena, arena
from tests.chaos.disks import cannot_mount
from tests.chaos.scenarios import SCENARIOS
from tests.chaos.senders import Manners
from tests.chaos.spooled import Spooled
from tests.chaos.verdict import LedgerView, job_problems, ledger_problems, result_problems

SEED = 20261121
SECOND_JOB = """
INSERT INTO jobs SELECT id + 900, study_instance_uid, series_instance_uid, engine, revision + 1, 'other', state, attempts,
    interruptions, not_before, priority, created_at, updated_at, as_of, calling_ae_title, reason, remark, destinations, summary,
    worker, predecessors FROM jobs;
INSERT INTO job_inputs SELECT job_id + 900, sop_instance_uid, role FROM job_inputs;
"""


WRONG_LEDGERS = (
    ("DELETE FROM instances WHERE id = 1", "without a row"),
    ("DELETE FROM jobs", "0 jobs on all its"),
    ("UPDATE jobs SET state = 'failed'", "doubled or not ended"),
    (SECOND_JOB, "2 jobs on all its"),
    ("UPDATE results SET current = 0", "0 current results"),
    ("UPDATE results SET sop_instance_uid = sop_instance_uid || '.1'", "at the PACS, but no result"),
    ("UPDATE deliveries SET state = 'failed'", "not delivered"),
    ("INSERT INTO quarantined VALUES ('x', 'y', 0)", "in quarantine"),
)


@pytest.mark.parametrize("name", sorted(SCENARIOS.keys() - {"duplicates"}))  # which the next test is
def test_chaos_loses_nothing_doubles_nothing_and_harms_no_other(name: str, tmp_path: Path) -> None:
    scenario = SCENARIOS[name]
    if scenario.needs_mount and (reason := cannot_mount()):
        pytest.skip(reason)
    assert scenario.run(tmp_path, SEED, scenario.short).acknowledged > 0


def test_the_verdict_sees_what_is_lost_cut_doubled_or_wrong(tmp_path: Path) -> None:
    manners = Manners(jobs=1.0, count=4, duplicates=0.5)
    with arena(tmp_path / "settled", SEED) as made:
        stock = made.stock(manners)
        with made.sending(stock, manners):
            stock.release(24)
        made.require_settled()
        made.victim.node.stop()
        assert not problems(made)
        assert_wrong_files_are_seen(made)
        for number, (statement, said) in enumerate(WRONG_LEDGERS):
            copy = tmp_path / str(number)
            copy.mkdir()
            shutil.copy(made.victim.node.state / "ledger.sqlite", copy)
            with closing(sqlite3.connect(copy / "ledger.sqlite")) as connection:
                connection.executescript(statement)
            assert any(said in problem for problem in problems(made, LedgerView(copy))), statement


def problems(made: Arena, ledger: LedgerView | None = None) -> list[str]:
    """What the verdict says, read anew."""
    assert made.pacs is not None
    view, spooled = ledger or made.ledger, Spooled(made.victim.node.state)
    found = [*spooled.problems(made.journal)]
    if not any("cut" in problem for problem in found):
        found += [*ledger_problems(spooled, view, made.journal)]
    return [*found, *job_problems(view, made.journal), *result_problems(view, made.pacs)]


def assert_wrong_files_are_seen(made: Arena) -> None:
    path = next(iter(made.spooled.files()))
    content, second = path.read_bytes(), path.with_stem("second")
    path.unlink()
    assert any("acknowledged, but lost" in problem for problem in problems(made))
    path.write_bytes(content[:-2])
    assert any("not what was sent" in problem for problem in problems(made))
    path.write_bytes(content[:150])
    assert any("cut after" in problem for problem in problems(made))
    path.write_bytes(content)
    second.write_bytes(content)
    doubled = {"second.dcm: a file without a row", f"{made.spooled.files()[path].sop_instance_uid}: 2 files"}
    assert doubled <= {*problems(made)}
    second.unlink()
    assert not problems(made)
