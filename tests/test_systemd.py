"""The units as systemd itself judges them."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SERVICES = ("dicom-node-receive.service", "dicom-node-process.service")
# What the units refer to and the system provides.
SYSTEM_TARGETS = ("sysinit", "basic", "sockets", "shutdown", "multi-user", "network-online", "local-fs")


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not shutil.which(program), reason=f"needs {program} (package systemd)")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root folder with the units installed and a stand-in for the program, which verify wants to find."""
    environment = {**os.environ, "DESTDIR": str(tmp_path), "PREFIX": "/opt/dicom-node", "RELEASE": "test"}
    subprocess.run([ROOT / "systemd/install", "files"], env=environment, check=True, capture_output=True)
    program = tmp_path / "opt/dicom-node/releases/test/venv/bin/dicom-node"
    program.parent.mkdir(parents=True)
    shutil.copy(shutil.which("true") or "/bin/true", program)
    for name in SYSTEM_TARGETS:
        (units(tmp_path) / f"{name}.target").write_text(f"[Unit]\nDescription={name}\n")
    return tmp_path


def units(root: Path) -> Path:
    return root / "usr/lib/systemd/system"


def verify(root: Path, unit: str) -> subprocess.CompletedProcess[str]:
    command = ["systemd-analyze", "verify", "--man=no", f"--root={root}", unit]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def settings(root: Path, unit: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in (units(root) / unit).read_text().splitlines():
        if re.match(r"[A-Za-z]+=", line):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


@needs("systemd-analyze")
@pytest.mark.parametrize("unit", [*SERVICES, "dicom-node-receive.socket", "dicom-node.target"])
def test_systemd_finds_nothing_wrong_with_a_unit(root: Path, unit: str) -> None:
    verified = verify(root, unit)
    assert (verified.returncode, verified.stdout, verified.stderr) == (0, "", "")


@needs("systemd-analyze")
def test_a_misspelt_key_would_be_found(root: Path) -> None:
    unit = units(root) / SERVICES[0]
    unit.write_text(unit.read_text().replace("WatchdogSec", "WatchdogSecs"))
    assert "WatchdogSecs" in verify(root, SERVICES[0]).stderr


@needs("systemd-analyze")
@pytest.mark.parametrize("unit", SERVICES)
def test_the_exposure_of_a_service_is_below_2(root: Path, unit: str) -> None:
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(units(root) / unit)]
    judged = subprocess.run(command, check=True, capture_output=True, text=True)
    exposure = re.search(r"Overall exposure level for \S+: ([0-9.]+)", judged.stdout)
    assert exposure is not None, judged.stdout
    assert float(exposure[1]) < 2.0, judged.stdout


@pytest.mark.parametrize("unit", SERVICES)
def test_a_service_tells_its_state_and_is_restarted(root: Path, unit: str) -> None:
    found = settings(root, unit)
    assert found["Type"] == ["notify"]
    assert found["Restart"] == ["always"]
    assert found["WatchdogSec"]
    assert found["KillSignal"] == ["SIGTERM"]


def test_the_gpu_stays_within_reach_of_the_processing_service(root: Path) -> None:
    found = settings(root, "dicom-node-process.service")
    assert found["PrivateDevices"] == ["no"]
    assert {"char-nvidia rw", "char-nvidia-uvm rw", "char-nvidiactl rw"} <= set(found["DeviceAllow"])
    assert found["MemoryDenyWriteExecute"] == ["no"]


def test_the_receiving_service_sees_no_device(root: Path) -> None:
    found = settings(root, "dicom-node-receive.service")
    assert found["PrivateDevices"] == ["yes"]
    assert found["MemoryDenyWriteExecute"] == ["yes"]


@needs("systemd-sysusers")
def test_the_user_of_the_services_is_created(root: Path) -> None:
    create = ["systemd-sysusers", f"--root={root}", str(root / "usr/lib/sysusers.d/dicom-node.conf")]
    subprocess.run(create, check=True, capture_output=True)
    user = next(line for line in (root / "etc/passwd").read_text().splitlines() if line.startswith("dicom-node:"))
    assert "/var/lib/dicom-node" in user
    assert user.endswith("nologin")


@needs("systemd-tmpfiles")
def test_the_folders_of_the_services_are_known_to_systemd(root: Path) -> None:
    lines = (root / "usr/lib/tmpfiles.d/dicom-node.conf").read_text().splitlines()
    folders = {line.split()[1]: line.split()[2] for line in lines if line.startswith("d ")}
    assert folders == {"/var/lib/dicom-node": "0750", "/etc/dicom-node": "0750"}
