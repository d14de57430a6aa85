"""Which MR series the brain engine takes for FLAIR, and which companion for T1 with contrast agent."""

from dataclasses import replace

import numpy as np
import pytest

from engine.api import Refusal
from engine.catalog._brain_sequence import NOT_SAID, require_head_flair, why_no_contrast_t1
from engine.volume import SequenceFacts, SliceReference, Volume

FLAIR = SequenceFacts(echo_time_ms=120, repetition_time_ms=9000, inversion_time_ms=2500, words=("FLAIR", "T2"))


def _volume(sequence: SequenceFacts | None, slices: int = 24, step_mm: float = 6.0, modality: str = "MR") -> Volume:
    return Volume(
        voxels=np.zeros((slices, 8, 8), np.int16),
        positions_mm=np.array([[0.0, 0.0, step_mm * index] for index in range(slices)]),
        row_direction=np.array([1.0, 0.0, 0.0]),
        column_direction=np.array([0.0, 1.0, 0.0]),
        pixel_spacing_mm=(1.0, 1.0),
        slice_thickness_mm=step_mm,
        modality=modality,
        slices=tuple(SliceReference(f"2.25.{index}") for index in range(slices)),
        sequence=sequence,
    )


@pytest.mark.parametrize(
    "facts",
    [
        FLAIR,
        SequenceFacts(echo_time_ms=388, repetition_time_ms=5000, inversion_time_ms=1800),
        SequenceFacts(echo_time_ms=125, repetition_time_ms=11000, words=("FLAIR",)),
        SequenceFacts(words=("TIRM", "DARK FLUID", "T2")),
    ],
)
def test_flair_is_known_by_its_times_or_its_name(facts: SequenceFacts) -> None:
    assert require_head_flair(_volume(facts)) == ()


def test_a_silent_header_is_trusted_and_said_so() -> None:
    assert require_head_flair(_volume(None)) == (NOT_SAID,)


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        (
            SequenceFacts(echo_time_ms=2.97, repetition_time_ms=1900, inversion_time_ms=1100, words=("T1",)),
            "echo time of 2.97 ms",
        ),
        (
            SequenceFacts(echo_time_ms=9, repetition_time_ms=2000, inversion_time_ms=860, words=("FLAIR", "T1")),
            "echo time of 9 ms",
        ),
        (SequenceFacts(echo_time_ms=100, repetition_time_ms=4000, words=("T2",)), "named T2"),
        (SequenceFacts(echo_time_ms=80, repetition_time_ms=5000, words=("DWI",)), "named DWI"),
        (SequenceFacts(echo_time_ms=60, repetition_time_ms=5000, inversion_time_ms=160), "160 ms does not suppress"),
        (SequenceFacts(echo_time_ms=100, repetition_time_ms=4000), "no inversion time"),
        (SequenceFacts(words=("FLAIR", "T1")), "named T1"),
    ],
)
def test_other_weightings_are_refused_by_name_or_times(facts: SequenceFacts, reason: str) -> None:
    with pytest.raises(Refusal, match=reason):
        require_head_flair(_volume(facts))


@pytest.mark.parametrize(
    ("volume", "reason"),
    [
        (_volume(None, modality="CT"), "needs MR; this series is CT"),
        (_volume(FLAIR, slices=7, step_mm=9.0), "Only 7 slices"),
        (_volume(FLAIR, slices=10, step_mm=5.0), "cover only 45 mm"),
        (_volume(FLAIR, step_mm=12.0), "12.0 mm apart"),
        (replace(_volume(FLAIR), pixel_spacing_mm=(5.0, 5.0)), "pixel spacing of 5 x 5 mm"),
    ],
)
def test_what_is_no_stack_of_a_head_is_refused(volume: Volume, reason: str) -> None:
    with pytest.raises(Refusal, match=reason):
        require_head_flair(volume)


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        (None, ""),
        (SequenceFacts(echo_time_ms=3, inversion_time_ms=1000, contrast_agent=True, words=("T1", "MPRAGE")), ""),
        (FLAIR, "it is FLAIR"),
        (SequenceFacts(words=("DWI",)), "it is named DWI"),
        (SequenceFacts(echo_time_ms=100, words=("T2",)), "echo time of 100 ms"),
    ],
)
def test_a_companion_is_t1_or_the_reason_why_not(facts: SequenceFacts | None, reason: str) -> None:
    assert (why_no_contrast_t1(_volume(facts)) == "") is (reason == "")
    assert reason in why_no_contrast_t1(_volume(facts))
