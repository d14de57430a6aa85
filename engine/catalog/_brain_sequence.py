"""Whether a series is FLAIR, or T1 with contrast agent, as far as header and image tell."""

from engine.api import Refusal
from engine.catalog._stack_limits import StackLimits
from engine.volume import SequenceFacts, Volume

LIMITS = StackLimits(
    task="brain tumour detection",
    modality="MR",
    region="an MR of the head",
    minimum_slices=8,
    minimum_coverage_mm=60.0,
    maximum_step_mm=10.0,
    pixel_spacing_range_mm=(0.2, 4.0),
)
FLAIR_INVERSION_MS = 1500.0
"""Fluid is suppressed from 1650 ms (3D at 1.5 T, long trains) to 2900 ms; fat and T1 contrast need 100 to 1300 ms."""
SHORT_ECHO_MS = 45.0
"""Below it the weighting is T1 or proton density."""
_FLAIR_WORDS = {"FLAIR", "TIRM", "DARK FLUID"}
_OTHER_WORDS = (
    "DWI",
    "DTI",
    "ADC",
    "TRACE",
    "DIFF",
    "SWI",
    "TOF",
    "MRA",
    "PERF",
    "ASL",
    "BOLD",
    "STIR",
    "MPRAGE",
    "SPGR",
    "PD",
)
NOT_SAID = "The header does not say whether the series is FLAIR; this was taken on trust."


def require_head_flair(volume: Volume) -> tuple[str, ...]:
    """What a reader of the result must know of the sequence; refuses what the engine was not made for.

    Raises:
        Refusal: with the reason for the physician.
    """
    LIMITS.require(volume)
    facts = volume.sequence or SequenceFacts()
    other = _why_no_flair(facts)
    if other:
        raise Refusal(f"Brain tumour detection needs FLAIR; {other}.")
    return () if _says_flair(facts) else (NOT_SAID,)


def why_no_contrast_t1(companion: Volume) -> str:
    """Why a companion cannot serve as T1 with contrast agent; empty if it can."""
    if companion.modality != "MR":
        return f"it is {companion.modality or 'of unknown modality'}"
    facts = companion.sequence or SequenceFacts()
    if _says_flair(facts):
        return "it is FLAIR"
    named = next((word for word in _OTHER_WORDS if word in facts.words and word not in ("MPRAGE", "SPGR")), "")
    if named:
        return f"it is named {named}"
    if facts.echo_time_ms is not None and facts.echo_time_ms > SHORT_ECHO_MS:
        return f"its echo time of {facts.echo_time_ms:.0f} ms is not that of T1"
    return ""


def _why_no_flair(facts: SequenceFacts) -> str:
    """The first reason against FLAIR; empty if there is none."""
    echo_ms, inversion_ms = facts.echo_time_ms, facts.inversion_time_ms
    if echo_ms is not None and echo_ms < SHORT_ECHO_MS:
        return f"with an echo time of {echo_ms:.3g} ms this series is weighted by T1 or proton density"
    if inversion_ms is not None and inversion_ms < FLAIR_INVERSION_MS:
        return f"an inversion time of {inversion_ms:.0f} ms does not suppress fluid"
    if _says_flair(facts):
        return ""
    named = next((word for word in (*_OTHER_WORDS, "T1", "T2") if word in facts.words), "")
    if named:
        return f"this series is named {named}, and nothing says that fluid is suppressed"
    if echo_ms is not None and inversion_ms is None:
        return "the header holds no inversion time"
    return ""


def _says_flair(facts: SequenceFacts) -> bool:
    long_inversion = facts.inversion_time_ms is not None and facts.inversion_time_ms >= FLAIR_INVERSION_MS
    named = bool(_FLAIR_WORDS & set(facts.words)) and ("T1" not in facts.words or "T2" in facts.words)
    return named or long_inversion
