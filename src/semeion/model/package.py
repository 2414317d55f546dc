"""The model folder on disk: written whole or not at all, after every graph was opened."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from semeion.artefacts import whole_folder
from semeion.errors import InputError, ModelRefused
from semeion.model.averaged import image_manifest
from semeion.model.combine import Floats, from_logits
from semeion.model.covariates import open_covariates
from semeion.model.engine import Engine, open_engine
from semeion.model.golden import GOLDEN, answer, golden_json, run_phantom, said_of
from semeion.model.heads import open_head
from semeion.model.linear import LinearMember
from semeion.model.manifest import (
    HASH,
    MANIFEST,
    SCHEMA,
    Manifest,
    Task,
)
from semeion.model.manifest_file import explain, manifest_json, semeion_version
from semeion.model.reference import open_reference
from semeion.prepare.case import case_shape
from semeion.prepare.volume_spec import VolumePreparation

Floats32 = npt.NDArray[np.float32]

TOLERANCE = 1e-4
"""Largest difference in probability between two graphs of one member."""
_AGAIN = "get the model from its source again"


def write_model(
    folder: Path,
    parts: Mapping[str, Any],
    graphs: Mapping[str, bytes],
    card: str,
    *,
    mirror: Mapping[str, Sequence[int]] | None = None,
    fast: Mapping[str, bytes] | None = None,
    files: Mapping[str, bytes] | None = None,
    heads: Mapping[str, bytes] | None = None,
    weights: Mapping[str, float] | None = None,
    covariates: Mapping[str, bytes] | None = None,
) -> str:
    """Write a model folder, whole or not at all.

    Parameters
    ----------
    folder
        The folder to make; an existing one is replaced at the end.
    parts
        Fields of :class:`~semeion.model.manifest.Manifest` without ``schema``, ``members``, ``card`` and ``files``;
        ``semeion`` and ``created`` may be left out.
    graphs
        ONNX bytes of each member by its name, in the order of the members. Names are of ``A-Za-z0-9_.-``.
    card
        Text of the model card (Markdown).
    mirror
        Of a segmentation: axes of a member's window along which it also looks mirrored, by the member's name.
    fast
        The same graphs written so that ONNX Runtime runs them faster, by the member's name; those that have one.
    files
        Further files that `parts` name, by their path in the folder.
    heads
        JSON of the linear head of each member whose graph gives features, by the member's name. Members whose graphs
        are the same bytes share a file.
    weights
        Share of each member in the ensemble, by its name; None: all have equal ones.
    covariates
        JSON of each member that judges covariates, by its name; they stand after those that see images.

    Returns
    -------
    str
        The model's hash: sha256 of the bytes of ``model.json``.

    Raises
    ------
    InputError
        When the parts are not a valid manifest.
    ModelRefused
        When a graph does not open, or its input and output are not what the manifest says.
    MachineError
        When the folder cannot be written.
    """
    fast = dict(fast or {})
    heads = dict(heads or {})
    paths = graph_paths(graphs, heads)
    contents = {path: graphs[name] for name, path in paths.items()}
    contents |= {f"members/{name}.json": data for name, data in {**heads, **(covariates or {})}.items()}
    contents |= {f"members/{name}.fast.onnx": data for name, data in fast.items()}
    contents |= dict(files or {})
    contents["CARD.md"] = card.encode()
    fields = {
        "semeion": semeion_version(),
        "created": datetime.now(UTC).date().isoformat(),
        **parts,
        "schema": SCHEMA,
        "members": [
            {
                "name": name,
                "file": paths[name],
                **({"kind": "frozen", "output": "features", "head": f"members/{name}.json"} if name in heads else {}),
                "weight": None if weights is None else weights[name],
                "mirror": list((mirror or {}).get(name, ())),
                "fast": f"members/{name}.fast.onnx" if name in fast else None,
            }
            for name in graphs
        ]
        + [
            {
                "name": name,
                "kind": "covariates",
                "file": f"members/{name}.json",
                "output": "probabilities",
                "weight": None if weights is None else weights[name],
            }
            for name in covariates or {}
        ],
        "combination": "mean" if weights is None else "weighted",
        "card": "CARD.md",
        "golden": None,  # made below, of what the graphs answer here
        "files": {path: {"size": len(data), "sha256": _sha256(data)} for path, data in contents.items()},
    }
    try:
        manifest = Manifest.model_validate(fields)
    except ValidationError as error:
        raise InputError(
            f"these are not the parts of a model ({explain(error)})", where=str(folder), fix="correct them"
        ) from error
    if manifest.reference is not None:
        open_reference(contents[manifest.reference], manifest, where=manifest.reference)
    for name, data in (covariates or {}).items():
        open_covariates(data, manifest, name, where=f"member {name}")
    answers: dict[str, Floats] = {}
    for name, data in graphs.items():
        bounded = manifest.adopted is not None
        engine = open_engine(data, 1, where=f"member {name}", takes=takes(manifest), bounded=bounded)
        head = open_head(heads[name], manifest, where=f"member {name}") if name in heads else None
        check_engine_fits(manifest, name, engine, head)
        key = f"members/{name}.json" if head is not None else paths[name]
        given = run_phantom(engine, takes(manifest))
        answers[key] = said_of(given, head, manifest.task, dense=engine.dense)
        if name in fast:
            faster = open_engine(fast[name], 1, where=f"member {name} (fast)", takes=takes(manifest))
            check_engine_fits(manifest, name, faster)
            again = run_phantom(faster, takes(manifest))
            _check_same(given, again, manifest, name)
            answers[f"members/{name}.fast.onnx"] = said_of(again, None, manifest.task, dense=faster.dense)
    if (seen := image_manifest(manifest)) is not None:
        for member in seen.members:
            engine = open_engine(contents[member.file], 1, where=f"member {member.name}", takes=takes(seen))
            check_engine_fits(seen, member.name, engine)
            answers[member.file] = answer(engine, None, seen.task, takes(seen), 0)
    if answers:
        contents[GOLDEN] = golden_json(answers)
        listed = {path: {"size": len(data), "sha256": _sha256(data)} for path, data in contents.items()}
        manifest = Manifest.model_validate({**fields, "golden": GOLDEN, "files": listed})
    text = manifest_json(manifest)
    digest = _sha256(text.encode())
    contents[MANIFEST] = text.encode()
    contents[HASH] = f"{digest}  {MANIFEST}\n".encode()  # the form that `sha256sum -c` reads
    with whole_folder(folder) as temporary:
        (temporary / "members").mkdir(mode=0o755)
        for path, data in contents.items():
            (temporary / path).write_bytes(data)
    return digest


def takes(manifest: Manifest) -> Literal["uint8", "float32"]:
    """Return the type of the networks' input: prepared values of a segmentation, 256 steps of everything else."""
    return "float32" if manifest.outlines else "uint8"


def graph_paths(graphs: Mapping[str, bytes], heads: Mapping[str, bytes]) -> dict[str, str]:
    """Return the path in the folder of each member's graph; graphs of features that are the same are kept once."""
    paths: dict[str, str] = {}
    shared: dict[bytes, str] = {}
    for name, data in graphs.items():
        path = f"members/{name}.onnx"
        paths[name] = shared.setdefault(data, path) if name in heads else path
    return paths


def check_engine_fits(manifest: Manifest, name: str, engine: Engine, head: LinearMember | None = None) -> None:
    """Raise :class:`ModelRefused` when an opened graph does not fit the manifest's preparation, classes or `head`."""
    steps = manifest.preparation
    if manifest.outlines and isinstance(steps, VolumePreparation):
        channels, size = len(steps.channels), engine.size
    else:
        channels, *rest = case_shape(steps, manifest.inputs.images, manifest.inputs.groups)
        size = tuple(rest)
    if (engine.channels, *engine.size) != (channels, *size):
        raise ModelRefused(
            f"the graph takes {engine.channels} channels of {_by(engine.size)}, but images are prepared to "
            f"{channels} of {_by(size)}",
            where=f"member {name}",
            fix=_AGAIN,
        )
    if engine.dense != manifest.outlines:
        raise ModelRefused(
            f"the graph answers {'for every voxel' if engine.dense else 'once a case'}, which is not what a "
            f"{manifest.task} model does",
            where=f"member {name}",
            fix=_AGAIN,
        )
    if head is not None:
        if engine.n_outputs != head.linear.width:
            raise ModelRefused(
                f"the graph gives {engine.n_outputs} features, and the head takes {head.linear.width}",
                where=f"member {name}",
                fix=_AGAIN,
            )
    elif engine.n_outputs != manifest.n_outputs:
        raise ModelRefused(
            f"the graph has {engine.n_outputs} outputs, but the {manifest.task} model needs {manifest.n_outputs}",
            where=f"member {name}",
            fix=_AGAIN,
        )
    mirror = next((member.mirror for member in manifest.members if member.name == name), [])
    if any(axis >= len(engine.size) for axis in mirror):
        raise ModelRefused(
            f"it is mirrored along axis {max(mirror)}, and its window has {len(engine.size)}",
            where=f"member {name}",
            fix=_AGAIN,
        )


def _check_same(plain: Floats32, fast: Floats32, manifest: Manifest, name: str) -> None:
    """Raise :class:`ModelRefused` when two graphs of a member differ by more than `TOLERANCE` in probability."""
    a, b = (np.moveaxis(one, 1, -1) for one in (plain, fast))
    task: Task = "multiclass" if manifest.outlines else manifest.task
    difference = float(np.abs(from_logits(a, task) - from_logits(b, task)).max())
    if not difference <= TOLERANCE:
        raise ModelRefused(
            f"the faster graph differs by {difference:.2g} in probability; at most {TOLERANCE:g} is allowed",
            where=f"member {name}",
            fix="ship the member without it",
        )


def _by(size: Sequence[int]) -> str:
    return " x ".join(map(str, size)) + (" pixels" if len(size) == 2 else " voxels")


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
