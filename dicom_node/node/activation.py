"""The socket that systemd listens on for the node, so that no sender is refused while the service is restarted.

Source: sd_listen_fds(3), systemd.socket(5).
"""

import os
import socket

import structlog

log = structlog.get_logger()

FIRST_DESCRIPTOR = 3  # SD_LISTEN_FDS_START


def activated_socket(host: str, port: int) -> socket.socket | None:
    """The TCP socket on this address that systemd passed; None if it passed none. To be called once: what is passed is taken.

    Args:
        host: address; empty for any.
        port: of TCP.
    """
    count = os.environ.pop("LISTEN_FDS", "")
    for_us = os.environ.pop("LISTEN_PID", "") == str(os.getpid())
    os.environ.pop("LISTEN_FDNAMES", None)
    if not for_us or not count.isdigit():
        return None
    passed = [socket.socket(fileno=FIRST_DESCRIPTOR + number) for number in range(int(count))]
    found = next((one for one in passed if _port(one) == port and host in {"", _host(one)}), None)
    for one in passed:
        one.set_inheritable(False)
        if one is not found:
            log.error(
                "systemd listens elsewhere than [node] host and port say: systemctl edit dicom-node-receive.socket",
                listens_on=f"{_host(one)}:{_port(one)}",
                host=host,
                port=port,
                alarm=True,
            )
            one.close()
    return found


def _host(listening: socket.socket) -> str:
    return str(listening.getsockname()[0]) if _port(listening) else ""


def _port(listening: socket.socket) -> int:
    if listening.family not in {socket.AF_INET, socket.AF_INET6}:
        return 0
    port: int = listening.getsockname()[1]
    return port
