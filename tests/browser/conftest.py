import subprocess
import sys
from pathlib import Path

import pytest

from tests.browser.case import Case
from tests.browser.npm import Programs, find_programs


@pytest.fixture(scope="session")
def programs(request: pytest.FixtureRequest) -> Programs:
    """Node, Chromium and its driver; skips where one is missing."""
    cache = request.config.cache
    assert cache is not None
    return find_programs(cache.mkdir("viewer"))


@pytest.fixture(scope="session")
def chest_case(chest_ct: Path, tmp_path_factory: pytest.TempPathFactory) -> Case:
    """The real chest CT and what the program makes of it."""
    results = tmp_path_factory.mktemp("results")
    command = [sys.executable, "-m", "dicom_node.cli", "infer", "lung-segmentation", str(chest_ct), "--output", str(results)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return Case(chest_ct, results)
