"""Every shipped engine over the real cases beside the repository: a table, figures for programs, and pictures.

`make evaluate` writes bench/results/evaluate_real.md and .json, and the pictures beside them. Each engine runs in a process
of its own: one that fails does not stop the others, and the table says so. One command line:
`python -m bench.evaluate_real [--engine NAME ...] [--case NAME ...]`.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from bench.real_cases import ANALYSED, CASES, RealCase
from bench.real_nodules import nodule_figures
from bench.real_projections import projection_lines
from bench.real_tables import as_markdown
from engine.api import Refusal
from engine.findings import Outcome
from engine.loading import available, engine_class
from tests.real_data import DEFAULT, RealData, find_real_data
from training.evaluation.run import REFUSED, evaluate_case
from training.evaluation.subject import Subject, identity_of

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).with_name("results")
NAME = "evaluate_real"
TOLERANCE_MM = 2.0
CACHE = ROOT / ".pytest_cache" / "d" / "real-images"
MISSING, FAILED = "missing", "failed"


@dataclass(frozen=True)
class Line:
    """One engine on one case.

    Attributes:
        outcome: of the findings, "refused", or "missing" where the archive is not here.
        as_expected: None where either answer may be right, or the case is missing.
        found_ml: segment -> volume.
        scores: structure -> figures, where there is a truth.
    """

    engine: str
    case: str
    content: str
    outcome: str
    as_expected: bool | None
    said: str = ""
    found_ml: dict[str, float] = field(default_factory=dict)
    scores: dict[str, dict[str, float]] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True)
class EngineResult:
    """All that one engine did.

    Attributes:
        failure: why it did not come to an end; empty if it did.
        figures: of labelled extracts (nodules), ready to print.
    """

    engine: str
    identity: dict[str, str]
    lines: tuple[Line, ...] = ()
    figures: tuple[dict[str, Any], ...] = ()
    failure: str = ""


def shipped() -> tuple[str, ...]:
    """The engines that have a model of their own."""
    return tuple(name for name in available() if hasattr(sys.modules[engine_class(name).__module__], "DEFAULT_PACKAGE"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", action="append", choices=shipped(), help="only this one; may be repeated")
    parser.add_argument("--case", action="append", choices=[case.name for case in CASES], help="only this one; may be repeated")
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--alone", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    cases = [case for case in CASES if not chosen.case or case.name in chosen.case]
    pictures = chosen.output / "pictures"
    pictures.mkdir(parents=True, exist_ok=True)
    if chosen.alone:
        made = evaluate_engine(chosen.engine[0], cases, real_data(), pictures)
        chosen.alone.write_text(json.dumps(asdict(made), allow_nan=False), encoding="utf-8")
        return
    real_data()
    results = [in_its_own_process(engine, chosen) for engine in chosen.engine or shipped()]
    (chosen.output / f"{NAME}.json").write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    text = as_markdown(results)
    (chosen.output / f"{NAME}.md").write_text(text, encoding="utf-8")
    print(text)
    if any(result["failure"] for result in results):
        sys.exit("at least one engine failed: see the table")


def in_its_own_process(engine: str, chosen: argparse.Namespace) -> dict[str, Any]:
    """The result of one engine; a failure of its process is a result too."""
    print(f"{engine} ...", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        words = [word for case in chosen.case or () for word in ("--case", case)]
        command = [sys.executable, "-m", "bench.evaluate_real", "--engine", engine, "--alone", str(answer), *words]
        ended = subprocess.run(
            [*command, "--output", str(chosen.output)], cwd=ROOT, check=False, stderr=subprocess.PIPE, text=True
        )
        if ended.returncode == 0:
            found: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
            return found
    last = (ended.stderr.strip().splitlines() or [f"exit status {ended.returncode}"])[-1]
    return asdict(EngineResult(engine, {"engine": engine}, failure=last.replace(f"{ROOT}/", "")))


def evaluate_engine(name: str, cases: Sequence[RealCase], data: RealData, pictures: Path) -> EngineResult:
    """One engine on all cases, and on labelled extracts where there are some for it."""
    subject = Subject(name, device="cpu")
    engine = subject.load()
    if hasattr(engine, "analyse_images"):
        lines = tuple(Line(engine=name, **line) for line in projection_lines(engine, data))
    else:
        lines = tuple(evaluate_line(engine, case, data, pictures) for case in cases)
    figures = tuple(nodule_figures(data)) if name == "nodule-malignancy" else ()
    return EngineResult(name, identity_of(engine), lines, figures)


def evaluate_line(engine: Any, case: RealCase, data: RealData, pictures: Path) -> Line:
    """One engine on one case; a picture where anything is labelled or found."""
    line = Line(engine.info.name, case.name, case.content, MISSING, None)
    try:
        labelled = case.read(data)
    except pytest.skip.Exception as missing:
        return replace(line, said=str(missing))
    except Refusal as refusal:
        return replace(line, outcome=REFUSED, as_expected=_as_expected(engine.info.name, case, REFUSED), said=str(refusal))
    truth = {key: mask for key, mask in labelled.truth.items() if key in STRUCTURES.get(engine.info.name, ())}
    result = evaluate_case(engine, replace(labelled, truth=truth), TOLERANCE_MM)
    if result.picture:
        (pictures / f"{engine.info.name}--{case.name}.png").write_bytes(result.picture)
    return replace(
        line,
        outcome=result.outcome,
        as_expected=_as_expected(engine.info.name, case, result.outcome),
        said=result.reason or " ".join(result.remarks),
        found_ml={key: round(value, 2) for key, value in result.found_ml.items()},
        scores={
            score.structure: {
                "dice": round(score.dice, 4),
                "surface_dice": round(score.surface_dice, 4),
                **(
                    {}
                    if score.hausdorff_95_mm != score.hausdorff_95_mm
                    else {"hausdorff_95_mm": round(score.hausdorff_95_mm, 2)}
                ),
                "truth_ml": round(score.truth_ml, 2),
                "found_ml": round(score.found_ml, 2),
            }
            for score in result.structures
        },
        seconds=round(result.seconds, 1),
    )


STRUCTURES = {
    "lung-segmentation": ("right-lung", "left-lung"),
    "liver-tumor": ("liver", "lesion"),
    "brain-tumor": ("tumour",),
}
"""What of a case's truth is the engine's business."""


def _as_expected(engine: str, case: RealCase, outcome: str) -> bool | None:
    expected = case.expected.get(engine)
    if expected is None:
        return None
    analysed = outcome in (Outcome.FINDINGS.value, Outcome.PARTLY_ANALYSED.value)
    return (expected == ANALYSED) == analysed


def real_data() -> RealData:
    """The archives, unpacked where the tests unpack them."""
    CACHE.mkdir(parents=True, exist_ok=True)
    try:
        return find_real_data(CACHE)
    except pytest.skip.Exception:
        sys.exit(f"the real images are not at {DEFAULT.name}: set DICOM_NODE_DATA to their directory")


if __name__ == "__main__":
    main()
