"""Standardised uptake value by body weight: what factor makes it of the stored values of a PET series.

The vendor-neutral rules of the QIBA FDG-PET/CT profile (appendix G; "SUV calculation", QIBA wiki): values in BQML are
divided by the activity injected per gram of body weight, decayed to the time to which the scanner corrected the image;
values in GML by body weight are SUV already; counts (CNTS) need the factor that Philips stores. What a series does not
say is not assumed: it is refused, and the element is named.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from semeion.errors import ImageError

_MOST_UPTAKE = timedelta(hours=24)
_ISOTOPES = {"18F": 6586.2, "11C": 1223.4, "68GA": 4062.6, "13N": 597.9, "15O": 122.24, "82RB": 75.5, "64CU": 45721.1}
"""Half lives in seconds, only to tell a header that contradicts its own radionuclide (0054,0300)."""


def suv_factor(dataset: Any, earliest: datetime | None, where: str) -> float:
    """Return the factor from rescaled values to SUV by body weight, in g/ml.

    Parameters
    ----------
    dataset
        Header of one slice.
    earliest
        Earliest acquisition of the series, None when its slices do not say: stands for the series time where that was
        rewritten after the acquisition.

    Raises
    ------
    ImageError
        When an element that the rules need is missing, no number, or says that values are not comparable.
    """
    units = _text(dataset, "Units", where, "(0054,1001)").upper()
    if units == "GML":
        kind = str(dataset.get("SUVType") or "BW").strip().upper()
        if kind != "BW":
            raise _refused(f"holds uptake values by {kind} (0054,1006), not by body weight", where)
        return 1.0
    _corrected(dataset, where)
    if units == "CNTS":
        factor = _philips(dataset, 0x00)
        if factor:
            return factor
        concentration = _philips(dataset, 0x09)
        if not concentration:
            raise _missing("SUV Factor (7053,xx00) or Activity Concentration Factor (7053,xx09) of Philips", where)
        return concentration * _per_becquerel(dataset, earliest, where)
    if units != "BQML":
        raise _refused(f"has the unit {units} (0054,1001); BQML, GML and CNTS of Philips can be made SUV", where)
    return _per_becquerel(dataset, earliest, where)


def series_factors(datasets: Sequence[Any], where: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the factor of each slice of a series."""
    times = [time for dataset in datasets if (time := _moment(dataset, "Acquisition", where)) is not None]
    earliest = min(times) if len(times) == len(datasets) else None
    return np.array([suv_factor(dataset, earliest, where) for dataset in datasets])


def _per_becquerel(dataset: Any, earliest: datetime | None, where: str) -> float:
    """Return the factor from Bq/ml to g/ml: body weight in g over the activity at the time of decay correction."""
    weight = _number(dataset, "PatientWeight", where, "PatientWeight (0010,1030)")
    items = dataset.get("RadiopharmaceuticalInformationSequence")
    if not items:
        raise _missing("RadiopharmaceuticalInformationSequence (0054,0016)", where)
    if len(items) > 1:
        raise _refused(f"names {len(items)} radiopharmaceuticals (0054,0016)", where)
    dose = _number(items[0], "RadionuclideTotalDose", where, "RadionuclideTotalDose (0018,1074)")
    half_life = _number(items[0], "RadionuclideHalfLife", where, "RadionuclideHalfLife (0018,1075)")
    _same_isotope(items[0], half_life, where)
    if dose < 1e4:
        raise _refused(f"has an injected dose of {dose:g} Bq (0018,1074): other units than becquerel are likely", where)
    rule = str(dataset.get("DecayCorrection") or "").strip().upper()
    if rule == "ADMIN":
        return weight * 1000.0 / dose
    reference = _reference(dataset, rule, earliest, where)
    uptake = (reference - _injection(items[0], reference, where)).total_seconds()
    return float(weight * 1000.0 / (dose * 2.0 ** (-uptake / half_life)))


def _corrected(dataset: Any, where: str) -> None:
    """Refuse values that are not corrected for attenuation and decay."""
    enhanced = str(dataset.get("DecayCorrected") or "").strip().upper()
    done = dataset.get("CorrectedImage")
    words = {str(word).strip().upper() for word in ([done] if isinstance(done, str) else done or [])}
    if enhanced == "YES" and str(dataset.get("AttenuationCorrected") or "").strip().upper() == "YES":
        return
    if not words:
        raise _missing("CorrectedImage (0028,0051)", where)
    for word, name in (("ATTN", "attenuation"), ("DECY", "decay")):
        if word not in words:
            raise _refused(f"is not corrected for {name} (0028,0051)", where)


def _reference(dataset: Any, rule: str, earliest: datetime | None, where: str) -> datetime:
    """Return the time to which values were decay corrected."""
    explicit = _stamp(dataset.get("DecayCorrectionDateTime"), where, "DecayCorrectionDateTime (0018,9701)")
    if explicit is not None:
        return explicit
    if not rule:
        raise _missing("DecayCorrection (0054,1102)", where)
    if rule != "START":
        raise _refused(f"has DecayCorrection {rule} (0054,1102); START and ADMIN can be made SUV", where)
    series = _moment(dataset, "Series", where)
    acquired = _moment(dataset, "Acquisition", where)
    if series is None:
        raise _missing("SeriesDate (0008,0021) and SeriesTime (0008,0031)", where)
    if acquired is None:
        raise _missing("AcquisitionDate (0008,0022) and AcquisitionTime (0008,0032)", where)
    if series.date() == acquired.date() and series <= (earliest or acquired):
        return series
    # The series was written again later: GE keeps the time of the scan, else the first acquisition stands for it.
    ge = _private(dataset, 0x0009, "GEMS_PETD_01", 0x0D)
    scanned = _stamp(ge, where, "the scan's date and time (0009,xx0D)")
    if scanned is not None:
        return scanned
    if earliest is None:
        raise _missing("AcquisitionTime (0008,0032) in every slice, as SeriesTime is later than the acquisition", where)
    return earliest


def _injection(item: Any, reference: datetime, where: str) -> datetime:
    """Return when the activity was injected, before `reference`."""
    name = "RadiopharmaceuticalStartDateTime (0018,1078)"
    start = _stamp(item.get("RadiopharmaceuticalStartDateTime"), where, name)
    if start is None:
        text = str(item.get("RadiopharmaceuticalStartTime") or "").strip()
        if not text:
            raise _missing(
                "RadiopharmaceuticalStartDateTime (0018,1078) or RadiopharmaceuticalStartTime (0018,1072)", where
            )
        name = "RadiopharmaceuticalStartTime (0018,1072)"
        start = _stamp(reference.strftime("%Y%m%d") + text, where, name)
        if start is not None and start > reference:
            # A scan shortly after midnight; what cannot be that is a wrong clock.
            start -= timedelta(days=1)
            if reference - start > timedelta(hours=12):
                raise _refused(f"was injected after the scan began, by {name}", where)
    if start is None or not timedelta() <= reference - start <= _MOST_UPTAKE:
        raise _refused(f"has no plausible time between injection and scan, by {name}", where)
    return start


def _same_isotope(item: Any, half_life: float, where: str) -> None:
    codes = item.get("RadionuclideCodeSequence") or []
    meaning = str(codes[0].get("CodeMeaning") or "") if codes else ""
    plain = "".join(character for character in meaning.upper() if character.isalnum())
    for isotope, known in _ISOTOPES.items():
        number = "".join(c for c in isotope if c.isdigit())
        letters = isotope[len(number) :]
        symbol = {"F": "FLUORINE", "C": "CARBON", "N": "NITROGEN", "O": "OXYGEN"}.get(letters, letters)
        if plain in (isotope, letters + number, symbol + number, number + symbol) and abs(half_life / known - 1) > 0.05:
            raise _refused(
                f"has a half life of {half_life:g} s (0018,1075), and {meaning} decays in {known:g} s", where
            )


def _moment(dataset: Any, event: str, where: str) -> datetime | None:
    """Return date and time of an event (Series, Acquisition), None when either is missing."""
    both = _stamp(dataset.get(f"{event}DateTime"), where, f"{event}DateTime") if event == "Acquisition" else None
    date, time = (str(dataset.get(f"{event}{part}") or "").strip() for part in ("Date", "Time"))
    if date and time:
        return _stamp(date + time, where, f"{event}Date and {event}Time")
    return both


def _stamp(value: Any, where: str, name: str) -> datetime | None:
    """Return a DICOM date and time (PS3.5 6.2, DT), its zone dropped: a series is written in one."""
    text = str(value or "").strip().split("+")[0]
    text = text[:14] + text[14:].split("-")[0]
    if not text:
        return None
    whole, _, part = text.partition(".")
    try:
        if len(whole) < 12 or (part and not part.isdigit()):
            raise ValueError("too short")
        second = whole[12:14] or "00"
        found = datetime.strptime(whole[:12] + second, "%Y%m%d%H%M%S")
        return found + timedelta(seconds=float(f"0.{part}") if part else 0.0)
    except ValueError as error:
        raise _refused(f"has a date or time that cannot be understood, {name}", where) from error


def _text(holder: Any, keyword: str, where: str, tag: str) -> str:
    value = str(holder.get(keyword) or "").strip()
    if not value:
        raise _missing(f"{keyword} {tag}", where)
    return value


def _number(holder: Any, keyword: str, where: str, name: str) -> float:
    value = holder.get(keyword)
    if value in (None, ""):
        raise _missing(name, where)
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise _refused(f"has no number in {name}", where) from error
    if not np.isfinite(number) or number <= 0:
        raise _refused(f"has {number:g} in {name}", where)
    return number


def _philips(dataset: Any, element: int) -> float | None:
    value = _private(dataset, 0x7053, "Philips PET Private Group", element)
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if np.isfinite(number) and number > 0 else None


def _private(dataset: Any, group: int, creator: str, element: int) -> Any:
    try:
        return dataset.private_block(group, creator)[element].value
    except KeyError:
        return None


def _missing(name: str, where: str) -> ImageError:
    return ImageError(
        f"cannot be made SUV: {name} is missing",
        where=where,
        fix="export it with that element, or read it in its own unit",
    )


def _refused(what: str, where: str) -> ImageError:
    return ImageError(f"cannot be made SUV: it {what}", where=where, fix="correct it, or read it in its own unit")
