"""A model of several targets: a folder with a whole model for each, and one manifest that lists every file of all."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

from pydantic import Field, ValidationError, field_validator, model_validator

from semeion.artefacts import whole_folder
from semeion.errors import InputError, ModelRefused
from semeion.model.engine import Kind
from semeion.model.findings import Finding, columns, frame
from semeion.model.manifest import HASH, MANIFEST, MAX_FILES, ListedFile, Manifest, Task
from semeion.model.manifest_file import MAX_MANIFEST, explain, semeion_version
from semeion.model.manifest_parts import Name, Part, Sha256, Text, check_path
from semeion.model.masks import Format
from semeion.model.observing import Observer
from semeion.model.opening import Opened, manifest_text, open_as, open_files, open_folder
from semeion.model.runtime import Model
from semeion.model.runtime import load_model as load_one
from semeion.model.strict_json import read_strict
from semeion.progress import Progress

if TYPE_CHECKING:
    import pandas as pd

    from semeion.model.cases import Images

SCHEMA = 1
KIND = "several-targets"
MOST = 12
_AGAIN = "get the model from its source again"


class TargetPart(Part):
    """One target: its name and task, the folder of its model, and that model's hash."""

    target: Text
    task: Task
    folder: str
    model: Sha256

    _inside = field_validator("folder")(check_path)


class SeveralManifest(Part):
    """``model.json`` of a model of several targets.

    Attributes
    ----------
    schema_version, kind
        ``schema`` in the file, and what tells this manifest from that of one target.
    semeion, created, synthetic
        As in :class:`semeion.model.manifest.Manifest`.
    targets
        In the order of the findings.
    card
        Path of the model card.
    files
        Every other file of the folder, those of the targets' own models included.
    """

    schema_version: Literal[1] = Field(default=1, alias="schema")
    kind: Literal["several-targets"] = "several-targets"
    semeion: Name
    created: Name
    synthetic: bool = False
    targets: Annotated[list[TargetPart], Field(min_length=2, max_length=MOST)]
    card: str = "CARD.md"
    files: Annotated[dict[str, ListedFile], Field(max_length=MAX_FILES)]

    @model_validator(mode="after")
    def _consistent(self) -> SeveralManifest:
        for path in self.files:
            check_path(path)
        for what, names in (
            ("targets have the same name", [one.target for one in self.targets]),
            ("targets have the same folder", [one.folder for one in self.targets]),
            ("files have the same name", [path.casefold() for path in self.files]),
        ):
            if len(set(names)) != len(names):
                raise ValueError(f"two {what}")
        for path in [self.card, *(f"{one.folder}/{MANIFEST}" for one in self.targets)]:
            if path not in self.files:
                raise ValueError(f"{path!r} is used but not listed in files")
        return self


def write_several(folder: Path, models: Mapping[str, tuple[str, Path]]) -> str:
    """Write one model folder of the models of several targets, whole or not at all.

    Parameters
    ----------
    folder
        The folder to make; an existing one is replaced at the end.
    models
        Of each target, the name of its folder below ``targets/`` and its own model folder.

    Returns
    -------
    str
        The model's hash: sha256 of the bytes of ``model.json``.

    Raises
    ------
    ModelRefused
        When one of the models cannot be trusted.
    InputError
        When they are no model together.
    """
    contents: dict[str, bytes] = {}
    parts, synthetic, lines = [], False, []
    for name, (place, source) in models.items():
        manifest, digest = open_folder(source)
        below = f"targets/{place}"
        for path in (MANIFEST, HASH, *manifest.files):
            contents[f"{below}/{path}"] = (source / path).read_bytes()
        parts.append({"target": name, "task": manifest.task, "folder": below, "model": digest})
        synthetic |= manifest.synthetic
        lines.append(f"- **{name}** ({manifest.task}): [card]({below}/{manifest.card})")
    card = "# Model card\n\nOne model of several targets, each weighed on its own; the cards of the targets:\n\n"
    contents["CARD.md"] = (card + "\n".join(lines) + "\n\nResearch use only. Not a medical device.\n").encode()
    fields = {
        "schema": SCHEMA,
        "kind": KIND,
        "semeion": semeion_version(),
        "created": datetime.now(UTC).date().isoformat(),
        "synthetic": synthetic,
        "targets": parts,
        "files": {path: {"size": len(data), "sha256": _sha256(data)} for path, data in contents.items()},
    }
    try:
        text = SeveralManifest.model_validate(fields).model_dump_json(by_alias=True, indent=1) + "\n"
    except ValidationError as error:
        raise InputError(
            f"these are not the models of several targets ({explain(error)})", where=str(folder), fix="correct them"
        ) from error
    digest = _sha256(text.encode())
    contents[MANIFEST] = text.encode()
    contents[HASH] = f"{digest}  {MANIFEST}\n".encode()
    with whole_folder(folder) as temporary:
        for path, data in contents.items():
            (temporary / path).parent.mkdir(parents=True, exist_ok=True)
            (temporary / path).write_bytes(data)
    return digest


def is_several(folder: Path) -> bool:
    """Tell whether a model is one of several targets, as far as its manifest says; nothing is checked."""
    try:
        value = read_strict(manifest_text(folder), MAX_MANIFEST)
    except (ValueError, ModelRefused):
        return False
    return isinstance(value, dict) and value.get("kind") == KIND


def open_whole(path: Path) -> Opened[Manifest] | Opened[SeveralManifest]:
    """Check every file of a model of one target or of several; raises as :func:`semeion.model.opening.open_files`."""
    return Opened(path, *open_as(path, _parsed)) if is_several(path) else open_files(path)


def open_several(folder: Path) -> tuple[SeveralManifest, str]:
    """Check every file of a model folder of several targets, and return its manifest and the model's hash.

    Raises
    ------
    ModelRefused
        As :func:`semeion.model.package.open_folder`.
    """
    manifest, digest, _, _ = open_as(folder, _parsed)
    return manifest, digest


def _parsed(data: bytes, where: str) -> SeveralManifest:
    try:
        value = read_strict(data, MAX_MANIFEST)
        return SeveralManifest.model_validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        what = f"the manifest is not what schema {SCHEMA} says ({explain(error)})"
        raise ModelRefused(what, where=where, fix=_AGAIN) from error
    except ValueError as error:
        raise ModelRefused(f"not valid JSON ({error})", where=where, fix=_AGAIN) from error


def load_model(
    path: str | os.PathLike[str],
    *,
    threads: int | None = None,
    engine: Kind = "onnxruntime",
    require_signature: str | os.PathLike[str] | None = None,
) -> Model | SeveralModel:
    """Open a model folder, of one target or of several, and check every file in it.

    Parameters and errors are those of :func:`semeion.model.runtime.load_model`.

    Examples
    --------
    >>> model = load_model("runs/finding/model")  # doctest: +SKIP
    >>> model.predict(["a.png", "b.png"])[["image", "target", "call"]]  # doctest: +SKIP
    """
    folder = Path(path)
    if not is_several(folder):
        return load_one(folder, threads=threads, engine=engine, require_signature=require_signature)
    opened = Opened(folder, *open_as(folder, _parsed))
    if require_signature is not None:
        from semeion.model.signature import check_signature

        check_signature(opened, Path(require_signature))
    manifest, digest = opened.manifest, opened.hash
    models = {}
    for part in manifest.targets:
        model = models[part.target] = load_one(folder / part.folder, threads=threads, engine=engine)
        if model.hash != part.model:
            raise ModelRefused(
                f"the model of {part.target!r} is another one than {MANIFEST} lists",
                where=str(folder / part.folder),
                fix=_AGAIN,
            )
    return SeveralModel(folder, manifest, digest, models)


class SeveralModel:
    """A shipped model of several targets. Make one with :func:`load_model`.

    Attributes
    ----------
    path, manifest, hash
        The folder, what ``model.json`` says, and the sha256 of its bytes.
    models
        The model of each target by its name.
    """

    def __init__(self, path: Path, manifest: SeveralManifest, digest: str, models: Mapping[str, Model]) -> None:
        self.path, self.manifest, self.hash, self.models = path, manifest, digest, dict(models)

    def __repr__(self) -> str:
        return f"<SeveralModel {', '.join(self.models)} {self.hash[:12]}>"

    @property
    def probability_names(self) -> tuple[str, ...]:
        """Names behind the findings' columns ``p_<name>``: the classes of all targets, each once."""
        return tuple(dict.fromkeys(name for model in self.models.values() for name in model.probability_names))

    @property
    def has_interval(self) -> bool:
        """Whether findings of some target give the ends of an interval around a measured value."""
        return any(model.has_interval for model in self.models.values())

    @property
    def columns(self) -> tuple[str, ...]:
        """The findings' columns."""
        return columns(self.probability_names, interval=self.has_interval)

    @property
    def covariates(self) -> tuple[str, ...]:
        """Columns that a table must have besides images."""
        return tuple(dict.fromkeys(name for model in self.models.values() for name in model.covariates))

    def findings(
        self,
        images: Images,
        *,
        jobs: int | None = None,
        progress: Progress | None = None,
        masks: str | os.PathLike[str] | None = None,
        mask_format: Format = "nii.gz",
        observers: Mapping[str, Sequence[Observer]] | None = None,
        abstain: bool = True,
    ) -> Iterator[Finding]:
        """Read, prepare and judge images; yield one finding a case and target, the targets of a case together.

        Parameters and errors are those of :meth:`semeion.model.runtime.Model.findings`; there are no masks, and
        `observers` are those of each target's model by the target's name.
        """
        if masks is not None:
            what = f"a model of several targets has no masks, and none can be written as {mask_format}"
            raise InputError(what, where="masks", fix="leave masks out")
        if isinstance(images, Iterator):
            images = list(images)
        streams = [
            model.findings(
                images,
                jobs=jobs,
                progress=progress if number == 0 else None,
                observers=(observers or {}).get(target, ()),
                abstain=abstain,
            )
            for number, (target, model) in enumerate(self.models.items())
        ]
        return self._together(streams)

    def _together(self, streams: Sequence[Iterator[Finding]]) -> Iterator[Finding]:
        names = self.probability_names
        numbers = not names
        for case in zip(*streams, strict=True):
            for finding, model in zip(case, self.models.values(), strict=True):
                own = dict(zip(model.probability_names, finding.p, strict=False))
                placed = cast("tuple[float, ...]", tuple(own.get(name) for name in names)) if own else ()
                call = finding.call if numbers or finding.call is None else str(finding.call)
                yield replace(finding, p=placed, call=call, model=self.hash)

    def predict(
        self, images: Images, *, jobs: int | None = None, progress: Progress | None = None, abstain: bool = True
    ) -> pd.DataFrame:
        """Return the findings of `images` as a data frame with the columns of :attr:`columns`.

        ``call`` is text where some target has classes, and a number where all are measured values.
        """
        findings = self.findings(images, jobs=jobs, progress=progress, abstain=abstain)
        table: pd.DataFrame = frame(findings, self.probability_names, interval=self.has_interval)
        return table


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


__all__ = ["SeveralManifest", "SeveralModel", "is_several", "load_model", "open_several", "open_whole", "write_several"]
