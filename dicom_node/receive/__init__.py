"""Takes SOP Instances from the network and puts them on stable storage before it says so.

```
connection ─▶ transport ─▶ association (access, contexts) ─▶ StoreHandler (storing) ─▶ spool ─▶ indexing ─▶ ledger
```
Put together, in the order of starting (stop in the reverse order):

    spool = Spool(directory)
    spool.drop_leftovers()
    indexer = Indexer(spool, ledger.instances, read_instance).start()
    store = SpoolStore(spool, DiskGuard(spool.root, settings.watermarks), indexer.offer)
    receiver = Receiver(settings, store, on_commitment).start()
"""

from dicom_node.receive.commitment import CommitmentReport
from dicom_node.receive.disk import DiskGuard
from dicom_node.receive.indexing import Indexer
from dicom_node.receive.receiver import Receiver
from dicom_node.receive.settings import Peer, ReceiverSettings, Timeouts, Watermarks
from dicom_node.receive.spool import Spool, StoredFile
from dicom_node.receive.storing import SpoolStore, StoreHandler

__all__ = [
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
