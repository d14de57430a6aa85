"""Viewers and the driver of the browser, fetched with npm once into pytest's cache; scripts that run in headless Chromium."""

import fcntl
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.pacs_servers import program

DRIVER = "playwright-core@1.65.1"
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Programs:
    """`folder` holds node_modules with the driver, and the viewers that were fetched."""

    folder: Path
    node: str
    npm: str
    chromium: str

    def run(self, script: str, *arguments: str) -> Any:
        """What a script of this folder prints, as JSON."""
        copy = self.folder / script  # beside node_modules, where node looks for the driver
        copy.write_bytes((HERE / script).read_bytes())
        variables = {**os.environ, "CHROMIUM": self.chromium}
        command = [self.node, str(copy), *arguments]
        done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr[-2000:]
        return json.loads(done.stdout)

    def package(self, name: str) -> Path:
        """The unpacked files of a viewer, without what it depends on: it is built."""
        folder = self.folder / name.replace("/", "-")
        with _made_once(folder) as needed:
            if needed:
                archive = _npm(self.npm, folder, "pack", "--silent", name).split()[-1]
                subprocess.run(["tar", "-xf", archive], cwd=folder, check=True)
                (folder / archive).unlink()
        return folder / "package"


def find_programs(cache: Path) -> Programs:
    """Skips the test where a program is missing, or npm's registry cannot be reached on the first run."""
    node, npm, chromium = program("node"), program("npm"), program("chromium")
    folder = cache / DRIVER
    with _made_once(folder) as needed:
        if needed:
            options = ("--no-save", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(folder))
            _npm(npm, folder, "install", *options, DRIVER)
    return Programs(folder, node, npm, chromium)


@contextmanager
def _made_once(folder: Path) -> Iterator[bool]:
    """Whether the folder is still to be filled; several test runs may ask at once."""
    folder.mkdir(parents=True, exist_ok=True)
    done = folder / ".done"
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield not done.exists()
        done.touch()


def _npm(npm: str, folder: Path, *arguments: str) -> str:
    done = subprocess.run([npm, *arguments], cwd=folder, capture_output=True, text=True, timeout=300)
    if done.returncode:
        pytest.skip(f"npm cannot fetch {arguments[-1]}: {done.stderr[-300:]}")
    return done.stdout
