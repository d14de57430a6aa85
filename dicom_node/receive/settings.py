"""What a receiver is told, once: frozen values, checked when they are made."""

from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network

from dicom_node.errors import ConfigurationError

AE_TITLE_LENGTH = 16  # PS3.5 6.2, VR AE
SMALLEST_PDU_BYTES = 4096
MEBIBYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class Peer:
    """An application entity that may open associations.

    Attributes:
        ae_title: its calling AE title; empty stands for any.
        networks: addresses ("10.1.2.3") and CIDR blocks ("10.1.0.0/16") it may come from; none stands for any.
    """

    ae_title: str
    networks: tuple[IPv4Network | IPv6Network, ...] = ()

    @classmethod
    def of(cls, ae_title: str, *networks: str) -> "Peer":
        """A peer from text.

        Raises:
            ConfigurationError: a network is no address and no CIDR block.
        """
        try:
            return cls(ae_title, tuple(ip_network(n, strict=False) for n in networks))
        except ValueError as error:
            raise ConfigurationError(f"peer {ae_title}: {error}; write an address or a block such as 10.1.0.0/16") from error


@dataclass(frozen=True, slots=True)
class Watermarks:
    """Free space below which C-STORE is refused, and above which it is accepted again; the larger of bytes and share counts."""

    refuse_below_bytes: int = 512 * MEBIBYTE
    refuse_below_share: float = 0.02
    resume_above_bytes: int = 1024 * MEBIBYTE
    resume_above_share: float = 0.03

    def __post_init__(self) -> None:
        if self.resume_above_bytes < self.refuse_below_bytes or self.resume_above_share < self.refuse_below_share:
            raise ConfigurationError("free space to resume at is below that to refuse at; raise the former")


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long a peer may be silent.

    Attributes:
        acse_s: for its A-ASSOCIATE-RQ, A-RELEASE and the closing of the connection.
        dimse_s: for a DIMSE response to us.
        network_s: with an association open and nothing sent, or in the middle of a PDU.
    """

    acse_s: float = 30.0
    dimse_s: float = 30.0
    network_s: float = 60.0


@dataclass(frozen=True, slots=True)
class ReceiverSettings:
    """How the node receives.

    Attributes:
        host: address to listen on; empty for all.
        port: 0 lets the system choose; `Receiver.address` says which.
        peers: who may open associations, C-ECHO included; none at all stands for everybody.
        maximum_pdu_bytes: announced to senders; 0 announces no limit.
        private_sop_class_uids: stored beside every storage SOP class of the standard.
        private_transfer_syntax_uids: accepted beside every transfer syntax of the standard.
        accept_unknown_storage: take every abstract syntax that the node does not know for another service as storage.
        processes: how many receive on the port; 0 for one on each core, at most 4.
        streaming: C-STORE data goes from the socket to the file; else pynetdicom gathers the message first.
        durable: success means stable storage.
        max_associations_per_peer: of one network address.
        max_instance_bytes: a larger dataset is refused with C000H.
        max_instance_s: a dataset that takes longer ends its association.
        max_unindexed: with more files waiting for their row C-STORE is refused with A700H.
        warn_full_within_s: warn when C-STORE will be refused sooner, at the rate of the last hour.
    """

    ae_title: str
    host: str = ""
    port: int = 11112
    peers: tuple[Peer, ...] = ()
    require_called_ae_title: bool = True
    max_associations: int = 1000
    maximum_pdu_bytes: int = 131_072
    timeouts: Timeouts = field(default_factory=Timeouts)
    watermarks: Watermarks = field(default_factory=Watermarks)
    private_sop_class_uids: frozenset[str] = frozenset()
    private_transfer_syntax_uids: frozenset[str] = frozenset()
    accept_unknown_storage: bool = False
    processes: int = 1
    streaming: bool = True
    durable: bool = True
    max_associations_per_peer: int = 800
    max_instance_bytes: int = 8192 * MEBIBYTE
    max_instance_s: float = 3600.0
    max_unindexed: int = 50_000
    warn_full_within_s: float = 86_400.0

    def __post_init__(self) -> None:
        title = self.ae_title.strip()
        if not 0 < len(title) <= AE_TITLE_LENGTH or not title.isascii() or not title.isprintable() or "\\" in title:
            raise ConfigurationError(f"AE title {self.ae_title!r}: 1 to {AE_TITLE_LENGTH} ASCII characters, no backslash")
        if self.max_associations < 1:
            raise ConfigurationError("max_associations must be 1 or more")
        if 0 < self.maximum_pdu_bytes < SMALLEST_PDU_BYTES:
            raise ConfigurationError(f"a PDU of {self.maximum_pdu_bytes} bytes is too small; use 131072, or 0 for no limit")
