from __future__ import annotations

import json
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

from semeion.artefacts import write_json
from semeion.model.bom import bill_of_materials
from semeion.model.opening import open_files
from semeion.model.packing import pack_model

TYPES = {"application", "library", "file", "machine-learning-model"}
REFERENCE = re.compile(r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def test_the_bill_has_the_form_of_cyclonedx(make_model: Any, tmp_path: Path) -> None:
    """What the schema of CycloneDX 1.6 asks of the fields that are used."""
    bill = bill_of_materials(make_model())
    assert (bill["bomFormat"], bill["specVersion"], bill["version"]) == ("CycloneDX", "1.6", 1)
    assert REFERENCE.fullmatch(bill["serialNumber"])
    components = [*bill["components"], bill["metadata"]["component"]]
    assert len({one["bom-ref"] for one in components}) == len(components)
    known = {"type", "bom-ref", "name", "version", "description", "hashes", "licenses", "purl"}
    for one in components:
        assert one["type"] in TYPES
        assert one["name"]
        assert set(one) <= known
        for each in one.get("hashes", []):
            assert each["alg"] == "SHA-256"
            assert re.fullmatch(r"[0-9a-f]{64}", each["content"])
        licences = one.get("licenses", [])
        # Either one expression or a list of named licences.
        assert [set(each) for each in licences] == [{"expression"}] or all(
            set(each) == {"license"} and set(each["license"]) == {"name"} for each in licences
        )
    referred = {ref for one in bill["dependencies"] for ref in (one["ref"], *one["dependsOn"])}
    assert referred <= {one["bom-ref"] for one in components}
    write_json(tmp_path / "sbom.cdx.json", bill)
    assert json.loads((tmp_path / "sbom.cdx.json").read_text()) == bill


def test_it_names_the_graphs_with_their_hashes_and_what_runs_them(make_model: Any) -> None:
    folder = make_model()
    bill = bill_of_materials(folder)
    listed = open_files(folder).manifest.files
    files = {one["name"]: one for one in bill["components"] if one["bom-ref"].startswith("file:")}
    assert set(files) == set(listed)
    assert all(one["hashes"][0]["content"] == listed[name].sha256 for name, one in files.items())
    assert {name for name, one in files.items() if one["type"] == "machine-learning-model"} == {
        "members/m0.onnx",
        "members/m1.onnx",
    }
    packages = {one["name"]: one for one in bill["components"] if one["type"] == "library"}
    assert {"semeion", "numpy", "onnxruntime", "pydicom", "simpleitk", "cryptography"} <= set(packages)
    assert packages["numpy"]["version"] == version("numpy")
    assert packages["onnxruntime"]["purl"] == f"pkg:pypi/onnxruntime@{version('onnxruntime')}"
    assert not {"torch", "monai", "onnx", "openvino"} & set(packages), "what only training needs is not there"
    assert sum("licenses" in one for one in packages.values()) > 0.9 * len(packages)


def test_the_same_model_gives_the_same_bill(make_model: Any, tmp_path: Path) -> None:
    folder = make_model()
    pack_model(folder, tmp_path / "m.semeion")
    assert bill_of_materials(folder) == bill_of_materials(tmp_path / "m.semeion")
    assert bill_of_materials(folder)["serialNumber"] != bill_of_materials(make_model("ordinal"))["serialNumber"]
