"""Cross-validation over shards of reports: folds that cost no privacy.

With the products of the held-out shard, the risk of coefficients w is, up to a constant,

    E[(y - x'w)^2] = w' G w - 2 w' b + constant,

which its noisy products estimate without bias. Everything here is computed from reports. The
penalty can be chosen in the same way: whether few effects are large or many are small is seen in
the risk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from sparsereg.privacy.aggregator import Aggregator
from sparsereg.privacy.estimate import RIDGE, universal_level
from sparsereg.privacy.rounds import Session, Settings

# Multiples of the universal level that are tried; large ones for noise in the Gram matrix.
_MULTIPLES = np.geomspace(10.0, 0.05, 14)


#: What ``penalty="auto"`` chooses from.
CANDIDATES = ("l1", RIDGE)


def choose_level(settings: Settings, shards: Sequence[Aggregator]) -> tuple[Settings, float]:
    """Return the penalty and strength with the least held-out risk.

    The penalty is that of the settings that are returned, and the strength is in standard
    deviations of the noise.

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
    names = CANDIDATES if settings.penalty == "auto" else (settings.penalty,)
    grid = [(replace(settings, penalty=name), float(level)) for name in names for level in levels]
    risks = np.zeros(len(grid))
    for k, held_out in enumerate(shards):
        others = Aggregator(held_out.protocol, check_duplicates=False)
        for shard in (*shards[:k], *shards[k + 1 :]):
            others.add_sums(shard.sums, shard.n_reports)
        test = Session(settings).answer(held_out, fit=False).products()
        for i, (tried, level) in enumerate(grid):
            coef = Session(tried, level=level).answer(others).result().coef
            risks[i] += held_out.n_reports * float(coef @ test.gram @ coef - 2.0 * coef @ test.xty)
    return grid[np.argmin(risks)]
