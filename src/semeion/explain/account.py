"""``explain.json``: which cases a folder of explanations holds, of which model, and what became of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from semeion.artefacts import write_json
from semeion.explain.asking import How
from semeion.explain.content import RESEARCH, SCHEMA
from semeion.explain.files import INDEX, file_stem
from semeion.model.findings import Finding
from semeion.model.manifest import Manifest
from semeion.model.manifest_file import semeion_version


class Account:
    """Counts cases while they are explained, in their order."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder, self.manifest = folder, manifest
        self._files: list[str] = []
        self._statuses: Counter[str] = Counter()
        self._model = ""

    def add(self, findings: Sequence[Finding]) -> Path:
        """Take the findings of a case; return the path of its JSON."""
        name = f"{file_stem(findings[0].case_id)}.json"
        self._files.append(name)
        self._model = findings[0].model
        self._statuses.update(finding.status for finding in findings)
        return self.folder / name

    def write(self, how: How) -> None:
        """Write the account, whole or not at all."""
        manifest = self.manifest
        value: dict[str, Any] = {
            "schema": SCHEMA,
            "use": RESEARCH,
            "semeion": semeion_version(),
            "model": self._model,
            "task": manifest.task,
            "target": manifest.target,
            "classes": list(manifest.classes),
            "called_from": called_from(manifest),
            "synthetic": manifest.synthetic,
            "asked": {"class": how.target, "method": how.method},
            "statuses": dict(self._statuses),
            "cases": self._files,
        }
        write_json(self.folder / f"{INDEX}.json", value)


def called_from(manifest: Manifest) -> dict[str, float]:
    """Return the probability that a class, or each label, is called from; empty where the most probable is called."""
    point = manifest.operating_point
    if point is None:
        return {}
    if manifest.task == "multilabel":
        return dict(point.by_target or {})
    if manifest.task == "binary" and point.value is not None and manifest.positive is not None:
        return {manifest.positive: point.value}
    return {}
