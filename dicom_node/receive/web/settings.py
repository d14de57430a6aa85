"""What the web receiver is told, once, beside the receiver's own settings."""

from dataclasses import dataclass, field
from pathlib import Path

from dicom_node.errors import ConfigurationError

SHORTEST_TOKEN = 16


@dataclass(frozen=True, slots=True)
class WebReceiverSettings:
    """How the node receives over the web.

    Attributes:
        host: address to listen on; empty for all.
        port: 0 lets the system choose; `WebReceiver.address` says which.
        token: what "Authorization: Bearer" must carry; empty asks for none.
        certificate_file, key_file: of TLS; empty for plain HTTP.
        max_requests: at the same time; more are answered with 503.
        max_parts: in one request; one with more is answered with 413.
        idle_s: a client that is silent for so long in the middle of a request is cut off.
    """

    host: str = ""
    port: int = 0
    token: str = field(default="", repr=False)
    certificate_file: str = ""
    key_file: str = ""
    max_requests: int = 16
    max_parts: int = 10_000
    idle_s: float = 60.0

    @property
    def scheme(self) -> str:
        return "https" if self.certificate_file else "http"


def read_token(token_file: str) -> str:
    """The token in a file, without the space around it.

    Raises:
        ConfigurationError: the file cannot be read, or holds no token.
    """
    try:
        token = Path(token_file).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"[web] token_file {token_file} cannot be read ({type(error).__name__})") from None
    if len(token) < SHORTEST_TOKEN or not token.isprintable() or " " in token:
        raise ConfigurationError(
            f"[web] token_file {token_file}: write one token of {SHORTEST_TOKEN} or more characters: openssl rand -hex 32"
        )
    return token
