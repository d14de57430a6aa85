"""The Markdown of `make evaluate`."""

from collections.abc import Sequence
from typing import Any

ANSWERS = {True: "yes", False: "**no**", None: "either"}


def as_markdown(results: Sequence[dict[str, Any]]) -> str:
    """A chapter for each engine; every figure with its number of cases."""
    chapters = [_chapter(result) for result in results]
    head = (
        "# Shipped engines on real cases\n\n"
        "Written by `make evaluate` (bench/evaluate_real.py) on the CPU. Each line is one case (n = 1). Real cases were never "
        "trained on, but they were looked at while the engines were made: they are no blind test.\n"
    )
    return "\n".join([head, *chapters])


def _chapter(result: dict[str, Any]) -> str:
    identity = result["identity"]
    lines = [f"## {result['engine']}\n"]
    if result["failure"]:
        return "\n".join([*lines, f"The engine failed and was not evaluated: {result['failure']}\n"])
    lines.append(
        f"{identity['model']} {identity['version']}, weights {identity['SHA-256 of the weights'][:12]}, {identity['ran on']}.\n"
    )
    if result["lines"]:
        lines += ["| case | content | outcome | as expected | figures | s | said |", "|---|---|---|---|---|---|---|"]
        lines += [_row(line) for line in result["lines"]]
        lines.append(f"\n{_expected(result['lines'])}\n")
    for figure in result["figures"]:
        lines.append(f"- {figure['text']}")
    return "\n".join(lines) + "\n"


def _row(line: dict[str, Any]) -> str:
    cells = (
        line["case"],
        line["content"],
        line["outcome"],
        ANSWERS[line["as_expected"]] if line["outcome"] != "missing" else "",
        _figures(line),
        f"{line['seconds']:g}",
        line["said"],
    )
    return "| " + " | ".join(str(cell).replace("|", "/") for cell in cells) + " |"


def _figures(line: dict[str, Any]) -> str:
    scored = [
        f"{name}: Dice {score['dice']:.3f}, {score['found_ml']:.0f} of {score['truth_ml']:.0f} ml"
        for name, score in line["scores"].items()
    ]
    others = {key: ml for key, ml in line["found_ml"].items() if key not in line["scores"]}
    if len(others) > 6:
        total = sum(others.values())
        return "; ".join([*scored, f"{len(others)} segments of {total:.1f} ml in all"])
    return "; ".join([*scored, *(f"{key} {ml:.4g} ml" for key, ml in others.items())])


def _expected(lines: Sequence[dict[str, Any]]) -> str:
    judged = [line for line in lines if line["as_expected"] is not None]
    right = sum(line["as_expected"] for line in judged)
    missing = [line["case"] for line in lines if line["outcome"] == "missing"]
    gone = f" Not here: {', '.join(missing)}." if missing else ""
    return f"As expected: {right} of {len(judged)} cases.{gone}"
