"""Cross-validation over shards of reports: folds that cost no privacy.

With the products of the held-out shard, the risk of coefficients w is, up to a constant,

    E[(y - x'w)^2] = w' G w - 2 w' b + constant,

which its noisy products estimate without bias, with a noise whose law is known and which grows with
the coefficients. The least of many noisy risks is often that of the noisiest: what is compared are
upper limits, one standard deviation above. Everything here is computed from reports.

The penalty can be chosen in the same way: whether few effects are large or many are small is seen
in the risk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from sparsereg.backends.protocol import FloatArray
from sparsereg.privacy.aggregator import Aggregator
from sparsereg.privacy.estimate import RIDGE, Evidence, universal_level
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
    risks, variances = np.zeros(len(grid)), np.zeros(len(grid))
    for k, held_out in enumerate(shards):
        others = Aggregator(held_out.protocol, check_duplicates=False)
        for shard in (*shards[:k], *shards[k + 1 :]):
            others.add_sums(shard.sums, shard.n_reports)
        test = Session(settings).answer(held_out, fit=False).products()
        for i, (tried, level) in enumerate(grid):
            coef = Session(tried, level=level).answer(others).result().coef
            risk, variance = held_out_risk(test, coef)
            risks[i] += held_out.n_reports * risk
            variances[i] += held_out.n_reports**2 * variance
    return grid[np.argmin(risks + np.sqrt(variances))]


def held_out_risk(test: Evidence, coef: FloatArray) -> tuple[float, float]:
    """Return the risk of coefficients, less that of zero, and the variance of its noise."""
    squares, of_products = coef**2, test.noise.gram**2
    # the Gram matrix is symmetric: the noise of an entry beside the diagonal counts twice
    of_gram = 2.0 * squares @ of_products @ squares - squares**2 @ of_products.diagonal()
    risk = coef @ test.gram @ coef - 2.0 * coef @ test.xty
    return float(risk), float(4.0 * squares @ test.noise.xty**2 + of_gram)
