"""The embedded PACS behind the same few calls as Orthanc."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from dicom_node.deliver.outcome import Stored, StoredWithWarning
from dicom_node.demo.pacs import EmbeddedPacs
from dicom_node.errors import NodeError


class EmbeddedDemoPacs:
    """A running `EmbeddedPacs` that forwards to the node."""

    name = "the embedded PACS (Orthanc is not installed)"

    def __init__(self, directory: Path, node_ae_title: str, node_port: int) -> None:
        self._node = ("127.0.0.1", node_port, node_ae_title)
        self._pacs = EmbeddedPacs(directory).start()
        self.ae_title, self.port = self._pacs.ae_title, self._pacs.port

    def load(self, paths: Sequence[Path]) -> Iterator[None]:
        for path in paths:
            self._pacs.archive.add(path.read_bytes())
            yield

    def forward(self) -> Iterator[None]:
        """Send everything it holds to the node by C-STORE; one step for each instance.

        Raises:
            NodeError: the node did not take one.
        """
        for outcome in self._pacs.push(self._pacs.archive.paths(), *self._node):
            if not isinstance(outcome, (Stored, StoredWithWarning)):
                raise NodeError(f"the node did not take an instance: {outcome}")
            yield

    def instances(self) -> dict[str, bytes]:
        return {path.stem: path.read_bytes() for path in self._pacs.archive.paths()}

    def uids(self) -> set[str]:
        return {path.stem for path in self._pacs.archive.paths()}

    def stop(self) -> None:
        self._pacs.stop()
