"""What validation Dice decides of a segmentation: arm, deep supervision, mirroring, post-processing, with intervals."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from semeion.artefacts import read_json, whole_file, write_json
from semeion.model.engine import Engine, open_engine
from semeion.model.segment import Looking, Segmenter
from semeion.plan.segment_schema import SUPERVISION, ArmPlan, Decision, SegmentationPlan, SegmentMemberPlan
from semeion.plan.segment_use import NO_LEVEL
from semeion.plan.splits import Sides
from semeion.prepare.postprocess import postprocess
from semeion.prepare.volume_store import VolumeStore
from semeion.progress import Progress
from semeion.study.clock import Clock
from semeion.study.folder import RunFolder
from semeion.study.segment_graphs import graph_to_run

GAIN = 5e-4
"""Dice that mirroring or a network without deep supervision must gain to be taken: less is not worth the time of
mirrored looks, and trials are short."""
RULE_GAIN = 1e-4
"""Dice that a rule of post-processing must gain to be kept: it costs no time, but where masks hardly change it could
only do harm elsewhere."""
WITHOUT = ".without"
"""Ends the folder of the trial without deep supervision; no arm's name holds a point."""
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
    """Let every open arm learn for its share of the time, compare them on all validation cases, and write it down.

    Where it is to be tried, the better arm's twin without deep supervision then learns equally long, and the two are
    compared likewise; the plan then holds the network that is the better one.

    A trial is a first round of the schedule down to a rate of 0, since networks that still learn fast say little of
    what they will be. The chosen network goes on from there in a second round.
    """
    trials = _Trials(run, store, side, clock, shown, stop, _trial_seconds(run, plan, clock))
    first, arms = plan.members[0], plan.open_arms()
    patient = patients[trials.rows]
    supervision = plan.choice.supervision_open()
    others = {arm.name: len(arms) - 1 + (supervision and arm.network.deep_supervision > 0) for arm in arms}
    figures = {arm.name: trials.dice(plan, _tried(plan, first, arm.name, others[arm.name]), arm.name) for arm in arms}
    chosen = arms[0].name
    if len(arms) > 1:
        decision = decide(
            "network",
            figures,
            patient,
            plan.seed,
            "each learned for the same time, a whole round of its schedule; the better one went on in a second round",
        )
        chosen = decision.chosen
        plan.choice.decisions.append(decision)
        run.log("choice", **decision.model_dump())
    member = _tried(plan, first, chosen, others[chosen])
    source = chosen
    if supervision and not plan.arm(chosen).network.deep_supervision:
        plan.choice.supervision_tried, plan.choice.why["supervision_tried"] = False, NO_LEVEL
    elif supervision:
        twin = _unsupervised(plan, chosen)
        without = trials.dice(twin, member.model_copy(deep=True), chosen + WITHOUT)
        decision = decide(
            SUPERVISION,
            {"with": figures[chosen], "without": without},
            patient,
            plan.seed,
            f"{chosen} learned equally long with and without outlines of its coarser levels; the better one went on",
            GAIN,
        )
        plan.choice.decisions.append(decision)
        run.log("choice", **decision.model_dump())
        if decision.chosen == "without":
            plan.arms, source = twin.arms, chosen + WITHOUT
    plan.choice.arm = chosen
    plan.members = [member, *(_tried(plan, one, chosen) if len(arms) > 1 else one for one in plan.members[1:])]
    target = run / "members" / first.name
    target.mkdir(parents=True, exist_ok=True)
    if not (target / "member.json").exists() and not (target / "checkpoint.safetensors").exists():
        with whole_file(target / "checkpoint.safetensors") as temporary:
            shutil.copyfile(run / "choice" / source / "checkpoint.safetensors", temporary)


@dataclass(frozen=True)
class _Trials:
    """What all trials of a run share; each leaves ``choice/<name>/trial.json``, and is then not done again."""

    run: RunFolder
    store: VolumeStore
    side: Sides
    clock: Clock
    shown: Callable[[str], Callable[[int, int, float], None]]
    stop: Callable[[], bool]
    seconds: float

    @cached_property
    def rows(self) -> npt.NDArray[np.int64]:
        """The validation rows that decide."""
        return chosen_rows(self.store, self.side.validate)

    def dice(self, plan: SegmentationPlan, member: SegmentMemberPlan, name: str) -> Floats:
        """Return the Dice ``(cases, labels)`` of `member` after its first round, learned where that was not done."""
        from semeion.learn.segment import train_segmenter
        from semeion.learn.standing import Hooks
        from semeion.study.segmenting import export_member, spacing_of

        folder = self.run / "choice" / name
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "trial.json").exists():
            end = self._end(folder)
            hooks = Hooks(
                allowed=lambda: max(0.0, end - self.clock.used()),
                stop=self.stop,
                stepped=self.shown(name.replace(WITHOUT, f" without {SUPERVISION}")),
                log=lambda line: self.run.log("trial", network=name, **line),
            )
            spacing = spacing_of(self.store, self.side.learn)
            outlined = train_segmenter(plan, member, self.store, spacing, self.side, folder, hooks, trial=True)
            exported = export_member(plan, member, outlined, self.store, self.side)
            engine = open_engine(exported.fast or exported.graph, plan.training.threads, takes="float32")
            per_case = case_dice(self.store, self.rows, outlines(self.store, self.rows, [engine], plan, ()), plan)
            write_json(
                folder / "trial.json", {**outlined.facts, "dice": np.where(np.isnan(per_case), -1, per_case).tolist()}
            )
        dice = np.array(read_json(folder / "trial.json")["dice"], dtype=np.float64)
        return np.where(dice < 0, np.nan, dice)

    def _end(self, folder: Path) -> float:
        """Return when the trial ends on the run's clock: an interruption gives it no second share."""
        if not (folder / "begun.json").exists():
            write_json(folder / "begun.json", {"until_seconds": self.clock.used() + self.seconds})
        return float(read_json(folder / "begun.json")["until_seconds"])


def _trial_seconds(run: RunFolder, plan: SegmentationPlan, clock: Clock) -> float:
    """Return the seconds of a trial; kept with the run, so that those after an interruption get as many."""
    from semeion.study.segmenting import left_for_learning

    file = run / "choice" / "trials.json"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        seconds = plan.choice.trial_share * left_for_learning(plan, clock) / len(plan.members)
        write_json(file, {"seconds": seconds})
    return float(read_json(file)["seconds"])


def _unsupervised(plan: SegmentationPlan, name: str) -> SegmentationPlan:
    """Return the plan with no coarser level of arm `name` supervised, all else equal."""

    def without(arm: ArmPlan) -> ArmPlan:
        return arm.model_copy(update={"network": arm.network.model_copy(update={"deep_supervision": 0})})

    return plan.model_copy(update={"arms": [without(arm) if arm.name == name else arm for arm in plan.arms]})


def _tried(plan: SegmentationPlan, member: SegmentMemberPlan, arm: str, others: int | None = None) -> SegmentMemberPlan:
    """Return `member` with another arm and the steps that take the same time; with `others`, in two rounds.

    The time that so many trials of other networks take is not there for its second round.
    """
    before, after = plan.arm(member.arm).step_seconds, plan.arm(arm).step_seconds
    steps = member.steps if before is None or after is None else max(1, round(member.steps * before / after))
    first = None
    if others is not None:
        share = plan.choice.trial_share
        first = max(1, round(share * steps))
        steps = max(first + 1, round(steps * (1 - share * others)))
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
        decision = decide(
            "post-processing", figures, patient, plan.seed, f"{rule} after {kept or 'nothing'}", RULE_GAIN
        )
        plan.choice.decisions.append(decision)
        if decision.chosen == rule:
            kept.append(rule)
            current = changed
    plan.use.postprocess = kept


def _engine(path: Path, plan: SegmentationPlan) -> Engine:
    return open_engine(path, plan.training.threads, takes="float32")
