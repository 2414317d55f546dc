"""Reason codes of the findings: what each means, and what it makes of a finding.

A code's first word is what it does. ``failed``: nothing is said of the case. ``not_applicable``: the image is of
another kind than those that the model knows, so nothing it says means anything. ``unsure``: the image may be of the
model's kind, but there is a reason not to call it. ``set``: several classes are named in place of one. ``warning``: the
call stands, and nobody measured how good the model is on such an image. ``docs/abstain.md`` lists the same codes, and a
test compares the two.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, cast

Effect = Literal["failed", "not_applicable", "unsure", "set", "warning"]

CODES: dict[str, str] = {
    "missing-file": "failed: the file does not exist",
    "too-large": "failed: the declared or stored size is above the limits, or memory ran out",
    "not-an-image": "failed: the file's content is no known image format",
    "unreadable": "failed: the image is damaged or of an unsupported kind",
    "not-prepared": "failed: the image was read but could not be brought to the model's input",
    "not-finite": "failed: the model's output is not a number",
    "not-probabilities": "failed: a network from elsewhere gave no probabilities (outside 0 to 1, or of another sum)",
    "not-measured": "failed: the masks do not show what must be measured",
    "no-class-fits": "unsure: no class is likely enough at the stated coverage of sets of classes",
    "cannot-tell": "set: the classes that are named cannot be told apart at the stated coverage",
    "measurement-missing": "warning: measurements could not be taken; the median of the training cases stands in",
    "measurements-far": "unsure: more of the measurements than usual lie beyond those of the training cases",
    "colour-into-grey": "warning: a colour image, but the model was trained on grey ones",
    "grey-into-colour": "warning: a grey image, but the model was trained on colour ones",
    "modality-differs": "not_applicable: the file names a modality that the model was not trained on",
    "modality-unstated": "warning: the file says that it is a copy or something else, and not how it was acquired",
    "body-part-differs": "not_applicable: the file names a part of the body that the model was not trained on",
    "laterality-differs": "unsure: the file names a side of the body that the model was not trained on",
    "unit-differs": "warning: pixel values are in another unit than the training images'",
    "unit-unusable": "not_applicable: pixel values are in another unit, and the model reads them in its own",
    "bits-differ": "warning: other bits a pixel than the training images, and their whole range is read as grey scale",
    "orientation-differs": "unsure: the volume is stored along other directions of the body than the training volumes",
    "intensity-far": "unsure: much darker or brighter than the training images",
    "blurred": "unsure: much less fine detail than the training images",
    "grainy": "unsure: much more fine detail or noise than the training images",
    "cropped": "unsure: content runs over the margin, where that of the training images does not",
    "burned-in-text": "warning: writing in the picture, where hardly any training picture has some",
    "size-far": "warning: much smaller or larger than the training images",
    "spacing-far": "warning: voxels much smaller or larger than in the training volumes",
    "corrected": "warning: the geometry was corrected or assumed when the image was read or prepared",
    "blank-image": "not_applicable: the image shows nothing: it has one value, or all but a hundredth of it has",
    "features-far": "unsure: farther from the training cases, as a network sees it, than nearly all of those held out",
    "features-outside": "not_applicable: far outside of all that the training cases look like to a network",
    "pixels-far": "unsure: other shares of grey levels and detail than nearly all training cases held out",
    "pixels-outside": "not_applicable: shares of grey levels and detail far outside of all training cases",
    "rotated": "unsure: farther from the training cases than when it is turned or mirrored",
    "members-disagree": "unsure: the members contradict one another more than on nearly all cases held out",
    "covariate-missing": "warning: a covariate is missing; the training cases' median, or 'missing', stands in",
    "covariate-unseen": "warning: a covariate has a level that the model was not trained on by name",
    "covariate-far": "warning: a covariate far outside the range of the training cases, and cut at its end",
}
"""Every reason code of the findings, what it makes of a finding, and what it means."""

EFFECTS: tuple[Effect, ...] = ("failed", "not_applicable", "unsure", "set", "warning")
"""What codes do, the strongest first."""


def code_of(reason: str) -> str:
    """Return the code of a reason, which is ``code`` or ``code: text``."""
    return reason.partition(":")[0]


def effect_of(reason: str) -> Effect:
    """Return what a reason makes of a finding; a code that is not listed is a warning."""
    effect = CODES.get(code_of(reason), "warning").partition(":")[0]
    return cast("Effect", effect)


def meaning_of(code: str) -> str:
    """Return what a code means, without what it does."""
    return CODES[code].partition(": ")[2]


def strongest(reasons: Iterable[str]) -> Effect:
    """Return what several reasons together make of a finding: what the strongest of them does."""
    found = {effect_of(reason) for reason in reasons}
    return next((effect for effect in EFFECTS if effect in found), "warning")
