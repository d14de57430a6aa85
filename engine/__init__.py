"""From DICOM slices to findings; knows no network, no ledger, no PACS."""
