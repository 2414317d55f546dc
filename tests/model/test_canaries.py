"""What a NIfTI header says of a patient stays in it."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

from semeion.model.findings import write_findings
from semeion.model.runtime import load_model

CANARY = "ZQXPERSON"
FIELDS = {4: 10, 14: 18, 148: 80, 228: 24, 328: 16}
"""Texts of a NIfTI-1 header and their lengths: data_type, db_name, descrip, aux_file, intent_name (nifti1.h)."""


def test_masks_and_findings_name_nobody(make_segmenter: Any, make_volume: Any, tmp_path: Path) -> None:
    path, _ = make_volume("case.nii.gz")
    data = bytearray(gzip.decompress(path.read_bytes()))
    for at, length in FIELDS.items():
        data[at : at + length] = CANARY.encode()[: length - 1].ljust(length, b"\0")
    path.write_bytes(gzip.compress(bytes(data)))
    model = load_model(make_segmenter(), threads=1)
    found = model.findings([str(path)], masks=tmp_path / "masks")
    assert write_findings(found, tmp_path / "f.csv", model.probability_names, interval=False) == {"called": 2}
    [mask] = (tmp_path / "masks").iterdir()
    assert CANARY.encode() in bytes(data)
    for text in (gzip.decompress(mask.read_bytes()), (tmp_path / "f.csv").read_bytes()):
        assert CANARY.encode() not in text
