"""How each package is called for a fit or a path; what a tolerance means to it.

A fit is a path of one alpha. Every package enters the variants that its documentation recommends
for some shape of X. What leans on matrix products enters with one thread, too: sparsereg makes that
choice for itself.

- sparsereg, scikit-learn and celer stop at a duality gap of ``tol * ||y||^2 / n``.
- skglm stops at a distance of ``tol`` between the gradient and the subdifferential; here its
  tolerance is swept relative to the largest alpha.
- adelie and glmnet stop when a sweep changes the objective by less than ``tol``, in glmnet in units
  of the null deviance.
- LARS is exact and has no tolerance; between its knots the path is linear.

Iteration limits are set so high that the clock decides, not they. Dense X is in Fortran order and
sparse X in CSC with 32-bit indices, which all of them take without a copy; glmnet gets its own copy
in R before its clock starts.

Packages are imported where they are called, because each process has but one of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
from scipy import sparse

from .glmnet import call_glmnet
from .problem import Fitted, Matrix, Problem
from .protocol import OURS, Solver

__all__ = ["ONE_ALPHA", "PATHS", "fits_gram", "is_dense", "is_tall", "pool_sizes"]

# A Gram matrix of more columns than this is not worth its time.
_MAX_GRAM = 5000
_MAX_ITER = 1_000_000
# Steps from the largest alpha to the only one that is asked for.
_N_STEPS = 10


def fit_sparsereg(problem: Problem, tol: float) -> Fitted:
    from sparsereg import Lasso

    model = Lasso(problem.alpha, fit_intercept=problem.fit_intercept, tol=tol, max_iter=_MAX_ITER)
    with pool_sizes() as sizes:
        model.fit(problem.X, problem.y)
    sizes.extend(
        step.working_set_size for step in model.history_
    )  # few rows are solved without a pool
    return Fitted(model.coef_, gaps=model.dual_gap_, working_set=max(sizes))


def path_sparsereg(problem: Problem, tol: float) -> Fitted:
    from sparsereg import lasso_path

    with pool_sizes() as sizes:
        _, coefs, gaps = lasso_path(
            problem.X,
            problem.y,
            alphas=problem.alphas,
            fit_intercept=problem.fit_intercept,
            tol=tol,
            max_iter=_MAX_ITER,
        )
    return Fitted(coefs, gaps=gaps, working_set=max(sizes, default=None))


@contextmanager
def pool_sizes() -> Iterator[list[int]]:
    """Collect how many columns the Gram matrices of sparsereg have, each time that one grows."""
    from sparsereg.solvers.column_pool import ColumnPool

    sizes: list[int] = []
    add = ColumnPool.add

    def noted(pool: ColumnPool, new: Any) -> None:
        add(pool, new)
        sizes.append(len(pool))

    ColumnPool.add = noted  # type: ignore[method-assign]
    try:
        yield sizes
    finally:
        ColumnPool.add = add  # type: ignore[method-assign]


def path_sklearn(problem: Problem, tol: float) -> Any:
    return _sklearn(problem, tol, precompute=False)


def path_sklearn_gram(problem: Problem, tol: float) -> Any:
    return _sklearn(problem, tol, precompute=True)


def path_sklearn_random(problem: Problem, tol: float) -> Any:
    return _sklearn(problem, tol, precompute=False, selection="random", random_state=0)


def path_sklearn_lars(problem: Problem, tol: float) -> Any:
    from sklearn.linear_model import lars_path

    knots, _, coefs = lars_path(
        problem.X,
        problem.y,
        Gram="auto",
        alpha_min=problem.alphas[-1],
        method="lasso",
        max_iter=_MAX_ITER,
    )
    # the last knot at or above each alpha, and how far it is from there to the next one
    last = np.clip(np.searchsorted(-knots, -problem.alphas, side="right") - 1, 0, len(knots) - 2)
    step = (knots[last] - problem.alphas) / (knots[last] - knots[last + 1])
    step = np.clip(step, 0.0, 1.0)
    return coefs[:, last] * (1 - step) + coefs[:, last + 1] * step


def path_celer(problem: Problem, tol: float) -> Any:
    return _celer(problem, tol, prune=1)


def path_celer_no_pruning(problem: Problem, tol: float) -> Any:
    return _celer(problem, tol, prune=0)


def path_skglm(problem: Problem, tol: float) -> Any:
    from skglm import Lasso

    model = Lasso(fit_intercept=False, tol=tol * problem.alphas[0], max_iter=1000, warm_start=True)
    return model.path(problem.X, problem.y, problem.alphas)[1]


def path_skglm_gram(problem: Problem, tol: float) -> Any:
    return _skglm_gram(problem, tol, greedy_cd=True, use_acc=False)


def path_skglm_gram_anderson(problem: Problem, tol: float) -> Any:
    return _skglm_gram(problem, tol, greedy_cd=False, use_acc=True)


def path_adelie(problem: Problem, tol: float) -> Any:
    return _adelie(problem, tol, n_threads=1)


def path_adelie_threads(problem: Problem, tol: float) -> Any:
    return _adelie(problem, tol, n_threads=2)


def path_adelie_gram(problem: Problem, tol: float) -> Any:
    import adelie

    X, n = problem.X, len(problem.y)
    gram = (X.T @ X).toarray() if sparse.issparse(X) else X.T @ X
    state = adelie.gaussian_cov(
        adelie.matrix.dense(np.asfortranarray(gram / n), method="cov"),
        X.T @ problem.y / n,
        lmda_path=problem.alphas,
        tol=tol,
        max_iters=_MAX_ITER,
        early_exit=False,
        progress_bar=False,
    )
    return _complete(state.betas.T, problem)


def path_glmnet(problem: Problem, tol: float) -> Fitted:
    return call_glmnet(problem, tol, "naive")


def path_glmnet_gram(problem: Problem, tol: float) -> Fitted:
    return call_glmnet(problem, tol, "covariance")


def fit_adelie_steps(problem: Problem, tol: float) -> Any:
    return path_adelie(_from_the_top(problem), tol)[:, -1]


def fit_glmnet_steps(problem: Problem, tol: float) -> Fitted:
    return _last(path_glmnet(_from_the_top(problem), tol))


def fit_glmnet_gram_steps(problem: Problem, tol: float) -> Fitted:
    return _last(path_glmnet_gram(_from_the_top(problem), tol))


def is_dense(X: Matrix) -> bool:
    return not sparse.issparse(X)


def fits_gram(X: Matrix) -> bool:
    return is_dense(X) and X.shape[1] <= _MAX_GRAM


def is_tall(X: Matrix) -> bool:
    """Where skglm and adelie recommend their Gram solvers."""
    return X.shape[1] <= min(X.shape[0], _MAX_GRAM)


def _sklearn(problem: Problem, tol: float, **variant: Any) -> Any:
    from sklearn.linear_model import lasso_path

    return lasso_path(
        problem.X, problem.y, alphas=problem.alphas, tol=tol, max_iter=_MAX_ITER, **variant
    )[1]


def _celer(problem: Problem, tol: float, **variant: Any) -> Any:
    from celer import celer_path

    return celer_path(
        problem.X, problem.y, "lasso", alphas=problem.alphas, tol=tol, max_iter=1000, **variant
    )[1]


def _skglm_gram(problem: Problem, tol: float, **variant: Any) -> Any:
    """Call the solver itself, from alpha to alpha: no estimator of skglm offers it."""
    from skglm.penalties import L1
    from skglm.solvers import GramCD

    # A greedy iteration updates one coefficient, a cyclic one all of them.
    solver = GramCD(max_iter=_MAX_ITER, tol=tol * problem.alphas[0], fit_intercept=False, **variant)
    coef = np.zeros(problem.X.shape[1])
    coefs = np.empty((len(coef), len(problem.alphas)), order="F")
    for k, alpha in enumerate(problem.alphas):
        coef = solver.solve(problem.X, problem.y, None, L1(alpha), coef.copy())[0]
        coefs[:, k] = coef
    return coefs


def _adelie(problem: Problem, tol: float, n_threads: int) -> Any:
    import adelie

    form = adelie.matrix.sparse if sparse.issparse(problem.X) else adelie.matrix.dense
    state = adelie.grpnet(
        form(problem.X, method="naive", n_threads=n_threads),
        adelie.glm.gaussian(problem.y),
        lmda_path=problem.alphas,
        intercept=False,
        tol=tol,
        max_iters=_MAX_ITER,
        n_threads=n_threads,
        early_exit=False,
        progress_bar=False,
    )
    return _complete(state.betas.T, problem)


def _complete(coefs: Any, problem: Problem) -> Any:
    """Return the coefficients if there are some for every alpha."""
    if coefs.shape[1] != len(problem.alphas):
        raise RuntimeError("the solver gave up along the path")
    return coefs


def _from_the_top(problem: Problem) -> Problem:
    top = np.abs(problem.X.T @ problem.y).max() / len(problem.y)
    return problem.at(np.geomspace(max(top, problem.alpha), problem.alpha, _N_STEPS))


def _last(path: Fitted) -> Fitted:
    return replace(path, coefs=path.coefs[:, -1])


def _and_one_thread(*solvers: Solver) -> tuple[Solver, ...]:
    single = (replace(item, name=f"{item.name}, 1 thread", blas_threads=1) for item in solvers)
    return (*solvers, *single)


# Their measure is of second order in the coefficients, so that it has to go further down.
_SQUARED = tuple(10.0**-k for k in range(1, 21))

# The first of each package is its default. scikit-learn's "auto" is one of its two others.
_SPARSEREG_PATH = Solver("sparsereg", OURS, path_sparsereg)
_PEERS = (
    Solver("scikit-learn", "scikit-learn", path_sklearn),
    *_and_one_thread(
        Solver("scikit-learn, Gram", "scikit-learn", path_sklearn_gram, fits_gram),
        Solver("scikit-learn, LARS", "scikit-learn", path_sklearn_lars, is_dense, (0.0,)),
    ),
    Solver("celer", "celer", path_celer),
    Solver("celer, no pruning", "celer", path_celer_no_pruning),
    Solver("skglm", "skglm", path_skglm),
    *_and_one_thread(Solver("skglm, Gram", "skglm", path_skglm_gram, is_tall)),
    Solver("skglm, Gram, Anderson", "skglm", path_skglm_gram_anderson, is_tall),
    Solver("adelie", "adelie", path_adelie, tolerances=_SQUARED),
    Solver("adelie, 2 threads", "adelie", path_adelie_threads, tolerances=_SQUARED),
    *_and_one_thread(
        Solver("adelie, Gram", "adelie", path_adelie_gram, is_tall, tolerances=_SQUARED)
    ),
    Solver("glmnet", "glmnet", path_glmnet, tolerances=_SQUARED),
    Solver("glmnet, Gram", "glmnet", path_glmnet_gram, fits_gram, tolerances=_SQUARED),
)

PATHS = (_SPARSEREG_PATH, *_PEERS)

# adelie and glmnet are made for paths: for one alpha they enter with a short path to it, too.
ONE_ALPHA = (
    Solver("sparsereg", OURS, fit_sparsereg),
    *_PEERS,
    Solver("scikit-learn, random", "scikit-learn", path_sklearn_random),
    Solver("adelie, in steps", "adelie", fit_adelie_steps, tolerances=_SQUARED),
    Solver("glmnet, in steps", "glmnet", fit_glmnet_steps, tolerances=_SQUARED),
    Solver(
        "glmnet, Gram, in steps", "glmnet", fit_glmnet_gram_steps, fits_gram, tolerances=_SQUARED
    ),
)
