"""Routing of real headers: a study as a PACS sends it."""

from collections import defaultdict
from pathlib import Path

from dicom_node.config import NodeConfiguration
from dicom_node.headers import ROUTING_KEYWORDS, read_instance
from dicom_node.model import Decision, Instance, Series
from dicom_node.route import StudySeries, keywords_of, route

RULES = NodeConfiguration().effective_rules()


def decisions(folder: Path) -> dict[str, Decision]:
    """By Modality and Series Description."""
    found: dict[str, list[Instance]] = defaultdict(list)
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and p.suffix in {"", ".dcm"}):
        instance = read_instance(path, received_at=0.0, keywords=keywords_of(RULES))
        found[instance.series_instance_uid].append(instance)
    all_series = [Series(uid, instances[0].study_instance_uid, tuple(instances)) for uid, instances in found.items()]
    study = [StudySeries(series) for series in all_series]
    return {
        f"{s.first('Modality')} {s.first('SeriesDescription')}": route(s, RULES, study=study).decisions[0] for s in all_series
    }


def test_of_a_whole_study_the_ct_is_run_and_everything_else_is_explained(whole_study: Path) -> None:
    told = decisions(whole_study)
    assert [name for name, decision in told.items() if decision.chosen] == ["CT CT IMAGES"]
    assert told["CT CT IMAGES"].reason.startswith("the rule matches (CT, 135 slices, 3.75 mm, kernel SOFT)")
    assert told["CT SCOUT"].reason == "no image to analyse: 1 x localizer"
    assert told["PT PET AC"].reason == "Modality PT is not CT"
    assert told["SEG Segmentation"].reason == "no image to analyse: 1 x Segmentation Storage"
    assert told["RWV PET SUV Factors"].reason == "no image to analyse: 1 x Real World Value Mapping Storage"


def test_a_chest_ct_with_a_sharp_kernel_is_run(chest_ct: Path) -> None:
    (decision,) = decisions(chest_ct).values()
    assert decision.chosen


def test_a_brain_mr_is_not_run(brain_mr: Path) -> None:
    (decision,) = decisions(brain_mr).values()
    assert decision.reason == "Modality MR is not CT"


def test_received_headers_hold_what_routing_looks_at_without_any_rule_of_a_site() -> None:
    assert keywords_of(RULES) <= ROUTING_KEYWORDS
