"""Learns the members of a plan, as many at once as there are processes, and lives with what goes wrong in one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from semeion.artefacts import read_json, write_json
from semeion.errors import Interrupted, TrainingFailed
from semeion.plan.recipes import CovariatesRecipe, FrozenRecipe, NetworkRecipe
from semeion.plan.schema import MemberPlan, Plan
from semeion.study.clock import Clock
from semeion.study.members.covariates import learn_covariates
from semeion.study.members.crew import Crew, Ended, WorkerDied
from semeion.study.members.frozen import learn_frozen
from semeion.study.members.lighter import make_lighter
from semeion.study.members.outputs import member_folder
from semeion.study.members.searching import firsts_of, search_due
from semeion.study.members.shares import Abreast, lengthen, share
from semeion.study.members.shown import Shown
from semeion.study.members.task import MemoryRanOut, task_of
from semeion.study.members.taught import awaits_teacher, learn_alone, taught_of, teach

if TYPE_CHECKING:
    from semeion.study.learning import Place, Trained


class Rounds:
    """Who is under way, and who comes next.

    Members of frozen features and of covariates are solved by this process, in the order of the plan; meanwhile the
    other processes of the crew learn.

    Parameters
    ----------
    place, done
        Where all is kept, and the members so far; its plan grows.
    clock, shown, stop
        The budget, the bar, and whether the user asked to stop.
    crew
        Who learns.
    add
        Appends one more member to the plan when none is left to begin, and says whether it did.
    take_in
        Called with each member that has finished.
    search
        Called when the first member of every way has learned in every fold and the plan has a search, which it ends;
        says whether the user stopped it.
    """

    def __init__(
        self,
        place: Place,
        done: Trained,
        clock: Clock,
        shown: Shown,
        stop: Callable[[], bool],
        crew: Crew,
        add: Callable[[], bool],
        take_in: Callable[[MemberPlan], None],
        search: Callable[[], bool] = lambda: False,
    ) -> None:
        self.place, self.done, self.clock, self.shown, self.stop = place, done, clock, shown, stop
        self.crew, self.add, self.take_in, self.search = crew, add, take_in, search
        self.abreast = Abreast(crew.processes)
        self.died: set[str] = set()

    def run(self) -> bool:
        """Learn until nothing is left to learn; return whether the user stopped it.

        Raises
        ------
        TrainingFailed
            When a fold has no member that can learn.
        """
        stopped = False
        while True:
            while not stopped and len(self.abreast.ends) < self.crew.processes:
                if search_due(self.done.plan, self.done.validation):
                    stopped = self.search()
                    continue
                member = self._next()
                if member is None:
                    break
                stopped = self._begin(member)
            if not self.abreast.ends:
                return stopped
            ended = self.crew.wait()
            del self.abreast.ends[ended.member]
            stopped = self._after(ended) or stopped

    def _next(self) -> MemberPlan | None:
        members = self.done.plan.members
        waiting = [one for one in members if one.name not in self.done.validation and one.name not in self.abreast.ends]
        if self.done.plan.search is not None:
            # What comes later is learned by what the search finds too.
            firsts = firsts_of(self.done.plan)
            waiting = [one for one in waiting if one.name in firsts]
            if not waiting:
                return None
        if not waiting:
            return members[-1] if self.add() else None
        # Who teaches them is among those that wait, and goes first.
        waiting = [one for one in waiting if not awaits_teacher(self.done.plan, one, self.done.validation)]
        free = self.crew.processes - len(self.abreast.ends)
        by_steps = [one for one in waiting if one.steps]
        # This process solves what has no steps, and nobody is begun meanwhile: the others are given work first.
        return by_steps[0] if free > 1 and by_steps else waiting[0]

    def _begin(self, member: MemberPlan) -> bool:
        """Begin a member, or take in a finished one; return whether the user asked to stop instead."""
        if (member_folder(self.place.run, member) / "member.json").exists():
            self.take_in(member)
            return False
        if self.stop():
            return True
        try:
            if isinstance(self.done.plan.recipe_of(member), NetworkRecipe):
                self._teach(member)
                self._begin_network(member)
                return False
            self._solve(member)
        except (Interrupted, TrainingFailed) as error:
            return self._after(Ended(member.name, error))
        return self._after(Ended(member.name, None))

    def _solve(self, member: MemberPlan) -> None:
        """Fit a member that does not learn by steps."""
        plan, place = self.done.plan, self.place
        folder, side, recipe = member_folder(place.run, member), place.sides[member.fold], plan.recipe_of(member)
        if isinstance(recipe, FrozenRecipe):
            seen = self.shown.of_features(plan.members.index(member), len(plan.members))
            learn_frozen(plan, member, place.banks, place.y, place.groups, side, folder, seen)
        if isinstance(recipe, CovariatesRecipe):
            learn_covariates(
                place.run, plan, member, place.y, place.groups, side, lambda one, rows: place.says(plan, one, rows)
            )

    def _teach(self, member: MemberPlan) -> None:
        """Let frozen features say what a member is taught of images without labels, where it is."""
        plan = self.done.plan
        seen = self.shown.of_features(plan.members.index(member), len(plan.members))
        teach(plan, member, self.place.banks, self.done.validation, seen)

    def _begin_network(self, member: MemberPlan) -> None:
        plan, place, facts = self.done.plan, self.place, self.done.facts
        index = plan.members.index(member)
        begun = member_folder(place.run, member) / "begun.json"
        if begun.exists():
            # A member goes on with the steps it began with: its schedule and its evaluations depend on them.
            member.steps = read_json(begun)["steps"]
        else:
            if plan.budget.seconds is not None:
                lengthen(plan, facts, index, self.clock, self.abreast)
            write_json(begun, {"steps": member.steps})
        seconds = share(plan, facts, index, self.clock, self.abreast)
        recipe = plan.recipe_of(member)
        threads = recipe.training.threads if isinstance(recipe, NetworkRecipe) else 1
        side = place.sides[member.fold]
        task = task_of(place.run.path, plan, member, place.store, place.y, side, seconds, threads)
        self.crew.start(task, self.shown.of_member(index, member.steps, len(plan.members)))
        self.abreast.ends[member.name] = self.clock.used() + (seconds or 0.0)

    def _after(self, ended: Ended) -> bool:
        """Take a member in that has finished, or see what can be done; return whether the user stopped it."""
        done, error = self.done, ended.error
        index = next(n for n, one in enumerate(done.plan.members) if one.name == ended.member)
        member = done.plan.members[index]
        if error is None:
            self.take_in(member)
        elif isinstance(error, Interrupted) or (isinstance(error, WorkerDied) and self.stop()):
            return True
        elif isinstance(error, WorkerDied) and member.name not in self.died:
            self.died.add(member.name)
            self._note(f"Member {member.name} went on from its checkpoint: {error.what}.")
        elif isinstance(error, MemoryRanOut):
            cases = len(self.place.sides[member.fold].learn)
            note = make_lighter(self.place.run, done.plan, member, cases)
            if note is None:
                leave_out(done, index, error)
            else:
                self._note(note)
        elif isinstance(error, TrainingFailed):
            leave_out(done, index, error)
        else:
            raise error
        return False

    def _note(self, note: str) -> None:
        self.done.notes.append(note)
        self.shown.progress.say(note)
        self.place.run.log("trouble", note=note)


def leave_out(done: Trained, index: int, error: TrainingFailed) -> None:
    """Leave a member out that cannot learn, and say so; the last one of its fold fails the run.

    Members that go by what it alone would have said of the images are left out with it; those that it would have
    taught learn from labels alone where the fold has nobody else.

    Raises
    ------
    TrainingFailed
        When the fold has no other member.
    """
    plan = done.plan
    member = plan.members[index]
    others = [other for other in plan.members if other is not member and other.fold == member.fold]
    lost = [other for other in others if _goes_by(plan, other) == member.recipe]
    if any(other.recipe == member.recipe for other in others):
        lost = []
    alone: list[MemberPlan] = []
    if not [other for other in others if other not in lost]:
        # Who can no longer be taught learns from labels, rather than that the fold has nobody.
        alone = [other for other in lost if taught_of(plan, other) is not None]
        if not alone:
            raise error
        lost = [other for other in lost if other not in alone]
        for other in alone:
            learn_alone(plan, other)
    gone = {member.name, *(other.name for other in lost)}
    plan.members[:] = [other for other in plan.members if other.name not in gone]
    done.planned -= len(gone)
    with_it = f", and with it {', '.join(other.name for other in lost)}" if lost else ""
    instead = f"; {', '.join(other.name for other in alone)} learned from labels alone" if alone else ""
    done.notes.append(f"Member {member.name} was left out{with_it}: {error.what}{instead}.")


def _goes_by(plan: Plan, member: MemberPlan) -> str:
    """Return the recipe whose verdict on images a member goes by, or learns from; empty where it goes by none."""
    recipe = plan.recipe_of(member)
    if isinstance(recipe, NetworkRecipe) and recipe.taught is not None:
        return recipe.taught.teacher
    return (recipe.images or "") if isinstance(recipe, CovariatesRecipe) else ""
