import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicom_node.errors import ConfigurationError
from dicom_node.receive.access import AssociationRequest, Rejection, rejection
from dicom_node.receive.settings import Peer, ReceiverSettings

PACS = Peer.of("PACS", "10.1.0.0/16", "2001:db8::/32")
SETTINGS = ReceiverSettings("NODE", peers=(PACS, Peer.of("CT1", "10.2.0.7"), Peer.of("ANYWHERE")))


def asked(calling: str = "PACS", called: str = "NODE", host: str = "10.1.2.3") -> AssociationRequest:
    return AssociationRequest(calling, called, host)


def test_a_known_peer_from_its_network_is_welcome() -> None:
    assert rejection(asked(), SETTINGS) is None
    assert rejection(asked(host="2001:db8::5"), SETTINGS) is None
    assert rejection(asked(calling="CT1", host="10.2.0.7"), SETTINGS) is None
    assert rejection(asked(calling="ANYWHERE", host="192.0.2.1"), SETTINGS) is None


def test_an_ipv4_address_on_an_ipv6_socket_is_an_ipv4_address() -> None:
    assert rejection(asked(host="::ffff:10.1.2.3"), SETTINGS) is None


def test_spaces_around_an_ae_title_do_not_count() -> None:
    assert rejection(asked(calling=" PACS ", called="NODE  "), SETTINGS) is None


@pytest.mark.parametrize(
    ("calling", "host"), [("OTHER", "10.1.2.3"), ("PACS", "10.2.0.7"), ("pacs", "10.1.2.3"), ("PACS", "?")]
)
def test_an_unknown_title_or_a_known_one_from_elsewhere_is_not_recognised(calling: str, host: str) -> None:
    assert rejection(asked(calling=calling, host=host), SETTINGS) is Rejection.CALLING_AE_TITLE_NOT_RECOGNIZED


def test_a_wrong_called_ae_title_is_not_recognised_unless_any_will_do() -> None:
    assert rejection(asked(called="OTHER"), SETTINGS) is Rejection.CALLED_AE_TITLE_NOT_RECOGNIZED
    assert rejection(asked(called="OTHER"), ReceiverSettings("NODE", require_called_ae_title=False)) is None


def test_a_peer_without_a_title_is_a_network_that_is_trusted() -> None:
    settings = ReceiverSettings("NODE", peers=(Peer.of("", "10.0.0.0/8"),))
    assert rejection(asked(calling="WHOEVER"), settings) is None
    assert rejection(asked(calling="WHOEVER", host="192.0.2.1"), settings) is Rejection.CALLING_AE_TITLE_NOT_RECOGNIZED


@given(st.text(max_size=16), st.ip_addresses())
def test_without_peers_everybody_is_welcome(calling: str, host: object) -> None:
    assert rejection(asked(calling=calling, host=str(host)), ReceiverSettings("NODE")) is None


@given(st.text(max_size=16), st.ip_addresses())
def test_more_peers_never_shut_anybody_out(calling: str, host: object) -> None:
    wider = ReceiverSettings("NODE", peers=(*SETTINGS.peers, Peer.of("EXTRA")))
    if rejection(asked(calling=calling, host=str(host)), SETTINGS) is None:
        assert rejection(asked(calling=calling, host=str(host)), wider) is None


def test_a_network_that_is_none_is_refused_with_the_remedy() -> None:
    with pytest.raises(ConfigurationError, match=r"10\.1\.0\.0/16"):
        Peer.of("PACS", "10.1.0.0/99")
