"""What an unused column holds, told by its name: the scanner, the site, dates, nothing clinical."""

from __future__ import annotations

import re
from typing import Literal

Kind = Literal["site", "scanner", "protocol"]


def _words(*lines: str) -> frozenset[str]:
    return frozenset(" ".join(lines).split())


_SITE = _words("site hospital centre center clinic institution institute facility department campus")
_SITE_WHOLE = _words("source dataset datasource imagesource origin country cohort collection provider")
_SCANNER = _words(
    "scanner manufacturer vendor maker equipment station firmware coil detector transducer camera sensor machine"
)
_SCANNER_WHOLE = _words(
    "model modelname scannermodel devicemodel device deviceid devicename imagingdevice serial serialnumber software",
    "softwareversion softwareversions probe system",
)
_PROTOCOL = _words("protocol kvp mas kernel tesla fov projection portable modality photometric compression")
_PROTOCOL_WHOLE = _words(
    "kv ma te tr echotime repetitiontime flipangle exposuretime fieldstrength magneticfieldstrength slicethickness",
    "slicespacing pixelspacing spacing resolution imageresolution matrix matrixsize view viewposition patientposition",
    "sequence sequencename pulsesequence seriesdescription weighting plane batch stain stainer magnification",
    "rows cols columns width height imagewidth imageheight imagesize slices frames nfiles orientation bits bitdepth",
    "bitsstored filetype fileformat filesize format transfersyntax convolutionkernel",
)
_CLINICAL = _words(
    "age sex gender weight bmi race ethnicity birth born dob death died diagnosis diagnosed outcome treatment therapy",
    "surgery biopsy histology pathology grade stage symptom symptoms smoking history implant pacemaker lesion tumor",
    "tumour nodule score label target class prediction probability mask comment comments note notes report",
)
"""A name with one of these words is clinical, or an answer, whatever else it says."""
_IDENTITY = _words("id ids uid mrn accession path file filename patient case subject")

_DATE = _words("date datetime dt timestamp year")
_ACQUIRED = _words(
    "acquisition acquired study scan scanned scanning imaging image imaged exam examination examined series content",
    "mri ct xray ultrasound mammogram mammography pet radiograph",
)
_ACQUIRED_WHOLE = _words("date datetime timestamp year acquiredon acquiredat scannedon scannedat")
_OUTCOME = _words(
    "outcome diagnosis diagnosed event death died deceased pathology biopsy histology recurrence progression relapse",
    "confirmation confirmed endpoint",
)
_TREATMENT = _words(
    "treatment treated therapy surgery operation operated resection chemotherapy chemo radiotherapy irradiation",
    "intervention transplant transplantation ablation medication",
)
_ENDS = _words("end ended stop stopped last completion completed finish finished planned next followup follow")
_BIRTH = _words("birth born dob birthdate")

STUDY_UID = frozenset(("studyuid", "studyinstanceuid"))
"""Names, without case and punctuation, of a column of DICOM study instance UIDs."""


def tokens(name: str) -> list[str]:
    """Return the words of a column's name in lower case: ``StudyDate`` and ``study_date`` are ``study date``."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[^\W\d_])(?=\d)|(?<=\d)(?=[^\W\d_])", " ", name)
    return [word for word in re.split(r"[\W_]+", apart.casefold()) if word]


def joined(name: str) -> str:
    """Return a name without case and punctuation."""
    return "".join(tokens(name))


def metadata_kind(name: str) -> Kind | None:
    """Return which kind of metadata a column holds by its name, None when none or clinical.

    A name counts by one of its words (``scanner_type``, ``hospital``), or as a whole where the word alone could mean
    something else (``source``, ``model``, ``view``, ``slice_thickness``). A clinical word in it (age, sex, treatment)
    or one of an identifier speaks against it.
    """
    words, whole = set(tokens(name)), joined(name)
    kinds: tuple[tuple[Kind, frozenset[str], frozenset[str]], ...] = (
        ("site", _SITE, _SITE_WHOLE),
        ("scanner", _SCANNER, _SCANNER_WHOLE),
        ("protocol", _PROTOCOL, _PROTOCOL_WHOLE),
    )
    for kind, one, wholes in kinds:
        if whole in one | wholes:
            return kind
    if words & (_CLINICAL | _DATE) or (words & _IDENTITY and not words & (_SCANNER | _SITE)):
        return None
    return next((kind for kind, one, _ in kinds if words & one), None)


def date_role(name: str) -> Literal["acquired", "outcome", "treatment"] | None:
    """Return what happened on the dates of a column by its name, None when it names no date that matters.

    ``acquired``: the image was taken; ``outcome``: the diagnosis, event or death; ``treatment`` began. Ends of a
    treatment, plans, follow-up and birth do not count.
    """
    words, whole = set(tokens(name)), joined(name)
    if words & (_BIRTH | _ENDS):
        return None
    if whole in _ACQUIRED_WHOLE:
        return "acquired"
    named = words & _DATE or whole.endswith(("date", "datetime")) or (words & {"on", "at"} and len(words) == 2)
    if not named:
        return None
    if words & _ACQUIRED:
        return "acquired"
    if words & _TREATMENT:
        return "treatment"
    return "outcome" if words & _OUTCOME else None
