"""Findings become DICOM: SEG, TID 1500 SR, secondary capture; the only place that knows highdicom."""

from dicom_node.report.check import check_results
from dicom_node.report.context import Analysed, Equipment, MadeResult, ReportContext, ResultIdentity
from dicom_node.report.overlay import draw_overlay
from dicom_node.report.results import make_results, write_results

__all__ = [
    "Analysed",
    "Equipment",
    "MadeResult",
    "ReportContext",
    "ResultIdentity",
    "check_results",
    "draw_overlay",
    "make_results",
    "write_results",
]
