"""The command as a person runs it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.node_process import EXAMPLE_ENGINE

ENGINE = f"""
[[engine]]
name = "body-air"
module = {json.dumps(str(EXAMPLE_ENGINE))}

[[rule]]
engine = "body-air"
when = {{ modality = "CT" }}
"""


def dicom_node(*arguments: object, config: Path | None = None) -> subprocess.CompletedProcess[str]:
    """`dicom-node [--config FILE] arguments`, to its end."""
    options = ["--config", str(config)] if config else []
    command = [sys.executable, "-m", "dicom_node.cli", *options, *map(str, arguments)]
    environment = {key: value for key, value in os.environ.items() if key != "DICOM_NODE_CONFIG"}
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env={**environment, "COLUMNS": "250"})


def answer(*arguments: object, config: Path | None = None, status: int = 0) -> Any:
    """What the command says with --json."""
    done = dicom_node(*arguments, "--json", config=config)
    assert done.returncode == status, done.stdout + done.stderr
    return json.loads(done.stdout)


def configuration(directory: Path, text: str = ENGINE) -> Path:
    """A file whose state lies beside it."""
    path = directory / "node.toml"
    path.write_text(f"[node]\nstate_dir = {json.dumps(str(directory / 'state'))}\n{text}")
    return path
