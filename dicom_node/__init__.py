"""A DICOM AI node: receive, assemble, route, infer, report, deliver."""
