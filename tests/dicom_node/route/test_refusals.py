"""Engines never run on results, localizers, dose reports, secondary captures or what is no image."""

from dataclasses import replace

import pytest

from dicom_node.config import NodeConfiguration, RuleSettings
from dicom_node.route import Ours, route

ANYTHING = (RuleSettings(engine="e"),)


def reason(series, ours: Ours | None = None) -> str:
    (decision,) = route(series, ANYTHING, ours=ours).decisions
    assert not decision.chosen
    return decision.reason


@pytest.mark.parametrize(
    ("sop_class_uid", "words"),
    [
        ("1.2.840.10008.5.1.4.1.1.88.67", "1 x dose report (X-Ray Radiation Dose SR Storage)"),
        ("1.2.840.10008.5.1.4.1.1.7", "1 x secondary capture"),
        ("1.2.840.10008.5.1.4.1.1.7.4", "secondary capture (Multi-frame True Color"),
        ("1.2.840.10008.5.1.4.1.1.66.4", "1 x Segmentation Storage"),
        ("1.2.840.10008.5.1.4.1.1.66.7", "1 x Label Map Segmentation Storage"),
        ("1.2.840.10008.5.1.4.1.1.88.34", "1 x Comprehensive 3D SR Storage"),
        ("1.2.840.10008.5.1.4.1.1.11.1", "1 x Grayscale Softcopy Presentation State"),
        ("1.2.840.10008.5.1.4.1.1.88.59", "1 x Key Object"),
        ("1.2.840.10008.5.1.4.1.1.481.3", "1 x RT Structure Set Storage"),
        ("1.2.840.10008.5.1.4.1.1.104.1", "1 x Encapsulated PDF Storage"),
        ("1.2.840.10008.5.1.4.1.1.67", "1 x Real World Value Mapping Storage"),
        ("1.3.12.2.1107.5.9.1", "1 x "),
        ("1.2.999.5", "1 x SOP class 1.2.999.5"),
    ],
)
def test_what_is_no_image_is_refused_by_name(series, sop_class_uid: str, words: str) -> None:
    assert words in reason(series(count=1, sop_class_uid=sop_class_uid))


@pytest.mark.parametrize(
    ("image_type", "words"),
    [
        (("ORIGINAL", "PRIMARY", "LOCALIZER"), "3 x localizer"),
        (("ORIGINAL", "PRIMARY", "LOCALIZER", "CT_SOM5 TOP"), "3 x localizer"),
        (("DERIVED", "SECONDARY", "MPR"), "reformat (Image Type MPR)"),
        (("DERIVED", "SECONDARY", "REFORMATTED", "AVERAGE"), "reformat (Image Type REFORMATTED)"),
        (("DERIVED", "SECONDARY", "AXIAL", "CT_SOM5 MIP"), "reformat (Image Type MIP)"),
        (("DERIVED", "SECONDARY", "SCREEN SAVE"), "screen (Image Type SCREEN)"),
        (("DERIVED", "SECONDARY", "OTHER", "CT_SOM5 PROT"), "screen (Image Type PROT)"),
    ],
)
def test_localizers_reformats_and_screens_are_known_by_image_type(series, image_type: tuple[str, ...], words: str) -> None:
    assert words in reason(series(count=3, ImageType=image_type))


@pytest.mark.parametrize(
    "image_type", [("DERIVED", "SECONDARY"), ("DERIVED", "PRIMARY", "AXIAL"), (), ("ORIGINAL", "PRIMARY", "M")]
)
def test_images_are_not_refused_for_being_derived(series, image_type: tuple[str, ...]) -> None:
    assert route(series(ImageType=image_type), ANYTHING).chosen == ("e",)


def test_a_scout_by_description_alone_is_refused_only_where_it_is_short(series) -> None:
    assert "localizer by its Series Description" in reason(series(count=2, SeriesDescription="Chest scout"))
    assert route(series(count=60, SeriesDescription="Chest after scout"), ANYTHING).chosen == ("e",)


def test_localizers_among_the_slices_are_left_out_and_said(series) -> None:
    ct = series(count=12)
    scout = series("1.2.3.99", count=1, ImageType=("ORIGINAL", "PRIMARY", "LOCALIZER")).instances[0]
    routing = route(replace(ct, instances=(scout, *ct.instances)), ANYTHING)
    assert routing.chosen == ("e",)
    assert routing.left_out == (scout.sop_instance_uid,)
    assert routing.decisions[0].reason == "the rule matches (CT, 12 slices, 3 mm; left out 1 x localizer)"


@pytest.mark.parametrize(
    "ours",
    [
        Ours(device_uids=frozenset({"2.25.7"})),
        Ours(sop_instance_uids=frozenset({"1.2.3.5"})),
        Ours(series_instance_uids=frozenset({"1.2.3"})),
    ],
)
def test_our_own_results_are_refused(series, ours: Ours) -> None:
    made = series(**{"ContributingEquipmentSequence.DeviceUID": "2.25.7"})
    assert "a result of this node" in reason(made, ours)
    assert route(made, ANYTHING).chosen == ("e",)


@pytest.mark.parametrize(
    ("facts", "chosen"),
    [
        ({}, True),
        ({"BodyPartExamined": "CHEST"}, True),
        ({"BodyPartExamined": "PARTIALBODY"}, True),
        ({"BodyPartExamined": "HEAD"}, False),
        ({"BodyPartExamined": "ABDOMEN"}, False),
        ({"BodyPartExamined": "ABDOMEN", "StudyDescription": "CT CH/ABD/PEL thorax"}, True),
        ({"Modality": "PT"}, False),
        ({"count": 9}, False),
        ({"orientation": (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)}, False),
        ({"orientation": (1.0, 0.0, 0.0, 0.0, 0.87, -0.5)}, True),
        ({"orientation": (-1.0, 0.0, 0.0, 0.0, 1.0, 0.0)}, True),
    ],
)
def test_without_any_rule_lungs_are_segmented_on_ct_that_may_be_of_the_chest(series, facts, chosen: bool) -> None:
    (decision,) = route(series(**facts), NodeConfiguration().effective_rules()).decisions
    assert (decision.engine, decision.chosen) == ("lung-segmentation", chosen)
