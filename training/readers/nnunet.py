"""Folders in the form of nnU-Net: imagesTr/NAME_0000.nii.gz (a file per channel), labelsTr/NAME.nii.gz, dataset.json."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from training.errors import LabelError
from training.readers.labelled_case import LabelledCase
from training.readers.nifti import read_pair
from training.readers.patients import patients_of


def read_nnunet_folder(folder: Path) -> Iterator[LabelledCase]:
    """The training cases, case-1 the first by name; the modality is CT where the first channel is called so, else MR.

    Whose they are says patients.csv, where there is one.

    Source: nnU-Net v2, documentation/dataset_format.md; version 1 says "modality" for "channel_names" and has labels by number.

    Raises:
        LabelError: dataset.json is missing or not understood, a case is incomplete, or patients.csv lacks one.
    """
    described = _described(folder / "dataset.json")
    channels: Mapping[str, str] = described.get("channel_names") or described.get("modality") or {}
    ending = described.get("file_ending", ".nii.gz")
    structures = _structures(described.get("labels", {}), folder)
    if not channels:
        raise LabelError(f"{folder / 'dataset.json'} names no channels: add channel_names")
    modality = "CT" if next(iter(channels.values())).upper().startswith("CT") else "MR"
    labels = sorted((folder / "labelsTr").glob(f"*{ending}"))
    if not labels:
        raise LabelError(f"{folder / 'labelsTr'} holds no file that ends with {ending}")
    names = [path.name.removesuffix(ending) for path in labels]
    patients = patients_of(folder, names, (ending,))
    for case, (path, name, patient) in enumerate(zip(labels, names, patients, strict=True), start=1):
        images = [folder / "imagesTr" / f"{name}_{int(number):04d}{ending}" for number in channels]
        if missing := [image.name for image in images if not image.exists()]:
            raise LabelError(f"{folder / 'imagesTr'} lacks {', '.join(missing)}")
        yield read_pair(images, path, modality, structures, name=f"case-{case}", patient=patient)


def _described(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise LabelError(f"{path} is missing or no JSON: a folder of nnU-Net has it") from error
    return found


def _structures(labels: Mapping[str, Any], folder: Path) -> tuple[str, ...]:
    """Names by number, whichever way the file has them."""
    named = {int(key): str(value) for key, value in labels.items()} if all(key.isdecimal() for key in labels) else {}
    if not named:
        if any(isinstance(value, list) for value in labels.values()):
            raise LabelError(
                f"{folder / 'dataset.json'}: labels that are regions of several numbers are not read; give each one"
            )
        named = {int(value): name for name, value in labels.items()}
    named.pop(255, None)  # "ignore" of version 2 in some collections
    return tuple(named.get(number, f"label {number}") for number in range(max(named, default=0) + 1))
