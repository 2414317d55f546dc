"""Several images a case: channels of one grid, frames of one anatomy, or views of other planes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from semeion.cohort.problems import Problems, listed
from semeion.errors import nearest

if TYPE_CHECKING:
    import pandas as pd

    from semeion.cohort.cohort import Cohort, CohortOptions

Kind = Literal["picture", "volume"]
Role = Literal["single", "channels", "frames", "views"]
ALL = "*"
"""Stands for every ``image.<name>`` column, where an option names none."""
LOOKED_AT = 64
"""Cases whose headers are read to infer a role; the scan checks every case afterwards."""
FLAGS = (
    "say what they are: --channels (same grid, other contrast), --frames ED,ES (same anatomy, other time) or "
    "--views axial,coronal (other plane or projection)"
)
_FRAMES = {"ed", "es"}
_SAME_PLANE = 0.9
"""Cosine between two slice normals above which two volumes count as cut in the same plane."""


@dataclass(frozen=True)
class ImageRole:
    """What the images of a case are.

    Attributes
    ----------
    kind
        Pictures, or volumes with geometry.
    role
        ``single``, or what several images of a case are to one another.
    names
        Of the images, in the order of the ``image.<name>`` columns that are used. Without such columns (a file that
        holds all channels or frames itself) the names of its planes. Empty for a single image.
    """

    kind: Kind = "picture"
    role: Role = "single"
    names: tuple[str, ...] = ()


def image_columns(cohort: Cohort) -> tuple[str, ...]:
    """Return the columns that hold the images: ``image``, or ``image.<name>`` in the order of the role's names."""
    several = tuple(f"image.{name}" for name in cohort.images.names)
    return several if several and all(name in cohort.table.columns for name in several) else ("image",)


def image_references(cohort: Cohort) -> list[tuple[str, ...]]:
    """Return each case's references to its images, in the order of the role's names."""
    return [tuple(map(str, row)) for row in cohort.table[list(image_columns(cohort))].itertuples(index=False)]


def mask_columns(cohort: Cohort) -> tuple[str, ...]:
    """Return the columns that hold masks: the target's own when it is one, else ``mask``, else one a named image."""
    names = [cohort.target.name] if cohort.target.task == "segmentation" else ["mask"]
    found = tuple(name for name in names if name in cohort.table.columns)
    return found or tuple(f"mask.{n}" for n in cohort.images.names if f"mask.{n}" in cohort.table.columns)


def mask_references(cohort: Cohort) -> list[tuple[str | None, ...]]:
    """Return each case's references to its masks, None where it has none; empty tuples without a column of masks."""
    columns = list(mask_columns(cohort))
    if not columns:
        return [()] * len(cohort.table)
    rows = cohort.table[columns].itertuples(index=False)
    return [tuple(str(cell) if isinstance(cell, str) else None for cell in row) for row in rows]


def asked_role(options: CohortOptions, problems: Problems) -> tuple[Role, tuple[str, ...]] | None:
    """Return the role that an option names with its names; None when none was given."""
    given: tuple[tuple[Role, tuple[str, ...]], ...] = (
        ("channels", options.channels),
        ("frames", options.frames),
        ("views", options.views),
    )
    asked = [(role, names) for role, names in given if names]
    if len(asked) > 1:
        flags = " and ".join(f"--{role}" for role, _ in asked)
        problems.add(f"{flags} are both given, and the images of a case have one role", "leave one out")
    return asked[0] if asked else None


def several_columns(
    columns: Sequence[str], asked: tuple[Role, tuple[str, ...]] | None, problems: Problems
) -> tuple[str, ...]:
    """Return the ``image.<name>`` columns that are used, in the order asked for or that of the table."""
    several = [name for name in columns if name.startswith("image.") and len(name) > len("image.")]
    if several and "image" in columns:
        problems.add(
            f"'image' stands beside {listed(several)}, so nobody knows which images a case has",
            "rename 'image' to 'image.<name>', or remove it",
        )
    if asked is None or asked[1] == (ALL,) or not several:
        return tuple(several)
    role, names = asked
    held = [name.removeprefix("image.") for name in several]
    for name in dict.fromkeys(names):
        if name not in held:
            problems.add(
                f"no column 'image.{name}' (--{role}){nearest(name, held)}", f"choose of {listed(map(repr, held))}"
            )
        if names.count(name) > 1:
            problems.add(f"--{role} names {name!r} twice", "name each image once")
    return tuple(f"image.{name}" for name in dict.fromkeys(names) if name in held)


def find_image_role(
    frame: pd.DataFrame, columns: Sequence[str], options: CohortOptions, kind: Kind, problems: Problems
) -> ImageRole:
    """Decide what the images of a case are: as asked, or inferred where there is no doubt.

    Parameters
    ----------
    frame
        The cohort's table with absolute references.
    columns
        The columns of images in order: ``image`` alone, or ``image.<name>``.
    options
        ``channels``, ``frames`` and ``views`` are used.
    kind
        Of the cohort's images.
    problems
        Takes what is wrong: several images whose role is not sure, or a role of a picture that has one plane only.
    """
    asked = asked_role(options, Problems(""))
    names = tuple(name.removeprefix("image.") for name in columns if name.startswith("image."))
    if len(columns) == 1:
        return _one_file(asked, names, kind, problems)
    if asked is not None:
        return ImageRole(kind, asked[0], names)
    if {name.lower() for name in names} == _FRAMES:
        return ImageRole(kind, "frames", names)
    role, why = _infer([tuple(map(str, row)) for row in frame[list(columns)].itertuples(index=False)], kind)
    if role is None:
        problems.add(f"there are several images a case ({listed(names)}), and {why}", FLAGS)
        return ImageRole(kind, "single", names)
    return ImageRole(kind, role, names)


def _one_file(
    asked: tuple[Role, tuple[str, ...]] | None, names: tuple[str, ...], kind: Kind, problems: Problems
) -> ImageRole:
    """Return the role of a table with one image a case: its file may hold several planes, which an option names."""
    if asked is None:
        return ImageRole(kind)
    role, wanted = asked
    if names and wanted in ((ALL,), names):
        return ImageRole(kind)
    if role == "views" or kind == "picture" or wanted == (ALL,):
        problems.add(
            f"--{role} needs several images a case, and the table has one column of images",
            f"name the columns image.<name>, or leave --{role} out",
        )
    return ImageRole(kind, role, wanted)


def _infer(references: list[tuple[str, ...]], kind: Kind) -> tuple[Role | None, str]:
    """Return the role of several images from the headers of some cases, or None and the reason of doubt."""
    chosen = np.unique(np.linspace(0, len(references) - 1, min(LOOKED_AT, len(references))).astype(int))
    verdicts = [_compare(references[row], kind) for row in chosen]
    known = [verdict for verdict in verdicts if verdict is not None]
    if not known:
        return None, "none of those looked at can be read, so nothing shows what they are"
    same = sum(known)
    if same == 0:
        return "views", ""
    if same < len(known):
        return None, f"they lie on one grid in {same} of {len(known)} cases looked at and not in the others"
    if kind == "picture":
        return None, "pictures of one size may be channels, frames or views"
    return "channels", ""


def _compare(references: tuple[str, ...], kind: Kind) -> bool | None:
    """Tell whether the images of one case agree in grid (pictures: in size); None when one cannot be read."""
    from semeion.errors import ImageError

    try:
        if kind == "picture":
            from semeion.cohort.reading import read_image

            sizes = {read_image(ref).pixels.shape[:2] for ref in references}
            return len(sizes) == 1
        from semeion.cohort.volumes.read import read_grid, read_volume

        grids = [read_grid(ref) or read_volume(ref).grid for ref in references]
    except ImageError:
        return None
    first = grids[0]
    if all(first.same_as(other) for other in grids[1:]):
        return True
    normals = [grid.matrix[:, 2] for grid in grids]
    turned = any(abs(float(normals[0] @ normal)) < _SAME_PLANE for normal in normals[1:])
    if turned or any(first.size != other.size for other in grids[1:]):
        return False
    # Equal size and plane but shifted: neither one grid nor surely another view.
    return None


def find_structures(
    columns: Sequence[str], options: CohortOptions, task: str | None, images: ImageRole, problems: Problems
) -> dict[str, int]:
    """Return the structures that ``--structures`` names in the masks, name to number; empty when none are named.

    Parameters
    ----------
    columns
        Of the cohort's table.
    options
        ``structures`` is used: number (as text) to name.
    task
        Of the target; None when it is not known.
    images
        What the images of a case are: frames and views have a mask each, others one a case.
    problems
        Takes what is wrong: numbers that are none, a task or images that are not diagnosed from measurements, or a
        column of masks that is missing.
    """
    if not options.structures:
        return {}
    found: dict[str, int] = {}
    for code, name in options.structures.items():
        if not code.isdigit() or not 1 <= int(code) <= 255:
            problems.add(
                f"--structures names {code!r}, and masks hold whole numbers from 1 to 255", "correct the number"
            )
        elif name in found:
            problems.add(f"--structures names {name!r} twice", "give each number a name of its own")
        else:
            found[name] = int(code)
    if task not in (None, "binary", "multiclass", "ordinal"):
        problems.add(
            f"--structures measures for a diagnosis of classes, and the target is a {task}", "leave --structures out"
        )
    if images.kind != "volume":
        problems.add("--structures measures volumes, and the images are pictures", "leave --structures out")
        return found
    several = images.role in ("frames", "views")
    if images.names and f"image.{images.names[0]}" not in columns:
        problems.add(
            f"--structures reads each of {listed(images.names)} from a file of its own, and the table has one column",
            "save them as single volumes and name the columns image.<name>",
        )
    wanted = [f"mask.{name}" for name in images.names] if several else ["mask"]
    lacking = [name for name in wanted if name not in columns]
    if lacking:
        problems.add(
            f"--structures needs reference masks, and there is no column {listed(map(repr, lacking))}",
            "add the column, or leave --structures out",
        )
    return found
