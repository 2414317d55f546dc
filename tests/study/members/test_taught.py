"""What frozen features say of images without labels: of the same fold, soft, kept, and known before who learns it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from learn.tiny import pictures, store_of
from semeion.artefacts import write_json
from semeion.errors import Interrupted, TrainingFailed
from semeion.plan.schema import Plan
from semeion.plan.splits import Sides
from semeion.prepare.store import open_store
from semeion.study.folder import RunFolder
from semeion.study.learning import Trained
from semeion.study.members.frozen import Banks, frozen_outputs, learn_frozen
from semeion.study.members.lighter import make_lighter
from semeion.study.members.rounds import leave_out
from semeion.study.members.taught import IMAGES, awaits_teacher, lesson_file, read_lesson, teach
from support.tiny import make_plan

N, OTHERS = 48, 20
ROWS = np.arange(N)
SIDES = [Sides(0, ROWS[:24], ROWS[24:36], ROWS[36:]), Sides(1, ROWS[12:36], ROWS[36:], ROWS[:12])]


def plan_with(task: str = "binary") -> Plan:
    """Return a plan of a head and a member that it teaches in each of two folds."""
    told = make_plan(task).model_dump(by_alias=True)
    taught = {"teacher": "frozen", "images": OTHERS}
    told["recipes"] = {
        "frozen": {"kind": "frozen", "side": 32, "layers": ["stride8", "stride16"]},
        "taught": {"kind": "network", "taught": taught, "network": told["network"], "training": told["training"]},
    }
    heads = [{**one, "name": f"frozen-{one['fold']}", "recipe": "frozen", "steps": 0} for one in told["members"]]
    own = [{**one, "name": f"taught-{one['fold']}", "recipe": "taught"} for one in told["members"]]
    told["members"] = [*heads, *own, *told["members"]]
    return Plan.model_validate(told)


def begun(folder: Path, task: str = "binary", spoil: np.ndarray | None = None) -> tuple[Banks, np.ndarray]:
    """Return a run with its prepared cases, of which some may be spoiled, and with images without labels."""
    images, y = pictures(task, N)
    if spoil is not None:
        images[spoil] = np.random.default_rng(1).integers(0, 255, images[spoil].shape)
        y[spoil] = 1 - y[spoil]
    others, _ = pictures(task, OTHERS, 7)
    store = store_of(images, folder / "store")
    write_json(store.folder / "store.json", {"key": "cases"})
    kept = store_of(others, folder / IMAGES)
    write_json(
        kept.folder / "store.json",
        {"key": "others", "n": OTHERS, "shape": list(kept.shape), "per_shard": kept.per_shard},
    )
    (kept.folder / "index.parquet").touch()
    return Banks(RunFolder(folder), plan_with(task), store), y


def lesson(folder: Path, fold: int, task: str = "binary", spoil: np.ndarray | None = None) -> np.ndarray:
    """Return what the head of a fold says of the images without labels."""
    banks, y = begun(folder, task, spoil)
    plan = banks.plan
    teacher, student = plan.members[fold], plan.members[2 + fold]
    place = folder / "members" / teacher.name
    learn_frozen(plan, teacher, banks, y, ROWS, SIDES[fold], place, lambda *_: None)
    teach(plan, student, banks, {teacher.name})
    found = read_lesson(folder, plan, student)
    assert found is not None and (found.share, found.weight, found.store.n) == (0.5, 0.5, OTHERS)
    return found.said


def test_the_words_are_the_heads_probabilities_of_images_as_they_are(tmp_path: Path) -> None:
    said = lesson(tmp_path, 0)
    plan, folder = plan_with(), tmp_path / "members" / "frozen-0"
    # The same images as if they were cases of another run.
    other = open_store(tmp_path / IMAGES)
    (tmp_path / "other").mkdir()
    banks = Banks(RunFolder(tmp_path / "other"), plan, other)
    np.testing.assert_allclose(said, frozen_outputs(folder, plan.members[0], banks, np.arange(OTHERS)), atol=1e-6)
    np.testing.assert_allclose(said.sum(axis=1), 1)
    assert len(np.unique(said)) == 2 * OTHERS and not np.isin(said, (0.0, 1.0)).any(), "doubts are kept"
    assert (tmp_path / "features" / "frozen.unlabelled.npy").exists()
    cases = np.load(tmp_path / "features" / "frozen.npy")
    assert len(cases) == N, "features of cases are apart"


@pytest.mark.parametrize(("task", "outputs"), [("multilabel", 2), ("regression", 1)])
def test_labels_and_measured_values_are_said_too(task: str, outputs: int, tmp_path: Path) -> None:
    said, (_, truth) = lesson(tmp_path, 0, task), pictures(task, OTHERS, 7)
    assert said.shape == (OTHERS, outputs) and np.isfinite(said).all()
    known = np.nan_to_num(truth.reshape(OTHERS, outputs), nan=0.5)
    assert min(np.corrcoef(said[:, label], known[:, label])[0, 1] for label in range(outputs)) > 0.5


@pytest.mark.parametrize("fold", [0, 1])
def test_who_teaches_a_fold_never_saw_what_it_validates_on_or_holds_out(fold: int, tmp_path: Path) -> None:
    side = SIDES[fold]
    unseen = np.concatenate([side.validate, side.held_out])
    clean = lesson(tmp_path / "clean", fold)
    assert np.array_equal(clean, lesson(tmp_path / "spoiled", fold, spoil=unseen))
    assert not np.array_equal(clean, lesson(tmp_path / "learned", fold, spoil=side.learn[:6]))


def test_images_are_looked_at_once_for_all_folds_and_kept(tmp_path: Path) -> None:
    banks, y = begun(tmp_path)
    plan, seen = banks.plan, list[tuple[int, int]]()
    for fold in (0, 1):
        place = tmp_path / "members" / plan.members[fold].name
        learn_frozen(plan, plan.members[fold], banks, y, ROWS, SIDES[fold], place, lambda *_: None)
        teach(plan, plan.members[2 + fold], banks, {"frozen-0", "frozen-1"}, lambda *told: seen.append(told))
    assert seen == [(OTHERS, OTHERS)]
    files = [lesson_file(tmp_path, "frozen", fold) for fold in (0, 1)]
    assert not np.array_equal(*(np.load(file) for file in files))
    before = files[0].stat().st_mtime_ns
    teach(plan, plan.members[2], banks, {"frozen-0"})
    assert files[0].stat().st_mtime_ns == before
    assert lesson_file(tmp_path, "frozen", -1).name == "frozen.unlabelled.given.npy"


def test_a_stop_is_heard_while_images_are_looked_at(tmp_path: Path) -> None:
    banks, y = begun(tmp_path)
    plan = banks.plan
    learn_frozen(plan, plan.members[0], banks, y, ROWS, SIDES[0], tmp_path / "members" / "frozen-0", lambda *_: None)
    banks.stop = lambda: True
    with pytest.raises(Interrupted):
        teach(plan, plan.members[2], banks, {"frozen-0"})


def test_nobody_learns_before_the_head_of_the_fold_has(tmp_path: Path) -> None:
    plan = plan_with()
    student = plan.members[2]
    assert awaits_teacher(plan, student, [])
    assert awaits_teacher(plan, student, ["frozen-1"]), "the head of another fold is of no use"
    assert not awaits_teacher(plan, student, ["frozen-0"])
    assert not awaits_teacher(plan, plan.members[-1], [])
    banks, _ = begun(tmp_path)
    with pytest.raises(TrainingFailed, match="no member of its fold has the recipe 'frozen' that teaches it"):
        teach(plan, student, banks, [])
    teach(plan, plan.members[-1], banks, [])
    assert read_lesson(tmp_path, plan, plan.members[-1]) is None


def test_without_its_head_a_member_is_left_out_and_its_fold_goes_on() -> None:
    done = Trained(plan_with())
    done.planned = len(done.plan.members)
    leave_out(done, 0, TrainingFailed("class number 1 has cases of one patient"))
    assert [one.name for one in done.plan.members if one.fold == 0] == ["fold0-seed0"]
    assert len([one for one in done.plan.members if one.fold == 1]) == 3
    assert done.planned == 4
    assert done.notes[0].startswith("Member frozen-0 was left out, and with it taught-0: class number 1")


def test_where_a_fold_has_nobody_else_it_learns_from_labels_alone() -> None:
    done = Trained(plan_with())
    done.plan.members[:] = [one for one in done.plan.members if one.recipe is not None]
    done.plan.recipes["taught"].training.batch = 64  # type: ignore[union-attr]
    done.planned = len(done.plan.members)
    leave_out(done, 0, TrainingFailed("class number 1 has cases of one patient"))
    own = done.plan.members[1]
    assert [one.name for one in done.plan.members] == ["frozen-1", "taught-0", "taught-1"]
    assert (own.recipe, own.steps) == (None, 48), "as many images, 16 at a time"
    assert done.planned == 3
    assert done.notes == [
        "Member frozen-0 was left out: class number 1 has cases of one patient; taught-0 learned from labels alone."
    ]
    Plan.model_validate(done.plan.model_dump(by_alias=True))


def test_a_batch_with_few_cases_is_halved_as_a_whole(tmp_path: Path) -> None:
    plan = plan_with()
    note = make_lighter(RunFolder(tmp_path), plan, plan.members[2], 6)
    assert note is not None and "learns with 8" in note
    recipe = plan.recipes[str(plan.members[2].recipe)]
    assert recipe.training.batch == 8 and recipe.taught == plan.recipes["taught"].taught  # type: ignore[union-attr]
