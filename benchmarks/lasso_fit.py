"""Family "lasso-fit": one fit at one alpha, from zero, without an intercept.

The error is relative to the optimum. How the packages are called is said in
`sparsereg.benchmarks.packages`.
"""

from __future__ import annotations

from . import data
from .packages import ONE_ALPHA
from .protocol import Family, Target

__all__ = ["FAMILY"]

FAMILY = Family(
    name="lasso-fit",
    solvers=ONE_ALPHA,
    datasets=data.one_alpha,
    grids=((0.1,), (0.01,), (0.001,)),
    relative_to_null=False,
    targets=(Target(error=1e-6, geometric_mean=0.5, worst=1.0),),
)
