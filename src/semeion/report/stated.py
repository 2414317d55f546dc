"""What only a person can say of a study: read from a YAML file that is kept in the run, and never guessed."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

from semeion.artefacts import machine_errors, write_bytes
from semeion.errors import InputError, nearest

FILE = "intended_use.yaml"
"""Its name in a run folder."""

FIRST: dict[str, str] = {
    "intended_use": "Intended use",
    "population": "For which patients",
    "setting": "In which setting",
    "users": "For which users",
    "reference_standard": "Reference standard",
    "not_for": "Not to be used for",
}
"""What stands on the first page of a report, with its title there."""

FURTHER: dict[str, str] = {
    "title": "Title of the study",
    "abstract": "Where its structured summary stands",
    "background": "Clinical background, current practice and existing models",
    "objectives": "Objectives and hypotheses",
    "inequalities": "Known inequalities of health between groups",
    "design": "Prospective or retrospective, and what kind of study",
    "dates": "First and last date of data collection",
    "centres": "Number and location of centres",
    "eligibility": "Inclusion and exclusion criteria, of patients and of images",
    "recruitment": "How patients were identified; consecutive, random or by convenience",
    "treatments": "Treatments received, and how they were handled",
    "devices": "Devices that made the images: maker and model",
    "acquisition": "Acquisition protocol",
    "deidentification": "How images and data were de-identified",
    "reference_reason": "Why this reference standard, and its cut-offs",
    "annotators": "Who set the reference standard, with what training, tools and agreement",
    "blinding": "Who knew what when the reference standard was set",
    "representativeness": "How the cases compare with the patients the model is meant for",
    "sample_size": "How the number of cases was arrived at",
    "severity": "Severity of disease, and other diagnoses of those without it",
    "interval": "Time and treatment between image and reference standard",
    "adverse_events": "Adverse events of imaging or of the reference standard",
    "fairness": "What was done for fairness, and what it means here",
    "robustness": "How robust the model is to noise, other devices and other settings",
    "interpretation": "What the results mean beside earlier studies",
    "limitations": "Limitations",
    "implications": "Implications for practice and next steps",
    "interaction": "What users must do with input and output, and the expertise they need",
    "ethics": "Ethics committee, approval and consent",
    "involvement": "Involvement of patients and the public",
    "funding": "Funding, and the role of funders",
    "interests": "Conflicts of interest and commercial interests",
    "protocol": "Where the protocol is",
    "registration": "Register and number",
    "data_access": "Where the data are, and on which terms",
    "code_access": "Where the analytical code is, and on which terms",
    "model_access": "Where the model is, and on which terms",
    "outputs_kept": "Whether findings are stored and can be audited",
    "maintenance": "Who watches and maintains the model in use",
    "developer": "Who made the model",
    "contact": "How to reach them",
    "release_stage": "Research, pilot or product",
    "regulatory": "Regulatory status",
    "risk": "Clinical risk of a wrong finding",
}
"""What the standards ask for besides, with what is to be written."""

KEYS = {**FIRST, **FURTHER}
_LARGEST = 200_000
"""Bytes of the file."""
_LONGEST = 5_000
"""Characters of one statement."""


def read_stated(path: Path) -> dict[str, str]:
    """Read and check a file of statements.

    Parameters
    ----------
    path
        A YAML mapping of some of :data:`KEYS` to text, or to a list of texts. An empty value counts as absent.

    Returns
    -------
    dict
        Key to text on one line, in the order of :data:`KEYS`.

    Raises
    ------
    InputError
        When there is no such file, or a key or a value cannot be used.
    """
    if not path.is_file():
        raise InputError(
            "there is no such file", where=str(path), fix="give a YAML file, for example intended_use.yaml"
        )
    with machine_errors(path):
        data = path.read_bytes()
    return _checked(data, str(path))


def keep_stated(path: Path, folder: Path) -> dict[str, str]:
    """Check a file of statements and keep a copy in `folder`, byte for byte.

    Raises
    ------
    InputError
        As :func:`read_stated`; nothing is written.
    MachineError
        When the folder cannot be written.
    """
    found = read_stated(path)
    if path.absolute() != (folder / FILE).absolute():
        write_bytes(folder / FILE, path.read_bytes())
    return found


def stated_in(run: Path) -> dict[str, str]:
    """Return what the file kept in a run says; empty where there is none."""
    return read_stated(run / FILE) if (run / FILE).is_file() else {}


def _checked(data: bytes, where: str) -> dict[str, str]:
    import yaml

    if len(data) > _LARGEST:
        raise InputError(f"is {len(data)} bytes long", where=where, fix=f"keep it below {_LARGEST} bytes")
    try:
        node = yaml.compose(data.decode("utf-8-sig"), Loader=yaml.SafeLoader)
        raw = yaml.safe_load(data.decode("utf-8-sig"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f" (line {mark.line + 1})" if mark is not None else ""
        raise InputError(
            f"is not readable YAML{line}", where=where, fix="write `key: text`; text with a colon in it needs quotes"
        ) from error
    if raw is None:
        return {}
    if not isinstance(raw, dict) or node is None:
        raise InputError("holds no keys", where=where, fix=f"write `key: text` with keys such as {', '.join(FIRST)}")
    names = [str(key.value) for key, _ in node.value]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{name} stands twice", where=where, fix="keep one of them")
        if name not in KEYS:
            raise InputError(
                f"{name!r} is no known key{nearest(name, KEYS)}", where=where, fix=f"use some of {', '.join(KEYS)}"
            )
    texts = {name: _text(raw[name], f"{where}: {name}") for name in KEYS if name in raw}
    return {name: text for name, text in texts.items() if text}


def _text(value: Any, where: str) -> str:
    """Return a statement on one line; an empty one is absent."""
    if isinstance(value, list):
        return "; ".join(part for part in (_text(one, where) for one in value) if part)
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, (str, int, float, dt.date)):
        raise InputError(f"{value!r} is no text", where=where, fix="write a sentence; yes and no need quotes")
    text = " ".join(str(value).split())
    if len(text) > _LONGEST:
        raise InputError(f"is {len(text)} characters long", where=where, fix=f"keep it below {_LONGEST}")
    return text
