"""Findings become DICOM SEG and SR."""
