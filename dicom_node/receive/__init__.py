"""Takes SOP Instances from the network and puts them on stable storage before it says so.

```
connections ─▶ association (access, contexts) ─▶ streaming, pdata ─▶ reception ─▶ storing ─▶ spool ─▶ indexing ─▶ ledger
```
Put together, in the order of starting (stop in the reverse order):

    spool = Spool(directory)
    spool.drop_leftovers()
    indexer = Indexer(spool, ledger.instances, read_instance).start()
    pressure = Backpressure(DiskGuard(spool.root, settings.watermarks), settings.max_unindexed)
    store = SpoolStore(spool, pressure, indexer.offer)
    receiver = Receiver(settings, store, on_commitment).start()
"""

from dicom_node.receive.backpressure import Backpressure
from dicom_node.receive.commitment import CommitmentReport
from dicom_node.receive.disk import DiskGuard
from dicom_node.receive.indexing import Indexer
from dicom_node.receive.receiver import Receiver
from dicom_node.receive.settings import Peer, ReceiverSettings, Timeouts, Watermarks
from dicom_node.receive.spool import Spool, StoredFile
from dicom_node.receive.storing import SpoolStore, StoreHandler

__all__ = [
    "Backpressure",
    "CommitmentReport",
    "DiskGuard",
    "Indexer",
    "Peer",
    "Receiver",
    "ReceiverSettings",
    "Spool",
    "SpoolStore",
    "StoreHandler",
    "StoredFile",
    "Timeouts",
    "Watermarks",
]
