import numpy as np

from training.evaluation.cases import ScoredCase
from training.evaluation.classification import classification_section
from training.evaluation.document import Report, figure_table
from training.evaluation.page import render


def _cases(count: int) -> list[ScoredCase]:
    random = np.random.default_rng(5)
    cases = []
    for number in range(count):
        probability = float(random.random())
        positive = bool(random.random() < probability)
        scores = {"feature model": probability, "network": float(random.random())}
        cases.append(ScoredCase(f"c{number}", f"P{number // 2}", positive, scores, {"maker": "AB"[number % 2]}))
    return cases


def test_each_model_has_discrimination_operating_points_and_calibration() -> None:
    section = classification_section(_cases(60), "malignant", "benign")
    figures = {(figure.name, figure.of): figure.interval for figure in section.figures}
    assert figures["AUC", "feature model"].estimate > 0.7 > figures["AUC", "network"].estimate
    assert (figures["AUC", "network"].cases, figures["AUC", "network"].patients) == (60, 30)
    assert figures["ECE", "feature model"].estimate < figures["ECE", "network"].estimate
    assert {"accuracy", "sensitivity", "specificity", "Brier", "sensitivity at specificity 0.9"} <= {
        name for name, _ in figures
    }
    assert len(section.pictures) == 4
    assert [table.title for table in section.tables] == [
        "AUC of the feature model by subgroup",
        "AUC of the network by subgroup",
    ]
    assert "malignant" in render(Report("t", {}, (), (section,)))


def test_cases_of_one_class_have_no_area_and_no_curve() -> None:
    alike = [ScoredCase(f"c{n}", f"P{n}", positive=True, scores={"network": 0.2 * n}) for n in range(4)]
    section = classification_section(alike, "malignant", "benign")
    table = figure_table(section.figures)
    row = dict(zip(table.columns, table.rows[0], strict=True))
    assert row["AUC"] == "–"
    assert row["sensitivity"].startswith("0.250")
    assert not any(picture.caption == "ROC." for picture in section.pictures)
