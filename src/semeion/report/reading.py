"""A run folder's artefacts, read by path and checked before a page is made of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from semeion.artefacts import machine_errors, read_json
from semeion.errors import InputError
from semeion.report.evidence import Evidence

if TYPE_CHECKING:
    from semeion.report.audit_pictures import Seen

SCHEMA = 1
_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
_LARGEST_PICTURE = 1 << 20
"""Bytes of one gallery picture that still goes on a page."""


@dataclass(frozen=True)
class Artefacts:
    """Everything a page is made of. All but the evidence may be absent (None or empty)."""

    evidence: Evidence
    plan: dict[str, Any] | None = None
    asked: dict[str, Any] | None = None
    """The plan as it was before training, when another one was executed."""
    fingerprint: dict[str, Any] | None = None
    machine: dict[str, Any] | None = None
    check: dict[str, Any] | None = None
    cohort: dict[str, Any] = field(default_factory=dict)
    drivers: tuple[dict[str, Any], ...] = ()
    """Of a diagnosis from measurements: cases with what drove them."""
    gallery: tuple[dict[str, Any], ...] = ()
    pictures: dict[str, bytes] = field(default_factory=dict)
    strips: dict[str, Any] = field(default_factory=dict)
    """One case at each strength of each degradation: ``case_id`` and ``strips``, a list of ``{degradation, file}``."""
    strip_pictures: dict[str, bytes] = field(default_factory=dict)
    audited: Mapping[str, Seen] = field(default_factory=dict)
    """The cases that audits name and a page shows, by their ids."""


def read_artefacts(run: Path, *, pictures: bool = True) -> Artefacts:
    """Read the artefacts of a run folder or of an external evaluation.

    Raises
    ------
    InputError
        When the folder or its evidence is missing, damaged or of another version, or when a run has no plan.
    """
    if not run.is_dir():
        raise InputError("no such folder", where=str(run), fix="give the run folder that `semeion train` wrote with -o")
    evidence = read_evidence(run / "evidence.json")
    asked, executed = _plan(run / "plan.yaml"), _plan(run / "plan.executed.yaml")
    needs_plan = evidence.weighed is None and not set(evidence.metrics) <= {"external"}
    if asked is None and executed is None and needs_plan:
        raise InputError(
            "the run has no plan.yaml", where=str(run), fix="copy it back beside evidence.json, or train again"
        )
    cases, files = _gallery(run / "gallery") if pictures else ((), {})
    strips, rows = _strips(run / "gallery") if pictures else ({}, {})
    return Artefacts(
        evidence=evidence,
        plan=executed or asked,
        asked=asked if executed else None,
        fingerprint=_optional(run / "fingerprint.json"),
        machine=_optional(run / "machine.json"),
        check=_optional(run / "check.json"),
        cohort=_cohort_facts(run / "cohort.parquet"),
        gallery=cases,
        pictures=files,
        strips=strips,
        strip_pictures=rows,
    )


def read_evidence(path: Path) -> Evidence:
    """Read and check one ``evidence.json``."""
    if not path.is_file():
        raise InputError(
            "there is no evidence.json, so training or evaluation did not end",
            where=str(path.parent),
            fix="end it with `semeion resume`, or give the folder of `semeion train` or `semeion evaluate`",
        )
    raw = _mapping(path)
    if raw.get("schema") != SCHEMA:
        raise InputError(
            f"evidence schema {raw.get('schema')!r} is not known to this version, which reads {SCHEMA}",
            where=str(path),
            fix="make the report with the version of Semeion that wrote the run",
        )
    if raw.get("several"):
        raw = {**raw, "further": raw.get("targets") or {}, "targets": {}}
    try:
        return Evidence.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(step) for step in first["loc"])
        raise InputError(
            f"{place} is not as expected ({first['msg'].lower()})",
            where=str(path),
            fix="write it again with `semeion train` or `semeion evaluate`; it is not meant to be edited",
        ) from error


def _mapping(path: Path) -> dict[str, Any]:
    try:
        with machine_errors(path):
            value = read_json(path)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(
            "is damaged: not a whole JSON file", where=str(path), fix="restore it from a copy, or train again"
        ) from error
    if not isinstance(value, dict):
        raise InputError("is not a JSON object", where=str(path), fix="restore it from a copy, or train again")
    return value


def _optional(path: Path) -> dict[str, Any] | None:
    return _mapping(path) if path.is_file() else None


def _plan(path: Path) -> dict[str, Any] | None:
    import yaml

    if not path.is_file():
        return None
    try:
        with machine_errors(path):
            value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError("is not a readable YAML file", where=str(path), fix="restore it from a copy") from error
    if not isinstance(value, dict):
        raise InputError("is not a plan", where=str(path), fix="restore it from a copy")
    if value.get("schema", SCHEMA) != SCHEMA:
        raise InputError(
            f"plan schema {value.get('schema')!r} is not known to this version, which reads {SCHEMA}",
            where=str(path),
            fix="make the report with the version of Semeion that wrote the run",
        )
    return value


def _cohort_facts(path: Path) -> dict[str, Any]:
    """Facts that travel in the schema metadata of ``cohort.parquet``; the cases themselves are not read."""
    if not path.is_file():
        return {}
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with machine_errors(path):
            raw = (pq.read_schema(path).metadata or {}).get(b"semeion", b"{}")
        facts = json.loads(raw)
    except (pa.ArrowInvalid, json.JSONDecodeError) as error:
        raise InputError(
            "is damaged: not a whole Parquet file", where=str(path), fix="restore it from a copy"
        ) from error
    return facts if isinstance(facts, dict) else {}


def _gallery(folder: Path) -> tuple[tuple[dict[str, Any], ...], dict[str, bytes]]:
    """Read the gallery's list and the pictures it names; a name that leaves the folder is refused."""
    cases, pictures = _listed(folder / "gallery.json", "cases")
    return tuple(cases), pictures


def _strips(folder: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Read the strips of one case made worse, and their pictures."""
    path = folder / "robustness.json"
    rows, pictures = _listed(path, "strips")
    return ({"case_id": str(_mapping(path).get("case_id", "")), "strips": rows} if rows else {}), pictures


def _listed(path: Path, key: str) -> tuple[list[dict[str, Any]], dict[str, bytes]]:
    """Return what a list of pictures names under `key`, as far as it is there, and the pictures by name."""
    folder = path.parent
    if not path.is_file():
        return [], {}
    listed = _mapping(path).get(key, [])
    cases: list[dict[str, Any]] = []
    pictures: dict[str, bytes] = {}
    for case in listed if isinstance(listed, list) else []:
        name = str(case.get("file", "")) if isinstance(case, dict) else ""
        if not name or Path(name).name != name or "\\" in name:
            raise InputError(
                f"a picture is called {name!r}, which is not a file name", where=str(path), fix="train again"
            )
        file = folder / name
        if file.is_symlink() or not file.is_file() or file.stat().st_size > _LARGEST_PICTURE:
            continue
        with machine_errors(file):
            data = file.read_bytes()
        if data.startswith((_PNG, _JPEG)):
            cases.append(case)
            pictures[name] = data
    return cases, pictures
