"""DICOM slices to a Volume (CT, MR and PET, one file per slice or multi-frame), projection images to ProjectionImages.

Input is read or refused (`engine.api.Refusal`, in words for a physician or a PACS administrator); nothing else is raised but
what the file system raises.
"""

from engine.reading.header import planes_of
from engine.reading.projection import read_images
from engine.reading.stack import MAXIMUM_VOXELS, read_series, read_volume

__all__ = ["MAXIMUM_VOXELS", "planes_of", "read_images", "read_series", "read_volume"]
