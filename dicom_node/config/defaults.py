"""What runs where the file does not say: the rule of an engine that has none in the file."""

from dicom_node.config.rules import Condition, Orientation, Preference, Range, RuleSettings

_CHEST = r"(?i)chest|thora|thx|lung|pulmo|pneumo|heart|cardia|body|trunk|\bca?p\b|\bcap\b"
_ELSEWHERE = (
    r"(?i)^(head|brain|skull|orbit|face|jaw|maxilla|mandible|sinus|neck|c-?spine|l-?spine|s-?spine|lumbar|pelvis|hip|leg|thigh|knee|"
    r"calf|ankle|foot|arm|shoulder|elbow|forearm|wrist|hand|finger|toe|extremity|abdomen|liver|kidney|prostate|bladder|colon)"
)
_DESCRIPTIONS = ("BodyPartExamined", "SeriesDescription", "ProtocolName", "StudyDescription")

LUNG_SEGMENTATION = RuleSettings(
    engine="lung-segmentation",
    when=(
        Condition(modality=("CT",)),
        Condition(slice_count=Range(min=10)),
        Condition(orientation=(Orientation.AXIAL,)),
        Condition(
            any_of=(
                Condition(attribute="BodyPartExamined", not_matches=_ELSEWHERE),
                *(Condition(attribute=keyword, matches=_CHEST) for keyword in _DESCRIPTIONS),
            )
        ),
    ),
    best_of_study=True,
    prefer=(
        Preference(thinnest_from_mm=1.5),
        Preference(most_slices=True),
        Preference(attribute="ConvolutionKernel", order=(r"(?i)^(b|br|bf|i|fc0?)[1-4]\d?|stan|soft|sft",)),
    ),
)
"""CT of 10 slices and more, nearly axial, whose Body Part Examined names no other part of the body (or some text says chest);
the best series of the study."""

DEFAULT_RULES = {LUNG_SEGMENTATION.engine: LUNG_SEGMENTATION}
