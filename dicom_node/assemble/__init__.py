"""Assembling: when is a series whole? Pure functions; the end of an association says nothing."""

from dicom_node.assemble.assessment import assess
from dicom_node.assemble.digest import input_digest

__all__ = ["assess", "input_digest"]
