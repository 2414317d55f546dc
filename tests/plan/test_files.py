from __future__ import annotations

import pytest
import yaml

from plan.made import plan_of
from semeion.errors import InputError
from semeion.plan.files import MAX_BYTES, read_plan, write_plan
from semeion.plan.schema import Plan, Shortened


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "plan.yaml"
    write_plan(plan_of(), path)
    return path


def edited(file, change):
    """Change the plan in `file` as a person would, and return the file."""
    raw = yaml.safe_load(file.read_text(encoding="utf-8"))
    change(raw)
    file.write_text(yaml.safe_dump(raw, sort_keys=False), encoding="utf-8")
    return file


@pytest.mark.parametrize("task", ["binary", "multiclass", "ordinal", "multilabel", "regression"])
def test_a_plan_comes_back_as_it_was(tmp_path, task):
    plan = plan_of(task=task)
    plan.members[0].shortened = [Shortened(at=3, to=7), Shortened(at=5, to=6)]
    write_plan(plan, tmp_path / "plan.yaml")
    assert read_plan(tmp_path / "plan.yaml") == plan


def test_the_file_is_small_readable_and_in_reading_order(file):
    text = file.read_text(encoding="utf-8")
    assert len(text) < 16_000
    assert "!!" not in text
    assert max(map(len, text.splitlines())) <= 130
    tops = [line.split(":")[0] for line in text.splitlines() if line[:1].isalpha()]
    assert tops == [field.alias or name for name, field in Plan.model_fields.items()]


def test_letters_beyond_ascii_survive(tmp_path):
    plan = plan_of()
    plan.target.classes = ["gutartig – harmlos", "bösartig"]
    plan.target.positive = "bösartig"
    write_plan(plan, tmp_path / "plan.yaml")
    assert "bösartig" in (tmp_path / "plan.yaml").read_text(encoding="utf-8")
    assert read_plan(tmp_path / "plan.yaml") == plan


def test_a_person_may_edit_it(file):
    def change(raw):
        raw["training"]["learning_rate"] = 0.001
        raw["training"]["augmentation"]["flip_horizontal"] = True
        raw["members"] = raw["members"][:1]
        raw["budget"] = {}
        del raw["network"]["why"]

    plan = read_plan(edited(file, change))
    assert plan.training.learning_rate == 0.001
    assert plan.training.augmentation.flip_horizontal
    assert len(plan.members) == 1
    assert plan.budget.seconds is None


@pytest.mark.parametrize(
    ("place", "said"),
    [
        (("trainning",), r"unknown key trainning, did you mean 'training'\?"),
        (("training", "lerning_rate"), r"unknown key training.lerning_rate, did you mean 'learning_rate'\?"),
        (("training", "augmentation", "rotate"), r"training.augmentation.rotate, did you mean 'rotation'\?"),
        (("preparation", "chanels"), r"preparation.chanels, did you mean 'channels'\?"),
        (("preparation", "clean", "border"), r"preparation.clean.border, did you mean 'borders'\?"),
        (("members", 0, "step"), r"members.0.step, did you mean 'steps'\?"),
        (("network", "zzz"), r"unknown key network.zzz; correct the plan"),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest(file, place, said):
    def change(raw):
        for piece in place[:-1]:
            raw = raw[piece]
        raw[place[-1]] = 1

    with pytest.raises(InputError, match=said) as caught:
        read_plan(edited(file, change))
    assert caught.value.where == str(file)


def test_every_wrong_value_is_named_at_once(file):
    def change(raw):
        raw["training"]["batch"] = "many"
        raw["network"]["dropout"] = 2
        raw["members"][1]["steps"] = -1

    with pytest.raises(InputError) as caught:
        read_plan(edited(file, change))
    assert "training.batch: Input should be a valid integer" in caught.value.what
    assert "network.dropout: Input should be less than 1" in caught.value.what
    assert "members.1.steps: Input should be greater than or equal to 0" in caught.value.what
    assert "pydantic" not in str(caught.value)


def test_a_missing_key_is_named(file):
    with pytest.raises(InputError, match=r"training\.learning_rate: Field required"):
        read_plan(edited(file, lambda raw: raw["training"].pop("learning_rate")))


def test_what_does_not_fit_together_is_named(file):
    with pytest.raises(InputError, match="two members have the same name"):
        read_plan(edited(file, lambda raw: raw["members"].append(raw["members"][0])))


@pytest.mark.parametrize("schema", [0, 2, "1", None])
def test_another_schema_is_refused(file, schema):
    with pytest.raises(InputError, match=f"plan schema {schema!r} is not known to this version, which reads 1"):
        read_plan(edited(file, lambda raw: raw.update(schema=schema)))


def test_no_such_file(tmp_path):
    with pytest.raises(InputError, match="no such plan; write one with `semeion plan`"):
        read_plan(tmp_path / "plan.yaml")
    with pytest.raises(InputError, match="no such plan"):
        read_plan(tmp_path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a: [1, 2", "not readable as YAML"),
        (b"\xff\xfe\x00\x01", "not readable as YAML"),
        (b"!!python/object/apply:os.system ['true']", "not readable as YAML"),
        (b"[" * 1_500, "not readable as YAML"),
        (b"", "holds no plan"),
        (b"- 1\n- 2\n", "holds no plan"),
        (b"just text", "holds no plan"),
        (b"x: 1\n", "plan schema None is not known"),
    ],
)
def test_what_is_no_plan_is_refused(tmp_path, content, said):
    (tmp_path / "plan.yaml").write_bytes(content)
    with pytest.raises(InputError, match=said):
        read_plan(tmp_path / "plan.yaml")


def test_too_large_a_file_is_not_read(tmp_path):
    with (tmp_path / "plan.yaml").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(InputError, match=r"too large for a plan; give the plan\.yaml that `semeion plan` wrote"):
        read_plan(tmp_path / "plan.yaml")
