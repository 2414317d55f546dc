"""What the page says of images without labels."""

from __future__ import annotations

from typing import Any

from semeion.report.members import pretraining, taught, way

UNLABELLED = {"found": 1205, "read": 1200, "unreadable": 2, "other_kind": 0, "copies": 3, "repeated": 0, "used": 1195}


def told(**changes: Any) -> dict[str, Any]:
    return {"unlabelled": UNLABELLED, "train_cases": 0, "steps": 300, "seconds": 84.4, **changes}


def test_how_many_how_long_and_whose() -> None:
    first, rest, bounds = pretraining(told()) or []
    assert "learned from 1,195 images without labels to know each image again" in first
    assert "300 steps in 84 s" in first
    assert "Images of cases that figures are made of were not among them" in first
    assert rest == (
        "Of 1,205 images in the folder 3 have exactly the pixels of a case of the table and were left out; 2 could not "
        "be read; 5 were not drawn."
    )
    assert "a resized or compressed copy of a case" in bounds


def test_train_cases_of_a_given_split_are_named() -> None:
    assert "and those of 40 train cases, without their labels" in (pretraining(told(train_cases=40)) or [])[0]


def test_nothing_is_said_where_nothing_was_learned_or_left_out() -> None:
    assert pretraining(None) is None
    clean = {**UNLABELLED, "found": 1195, "read": 1195, "unreadable": 0, "copies": 0}
    assert len(pretraining(told(unlabelled=clean)) or []) == 2
    assert way("pretraining") == "network that began with images without labels"


def test_who_taught_a_network_and_how_much_that_counts() -> None:
    facts = {"unlabelled": UNLABELLED, "teacher": "frozen", "share": 0.5, "weight": 0.25, "sha256": "0" * 64}
    first, rest, bounds = taught(facts) or []
    assert "also learned from 1,195 images without labels: the linear head on pretrained features said" in first
    assert "Such images are 50% of each batch and count 25% of its loss" in first
    assert "from no case that chooses or that figures are made of" in first
    assert "3 have exactly the pixels of a case" in rest
    assert "though never with its label" in bounds
    assert taught(None) is None
    assert way("taught") == "network taught by pretrained features about images without labels"
