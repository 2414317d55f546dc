"""Members on features of a pretrained network that does not learn: the features once, a linear head a fold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import numpy as np
import numpy.typing as npt

from semeion.artefacts import read_json, write_bytes, write_json, write_text
from semeion.errors import InputError, TrainingFailed
from semeion.model.engine import Engine, open_engine
from semeion.model.linear import MAX_FEATURES, Linear, LinearMember
from semeion.plan.looks import pictures_of
from semeion.plan.recipes import FrozenRecipe
from semeion.plan.schema import MemberPlan, Plan
from semeion.plan.splits import Sides
from semeion.prepare.store import Store
from semeion.study.folder import RunFolder
from semeion.study.members.covariates import keep_inner
from semeion.study.members.reading import LOOK
from semeion.study.members.solved import solved_json
from semeion.study.teaching import read_teaching

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

FOLDER = "features"
"""Of a run: the graph of each frozen recipe, and what it gave."""
HEAD = "head.json"
SAMPLE = 16
"""Cases on which the exported graph is compared with the network."""
COMPARED = 64
"""Pictures of them all, at most, but for two cases."""


class Banks:
    """Features of the cases by each frozen recipe, taken once by the graph that ships; test cases when they are asked.

    Parameters
    ----------
    run, plan, store
        Where they are kept, the recipes, and the prepared images.
    stop
        Whether the user asked to stop; what was taken is kept.
    part
        What the images of the store are, where they are no cases: their features are kept in files of that name.
    """

    def __init__(
        self,
        run: RunFolder,
        plan: Plan,
        store: Store,
        stop: Callable[[], bool] = lambda: False,
        part: str = "",
    ) -> None:
        self.run, self.plan, self.store, self.stop, self.part = run, plan, store, stop, part
        self.engines: dict[str, Engine] = {}
        self._took: dict[str, tuple[int, float]] = {}

    def look_seconds(self, name: str) -> float | None:
        """Return what a case cost to look at by a recipe; None where all features were known before."""
        cases, seconds = self._took.get(name, (0, 0.0))
        return seconds / cases if cases else None

    def graph(self, name: str, rows: Rows) -> Path:
        """Return the path of a recipe's graph, exported at the first call and compared on some of `rows`."""
        path = features_graph(self.run, name)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            recipe, groups = self._recipe(name), self.plan.images.groups
            from semeion.learn.features_export import features_to_onnx

            count = min(SAMPLE, len(rows), max(2, COMPARED // pictures_of(recipe, self.store.shape, groups)))
            sample = self.store.take(rows[np.linspace(0, len(rows) - 1, count).astype(np.int64)])
            graph, columns = features_to_onnx(recipe, self.store.shape, groups, sample, _look)
            refuse_many(name, sum(len(one) for one in columns))
            layers = [[int(column) for column in layer] for layer in columns]
            write_json(layers_file(self.run, name), dict(zip(recipe.layers, layers, strict=True)))
            # Written last: with a graph there are its layers.
            write_bytes(path, graph)
        return path

    def layers(self, name: str) -> list[Rows]:
        """Return the columns of each layer's features, of a recipe whose features were taken."""
        return [np.array(columns, dtype=np.int64) for columns in read_json(layers_file(self.run, name)).values()]

    def take(
        self,
        name: str,
        rows: Rows,
        seen: Callable[[int, int], None] = lambda _done, _of: None,
        *,
        mirrored: bool = False,
    ) -> npt.NDArray[np.float32]:
        """Return the features of `rows`, or of their mirror images, by a recipe, float32 ``(rows, features)``.

        `seen` is called with the cases looked at and their number while new ones are.
        """
        from semeion.learn.frozen import features_of

        if name not in self.engines:
            self.engines[name] = open_engine(self.graph(name, rows), self.plan.threads)
        engine = self.engines[name]
        graph = features_graph(self.run, name)

        def run(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
            began = perf_counter()
            found = engine.run(pixels)
            cases, seconds = self._took.get(name, (0, 0.0))
            self._took[name] = cases + len(pixels), seconds + perf_counter() - began
            return found

        return features_of(
            *(self.store, rows, graph, run, engine.n_outputs),
            pictures=pictures_of(self._recipe(name), self.store.shape, self.plan.images.groups),
            mirrored=mirrored,
            part=self.part,
            seen=seen,
            stop=self.stop,
        )

    def _recipe(self, name: str) -> FrozenRecipe:
        recipe = self.plan.recipes[name]
        if not isinstance(recipe, FrozenRecipe):
            raise ValueError(f"the recipe {name!r} has no frozen features")
        return recipe


def refuse_many(name: str, features: int) -> None:
    """Refuse a recipe with more features than a head that ships may have.

    Raises
    ------
    InputError
        Saying what to pool.
    """
    if features > MAX_FEATURES:
        raise InputError(
            f"the recipe gives {features} features a case, and a head has at most {MAX_FEATURES}",
            where=f"recipes.{name}",
            fix="leave something out of `apart`, or name fewer `layers`",
        )


def _look(graph: bytes, pixels: npt.NDArray[np.uint8]) -> dict[str, npt.NDArray[np.float32]]:
    engine = open_engine(graph, 1)
    return engine.look(pixels, engine.extras)


def layers_file(run: RunFolder, name: str) -> Path:
    """Return the path of the columns of each layer that a frozen recipe takes."""
    return run / FOLDER / f"{name}.layers.json"


def features_graph(run: RunFolder, name: str) -> Path:
    """Return the path of the graph that gives the features of a frozen recipe."""
    return run / FOLDER / f"{name}.onnx"


def learn_frozen(
    plan: Plan,
    member: MemberPlan,
    banks: Banks,
    y: Floats,
    groups: Rows,
    side: Sides,
    folder: Path,
    seen: Callable[[int, int], None],
) -> None:
    """Fit the head of a member and leave ``head.json member.json`` in its folder, the last one last.

    The strength of its penalty is chosen by patient-grouped cross-validation of the fold's learning cases; the inner
    validation cases are only predicted.

    Parameters
    ----------
    plan, member
        Of the run.
    banks
        Features of the cases.
    y, groups
        Reference standard and patient in cohort order.
    side
        Rows of the member's fold.
    folder
        Of the member.
    seen
        Called while features are taken, with the cases looked at and their number.

    Raises
    ------
    Interrupted
        When the user asked to stop.
    TrainingFailed
        When no penalty can be chosen on these cases, or the exported graph of the features differs from the network.
    """
    from semeion.learn.linear_layers import fit_layers

    began = perf_counter()
    name, task = str(member.recipe), plan.target.task
    folder.mkdir(parents=True, exist_ok=True)
    rows, recipe = side.learn, plan.recipe_of(member)
    if isinstance(recipe, FrozenRecipe) and recipe.flips:
        # A case and its mirror image are of one patient, so they stay on one side of every fold.
        x = _followed(banks.take(name, rows, seen), lambda: banks.take(name, side.learn, seen, mirrored=True))
        rows = np.concatenate([rows, rows])
    else:
        x = banks.take(name, rows, seen)
    outputs = 1 if task == "regression" else len(plan.target.classes)
    lesson, weight = y[rows], None
    if (taught := read_teaching(banks.run.path, plan)) is not None:
        # First copies come first and in the order of the rows, so that what is kept of cases is that of these.
        places, lesson, weight = taught.copies(rows, y)
        x, rows = x[places], rows[places]
    try:
        fitted = fit_layers(x, banks.layers(name), lesson, groups[rows], task, outputs, seed=member.seed, weight=weight)
    except InputError as error:
        # As where a class has one learning patient, whom no head can do without: networks learn from such cases.
        raise TrainingFailed(error.what, where=f"member {member.name}", fix=error.fix) from error
    # Features are on the disk: none are held that are not looked at.
    del x
    linear = Linear.model_validate(fitted.arrays)
    write_text(folder / HEAD, linear.to_json())
    own = LinearMember(linear).outputs(banks.take(name, side.learn))
    keep_inner(plan, member, folder, fitted.inner[: len(own)], own)
    said = LinearMember(linear).outputs(banks.take(name, side.validate, seen))
    facts = solved_json(
        member,
        perf_counter() - began,
        said,
        y[side.validate],
        task,
        stopped="solved exactly",
        structure=fitted.structure,
        inner_losses=fitted.losses,
        strengths=list(fitted.strengths),
        temperature=fitted.temperature,
        notes=list(fitted.notes),
        **({} if (look := banks.look_seconds(name)) is None else {LOOK: look}),
    )
    write_json(folder / "member.json", facts)


def _followed(first: npt.NDArray[np.float32], second: Callable[[], npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    """Return features followed by as many others, which are made when there is room for them."""
    x = np.empty((2 * len(first), first.shape[1]), np.float32)
    x[: len(first)] = first
    half = len(first)
    del first
    x[half:] = second()
    return x


def frozen_outputs(
    folder: Path,
    member: MemberPlan,
    banks: Banks,
    rows: Rows,
    seen: Callable[[int, int], None] = lambda _done, _of: None,
) -> Floats:
    """Return what a finished member says of `rows`, float64 ``(rows, outputs)``; `seen` as of :meth:`Banks.take`."""
    head = LinearMember(Linear.model_validate(read_json(folder / HEAD)))
    return head.outputs(banks.take(str(member.recipe), rows, seen))
