"""What runs on what where the file has no rule."""

import pytest

from dicom_node.config.defaults import BRAIN_TUMOR, DEFAULT_RULES, LIVER_TUMOR
from dicom_node.route import StudySeries, route

CHEST, ABDOMEN = {"BodyPartExamined": "CHEST"}, {"BodyPartExamined": "ABDOMEN"}
MR = {"Modality": "MR", "sop_class_uid": "1.2.840.10008.5.1.4.1.1.4"}
BOTH_LUNGS = {"lung-segmentation", "nodule-malignancy"}


def chosen(series) -> set[str]:
    return set(route(series, list(DEFAULT_RULES.values())).chosen)


@pytest.mark.parametrize(
    ("facts", "engines"),
    [
        (CHEST, BOTH_LUNGS),
        ({}, BOTH_LUNGS),
        (CHEST | {"SliceThickness": "7"}, {"lung-segmentation"}),
        (ABDOMEN, {"liver-tumor"}),
        (ABDOMEN | {"SeriesDescription": "CT thorax/abdomen"}, BOTH_LUNGS | {"liver-tumor"}),
        ({"BodyPartExamined": "WHOLEBODY"}, BOTH_LUNGS | {"liver-tumor"}),
        ({"BodyPartExamined": "HEAD"}, set()),
        (ABDOMEN | {"count": 5}, set()),
        (ABDOMEN | {"orientation": (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)}, set()),
        (MR | {"SeriesDescription": "t2_tirm_tra_dark-fluid"}, {"brain-tumor"}),
        (MR | {"SeriesDescription": "Sag CUBE T2 FLAIR"}, {"brain-tumor"}),
        (MR | {"SeriesDescription": "AX T1 FLAIR"}, set()),
        (MR | {"SeriesDescription": "AX T2", "ProtocolName": "BRAIN T1 T2 FLAIR"}, set()),
        (MR | {"ProtocolName": "FLAIR"}, {"brain-tumor"}),
        (MR | {"InversionTime": "2500", "EchoTime": "120"}, {"brain-tumor"}),
        (MR | {"InversionTime": "900", "EchoTime": "3"}, set()),
        (MR | {"SeriesDescription": "FLAIR", "BodyPartExamined": "CSPINE"}, set()),
        ({"Modality": "DX", "orientation": (), "count": 1, "BodyPartExamined": "CHEST"}, set()),
    ],
)
def test_an_engine_runs_on_what_it_was_made_for(series, facts: dict[str, str], engines: set[str]) -> None:
    assert chosen(series(**facts)) == engines


@pytest.mark.parametrize(
    ("facts", "fits"),
    [
        ({"SeriesDescription": "t1_mprage_sag_post"}, True),
        ({"SeriesDescription": "AX T1 +C"}, True),
        ({"SeriesDescription": "AX BRAVO", "ContrastBolusAgent": "Gadovist"}, True),
        ({"SeriesDescription": "t1_mprage_sag"}, False),
        ({"SeriesDescription": "FLAIR post", "ContrastBolusAgent": "Gadovist"}, False),
        ({"SeriesDescription": "ep2d_perf", "ContrastBolusAgent": "Gadovist"}, False),
        ({"SeriesDescription": "T2 TSE", "ContrastBolusAgent": "Gadovist"}, False),
    ],
)
def test_t1_after_contrast_goes_with_flair(series, facts: dict[str, str], *, fits: bool) -> None:
    flair = series("1.2.5", **MR, SeriesDescription="FLAIR")
    routing = route(flair, [BRAIN_TUMOR], study=[StudySeries(series("1.2.6", **MR, **facts))])
    assert bool(routing.choices[0].companions) is fits


def test_the_portal_venous_phase_is_preferred_to_a_thinner_one(series) -> None:
    portal = series("1.2.6", **ABDOMEN, SeriesDescription="portal venous", SliceThickness="5")
    thin = series("1.2.5", **ABDOMEN, SeriesDescription="native", SliceThickness="1")
    assert route(portal, [LIVER_TUMOR], study=[StudySeries(thin)]).chosen == ("liver-tumor",)
    assert route(thin, [LIVER_TUMOR], study=[StudySeries(portal)]).chosen == ()
