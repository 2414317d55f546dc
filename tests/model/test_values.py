"""What a value is read against: read as hostile input, and where a value lies in it."""

import json
from types import SimpleNamespace

import pytest

from semeion.errors import ModelRefused
from semeion.model import values as module
from semeion.model.sentences import About, Given, number, pushed, tell, where_it_lies, who_has_it
from semeion.model.values import Numbers, Shares, ValueReference, group_names, open_values, place_of
from semeion.prepare.covariates import Number

COLUMN = {
    "name": "ef",
    "title": "Ejection fraction",
    "unit": "%",
    "numbers": {
        "NOR": {"n": 34, "quantiles": {"5": 52.0, "10": 55.0, "50": 62.0, "90": 70.0, "95": 72.0}},
        "DCM": {"n": 20, "quantiles": {"10": 15.0, "50": 25.0, "90": 40.0}},
    },
}
FILE = {"schema": 1, "groups": ["NOR", "DCM"], "columns": [COLUMN]}
CASES = [("NOR", "healthy cases"), ("DCM", "DCM cases")]
REFERENCE = ValueReference.model_validate(FILE)
EF = REFERENCE.columns[0]


def manifest(**changes):
    known = {
        "task": "binary",
        "classes": ["NOR", "DCM"],
        "measured": None,
        "inputs": SimpleNamespace(covariates=[Number(name="ef", fill=1, low=0, high=2, margin=1)]),
    }
    return SimpleNamespace(**{**known, **changes})


def opened(given=None, **changes):
    return open_values(json.dumps({**FILE, **(given or {})}).encode(), manifest(**changes), where="values.json")


def test_a_file_is_read_and_written_the_same():
    assert ValueReference.model_validate_json(REFERENCE.to_json()) == opened() == REFERENCE


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"schema": 2}, "Input should be 1"),
        ({"code": "x"}, "Extra inputs"),
        ({"columns": [COLUMN, COLUMN]}, "a value is named twice"),
        ({"columns": [{**COLUMN, "numbers": {"HCM": COLUMN["numbers"]["NOR"]}}]}, "a group that there is not"),
        (
            {"columns": [{**COLUMN, "numbers": {"NOR": {"n": 9, "quantiles": {"50": 1.0}}}}]},
            "greater than or equal to 10",
        ),
        ({"columns": [{**COLUMN, "numbers": {"NOR": {"n": 12, "quantiles": {"3": 1.0}}}}]}, "Input should be '1'"),
        ({"columns": [{**COLUMN, "numbers": {"NOR": {"n": 12, "quantiles": {"5": 2.0, "10": 1.0}}}}]}, "do not rise"),
        ({"columns": [{**COLUMN, "shares": {"NOR": {"n": 12, "shares": {"F": 1.5}}}}]}, "less than or equal to 1"),
        ({"groups": ["NOR", "HCM"], "columns": []}, "of another model: they are told of NOR, HCM"),
        ({"columns": [{**COLUMN, "name": "age"}]}, "the value 'age' is not taken"),
    ],
)
def test_a_damaged_or_foreign_file_is_refused(given, says):
    with pytest.raises(ModelRefused, match=says):
        opened(given)


def test_what_is_too_large_or_no_json_is_refused(monkeypatch):
    with pytest.raises(ModelRefused, match="JSON cannot be read"):
        open_values(b"{", manifest(), where="values.json")
    monkeypatch.setattr(module, "MAX_VALUES", 10)
    with pytest.raises(ModelRefused, match="larger than"):
        opened()


def test_groups_of_every_question():
    assert group_names("multiclass", ["a", "b"]) == ["a", "b"]
    assert group_names("multilabel", ["a"]) == ["a=1", "a=0"]
    assert group_names("regression", []) == ["all"]


@pytest.mark.parametrize(
    ("value", "side", "share"),
    [
        (22, "below", 95),
        (53, "below", 90),
        (55, "usual", 100),
        (70, "usual", 100),
        (71, "above", 90),
        (80, "above", 95),
    ],
)
def test_the_outermost_quantile_is_told(value, side, share):
    place = place_of(value, EF.numbers["NOR"])
    assert (place.side, place.share, place.n) == (side, share, 34)


def test_of_few_patients_quartiles_are_all_there_is():
    few = Numbers(n=12, quantiles={"25": 1.0, "50": 2.0, "75": 3.0})
    assert [(place_of(x, few).side, place_of(x, few).share) for x in (0.5, 1.5, 4.0)] == [
        ("below", 75),
        ("usual", 100),
        ("above", 75),
    ]


def test_where_a_value_lies_in_words():
    assert where_it_lies(22, CASES, EF) == "below 95 % of healthy cases (NOR, n = 34), usual for DCM cases (n = 20)"
    assert where_it_lies(62, CASES[:1], EF) == "usual for healthy cases (NOR, n = 34)"
    both = EF.model_copy(update={"numbers": dict.fromkeys(("a", "b"), EF.numbers["NOR"])})
    groups = [("a", "a cases"), ("b", "b cases")]
    assert where_it_lies(60, groups, both) == "usual for both a cases (n = 34) and b cases (n = 34)"
    assert where_it_lies(60, groups, EF) == where_it_lies(60, groups, None) == ""


def test_levels_in_words():
    shares = {"malignant": {"n": 70, "shares": {"F": 0.61}}, "benign": {"n": 40, "shares": {"F": 0.48, "M": 0.52}}}
    column = ValueReference.model_validate(
        {"groups": ["malignant", "benign"], "columns": [{"name": "sex", "title": "sex", "shares": shares}]}
    ).columns[0]
    groups = [("malignant", "malignant cases"), ("benign", "benign cases")]
    assert who_has_it("f", groups, column) == "61 % of malignant cases (n = 70), 48 % of benign cases (n = 40)"
    assert who_has_it("M", groups, column) == "52 % of benign cases (n = 40)"
    assert who_has_it("X", groups, column) == ""
    few = column.model_copy(update={"shares": {"NOR": Shares(n=2000, shares={"F": 0.003, "M": 0.997})}})
    assert who_has_it("F", CASES, few) == "less than 1 % of healthy cases (NOR, n = 2000)"
    assert who_has_it("M", CASES, few) == "more than 99 % of healthy cases (NOR, n = 2000)"


def about(scale="logit", target="DCM", unit=""):
    return About(target, scale, unit, CASES)


@pytest.mark.parametrize(
    ("contribution", "on", "says"),
    [
        (1.3, about(), "speaks for DCM (+1.30 on the logit)"),
        (-0.31, about("probability"), "speaks against DCM (-0.31 on the probability)"),
        (0.01, about(), "matters little (+0.01 on the logit)"),
        (0.4, about("grades"), "speaks for higher grades (+0.40 on the scale of grades)"),
        (-3.14, about("value", None, "ml"), "lowers the value by 3.1 ml"),
        (0.0, about("value", None, "ml"), "changes nothing"),
        (3e-15, about("value", None, "ml"), "changes nothing"),
        (123.4, about("value", None, "ml"), "raises the value by 123 ml"),
    ],
)
def test_how_it_pushed_in_words(contribution, on, says):
    assert pushed(contribution, on) == says


def test_the_strongest_come_first_and_nothing_is_lost():
    given = [Given("ef", "Ejection fraction", "%", 22.0, -1.3)]
    given += [Given(f"x{place}", f"x{place}", "", 1.0, 0.1 * place) for place in range(1, 7)]
    given.append(Given("age", "age", "", None, 0.9, "not given, the training cases' median stands in"))
    told = tell(given, about(), REFERENCE, images=0.5)
    assert [one.name for one in told] == ["ef", "age", "x6", "x5", "x4", "(rest)", "(images)"]
    assert sum(one.contribution for one in told) == pytest.approx(sum(one.contribution for one in given) + 0.5)
    assert told[0].sentence == (
        "Ejection fraction 22 %, below 95 % of healthy cases (NOR, n = 34), usual for DCM cases (n = 20): "
        "speaks against DCM (-1.30 on the logit)."
    )
    assert told[1].value is None
    assert told[1].sentence.startswith("age not given, the training cases' median stands in: speaks for DCM")
    assert told[2].sentence == "x6 1: speaks for DCM (+0.60 on the logit)."
    assert told[5].sentence == "3 further values together: speaks for DCM (+0.60 on the logit)."
    assert told[6].sentence == "What others say of the images: speaks for DCM (+0.50 on the logit)."


@pytest.mark.parametrize(
    ("value", "says"), [(22.0, "22"), (0.12345, "0.123"), (12345.6, "12346"), (999.7, "1000"), (1e12, "1e+12")]
)
def test_numbers_have_three_digits(value, says):
    assert number(value) == says
