"""What the pages say is what the program has.

``python tests/test_docs.py`` writes the tables of measurements anew.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from semeion import errors
from semeion.cohort.series import table as series_table
from semeion.measure import cardiac, definitions, lesions, vessel
from semeion.measure.pattern import Definition
from semeion.model.gate import CODES

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


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def test_the_contents_name_every_page_and_no_other() -> None:
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    named = re.findall(r"[\w/-]+\.md", str(yaml.safe_load(text)["nav"]))
    assert sorted(named) == sorted(file.relative_to(DOCS).as_posix() for file in DOCS.rglob("*.md"))


def test_every_reason_of_a_finding_is_explained() -> None:
    described = set(re.findall(r"^\| `([a-z-]+)` \|", page("model.md").split("## Reasons")[1], flags=re.MULTILINE))
    assert described == set(CODES)


@pytest.mark.parametrize("kind", ["InputError", "ImageError", "ModelRefused", "MachineError", "Interrupted"])
def test_every_error_is_listed_with_its_exit_status(kind: str) -> None:
    [row] = [line for line in page("errors.md").splitlines() if line.startswith(f"| `{kind}`")]
    assert row.split("|")[2].strip() == str(getattr(errors, kind).exit_status)


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
