"""`python -m dicom_node.cli`."""

from dicom_node.cli import main

main()
