"""The receiving service takes instances over the web where the configuration has a port for it."""

from pathlib import Path

import pytest

from dicom_node.config import NodeConfiguration, parse
from dicom_node.errors import ConfigurationError
from dicom_node.ledger import Ledger
from dicom_node.node.paths import StatePaths
from dicom_node.node.receiving import ReceivingService
from tests.dicom_node.receive.web.stow import body, instance, post
from tests.pacs_servers import free_port, is_listening, wait_until


def configuration(state: Path, more: str) -> NodeConfiguration:
    return parse(f'[node]\nhost = "127.0.0.1"\nport = {free_port()}\nstate_dir = "{state}"\n{more}', "node.toml")


def test_what_comes_over_the_web_is_indexed_as_what_comes_by_c_store(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("0123456789abcdef")
    port = free_port()
    told = configuration(tmp_path / "state", f'[web]\nhost = "127.0.0.1"\nport = {port}\ntoken_file = "{tmp_path}/token"\n')
    service = ReceivingService(told, drain_s=1.0)
    service.start()
    try:
        assert service.is_alive()
        assert post(("127.0.0.1", port), body([instance(1)])).status == 401
        stored = post(("127.0.0.1", port), body([instance(1), instance(2)]), Authorization="Bearer 0123456789abcdef")
        assert stored.status == 200
        ledger = Ledger.open(StatePaths(Path(told.node.state_dir)).ledger)
        wait_until(lambda: len(ledger.instances.known_paths()) == 2, "both have a row")
        ledger.close()
    finally:
        service.stop()
    assert not is_listening(port)


def test_without_a_port_nothing_is_taken_over_the_web(tmp_path: Path) -> None:
    assert ReceivingService(configuration(tmp_path, ""))._web is None


def test_a_token_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="token_file"):
        ReceivingService(configuration(tmp_path, f'[web]\nport = {free_port()}\ntoken_file = "{tmp_path}/none"\n'))
