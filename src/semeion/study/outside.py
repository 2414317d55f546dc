"""Whether cases are external: checked against the run that made the model where it is at hand, else only stated."""

from __future__ import annotations

from typing import Any

import pandas as pd

from semeion.cohort.cohort import Cohort
from semeion.plan.sites import plain_site, site_names
from semeion.study.origin import Origin

EXTERNAL, NOT_EXTERNAL, NOT_VERIFIED = "external", "not_external", "not_verified"
_MOST_NAMED = 5


def outside_json(cohort: Cohort, facts: pd.DataFrame, origin: Origin | None) -> dict[str, Any]:
    """Return ``external`` of the evidence: whether these cases are external, and what was looked at.

    Parameters
    ----------
    cohort, facts
        The cases that were weighed, and their scan.
    origin
        The run that made the model; None where it was not given: a model folder holds nothing of any case, so nothing
        can be looked at.

    Returns
    -------
    dict
        ``status``: ``external`` only when every case has a site, every case of the run has one, no site, patient id or
        image is in both; ``not_external`` when a site or an image is; ``not_verified`` otherwise, and
        where the network was trained elsewhere. ``n_patients`` (None
        where patients were not named), ``n_sites``, ``checked``: ``{sites, patients, images}``, the number in both or
        None where it could not be looked at; ``shared_sites``; ``reason``, a sentence.
    """
    here = [name for name in site_names(cohort.table["site"].tolist()) if name]
    told: dict[str, Any] = {
        "status": NOT_VERIFIED,
        "n": len(cohort.table),
        "n_patients": int(cohort.table["patient_id"].nunique()) if cohort.has_patients else None,
        "n_sites": len({plain_site(name) for name in here}) or None,
        "checked": {"sites": None, "patients": None, "images": None},
        "shared_sites": [],
    }
    if origin is None:
        reason = "The model folder holds nothing of the cases it was built on, and no run was given to look at (--run)."
        return {**told, "reason": reason}
    # Test cases of the run count too: they are of the same cohort.
    there = [name for name in site_names(origin.cohort.table["site"].tolist()) if name]
    known = {plain_site(name) for name in there}
    shared = sorted({name for name in here if plain_site(name) in known})
    images = _shared(facts, origin.facts)
    people = None
    if cohort.has_patients and origin.cohort.has_patients:
        people = len(set(cohort.table["patient_id"].astype(str)) & set(origin.cohort.table["patient_id"].astype(str)))
    both = bool(here) and bool(there)
    told["checked"] = {"sites": len(shared) if both else None, "patients": people, "images": images}
    told["shared_sites"] = shared
    if images:
        reason = f"{images} of the images are among those of the run that made the model, pixel for pixel."
        return {**told, "status": NOT_EXTERNAL, "reason": reason}
    if shared:
        named = ", ".join(shared[:_MOST_NAMED])
        reason = f"Same site: {named} {'is' if len(shared) == 1 else 'are'} among the sites of the run, too."
        return {**told, "status": NOT_EXTERNAL, "reason": reason}
    if people:
        reason = (
            f"{people} patient {'id is' if people == 1 else 'ids are'} in the run, too: the same person, or two people "
            "with one id at two sites."
        )
        return {**told, "reason": reason}
    if origin.evidence.get("adopted"):
        reason = f"{_proof(told['checked'])} But the network was trained elsewhere, on cases that are not in it."
        return {**told, "reason": reason}
    if len(here) < len(cohort.table) or len(there) < len(origin.cohort.table):
        where = "this table" if len(here) < len(cohort.table) else "the run"
        return {**told, "reason": f"Not every case of {where} has a site, so that the sites differ cannot be shown."}
    return {**told, "status": EXTERNAL, "reason": _proof(told["checked"])}


def _proof(checked: dict[str, Any]) -> str:
    looked = ["no patient id" if checked["patients"] is not None else "", "no image" if checked["images"] == 0 else ""]
    return f"{', '.join(['No site', *filter(None, looked)])} is in the run that made the model, too."


def _shared(here: pd.DataFrame, there: pd.DataFrame) -> int | None:
    """Return how many images have the very pixels of one of the run, blank ones aside; None where none was hashed."""
    if "pixel_hash" not in here or "pixel_hash" not in there:
        return None
    known, own = ({str(value) for value in _hashes(side)} for side in (there, here))
    if not known or not own:
        return None
    return int(_hashes(here).isin(known).sum())


def _hashes(facts: pd.DataFrame) -> pd.Series[Any]:
    kept = facts if "blank" not in facts else facts[~facts["blank"].astype(bool)]
    hashes = kept["pixel_hash"].dropna().astype(str)
    return hashes[hashes != ""]
