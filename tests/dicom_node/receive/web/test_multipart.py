"""Whatever a body holds, and however it is cut into pieces: the same parts, or a refusal."""

import contextlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicom_node.receive.web.multipart import reader_for
from dicom_node.receive.web.prefix import LONGEST_PREFIX_BYTES, read_prefix
from dicom_node.receive.web.refusals import PartRefused, RequestRefused
from dicom_node.receive.web.response import media_type
from dicom_node.receive.web.study import study_instance_uid
from tests.dicom_node.receive.web.stow import BOUNDARY, CT, MULTIPART, ROOT, body, dataset_of, instance

LITTLE = "1.2.840.10008.1.2.1"
OTHER = "another-boundary-of-the-test"
nearly_boundaries = st.sampled_from([OTHER[:-1], OTHER + "X", OTHER + "\rX", OTHER + "-X", OTHER + "-\r\n"]).map(
    lambda nearly: f"\r\n--{nearly}".encode()
)
pieces_of_bodies = st.lists(
    st.sampled_from([f"--{BOUNDARY}".encode(), b"\r\n", b"--", b"\r", b"\n", b"-", b" ", b"A: b", b"\0", b"x" * 100])
    | st.binary(max_size=20),
    max_size=30,
).map(b"".join)


class Collected:
    """Keeps the parts."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self._open = b""

    def begin(self, media_type: str) -> None:
        self._open = b""

    def data(self, chunk: memoryview) -> None:
        self._open += chunk

    def end(self) -> None:
        self.parts.append(self._open)


def parts(content: bytes, cuts: list[int], content_type: str = MULTIPART) -> list[bytes] | None:
    collected = Collected()
    reader = reader_for(content_type, collected)
    places = sorted({0, len(content), *(cut % (len(content) + 1) for cut in cuts)})
    try:
        for start, end in pairwise(places):
            reader.feed(content[start:end])
        reader.finish()
    except RequestRefused:
        return None
    return collected.parts


@given(
    st.lists(pieces_of_bodies | st.lists(nearly_boundaries).map(b"".join), min_size=1, max_size=4),
    st.lists(st.integers(0, 10_000), max_size=6),
)
def test_parts_come_out_as_they_went_in(sent: list[bytes], cuts: list[int]) -> None:
    assert parts(body(sent, boundary=OTHER), cuts, MULTIPART.replace(BOUNDARY, OTHER)) == sent


@given(pieces_of_bodies, st.lists(st.integers(0, 10_000), max_size=6))
def test_any_body_gives_the_same_however_it_is_cut(content: bytes, cuts: list[int]) -> None:
    assert parts(content, cuts) == parts(content, [])


@given(st.text(max_size=60) | st.text(alphabet='multipart/related;=" boundarytype,\\', max_size=80))
def test_any_content_type_is_understood_or_refused(content_type: str) -> None:
    with contextlib.suppress(RequestRefused):
        reader_for(content_type.encode("latin-1", "replace").decode("latin-1"), Collected())


@given(st.integers(0, 10_000), st.binary(max_size=12), st.integers(0, 10_000))
def test_a_garbled_instance_is_understood_or_refused(at: int, noise: bytes, length: int) -> None:
    whole = instance()
    at %= len(whole)
    garbled = (whole[:at] + noise + whole[at + len(noise) :])[: length % (2 * len(whole))]
    try:
        prefix = read_prefix(garbled[:LONGEST_PREFIX_BYTES])
    except PartRefused:
        return
    assert 132 < prefix.length_bytes <= len(garbled)
    study_instance_uid(garbled[prefix.length_bytes :], prefix.transfer_syntax_uid)


def test_the_prefix_ends_where_the_dataset_begins() -> None:
    whole = instance()
    prefix = read_prefix(whole)
    assert whole[prefix.length_bytes :] == dataset_of(whole)
    assert (prefix.sop_class_uid, prefix.sop_instance_uid, prefix.transfer_syntax_uid) == (CT, ROOT + "1", LITTLE)
    without_length = whole[:132] + whole[144:]
    assert without_length[read_prefix(without_length).length_bytes :] == dataset_of(whole)
    wrong_length = whole[:140] + b"\x08\0\0\0" + whole[144:]
    assert wrong_length[read_prefix(wrong_length).length_bytes :] == dataset_of(whole)


@pytest.mark.parametrize(
    ("accept", "name"),
    [
        ("", "json"),
        ("*/*", "json"),
        ("application/dicom+xml", "xml"),
        ("APPLICATION/DICOM+XML; charset=utf-8", "xml"),
        ("application/dicom+xml;q=0.5, application/dicom+json", "json"),
        ("application/dicom+json;q=0.1,application/dicom+xml;q=0.2", "xml"),
        ("application/dicom+xml;q=none", "json"),
        (";,;q", "json"),
    ],
)
def test_the_answer_is_in_the_media_type_that_is_preferred(accept: str, name: str) -> None:
    assert media_type(accept) == f"application/dicom+{name}"
