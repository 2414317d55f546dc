"""What a shipped model came from, as hashes: who keeps the run can show that the model is of it."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pandas as pd

from semeion.artefacts import finite
from semeion.provenance import code_hash
from semeion.study.folder import RunFolder


def lineage(run: RunFolder, seen: pd.DataFrame, evidence: dict[str, Any]) -> dict[str, Any]:
    """Return ``provenance`` of the manifest.

    Parameters
    ----------
    run
        The run folder with its plan and, where there are any, its predictions.
    seen
        The facts of the cases that were learned from.
    evidence
        The content of ``evidence.json`` at shipping.
    """
    plan = next((file for name in ("plan.executed.yaml", "plan.yaml") if (file := run / name).exists()), None)
    predictions = run / "predictions.parquet"
    return {
        "code": code_hash(),
        "data": data_hash(seen),
        "plan": None if plan is None else _hash(plan.read_bytes()),
        "predictions": _hash(predictions.read_bytes()) if predictions.exists() else None,
        "evidence": evidence_hash(evidence),
    }


def data_hash(seen: pd.DataFrame) -> str | None:
    """Return one hash over the pixels of all cases, without ids: of the sorted hashes of single cases, a line each.

    None where a case has none. Whoever does not have all of the images cannot find out whether one is among them.
    """
    if "pixel_hash" not in seen or not len(seen):
        return None
    hashes = sorted(str(value) for value in seen["pixel_hash"])
    return _hash("\n".join(hashes).encode()) if all(len(one) == 64 for one in hashes) else None


def evidence_hash(evidence: dict[str, Any]) -> str | None:
    """Return the hash of ``metrics``: JSON with sorted keys and without spaces."""
    if "metrics" not in evidence:
        return None
    text = json.dumps(finite(evidence["metrics"]), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return _hash(text.encode())


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
