"""The web receiver: uvicorn in a thread of its own. Started, drained, stopped, like the receiver beside it."""

import asyncio
import logging
import math
import socket
import ssl
import threading
import time
from typing import Any, Self

import structlog
from uvicorn import Config, Server
from uvicorn.protocols.http.h11_impl import H11Protocol

from dicom_node.errors import ConfigurationError, TransientError
from dicom_node.receive.settings import ReceiverSettings
from dicom_node.receive.storing import StoreHandler
from dicom_node.receive.web.application import StoreService
from dicom_node.receive.web.settings import WebReceiverSettings

log = structlog.get_logger()

LINGER_S = 10.0
"""A connection may be without a request for so long: before its first header is whole, or while a refused body is dropped."""
CLOSE_S = 5.0
_CONNECTIONS_PER_REQUEST = 4
_WATCH_S = 1.0
_LOOPBACK = ("127.", "::1", "localhost")


class WatchedProtocol(H11Protocol):
    """A connection that ends when nothing comes of it; uvicorn would wait for a slow header for ever."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._useful_at = self.loop.time()
        self._watch = self.loop.call_later(_WATCH_S, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        self._watch.cancel()
        super().connection_lost(exc)

    def _look(self) -> None:
        now = self.loop.time()
        if self.cycle is not None and not self.cycle.response_complete:
            self._useful_at = now  # the request has its own limits
        elif now - self._useful_at > LINGER_S:
            self.transport.abort()
            return
        self._watch = self.loop.call_later(_WATCH_S, self._look)


class WebReceiver:
    """Listens between `start` and `stop`.

    Args:
        settings: what is accepted, and from whom; the same as for C-STORE.
        web: how.
        store: takes the instances; `SpoolStore` in production.
    """

    def __init__(self, settings: ReceiverSettings, web: WebReceiverSettings, store: StoreHandler) -> None:
        self.settings = settings
        self.web = web
        self._store = store
        self._server: Server | None = None
        self._thread: threading.Thread | None = None
        self._address = ("", 0)
        self._stop_by = 0.0

    def start(self) -> Self:
        """Listen: when this returns, connections are accepted.

        Raises:
            TransientError: the port is taken, or the address is none of this machine.
            ConfigurationError: certificate and key cannot be used.
        """
        server = Server(self._config())
        listener = self._listen()
        self._address = listener.getsockname()[:2]
        self._server = server
        self._thread = threading.Thread(target=server.run, args=([listener],), name="web-receiver", daemon=True)
        self._thread.start()
        log.info("receiving over the web", scheme=self.web.scheme, host=self._address[0], port=self._address[1])
        if self.web.token and self.web.scheme == "http" and not self._address[0].startswith(_LOOPBACK):
            log.warning("the web token crosses the network in the clear: set certificate_file and key_file in [web]")
        return self

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that it listens on."""
        return self._address

    @property
    def is_listening(self) -> bool:
        """Whether the thread that serves lives: for readiness and the watchdog."""
        return self._thread is not None and self._thread.is_alive()

    def begin_stop(self, drain_s: float = 0.0) -> None:
        """Accept no more, and let running requests end for so long; returns at once."""
        server = self._server
        if server is not None and not server.should_exit:
            server.config.timeout_graceful_shutdown = math.ceil(drain_s)
            self._stop_by = time.monotonic() + drain_s
            server.should_exit = True

    def stop(self, drain_s: float = 0.0) -> None:
        """Stop, and wait for it. A request that is cut off leaves nothing; what was answered with success stays."""
        self.begin_stop(drain_s)
        thread, self._thread, self._server = self._thread, None, None
        if thread is not None:
            thread.join(max(0.0, self._stop_by - time.monotonic()) + CLOSE_S)
            log.info("receiving over the web ended")

    def _config(self) -> Config:
        config = Config(
            StoreService(self.settings, self.web, self._store).application(),
            loop="asyncio",
            http=WatchedProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level=logging.CRITICAL,
            access_log=False,
            proxy_headers=False,  # an address in a header is anybody's claim
            server_header=False,
            limit_concurrency=self.web.max_requests * _CONNECTIONS_PER_REQUEST + 1,
            **self._tls(),
        )
        logging.getLogger("python_multipart").setLevel(logging.CRITICAL)  # it writes bytes of the body into its words
        try:
            config.load()
        except (OSError, ssl.SSLError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise ConfigurationError(f"[web] certificate_file and key_file cannot be used ({why})") from error
        return config

    def _tls(self) -> dict[str, Any]:
        if not self.web.certificate_file:
            return {}
        return {"ssl_certfile": self.web.certificate_file, "ssl_keyfile": self.web.key_file or None}

    def _listen(self) -> socket.socket:
        host, port = self.web.host, self.web.port
        try:
            return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=128)
        except OSError as error:
            raise TransientError(
                f"cannot listen on {host or '*'}:{port} for the web ({error.strerror or error}): is another program there?"
            ) from error
