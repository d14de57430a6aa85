"""The rules of form that no linter knows."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "base", "manager"}
REGISTRY_HOSTS = tuple(
    r"\.".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("download", "pytorch", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("anaconda", "org"),
        ("deb", "debian", "org"),
        ("archive", "ubuntu", "com"),
        ("docker", "io"),
        ("ghcr", "io"),
    )
)
NEVER_NAMED = re.compile(rf"(?<![\w.*-])/(?:work|tmp|root|home)/\w|{'|'.join(REGISTRY_HOSTS)}")
HEAVY = {"torch", "monai", "SimpleITK", "highdicom", "engine"}


@pytest.fixture(scope="module")
def files() -> list[Path]:
    """What the repository holds: tracked, or new and not ignored."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: which files belong to the repository is not known")
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout.split(b"\0")
    found = [ROOT / os.fsdecode(name) for name in names if name]
    return [path for path in found if path.is_file() and path.name != "LICENSE"]


@pytest.fixture(scope="module")
def modules(files: list[Path]) -> list[Path]:
    return [path for path in files if path.suffix == ".py"]


def test_no_function_is_longer_than_50_lines(modules: list[Path]) -> None:
    long = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}: {lines}"
        for path in modules
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (node.end_lineno or node.lineno) - node.lineno + 1) > 50
    ]
    assert not long


def test_no_file_is_longer_than_400_lines(modules: list[Path]) -> None:
    long = {path.relative_to(ROOT): lines for path in modules if (lines := len(path.read_text().splitlines())) > 400}
    assert not long


def test_no_module_has_a_name_that_says_nothing(modules: list[Path]) -> None:
    assert not [path for path in modules if FORBIDDEN_NAMES & {*path.relative_to(ROOT).parts, path.stem}]


def test_no_test_waits_for_a_fixed_time(modules: list[Path]) -> None:
    tests = [path for path in modules if path.is_relative_to(ROOT / "tests")]
    waits = [f"{path.relative_to(ROOT)}:{line}" for path in tests for line in sleeps(ast.parse(path.read_text()))]
    assert not waits, "wait on a condition with a deadline instead"


def sleeps(tree: ast.Module) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called == "sleep":
                yield node.lineno


def test_no_file_names_a_path_of_a_machine_or_a_package_registry(files: list[Path]) -> None:
    named = [
        f"{path.relative_to(ROOT)}:{number}: {found[0]}"
        for path in files
        for number, line in enumerate(path.read_bytes().splitlines(), start=1)
        if b"\0" not in line and (found := NEVER_NAMED.search(line.decode(errors="replace")))
    ]
    assert not named


def test_no_file_of_data_is_large(files: list[Path]) -> None:
    large = {path.relative_to(ROOT): size for path in files if (size := path.stat().st_size) > 12_000_000}
    assert not large


@pytest.mark.parametrize("module", ["dicom_node.receive", "dicom_node.cli"])
def test_what_must_start_fast_and_alone_loads_no_engine(module: str) -> None:
    program = f"import {module}, sys; print(*{{name.partition('.')[0] for name in sys.modules}})"
    loaded = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True, text=True)
    assert not HEAVY & set(loaded.stdout.split())


def test_the_import_contracts_hold() -> None:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as main; main()", "--no-cache"]
    checked = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_every_dependency_is_pinned() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all("==" in line and "+" not in line for line in pins)
    assert pins == sorted(pins, key=str.lower)
