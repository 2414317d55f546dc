"""From what a user points at (pictures, folders, tables, arrays) to a list of cases to read."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from semeion.cohort.arrays import DAMAGED, array_header
from semeion.cohort.sniff import HEAD, SUFFIXES, image_format
from semeion.errors import InputError, nearest
from semeion.prepare.covariates import refuse_absent

if TYPE_CHECKING:
    import pandas as pd

    Images = str | os.PathLike[str] | npt.NDArray[Any] | pd.DataFrame | Iterable[str | os.PathLike[str]]

TABLE_SUFFIXES = frozenset({".csv", ".tsv", ".xlsx", ".parquet"})


@dataclass(frozen=True)
class Case:
    """One case to read.

    Attributes
    ----------
    case_id
        From the table; a running number from 1 for loose pictures.
    image
        The picture as it was given, valid UTF-8.
    source
        What :func:`semeion.cohort.reading.read_image` or :func:`semeion.cohort.volumes.read.read_volume` takes, an
        array uint8 (H, W) or (H, W, C), or None when the table names no picture.
    others
        The case's further images in the order of their names; None where the table names none.
    covariates
        What the table says of the patient, by column.
    named
        Whether a table gave the id.
    site, scanner
        What columns of these names say of where the images come from; empty where there is no such column.
    patient
        What a column ``patient_id`` says; empty where there is none.
    """

    case_id: str
    image: str
    source: str | npt.NDArray[np.uint8] | None
    others: tuple[str | None, ...] = ()
    covariates: Mapping[str, Any] = field(default_factory=dict)
    named: bool = False
    site: str = ""
    scanner: str = ""
    patient: str = ""


@dataclass(frozen=True)
class Wanted:
    """What a model's cases consist of: volumes or pictures, the names of several images a case, and covariates."""

    volumes: bool = False
    names: tuple[str, ...] = ()
    covariates: tuple[str, ...] = ()


_PICTURES = Wanted()


def list_cases(images: Images, wanted: Wanted = _PICTURES) -> list[Case]:
    """Return the cases that `images` holds, in order.

    Parameters
    ----------
    images
        Files, folders (searched with their subfolders, in the order of the names), tables (csv, tsv, xlsx, parquet with
        a column ``image``, relative to the table, and perhaps ``case_id``; other columns are ignored), MedMNIST npz
        files, one of these or several; a data frame with the same columns (relative to the current folder); or an array
        uint8 (N, H, W) or (N, H, W, C) with C of 1 or 3. Of volumes: files or folders of DICOM files, and a folder
        above them is searched for both.
    wanted
        What a case consists of. Several images a case come from a table with the columns ``image.<name>``, or as files
        of one case given in the order of the names, or as one file that holds all channels. Covariates come from a
        table.

    Raises
    ------
    InputError
        A table that cannot be used or lacks the column of a channel or covariate, loose pictures for a model that needs
        covariates, a folder or an npz file without images, an array
        of another kind, or nothing at all. A single picture that does not exist is no error here: its case fails.
    """
    if isinstance(images, np.ndarray):
        _refuse_loose(wanted, "images")
        if wanted.volumes or wanted.names:
            raise InputError("an array has no geometry and no channels", where="images", fix="give the files")
        return _array_cases(images)
    if isinstance(images, (str, os.PathLike)):
        images = [images]
    elif hasattr(images, "columns") and hasattr(images, "iloc"):  # a data frame, known without importing pandas
        return _unique(_frame_cases(cast("pd.DataFrame", images), "the table", Path(), 0, wanted))
    items = list(images)
    cases: list[Case] = []
    for item in items:
        if not isinstance(item, (str, os.PathLike)):
            raise InputError(
                f"an image was given as {type(item).__name__}", where="images", fix="give paths, a table or one array"
            )
        cases.extend(_path_cases(os.fspath(item), len(cases), wanted))
    if not cases:
        raise InputError("no images were given", where="images", fix="give pictures, folders or tables")
    if len(wanted.names) > 1:
        cases = _gathered(cases, len(items), wanted.names)
    return _unique(cases)


def _gathered(cases: list[Case], given: int, names: Sequence[str]) -> list[Case]:
    """Return loose files as one case of several images; cases of tables, and files that hold all images, stay."""
    loose = [case for case in cases if not case.others]
    if not loose or (len(cases) == 1 and given == 1):
        return cases
    if len(cases) != len(names) or len(loose) != len(cases):
        raise InputError(
            f"a case has {len(names)} images ({', '.join(names)}), and {len(cases)} files were given",
            where="images",
            fix="give the files of one case in this order, or a table with the columns "
            + ", ".join(f"image.{name}" for name in names),
        )
    others = tuple(case.source for case in cases[1:] if isinstance(case.source, str))
    return [Case("1", cases[0].image, cases[0].source, others)]


def _path_cases(text: str, before: int, wanted: Wanted) -> Iterable[Case]:
    path = Path(text)
    suffix = path.suffix.lower()
    if suffix not in TABLE_SUFFIXES or path.is_dir():
        _refuse_loose(wanted, text)
    if path.is_dir() and wanted.volumes:
        return _loose(_volumes_below(text), before)
    if path.is_dir():
        files = list(_folder_files(text))
        if not files:
            raise InputError(
                "the folder holds no images", where=text, fix="give a folder with pictures, or the pictures"
            )
        return _loose(files, before)
    if suffix in TABLE_SUFFIXES:
        from semeion.cohort.table import read_table

        return _frame_cases(read_table(path)[0], text, path.parent, before, wanted)
    if suffix == ".npz" and path.is_file():
        return _loose(_npz_references(text), before)
    return _loose([text], before)


def _refuse_loose(wanted: Wanted, where: str) -> None:
    """Refuse images without a table where a model needs more than images."""
    if wanted.covariates:
        columns = [*(f"image.{name}" for name in wanted.names), *wanted.covariates]
        raise InputError(
            f"the model needs the covariate{'s' * (len(wanted.covariates) > 1)} {', '.join(wanted.covariates)}, and "
            "images alone have none",
            where=where,
            fix=f"give a table with the columns {', '.join(columns if wanted.names else ['image', *columns])}",
        )


def _loose(references: Sequence[str], before: int) -> list[Case]:
    return [Case(str(before + number), _utf8(text), text) for number, text in enumerate(references, 1)]


def _volumes_below(folder: str) -> list[str]:
    """Return the volumes under a folder: research files, and folders that hold DICOM files themselves."""
    from semeion.cohort.volumes.read import volume_format

    found: list[str] = []
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        kinds = {}
        for name in sorted(files):
            if name.startswith(".") or name.upper() == "DICOMDIR":
                continue
            path = _joined(parent, name)
            try:
                kinds[path] = volume_format(path)
            except OSError:  # its case fails and says why
                kinds[path] = "nifti" if name.endswith((".nii", ".nii.gz")) else None
        if "dicom" in kinds.values():
            found.append(parent)
            folders.clear()
        found += [path for path, kind in kinds.items() if kind not in ("dicom", None)]
    if not found:
        raise InputError("the folder holds no volumes", where=folder, fix="give NIfTI, NRRD, MetaImage or DICOM")
    return found


def _folder_files(folder: str) -> Iterator[str]:
    """Yield the images under a folder, sorted; hidden files and links to folders are passed over."""
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = _joined(parent, name)
            if not name.startswith(".") and (Path(name).suffix.lower() in SUFFIXES or _is_nameless(path, name)):
                yield path


def _is_nameless(path: str, name: str) -> bool:
    """Say whether a file without a suffix, or with part of a DICOM UID for one, is an image; a DICOMDIR is none."""
    suffix = Path(name).suffix
    if name.upper() == "DICOMDIR" or not (suffix == "" or suffix[1:].isdigit()):
        return False
    try:
        with Path(path).open("rb") as file:
            return image_format(file.read(HEAD)) is not None
    except OSError:
        return False


def _npz_references(text: str) -> list[str]:
    """Return ``file.npz#array[row]`` for every row of every image array, from the arrays' headers alone."""
    references: list[str] = []
    try:
        with zipfile.ZipFile(text) as archive:
            for member in archive.namelist():
                if not member.endswith("images.npy"):
                    continue
                with archive.open(member) as file:
                    shape = array_header(file, text)[0]
                if len(shape) not in (3, 4) or shape[0] > 10_000_000:
                    raise InputError(
                        f"the array {member.removesuffix('.npy')} of shape {shape} is not a stack of 2-D images",
                        where=text,
                        fix="give an npz file in the MedMNIST layout",
                    )
                references += [f"{text}#{member.removesuffix('.npy')}[{row}]" for row in range(shape[0])]
    except DAMAGED as error:
        raise InputError(f"not a readable npz file ({error})", where=text, fix="get the file again") from error
    if not references:
        raise InputError(
            "the npz file has no image arrays (train_images, val_images, test_images)",
            where=text,
            fix="give an npz file in the MedMNIST layout",
        )
    return references


def _frame_cases(table: pd.DataFrame, where: str, folder: Path, before: int, sought: Wanted) -> list[Case]:
    names = [str(name) for name in table.columns]
    wanted = sought.names
    several = [name for name in names if name == "image" or name.startswith("image.")]
    if wanted and several != ["image"]:
        several = [f"image.{name}" for name in wanted]
        missing = [name for name in several if name not in names]
        if missing:
            raise InputError(
                f"the table has no column {', '.join(map(repr, missing))}{nearest(missing[0], names)}",
                where=where,
                fix=f"a case has {len(wanted)} images: give {', '.join(several)}",
            )
    elif len(several) > 1:
        raise InputError(
            f"several images a case ({', '.join(several[:5])}), and the model takes one",
            where=where,
            fix="keep one column 'image'",
        )
    if not several:
        raise InputError(
            f"the table has no column 'image'{nearest('image', names)}",
            where=where,
            fix="name the column of the pictures 'image'",
        )
    refuse_absent(sought.covariates, names, where)
    if len(table) == 0:
        raise InputError("the table has no rows", where=where, fix="give a table with one row a case")
    images = _texts(table, several[0])
    columns = [_texts(table, name) for name in several[1:]]
    rest = list(zip(*columns, strict=True)) if columns else [()] * len(images)
    ids = _texts(table, "case_id") if "case_id" in names else [""] * len(images)
    if "case_id" in names and "" in ids:
        raise InputError(
            f"row {table.index[ids.index('')]} has no case_id",
            where=where,
            fix="give every case an id, or drop the column",
        )
    origins = ("site", "scanner", "patient_id")
    sites, scanners, patients = (_texts(table, name) if name in names else [""] * len(images) for name in origins)
    return [
        Case(
            _utf8(case_id) or str(before + number),
            _utf8(image),
            _beside(folder, image),
            tuple(_beside(folder, other) for other in others),
            known,
            case_id != "",
            site,
            scanner,
            patient,
        )
        for number, (case_id, image, others, known, site, scanner, patient) in enumerate(
            zip(ids, images, rest, _covariates(table, sought.covariates), sites, scanners, patients, strict=True), 1
        )
    ]


def _covariates(table: pd.DataFrame, names: Sequence[str]) -> list[dict[str, Any]]:
    columns = [table[name].astype(object).tolist() for name in names]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)] if names else [{}] * len(table)


def _beside(folder: Path, reference: str) -> str | None:
    return _joined(folder, reference) if reference else None


def _joined(folder: str | Path, name: str) -> str:
    """Return a path that a reader finds again as it was given: pathlib would take ``./`` off it."""
    return os.path.join(folder, name)  # noqa: PTH118


def _texts(table: pd.DataFrame, name: str) -> list[str]:
    column = table[name]
    return ["" if missing else str(value).strip() for value, missing in zip(column, column.isna(), strict=True)]


def _array_cases(images: npt.NDArray[Any]) -> list[Case]:
    grey_or_colour = images.ndim == 3 or (images.ndim == 4 and images.shape[3] in (1, 3))
    if images.dtype != np.uint8 or not grey_or_colour or images.size == 0:
        raise InputError(
            f"an array of images must be uint8 (N, H, W) or (N, H, W, C) with C of 1 or 3, got {images.dtype} "
            f"{images.shape}",
            where="images",
            fix="convert it, or give the files",
        )
    return [Case(str(number), f"array[{number - 1}]", image) for number, image in enumerate(images, 1)]


def _unique(cases: list[Case]) -> list[Case]:
    seen: set[str] = set()
    for case in cases:
        if case.case_id in seen:
            raise InputError(
                f"the case id {case.case_id!r} occurs twice",
                where="images",
                fix="correct the tables, or read tables and loose pictures one after the other",
            )
        seen.add(case.case_id)
    return cases


def _utf8(text: str) -> str:
    """Return `text` with bytes that are no UTF-8 (possible in file names) written as escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
