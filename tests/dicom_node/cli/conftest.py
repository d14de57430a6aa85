"""A small thorax, and one node that has analysed it and goes on running."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.node_process import Node, Target, dcmsend, node
from tests.pacs_servers import StoreScp, storescp
from tests.synthetic_ct import SyntheticSeries, write_ct


@dataclass(frozen=True, slots=True)
class Worked:
    """A running node that has delivered the results of one study to a PACS."""

    node: Node
    scp: StoreScp
    series: SyntheticSeries


@pytest.fixture(scope="session")
def thorax(tmp_path_factory: pytest.TempPathFactory) -> SyntheticSeries:
    return write_ct(tmp_path_factory.mktemp("thorax") / "ct", "axial", slices=20, rows=64)


@pytest.fixture(scope="session")
def worked(tmp_path_factory: pytest.TempPathFactory, thorax: SyntheticSeries) -> Iterator[Worked]:
    folder = tmp_path_factory.mktemp("worked")
    with storescp(folder / "scp") as scp, node(folder / "node", Target("pacs", scp.ae_title, scp.port)) as running:
        assert dcmsend(running.port, thorax.paths).returncode == 0
        running.wait_settled(len(thorax.paths))
        yield Worked(running, scp, thorax)
