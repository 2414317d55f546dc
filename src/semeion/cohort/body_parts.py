"""DICOM's words for body parts, sides and modalities, in a form in which two of them can be compared.

Only defined terms come through: a header may hold anything, names of people included, and nothing else is kept of it.
Sources: DICOM PS3.16 annex L (body parts), PS3.3 C.7.3.1.1.2 and C.7.6.5 (laterality), C.7.3.1.1.1 (modality).
"""

from __future__ import annotations

import re

_TERMS = {
    "head": "HEAD SKULL BRAIN FACE JAW MAXILLA MANDIBLE TMJ TMJOINT SINUS SINUSES PARANASALSINUS PARANASALSINUSES IAC "
    "SELLA ZYGOMA NOSE NASALBONE ORBIT ORBITS EAR MASTOID PITUITARY CIRCLEOFWILLIS POSTFOSSA TEMPORALBONE HEADNECK "
    "WHOLEBODY",
    "eye": "EYE RETINA FUNDUS ORBIT ORBITS",
    "teeth": "TEETH TOOTH DENTAL JAW MAXILLA MANDIBLE",
    "neck": "NECK THYROID PARATHYROID CAROTID LARYNX PHARYNX CSPINE HEADNECK NECKCHEST NECKCHESTABDOMEN "
    "NECKCHESTABDPELV WHOLEBODY",
    "chest": "CHEST THORAX LUNG LUNGS HEART CARDIAC MEDIASTINUM STERNUM RIB RIBS CORONARYARTERY AORTA THORACICAORTA "
    "PULMONARYARTERY TSPINE CHESTABDOMEN CHESTABDPELVIS NECKCHEST NECKCHESTABDOMEN NECKCHESTABDPELV CLAVICLE "
    "WHOLEBODY TRUNK",
    "breast": "BREAST BREASTS MAMMARY",
    "abdomen": "ABDOMEN LIVER KIDNEY KIDNEYS PANCREAS SPLEEN STOMACH GALLBLADDER BILEDUCT ADRENAL COLON BOWEL DUODENUM "
    "RENAL AORTA ABDOMINALAORTA LSPINE ABDOMENPELVIS CHESTABDOMEN CHESTABDPELVIS NECKCHESTABDOMEN NECKCHESTABDPELV "
    "WHOLEBODY TRUNK",
    "pelvis": "PELVIS PELVIC BLADDER PROSTATE UTERUS OVARY OVARIES CERVIX RECTUM SACRUM COCCYX SSPINE SIJOINT HIP HIPS "
    "SCROTUM TESTIS ABDOMENPELVIS CHESTABDPELVIS NECKCHESTABDPELV WHOLEBODY",
    "spine": "SPINE WHOLESPINE CSPINE TSPINE LSPINE SSPINE CTSPINE TLSPINE LSSPINE COCCYX SACRUM WHOLEBODY",
    "shoulder": "SHOULDER SHOULDERS CLAVICLE SCAPULA ACJOINT AXILLA HUMERUS UPPERARM ARM EXTREMITY UPPEREXTREMITY "
    "WHOLEBODY",
    "elbow": "ELBOW FOREARM HUMERUS RADIUS ULNA UPPERARM ARM EXTREMITY UPPEREXTREMITY WHOLEBODY",
    "hand": "HAND WRIST FINGER FINGERS THUMB SCAPHOID CARPUS RADIUS ULNA FOREARM EXTREMITY UPPEREXTREMITY WHOLEBODY",
    "thigh": "THIGH FEMUR HIP HIPS LEG UPPERLEG EXTREMITY LOWEREXTREMITY WHOLEBODY",
    "knee": "KNEE KNEES PATELLA FEMUR TIBIA FIBULA LEG EXTREMITY LOWEREXTREMITY WHOLEBODY",
    "foot": "FOOT FEET ANKLE TOE TOES HEEL CALCANEUS TIBIA FIBULA CALF LOWERLEG LEG EXTREMITY LOWEREXTREMITY WHOLEBODY",
    "skin": "SKIN",
}
_REGIONS: dict[str, frozenset[str]] = {
    term: frozenset(region for region, terms in _TERMS.items() if term in terms.split())
    for terms in _TERMS.values()
    for term in terms.split()
}
_SIDES = {"L": "left", "LEFT": "left", "R": "right", "RIGHT": "right"}
_ALIKE = {"CR": "DX", "DX": "DX", "DR": "DX", "RG": "DX", "XR": "DX"}
"""Radiographs by storage plate, by detector and from film show the same thing by the same rays."""
SAYS_NOTHING = frozenset(("OT", "SC", "DOC", "XC"))
"""Modalities by which a file says that it is a copy, or something else, and not how it was acquired."""
_MODALITY = re.compile(r"[A-Z][A-Z0-9]{1,7}")


def regions_of(term: str | None) -> frozenset[str]:
    """Return the regions of the body that a Body Part Examined (0018,0015) shows; none of a term that is not known.

    Long bones and words for several parts belong to every region that they reach, so that a femur is neither another
    part than a knee nor than a thigh.
    """
    return _REGIONS.get(re.sub(r"[^A-Z]", "", (term or "").upper()), frozenset())


def side_of(term: str | None) -> str:
    """Return ``left`` or ``right`` of a Laterality (0020,0060) or Image Laterality (0020,0062), else nothing."""
    return _SIDES.get((term or "").strip().upper(), "")


def modality_of(term: str | None) -> str:
    """Return a Modality (0008,0060) in the form that two are compared in; nothing where it says nothing.

    Kinds of plain radiograph are one; ``OT`` and secondary captures tell of no modality.
    """
    plain = (term or "").strip().upper()
    return "" if plain in SAYS_NOTHING or not _MODALITY.fullmatch(plain) else _ALIKE.get(plain, plain)
