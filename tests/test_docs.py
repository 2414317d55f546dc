"""What the pages say is what the program has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from semeion import errors
from semeion.model.gate import CODES

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def test_the_contents_name_every_page_and_no_other() -> None:
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert set(re.findall(r"[\w-]+\.md", str(yaml.safe_load(text)["nav"]))) == {file.name for file in DOCS.glob("*.md")}


def test_every_reason_of_a_finding_is_explained() -> None:
    described = set(re.findall(r"^\| `([a-z-]+)` \|", page("model.md").split("## Reasons")[1], flags=re.MULTILINE))
    assert described == set(CODES)


@pytest.mark.parametrize("kind", ["InputError", "ImageError", "ModelRefused", "MachineError", "Interrupted"])
def test_every_error_is_listed_with_its_exit_status(kind: str) -> None:
    [row] = [line for line in page("errors.md").splitlines() if line.startswith(f"| `{kind}`")]
    assert row.split("|")[2].strip() == str(getattr(errors, kind).exit_status)
