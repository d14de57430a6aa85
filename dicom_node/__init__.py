"""A DICOM AI node: receive, assemble, route, infer, report, deliver."""

__version__ = "0.1.0"

IMPLEMENTATION_CLASS_UID = "2.25.251862563926118530377915436424287401493"
IMPLEMENTATION_VERSION_NAME = f"DICOM_NODE_{__version__}"[:16]
"""Who wrote a file and who opened an association (PS3.7 D.3.3.2)."""
