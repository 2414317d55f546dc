"""Errors for series whose geometry cannot be trusted: each names the DICOM tag, the numbers and what to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from semeion.errors import ImageError

_AGAIN = "export the whole series again, or leave the case out with --skip-bad"


def missing(tag: str, names: Sequence[str], total: int, where: str) -> ImageError:
    """Return the error for an element that some or all slices lack."""
    shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    return ImageError(
        f"{len(names)} of {total} slices have no {tag}: {shown}",
        where=where,
        fix="export the series again with its geometry; a volume without it is not guessed at",
    )


def mixed(tag: str, values: Sequence[str], where: str, fix: str = "name one of the volumes it holds") -> ImageError:
    """Return the error for slices that differ where they must agree, with how many slices have which value."""
    counts = Counter(values).most_common()
    shown = ", ".join(f"{count} with {value}" for value, count in counts[:4]) + (", ..." if len(counts) > 4 else "")
    return ImageError(f"its slices differ in {tag}: {shown}", where=where, fix=fix)


def turned(angle: float, name: str, where: str) -> ImageError:
    """Return the error for a slice whose plane is not that of the others."""
    return ImageError(
        f"slice {name} is turned by {angle:.2f} degrees against the first (0020,0037)",
        where=where,
        fix="name one of the volumes it holds, or leave the slice out",
    )


def crooked(off: float, name: str, where: str) -> ImageError:
    """Return the error for direction cosines that are no perpendicular unit vectors."""
    return ImageError(
        f"the direction cosines (0020,0037) of {name} are not perpendicular unit vectors (off by {off:.4f})",
        where=where,
        fix="export the series again; its directions are not guessed at",
    )


def duplicate(place: float, names: Sequence[str], where: str) -> ImageError:
    """Return the error for slices with one position (0020,0032) and different content."""
    shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    return ImageError(
        f"{len(names)} slices lie at one position, {place:.2f} mm along the normal (0020,0032): {shown}",
        where=where,
        fix="leave out the slices that do not belong, or name one of the volumes it holds",
    )


def uneven_counts(counts: Sequence[int], where: str) -> ImageError:
    """Return the error for positions that do not all hold the same number of frames."""
    shown = ", ".join(f"{n} positions hold {count}" for count, n in sorted(Counter(counts).items(), reverse=True)[:4])
    return ImageError(
        f"is no whole series of frames: {shown} slices each (0020,0032)",
        where=where,
        fix="copy or export the series again, it may be half copied",
    )


def beside(place: float, off: float, names: Sequence[str], where: str) -> ImageError:
    """Return the error for slices in one plane that are shifted against each other."""
    return ImageError(
        f"slices {names[0]} and {names[1]} lie in one plane, {place:.2f} mm along the normal, "
        f"{off:.2f} mm beside each other (0020,0032)",
        where=where,
        fix="name one of the volumes it holds",
    )


def gap(widest: float, step: float, at: float, limit: float, where: str) -> ImageError:
    """Return the error for a gap that is too wide to be filled."""
    missing_slices = round(widest / step) - 1
    return ImageError(
        f"a gap of {widest:.2f} mm at {at:.2f} mm along the normal, where slices are {step:.2f} mm apart (0020,0032): "
        f"about {missing_slices} missing, and gaps are filled up to {limit:.2f} mm",
        where=where,
        fix=_AGAIN,
    )


def refused(what: str, where: str, option: str) -> ImageError:
    """Return the error for a fault that could be corrected and is not by the caller's wish."""
    return ImageError(what, where=where, fix=f'export it with an even grid, or allow {option}="correct"')


def wandering(off: float, name: str, where: str) -> ImageError:
    """Return the error for slices whose shift in the plane follows no tilt."""
    return ImageError(
        f"slice {name} lies {off:.2f} mm beside the line through the other slices (0020,0032)",
        where=where,
        fix=_AGAIN,
    )


def too_tilted(angle: float, most: float, where: str) -> ImageError:
    """Return the error for slices that slide over one another more than a gantry can tilt."""
    return ImageError(
        f"its slices are stacked at {angle:.1f} degrees to their normal (0020,0032); up to {most:.0f} are corrected",
        where=where,
        fix=_AGAIN,
    )


def no_thickness(where: str) -> ImageError:
    """Return the error for a single slice of unknown thickness."""
    return ImageError(
        "is one slice without SliceThickness (0018,0050) or SpacingBetweenSlices (0018,0088)",
        where=where,
        fix="export it with its geometry, or name it as a picture",
    )
