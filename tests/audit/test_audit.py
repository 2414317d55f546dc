from __future__ import annotations

import json

from semeion.audit.audit import Audit, counted


def test_json_has_the_five_names_and_no_more():
    audit = Audit("near-duplicates", "warn", "check", {"groups": 1}, (("a", "b"), "c"), "Look.", frozenset({"a"}))
    assert json.loads(json.dumps(audit.to_json())) == {
        "verdict": "warn",
        "tier": "check",
        "figures": {"groups": 1},
        "cases": [["a", "b"], "c"],
        "advice": "Look.",
    }


def test_long_lists_are_cut_and_say_so():
    told = Audit("x", "note", cases=tuple(map(str, range(5000)))).to_json()
    assert len(told["cases"]) == 1000
    assert told["figures"] == {"cases_listed": 1000}


def test_counting_words():
    assert (counted(1, "case"), counted(1200, "case"), counted(2, "copy", "copies")) == (
        "1 case",
        "1,200 cases",
        "2 copies",
    )
