"""What a model is made of and what runs it: a software bill of materials in CycloneDX 1.6 (ECMA-424), JSON."""

from __future__ import annotations

import json
import re
import uuid
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from semeion.model.manifest import Manifest
from semeion.model.manifest_file import semeion_version
from semeion.model.opening import open_files

_NAMESPACE = uuid.UUID("6f1c3c4e-9a5b-5f4e-8d2c-0b6c1d8a7e21")
_NAME = re.compile(r"^\s*([A-Za-z0-9][A-Za-z0-9._-]*)")
_EXTRA = re.compile(r"extra\s*==")


def bill_of_materials(path: Path) -> dict[str, Any]:
    """Return the bill of materials of a model and of the packages that run it here.

    The same model and packages give the same bill: it has no time in it, and its serial number follows from them.

    Parameters
    ----------
    path
        A model folder or a ``.semeion`` file.

    Raises
    ------
    ModelRefused
        When the model cannot be trusted.
    """
    opened = open_files(path)
    components = [*_files(opened.manifest), *_packages()]
    serial = uuid.uuid5(_NAMESPACE, json.dumps([opened.hash, components], sort_keys=True))
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {
            "tools": {
                "components": [{"type": "application", "name": "semeion", "version": semeion_version()}],
            },
            "component": {
                "type": "machine-learning-model",
                "bom-ref": "model",
                "name": opened.manifest.target[:200],
                "version": opened.hash[:12],
                "description": f"{opened.manifest.task} model, made by Semeion {opened.manifest.semeion}",
                "hashes": [{"alg": "SHA-256", "content": opened.hash}],
            },
        },
        "components": components,
        "dependencies": [{"ref": "model", "dependsOn": [one["bom-ref"] for one in components]}],
    }


def _files(manifest: Manifest) -> list[dict[str, Any]]:
    graphs = {member.file for member in manifest.members if member.kind != "covariates"}
    graphs |= {member.fast for member in manifest.members if member.fast is not None}
    if manifest.measured is not None and manifest.measured.images is not None:
        graphs |= {member.file for member in manifest.measured.images.members}
    return [
        {
            "type": "machine-learning-model" if name in graphs else "file",
            "bom-ref": f"file:{name}",
            "name": name,
            "hashes": [{"alg": "SHA-256", "content": listed.sha256}],
        }
        for name, listed in sorted(manifest.files.items())
    ]


def _packages() -> list[dict[str, Any]]:
    """Return Semeion and every package that it needs to read images, as installed here; extras are left out."""
    found: dict[str, Distribution] = {}
    waiting = ["semeion"]
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in found:
            continue
        try:
            here = distribution(name)
        except PackageNotFoundError:  # needed on other systems or Python versions only
            continue
        found[name] = here
        for line in here.requires or []:
            named = _NAME.match(line)
            if named and not _EXTRA.search(line):
                waiting.append(named[1])
    return [_package(name, here) for name, here in sorted(found.items())]


def _package(name: str, here: Distribution) -> dict[str, Any]:
    purl = f"pkg:pypi/{name}@{here.version}"
    licences = _licences(here)
    return {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": here.version,
        "purl": purl,
        **({"licenses": licences} if licences else {}),
    }


def _licences(here: Distribution) -> list[dict[str, Any]]:
    """Return what a package says of its licence: the SPDX expression, else the names in its classifiers."""
    said = here.metadata
    if "License-Expression" in said:
        return [{"expression": str(said["License-Expression"])}]
    classifiers = said.get_all("Classifier") or []
    named = [text.rsplit("::", 1)[1].strip() for text in classifiers if text.startswith("License ::")]
    line = str((said.get_all("License") or [""])[0]).strip()
    if not named and line and "\n" not in line and len(line) <= 100:
        named = [line]
    return [{"license": {"name": name}} for name in dict.fromkeys(named)]
