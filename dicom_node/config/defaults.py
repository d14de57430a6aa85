"""What runs where the file does not say: the rule of an engine that has none in the file."""

from dicom_node.config.rules import Condition, Orientation, Preference, Range, RoleSettings, RuleSettings

_CHEST = r"(?i)chest|thora|thx|lung|pulmo|pneumo|heart|cardia|body|trunk|\bca?p\b|\bcap\b"
_NOT_CHEST = (
    r"(?i)^(head|brain|skull|orbit|face|jaw|maxilla|mandible|sinus|neck|c-?spine|l-?spine|s-?spine|lumbar|pelvis|hip|leg|thigh|knee|"
    r"calf|ankle|foot|arm|shoulder|elbow|forearm|wrist|hand|finger|toe|extremity|abdomen|liver|kidney|prostate|bladder|colon)"
)
_ABDOMEN = r"(?i)abd|liver|hepat|leber|foie|fegato|higado|pancrea|body|trunk|torso|\bc?ap\b|\b[ct]ap\b"
_FLAIR = r"(?i)flair|dark.?fluid|tirm"
_T1 = r"(?i)t1|mprage|mp.rage|spgr|bravo|tfl|tfe|vibe|thrive"
_CONTRAST = r"(?i)\+ ?(c|gd|km)\b|\bc\+|\bgd\b|gado|post|contrast|\bce\b|t1_?ce?\b|\bkm\b"
_NOT_T1 = rf"{_FLAIR}|t2|dwi|diff|adc|trace|perf|dsc|dce|asl|swi|tof|mra|spectro"
_NOT_HEAD = r"(?i)spine|neck|chest|thora|abd|pelvi|liver|prostat|breast|knee|hip|shoulder|extremity|foot|hand|wrist|ankle"
_DESCRIPTIONS = ("BodyPartExamined", "SeriesDescription", "ProtocolName", "StudyDescription")


def _any_matches(keywords: tuple[str, ...], pattern: str) -> tuple[Condition, ...]:
    return tuple(Condition(attribute=keyword, matches=pattern) for keyword in keywords)


def _named(pattern: str) -> tuple[Condition, ...]:
    """Series Description, and only where there is none Protocol Name: that of some makers names the whole examination."""
    without = (
        Condition(attribute="SeriesDescription", present=False),
        Condition(attribute="ProtocolName", matches=pattern),
    )
    return Condition(attribute="SeriesDescription", matches=pattern), Condition(all_of=without)


_CHEST_CT = (
    Condition(modality=("CT",)),
    Condition(slice_count=Range(min=10)),
    Condition(orientation=(Orientation.AXIAL,)),
    Condition(
        any_of=(Condition(attribute="BodyPartExamined", not_matches=_NOT_CHEST), *_any_matches(_DESCRIPTIONS, _CHEST)),
    ),
)
_SOFT_KERNEL = Preference(attribute="ConvolutionKernel", order=(r"(?i)^(b|br|bf|i|fc0?)[1-4]\d?|stan|soft|sft",))

LUNG_SEGMENTATION = RuleSettings(
    engine="lung-segmentation",
    when=_CHEST_CT,
    best_of_study=True,
    prefer=(Preference(thinnest_from_mm=1.5), Preference(most_slices=True), _SOFT_KERNEL),
)
"""CT of 10 slices and more, nearly axial, whose Body Part Examined names no other part of the body (or some text says chest);
the best series of the study."""

NODULE_MALIGNANCY = RuleSettings(
    engine="nodule-malignancy",
    when=(*_CHEST_CT, Condition(slice_thickness_mm=Range(max=4.0))),
    best_of_study=True,
    prefer=(Preference(thinnest_from_mm=1.0), Preference(most_slices=True), _SOFT_KERNEL),
)
"""The same CT of the chest, of at most 4 mm; thin slices first."""

LIVER_TUMOR = RuleSettings(
    engine="liver-tumor",
    when=(
        Condition(modality=("CT",)),
        Condition(slice_count=Range(min=10)),
        Condition(orientation=(Orientation.AXIAL,)),
        Condition(any_of=_any_matches(_DESCRIPTIONS, _ABDOMEN)),
    ),
    best_of_study=True,
    prefer=(
        Preference(attribute="SeriesDescription", order=(r"(?i)portal|ven|\bpv",)),
        Preference(thinnest_from_mm=2.5),
        Preference(most_slices=True),
        _SOFT_KERNEL,
    ),
)
"""CT of 10 slices and more, nearly axial, of which some text says abdomen, liver or body; the portal venous phase first."""

BRAIN_TUMOR = RuleSettings(
    engine="brain-tumor",
    when=(
        Condition(modality=("MR",)),
        Condition(slice_count=Range(min=10)),
        Condition(attribute="BodyPartExamined", not_matches=_NOT_HEAD),
        Condition(
            any_of=(
                *_named(_FLAIR),
                Condition(
                    all_of=(
                        Condition(attribute="InversionTime", min=1500, max=3200),
                        Condition(attribute="EchoTime", min=60),
                    )
                ),
            )
        ),
        Condition(none_of=_named(_T1)),
    ),
    best_of_study=True,
    prefer=(Preference(thinnest_from_mm=1.0), Preference(most_slices=True)),
    roles={
        "t1c": RoleSettings(
            when=(
                Condition(modality=("MR",)),
                Condition(slice_count=Range(min=10)),
                Condition(any_of=(Condition(attribute="ContrastBolusAgent", present=True), *_named(_CONTRAST))),
                Condition(any_of=_named(_T1)),
                Condition(none_of=_named(_NOT_T1)),
            ),
            prefer=(Preference(thinnest_from_mm=1.0), Preference(most_slices=True)),
        )
    },
)
"""FLAIR of the head by name or by its times, and T1 after contrast of the same study where there is one."""

DEFAULT_RULES = {rule.engine: rule for rule in (LUNG_SEGMENTATION, NODULE_MALIGNANCY, LIVER_TUMOR, BRAIN_TUMOR)}
