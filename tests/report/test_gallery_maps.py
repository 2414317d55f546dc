"""Maps in the report's gallery: whose they are, of what, and by which method."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

from semeion.report.page import write_report


def test_a_map_names_what_it_explains_its_method_and_its_members(build: ModuleType, tmp_path: Path) -> None:
    run = build.write_run(tmp_path, build.binary(), gallery=2)
    path = run / "gallery" / "gallery.json"
    cases = json.loads(path.read_text())["cases"]
    (run / "gallery" / "000.where.png").write_bytes(build.picture(999))
    shown = {
        **cases[0],
        "file": "000.where.png",
        "kind": "where",
        "outcome": cases[0]["kind"],
        "explains": "malignant <b>",
        "method": "activation",
        "members": ["fold0-seed0", "fold1-seed0"],
        "most": 0.0123,
        "unit": "logit",
    }
    path.write_text(json.dumps({"cases": [*cases, shown]}))
    before = (write_report(run)).read_text(encoding="utf-8")
    assert before.count("Where the members looked") == 1
    assert "For <b>malignant &lt;b&gt;</b>: activation, strongest 0.0123 logit" in before
    assert "fold0-seed0, fold1-seed0" in before
    assert f'alt="Map over the image of case {cases[0]["case_id"]}"' in before
    path.write_text(json.dumps({"cases": cases}))
    assert "Where the members looked" not in write_report(run).read_text(encoding="utf-8")
