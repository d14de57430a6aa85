"""Where a report goes: report.html for people, metrics.json for programs."""

import json
from pathlib import Path

from training.evaluation.document import Report, to_json
from training.evaluation.page import render

HTML_FILE, JSON_FILE = "report.html", "metrics.json"


def write_report(report: Report, folder: Path) -> None:
    """Write report.html and metrics.json into the folder, made if missing."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / HTML_FILE).write_text(render(report), encoding="utf-8")
    text = json.dumps(to_json(report), indent=2, ensure_ascii=False, allow_nan=False)
    (folder / JSON_FILE).write_text(text + "\n", encoding="utf-8")
