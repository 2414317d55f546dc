"""Has the program read a cohort, as a user would, and tells what its audits said."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import zlib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Lock
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks.processes import run
from benchmarks.sabotage.bases import learning_cohort
from benchmarks.sabotage.drafts import HALVES, LEVELS, Draft, Half, Kind, Rng
from benchmarks.sabotage.plans import save_plan
from benchmarks.sabotage.writing import write

WORSE = {"void": 2, "warn": 1}
SEMEION = ("-m", "semeion")
FAULTS = ("-m", "benchmarks.sabotage.faults")
LIMIT = 1200.0
"""Seconds after which a command is given up: nobody may be watching."""
_TRAINING = Lock()


@dataclass(frozen=True)
class Told:
    """What one cohort is and what was said of it.

    Attributes
    ----------
    kind, how, audit, road, level, strength, must
        As the :class:`~benchmarks.sabotage.drafts.Kind` and its strength say; `level` is one of `LEVELS`.
    verdict
        Of the named audit; ``absent`` where no such audit was reported, ``refused`` where a command was.
    caught
        Whether the verdict is at least the one that must be.
    void, warn
        Names of all audits with these verdicts.
    planted, found
        Cases that were tampered with one by one, and how many of them the named audit lists.
    listed
        Cases that it lists.
    cases
        Of the cohort.
    seconds
        Of the commands.
    message
        What a refused command printed.
    said
        The advice of the named audit and of all that warn, by name: for whoever sets limits.
    """

    kind: str
    how: str
    audit: str | None
    road: str
    level: str
    strength: str
    must: str
    verdict: str
    caught: bool
    void: list[str]
    warn: list[str]
    planted: int
    found: int
    listed: int
    cases: int
    seconds: float
    message: str = ""
    said: dict[str, str] = field(default_factory=dict)


class Refused(Exception):
    """A command did not do its work."""


def program() -> str:
    """Return a digest of the program and of the corpus: what was told by others than these is of no use."""
    root = Path(__file__).parents[2]
    digest = hashlib.sha256()
    for file in sorted([*(root / "src").rglob("*.py"), *Path(__file__).parent.rglob("*.py")]):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def stream(half: Half, *parts: str | int) -> Rng:
    """Return the random stream of a cohort: another one in each half."""
    words = [part if isinstance(part, int) else zlib.crc32(part.encode()) for part in parts]
    return np.random.default_rng([700 + HALVES.index(half), *words])


def build(kind: Kind, half: Half, level: int) -> Draft:
    """Return the cohort of a kind at a strength; the three strengths spoil the same cohort."""
    base = kind.base(half, stream(half, kind.name))
    return kind.spoil(base, kind.strengths[level].value, stream(half, kind.name, level))


def look(kind: Kind, half: Half, level: int, home: Path) -> Told:
    """Build a cohort, have it read, and say what was told; what was told before is taken from what is kept.

    Parameters
    ----------
    kind, half, level
        Which cohort.
    home
        Where results are kept and cohorts are written; these are removed once they were read.
    """
    name = f"{kind.name}.{LEVELS[level]}"
    kept = home / f"{name}.json"
    if kept.exists():
        return Told(**json.loads(kept.read_text()))
    folder = home / "cohorts" / name
    began = perf_counter()
    draft: Draft | None = None
    audits: dict[str, dict[str, Any]] = {}
    message = ""
    try:
        draft = build(kind, half, level)
        table = write(draft, folder)
        began = perf_counter()
        audits = _read(kind, draft, level, table, half, home)
    except Refused as refusal:
        message = str(refusal)
    except Exception as error:  # one cohort that cannot be made must not cost the others: it is counted as missed
        message = f"{type(error).__name__}: {error}"
    told = _told(kind, draft, level, audits, message, round(perf_counter() - began, 1))
    if not message:  # what failed may have failed for the machine: it is tried again
        part = kept.with_suffix(".part")
        part.write_text(json.dumps(asdict(told), indent=1))
        part.replace(kept)
    shutil.rmtree(folder, ignore_errors=True)
    return told


def _told(
    kind: Kind, draft: Draft | None, level: int, audits: dict[str, dict[str, Any]], message: str, seconds: float
) -> Told:
    strength = kind.strengths[level]
    own = audits.get(kind.audit or "", {})
    verdict = str(own.get("verdict", "refused" if message else "absent")) if kind.audit else ""
    listed = _flat(own.get("cases", []))
    return Told(
        kind=kind.name,
        how=kind.how,
        audit=kind.audit,
        road=kind.road,
        level=LEVELS[level],
        strength=strength.words,
        must=strength.must,
        verdict=verdict,
        caught=WORSE.get(verdict, 0) >= WORSE[strength.must],
        void=sorted(name for name, one in audits.items() if one["verdict"] == "void"),
        warn=sorted(name for name, one in audits.items() if one["verdict"] == "warn"),
        planted=len(draft.planted) if draft else 0,
        found=len(draft.planted & listed) if draft else 0,
        listed=len(listed),
        cases=len(draft) if draft else 0,
        seconds=seconds,
        message=message,
        said={
            name: str(one["advice"]) for name, one in audits.items() if name == kind.audit or one["verdict"] in WORSE
        },
    )


def _flat(cases: Any) -> set[str]:
    """Return the case ids that are listed, in groups or one by one."""
    if isinstance(cases, list | tuple):
        return {one for case in cases for one in _flat(case)}
    return {str(cases)}


def _read(kind: Kind, draft: Draft, level: int, table: Path, half: Half, home: Path) -> dict[str, dict[str, Any]]:
    """Have the commands of the kind's road read a cohort and return the audits that they wrote."""
    out, value = table.parent / "out", str(kind.strengths[level].value)
    binary = draft.table["finding"].nunique() == 2
    asked = ["--target", "finding", *(["--positive", draft.positive] if binary else []), *draft.options, "--quiet"]
    if kind.road == "check":
        return _command(SEMEION, "check", table, *asked, "-o", out, written=out / "check.json")
    if kind.road == "evaluate":
        given = (reference(half, home) / "model", table, "--target", "finding", "--quiet")
        return _command(SEMEION, "evaluate", *given, "-o", out, written=out / "evidence.json")
    if kind.road == "reread":
        shutil.copytree(reference(half, home), out)
        _command(FAULTS, kind.fault, value, out, written=out / "evidence.json")
        return _command(SEMEION, "audit", out, "--quiet", written=out / "audit" / "audit.json")
    plan = save_plan(table.parent / "plan.yaml", **kind.plan)
    program = (*FAULTS, kind.fault, value) if kind.road == "full" else SEMEION
    audits = _command(program, "train", table, *asked, "--plan", plan, "-o", out, written=out / "evidence.json")
    if kind.road == "train":
        return audits
    return _command(program, "audit", out, "--full", "--quiet", written=out / "audit" / "audit.json")


def reference(half: Half, home: Path) -> Path:
    """Return a run on clean chest radiographs, trained once: its model evaluates, and its test cases are read again."""
    place = home / "reference"
    out = place / "run"
    # Two cohorts may be read at a time, and whatever was interrupted is begun anew.
    with _TRAINING:
        if (place / "trained").exists():
            return out
        shutil.rmtree(place, ignore_errors=True)
        table = write(learning_cohort(half, stream(half, "reference")), place)
        plan = save_plan(place / "plan.yaml", members=2, steps=300)
        words = ("train", table, "--target", "finding", "--positive", "pneumonia", "--plan", plan, "--quiet", "-o", out)
        _command(SEMEION, *words, written=out / "evidence.json")
        (place / "trained").touch()
    return out


def _command(program: tuple[str, ...], *words: Any, written: Path) -> dict[str, dict[str, Any]]:
    """Run a command and return ``audits`` of what it wrote.

    Raises
    ------
    Refused
        When it was refused or failed; 1 is the status of what was done and is void.
    """
    done = run([sys.executable, *program, *(str(word) for word in words)], every=1.0, limit=LIMIT)
    if done.status not in (0, 1) or not written.exists():
        raise Refused(f"status {done.status}: {done.output.strip()[-1500:]}")
    found: dict[str, dict[str, Any]] = json.loads(written.read_text())["audits"]
    return found
