"""How an MR image was weighted, from headers old and new."""

from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from engine.reading import read_series
from engine.reading.sequence import sequence_of


def _header(**elements: object) -> Dataset:
    dataset = Dataset()
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return dataset


def _item(**elements: object) -> list[Dataset]:
    return [_header(**elements)]


def test_times_and_contrast_agent_are_read() -> None:
    facts = sequence_of([_header(EchoTime=120, RepetitionTime=9000, InversionTime=2500, ContrastBolusAgent="Gd")])
    assert (facts.echo_time_ms, facts.repetition_time_ms, facts.inversion_time_ms) == (120, 9000, 2500)
    assert facts.contrast_agent


def test_what_is_missing_or_zero_is_left_open() -> None:
    facts = sequence_of([_header(EchoTime=90, InversionTime=0)])
    assert (facts.echo_time_ms, facts.repetition_time_ms, facts.inversion_time_ms) == (90, None, None)
    assert not facts.contrast_agent
    assert facts.words == ()


def test_enhanced_images_say_it_in_their_functional_groups() -> None:
    frame = _header(
        MREchoSequence=_item(EffectiveEchoTime=110.0),
        MRModifierSequence=_item(InversionTimes=[2200.0]),
        MRImageFrameTypeSequence=_item(AcquisitionContrast="FLUID_ATTENUATED"),
    )
    shared = _header(MRTimingAndRelatedParametersSequence=_item(RepetitionTime=8000.0))
    facts = sequence_of([frame, shared, _header()])
    assert (facts.echo_time_ms, facts.repetition_time_ms, facts.inversion_time_ms) == (110, 8000, 2200)
    assert facts.words == ("FLAIR",)


@pytest.mark.parametrize(
    ("description", "words"),
    [
        ("AX 3DFLAIR fs", ("FLAIR",)),
        ("t2_tirm_tra_dark-fluid", ("TIRM", "DARK FLUID", "T2")),
        ("SAG T1W SE", ("T1",)),
        ("ep2d_diff_3scan_trace_ADC", ("ADC", "TRACE", "DIFF")),
        ("PRIVATE^PERSON 12", ()),
    ],
)
def test_only_technical_words_are_kept(description: str, words: tuple[str, ...]) -> None:
    assert sequence_of([_header(SeriesDescription=description)]).words == words


def test_a_protocol_that_names_all_sequences_does_not_outvote_the_series() -> None:
    assert sequence_of([_header(SeriesDescription="AX T2", ProtocolName="BRAIN T1 T2 FLAIR")]).words == ("T2",)
    assert sequence_of([_header(SeriesDescription="AX", ProtocolName="FLAIR")]).words == ("FLAIR",)


def test_a_diffusion_weighting_is_named_so() -> None:
    assert sequence_of([_header(DiffusionBValue=1000.0)]).words == ("DWI",)


def test_a_real_series_carries_its_weighting(brain_mr: Path) -> None:
    facts = read_series(sorted(brain_mr.glob("*.dcm"))).sequence
    assert facts is not None
    assert (facts.echo_time_ms, facts.repetition_time_ms, facts.inversion_time_ms) == (2.97, 1900, 1100)
    assert facts.words == ("T1",)
