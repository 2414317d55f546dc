"""Decathlon and nnU-Net data sets: a ``dataset.json`` names the volumes, their masks, channels and labels.

Sources: Medical Segmentation Decathlon (Antonelli et al., Nat Commun 13:4128, 2022) and the data set format of nnU-Net
(Isensee et al., Nat Methods 18:203, 2021), versions 1 and 2.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from semeion.cohort.problems import Problems, listed
from semeion.errors import InputError

FILE = "dataset.json"
MASK = "mask"
MAX_BYTES = 64 << 20
"""A ``dataset.json`` of 100,000 cases has about 20 MB."""


@dataclass(frozen=True)
class DataSet:
    """What a ``dataset.json`` names.

    Attributes
    ----------
    table
        Text columns ``case_id``, ``image`` (or ``image.<channel>``) and ``mask``; the index is the case's place.
    channels
        Names of the channels in order; one name or none when there is one.
    labels
        Integer in the mask (as text) to name, the background left out.
    name
        Of the data set.
    notes
        Sentences for the check page.
    """

    table: pd.DataFrame
    channels: tuple[str, ...]
    labels: dict[str, str]
    name: str
    notes: tuple[str, ...] = ()


def is_dataset(source: Path) -> bool:
    """Tell whether `source` is a ``dataset.json`` or a folder with one."""
    return (source / FILE).is_file() if source.is_dir() else source.suffix.lower() == ".json"


def read_dataset(source: Path) -> DataSet:
    """Read a ``dataset.json``, or that of a folder; no image is read.

    Raises
    ------
    InputError
        No JSON of either layout, labels that are regions, a path that leaves the folder, or a file that is missing.
    """
    file = (source / FILE if source.is_dir() else source).absolute()
    facts = _facts(file)
    problems = Problems(f"{file.parent.name}/{file.name}")
    labels = _labels(facts, problems)
    channels = _channels(facts, problems)
    cases = _listed_cases(facts, file.parent, problems)
    if cases is None:
        cases = _found_cases(facts, file.parent, problems)
    if not cases and not problems.found:
        problems.add("names no training case", "give a data set with imagesTr and labelsTr")
    rows = [_spread(images, len(channels)) for _, images, _ in cases]
    problems.raise_any()
    width = len(rows[0])
    uneven = [place for (place, *_), row in zip(cases, rows, strict=True) if len(row) != width]
    if uneven:
        problems.add(f"{listed(uneven)} have another number of files than the first case", "complete every case")
    if width > 1 and len(channels) != width:
        problems.add(
            f"a case has {width} files and {len(channels)} channels are named", "correct channel_names in dataset.json"
        )
    problems.raise_any()
    index = pd.Index([place for place, *_ in cases], name="case")
    columns: dict[str, list[str]] = {"case_id": [str(number) for number in range(1, len(cases) + 1)]}
    if width == 1:
        columns["image"] = [str(row[0]) for row in rows]
    else:
        columns |= {f"image.{name}": [str(row[n]) for row in rows] for n, name in enumerate(channels)}
    columns[MASK] = [str(mask) for *_, mask in cases]
    table = pd.DataFrame({name: pd.Series(values, index=index, dtype="str") for name, values in columns.items()})
    notes = []
    tests = facts.get("test")
    if isinstance(tests, list) and tests:
        notes.append(f"{len(tests)} test images of dataset.json have no mask and are left out.")
    name = facts.get("name")
    return DataSet(table, channels, labels, name if isinstance(name, str) and name else file.parent.name, tuple(notes))


def _facts(file: Path) -> dict[str, Any]:
    """Return the JSON object of a file."""
    try:
        if file.stat().st_size > MAX_BYTES:
            raise InputError(f"has more than {MAX_BYTES:,} bytes", where=str(file), fix="give a dataset.json")
        facts = json.loads(file.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise InputError("does not exist", where=str(file), fix="correct the path") from error
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"is no JSON that can be read ({error})", where=str(file), fix="copy it again") from error
    if not isinstance(facts, dict) or "labels" not in facts:
        raise InputError(
            "is no dataset.json of Decathlon or nnU-Net: it names no labels", where=str(file), fix="give a table"
        )
    return facts


def _labels(facts: dict[str, Any], problems: Problems) -> dict[str, str]:
    """Return integer (as text) to name; Decathlon writes ``{"1": "Anterior"}``, nnU-Net 2 ``{"Anterior": 1}``."""
    raw = facts["labels"]
    if not isinstance(raw, dict) or not raw:
        problems.add("'labels' holds no labels", "write for example {'background': 0, 'lesion': 1}")
        return {}
    found: dict[str, str] = {}
    for key, value in raw.items():
        if isinstance(value, list):
            problems.add(
                f"the label {key!r} is a region of several integers, which is not read",
                "give every integer a name of its own",
            )
            continue
        code, name = (key, value) if isinstance(value, str) else (value, key)
        if isinstance(code, bool) or not str(code).isdigit():
            problems.add(f"the label {name!r} has no whole number but {code!r}", "correct labels in dataset.json")
            continue
        if str(name).lower() == "ignore":
            problems.add(
                "an 'ignore' label marks unlabelled voxels, which is not read", "give fully labelled masks, or a table"
            )
        number = str(int(code))
        if number in found:
            problems.add(f"the label {number} is named twice", "correct labels in dataset.json")
        found[number] = str(name).strip()
    found.pop("0", None)
    if not found and not problems.found:
        problems.add("'labels' names nothing but the background", "correct labels in dataset.json")
    return found


def _channels(facts: dict[str, Any], problems: Problems) -> tuple[str, ...]:
    """Return names of the channels, of ``channel_names`` or ``modality``, in the order of their numbers."""
    raw = facts.get("channel_names", facts.get("modality", {}))
    if isinstance(raw, list):
        raw = {str(number): name for number, name in enumerate(raw)}
    if not isinstance(raw, dict) or not all(str(key).isdigit() and isinstance(raw[key], str) for key in raw):
        problems.add("the names of the channels cannot be read", 'write for example {"0": "T1", "1": "FLAIR"}')
        return ()
    names = [str(raw[key]).strip() for key in sorted(raw, key=int)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        problems.add(f"two channels are called {twice[0]!r}", "give every channel a name of its own")
    return tuple(names)


def _listed_cases(facts: dict[str, Any], folder: Path, problems: Problems) -> list[tuple[str, list[Path], Path]] | None:
    """Return the cases of ``training`` (Decathlon, nnU-Net 1) or ``dataset`` (nnU-Net 2); None without either."""
    entries: list[Any] | None = None
    if isinstance(facts.get("training"), list):
        entries = facts["training"]
    elif isinstance(facts.get("dataset"), dict):
        entries = list(facts["dataset"].values())
    if entries is None:
        return None
    cases = []
    for number, entry in enumerate(entries):
        place = f"training[{number}]"
        images = entry.get("images", entry.get("image")) if isinstance(entry, dict) else None
        label = entry.get("label") if isinstance(entry, dict) else None
        images = [images] if isinstance(images, str) else images
        if (
            not isinstance(images, list)
            or not all(isinstance(one, str) for one in images)
            or not isinstance(label, str)
        ):
            problems.add(f"{place} names no image and label", "correct dataset.json")
            continue
        paths = [_inside(one, folder, place, problems) for one in images]
        mask = _inside(label, folder, place, problems)
        if mask is not None and all(path is not None for path in paths):
            cases.append((place, [path for path in paths if path is not None], mask))
    return cases


def _found_cases(facts: dict[str, Any], folder: Path, problems: Problems) -> list[tuple[str, list[Path], Path]]:
    """Return the cases of ``labelsTr`` with their ``imagesTr/<case>_0000<ending>`` and on (nnU-Net 2)."""
    ending = facts.get("file_ending", ".nii.gz")
    if not isinstance(ending, str) or not ending.startswith(".") or "/" in ending or os.sep in ending:
        problems.add(f"file_ending {ending!r} is no suffix", "write for example .nii.gz")
        return []
    images, masks = folder / "imagesTr", folder / "labelsTr"
    for home in (images, masks):
        if not home.is_dir():
            problems.add(f"there is no folder {home.name!r}, and no list of cases", "give the whole data set")
    if problems.found:
        return []
    by_case: dict[str, list[Path]] = {}
    for path in sorted(images.iterdir()):
        stem = path.name.removesuffix(ending)
        case, underscore, number = stem.rpartition("_")
        if path.name.endswith(ending) and underscore and len(number) == 4 and number.isdigit():
            by_case.setdefault(case, []).append(path)
    cases: list[tuple[str, list[Path], Path]] = []
    without: list[str] = []
    for path in sorted(masks.iterdir()):
        if not path.name.endswith(ending) or path.name.startswith("."):
            continue
        case = path.name.removesuffix(ending)
        if case in by_case:
            cases.append((f"labelsTr[{len(cases)}]", by_case[case], path))
        else:
            without.append(path.name)
    if without:
        problems.add(
            f"{listed(without, 'mask')} of labelsTr have no image <case>_0000{ending} in imagesTr", "complete imagesTr"
        )
    return cases


def _inside(text: str, folder: Path, place: str, problems: Problems) -> Path | None:
    """Return a path of the file, bounded to its folder (links included)."""
    path = Path(os.path.normpath(folder / text))
    if Path(text).is_absolute() or not path.is_relative_to(folder) or "\x00" in text:
        problems.add(f"{place} names a path outside the folder", "correct dataset.json")
        return None
    if not path.resolve().is_relative_to(folder.resolve()):
        problems.add(f"{place} leads outside the folder by a link", "copy the file into the folder")
        return None
    return path


def _spread(images: list[Path], channels: int) -> list[Path]:
    """Return a case's files: nnU-Net 1 lists ``case.nii.gz`` for ``case_0000.nii.gz`` and on."""
    if len(images) != 1 or images[0].exists():
        return images
    for ending in (".nii.gz", *images[0].suffixes[-1:]):
        if images[0].name.endswith(ending):
            stem = images[0].name.removesuffix(ending)
            files = [images[0].with_name(f"{stem}_{number:04d}{ending}") for number in range(max(channels, 1))]
            if all(file.exists() for file in files):
                return files
            break
    return images
