"""A DICOM AI node: receive, assemble, route, infer, report, deliver."""

__version__ = "0.1.0"
