"""Training cases that ship: only where that can be, and what is said where it cannot."""

from types import SimpleNamespace

import numpy as np
import pytest

from semeion.errors import InputError
from semeion.model.neighbours import WARNING, Neighbours, as_text
from semeion.study.neighbours import (
    NONE,
    _usual,
    refuse_long_ids,
    refuse_neighbours,
    refuse_unplanned,
    standards,
    told,
    with_neighbours,
)
from semeion.study.options import RunOptions
from semeion.study.several import refuse_unable
from support.tiny import make_plan

ASKED = RunOptions(ship_neighbours=True)


def test_the_option_is_kept_only_where_it_is_asked():
    assert "ship_neighbours" not in RunOptions().to_json()
    assert RunOptions.from_json(ASKED.to_json()) == ASKED


def test_a_plan_says_what_was_asked_and_nothing_ships_beside_it():
    assert not with_neighbours(make_plan(), RunOptions()).combination.neighbours
    plan = with_neighbours(make_plan(), ASKED)
    assert plan.combination.neighbours
    assert "patient data" in plan.combination.why["neighbours"]
    refuse_unplanned(ASKED, plan)
    refuse_unplanned(RunOptions(), make_plan())
    with pytest.raises(InputError, match=r"the plan ships no training cases; write combination\.neighbours: true"):
        refuse_unplanned(ASKED, make_plan())


@pytest.mark.parametrize(
    ("structures", "task"), [({"lv": 1}, "binary"), ({}, "segmentation")], ids=["measurements", "masks"]
)
def test_what_classifies_no_images_is_refused(structures, task):
    cohort = SimpleNamespace(structures=structures, target=SimpleNamespace(task=task))
    refuse_neighbours(cohort, RunOptions())
    with pytest.raises(InputError, match="--ship-neighbours: training cases are near in the features of a network"):
        refuse_neighbours(cohort, ASKED)


def test_ids_too_long_to_ship_are_refused_before_anything_is_learned():
    import pandas as pd

    target = SimpleNamespace(task="binary")
    cohort = SimpleNamespace(structures={}, target=target, table=pd.DataFrame({"case_id": ["a", "b" * 201]}))
    refuse_neighbours(cohort, RunOptions())
    with pytest.raises(InputError, match="1 cases have an id of more than 200 letters"):
        refuse_neighbours(cohort, ASKED)
    with pytest.raises(InputError, match="1 cases have an id of more than 200 letters"):
        refuse_long_ids(cohort)


def test_several_targets_are_refused():
    with pytest.raises(InputError, match="--ship-neighbours is of one target, and 2 are named"):
        refuse_unable(ASKED, {"a": None, "b": None})


def cohort_of(task, y, classes=(), unit=None):
    import pandas as pd

    columns = [f"y{place}" for place in range(np.asarray(y).reshape(len(y), -1).shape[1])]
    target = SimpleNamespace(task=task, classes=classes, unit=unit, columns=columns)
    return SimpleNamespace(target=target, table=pd.DataFrame(np.asarray(y, float).reshape(len(y), -1), columns=columns))


def test_reference_standards_are_in_words():
    rows = np.arange(2)
    assert standards(cohort_of("binary", [1, 0], ("benign", "malignant")), rows) == ["malignant", "benign"]
    assert standards(cohort_of("multilabel", [[1, 1], [0, np.nan]], ("a", "b")), rows) == ["a|b", "none"]
    assert standards(cohort_of("regression", [12.34, 5], unit="ml"), rows) == ["12.34 ml", "5 ml"]


def test_usual_distances_are_from_cases_of_other_patients():
    places = np.repeat(np.arange(30.0), 2)[:, None]  # two alike of each patient, a step of 1 to the next patient
    patients = np.repeat(np.arange(30), 2)
    assert _usual(places, range(60), range(60), patients) == (1.0, 1.0)
    assert _usual(places, range(10), range(60), patients) == (None, None)
    assert _usual(places, [], range(60), patients) == (None, None)


def test_what_ships_is_told():
    made = Neighbours(
        graph="g.onnx", dims=1, cases=["a"], standards=["x"], places=as_text(np.zeros((1, 1), np.float32))
    )
    assert told(made) == {"n": 1, "sentence": WARNING.format(n=1)}
    assert told(None) == {"n": 0, "sentence": NONE}
