"""Coded concepts that reports use, and ours as highdicom's."""

from highdicom.sr import CodedConcept

from engine.findings import Code, Outcome

AI_FAMILY = Code("123110", "DCM", "Artificial Intelligence")
CAD_SUMMARY = Code("111017", "DCM", "CAD Processing and Findings Summary")
VISUAL_EXPLANATION = Code("130401", "DCM", "Visual explanation")
COMMENT = Code("121106", "DCM", "Comment")
QUALITATIVE_EVALUATIONS = Code("C0034375", "UMLS", "Qualitative Evaluations")
DERIVED_MEASUREMENTS = Code("126011", "DCM", "Derived Imaging Measurements")
PROCESSING_EQUIPMENT = Code("109102", "DCM", "Processing Equipment")
REPORT_TITLE = Code("126000", "DCM", "Imaging Measurement Report")
DEVICE_OBSERVER = Code("121007", "DCM", "Device")
ABSENT = Code("373572006", "SCT", "Clinical finding absent")
VOLUME = Code("118565006", "SCT", "Volume")
MILLILITRE = Code("ml", "UCUM", "milliliter")
MILLIMETRE = Code("mm", "UCUM", "millimeter")
LONG_AXIS = Code("103339001", "SCT", "Long Axis")
SHORT_AXIS = Code("103340004", "SCT", "Short Axis")
IN_PLANE = {LONG_AXIS.value, SHORT_AXIS.value}  # measured on the slice that shows the contour

SUMMARY = {  # CID 6047; by outcome and whether there is anything to show
    (Outcome.FINDINGS, True): Code("111242", "DCM", "All algorithms succeeded; with findings"),
    (Outcome.FINDINGS, False): Code("111241", "DCM", "All algorithms succeeded; without findings"),
    (Outcome.NOTHING_FOUND, True): Code("111241", "DCM", "All algorithms succeeded; without findings"),
    (Outcome.NOTHING_FOUND, False): Code("111241", "DCM", "All algorithms succeeded; without findings"),
    (Outcome.PARTLY_ANALYSED, True): Code("111244", "DCM", "Not all algorithms succeeded; with findings"),
    (Outcome.PARTLY_ANALYSED, False): Code("111243", "DCM", "Not all algorithms succeeded; without findings"),
    (Outcome.NOT_ANALYSED, True): Code("111245", "DCM", "No algorithms succeeded; without findings"),
    (Outcome.NOT_ANALYSED, False): Code("111245", "DCM", "No algorithms succeeded; without findings"),
}


def concept(code: Code) -> CodedConcept:
    return CodedConcept(code.value, code.scheme, code.meaning)
