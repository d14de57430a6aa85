"""The Store Instances Response: a status, and a dataset that says what came of each instance, as JSON or as XML.

Source: DICOM PS3.18 10.5.3, I.2, F.2 (DICOM JSON Model); PS3.19 A.1 (Native DICOM Model).
"""

import json
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any
from xml.etree import ElementTree as ET

from pydicom.datadict import keyword_for_tag

from dicom_node.receive.web.transaction import Outcome

JSON = "application/dicom+json"
XML = "application/dicom+xml"
NAMESPACE = "http://dicom.nema.org/PS3.19/models/NativeDICOM"

_REFERENCED_SOP_CLASS_UID = "00081150"
_REFERENCED_SOP_INSTANCE_UID = "00081155"
_RETRIEVE_URL = "00081190"
_FAILURE_REASON = "00081197"
_FAILED_SOP_SEQUENCE = "00081198"
_REFERENCED_SOP_SEQUENCE = "00081199"
_OTHER_FAILURES_SEQUENCE = "0008119A"

Element = dict[str, Any]
JsonDataset = dict[str, Element]


def status_of(outcomes: Sequence[Outcome]) -> HTTPStatus:
    """The status of a request whose body was read to its end."""
    failed = sum(outcome.failure is not None for outcome in outcomes)
    if not outcomes:
        return HTTPStatus.BAD_REQUEST
    if not failed:
        return HTTPStatus.OK
    if failed < len(outcomes):
        return HTTPStatus.ACCEPTED
    if all(outcome.unsupported_media_type for outcome in outcomes):
        return HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    return HTTPStatus.CONFLICT


def media_type(accept: str) -> str:
    """JSON, unless XML is asked for, and not JSON more."""
    weights = {JSON: 0.0, XML: 0.0}
    for choice in accept.lower().split(","):
        name, *parameters = (part.strip() for part in choice.split(";"))
        if name in weights:
            weights[name] = max(weights[name], _weight(parameters))
    return XML if weights[XML] > weights[JSON] else JSON


def _weight(parameters: Sequence[str]) -> float:
    given = next((parameter[2:] for parameter in parameters if parameter.startswith("q=")), "1")
    try:
        return float(given)
    except ValueError:
        return 0.0


def content(outcomes: Sequence[Outcome], wanted: str) -> bytes:
    """The dataset, encoded."""
    dataset = _dataset(outcomes)
    return _xml(dataset) if wanted == XML else json.dumps(dataset).encode()


def _dataset(outcomes: Sequence[Outcome]) -> JsonDataset:
    """Retrieve URLs are empty: nothing can be retrieved here."""
    sequences: dict[str, list[JsonDataset]] = {}
    for outcome in outcomes:
        known = outcome.sop_class_uid and outcome.sop_instance_uid
        item = _reference(outcome) if known else {}
        if outcome.failure is None:
            item[_RETRIEVE_URL] = {"vr": "UR"}
            sequence = _REFERENCED_SOP_SEQUENCE
        else:
            item[_FAILURE_REASON] = {"vr": "US", "Value": [int(outcome.failure)]}
            sequence = _FAILED_SOP_SEQUENCE if known else _OTHER_FAILURES_SEQUENCE
        sequences.setdefault(sequence, []).append(item)
    elements: JsonDataset = {tag: {"vr": "SQ", "Value": items} for tag, items in sequences.items()}
    return dict(sorted({_RETRIEVE_URL: {"vr": "UR"}, **elements}.items()))


def _reference(outcome: Outcome) -> JsonDataset:
    return {
        _REFERENCED_SOP_CLASS_UID: {"vr": "UI", "Value": [outcome.sop_class_uid]},
        _REFERENCED_SOP_INSTANCE_UID: {"vr": "UI", "Value": [outcome.sop_instance_uid]},
    }


def _xml(dataset: JsonDataset) -> bytes:
    root = ET.Element("NativeDicomModel", {"xmlns": NAMESPACE, "xml:space": "preserve"})
    _add(root, dataset)
    encoded: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return encoded


def _add(parent: ET.Element, dataset: JsonDataset) -> None:
    for tag, element in dataset.items():
        keyword = keyword_for_tag(int(tag, 16))
        attribute = ET.SubElement(parent, "DicomAttribute", {"tag": tag, "vr": element["vr"], "keyword": keyword})
        for number, value in enumerate(element.get("Value", ()), start=1):
            if isinstance(value, dict):
                _add(ET.SubElement(attribute, "Item", {"number": str(number)}), value)
            else:
                ET.SubElement(attribute, "Value", {"number": str(number)}).text = str(value)
