"""Family "lasso-path": 100 alphas from the largest useful one to a hundredth of it.

Every package is given the same decreasing alphas, and fits no intercept. The error is the worst
over the alphas, relative to the null objective. How the packages are called is said in
`sparsereg.benchmarks.packages`.
"""

from __future__ import annotations

import numpy as np

from . import data
from .packages import PATHS
from .protocol import Family, Target

__all__ = ["FAMILY"]

FAMILY = Family(
    name="lasso-path",
    solvers=PATHS,
    datasets=data.paths,
    grids=(tuple(np.geomspace(1, 0.01, 100)),),
    relative_to_null=True,
    targets=(
        Target(error=1e-6, geometric_mean=1 / 5, worst=0.5),
        Target(error=1e-10, geometric_mean=1 / 10, worst=0.5),
    ),
)
