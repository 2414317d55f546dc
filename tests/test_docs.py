"""What the pages say is what the program has.

``python tests/test_docs.py`` writes the tables of measurements anew.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from pydantic import BaseModel

from semeion import errors
from semeion.cli.app import app
from semeion.cohort.series import table as series_table
from semeion.measure import cardiac, definitions, lesions, vessel
from semeion.measure.pattern import Definition
from semeion.model.codes import CODES, EFFECTS, effect_of
from semeion.plan.measure_schema import MeasuredPlan
from semeion.plan.schema import Plan
from semeion.plan.segment_schema import SegmentationPlan

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
MEASUREMENTS: dict[str, Sequence[Definition]] = {
    "shape": definitions.SHAPE,
    "intensity": definitions.STATISTICS,
    "texture": definitions.TEXTURE,
    "heart": cardiac.DEFINITIONS,
    "lesions": lesions.DEFINITIONS,
    "stenosis": vessel.DEFINITIONS,
}
"""The registries that the page on measurements shows, by the name of their place in it."""


PROGRAM: Any = typer.main.get_command(app)
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def test_the_contents_name_every_page_and_no_other() -> None:
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    named = re.findall(r"[\w/-]+\.md", str(yaml.safe_load(text)["nav"]))
    assert sorted(named) == sorted(file.relative_to(DOCS).as_posix() for file in DOCS.rglob("*.md"))


@pytest.mark.parametrize("effect", EFFECTS)
def test_every_reason_of_a_finding_is_explained_under_what_it_does(effect: str) -> None:
    section = page("abstain.md").split(f"### {effect}\n")[1].split("\n## ")[0].split("\n### ")[0]
    described = set(re.findall(r"^\| `([a-z-]+)` \|", section, flags=re.MULTILINE))
    assert described == {code for code in CODES if effect_of(code) == effect}


@pytest.mark.parametrize("kind", ["InputError", "ImageError", "ModelRefused", "MachineError", "Interrupted"])
def test_every_error_is_listed_with_its_exit_status(kind: str) -> None:
    [row] = [line for line in page("errors.md").splitlines() if line.startswith(f"| `{kind}`")]
    assert row.split("|")[2].strip() == str(getattr(errors, kind).exit_status)


@pytest.mark.parametrize(
    ("heading", "plan"),
    [
        ("## A diagnosis from images", Plan),
        ("## A segmentation", SegmentationPlan),
        ("## A diagnosis from measurements", MeasuredPlan),
    ],
)
def test_every_section_of_a_plan_is_explained(heading: str, plan: type[BaseModel]) -> None:
    text = page("plan.md").split(f"{heading}\n")[1].split("\n## ")[0].split("| section | decides |")[1]
    named = re.findall(r"`([a-z_]+)`", " ".join(re.findall(r"^\|([^|]+)\|", text.split("\n\n")[0], re.MULTILINE)))
    fields = {field.alias or name for name, field in plan.model_fields.items()} - {"schema"}
    assert set(named) == fields


def commands_of(file: Path) -> Iterator[str]:
    """Yield every command line of the program that a page shows in a block, without its comment."""
    text = file.read_text(encoding="utf-8")
    for _, block in re.findall(r"^```(\w*)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith("semeion ") and "..." not in line:
                yield line


SHOWN = [(file.relative_to(ROOT).as_posix(), line) for file in PAGES for line in commands_of(file)]


@pytest.mark.parametrize(("where", "line"), SHOWN)
def test_every_command_that_is_shown_parses(where: str, line: str) -> None:
    name, *arguments = shlex.split(line, comments=True)[1:]
    assert name in PROGRAM.commands, where
    assert PROGRAM.commands[name].make_context(name, arguments).params, where


def test_the_first_page_shows_every_command_but_the_demonstration() -> None:
    shown = {shlex.split(line)[1] for where, line in SHOWN if where == "README.md"}
    assert shown == set(PROGRAM.commands) - {"demo"}


@pytest.mark.parametrize("file", [*PAGES, ROOT / "CHANGELOG.md"], ids=lambda file: file.relative_to(ROOT).as_posix())
def test_every_option_that_is_named_exists(file: Path) -> None:
    prose = re.sub(r"^```.*?^```", "", file.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    named = {
        option for code in re.findall(r"`([^`\n]+)`", prose) for option in re.findall(r"(?<![\w-])--[a-z-]+", code)
    }
    known = {option for command in PROGRAM.commands.values() for one in command.params for option in one.opts}
    assert named <= known | {"--help", *(option for one in PROGRAM.params for option in one.opts)}


def measurement_table(registry: Sequence[Definition]) -> str:
    """Return the rows of a registry as a table: name, unit, and what it is with its source."""
    rows = ["| name | unit | what it is | source |", "|---|---|---|---|"]
    for one in registry:
        said = f"{one.title}. {one.definition}".replace("|", "\\|")
        rows.append(f"| `{one.name}` | {one.unit} | {said} | {one.source} |")
    return "\n".join(rows)


def with_tables(text: str) -> str:
    """Return the page on measurements with the tables of what the program measures."""

    def filled(found: re.Match[str]) -> str:
        return f"{found[1]}\n{measurement_table(MEASUREMENTS[found[2]])}\n\n<!-- end -->"

    return re.sub(r"(<!-- measurements: (\w+) -->\n).*?<!-- end -->", filled, text, flags=re.DOTALL)


@pytest.mark.parametrize("place", MEASUREMENTS)
def test_every_measurement_is_named_with_its_definition(place: str) -> None:
    assert MEASUREMENTS[place]
    assert measurement_table(MEASUREMENTS[place]) in page("measurements.md"), "write it anew: python tests/test_docs.py"


def test_no_measurement_of_a_region_is_left_out() -> None:
    shown = {one.name for place in ("shape", "intensity", "texture") for one in MEASUREMENTS[place]}
    assert shown == set(definitions.DEFINITIONS)


def test_every_column_of_an_index_is_explained() -> None:
    text = page("dicom.md").split("has one row a volume")[1].split("`series.files.parquet` beside it")[0]
    described = " ".join(re.findall(r"^\| `([a-z_ ]+)` \|", text, flags=re.MULTILINE)).split()
    assert sorted(described) == sorted(series_table.COLUMNS)


if __name__ == "__main__":
    (DOCS / "measurements.md").write_text(with_tables(page("measurements.md")), encoding="utf-8")
