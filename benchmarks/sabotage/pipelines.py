"""Kinds of spoiling that are faults of a pipeline, and not of data: see :mod:`benchmarks.sabotage.faults`."""

from __future__ import annotations

from benchmarks.sabotage.bases import learning_cohort
from benchmarks.sabotage.drafts import Kind, Strength, strengths

SHORT = {"steps": 60}
_SEEN = (Strength("all test cases", 0.999), Strength("10% of the test cases", 0.1), Strength("1 test case", 1))

KINDS = (
    Kind(
        "test-read-again",
        "the test cases of one run are read again and again",
        "test-reuse",
        learning_cohort,
        strengths("{} times", (12, 5, 2)),
        road="reread",
        fault="read-again",
    ),
    Kind(
        "answers-looked-up",
        "a faulty pipeline answers held-out cases from a list that holds them",
        "label-permutation",
        learning_cohort,
        strengths("{:.0%} of the cases", (0.5, 0.2, 0.1)),
        road="full",
        fault="look-up",
        plan=SHORT,
    ),
    Kind(
        "learned-from-test",
        "a faulty pipeline lets networks learn from test cases",
        "fit-on-test",
        learning_cohort,
        _SEEN,
        road="full",
        fault="learn-from-test",
        plan=SHORT,
    ),
    Kind(
        "decided-on-test",
        "a faulty pipeline chooses calibration and operating point on test cases",
        "fit-on-test",
        learning_cohort,
        _SEEN,
        road="full",
        fault="decide-on-test",
        plan=SHORT,
    ),
    Kind(
        "planned-on-test",
        "a faulty pipeline takes the facts that plan from test cases too",
        "fit-on-test",
        learning_cohort,
        _SEEN,
        road="full",
        fault="plan-on-test",
        plan=SHORT,
    ),
)
