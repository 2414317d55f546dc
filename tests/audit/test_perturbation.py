from __future__ import annotations

from semeion.audit.perturbation import fit_on_test


def test_the_same_bytes_are_clear() -> None:
    audit = fit_on_test({"the weights of a": "1"}, {"the weights of a": "1"}, "the test cases", 9)
    assert audit.verdict == "clear"
    assert audit.figures == {"artefacts": 1, "changed": 0, "perturbed_cases": 9}


def test_other_bytes_are_warned_of_and_named() -> None:
    audit = fit_on_test({"a": "1", "b": "2"}, {"a": "1", "b": "3"}, "the test cases", 9)
    assert audit.verdict == "warn"
    assert "b came out otherwise" in audit.advice


def test_an_artefact_that_is_missing_differs() -> None:
    assert fit_on_test({"a": "1", "b": "2"}, {"a": "1"}, "the test cases", 9).verdict == "warn"


def test_nothing_held_out_is_not_run() -> None:
    assert fit_on_test({}, {}, "the test cases", 0).verdict == "not_run"
