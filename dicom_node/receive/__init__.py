"""Takes SOP Instances from the network and puts them on stable storage before it says so.

```
connection ─▶ transport ─▶ association (access, contexts) ─▶ StoreHandler (storing) ─▶ spool ─▶ indexing ─▶ ledger
```
"""

from dicom_node.receive.commitment import CommitmentReport
from dicom_node.receive.disk import DiskGuard
from dicom_node.receive.receiver import Receiver
from dicom_node.receive.settings import Peer, ReceiverSettings, Timeouts, Watermarks
from dicom_node.receive.spool import Spool, StoredFile
from dicom_node.receive.storing import SpoolStore, StoreHandler

__all__ = [
    "CommitmentReport",
    "DiskGuard",
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
