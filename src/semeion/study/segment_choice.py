"""What validation Dice decides in a segmentation: the arm, mirroring, post-processing; each with its interval."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from semeion.artefacts import read_json, write_json
from semeion.model.engine import Engine, open_engine
from semeion.model.segment import Looking, Segmenter
from semeion.plan.segment_schema import Decision, SegmentationPlan, SegmentMemberPlan
from semeion.plan.splits import Sides
from semeion.prepare.postprocess import postprocess
from semeion.prepare.volume_store import VolumeStore
from semeion.progress import Progress
from semeion.study.clock import Clock
from semeion.study.folder import RunFolder
from semeion.study.segment_graphs import graph_to_run

GAIN = 5e-4
"""Dice that mirroring or a rule of post-processing must gain to be kept: less is not worth its time or its risk."""
DRAWS = 2000
MOST_VOXELS = 300_000_000
"""Voxels of the validation cases that are held for a choice; with more, fewer cases, spread evenly, decide."""

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.uint8]


def choose_arm(
    run: RunFolder,
    plan: SegmentationPlan,
    store: VolumeStore,
    side: Sides,
    patients: npt.NDArray[np.int64],
    clock: Clock,
    shown: Callable[[str], Callable[[int, int, float], None]],
    stop: Callable[[], bool],
) -> None:
    """Let every arm learn for its share of the time, compare them on all validation cases, and write it into the plan.

    A trial is a first round of the schedule down to a rate of 0, since networks that still learn fast say little of
    what they will be. The chosen arm goes on from there in a second round.
    """
    from semeion.learn.member import Hooks
    from semeion.learn.segment import train_segmenter
    from semeion.study.segmenting import export_member, left_for_learning, spacing_of

    first = plan.members[0]
    seconds = plan.choice.trial_share * left_for_learning(plan, clock) / len(plan.members)
    figures: dict[str, Floats] = {}
    rows = chosen_rows(store, side.validate)
    tried = {arm.name: _tried(plan, first, arm.name, trial=True) for arm in plan.arms}
    for arm in plan.arms:
        folder = run / "choice" / arm.name
        folder.mkdir(parents=True, exist_ok=True)
        member = tried[arm.name]
        if not (folder / "trial.json").exists():
            end = clock.used() + seconds

            def allowed(end: float = end) -> float:
                return max(0.0, end - clock.used())

            hooks = Hooks(
                allowed=allowed, stop=stop, stepped=shown(arm.name), log=lambda line: run.log("trial", **line)
            )
            spacing = spacing_of(store, side.learn)
            outlined = train_segmenter(plan, member, store, spacing, side, folder, hooks, trial=True)
            exported = export_member(plan, member, outlined, store, side)
            engine = open_engine(exported.fast or exported.graph, plan.training.threads, takes="float32")
            found = outlines(store, rows, [engine], plan, ())
            per_case = case_dice(store, rows, found, plan)
            write_json(
                folder / "trial.json", {**outlined.facts, "dice": np.where(np.isnan(per_case), -1, per_case).tolist()}
            )
        trial = read_json(folder / "trial.json")
        dice = np.array(trial["dice"], dtype=np.float64)
        figures[arm.name] = np.where(dice < 0, np.nan, dice)
    decision = decide(
        "network",
        figures,
        patients[rows],
        plan.seed,
        "each learned for the same time, a whole round of its schedule; the better one went on in a second round",
    )
    chosen = decision.chosen
    plan.choice.arm = chosen
    plan.choice.decisions.append(decision)
    for number, member in enumerate(plan.members):
        plan.members[number] = _tried(plan, member, chosen, trial=number == 0)
    target = run / "members" / first.name
    target.mkdir(parents=True, exist_ok=True)
    if not (target / "member.json").exists() and not (target / "checkpoint.safetensors").exists():
        shutil.copyfile(run / "choice" / chosen / "checkpoint.safetensors", target / "checkpoint.safetensors")
    run.log("choice", **decision.model_dump())


def _tried(plan: SegmentationPlan, member: SegmentMemberPlan, arm: str, *, trial: bool) -> SegmentMemberPlan:
    """Return `member` with another arm and the steps that take the same time; with `trial`, in two rounds.

    The time that the trials of the other arms take is not there for its second round.
    """
    before, after = plan.arm(member.arm).step_seconds, plan.arm(arm).step_seconds
    steps = member.steps if before is None or after is None else max(1, round(member.steps * before / after))
    first = None
    if trial:
        share = plan.choice.trial_share
        first = max(1, round(share * steps))
        steps = max(first + 1, round(steps * (1 - share * (len(plan.arms) - 1))))
    return member.model_copy(update={"arm": arm, "steps": steps, "first": first}, deep=True)


def chosen_rows(store: VolumeStore, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the validation rows that decide: all, or as many as may be held, spread evenly."""
    sizes = np.array([np.prod(store.shape(int(row))[1:]) for row in rows], dtype=np.float64)
    if sizes.sum() <= MOST_VOXELS:
        return rows
    count = max(1, int(MOST_VOXELS / sizes.mean()))
    return rows[np.unique(np.linspace(0, len(rows) - 1, count).astype(np.int64))]


def outlines(
    store: VolumeStore,
    rows: Sequence[int] | npt.NDArray[np.int64],
    engines: Sequence[Engine],
    plan: SegmentationPlan,
    mirror: Sequence[int],
) -> list[Labels]:
    """Return the classes of prepared volumes as the exported networks outline them together, before post-processing."""
    segmenter = Segmenter(
        tuple(Looking(engine, tuple(mirror)) for engine in engines), plan.preparation.spec(), plan.use.overlap
    )
    found = []
    for row in rows:
        image = np.ascontiguousarray(store.image(int(row)), dtype=np.float32)
        found.append(segmenter.probabilities(image).argmax(0).astype(np.uint8))
    return found


def case_dice(
    store: VolumeStore, rows: Sequence[int] | npt.NDArray[np.int64], found: list[Labels], plan: SegmentationPlan
) -> Floats:
    """Return the Dice of every case and label, ``(cases, labels)``; NaN where both lack the label."""
    from semeion.learn.patches import class_indices
    from semeion.learn.segment_objective import label_dice

    figures = []
    for row, labels in zip(rows, found, strict=True):
        mask = store.mask(int(row))
        if mask is None:
            raise ValueError(f"validation case {row} has no mask")
        figures.append(label_dice(labels, class_indices(mask, plan.target.values), len(plan.target.values)))
    return np.array(figures)


def decide(
    question: str, figures: dict[str, Floats], patient: npt.NDArray[np.int64], seed: int, why: str, least: float = 0.0
) -> Decision:
    """Choose among options by mean Dice over cases.

    Parameters
    ----------
    question
        Its name in the plan.
    figures
        Dice ``(cases, labels)`` of each option; the first option stays unless another gains more than `least`. A label
        that is rightly outlined nowhere (NaN) counts as 1 here, so that an option earns what it removes.
    patient
        Patient number of each case: the bootstrap draws patients.
    seed
        Of the bootstrap.
    why
        What was compared.
    least
        Gain in Dice below which the first option stays.
    """
    means = {name: np.where(np.isnan(figure), 1.0, figure).mean(1) for name, figure in figures.items()}
    first = next(iter(figures))
    totals = {name: float(values.mean()) for name, values in means.items()}
    best = max(totals, key=lambda name: totals[name])
    chosen = best if totals[best] - totals[first] > least else first
    against = max((name for name in totals if name != chosen), key=lambda name: totals[name], default=chosen)
    difference = means[chosen] - means[against]
    low, high = bootstrap_mean(difference, patient, seed)
    return Decision(
        question=question,
        options={name: round(value, 5) for name, value in totals.items()},
        difference=round(float(difference.mean()), 5),
        low=round(low, 5),
        high=round(high, 5),
        n=len(difference),
        chosen=chosen,
        against=against,
        why=why,
    )


def bootstrap_mean(values: Floats, patient: npt.NDArray[np.int64], seed: int) -> tuple[float, float]:
    """Return the 95 % percentile interval of a mean over cases, patients drawn with replacement."""
    numbers = np.unique(patient, return_inverse=True)[1]
    count = int(numbers.max()) + 1
    sums, sizes = np.bincount(numbers, values, count), np.bincount(numbers, minlength=count)
    drawn = np.random.default_rng([seed, 7]).integers(0, count, (DRAWS, count))
    means = sums[drawn].sum(1) / sizes[drawn].sum(1)
    return float(np.quantile(means, 0.025)), float(np.quantile(means, 0.975))


def choose_use(
    run: RunFolder,
    plan: SegmentationPlan,
    store: VolumeStore,
    parts: list[Sides],
    patients: npt.NDArray[np.int64],
    progress: Progress,
) -> None:
    """Decide mirroring and post-processing on validation cases with the exported networks; write both into the plan."""
    if not plan.use.mirror_tried and not plan.use.postprocess_tried:
        return  # everything was fixed beforehand
    flat = plan.arm(plan.members[0].arm).network.dims == 2
    # Axes are counted in (D, H, W) while planning, and in the patch where they are used.
    mirror = [axis - 1 if flat else axis for axis in plan.use.mirror_tried if not (flat and axis == 0)]
    given = list(plan.use.mirror)
    options: dict[str, list[int]] = {"none": []}
    if mirror:
        options["along " + ", ".join(("DHW"[axis + flat]) for axis in mirror)] = mirror
    if given and given not in options.values():
        options["as planned"] = given
    found: dict[str, list[Labels]] = {name: [] for name in options}
    rows: list[int] = []
    progress.start("choosing mirroring and post-processing", max(1, sum(len(side.validate) for side in parts)))
    for side in parts:
        own = [member for member in plan.members if member.fold == side.fold]
        engines = [_engine(graph_to_run(run / "members" / member.name), plan) for member in own]
        for row in chosen_rows(store, side.validate):
            rows.append(int(row))
            for name, axes in options.items():
                found[name] += outlines(store, [int(row)], engines, plan, axes)
            progress.advance()
    progress.finish()
    figures = {name: case_dice(store, rows, labels, plan) for name, labels in found.items()}
    patient = patients[np.array(rows)]
    decision = decide("mirroring", figures, patient, plan.seed, "mean over mirrored looks against one look", GAIN)
    plan.choice.decisions.append(decision)
    plan.use.mirror = options[decision.chosen]
    _choose_rules(plan, store, rows, found[decision.chosen], patient)
    run.log("choice", mirror=plan.use.mirror, postprocess=plan.use.postprocess)


def _choose_rules(
    plan: SegmentationPlan, store: VolumeStore, rows: list[int], found: list[Labels], patient: npt.NDArray[np.int64]
) -> None:
    kept = list(plan.use.postprocess)
    current = [postprocess(labels, kept) for labels in found]
    for rule in plan.use.postprocess_tried:
        if rule in kept:
            continue
        changed = [postprocess(labels, [rule]) for labels in current]
        figures = {"without": case_dice(store, rows, current, plan), rule: case_dice(store, rows, changed, plan)}
        decision = decide("post-processing", figures, patient, plan.seed, f"{rule} after {kept or 'nothing'}", GAIN / 5)
        plan.choice.decisions.append(decision)
        if decision.chosen == rule:
            kept.append(rule)
            current = changed
    plan.use.postprocess = kept


def _engine(path: Path, plan: SegmentationPlan) -> Engine:
    return open_engine(path, plan.training.threads, takes="float32")
