"""STOW-RS beside C-STORE: the Store Transaction of DICOMweb into the same spool, with the same promise.

```
connection ─▶ server ─▶ application (access) ─▶ multipart ─▶ transaction ─▶ StoreHandler (storing) ─▶ spool
```
Source: DICOM PS3.18 10.5.
"""

from dicom_node.receive.web.server import WebReceiver
from dicom_node.receive.web.settings import WebReceiverSettings, read_token

__all__ = ["WebReceiver", "WebReceiverSettings", "read_token"]
