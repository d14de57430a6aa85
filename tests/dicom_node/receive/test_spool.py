import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dicom_node.receive.spool import Spool, StoredFile

ROOT = Path(__file__).parents[3]


def keep(spool: Spool, content: bytes) -> StoredFile:
    with spool.open() as incoming:
        incoming.write(content)
        return incoming.commit()


def all_files(spool: Spool) -> list[Path]:
    return sorted(path for path in spool.root.rglob("*") if path.is_file())


def test_a_committed_file_is_whole_and_says_when_it_came(spool: Spool) -> None:
    stored = keep(spool, b"dataset")
    assert stored.path.read_bytes() == b"dataset"
    assert stored.size_bytes == 7
    assert stored.received_at == stored.path.stat().st_mtime
    assert stored.path.parent.parent.parent == spool.instances
    assert all_files(spool) == [stored.path]


def test_files_and_directories_are_closed_to_others(spool: Spool) -> None:
    stored = keep(spool, b"x")
    assert stored.path.stat().st_mode & 0o7 == 0
    assert stored.path.parent.stat().st_mode & 0o7 == 0


def test_a_file_that_is_not_committed_leaves_nothing(spool: Spool) -> None:
    with spool.open() as incoming:
        incoming.write(b"half")
    assert not all_files(spool)


def test_the_same_content_twice_makes_two_files(spool: Spool) -> None:
    assert keep(spool, b"x").path != keep(spool, b"x").path


def test_leftovers_of_an_earlier_process_are_dropped_and_files_are_kept(spool: Spool) -> None:
    stored = keep(spool, b"x")
    spool.open().write(b"half")
    again = Spool(spool.root)
    assert again.drop_leftovers() == 1
    assert all_files(again) == [stored.path]


def test_all_files_are_found_again_in_order_of_arrival(spool: Spool) -> None:
    stored = [keep(spool, bytes([number])) for number in range(20)]
    assert [file for directory in Spool(spool.root).directories() for file in directory] == stored


def test_a_quarantined_file_keeps_its_time_and_is_found_again(spool: Spool) -> None:
    stored = keep(spool, b"x")
    path = spool.quarantine(stored.path)
    assert path == spool.quarantine(path)
    assert [file for directory in spool.directories() for file in directory] == [StoredFile(path, 1, stored.received_at)]


def test_a_directory_that_retention_removed_is_made_again(spool: Spool) -> None:
    stored = keep(spool, b"x")
    shutil.rmtree(stored.path.parent.parent)
    assert keep(spool, b"y").path.read_bytes() == b"y"


def test_a_directory_that_cannot_be_synchronised_makes_nothing_visible(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(spool, b"x").path.unlink()
    synchronise = os.fsync

    def fail_on_directories(descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").is_dir():
            raise OSError(5, "Input/output error")
        synchronise(descriptor)

    with spool.open() as incoming, monkeypatch.context() as patched:
        incoming.write(b"y")
        patched.setattr(os, "fsync", fail_on_directories)
        with pytest.raises(OSError, match="Input/output error"):
            incoming.commit()
    assert not all_files(spool)


ORDER = """
import sys
from pathlib import Path
from dicom_node.receive.spool import Spool
spool = Spool(Path(sys.argv[1]))
with spool.open() as incoming:
    incoming.write(b"dataset")
    incoming.commit()
print("acknowledged", flush=True)
"""


def test_a_file_is_renamed_when_it_is_whole_then_it_and_its_directory_are_synchronised_and_only_then_is_it_acknowledged(
    tmp_path: Path,
) -> None:
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    trace = tmp_path / "trace"
    command = [strace, "-y", "-o", str(trace), "-e", "trace=write,writev,fsync,rename,renameat,renameat2,mkdir,mkdirat"]
    ran = subprocess.run(
        [*command, sys.executable, "-c", ORDER, str(tmp_path / "spool")], cwd=ROOT, capture_output=True, text=True
    )
    if ran.returncode != 0 and "PTRACE" in ran.stderr:
        pytest.skip("strace may not trace here")
    assert ran.returncode == 0, ran.stderr
    lines = [line for line in trace.read_text().splitlines() if "/spool" in line or "acknowledged" in line]
    wrote = next(number for number, line in enumerate(lines) if '"dataset"' in line)
    steps = [line.partition("(")[0] for line in lines[wrote:]]
    assert steps == ["writev", "mkdir", "fsync", "mkdir", "fsync", "rename", "fsync", "fsync", "write"]
    assert "-7.dcm" in lines[wrote + 6]
    assert lines[wrote + 7].count("instances/") == 1


def test_a_file_that_a_power_cut_tore_is_deleted_and_one_without_a_size_in_its_name_is_kept(spool: Spool) -> None:
    with spool.open() as incoming:
        incoming.write(b"all of it")
        whole = incoming.commit().path
    prefix = whole.name.rpartition("-")[0]
    torn = [whole.with_name(f"{prefix[:-1]}{digit}-{size}.dcm") for digit, size in (("g", 10), ("h", 8), ("i", 0))]
    kept = [whole.with_name(name) for name in (f"{prefix}.dcm", "of-before-naming.dcm", "other.dcm", f"{prefix}-abc.dcm")]
    for path in (*torn, *kept, spool.quarantined / torn[0].name):
        path.write_bytes(b"all of it")
    found = [file.path for directory in spool.directories() for file in directory]
    assert sorted(found) == sorted([whole, *kept])
    assert not [path for path in (*torn, spool.quarantined / torn[0].name) if path.exists()]


def test_a_torn_file_that_is_known_is_not_looked_at(spool: Spool) -> None:
    with spool.open() as incoming:
        incoming.write(b"all of it")
        whole = incoming.commit().path
    whole.write_bytes(b"less")
    assert [file for directory in spool.directories({whole}) for file in directory] == []
    assert whole.exists()


def test_after_a_start_known_files_are_looked_at_too(spool: Spool) -> None:
    kept, torn = keep(spool, b"whole"), keep(spool, b"whole too")
    torn.path.write_bytes(b"wh")
    known = {kept.path, torn.path}
    assert [file for found in spool.directories(known) for file in found] == []
    assert torn.path.exists()
    assert [file for found in spool.directories(known, after_start=True) for file in found] == []
    assert all_files(spool) == [kept.path]
