"""Engines that fail in every way an engine can, and one that waits to be released."""

import ctypes
import threading
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from engine.api import Context, EngineInfo
from engine.findings import Algorithm, Code, Findings, Outcome
from engine.volume import Volume

STRUCTURE = Code("91723000", "SCT", "Anatomical structure")
LUNG = Code("39607008", "SCT", "Lung")
REGION = Code("25045-6", "LN", "CT unspecified body region")
PAUSE_S = 0.02


def _info(name: str) -> EngineInfo:
    return EngineInfo(name, f"engine that {name}", name.upper(), ("CT",), STRUCTURE, LUNG, REGION)


def _algorithm(name: str) -> Algorithm:
    return Algorithm(name, "1.0.0", "dicom-node", "0" * 64, "CPU", "")


def _nothing(name: str) -> Findings:
    return Findings(
        _algorithm(name), Outcome.NOTHING_FOUND, finding_category=STRUCTURE, finding_type=LUNG, reason="Nothing is there."
    )


def _wait_for(condition: Callable[[], bool]) -> None:
    pause = threading.Event()
    while not condition():
        pause.wait(PAUSE_S)


class Raises:
    """Raises with a text that quotes the patient, until it is repaired."""

    info: ClassVar[EngineInfo] = _info("raises")

    def __init__(self, context: Context) -> None:
        self.options = context.options

    def algorithm(self) -> Algorithm:
        return _algorithm("raises")

    def analyse(self, volume: Volume) -> Findings:
        if (Path(self.options["flags"]) / "repaired").exists():
            return _nothing("raises")
        raise RuntimeError(f"no idea about Test^Patient with {len(volume.voxels)} slices")


class Crashes:
    """Dies of SIGSEGV, as a broken driver causes."""

    info: ClassVar[EngineInfo] = _info("crashes")

    def __init__(self, context: Context) -> None:
        self.options = context.options

    def algorithm(self) -> Algorithm:
        return _algorithm("crashes")

    def analyse(self, volume: Volume) -> Findings:
        ctypes.string_at(0)
        return _nothing("crashes")


class Hangs:
    """Never answers the first time, and does its work the second time."""

    info: ClassVar[EngineInfo] = _info("hangs")

    def __init__(self, context: Context) -> None:
        self._mark = Path(context.options["flags"]) / "hung"

    def algorithm(self) -> Algorithm:
        return _algorithm("hangs")

    def analyse(self, volume: Volume) -> Findings:
        if not self._mark.exists():
            self._mark.touch()
            _wait_for(lambda: False)
        return _nothing("hangs")


class Waits:
    """Says that it has begun, and ends when it is released."""

    info: ClassVar[EngineInfo] = _info("waits")

    def __init__(self, context: Context) -> None:
        self._flags = Path(context.options["flags"])

    def algorithm(self) -> Algorithm:
        return _algorithm("waits")

    def analyse(self, volume: Volume) -> Findings:
        (self._flags / "begun").touch()
        _wait_for((self._flags / "released").exists)
        return _nothing("waits")
