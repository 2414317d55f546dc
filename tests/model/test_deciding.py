"""The status of a finding: the strongest reason decides, and no reason is lost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from semeion.model.codes import CODES, EFFECTS, code_of, effect_of, meaning_of, strongest
from semeion.model.deciding import Facts, decide

REASONS = st.lists(st.sampled_from(sorted(CODES)).map(lambda code: f"{code}: some words"), max_size=6)


def test_every_code_says_what_it_does_and_means():
    assert {effect_of(code) for code in CODES} == set(EFFECTS)
    assert all(meaning_of(code) for code in CODES)
    assert code_of("size-far: 20 x 20") == code_of("size-far") == "size-far"
    assert effect_of("something-new: from a later version") == "warning"


def test_the_order_is_fixed():
    said = {
        "failed": "unreadable: damaged",
        "not_applicable": "modality-differs: CT, trained on US",
        "unsure": "features-far: 3",
        "warning": "size-far: 20 x 20",
    }
    order = ("failed", "not_applicable", "unsure", "warning")
    for place, effect in enumerate(order):
        reasons = tuple(said[one] for one in order[place:][::-1])
        status, call, kept = decide(Facts("malignant", reasons))
        assert status == ("called" if effect == "warning" else effect)
        assert call == ("malignant" if effect == "warning" else None)
        assert kept == reasons


@given(REASONS, st.booleans())
def test_reasons_stay_and_only_failure_outlives_not_abstaining(reasons, abstain):
    status, call, kept = decide(Facts(1.5, tuple(reasons), abstain=abstain))
    assert set(kept) == set(reasons) and len(kept) == len(set(reasons))
    assert (call is None) == (status in ("failed", "not_applicable", "unsure"))
    assert (status == "failed") == (strongest(reasons) == "failed")
    if not abstain:
        assert status in ("called", "failed")


def test_a_set_is_named_where_nothing_stronger_speaks():
    assert decide(Facts("a", among=("a", "b")))[:2] == ("set", "a|b")
    assert decide(Facts("a", among=("a|b", "c")))[:2] == ("set", "a%7Cb|c")
    assert decide(Facts("a", among=("a|b",)))[:2] == ("called", "a|b")
    assert decide(Facts("a", among=("a", "b"), abstain=False))[:2] == ("called", "a")
    assert decide(Facts("a", ("features-far: 3",), among=("a", "b")))[:2] == ("unsure", None)
