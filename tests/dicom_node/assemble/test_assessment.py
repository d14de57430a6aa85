import math
import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicom_node.assemble import assess, input_digest
from dicom_node.headers import read_instance
from dicom_node.model import AssemblyPolicy, Completeness, Instance, Series

POLICY = AssemblyPolicy(quiet_s=30.0, longest_wait_s=900.0)
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
QUIET = 131.0
TOO_LONG = 1001.0


def ct_slice(
    number: int,
    *,
    z: float | None = None,
    at: float = 100.0,
    modality: str = "CT",
    image_type: str = "AXIAL",
    **changes: object,
) -> Instance:
    place = (0.0, 0.0, 2.0 * number if z is None else z)
    instance = Instance(
        f"1.2.3.4.{number}",
        "1.2.840.10008.5.1.4.1.1.2",
        "1.2.3.4",
        "1.2.3",
        "1.2.840.10008.1.2.1",
        Path(f"/spool/{number}"),
        1000,
        at,
        attributes={"Modality": (modality,), "ImageType": ("ORIGINAL", "PRIMARY", image_type)},
        planes=((*place, *AXIAL, 0.7, 0.7, 512.0, 512.0),),
    )
    return replace(instance, **changes)  # type: ignore[arg-type]


def series(*instances: Instance) -> Series:
    return Series("1.2.3.4", "1.2.3", instances)


def stack(*numbers: int) -> Series:
    return series(*(ct_slice(number) for number in numbers))


def test_a_series_waits_until_it_is_quiet() -> None:
    whole = stack(*range(10))
    assert assess(whole, 129.0, POLICY).completeness is Completeness.WAITING
    assert assess(whole, 130.0, POLICY).completeness is Completeness.COMPLETE


def test_each_new_instance_starts_the_quiet_time_anew() -> None:
    growing = series(*(ct_slice(number) for number in range(10)), ct_slice(10, at=125.0))
    assert assess(growing, 150.0, POLICY).completeness is Completeness.WAITING
    assert assess(growing, 155.0, POLICY).completeness is Completeness.COMPLETE


def test_a_missing_slice_is_waited_for_and_then_named() -> None:
    gap = stack(0, 1, 2, 3, 5, 6, 7, 8)
    waiting = assess(gap, QUIET, POLICY)
    assert (waiting.completeness, waiting.missing_count) == (Completeness.WAITING, 1)
    incomplete = assess(gap, TOO_LONG, POLICY)
    assert (incomplete.completeness, incomplete.missing_count) == (Completeness.INCOMPLETE, 1)
    assert incomplete.reason == "incomplete: 1 slice missing (4.0 mm without a slice after (0.0, 0.0, 6.0) mm)"


def test_growth_starts_the_longest_wait_anew() -> None:
    gap = series(*(ct_slice(number) for number in (0, 1, 2, 3, 5, 6, 7)), ct_slice(8, at=900.0))
    assert assess(gap, TOO_LONG, POLICY).completeness is Completeness.WAITING
    assert assess(gap, 1801.0, POLICY).completeness is Completeness.INCOMPLETE


def test_a_count_from_the_pacs_finds_slices_missing_at_an_end() -> None:
    cut = stack(*range(8))
    assert assess(cut, QUIET, POLICY, None).completeness is Completeness.COMPLETE
    assert assess(cut, QUIET, POLICY, 10).completeness is Completeness.WAITING
    incomplete = assess(cut, TOO_LONG, POLICY, 10)
    assert (incomplete.completeness, incomplete.missing_count) == (Completeness.INCOMPLETE, 2)
    assert incomplete.reason == "incomplete: 8 of 10 instances received"
    assert assess(stack(*range(10)), QUIET, POLICY, 10).completeness is Completeness.COMPLETE


def test_more_than_the_pacs_counts_is_complete() -> None:
    assert assess(stack(*range(8)), QUIET, POLICY, 7).completeness is Completeness.COMPLETE


def test_instances_without_a_place_are_complete_when_quiet() -> None:
    reports = series(*(ct_slice(number, planes=()) for number in range(3)))
    assert assess(reports, QUIET, POLICY).completeness is Completeness.COMPLETE


@pytest.mark.parametrize("modality", ["SEG", "SR", "RTDOSE"])
def test_objects_that_are_no_stacks_are_complete_when_quiet(modality: str) -> None:
    frames = series(*(ct_slice(number, modality=modality) for number in (0, 1, 2, 9, 10)))
    assert assess(frames, QUIET, POLICY).completeness is Completeness.COMPLETE


def test_a_single_image_is_complete_when_quiet() -> None:
    assert assess(stack(0), QUIET, POLICY).completeness is Completeness.COMPLETE


def test_localizers_are_complete_when_quiet_and_hide_no_gap() -> None:
    scouts = series(*(ct_slice(n, image_type="LOCALIZER", z=z) for n, z in enumerate((0.0, 2.0, 4.0, 90.0))))
    assert assess(scouts, QUIET, POLICY).completeness is Completeness.COMPLETE
    mixed = series(*scouts.instances, *(ct_slice(n) for n in (10, 11, 12, 14, 15, 16)))
    assert assess(mixed, QUIET, POLICY).missing_count == 1


def test_a_second_orientation_is_no_missing_slice() -> None:
    plane = (0.0, 50.0, 9.0, *CORONAL, 0.7, 0.7, 512.0, 512.0)
    mixed = series(*(ct_slice(number) for number in range(8)), ct_slice(9, planes=(plane,)))
    assert assess(mixed, QUIET, POLICY).completeness is Completeness.COMPLETE


def test_repeated_positions_are_no_missing_slices() -> None:
    phases = series(*(ct_slice(number, z=2.0 * (number % 6)) for number in range(12)))
    assert assess(phases, QUIET, POLICY).completeness is Completeness.COMPLETE


def test_frames_of_one_enhanced_instance_are_judged_like_slices() -> None:
    planes = tuple(ct_slice(number).planes[0] for number in (0, 1, 2, 4, 5))
    assert assess(series(ct_slice(1, planes=planes)), QUIET, POLICY).missing_count == 1


def test_a_clock_that_was_set_back_only_means_waiting() -> None:
    assert assess(stack(*range(5)), 50.0, POLICY).completeness is Completeness.WAITING


@given(st.randoms(use_true_random=False), st.sets(st.integers(0, 30), min_size=1), st.floats(100.0, 2000.0))
def test_the_order_of_arrival_has_no_influence(chance: random.Random, numbers: set[int], now: float) -> None:
    instances = [ct_slice(number, at=100.0 + number) for number in sorted(numbers)]
    shuffled = chance.sample(instances, len(instances))
    assert assess(series(*instances), now, POLICY) == assess(series(*shuffled), now, POLICY)
    assert input_digest(series(*instances)) == input_digest(series(*shuffled))


@given(st.sets(st.integers(0, 30), min_size=1), st.floats(0.0, 5000.0), st.floats(0.0, 5000.0))
def test_what_may_be_routed_once_may_be_routed_ever_after(numbers: set[int], now: float, later: float) -> None:
    collected = stack(*numbers)
    if assess(collected, now, POLICY).completeness is not Completeness.WAITING:
        assert assess(collected, now + later, POLICY).completeness is not Completeness.WAITING


@given(st.sets(st.integers(0, 40)), st.integers(0, 60) | st.none())
def test_nothing_waits_longer_than_the_longest_wait(numbers: set[int], expected_count: int | None) -> None:
    collected = stack(*numbers, 0)
    verdict = assess(collected, 100.0 + POLICY.longest_wait_s, POLICY, expected_count)
    assert verdict.completeness is not Completeness.WAITING
    assert (verdict.completeness is Completeness.INCOMPLETE) == (verdict.missing_count > 0)


@given(st.integers(6, 40), st.floats(0.3, 10.0), st.floats(-math.pi, math.pi), st.data())
def test_one_slice_left_out_of_any_even_stack_is_missed(count: int, step: float, angle: float, data: st.DataObject) -> None:
    cosine, sine = math.cos(angle), math.sin(angle)
    orientation = (cosine, sine, 0.0, 0.0, 0.0, -1.0)
    normal = (-sine, cosine, 0.0)
    left_out = data.draw(st.integers(1, count - 2))
    planes = {n: (*(n * step * part for part in normal), *orientation, 0.7, 0.7, 512.0, 512.0) for n in range(count)}
    whole = series(*(ct_slice(n, planes=(plane,)) for n, plane in planes.items()))
    cut = series(*(ct_slice(n, planes=(plane,)) for n, plane in planes.items() if n != left_out))
    assert assess(whole, QUIET, POLICY).completeness is Completeness.COMPLETE
    assert assess(cut, QUIET, POLICY).missing_count == 1


def test_the_digest_names_study_series_and_instances() -> None:
    plain = stack(1, 2, 3)
    assert len(input_digest(plain)) == 64
    others = [
        stack(1, 2),
        Series("1.2.3.5", plain.study_instance_uid, plain.instances),
        Series(plain.series_instance_uid, "1.2.4", plain.instances),
    ]
    assert len({input_digest(other) for other in (plain, *others)}) == 4


def test_a_real_chest_ct_is_complete_and_misses_what_is_taken_out(chest_ct: Path) -> None:
    instances = tuple(read_instance(path, received_at=100.0) for path in sorted(chest_ct.iterdir()))
    uid, study = instances[0].series_instance_uid, instances[0].study_instance_uid
    assert assess(Series(uid, study, instances), QUIET, POLICY).completeness is Completeness.COMPLETE
    by_place = sorted(instances, key=lambda instance: instance.planes[0][2])
    cut = Series(uid, study, (*by_place[:40], *by_place[43:]))
    assert assess(cut, QUIET, POLICY).missing_count == 3


def test_real_scouts_pet_and_segmentations_are_complete_when_quiet(whole_study: Path) -> None:
    found: dict[str, list[Instance]] = {}
    for path in sorted(whole_study.rglob("*.dcm")):
        instance = read_instance(path, received_at=100.0)
        found.setdefault(instance.series_instance_uid, []).append(instance)
    verdicts = {
        uid: assess(Series(uid, group[0].study_instance_uid, tuple(group)), QUIET, POLICY) for uid, group in found.items()
    }
    assert len(verdicts) > 4
    assert {verdict.completeness for verdict in verdicts.values()} == {Completeness.COMPLETE}, verdicts
