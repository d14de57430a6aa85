"""From findings to files: the node's SEG and SR beside highdicom's own SEG of the same masks, in one run, as a ratio.

`make bench-report` prints and saves bench/results/report.json: CPU seconds (medians) and peak memory of the process.
300 slices of 512 × 512, three segments on 240, 240 and 20 slices.
"""

import argparse
import json
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import highdicom as hd
import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from dicom_node.report import ReportContext, ResultIdentity, make_results, write_results
from engine.api import EngineInfo
from engine.findings import Algorithm, Code, Findings, Outcome, Segment
from engine.volume import SliceReference, Volume

SHAPE = (300, 512, 512)
STRUCTURE, LUNG = Code("91723000", "SCT", "Anatomical Structure"), Code("39607008", "SCT", "Lung")
INFO = EngineInfo("bench", "bench", "BENCH", ("CT",), STRUCTURE, LUNG, Code("25045-6", "LN", "CT unspecified body region"))
OUT = Path(__file__).with_name("results") / "report.json"


def header(index: int) -> Dataset:
    dataset = Dataset()
    dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate, dataset.PatientSex = "Bench^Report", "B1", "", ""
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.FrameOfReferenceUID = "2.25.1", "2.25.2", "2.25.3"
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, f"2.25.4{index:04d}"
    dataset.StudyDate, dataset.StudyTime, dataset.AccessionNumber, dataset.StudyID = "20240101", "120000", "A1", "1"
    dataset.ReferringPhysicianName, dataset.Modality, dataset.SeriesNumber = "", "CT", 2
    dataset.InstanceNumber, dataset.SliceThickness, dataset.PixelSpacing = index + 1, 1.0, [0.7, 0.7]
    dataset.ImagePositionPatient, dataset.ImageOrientationPatient = [0, 0, index], [1, 0, 0, 0, 1, 0]
    dataset.Rows, dataset.Columns, dataset.PositionReferenceIndicator = *SHAPE[1:], ""
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return dataset


def case() -> tuple[list[Dataset], Volume, Findings]:
    sources = [header(k) for k in range(SHAPE[0])]
    positions = np.array([[0.0, 0.0, k] for k in range(SHAPE[0])])
    along = (np.array([1.0, 0, 0]), np.array([0, 1.0, 0]))
    slices = tuple(SliceReference(str(s.SOPInstanceUID)) for s in sources)
    volume = Volume(np.zeros(SHAPE, np.int16), positions, *along, (0.7, 0.7), 1.0, "CT", slices)
    y, x = np.ogrid[: SHAPE[1], : SHAPE[2]]
    segments = []
    for number, (first, last, centre) in enumerate([(30, 270, 150), (30, 270, 360), (140, 160, 380)], 1):
        mask = np.zeros(SHAPE, bool)
        mask[first:last] = (y - 256) ** 2 + (x - centre) ** 2 < (90 if number < 3 else 10) ** 2
        segments.append(Segment(f"s{number}", f"Segment {number}", mask, STRUCTURE, LUNG))
    algorithm = Algorithm("bench", "1.0.0", "dicom-node", "0" * 64, "CPU")
    return sources, volume, Findings(algorithm, Outcome.FINDINGS, tuple(segments), STRUCTURE, LUNG)


def ours(sources: list[Dataset], volume: Volume, findings: Findings) -> None:
    context = ReportContext(INFO, ResultIdentity("2.25.1", "2.25.2", "0" * 64, 1.7e9))
    with tempfile.TemporaryDirectory() as folder:
        write_results(make_results(findings, volume, sources, context), Path(folder))


def stock(sources: list[Dataset], _volume: Volume, findings: Findings) -> None:
    """highdicom's constructor on the same masks, the SEG alone."""
    algorithm = hd.AlgorithmIdentificationSequence("bench", hd.sr.CodedConcept("123110", "DCM", "Artificial Intelligence"), "1")
    codes = [hd.sr.CodedConcept(c.value, c.scheme, c.meaning) for c in (STRUCTURE, LUNG)]
    descriptions = [
        hd.seg.SegmentDescription(n, s.label, codes[0], codes[1], "AUTOMATIC", algorithm)
        for n, s in enumerate(findings.segments, 1)
    ]
    pixels = np.stack([s.mask for s in findings.segments], -1).astype(np.uint8)
    made = hd.seg.Segmentation(
        sources, pixels, "BINARY", descriptions, "2.25.5", 9001, "2.25.6", 1, "m", "m", "1", "1", omit_empty_frames=True
    )
    with tempfile.TemporaryDirectory() as folder:
        made.save_as(Path(folder) / "seg.dcm")


def cpu_seconds(action: Callable[[], None]) -> float:
    begun = time.process_time()
    action()
    return time.process_time() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    made = case()
    measured: dict[str, list[float]] = {"node: SEG and three forms of the SR": [], "highdicom: SEG": []}
    ours(*made)  # imports and caches
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    for _ in range(rounds):
        for name, action in zip(measured, (ours, stock), strict=True):
            measured[name].append(cpu_seconds(partial(action, *made)))
    medians = {name: round(statistics.median(seconds), 2) for name, seconds in measured.items()}
    node, peer = medians.values()
    answer = {
        "cpu_s": medians,
        "ratio": round(peer / node, 2),
        "peak_memory_mb_of_the_node_alone": round(peak_mb),
        "rounds": rounds,
    }
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(answer, indent=2))
    print(json.dumps(answer, indent=2))


if __name__ == "__main__":
    main()
