"""What labels mean: missing values, negative and positive findings, splits, and slips of spelling."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

MISSING = frozenset({"", "na", "n/a", "nan", "null", "#n/a", "<na>", "?", "missing"})
"""How people write that a value is not known (compared without case)."""

SPLIT_WORDS = {
    "train": "train",
    "training": "train",
    "tr": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "development": "val",
    "tuning": "val",
    "test": "test",
    "testing": "test",
    "te": "test",
    "held-out": "test",
    "heldout": "test",
    "held out": "test",
    "held_out": "test",
    "holdout": "test",
    "hold-out": "test",
}
"""What tables and folders call the splits (compared without case)."""


def _words(*lines: str) -> frozenset[str]:
    return frozenset(" ".join(lines).split())


_NEGATIVE = _words(
    "0 no n false f negative neg normal benign healthy absent control controls none clear",
    "noncancer nontumor nontumour unaffected",
)
_POSITIVE = _words(
    "1 yes y true t positive pos abnormal malignant malignancy malign cancer cancerous carcinoma tumor tumour tumors",
    "tumours disease diseased sick ill present pathological pathologic pathology lesion fracture fractured pneumonia",
    "tuberculosis tb covid covid19 glaucoma melanoma metastasis metastatic metastases stroke haemorrhage hemorrhage",
    "bleeding effusion edema oedema infected infection parasitized affected case cases dementia cataract retinopathy",
    "nodule mass polyp defect anomaly",
)
_NEGATORS = frozenset({"no", "not", "non", "without", "un"})
_YES = frozenset({"1", "1.0", "true", "yes", "y", "t", "present", "positive", "pos"})
_NO = frozenset({"0", "0.0", "false", "no", "n", "f", "absent", "negative", "neg"})
_NOTHING = frozenset({"none", "no finding", "no findings", "nofinding", "no_finding", "-"})


def is_missing(text: object) -> bool:
    """Tell whether a cell says that its value is not known."""
    return not isinstance(text, str) or text.strip().lower() in MISSING


def presence(text: str) -> float | None:
    """Return 1.0 or 0.0 for a cell of a multi-label column, None when it says neither."""
    word = text.strip().lower()
    return 1.0 if word in _YES else 0.0 if word in _NO else None


def says_nothing_found(text: str) -> bool:
    """Tell whether a cell of delimited labels says that there are none."""
    return text.strip().lower() in _NOTHING


def sense(name: str) -> int:
    """Return 1 for a name of a disease or a yes, -1 for a healthy or benign one, 0 when it says neither."""
    words = re.findall(r"[a-z]+|\d+", name.lower())
    if not words:
        return 0
    if len(words) > 1 and words[0] in _NEGATORS:
        return -1
    found = {-1 for word in words if word in _NEGATIVE} | {1 for word in words if word in _POSITIVE}
    return found.pop() if len(found) == 1 else 0


def plain(name: str) -> str:
    """Return a name without case, spaces and punctuation, for names that differ in nothing else."""
    return re.sub(r"[\W_]+", "", name.lower())


def near_misses(counts: Mapping[str, int], meant: Sequence[str] = ()) -> list[tuple[str, str]]:
    """Return pairs ``(name, probably meant)`` among class names.

    Two names that differ only in case, spaces or punctuation are always a pair. Two that differ in spelling are one
    when one of them is rare (at most 2 cases or 1 %, and a quarter of the other's) and a slip away (one edit, two in
    eight letters or more, or the same letters in another order); not when they differ in a number, a Roman numeral, a
    single letter (``grade 1``, ``type A``) or a prefix that changes the meaning (``typical``, ``atypical``).

    Parameters
    ----------
    counts
        Cases of each class.
    meant
        Names that the user wrote out (``--labels``, ``--order``): these stand.
    """
    pairs = []
    names = sorted(counts, key=lambda name: (counts[name], name))
    for position, rare in enumerate(names):
        if rare in meant:
            continue
        same = [other for other in names[position + 1 :] if plain(rare) and plain(other) == plain(rare)]
        close = [other for other in names[position + 1 :] if _slip(rare, other, counts)]
        if same or close:
            pairs.append((rare, (same or close)[-1]))
    return pairs


def _slip(rare: str, frequent: str, counts: Mapping[str, int]) -> bool:
    """Tell whether `rare` is `frequent` misspelt."""
    few, many = counts[rare], counts[frequent]
    if few > max(2, 0.01 * many) or many < 4 * few:
        return False
    a, b = rare.lower().strip(), frequent.lower().strip()
    if min(len(a), len(b)) < 4 or _differ_in_a_grade(a, b) or _differ_in_a_prefix(a, b):
        return False
    shuffled = sorted(a) == sorted(b) and a[0] == b[0]
    return shuffled or edits(a, b) <= (2 if min(len(a), len(b)) >= 8 else 1)


def _differ_in_a_grade(a: str, b: str) -> bool:
    """Tell whether two names differ in a part that is a number, a Roman numeral or a single letter."""
    left, right = (re.findall(r"[a-z]+|\d+", re.sub(r"(\d)", r" \1 ", name)) for name in (a, b))
    if re.findall(r"\d", a) != re.findall(r"\d", b):
        return True
    if len(left) != len(right):
        return True
    differing = [(x, y) for x, y in zip(left, right, strict=True) if x != y]
    return any(len(x) == 1 or len(y) == 1 or (_roman(x) and _roman(y)) for x, y in differing)


def _roman(word: str) -> bool:
    return bool(re.fullmatch(r"[ivx]+", word))


def _differ_in_a_prefix(a: str, b: str) -> bool:
    """Tell whether a prefix that changes the meaning is all that differs."""
    for prefix in ("a", "an", "ab", "in", "ir", "im", "il", "un", "non", "dis", "de", "no ", "pre", "sub"):
        if a in (prefix + b, f"{prefix}-{b}") or b in (prefix + a, f"{prefix}-{a}"):
            return True
    swaps = (("hypo", "hyper"), ("inter", "intra"), ("ante", "anti"), ("post", "ante"))
    return any(a.replace(x, y) == b or b.replace(x, y) == a for x, y in swaps)


def edits(a: str, b: str) -> int:
    """Return how many letters must be added, removed, replaced or swapped with their neighbour.

    Optimal string alignment distance (Damerau-Levenshtein without overlapping swaps).
    """
    before: list[int] = []
    last = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        row = [i]
        for j, y in enumerate(b, 1):
            best = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                best = min(best, before[j - 2] + 1)
            row.append(best)
        before, last = last, row
    return last[-1]
