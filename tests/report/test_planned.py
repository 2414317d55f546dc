"""The plan as rows of decision, value and reason."""

from __future__ import annotations

from semeion.report.planned import facts_of, plan_sections


def test_reasons_stand_beside_their_decisions() -> None:
    plan = {
        "schema": 1,
        "seed": 3,
        "preparation": {
            "size": [64, 64],
            "clean": {"text": True, "salt": False},
            "window": {"low": 0},
            "why": {"size": "Median.", "clean": "Text was seen."},
        },
        "operating_point": {"rule": "youden", "why": "The default."},
        "members": [{"name": "a"}, {"name": "b"}],
    }
    general, preparation, point = plan_sections(plan)
    assert [(row["key"], row["value"]) for row in general["rows"]] == [("seed", "3"), ("members", "2")]
    assert [(row["key"], row["value"], row["why"]) for row in preparation["rows"]] == [
        ("size", "64, 64", "Median."),
        ("clean", "text: yes; salt: no", "Text was seen."),
        ("window · low", "0", ""),
    ]
    assert point["why"] == "The default."


def test_reasons_of_a_section_within_a_section_find_their_rows() -> None:
    augmentation = {"rotation": 10, "shift": 0.1, "why": {"rotation": "Positioning differs."}}
    rows = plan_sections({"training": {"batch": 8, "augmentation": augmentation, "why": {"batch": "Fits."}}})[0]["rows"]
    assert [(row["key"], row["value"], row["why"]) for row in rows] == [
        ("batch", "8", "Fits."),
        ("augmentation · rotation", "10", "Positioning differs."),
        ("augmentation · shift", "0.1", ""),
    ]


def test_what_was_done_otherwise_than_planned_is_marked() -> None:
    asked = {"training": {"steps": 100, "batch": 8, "why": {}}}
    done = {"training": {"steps": 90, "batch": 8, "why": {}}}
    rows = plan_sections(done, asked)[0]["rows"]
    assert [(row["key"], row["value"], row["planned"]) for row in rows] == [
        ("steps", "90", "100"),
        ("batch", "8", None),
    ]


def test_facts_are_flat_and_bounded() -> None:
    facts = {"schema": 1, "a": {"b": {"c": 1.23456}}, **{f"k{i}": i for i in range(200)}, "long": "x" * 1000}
    rows = facts_of(facts)
    assert rows[0] == {"key": "a · b · c", "value": "1.235"}
    assert len(rows) == 80
    assert facts_of(None) == [] and plan_sections(None) == []
