"""A condition holds, or says which part of it failed on what."""

from dataclasses import replace

import pytest

from dicom_node.config import Condition, parse
from dicom_node.model import Series
from dicom_node.route.candidate import Candidate
from dicom_node.route.conditions import failure
from dicom_node.route.refusals import Ours, candidate_of

CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)


def condition(text: str) -> Condition:
    """As the file spells it."""
    (rule,) = parse(f'[[rule]]\nengine = "lung-segmentation"\nwhen = [{text}]\n', "node.toml").rules
    return rule.when[0]


def judged(series: Series) -> Candidate:
    return candidate_of(series, Ours())[0]


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        '{ modality = "CT" }',
        '{ modality = ["MR", "CT"] }',
        "{ body_part = '(?i)chest' }",
        '{ calling_ae_title = ["PACS", "OTHER"] }',
        '{ orientation = "axial" }',
        "{ slice_count = { min = 20, max = 20 } }",
        "{ slice_thickness_mm = { max = 3 } }",
        '{ attribute = "ImageType", equals = "ORIGINAL" }',
        '{ attribute = "SeriesDescription", matches = "LUNG" }',
        '{ attribute = "SeriesDescription", not_matches = "HEAD" }',
        '{ attribute = "StudyID", not_matches = "HEAD" }',
        '{ attribute = "KVP", min = 80, max = 140 }',
        '{ attribute = "KVP", in = ["100.0", "120.0"] }',
        '{ attribute = "AnatomicRegionSequence", code = "51185008^SCT" }',
        '{ attribute = "AnatomicRegionSequence", present = true }',
        '{ attribute = "ContrastBolusAgent", present = false }',
        '{ any_of = [{ modality = "MR" }, { modality = "CT" }] }',
        '{ all_of = [{ body_part = "CHEST" }, { modality = "CT" }] }',
        '{ none_of = [{ body_part = "HEAD" }, { modality = "MR" }] }',
        '{ attribute = "InstanceNumber", max = 1, scope = "first" }',
        '{ attribute = "InstanceNumber", equals = "7", scope = "any" }',
    ],
)
def test_a_condition_holds(series, text: str) -> None:
    chest = series(
        BodyPartExamined="CHEST",
        SeriesDescription="LUNG 3.0",
        KVP="120.0",
        AnatomicRegionSequence="51185008^SCT",
        SliceThickness="3",
    )
    assert failure(condition(text), judged(chest)) == ""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{ modality = ["MR", "PT"] }', "Modality CT is not MR or PT"),
        ("{ body_part = '(?i)chest' }", 'BodyPartExamined "HEAD" does not match (?i)chest'),
        ('{ calling_ae_title = "CT1" }', 'sent from "PACS", not from CT1'),
        ('{ orientation = "coronal" }', "slices are axial, not coronal"),
        ("{ slice_count = { min = 30 } }", "slice_count 20 is less than 30"),
        ("{ slice_thickness_mm = { max = 2.5 } }", "slice_thickness_mm: 3 mm is more than 2.5 mm"),
        ('{ attribute = "SeriesDescription", matches = "LUNG" }', "SeriesDescription (absent) does not pass `matches = LUNG`"),
        ('{ attribute = "Manufacturer", in = ["A", "B"] }', "Manufacturer \"SIEMENS\" does not pass `in = ('A', 'B')`"),
        ('{ attribute = "KVP", min = 130 }', 'KVP "120" does not pass `min = 130.0`'),
        (
            '{ attribute = "InstanceNumber", max = 18 }',
            "InstanceNumber does not pass `max` in 2 of 20 instances",
        ),
        (
            '{ any_of = [{ modality = "MR" }, { body_part = "CHEST" }] }',
            "none of any_of holds (Modality CT is not MR; BodyPart",
        ),
        ('{ none_of = [{ body_part = "HEAD" }] }', 'none_of { body_part = "HEAD" } holds'),
        ('{ all_of = [{ modality = "CT" }, { modality = "MR" }] }', "Modality CT is not MR"),
        ('{ modality = "CT", slice_count = { max = 5 } }', "slice_count 20 is more than 5"),
    ],
)
def test_a_condition_that_fails_names_itself_and_the_value(series, text: str, words: str) -> None:
    head = series(BodyPartExamined="HEAD", KVP="120", Manufacturer="SIEMENS")
    assert words in failure(condition(text), judged(head))


@pytest.mark.parametrize(
    "text",
    [
        '{ attribute = "PatientName", matches = "Nobody" }',
        '{ attribute = "PatientName", not_matches = "Doe" }',
        '{ attribute = "PatientName", present = false }',
        '{ none_of = [{ attribute = "PatientName", matches = "Doe" }] }',
        '{ any_of = [{ attribute = "PatientName", equals = "Someone^Else" }] }',
    ],
)
def test_reasons_never_quote_a_person(series, text: str) -> None:
    words = failure(condition(text), judged(series(PatientName="Doe^Jane")))
    assert "PatientName" in words
    assert not any(name in words for name in ("Doe", "Jane", "Nobody", "Someone"))


def test_a_rule_sees_more_than_the_first_slice(series) -> None:
    mixed = series(SeriesDescription="CHEST")
    odd = replace(mixed.instances[9], attributes={**mixed.instances[9].attributes, "SeriesDescription": ("PHANTOM",)})
    mixed = replace(mixed, instances=(*mixed.instances[:9], odd, *mixed.instances[10:]))
    words = failure(condition('{ attribute = "SeriesDescription", not_matches = "PHANTOM" }'), judged(mixed))
    assert words == 'SeriesDescription "PHANTOM" in 1 of 20 instances does not pass `not_matches = PHANTOM`'


def test_slice_thickness_comes_from_positions_where_it_is_absent(series) -> None:
    assert judged(series(step_mm=1.25)).slice_thickness_mm() == 1.25
    assert judged(series(step_mm=1.25, SliceThickness="2")).slice_thickness_mm() == 2.0


def test_frames_of_a_multi_frame_count_as_slices(series) -> None:
    one = series(count=1)
    plane = one.instances[0].planes[0]
    frames = tuple((*plane[:2], 2.0 * n, *plane[3:]) for n in range(40))
    candidate = judged(replace(one, instances=(replace(one.instances[0], planes=frames),)))
    assert (candidate.slice_count(), candidate.slice_thickness_mm()) == (40, 2.0)


def test_orientation_without_positions_is_taken_from_the_attribute(series) -> None:
    candidate = judged(series(orientation=(), ImageOrientationPatient=("1", "0", "0", "0", "0", "-1")))
    assert candidate.orientation() == "coronal"
    assert judged(series(orientation=())).orientation() is None
    assert judged(series(orientation=CORONAL)).orientation() == "coronal"


def test_impossible_positions_break_no_decision(series) -> None:
    plane = (1.7e308, 1.7e308, 1.7e308, 1.0, -1.0, 0.0, 1.0, 1.0, -2.0, 0.7, 0.7, 512.0, 512.0)
    strange = series()
    far = replace(strange, instances=tuple(replace(i, planes=(plane,)) for i in strange.instances))
    words = failure(condition("{ slice_thickness_mm = { max = 3 } }"), judged(far))
    assert words.startswith("slice_thickness_mm")
