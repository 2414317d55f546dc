"""What a run knows of itself that reporting standards ask for: one short text a fact, with where it stands."""

from __future__ import annotations

from collections.abc import Mapping

from semeion.report.account import Account
from semeion.report.content import software
from semeion.report.fact import Fact, Tell, audit, cut, said
from semeion.report.facts_results import RESULTS
from semeion.report.headline import question
from semeion.report.members import beginnings, ensemble
from semeion.report.outside import HEADS as OUTSIDE_HEADS
from semeion.report.outside import outside
from semeion.report.planned import facts_of, plan_sections
from semeion.report.words import number, plural

_NETWORKS = ("network", "measurements", "classifier", "segmentation", "arms")
_SEEN = ("modality", "format", "rows", "cols", "spacing", "bits", "unit", "orientation")


def run_facts(account: Account) -> dict[str, Fact | None]:
    """Return every fact by its name in the standards' files; None where the run does not know it."""
    return {name: tell(account) for name, tell in FACTS.items()}


def _plan(account: Account, *names: str, drop: tuple[str, ...] = ()) -> Fact | None:
    """Return sections of the plan as `key: value` pairs."""
    sections = [section for section in plan_sections(account.found.plan) if section["name"] in names]
    rows = [row for section in sections for row in section["rows"]]
    told = "; ".join(f"{row['key']}: {row['value']}" for row in rows if row["key"] not in drop)
    return Fact(cut(told), f"{_plan_file(account)}: {', '.join(one['name'] for one in sections)}") if told else None


def _plan_file(account: Account) -> str:
    return "plan.executed.yaml" if account.found.asked is not None else "plan.yaml"


def _data_audits(account: Account) -> Fact | None:
    rows = {name: one for name, one in account.found.evidence.audits.items() if one.get("tier", "check") == "check"}
    told = [f"{name} {one['verdict']}" for name, one in rows.items() if one.get("verdict", "not_run") != "not_run"]
    return Fact("; ".join(told), "evidence.json: audits") if told else None


def _question(account: Account) -> Fact:
    asked = question(account.found, account.split)
    classes = f": {', '.join(asked['classes'])}" if asked["classes"] else ""
    positive = f" (positive: {asked['positive']})" if asked["positive"] else ""
    return Fact(f"{asked['target']}, {asked['task_words']}{classes}{positive}", "evidence.json: target, classes")


def _source(account: Account) -> Fact | None:
    source = account.found.evidence.source
    return (
        Fact(f"{source}, {plural(account.first['people']['n_cases'], 'case')}", "evidence.json: source")
        if source
        else None
    )


def _sites(account: Account) -> Fact | None:
    n = account.first["people"]["n_sites"]
    return Fact(plural(n, "site"), f"{account.people.source}: site") if n else None


def _flow(account: Account) -> Fact | None:
    if not account.flow["steps"]:
        return None
    why = [
        f"{row['left_out']} left out at {row['step']} ({row['reason']})"
        for row in account.flow["steps"]
        if row["left_out"]
    ]
    told = " ".join([account.flow["sentence"], *([f"{'; '.join(why)}."] if why else [])])
    return Fact(cut(told), "evidence.json: flow; report, Which patients")


def _partitions(account: Account) -> Fact | None:
    splits = account.found.evidence.splits
    told = "; ".join(f"{name} {facts.n}" for name, facts in splits.items())
    scheme = ((account.found.plan or {}).get("validation") or {}).get("scheme")
    made = f" ({'the split was given' if scheme == 'given' else f'scheme: {scheme}'})" if scheme else ""
    if held := account.found.evidence.validation:
        made = f" ({held.get('scheme', 'by site')}, {held.get('n')} sites or groups: internal-external validation)"
    return Fact(f"{told}{made}", "evidence.json: splits") if told else None


def _disjoint(account: Account) -> Fact:
    told = account.first["disjoint"]
    return Fact(told["sentence"], "evidence.json: audits (patient-overlap); first page", told["shown"])


def _events(account: Account) -> Fact | None:
    told = []
    for part in account.flow["parts"]:
        events = ", ".join(f"{label} {n}" for label, n in part["events"].items())
        told.append(f"{part['split']}: {part['n']} cases{f' ({events})' if events else ''}")
    return Fact("; ".join(told), "evidence.json: splits; report, Which patients") if told else None


def _inputs(account: Account) -> Fact | None:
    images = account.found.cohort.get("images") or (account.found.plan or {}).get("images") or {}
    if not isinstance(images, Mapping) or not images.get("kind"):
        return None
    covariates = account.found.cohort.get("covariates") or []
    names = ", ".join(images.get("names") or [])
    kind = f"{images['kind']}s, {images.get('role', 'single')}{f' ({names})' if names else ''}"
    return Fact(f"Images: {kind}; covariates: {', '.join(covariates) or 'none'}", "cohort.parquet: images, covariates")


def _acquired(account: Account) -> Fact | None:
    rows = [row for row in facts_of(account.found.fingerprint) if any(word in row["key"] for word in _SEEN)]
    told = "; ".join(f"{row['key']}: {row['value']}" for row in rows if row["value"] not in ("none", "–"))
    return Fact(cut(told), "fingerprint.json") if told else None


def _training(account: Account) -> Fact | None:
    return _plan(account, "training", "segmentation") or _plan(account, "classifier")


def _selection(account: Account) -> Fact | None:
    members = account.found.evidence.members
    stopped = sorted({str(one["stopped"]) for one in members if one.get("stopped")})
    fitted = (account.found.evidence.operating_point or {}).get("chosen_on")
    told = [f"stopping: {'; '.join(stopped)}"] if stopped else []
    if fitted:
        told.append(f"operating point and calibration chosen on {fitted} cases")
    told += [f"{one.question}: {one.chosen}" for one in account.found.evidence.choice]
    return Fact(cut(". ".join(told)), "evidence.json: members, operating_point") if told else None


def _ensemble(account: Account) -> Fact | None:
    members = account.found.evidence.members
    return Fact(ensemble(members), "evidence.json: members") if members else None


def _initialisation(account: Account) -> Fact | None:
    members = account.found.evidence.members
    seeds = [str(one["seed"]) for one in members if one.get("seed") is not None]
    if not seeds:
        return None
    told = "; ".join(part for part in (beginnings(members, account.found.plan), f"seeds {', '.join(seeds)}") if part)
    recipes = f"{_plan_file(account)}: recipes; " if (account.found.plan or {}).get("recipes") else ""
    return Fact(cut(told), f"{recipes}evidence.json: members")


def _imbalance(account: Account) -> Fact | None:
    counts = audit("class-counts")(account)
    weights = ((account.found.plan or {}).get("training") or {}).get("class_weights")
    told = [counts.value] if counts else []
    if weights:
        told.append(f"Class weights in training: {', '.join(number(one, 2) for one in weights)}.")
    return Fact(cut(" ".join(told)), "evidence.json: audits (class-counts); plan: training") if told else None


def _demographics(account: Account) -> Fact | None:
    titles = list(dict.fromkeys(row["key"] for row in account.who["rows"]))
    splits = ", ".join(str(one["split"]) for one in account.who["splits"])
    lacking = f"; not in the table: {', '.join(account.who['absent'])}" if account.who["absent"] else ""
    told = f"{', '.join(titles)} of {splits}{lacking}"
    return Fact(told, "cohort.parquet; report, Which patients", not account.who["absent"]) if titles else None


def _sample(account: Account) -> Fact | None:
    weighed = account.first["people"]["weighed"]
    if weighed["n"] is None:
        return None
    events = ", ".join(f"{label} {n}" for label, n in weighed["events"].items())
    precision = audit("small-sample")(account)
    counted = f"{plural(weighed['n'], 'case')} weighed{f' ({events})' if events else ''}."
    told = f"{counted} {precision.value if precision else ''}".strip()
    return Fact(cut(told), "evidence.json: splits, audits (small-sample)")


def _software(account: Account) -> Fact:
    told = "; ".join(f"{row['name']} {row['version']}" for row in software(account.found))
    return Fact(cut(told), "evidence.json: semeion; machine.json; report, How it was made")


def _whole_plan(account: Account) -> Fact | None:
    return Fact("Every decision with its reason", _plan_file(account)) if account.found.plan else None


def _title(account: Account) -> Fact | None:
    if account.found.evidence.weighed is not None:
        return None
    asked = question(account.found, account.split)
    status = outside(account.found.evidence)
    what = "Development and internal validation" if status is None else OUTSIDE_HEADS[status].capitalize()
    if account.found.evidence.adopted is not None and status is None:
        what = "Calibration and evaluation of a network that was trained elsewhere"
        return Fact(f"{what}: {asked['title'][0].lower()}{asked['title'][1:]}", "evidence.json: target, adopted", False)
    return Fact(f"{what} of a model: {asked['title'][0].lower()}{asked['title'][1:]}", "evidence.json: target", False)


def _kind(account: Account) -> Fact | None:
    if account.found.evidence.weighed is not None:
        return Fact("Evaluation of predictions", "evidence.json: weighed", False)
    apart = outside(account.found.evidence) is not None or account.found.evidence.adopted is not None
    told = "Evaluation of a finished model" if apart else "Development, with evaluation"
    return Fact(told, "evidence.json: metrics", False)


def _technology(account: Account) -> Fact | None:
    plan = account.found.plan
    if not plan:
        return None
    if account.found.evidence.adopted is not None:
        told = f"A network that was trained elsewhere. {account.found.evidence.adopted.get('sentence', '')}"
        return Fact(told, f"{_plan_file(account)}: network", False)
    if factory := (plan.get("network") or {}).get("factory"):
        return Fact(f"Deep learning: a network of the user's, {factory}", f"{_plan_file(account)}: network", False)
    told = "Deep learning: convolutional networks" if "network" in plan or "arms" in plan else "Machine learning"
    return Fact(told, _plan_file(account), False)


def _limits(account: Account) -> Fact | None:
    told = " ".join(account.found.evidence.not_validated)
    return Fact(cut(f"Not validated: {told}"), "evidence.json: not_validated", False) if told else None


FACTS: dict[str, Tell] = {
    **RESULTS,
    "acquired": _acquired,
    "architecture": lambda account: _plan(account, *_NETWORKS),
    "data_audits": _data_audits,
    "demographics": _demographics,
    "disjoint": _disjoint,
    "ensemble": _ensemble,
    "events": _events,
    "flow": _flow,
    "gate": said(
        "A finding carries a coded reason where an image is unlike the training images, and is not called where it is "
        "far from them",
        "docs, When the model does not call",
    ),
    "imbalance": _imbalance,
    "indeterminate": said(
        "Every weighed case is weighed as called, also where the model would not call it; cases that cannot be read "
        "are left out in the flow",
        "evidence.json: flow",
    ),
    "initialisation": _initialisation,
    "inputs": _inputs,
    "kind": _kind,
    "limits": _limits,
    "log": said(
        "Findings carry the model's hash and coded reasons; whether they are kept is not known", "docs, The model"
    ),
    "missing": audit("missing-values", "unreadable-images"),
    "model_blind": said("The model saw images only, and no reference standard when it read them", "plan: images"),
    "no_judged_predictor": said("The predictors are the pixels of images, which nobody judges", "plan: images"),
    "no_updating": said("The model was not updated by this evaluation", "evidence.json: model"),
    "partitions": _partitions,
    "plan": _whole_plan,
    "preparation": lambda account: _plan(account, "preparation"),
    "question": _question,
    "raters": audit("rater-agreement"),
    "sample": _sample,
    "selection": _selection,
    "sites": _sites,
    "software": _software,
    "source": _source,
    "technology": _technology,
    "time_order": audit("time-order"),
    "title": _title,
    "training": _training,
}
