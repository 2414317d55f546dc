"""Plans and fingerprints on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from semeion.artefacts import write_text
from semeion.errors import InputError, nearest
from semeion.plan.inputs import PreparationPlan, VolumePreparationPlan
from semeion.plan.recipes import NetworkPlan, OwnNetworkPlan
from semeion.plan.schema import SCHEMA, Plan

MAX_BYTES = 4 << 20


TAGGED: dict[str, dict[str, Any]] = {
    "preparation": {"picture": PreparationPlan, "volume": VolumePreparationPlan},
    "network": {"semeion": NetworkPlan, "own": OwnNetworkPlan},
}
"""Sections of a plan that are of one kind or another."""


def write_plan(plan: BaseModel, path: Path) -> None:
    """Write `plan` as YAML in reading order."""
    text = yaml.safe_dump(
        plan.model_dump(mode="json", by_alias=True),
        sort_keys=False,
        allow_unicode=True,
        width=110,
        default_flow_style=None,
    )
    write_text(path, text)


def plan_task(path: Path) -> str | None:
    """Return the task that a plan file names, or None when it cannot be told; reading the plan says why."""
    raw = _raw(path)
    target = raw.get("target")
    # A plan of a segmentation says so at its top, every other in its target.
    task = raw.get("task", target.get("task") if isinstance(target, dict) else None)
    return task if isinstance(task, str) else None


def plans_measurements(path: Path) -> bool:
    """Tell whether a file holds the plan of a diagnosis from measurements."""
    return _raw(path).get("kind") == "measurements"


def _raw(path: Path) -> dict[str, Any]:
    """Return what a plan file holds, empty when it cannot be read."""
    try:
        raw: Any = yaml.safe_load(path.read_text(encoding="utf-8")) if path.stat().st_size <= MAX_BYTES else None
    except (OSError, yaml.YAMLError, UnicodeDecodeError, RecursionError):
        return {}
    return raw if isinstance(raw, dict) else {}


def read_plan(path: Path) -> Plan:
    """Read the plan of a diagnosis; see :func:`read_plan_as`."""
    return read_plan_as(path, Plan)


AnyPlan = TypeVar("AnyPlan", bound=BaseModel)


def read_plan_as(path: Path, model: type[AnyPlan]) -> AnyPlan:
    """Read a plan of the kind `model` that :func:`write_plan` wrote and a person may have edited.

    Raises
    ------
    InputError
        When the file is absent, no YAML, of another schema, or holds a key or value that is not allowed; the message
        names the key.
    """
    if not path.is_file():
        raise InputError("no such plan", where=str(path), fix="write one with `semeion plan`")
    if path.stat().st_size > MAX_BYTES:
        raise InputError("too large for a plan", where=str(path), fix="give the plan.yaml that `semeion plan` wrote")
    try:
        raw: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"not readable as YAML: {error}", where=str(path), fix="correct the file") from error
    if not isinstance(raw, dict):
        raise InputError("holds no plan", where=str(path), fix="give the plan.yaml that `semeion plan` wrote")
    if raw.get("schema") != SCHEMA:
        raise InputError(
            f"plan schema {raw.get('schema')!r} is not known to this version, which reads {SCHEMA}",
            where=str(path),
            fix="write the plan again with `semeion plan`",
        )
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise InputError(explain(error, model), where=str(path), fix="correct the plan, or write it again") from error


def explain(error: ValidationError, plan: type[BaseModel] = Plan) -> str:
    """Return the problems of a pydantic error about a `plan` as one readable line."""
    parts = []
    for problem in error.errors():
        loc = problem["loc"]
        # Between such a section and its keys stands which of the two kinds it is, which is no key of the file.
        tagged = len(loc) > 1 and loc[1] in TAGGED.get(str(loc[0]), {})
        place = ".".join(str(piece) for piece in (loc[:1] + loc[2:] if tagged else loc)) or "plan"
        if problem["type"] == "extra_forbidden":
            known = _keys_beside(loc, plan)
            parts.append(f"unknown key {place}{nearest(str(problem['loc'][-1]), known)}")
        else:
            parts.append(f"{place}: {problem['msg']}")
    return "; ".join(parts)


def _keys_beside(place: tuple[int | str, ...], plan: type[BaseModel]) -> list[str]:
    model: Any = plan
    kinds: dict[str, Any] = {}
    for piece in place[:-1]:
        if isinstance(piece, int):
            continue
        if model is Plan and piece in TAGGED:
            kinds = TAGGED[piece]
            continue
        if model is Plan and piece in kinds:
            model = kinds[piece]
            continue
        field = getattr(model, "model_fields", {}).get(piece)
        if field is None:
            return []
        model = field.annotation
        if getattr(model, "__args__", None):
            model = model.__args__[0]
    return [field.alias or name for name, field in getattr(model, "model_fields", {}).items()]
