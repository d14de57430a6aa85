"""`python -m tests.fuzz TARGET`: coverage-guided, for so many seconds; a crash leaves its input and ends with a status."""

import argparse
import hashlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["dicom_node", "pydicom"]):
    from tests.fuzz.targets import LARGEST_SEED_BYTES, TARGETS, seeds

from tests.real_data import DEFAULT, RealData


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", choices=list(TARGETS))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--corpus", type=Path, help="folder that keeps what was found; a new one otherwise")
    told = parser.parse_args()
    corpus = told.corpus or Path(tempfile.mkdtemp(prefix=f"fuzz-{told.target}-"))
    corpus.mkdir(parents=True, exist_ok=True)
    for content in [*seeds(told.target), *(real_files() if told.target == "header" else ())]:
        (corpus / hashlib.sha256(content).hexdigest()[:16]).write_bytes(content)
    options = [f"-seed={told.seed}", f"-max_total_time={told.seconds}", "-max_len=65536", "-timeout=30", "-print_final_stats=1"]
    atheris.Setup([sys.argv[0], *options, f"-artifact_prefix={corpus}/crash-", str(corpus)], TARGETS[told.target])
    atheris.Fuzz()


def real_files() -> Iterator[bytes]:
    """Small files of the real images beside the repository, whole and broken, where they are."""
    if not list(DEFAULT.glob("odd_and_interop_dev*")):
        return
    with tempfile.TemporaryDirectory() as folder:
        for path in sorted(RealData(DEFAULT, Path(folder)).folder("odd_and_interop_dev").rglob("*.dcm")):
            if path.stat().st_size <= LARGEST_SEED_BYTES:
                yield path.read_bytes()


if __name__ == "__main__":
    main()
