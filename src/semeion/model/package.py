"""The model folder on disk: written whole or not at all, and believed only when every byte is as listed."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import ValidationError

from semeion.artefacts import whole_folder
from semeion.errors import InputError, MachineError, ModelRefused
from semeion.model.averaged import image_manifest
from semeion.model.combine import from_logits
from semeion.model.covariates import open_covariates
from semeion.model.engine import Engine, open_engine
from semeion.model.heads import open_head
from semeion.model.linear import LinearMember
from semeion.model.manifest import (
    HASH,
    MANIFEST,
    MAX_FILES,
    SCHEMA,
    ListedFile,
    Manifest,
    Task,
)
from semeion.model.manifest_file import MAX_MANIFEST, explain, manifest_json, parse_manifest, semeion_version
from semeion.prepare.case import case_shape
from semeion.prepare.volume_spec import VolumePreparation

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
    paths = _graph_paths(graphs, heads)
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
        "files": {path: {"size": len(data), "sha256": _sha256(data)} for path, data in contents.items()},
    }
    try:
        manifest = Manifest.model_validate(fields)
    except ValidationError as error:
        raise InputError(
            f"these are not the parts of a model ({explain(error)})", where=str(folder), fix="correct them"
        ) from error
    for name, data in (covariates or {}).items():
        open_covariates(data, manifest, name, where=f"member {name}")
    for name, data in graphs.items():
        engine = open_engine(data, 1, where=f"member {name}", takes=takes(manifest))
        head = open_head(heads[name], manifest, where=f"member {name}") if name in heads else None
        check_engine_fits(manifest, name, engine, head)
        if name in fast:
            faster = open_engine(fast[name], 1, where=f"member {name} (fast)", takes=takes(manifest))
            check_engine_fits(manifest, name, faster)
            _check_same(engine, faster, manifest, name)
    if (seen := image_manifest(manifest)) is not None:
        for member in seen.members:
            engine = open_engine(contents[member.file], 1, where=f"member {member.name}", takes=takes(seen))
            check_engine_fits(seen, member.name, engine)
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


def _graph_paths(graphs: Mapping[str, bytes], heads: Mapping[str, bytes]) -> dict[str, str]:
    """Return the path of each member's graph; graphs of features that are the same are kept once."""
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


def _check_same(engine: Engine, faster: Engine, manifest: Manifest, name: str) -> None:
    """Raise :class:`ModelRefused` when two graphs of a member differ by more than `TOLERANCE` in probability."""
    random = np.random.default_rng(0)
    shape = (1, engine.channels, *engine.size)
    given: Any = random.normal(size=shape).astype(np.float32)
    if takes(manifest) == "uint8":
        given = random.integers(0, 256, shape, dtype=np.uint8)
    a, b = (np.moveaxis(one.run(given), 1, -1) for one in (engine, faster))
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


def open_folder(folder: Path) -> tuple[Manifest, str]:
    """Check every file of a model folder against its manifest, and return the manifest and the model's hash.

    This shows damage, not forgery: who changes the folder on purpose can change the hashes too.

    Raises
    ------
    ModelRefused
        No model folder, a newer schema, or a file that is missing, changed, not listed, or a link. The message names
        the file.
    MachineError
        When a file cannot be read.
    """
    data = _manifest_bytes(folder)
    digest = _sha256(data)
    manifest = parse_manifest(data, where=str(folder / MANIFEST))
    said = _read(folder / HASH, 4096).decode("ascii", "replace").split()
    if not said or said[0] != digest:
        raise ModelRefused(
            f"model.json was changed or damaged: its sha256 is {digest[:12]}..., but {HASH} says "
            f"{said[0][:12] if said else 'nothing'}...",
            where=str(folder / MANIFEST),
            fix=_AGAIN,
        )
    _check_names(folder, manifest)
    for path, listed in manifest.files.items():
        _check_file(folder / path, listed)
    return manifest, digest


def read_listed(folder: Path, path: str, listed: ListedFile) -> bytes:
    """Return the bytes of a listed file after checking them again, so that what is used is what was listed."""
    data = _read(folder / path, listed.size)
    if len(data) != listed.size or _sha256(data) != listed.sha256:
        raise ModelRefused("the file was changed since the model was opened", where=str(folder / path), fix=_AGAIN)
    return data


def _manifest_bytes(folder: Path) -> bytes:
    if not folder.exists():
        raise ModelRefused("there is no such model folder", where=str(folder), fix="correct the path")
    if not folder.is_dir():
        raise ModelRefused(
            "a model is a folder, this is a file", where=str(folder), fix="give the folder of model.json"
        )
    if not (folder / MANIFEST).is_file():
        inside = folder / "model"
        hint = f"give {inside}" if (inside / MANIFEST).is_file() else "give the model folder of a run: RUN/model"
        raise ModelRefused(f"not a model folder: it has no {MANIFEST}", where=str(folder), fix=hint)
    if not (folder / HASH).exists():
        raise ModelRefused(f"the file {HASH} is missing", where=str(folder), fix=_AGAIN)
    return _read(folder / MANIFEST, MAX_MANIFEST)


def _read(path: Path, limit: int) -> bytes:
    """Return the bytes of a regular file, at most one more than `limit`; a link is refused."""
    _check_regular(path)
    try:
        with path.open("rb") as file:
            return file.read(limit + 1)
    except OSError as error:
        raise MachineError(f"the file cannot be read ({error.strerror})", where=str(path), fix="correct it") from error


def _check_regular(path: Path) -> os.stat_result:
    try:
        facts = path.lstat()
    except FileNotFoundError as error:
        raise ModelRefused("a file of the model is missing", where=str(path), fix=_AGAIN) from error
    except OSError as error:
        raise MachineError(f"the file cannot be read ({error.strerror})", where=str(path), fix="correct it") from error
    if stat.S_ISLNK(facts.st_mode):
        raise ModelRefused("the file is a link; a model folder holds its files itself", where=str(path), fix=_AGAIN)
    if not stat.S_ISREG(facts.st_mode):
        raise ModelRefused("this is not a regular file", where=str(path), fix=_AGAIN)
    return facts


def _check_names(folder: Path, manifest: Manifest) -> None:
    """Refuse whatever lies in the folder and is not listed: files, links, folders without a listed file."""
    known = {MANIFEST, HASH, *manifest.files}
    parents = {path.rsplit("/", depth)[0] for path in known for depth in range(1, path.count("/") + 1)}
    seen = 0
    todo = [folder]
    while todo:
        try:
            entries = sorted(os.scandir(todo.pop()), key=lambda entry: entry.name)
        except OSError as error:
            raise MachineError(
                f"the folder cannot be read ({error.strerror})", where=str(folder), fix="correct its permissions"
            ) from error
        for entry in entries:
            name = Path(entry.path).relative_to(folder).as_posix()
            seen += 1
            if entry.is_symlink():
                raise ModelRefused(
                    "the file is a link; a model folder holds its files itself", where=entry.path, fix=_AGAIN
                )
            if entry.is_dir(follow_symlinks=False) and name in parents:
                todo.append(Path(entry.path))
            elif name not in known or seen > 3 * MAX_FILES:
                raise ModelRefused(
                    f"{name!r} is not listed in model.json",
                    where=str(folder),
                    fix="delete it if you put it there, else get the model from its source again",
                )


def _check_file(path: Path, listed: ListedFile) -> None:
    size = _check_regular(path).st_size
    if size != listed.size:
        raise ModelRefused(
            f"the file was changed or damaged: it has {size} bytes, model.json lists {listed.size}",
            where=str(path),
            fix=_AGAIN,
        )
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise MachineError(f"the file cannot be read ({error.strerror})", where=str(path), fix="correct it") from error
    if digest != listed.sha256:
        raise ModelRefused(
            f"the file was changed or damaged: sha256 is {digest[:12]}..., model.json lists {listed.sha256[:12]}...",
            where=str(path),
            fix=_AGAIN,
        )


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
