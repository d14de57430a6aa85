"""Who may open an association: a pure decision.

Source: DICOM PS3.8 9.3.4 (A-ASSOCIATE-RJ), 7.1.1.9.
"""

from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv6Address, ip_address

from dicom_node.receive.settings import Peer, ReceiverSettings


class Rejection(Enum):
    """(result, source, reason) of an A-ASSOCIATE-RJ."""

    CALLING_AE_TITLE_NOT_RECOGNIZED = (1, 1, 3)
    CALLED_AE_TITLE_NOT_RECOGNIZED = (1, 1, 7)
    TEMPORARY_CONGESTION = (2, 3, 1)  # transient, as the next: the peer may try again
    LOCAL_LIMIT_EXCEEDED = (2, 3, 2)


@dataclass(frozen=True, slots=True)
class AssociationRequest:
    """What the decision looks at.

    Attributes:
        wants_to_store: a storage SOP class is among what it proposes.
    """

    calling_ae_title: str
    called_ae_title: str
    peer_host: str
    wants_to_store: bool = False


def rejection(request: AssociationRequest, settings: ReceiverSettings) -> Rejection | None:
    """Why the association is rejected, or None if it is welcome. AE titles compare without surrounding spaces (PS3.5 6.2)."""
    if settings.require_called_ae_title and request.called_ae_title.strip() != settings.ae_title.strip():
        return Rejection.CALLED_AE_TITLE_NOT_RECOGNIZED
    if settings.peers and not any(_is(peer, request) for peer in settings.peers):
        return Rejection.CALLING_AE_TITLE_NOT_RECOGNIZED
    return None


def _is(peer: Peer, request: AssociationRequest) -> bool:
    title = peer.ae_title.strip()
    return (not title or title == request.calling_ae_title.strip()) and is_from(peer, request.peer_host)


def is_from(peer: Peer, host: str) -> bool:
    """Whether an address is one of the peer's."""
    if not peer.networks:
        return True
    address = _address(host)
    return address is not None and any(address in network for network in peer.networks)


def _address(host: str) -> IPv4Address | IPv6Address | None:
    """The address; one of IPv4 that arrived on an IPv6 socket (::ffff:10.1.2.3) is taken for what it is."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
