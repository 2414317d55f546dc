"""Opens all that a model judges cases with: graphs, heads, members of covariates, and what training cases are like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from semeion.model.bounds import bounded_memory
from semeion.model.covariates import CovariateMember, open_covariates
from semeion.model.engine import Engine, Kind, open_engine
from semeion.model.golden import Golden, answer, difference, read_golden
from semeion.model.guard import Guard
from semeion.model.heads import open_head
from semeion.model.linear import LinearMember
from semeion.model.manifest import Manifest, Member
from semeion.model.opening import place, read_listed
from semeion.model.package import check_engine_fits, takes
from semeion.model.reference import Reference, open_reference
from semeion.model.values import ValueReference, open_values


@dataclass(frozen=True)
class Members:
    """What a model judges cases with.

    Attributes
    ----------
    engines, heads
        One a member that sees images, in their order; members that share a graph share the engine. The head of each of
        these whose graph gives features, else None.
    covariates
        The members that judge covariates, by their name.
    guard
        What says which cases lie far from the training cases; None where the model does not hold that.
    tried
        How far each golden case was from its answer.
    """

    engines: list[Engine]
    heads: list[LinearMember | None]
    covariates: dict[str, CovariateMember]
    guard: Guard | None
    tried: list[float]


def open_members(path: Path, manifest: Manifest, threads: int | None, kind: Kind) -> Members:
    """Open all members of a model and answer its golden cases.

    Parameters
    ----------
    path, manifest
        The model.
    threads, kind
        As of :func:`semeion.model.engine.open_engine`.

    Raises
    ------
    ModelRefused
        When something does not open or does not fit the manifest, or a golden case is answered otherwise than where the
        model was made.
    """
    seeing = [member for member in manifest.members if member.kind != "covariates"]
    heads = [_head(path, manifest, member) for member in seeing]
    opened: dict[str, Engine] = {}
    golden = _golden(path, manifest)
    tried: list[float] = []
    for member, head in zip(seeing, heads, strict=True):
        # A graph of others must not take the machine along when it asks for more memory than there is.
        with bounded_memory():
            if member.file not in opened:
                opened[member.file] = _engine(path, manifest, member, threads, kind)
            check_engine_fits(manifest, member.name, opened[member.file], head)
            tried += _far(golden, path, manifest, member, opened[member.file], head, kind)
    covariates = {
        member.name: open_covariates(
            read_listed(path, member.file, manifest.files[member.file]),
            manifest,
            member.name,
            where=place(path, member.file),
        )
        for member in manifest.members
        if member.kind == "covariates"
    }
    known = None if manifest.measured is not None else read_reference(path, manifest)
    guard = None if known is None else Guard(known, manifest, opened)
    return Members([opened[member.file] for member in seeing], heads, covariates, guard, tried)


def read_reference(path: Path, manifest: Manifest) -> Reference | None:
    """Return what the training cases look like; None where the model does not hold it.

    Raises
    ------
    ModelRefused
        When the file is none, or does not fit the manifest.
    """
    file = manifest.reference
    if file is None:
        return None
    return open_reference(read_listed(path, file, manifest.files[file]), manifest, where=place(path, file))


def read_values(path: Path, manifest: Manifest) -> ValueReference | None:
    """Return what values the training cases have; None where the model does not hold it; raises as the above."""
    file = manifest.values
    if file is None:
        return None
    return open_values(read_listed(path, file, manifest.files[file]), manifest, where=place(path, file))


def _head(path: Path, manifest: Manifest, member: Member) -> LinearMember | None:
    if member.head is None:
        return None
    data = read_listed(path, member.head, manifest.files[member.head])
    return open_head(data, manifest, where=place(path, member.head))


def _golden(path: Path, manifest: Manifest) -> Golden | None:
    file = manifest.golden
    return None if file is None else read_golden(read_listed(path, file, manifest.files[file]), where=place(path, file))


def _far(
    golden: Golden | None,
    path: Path,
    manifest: Manifest,
    member: Member,
    engine: Engine,
    head: LinearMember | None,
    kind: Kind,
) -> Sequence[float]:
    """Return how far the answer to the golden case of a member is from the stored one; nothing where it has none."""
    name = member.head if member.head is not None else _graph_of(member, kind)
    if golden is None or name not in golden.answers:
        return ()
    said = answer(engine, head, manifest.task, takes(manifest), golden.seed)
    far = difference(golden, name, said, where=f"{path}: member {member.name}", kind=kind)
    return () if far is None else (far,)


def _graph_of(member: Member, kind: Kind) -> str:
    return member.fast if member.fast is not None and kind == "onnxruntime" else member.file


def _engine(path: Path, manifest: Manifest, member: Member, threads: int | None, kind: Kind) -> Engine:
    file = _graph_of(member, kind)
    data = read_listed(path, file, manifest.files[file])
    bounded = manifest.adopted is not None
    return open_engine(data, threads, where=place(path, file), kind=kind, takes=takes(manifest), bounded=bounded)
