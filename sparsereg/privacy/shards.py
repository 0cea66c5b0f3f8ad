"""Cross-validation over shards of reports: folds that cost no privacy.

With the products of the held-out shard, the risk of coefficients w is, up to a constant,

    E[(y - x'w)^2] = w' G w - 2 w' b + constant,

which its noisy products estimate without bias. Everything here is computed from reports.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sparsereg.privacy.aggregator import Aggregator
from sparsereg.privacy.estimate import universal_level
from sparsereg.privacy.rounds import Session, Settings

# Multiples of the universal level that are tried; large ones for noise in the Gram matrix.
_MULTIPLES = np.geomspace(10.0, 0.05, 14)


def choose_level(settings: Settings, shards: Sequence[Aggregator]) -> float:
    """Return the strength, in standard deviations of the noise, with the least held-out risk.

    Parameters
    ----------
    settings : Settings
    shards : sequence of Aggregator
        At least two, of one protocol.
    """
    if len(shards) < 2:
        raise ValueError(
            'alpha="cv" needs at least two shards of reports. Give fit_reports a list of '
            "aggregators, each with a part of the reports."
        )
    levels = universal_level(settings.n_features) * _MULTIPLES
    risks = np.zeros(levels.size)
    for k, held_out in enumerate(shards):
        others = Aggregator(held_out.protocol, check_duplicates=False)
        for shard in (*shards[:k], *shards[k + 1 :]):
            others.add_sums(shard.sums, shard.n_reports)
        test = Session(settings).answer(held_out, fit=False).products()
        for i, level in enumerate(levels):
            coef = Session(settings, level=float(level)).answer(others).result().coef
            risks[i] += held_out.n_reports * float(coef @ test.gram @ coef - 2.0 * coef @ test.xty)
    return float(levels[np.argmin(risks)])
