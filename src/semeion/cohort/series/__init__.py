"""DICOM series: from files on a disk to real volumes, as the scanner meant them."""
