from __future__ import annotations

import pytest

from plan.made import of_ways, plan_of
from semeion.plan.schema import Plan, SearchPlan
from semeion.plan.scratch import FEW, without_scratch


def test_few_large_pictures_have_no_network_from_scratch_and_it_is_said():
    plan = of_ways()
    left = without_scratch(plan, 530.4)
    assert [member.name for member in left.members] == ["frozen-seed0", "tuned-seed0"]
    assert left.combination.why["network"].startswith("left out: 530 learning cases")
    assert "further members" in left.validation.why["members"]
    assert len(plan.members) > 2, "the plan that was given stays as it is"
    assert Plan.model_validate(left.model_dump(by_alias=True)) == left


@pytest.mark.parametrize(
    ("plan", "cases"),
    [(of_ways(), FEW), (of_ways(kept=0), 500.0), (plan_of(budget=1800.0), 500.0)],
    ids=["many cases", "all stages learn", "nothing pretrained"],
)
def test_elsewhere_it_stays(plan, cases):
    assert without_scratch(plan, cases) == plan


def test_a_search_and_images_without_labels_keep_it():
    plan = of_ways()
    taught = plan.recipes["tuned"].model_copy(update={"network": plan.network})
    other = plan.model_copy(update={"recipes": {**plan.recipes, "taught": taught}})
    assert without_scratch(other, 500.0) == other
    searching = plan.model_copy(update={"search": SearchPlan(share=0.3)})
    assert without_scratch(searching, 500.0) == searching
