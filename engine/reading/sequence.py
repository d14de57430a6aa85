"""How an MR image was weighted, as far as its header says; nothing that names anybody.

Source: DICOM PS3.3 C.8.3.1 (MR Image), C.8.13.1 to C.8.13.5 (Enhanced MR functional groups), C.7.6.4 (Contrast/Bolus).
"""

import re
from collections.abc import Iterator, Sequence

from pydicom.dataset import Dataset

from engine.reading.elements import integer, number, numbers, text, values
from engine.volume import SequenceFacts

KEYWORDS = (
    *("EchoTime", "RepetitionTime", "InversionTime", "ContrastBolusAgent", "ContrastBolusAgentSequence", "DiffusionBValue"),
    *("SeriesDescription", "ProtocolName", "SequenceName", "PulseSequenceName", "AcquisitionContrast"),
)
_NAMED_IN = ("SeriesDescription", "ProtocolName", "SequenceName", "PulseSequenceName")
_WORDS = (
    *("FLAIR", "TIRM", "DARK FLUID", "STIR", "T1", "T2", "PD", "DWI", "DTI", "ADC", "TRACE", "DIFF", "SWI", "TOF", "MRA"),
    *("PERF", "ASL", "BOLD", "MPRAGE", "SPGR", "BRAVO", "CISS", "FIESTA", "LOCALIZER", "SCOUT"),
)
"""Technical words that are kept of descriptions; everything else that stands there is not."""
_MOST_VALUES = 4
"""Inversion Times may hold several; more than a few are no FLAIR."""
_CONTRASTS = {"FLUID_ATTENUATED": "FLAIR", "DIFFUSION": "DWI", "PERFUSION": "PERF", "PROTON_DENSITY": "PD"}


def sequence_of(places: Sequence[Dataset]) -> SequenceFacts:
    """What the frame's own item, the shared item and the instance say, the first of them that speaks.

    Args:
        places: one frame's functional groups, those of all frames, and the instance; for a single-frame image only the last.
    """
    return SequenceFacts(
        echo_time_ms=_timing(places, "MREchoSequence", "EffectiveEchoTime", "EchoTime"),
        repetition_time_ms=_timing(places, "MRTimingAndRelatedParametersSequence", "RepetitionTime", "RepetitionTime"),
        inversion_time_ms=_timing(places, "MRModifierSequence", "InversionTimes", "InversionTime"),
        contrast_agent=bool(text(places[-1], "ContrastBolusAgent") or places[-1].get("ContrastBolusAgentSequence")),
        words=_words(places),
    )


def _timing(places: Sequence[Dataset], macro: str, keyword: str, in_instance: str) -> float | None:
    for item in (item for place in places for item in place.get(macro) or []):
        found = next((some for count in range(1, _MOST_VALUES + 1) if (some := numbers(item, keyword, count))), (0.0,))
        if _positive(found[0]):
            return found[0]
    return _positive(number(places[-1], in_instance))


def _positive(value: float | None) -> float | None:
    """Zero is what some writers put where they know nothing."""
    return value if value is not None and value > 0 else None


def _words(places: Sequence[Dataset]) -> tuple[str, ...]:
    """Of the first description that holds any: the protocol may name all sequences of the examination."""
    found = next((words for keyword in _NAMED_IN if (words := _words_in(text(places[-1], keyword)))), [])
    found += [_CONTRASTS.get(contrast, contrast) for contrast in _contrasts(places) if contrast not in ("", "UNKNOWN", "MIXED")]
    if integer(places[-1], "DiffusionBValue") > 0:
        found.append("DWI")
    return tuple(dict.fromkeys(found))


def _words_in(description: str) -> list[str]:
    written = re.sub(r"[^A-Z0-9]+", " ", description.upper())
    return [word for word in _WORDS if re.search(_as_part(word), written)]


def _as_part(word: str) -> str:
    """T1 and other short words stand alone or begin what follows ("T1W"); the long ones may be anywhere ("3DFLAIR")."""
    return word if len(word) > 4 else rf"(?<![A-Z]){word}"


def _contrasts(places: Sequence[Dataset]) -> Iterator[str]:
    """Acquisition Contrast of the frame and of the instance."""
    for place in places:
        for item in place.get("MRImageFrameTypeSequence") or []:
            yield from values(item, "AcquisitionContrast")
    yield from values(places[-1], "AcquisitionContrast")
