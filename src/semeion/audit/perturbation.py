"""Whether anything that is learned or chosen changes when held-out cases change."""

from __future__ import annotations

from collections.abc import Mapping

from semeion.audit.audit import Audit

NAME = "fit-on-test"


def fit_on_test(before: Mapping[str, str], after: Mapping[str, str], held_out: str, changed: int) -> Audit:
    """Compare what two trainings made, of which the second had other held-out cases.

    Parameters
    ----------
    before, after
        SHA-256 of each artefact, by name, of the cases as they are and with the held-out ones perturbed.
    held_out
        Which cases were perturbed, in words.
    changed
        How many.

    Returns
    -------
    Audit
        ``warn`` when an artefact differs: something was fitted on cases that it is then weighed on. What voids a result
        is a closed list, and this is a fault of the road, which nobody can accept or mend in their data.
    """
    names = sorted({*before, *after})
    differ = [name for name in names if before.get(name) != after.get(name)]
    figures = {"artefacts": len(names), "changed": len(differ), "perturbed_cases": changed}
    if not changed or not names:
        return Audit(NAME, "not_run", "full", figures, (), "There are no held-out cases to perturb.")
    if differ:
        return Audit(
            NAME,
            "warn",
            "full",
            {**figures, "differ": ", ".join(differ)},
            (),
            f"With {held_out} perturbed, {', '.join(differ)} came out otherwise: held-out cases shape what they then "
            "weigh. Do not use these figures, and report this.",
        )
    return Audit(
        NAME,
        "clear",
        "full",
        figures,
        (),
        f"With {held_out} perturbed, all of {', '.join(names)} came out the same, byte for byte.",
    )
