"""`make install` into a root folder, as a package builder calls it."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROGRAM = Path("opt/dicom-node")
UNITS = ("dicom-node-receive.service", "dicom-node-process.service", "dicom-node.target")

pytestmark = pytest.mark.skipif(not shutil.which("make"), reason="needs make")


def make(target: str, destdir: Path, **variables: str) -> str:
    words = [f"{name}={value}" for name, value in {"DESTDIR": str(destdir), **variables}.items()]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    command = ["make", target, *words]
    done = subprocess.run(command, cwd=ROOT, env=environment, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_every_file_is_put_in_its_place(tmp_path: Path) -> None:
    make("install", tmp_path, RELEASE="1.2.3")
    installed = files(tmp_path)
    assert {f"usr/lib/systemd/system/{name}" for name in UNITS} <= installed
    assert {"usr/lib/sysusers.d/dicom-node.conf", "usr/lib/tmpfiles.d/dicom-node.conf", "etc/dicom-node/node.toml"} <= installed
    release = tmp_path / PROGRAM / "releases/1.2.3"
    assert (release / "source/dicom_node/errors.py").read_bytes() == (ROOT / "dicom_node/errors.py").read_bytes()
    assert (tmp_path / PROGRAM / "source").resolve() == (release / "source").resolve()
    assert not [name for name in installed if "__pycache__" in name or name.endswith(".pyc")]


def test_nothing_is_put_outside_the_named_folders(tmp_path: Path) -> None:
    make("install", tmp_path)
    assert {Path(name).parts[0] for name in files(tmp_path)} == {"etc", "opt", "usr"}
    assert {path.name for path in (tmp_path / "usr/lib").iterdir()} == {"systemd", "sysusers.d", "tmpfiles.d"}


def test_the_prefix_is_written_into_the_units(tmp_path: Path) -> None:
    make("install", tmp_path, PREFIX="/srv/node")
    for name in UNITS[:2]:
        unit = (tmp_path / "usr/lib/systemd/system" / name).read_text()
        assert "ExecStart=/srv/node/venv/bin/dicom-node --config /etc/dicom-node/node.toml serve --only" in unit
        assert "@PREFIX@" not in unit


def test_an_existing_configuration_is_kept(tmp_path: Path) -> None:
    configuration = tmp_path / "etc/dicom-node/node.toml"
    configuration.parent.mkdir(parents=True)
    configuration.write_text("# ours\n")
    assert "is kept" in make("install", tmp_path)
    assert configuration.read_text() == "# ours\n"


def test_the_configuration_is_not_readable_by_everyone(tmp_path: Path) -> None:
    make("install", tmp_path)
    assert (tmp_path / "etc/dicom-node/node.toml").stat().st_mode & 0o007 == 0


def test_an_upgrade_leaves_the_former_release_in_place(tmp_path: Path) -> None:
    make("install", tmp_path, RELEASE="1")
    make("install", tmp_path, RELEASE="2")
    program = tmp_path / PROGRAM
    assert (program / "current").readlink() == Path("releases/2")
    assert (program / "releases/1/source/pyproject.toml").exists()


def test_an_installed_release_knows_its_own_name(tmp_path: Path) -> None:
    make("install", tmp_path, RELEASE="first")
    assert (tmp_path / PROGRAM / "source/RELEASE").read_text() == "first\n"


def test_uninstall_removes_all_but_the_configuration(tmp_path: Path) -> None:
    make("install", tmp_path)
    make("uninstall", tmp_path)
    assert files(tmp_path) == {"etc/dicom-node/node.toml"}
    assert not (tmp_path / PROGRAM).exists()


def test_uninstall_leaves_alone_what_is_not_ours(tmp_path: Path) -> None:
    make("install", tmp_path)
    (tmp_path / PROGRAM / "kept-by-the-site").write_text("")
    make("uninstall", tmp_path)
    assert files(tmp_path) == {"etc/dicom-node/node.toml", "opt/dicom-node/kept-by-the-site"}
