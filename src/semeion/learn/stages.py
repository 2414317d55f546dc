"""When each part of a network learns, and how fast: one cycle, slower towards the input, released from the output."""

from __future__ import annotations

import math

from torch import nn

WARM_UP = 0.25


def stages_of(network: nn.Module) -> list[list[nn.Parameter]]:
    """Return the parameters that learn at one rate, from the input to the output.

    A network that names its stages by a method ``stages`` (a pretrained one) has several, every other is one.
    """
    named = getattr(network, "stages", None)
    if named is None:
        return [list(network.parameters())]
    stages: list[list[nn.Parameter]] = named()
    return [stage for stage in stages if stage]


def learning_rate(phase: float) -> float:
    """Return the one-cycle factor of the peak rate: linear to 1 in the first quarter, then cosine to 0.

    Source: Smith, arXiv:1803.09820, 2018.
    """
    if phase < WARM_UP:
        return 0.04 + 0.96 * phase / WARM_UP
    return 0.5 * (1 + math.cos(math.pi * (phase - WARM_UP) / (1 - WARM_UP)))


def stage_rates(phase: float, stages: int, decay: float, frozen_share: float) -> list[float]:
    """Return the factor of the peak rate for every stage, from the input to the output.

    Rates fall by `decay` with every stage away from the output, and stages are released one after the other over
    `frozen_share` of the schedule, the last at once; before its turn a stage has the rate 0.

    Source: discriminative rates and gradual unfreezing of Howard and Ruder, ACL 2018, sections 3.2 and 3.3.
    """
    rates = []
    for stage in range(stages):
        away = stages - 1 - stage
        released = phase >= frozen_share * away / max(stages - 1, 1)
        rates.append(learning_rate(phase) * decay**away if released else 0.0)
    return rates
