from io import BytesIO

from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread

from dicom_node import IMPLEMENTATION_CLASS_UID
from dicom_node.receive.part10 import StoreRequest, head, presentation_address

titles = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="\\"), max_size=16)
uids = st.from_regex(r"[1-9][0-9]{0,7}(\.[1-9][0-9]{0,7}){1,5}", fullmatch=True)


def read(request: StoreRequest) -> dict[str, str]:
    dataset = dcmread(BytesIO(head(request)))
    assert not len(dataset)
    return {element.keyword: str(element.value) for element in dataset.file_meta}


@given(uids, uids, titles, titles, st.ip_addresses(), st.integers(1, 65535))
def test_the_head_says_what_the_association_knew(
    sop_class_uid: str, sop_instance_uid: str, calling: str, called: str, host: object, port: int
) -> None:
    request = StoreRequest(
        sop_class_uid, sop_instance_uid, "1.2.840.10008.1.2.1", calling, called, str(host), port, "10.0.0.1", 104
    )
    meta = read(request)
    assert meta["MediaStorageSOPClassUID"] == sop_class_uid
    assert meta["MediaStorageSOPInstanceUID"] == sop_instance_uid
    assert meta["TransferSyntaxUID"] == "1.2.840.10008.1.2.1"
    assert meta["ImplementationClassUID"] == IMPLEMENTATION_CLASS_UID
    assert meta.get("SourceApplicationEntityTitle", "") == meta.get("SendingApplicationEntityTitle", "") == calling
    assert meta.get("ReceivingApplicationEntityTitle", "") == called
    assert meta["SourcePresentationAddress"] == presentation_address(str(host), port)
    assert meta["ReceivingPresentationAddress"] == "dicom://10.0.0.1:104"


def test_an_ipv6_address_is_written_as_a_uri_wants_it() -> None:
    assert presentation_address("2001:db8::1", 104) == "dicom://[2001:db8::1]:104"


def test_a_uid_that_breaks_the_rules_is_kept_as_it_came() -> None:
    assert b"1.2.003.4" in head(StoreRequest("1.2.840.10008.5.1.4.1.1.2", "1.2.003.4", "1.2.840.10008.1.2.1"))
