"""Images without labels: which are learned from, and which never are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk

from plan.made import fingerprint_of, machine_of
from semeion.cohort.cohort import Cohort, CohortOptions
from semeion.cohort.gather import gather
from semeion.cohort.roles import ImageRole
from semeion.errors import InputError
from semeion.plan.networks import pretrained_candidates
from semeion.plan.rules import Measured, Wishes, plan_validation
from semeion.progress import Silent
from semeion.study import unlabelled
from semeion.study.facts import read_everything
from semeion.study.options import RunOptions
from semeion.study.planning import plan_source, with_unlabelled
from semeion.study.unlabelled import Unlabelled, look_at, refuse_unlabelled
from support.spheres import make_spheres, sphere, write_volume
from support.tiny import make_cohort, picture, save_plan, train_tiny, write_picture


def noise(number: int) -> Any:
    return picture(np.random.default_rng(1000 + number), 0.5)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> tuple[Cohort, pd.DataFrame, Path]:
    home = tmp_path_factory.mktemp("cohort")
    tiny = make_cohort(home, n=16, split="given")
    found = gather(tiny.table, CohortOptions("finding"))
    return found, read_everything(found, jobs=1, progress=Silent()), home


def look(folder: Path, cohort: tuple[Cohort, pd.DataFrame, Path]) -> Unlabelled:
    return look_at(folder, cohort[0], cohort[1], seed=0, jobs=1, progress=Silent())


def test_copies_of_cases_and_what_cannot_be_used_are_left_out_and_counted(
    cohort: tuple[Cohort, pd.DataFrame, Path], tmp_path: Path
) -> None:
    for number in range(5):
        write_picture(tmp_path / "deep" / f"{number}.png", noise(number))
    write_picture(tmp_path / "again.bmp", noise(3))
    # A copy is known by its pixels, whatever its container is called.
    case = cv2.imread(str(cohort[2] / "images" / "002.png"), cv2.IMREAD_GRAYSCALE)
    write_picture(tmp_path / "renamed.bmp", case)
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    (tmp_path / "volume.nii").write_bytes(b"\x5c\x01\x00\x00" + b"\0" * 340 + b"n+1\0" + b"\0" * 8)
    (tmp_path / "notes.txt").write_text("no image")
    seen = look(tmp_path, cohort)
    assert seen.counts() == {
        "found": 9,
        "read": 9,
        "unreadable": 1,
        "other_kind": 1,
        "copies": 1,
        "repeated": 1,
        "used": 5,
    }
    assert not any("renamed" in reference for reference in seen.references)
    sentence = seen.sentence()
    for words in (
        "5 images without labels are learned from",
        "1 could not be read",
        "1 are of another kind",
        "1 have exactly the pixels of a case of the table and were left out",
        "1 repeat another one",
    ):
        assert words in sentence


def test_the_cohorts_own_folder_leaves_what_is_no_case(
    cohort: tuple[Cohort, pd.DataFrame, Path], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="all but 0 of 16 images are copies of the table's own cases"):
        look(cohort[2] / "images", cohort)
    for number in range(3):
        write_picture(tmp_path / f"{number}.png", noise(number))
    for file in (cohort[2] / "images").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    seen = look(tmp_path, cohort)
    assert (seen.copies, seen.images) == (16, 3)


def test_where_nothing_is_left_it_is_said_why(cohort: tuple[Cohort, pd.DataFrame, Path], tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    with pytest.raises(InputError, match="3 of 3 images cannot be read, so nothing is left") as caught:
        look(tmp_path, cohort)
    assert caught.value.where == "--unlabelled"
    volumes = (replace(cohort[0], images=ImageRole("volume")), cohort[1], cohort[2])
    pictures = tmp_path / "pictures"
    write_picture(pictures / "a.png", noise(1))
    with pytest.raises(InputError, match=r"1 of 1 images are pictures, and the cases are volumes.*; give volumes"):
        look(pictures, volumes)


def test_of_very_many_images_some_are_drawn(
    cohort: tuple[Cohort, pd.DataFrame, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(6):
        write_picture(tmp_path / f"{number}.png", noise(number))
    monkeypatch.setattr(unlabelled, "MOST", 4)
    seen = look(tmp_path, cohort)
    assert (seen.found, seen.read, seen.images) == (6, 4, 4)
    assert "2 were not drawn" in seen.sentence()
    assert look(tmp_path, cohort) == seen


def test_of_several_images_a_case_each_is_known(cohort: tuple[Cohort, pd.DataFrame, Path], tmp_path: Path) -> None:
    table = cohort[0].table.assign(**{"image.a": cohort[0].table["image"], "image.b": cohort[0].table["image"][::-1]})
    views = replace(cohort[0], table=table, images=ImageRole("picture", "views", ("a", "b")))
    write_picture(tmp_path / "new.png", noise(1))
    write_picture(tmp_path / "other.png", noise(2))
    (tmp_path / "known.png").write_bytes((cohort[2] / "images" / "004.png").read_bytes())
    facts = cohort[1].assign(pixel_hash="of both images")
    assert look(tmp_path, (views, facts, cohort[2])).copies == 1


def test_where_nothing_can_learn_from_images_alone_it_is_refused(
    cohort: tuple[Cohort, pd.DataFrame, Path], tmp_path: Path
) -> None:
    options = RunOptions(CohortOptions("finding"), unlabelled=str(tmp_path))
    channels = replace(cohort[0], images=ImageRole("picture", "channels", ("a", "b")))
    with pytest.raises(InputError, match="nobody knows which images without labels belong together; leave it out"):
        refuse_unlabelled(channels, options)
    refuse_unlabelled(channels, RunOptions())
    refuse_unlabelled(cohort[0], options)


def test_a_folder_without_images_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    tiny = make_cohort(tmp_path / "cohort", n=8)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="is empty; give a folder with images"):
        train_tiny(tiny, save_plan(tmp_path / "plan"), tmp_path / "run", unlabelled=str(tmp_path / "empty"))
    assert not (tmp_path / "run").exists()
    options = RunOptions(CohortOptions("finding"), unlabelled=str(tmp_path / "empty"))
    with pytest.raises(InputError, match="is empty"):
        plan_source(tiny.table, options, Silent())


def test_the_options_of_a_run_remember_the_folder() -> None:
    options = RunOptions(unlabelled="/images")
    assert RunOptions.from_json(options.to_json()) == options
    assert "unlabelled" not in RunOptions().to_json()


def test_volumes_are_known_by_their_voxels(tmp_path: Path) -> None:
    table = make_spheres(tmp_path / "cohort", n=4)
    found = gather(table, CohortOptions("finding"))
    facts = read_everything(found, jobs=1, progress=Silent())
    folder = tmp_path / "images"
    for number in range(3):
        write_volume(folder / f"{number}.nii.gz", sphere(np.random.default_rng(70 + number), 0.5)[0])
    case = Path(str(found.table["image"][1]))
    write_volume(folder / "copy.nrrd", sitk.GetArrayFromImage(sitk.ReadImage(str(case))))
    write_picture(folder / "picture.png", noise(1))
    seen = look_at(folder, found, facts, seed=0, jobs=1, progress=Silent())
    assert (seen.images, seen.copies, seen.other_kind, seen.unreadable) == (3, 1, 1, 0)


def test_frozen_features_teach_where_there_are_such_and_else_images_alone() -> None:
    facts, wishes = fingerprint_of(60), Wishes(budget=300.0)
    looks = [Measured(one, {"float32": 0.5}, 0.1) for one in pretrained_candidates(facts)]
    machine = replace(machine_of(facts), pretrained=looks)
    plan = with_unlabelled(facts, machine, wishes, plan_validation(facts), 4000)
    assert (list(plan.taught), plan.pretraining) == (["taught"], None)
    assert [one.recipe for one in plan.members].count("taught") == plan.validation.folds
    assert "better in trials than learning from the images alone" in plan.budget.why["taught"]
    assert None not in {one.recipe for one in plan.members} and plan.taught["taught"].last
    slow = replace(machine_of(facts), pretrained=[replace(one, seconds={"float32": 30.0}) for one in looks])
    why = {"frozen features of 4000 images would take 750 s": slow, "no frozen features are planned": machine_of(facts)}
    for said, other in why.items():
        plan = with_unlabelled(facts, other, wishes, plan_validation(facts), 4000)
        assert plan.taught == {} and plan.pretraining is not None
        assert plan.budget.why["taught"].startswith(f"frozen features teach no network: {said}")


def test_the_planner_sets_time_aside_where_it_is_worth_it() -> None:
    facts = fingerprint_of(60)
    validation = plan_validation(facts)
    machine, wishes = machine_of(facts), Wishes(budget=300.0)
    plan = with_unlabelled(facts, machine, wishes, validation, 4000)
    assert plan.pretraining is not None
    assert [member.recipe for member in plan.members].count("pretraining") == validation.folds
    assert plan.budget.step_seconds["pretraining"] == plan.budget.step_seconds["network"]
    few = with_unlabelled(facts, machine, wishes, plan_validation(facts), 99)
    assert few.pretraining is None
    assert few.budget.why["pretraining"] == ("99 images without labels are fewer than 100, too few to learn from alone")
    assert "pretraining" not in with_unlabelled(facts, machine, wishes, plan_validation(facts), 0).budget.why
    slow = machine_of(facts, seconds=1e-6)
    late = with_unlabelled(facts, slow, wishes, plan_validation(facts), 4000)
    assert late.pretraining is None
    assert late.budget.why["pretraining"].startswith("nothing is learned from images alone: ")
