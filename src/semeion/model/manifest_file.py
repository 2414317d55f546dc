"""The manifest as bytes: written without what is not used, read as hostile input."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pydantic import ValidationError

from semeion.errors import ModelRefused
from semeion.model.manifest import SCHEMA, TAGS, Manifest
from semeion.model.manifest_parts import Calibration
from semeion.model.strict_json import read_strict

MAX_MANIFEST = 4 << 20
"""Largest ``model.json`` that is read, in bytes."""
MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}
"""From an older schema to the one after it; empty while there is only one."""


def manifest_json(manifest: Manifest) -> str:
    """Return the text of ``model.json``.

    What belongs to volumes, masks or several images only is left out where it is not used, so that an earlier version
    reads the models that it could make.
    """
    unused: dict[str, Any] = {"inputs": set(), "members": {"__all__": set()}}
    if manifest.measured is None:
        unused["measured"] = True
    else:
        images: Any = True
        if manifest.measured.images is not None:
            images = {"members": {"__all__": {"mirror", "fast", "kind", "head", "weight"}}}
            if _by_temperature(manifest.measured.images.calibration):
                images["calibration"] = {"map", "maps"}
        unused["measured"] = {"images": images}
    if _by_temperature(manifest.calibration):
        unused["calibration"] = {"map", "maps"}
    if manifest.adopted is None:
        unused["adopted"] = True
    for name in ("interval", "sets", "golden", "provenance"):
        if getattr(manifest, name) is None:
            unused[name] = True
    if manifest.segmentation is None:
        unused["segmentation"] = True
        unused["members"]["__all__"].add("mirror")
    if all(member.fast is None for member in manifest.members):
        unused["members"]["__all__"].add("fast")
    unused["members"]["__all__"] |= _unused_of_members(manifest)
    if not manifest.volumes and manifest.inputs.role == "single":
        unused["inputs"] |= {"names", "role", "volumes_seen"}
    return manifest.model_dump_json(by_alias=True, indent=1, exclude=unused) + "\n"


def _unused_of_members(manifest: Manifest) -> set[str]:
    """Return the keys that no member uses."""
    unused = set()
    if all(member.kind == "network" for member in manifest.members):
        unused |= {"kind", "head"}
    if manifest.weights is None:
        unused.add("weight")
    return unused


def _by_temperature(calibration: Calibration | None) -> bool:
    return calibration is not None and calibration.method == "temperature"


def semeion_version() -> str:
    """Return the version of Semeion that runs."""
    try:
        return version("semeion")
    except PackageNotFoundError:  # run from a source tree that was never installed
        return "unknown"


def parse_manifest(data: bytes, *, where: str) -> Manifest:
    """Read the bytes of a ``model.json``.

    Parameters
    ----------
    data
        The file's bytes.
    where
        The file's path, for messages.

    Raises
    ------
    ModelRefused
        Too large, not JSON, of a newer schema, or not what the schema says.
    """
    if len(data) > MAX_MANIFEST:
        raise ModelRefused(
            f"the manifest is larger than {MAX_MANIFEST >> 20} MiB",
            where=where,
            fix="get the model from its source again",
        )
    try:
        value = read_strict(data, MAX_MANIFEST)
    except ValueError as error:
        raise ModelRefused(
            f"not valid JSON ({_short(str(error))})", where=where, fix="get the model from its source again"
        ) from error
    if isinstance(value, dict) and value.get("kind") == "several-targets":
        raise ModelRefused(
            "this is a model of several targets, and the model of one is needed",
            where=where,
            fix="give the model of one of them, a folder below `targets` in it",
        )
    schema = value.get("schema") if isinstance(value, dict) else None
    if not isinstance(schema, int) or isinstance(schema, bool) or schema < 1:
        raise ModelRefused(
            "not the manifest of a Semeion model: it has no schema number",
            where=where,
            fix="give the model folder that `semeion train` wrote",
        )
    if schema > SCHEMA:
        writer = value.get("semeion")
        by = f", written by Semeion {_short(writer)}" if isinstance(writer, str) else ""
        raise ModelRefused(
            f"the model has schema {schema}{by}; this is Semeion {semeion_version()}, which reads schema {SCHEMA}",
            where=where,
            fix="upgrade Semeion, or export the model again with this version",
        )
    while schema < SCHEMA:
        value = MIGRATIONS[schema](value)
        schema += 1
    try:
        return Manifest.model_validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        raise ModelRefused(
            f"the manifest is not what schema {SCHEMA} says ({explain(error)})",
            where=where,
            fix="get the model from its source again",
        ) from error


def explain(error: ValidationError) -> str:
    """Return the first problems of a failed validation as one short text, without the values that were given."""
    problems = []
    for item in error.errors(include_url=False, include_input=False, include_context=False):
        place = ".".join(str(part) for part in item["loc"] if part not in TAGS)
        problems.append(f"{place or 'model.json'}: {item['msg'].removeprefix('Value error, ')}")
    more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
    return _short("; ".join(problems[:3]), 600) + more


def _short(text: str, length: int = 120) -> str:
    plain = "".join(letter if letter.isprintable() else "?" for letter in text)
    return plain if len(plain) <= length else plain[: length - 3] + "..."
