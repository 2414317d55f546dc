"""How sure an ensemble is of cases that it learned from, brought to how sure it is of cases that it did not."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

FLOOR = 1e-6
"""Least probability that is taught: the logarithm of less is a matter of rounding."""
MOST = 10.0
"""Largest temperature. What is still sure then is no word that a student could learn more from than its class."""


def unsureness(words: Floats, task: str) -> float:
    """Return the mean entropy of probabilities over cases, in nats; of several labels that of all of them together.

    Parameters
    ----------
    words
        Probabilities ``(cases, classes)``, or of each label ``(cases, labels)``.
    task
        Not ``regression``: a value has no entropy.
    """
    p = np.clip(words, FLOOR, 1 - FLOOR)
    if task == "multilabel":
        return float(-(p * np.log(p) + (1 - p) * np.log1p(-p)).sum(axis=1).mean())
    return float(-(p * np.log(p)).sum(axis=1).mean())


def tempered(words: Floats, task: str, temperature: float) -> Floats:
    """Return probabilities whose logits are divided by a temperature; measured values stay as they are.

    The source is Hinton, Vinyals and Dean (2015), "Distilling the knowledge in a neural network", section 2.
    """
    if task == "regression":
        return words
    p = np.clip(words, FLOOR, 1 - FLOOR)
    if task == "multilabel":
        return np.asarray(1 / (1 + (1 / p - 1) ** (1 / temperature)))
    power = p ** (1 / temperature)
    return np.asarray(power / power.sum(axis=1, keepdims=True))


def soften(words: Floats, unsure: float, task: str) -> tuple[Floats, float]:
    """Return words as unsure, on average, as `unsure`, and the temperature that makes them so: from 1 to `MOST`.

    A network that has learned a case by heart says little more of it than its class, so that its words would teach
    nothing else, and would teach it too surely. Of cases it did not learn from it says what it knows. No label is
    looked at here: the entropy of its words about these is all that is taken from them.

    Parameters
    ----------
    words
        About cases that were learned from.
    unsure
        :func:`unsureness` about cases that were not.
    task
        Of the target; values of a regression come back as they are.
    """
    if task == "regression" or unsureness(words, task) >= unsure:
        return words, 1.0
    low, high = 0.0, float(np.log(MOST))
    # The entropy of a tempered distribution never falls with the temperature.
    for _ in range(50):
        middle = (low + high) / 2
        if unsureness(tempered(words, task, float(np.exp(middle))), task) < unsure:
            low = middle
        else:
            high = middle
    temperature = float(np.exp(high))
    return tempered(words, task, temperature), temperature


def mixed(words: Floats, reference: Floats, trust: float) -> Floats:
    """Return what a student is taught: the ensemble's words with weight `trust`, and the reference standard.

    Parameters
    ----------
    words
        Of the ensemble, ``(cases, outputs)``.
    reference
        Shares of the classes, each label 0, 1 or NaN, or the value, ``(cases, outputs)``. Where it is unknown the words
        are taught alone.
    trust
        From 0 to 1.
    """
    both = trust * words + (1 - trust) * np.nan_to_num(reference)
    return np.asarray(np.where(np.isnan(reference), words, both), dtype=np.float64)
