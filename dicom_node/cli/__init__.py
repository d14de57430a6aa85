"""The command `dicom-node`."""
