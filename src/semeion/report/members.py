"""How the ensemble came about: ways to learn, their cost and gain, and how they were combined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from semeion.report.words import plural

STUDENT = "student"
"""The recipe of networks that an ensemble is distilled into."""
WAYS = {
    "network": "network from scratch",
    "frozen": "linear head on pretrained features",
    "tuned": "pretrained network, learning on",
    "pretraining": "network that began with images without labels",
    "taught": "network taught by pretrained features about images without labels",
    STUDENT: "network that learned from the ensemble",
    "covariates": "covariates alone",
    "fused": "pretrained features with covariates",
}


EVEN = 1e-9
"""Difference of shares below which members count the same."""
RANDOM = "random weights"


def way(recipe: str | None) -> str:
    """Return what a recipe is, in words; a name that is not known stays."""
    if recipe and recipe.startswith("searched"):
        _, _, fold = recipe.partition("-fold")
        return f"settings found by search{f' in fold {fold}' if fold else ''}"
    return WAYS.get(recipe or "network", str(recipe))


def combination(told: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return the table of ways and the sentences about how they were combined; None where there was one way."""
    if not told:
        return None
    folds = told.get("folds") or {}
    reasons: dict[str, list[str]] = {}
    for fold, one in folds.items():
        reasons.setdefault(str(one.get("reason", "")), []).append(str(fold))
    sentences = []
    for reason, numbers in reasons.items():
        text = reason[:1].upper() + reason[1:]
        if len(folds) > 1:
            which = "Every fold" if len(numbers) == len(folds) else "Fold " + ", ".join(numbers)
            text = f"{which}: {reason}"
        sentences.append(text + ".")
    return {
        "rows": [{**row, "way": way(row["recipe"])} for row in told["recipes"]],
        "loss": told["loss"],
        "loss_name": told["loss_name"],
        "n": told["n"],
        "n_patients": told["n_patients"],
        "sentences": sentences,
    }


def ensemble(members: Sequence[Mapping[str, Any]]) -> str:
    """Return how many members there are and how they become one, without a full stop."""
    n = len(members)
    networks = all(one.get("recipe", "network") == "network" for one in members)
    what = "network" if networks else "member"
    if n == 1:
        return f"One {what}"
    shares = [one.get("share") for one in members]
    known = [share for share in shares if share is not None]
    if len(known) < n or max(known) - min(known) < EVEN:
        return f"{n} {what}s; the mean of their outputs is taken"
    having = sum(share > 0 for share in known)
    if having == 1:
        students = sum(str(one.get("recipe")).startswith(STUDENT) for one in members)
        if students:
            alone = "a network, which" if students == 1 else f"{students} networks, one a fold; one"
            return f"{plural(n - students, 'member')} that taught {alone} ships alone"
        return f"{n} {what}s, one of which ships alone"
    some = "" if having == n else f" of the {having} that have a share"
    return f"{n} {what}s; the mean of the outputs{some} is taken, weighted by their shares"


def beginnings(members: Sequence[Mapping[str, Any]], plan: Mapping[str, Any] | None) -> str:
    """Return which weights the members that learn by steps, or look through a network that does not, begin with."""
    recipes = (plan or {}).get("recipes") or {}
    own = {"kind": "network", "network": (plan or {}).get("network") or {}}
    counts: dict[str, int] = {}
    for one in members:
        recipe = str(one.get("recipe", "network"))
        weights = _begins(recipes.get(recipe, own if recipe == "network" else {}))
        counts[weights] = counts.get(weights, 0) + 1
    counts.pop("", None)
    if set(counts) == {RANDOM}:
        return "Random weights, no transfer learning"
    text = "; ".join(f"{weights} ({n} of {len(members)} members)" for weights, n in counts.items())
    return text[:1].upper() + text[1:]


def _begins(recipe: Mapping[str, Any]) -> str:
    """Return the weights that a recipe begins with, in words; nothing where it has none."""
    if recipe.get("kind") == "covariates":
        return ""
    if recipe.get("kind") == "frozen":
        return f"ImageNet weights of EfficientNet-{str(recipe.get('backbone', '')).title()}, which do not learn"
    network = recipe.get("network") or {}
    if network.get("kind") == "pretrained":
        return f"ImageNet weights of EfficientNet-{str(network.get('backbone', '')).title()}, which go on learning"
    if network.get("kind") == "own":
        return "weights that the user's network begins with"
    if recipe.get("start") == "pretraining":
        return "weights learned from images without labels"
    return RANDOM


LEFT_OUT = (
    ("copies", "have exactly the pixels of a case of the table and were left out"),
    ("repeated", "repeat another one"),
    ("unreadable", "could not be read"),
    ("other_kind", "are of another kind"),
)
"""Counts of images without labels that were not learned from, in words."""
COPIES = (
    "Copies are known by their exact pixels: a resized or compressed copy of a case, or another image of its patient, "
    "would have been {}, though never with its label."
)


def pretraining(told: dict[str, Any] | None) -> list[str] | None:
    """Return sentences on what a network learned from images without labels; None where it did not."""
    if not told:
        return None
    given = told["unlabelled"]
    whose = f"{given['used']:,} images without labels"
    if told["train_cases"]:
        whose += f" and those of {told['train_cases']:,} train cases, without their labels"
    first = (
        f"Before it saw a label, a network learned from {whose} to know each image again among others: "
        f"{told['steps']:,} steps in {told['seconds']:.0f} s. What that adds is the gain of its way above. Images of "
        "cases that figures are made of were not among them."
    )
    return [first, *_left_out(given), COPIES.format("learned from")]


def taught(told: dict[str, Any] | None) -> list[str] | None:
    """Return sentences on what a network was taught of images without labels; None where it was not."""
    if not told:
        return None
    given = told["unlabelled"]
    first = (
        f"A network also learned from {given['used']:,} images without labels: the {way(told['teacher'])} said what it "
        f"thinks of each, and the network was taught that, doubts included. Such images are {told['share']:.0%} of "
        f"each batch and count {told['weight']:.0%} of its loss. In each fold the head had learned from the cases that "
        "the network learns from, and from no case that chooses or that figures are made of. What it adds is the gain "
        "of its way above."
    )
    return [first, *_left_out(given), COPIES.format("taught of")]


def _left_out(given: Mapping[str, int]) -> list[str]:
    """Return a sentence on the images of a folder that were not learned from; none where all were."""
    rest = [f"{given[name]:,} {words}" for name, words in LEFT_OUT if given[name]]
    if given["read"] < given["found"]:
        rest.append(f"{given['found'] - given['read']:,} were not drawn")
    return [f"Of {given['found']:,} images in the folder {'; '.join(rest)}."] if rest else []
