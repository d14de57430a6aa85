"""Who may store over the web: a pure decision. There are no AE titles there, so the address counts, and the token."""

import hmac

from dicom_node.receive.access import is_from
from dicom_node.receive.settings import Peer


def is_admitted(host: str, peers: tuple[Peer, ...]) -> bool:
    """Whether a client of this address may store.

    The networks of a peer admit web clients, whatever its AE title. A peer without networks is known by its AE title alone,
    which no web client has: it admits none, unless it has no AE title either.
    """
    return not peers or any(is_from(peer, host) and bool(peer.networks or not peer.ae_title.strip()) for peer in peers)


def has_token(authorization: str, token: str) -> bool:
    """Whether the Authorization header carries the token, compared in constant time; always, where there is no token."""
    scheme, _, given = authorization.partition(" ")
    matches = hmac.compare_digest(given.strip().encode(), token.encode())
    return not token or (matches and scheme.lower() == "bearer")
