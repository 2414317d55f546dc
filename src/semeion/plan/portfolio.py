"""Which further ways to learn are tried beside the plan's own network, and what each takes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from semeion.plan.looks import Look, looks_of
from semeion.plan.networks import VIEWS_BYTES, begun_bytes
from semeion.plan.recipes import FrozenRecipe, NetworkRecipe, PretrainedPlan, Recipe, TrainingPlan

if TYPE_CHECKING:
    from semeion.plan.rules import Measured

TUNED_PRESENTATIONS = 8_000
"""Images that a pretrained network sees while it goes on learning from `REFERENCE_CASES` cases: 15 epochs."""
REFERENCE_CASES = 546
TUNED_GROWTH = 0.35
"""They grow with this power of the number of cases, as those of a network from scratch do."""
TUNED_SHARE = 0.45
"""Largest share of the time for learning that fine-tuning is planned with."""
KEPT_PRESENTATIONS = 6_000
"""Images that the last stages see where the first ones are kept: their validation loss is then about at its least."""
KEPT_SHARE = 0.65
"""That of networks that keep their first stages: they are planned for large pictures alone, of which one from scratch
learns little from hundreds of cases."""
VIEWS, FEWEST_VIEWS = 6, 3
"""Changed views of each picture that the last stages of a network learn from, where its first ones are kept; and how
few are still tried where the memory allows no more."""
FROZEN_SHARE = 0.12
"""Largest share of the time for learning that frozen features are planned with."""
VOLUMES_SHARE = 0.3
"""That of volumes, of which frozen features of slices are usually the best single way, and a case has dozens."""
NOT_TUNED = (
    "learning on from dozens of slices a case would take the time of all other members; a recipe `kind: network` with "
    "`network.kind: pretrained` asks for it"
)
HEAD_SECONDS = 4.0
"""What a linear head on features takes a fold, its cross-validation included."""
HEAD_CELL, HEAD_OUTPUT = 1.3e-10, 3e-6
"""Seconds that it takes besides of volumes, whose features are many: for each product of the table of features with
itself, and for each entry of that and each output. Measured with 400 to 1,200 cases and 7,000 to 21,000 features."""
VALIDATED = 1.1
"""What validating adds to the steps of a member."""
FORWARD = 0.2
"""What an image costs to look at, by the graph that ships, beside learning from it."""


@dataclass(frozen=True)
class Way:
    """A further way to learn.

    Attributes
    ----------
    name
        Of the recipe in the plan.
    measured
        The pretrained network as it was measured here.
    batch, steps
        Of a member; 0 steps of one that does not learn by gradient.
    step_seconds
        Of one step, as measured, with its share of what is computed before the first; 0 without steps.
    seconds
        Of the first member of every fold together.
    reading
        Seconds that they take at the end, when all has been learned, for the cases that figures are made of and that
        they did not look at before; they are kept from learning.
    look
        How frozen features look at a case.
    views
        Changed views of each picture whose maps are computed first, where stages are kept.
    """

    name: str
    measured: Measured
    batch: int
    steps: int
    step_seconds: float
    seconds: float
    reading: float = 0.0
    look: Look = field(default_factory=Look)
    views: int = 0


def plan_ways(
    facts: dict[str, Any],
    pretrained: list[Measured],
    folds: int,
    seconds: float,
    learning_cases: float,
    aside: float = 0.0,
) -> tuple[list[Way], dict[str, str]]:
    """Decide which pretrained networks are tried, and say why or why not.

    Parameters
    ----------
    facts
        :func:`semeion.plan.fingerprint.fingerprint`.
    pretrained
        Measured candidates of :func:`semeion.plan.networks.pretrained_candidates`, best first, those that keep stages
        last; empty where there are none for these images, or where no time was left to measure them.
    folds
        Each has members of its own; 1 for a given split.
    seconds
        For all learning.
    learning_cases
        That a fold learns from.
    aside
        Seconds for images without labels, besides: of them too frozen features may have their share, since they teach.

    Returns
    -------
    tuple
        The ways, the quickest first, and for ``frozen`` and ``tuned`` the reason.
    """
    whole = [one for one in pretrained if not one.candidate.kept]
    if not whole:
        none = "no pretrained network was measured for these images"
        return [], {"frozen": none, "tuned": none}
    why: dict[str, str] = {}
    # Test cases are read at the end; of folds every case is held out once, and looked at by others before.
    tested = float(facts["cases"].get("test", 0)) if facts["has_split"] else 0.0
    looked = float(sum(facts["cases"].values())) - tested
    held = float(facts["training"]["cases"]) if folds > 1 else 0.0
    ways = []
    volumes = "volume" in facts["training"]
    share = VOLUMES_SHARE if volumes else FROZEN_SHARE
    looks = looks_of(facts)
    # The best look at every size, and then fewer pictures of the smallest size.
    best = [(one, looks[0]) for one in whole[:-1] if looks[0].fits(one.candidate.side)]
    tried = [*best, *((whole[-1], look) for look in looks)]
    outputs = max(1, len(facts["classes"])) if facts["task"] in ("multiclass", "multilabel") else 1
    frozen = [_frozen(*one, looked, tested, folds, learning_cases, outputs, volumes=volumes) for one in tried]
    for (measured, look), way in zip(tried, frozen, strict=True):
        if way.seconds + way.reading <= share * (seconds + aside):
            what = f" of {look.words()}" if look.words() else ""
            why["frozen"] = (
                f"features of {measured.candidate.describe()}{what}, seen once, and a linear head: about "
                f"{way.seconds:.0f} s for a first answer, and the best one where cases are few"
            )
            ways.append(way)
            break
    else:
        least = frozen[-1]
        why["frozen"] = (
            f"its features would take more than {share:.0%} of the {seconds + aside:.0f} s for learning; about "
            f"{_budget_for(least, share, seconds + aside)} more of budget would allow them"
        )
    if volumes:
        why["tuned"] = NOT_TUNED
        return ways, why
    images = len(facts.get("images", {}).get("names", ()))
    tuned, why["tuned"] = _tuned_way(pretrained, folds, seconds, learning_cases, tested * folds + held, images)
    return [*ways, *([tuned] if tuned else [])], why


def _tuned_way(
    pretrained: list[Measured], folds: int, seconds: float, learning_cases: float, read: float, images: int
) -> tuple[Way | None, str]:
    """Return how a pretrained network goes on learning, with the largest pictures that time allows, and the reason.

    Of one size all stages learn where there is time for that, else the last ones.
    """
    growth = (learning_cases / REFERENCE_CASES) ** TUNED_GROWTH
    look_at = {one.candidate.side: look_seconds(one) for one in pretrained if not one.candidate.kept}
    wanted = 0.0
    for measured in sorted(pretrained, key=lambda one: (-one.candidate.side, one.candidate.kept)):
        candidate, views = measured.candidate, 0
        if candidate.kept:
            views = min(VIEWS, int(VIEWS_BYTES / (begun_bytes(candidate, images) * learning_cases)))
            if views < FEWEST_VIEWS or candidate.side not in look_at:
                continue
        wanted = max((KEPT_PRESENTATIONS if views else TUNED_PRESENTATIONS) * growth, 2 * learning_cases)
        way = _tuned(measured, wanted, folds, learning_cases, read, look_at[candidate.side], views)
        if way.seconds + way.reading <= (KEPT_SHARE if views else TUNED_SHARE) * seconds:
            verb = "go" if views else "goes"
            return way, (
                f"{candidate.describe()} {verb} on learning from {wanted:.0f} images, at "
                f"{measured.images_per_second:.0f} a second: about {way.seconds:.0f} s"
            )
    return None, f"{wanted:.0f} images would take more than {TUNED_SHARE:.0%} of the {seconds:.0f} s for learning"


def _frozen(
    measured: Measured,
    look: Look,
    looked: float,
    tested: float,
    folds: int,
    learning_cases: float,
    outputs: int,
    *,
    volumes: bool,
) -> Way:
    each = look_seconds(measured) * look.pictures
    entries = learning_cases * min(look.features, learning_cases) if volumes else 0.0
    head = HEAD_SECONDS + entries * (HEAD_CELL * look.features + HEAD_OUTPUT * outputs)
    batch, seconds = measured.candidate.batch, looked * each + head * folds
    return Way("frozen", measured, batch, 0, 0.0, seconds, tested * each, look)


def _budget_for(way: Way, share: float, seconds: float) -> str:
    """Return how much longer the budget must be before a way fits its share, in minutes."""
    return f"{max(1, math.ceil(((way.seconds + way.reading) / share - seconds) / 60))}m"


def look_seconds(measured: Measured) -> float:
    """Return what an image costs to look at, in seconds."""
    return FORWARD * measured.seconds["float32"] / measured.candidate.batch


def _tuned(
    measured: Measured, wanted: float, folds: int, learning_cases: float, read: float, look_at: float, views: int
) -> Way:
    """Return the way that learns on with a network; `look_at` is what one picture of its size costs to look at."""
    candidate = measured.candidate
    batch = min(candidate.batch, max(2, 2 ** int(math.log2(max(learning_cases / 2, 2)))))
    steps = max(1, round(wanted / batch))
    step_seconds = measured.seconds[measured.precision] * batch / candidate.batch
    # What is passed once before the first step is shared among the steps, so that a member is given the time for it.
    step_seconds += views * learning_cases * look_at / (VALIDATED * steps)
    seconds = folds * steps * step_seconds * VALIDATED
    return Way("tuned", measured, batch, steps, step_seconds, seconds, read * look_at, views=views)


def recipe_of(way: Way, training: TrainingPlan) -> Recipe:
    """Return the recipe of a way; `training` is that of the plan's own network, whose augmentation it shares."""
    candidate, measured = way.measured.candidate, way.measured
    if way.name == "frozen":
        look = way.look
        why = {"side": "the largest whose features cost little of the time", **look.why}
        return FrozenRecipe(
            backbone=candidate.backbone,
            side=candidate.side,
            along=list(look.along),
            slices=look.slices,
            colours=look.colours,
            apart=list(look.apart),
            why=why,
        )
    network = PretrainedPlan(backbone=candidate.backbone, side=candidate.side, why={"side": "as large as time allows"})
    if candidate.kept:
        network.kept, network.views = candidate.kept, way.views
        network.why["kept"] = "with all stages learning there is time for smaller pictures only"
    own = training.model_copy(
        update={
            "batch": way.batch,
            "learning_rate": 4e-3,
            "layer_decay": 0.4 if candidate.kept else 0.85,
            "frozen_share": 0.0 if candidate.kept else 0.1,
            "weight_decay": 0.05,
            "precision": measured.precision,
            "why": {
                "learning_rate": "peak of one cycle of the head; each stage towards the input learns more slowly",
                "layer_decay": "what ImageNet taught about edges and textures changes least",
                "frozen_share": "what learns is close to the head, and learns more slowly"
                if candidate.kept
                else "the head is not yet of use when it begins, and would spoil the stages below",
                "precision": f"measured for one step: {measured.seconds}",
            },
        }
    )
    return NetworkRecipe(network=network, training=own)
