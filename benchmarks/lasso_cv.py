"""Family "lasso-cv": five folds times 100 alphas, and the fit on all data at the best of them.

Every package is given the same folds and the same alphas, and fits no intercept. A solver starts
with the tolerances with which it reached the targets on the path of all data, swept as in the
family "lasso-path", which this one runs where the other has not; a solver that did not reach a
target there has not reached it here. The error of a run is the worst of these:

- that of its path on all data;
- that of its final coefficients, at its own choice of alpha;
- those of the paths of its folds, relative to their null objectives, where the package returns
  their coefficients. Who keeps to duality gaps, as we do, keeps to them on the folds, too.

Where the folds miss the target the tolerance is lowered, a decade at a time. scikit-learn and
glmnet do not return the coefficients of their folds and cannot be held to them. How far the mean
test error of a run is from ours at a very tight tolerance, the worst over the alphas and relative
to the null model's, is recorded as ``mse_deviation``; it is of first order in the error of the
coefficients, where the objective is of second order.

scikit-learn and glmnet have a cross-validation. For the others it is the loop a user would write,
on copies of the training rows, with a final path down to the best alpha: skglm has none, adelie's
draws its folds by itself, scikit-learn's for LARS its alphas, and the `LassoCV` of celer 0.7.4,
which does the same, does not work with scikit-learn 1.9. Threads over the folds are a variant where
a package has them; R has them only with packages that glmnet does not bring along.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
from scipy import sparse

from . import data, lasso_path, packages
from .glmnet import cross_validate_glmnet
from .problem import Fitted, Problem
from .protocol import Family, Solver, Target

__all__ = ["FAMILY"]

_MAX_ITER = 1_000_000


def cv_sparsereg(problem: Problem, tol: float) -> Fitted:
    return _sparsereg(problem, tol)


def cv_sparsereg_threads(problem: Problem, tol: float) -> Fitted:
    return _sparsereg(problem, tol, n_jobs=2)


def cv_sklearn(problem: Problem, tol: float) -> Fitted:
    return _sklearn(problem, tol, precompute=False)


def cv_sklearn_threads(problem: Problem, tol: float) -> Fitted:
    return _sklearn(problem, tol, precompute=False, n_jobs=2)


def cv_sklearn_gram(problem: Problem, tol: float) -> Fitted:
    return _sklearn(problem, tol, precompute=True)


def cv_sklearn_gram_threads(problem: Problem, tol: float) -> Fitted:
    return _sklearn(problem, tol, precompute=True, n_jobs=2)


def cv_sklearn_lars(problem: Problem, tol: float) -> Fitted:
    return _fold_by_fold(packages.path_sklearn_lars, problem, tol)


def cv_sklearn_lars_threads(problem: Problem, tol: float) -> Fitted:
    return _fold_by_fold(packages.path_sklearn_lars, problem, tol, n_threads=2)


def cv_celer(problem: Problem, tol: float) -> Fitted:
    return _fold_by_fold(packages.path_celer, problem, tol)


def cv_celer_threads(problem: Problem, tol: float) -> Fitted:
    return _fold_by_fold(packages.path_celer, problem, tol, n_threads=2)


def cv_celer_no_pruning(problem: Problem, tol: float) -> Fitted:
    return _fold_by_fold(packages.path_celer_no_pruning, problem, tol)


def cv_celer_no_pruning_threads(problem: Problem, tol: float) -> Fitted:
    return _fold_by_fold(packages.path_celer_no_pruning, problem, tol, n_threads=2)


def cv_skglm(problem: Problem, tol: float) -> Fitted:
    return _fold_by_fold(packages.path_skglm, problem, tol)


def cv_skglm_gram(problem: Problem, tol: float) -> Fitted:
    return _fold_by_fold(packages.path_skglm_gram, problem, tol)


def cv_adelie(problem: Problem, tol: float) -> Fitted:
    return _fold_by_fold(packages.path_adelie, problem, tol)


def cv_adelie_threads(problem: Problem, tol: float) -> Fitted:
    return _fold_by_fold(packages.path_adelie_threads, problem, tol)


def cv_adelie_gram(problem: Problem, tol: float) -> Fitted:
    return _fold_by_fold(packages.path_adelie_gram, problem, tol)


def cv_glmnet(problem: Problem, tol: float) -> Fitted:
    return cross_validate_glmnet(problem, tol, "naive")


def cv_glmnet_gram(problem: Problem, tol: float) -> Fitted:
    return cross_validate_glmnet(problem, tol, "covariance")


def _sparsereg(problem: Problem, tol: float, **variant: Any) -> Fitted:
    from sparsereg import LassoCV

    with packages.pool_sizes() as sizes:
        model = _fitted(LassoCV(max_iter=_MAX_ITER, **variant), problem, tol)
    return replace(
        _answer(model), gaps=model.dual_gap_, fold_coefs=model.fold_coef_path_,
        coef_path=model.coef_path_, working_set=max(sizes, default=None),
    )  # fmt: skip


def _sklearn(problem: Problem, tol: float, **variant: Any) -> Fitted:
    from sklearn.linear_model import LassoCV

    model = LassoCV(max_iter=_MAX_ITER, copy_X=False, **variant)
    return _answer(_fitted(model, problem, tol))


def _fitted(model: Any, problem: Problem, tol: float) -> Any:
    model.set_params(alphas=problem.alphas, cv=problem.splits(), fit_intercept=False, tol=tol)
    return model.fit(problem.X, problem.y)


def _answer(model: Any) -> Fitted:
    return Fitted(model.coef_, alpha=model.alpha_, mse_path=model.mse_path_)


def _fold_by_fold(
    path: Callable[[Problem, float], Any], problem: Problem, tol: float, n_threads: int = 1
) -> Fitted:
    def fit(split: tuple[Any, Any]) -> tuple[Any, Any]:
        train, test = split
        coefs = path(problem.rows(train), tol)
        predictions = problem.X[test] @ coefs
        if sparse.issparse(predictions):
            predictions = predictions.toarray()
        return coefs, np.mean((problem.y[test, None] - predictions) ** 2, axis=0)

    with ThreadPoolExecutor(n_threads) as threads:
        fold_coefs, errors = zip(*threads.map(fit, problem.splits()), strict=True)
    mse_path = np.column_stack(errors)
    best = int(mse_path.mean(axis=1).argmin())
    final = path(problem.at(problem.alphas[: best + 1]), tol)[:, -1]
    return Fitted(final, alpha=problem.alphas[best], mse_path=mse_path, fold_coefs=fold_coefs)


def _variant(name: str, fit: Callable[[Problem, float], Fitted], of: str, **options: Any) -> Solver:
    swept = {solver.name: solver for solver in packages.PATHS}[of]
    return Solver(name, swept.package, fit, swept.accepts, tolerance_of=of, **options)


SOLVERS = (
    _variant("sparsereg", cv_sparsereg, "sparsereg"),
    _variant("sparsereg, 2 jobs", cv_sparsereg_threads, "sparsereg"),
    _variant("scikit-learn", cv_sklearn, "scikit-learn"),
    _variant("scikit-learn, 2 jobs", cv_sklearn_threads, "scikit-learn"),
    _variant("scikit-learn, Gram", cv_sklearn_gram, "scikit-learn, Gram"),
    _variant(
        "scikit-learn, Gram, 2 jobs",
        cv_sklearn_gram_threads,
        "scikit-learn, Gram",
        blas_threads=1,
    ),
    _variant("scikit-learn, LARS", cv_sklearn_lars, "scikit-learn, LARS", blas_threads=1),
    _variant(
        "scikit-learn, LARS, 2 threads",
        cv_sklearn_lars_threads,
        "scikit-learn, LARS",
        blas_threads=1,
    ),
    _variant("celer", cv_celer, "celer"),
    _variant("celer, 2 jobs", cv_celer_threads, "celer"),
    _variant("celer, no pruning", cv_celer_no_pruning, "celer, no pruning"),
    _variant("celer, no pruning, 2 jobs", cv_celer_no_pruning_threads, "celer, no pruning"),
    _variant("skglm", cv_skglm, "skglm"),
    _variant("skglm, Gram", cv_skglm_gram, "skglm, Gram"),
    _variant("adelie", cv_adelie, "adelie"),
    _variant("adelie, 2 threads", cv_adelie_threads, "adelie, 2 threads"),
    _variant("adelie, Gram", cv_adelie_gram, "adelie, Gram"),
    _variant("glmnet", cv_glmnet, "glmnet"),
    _variant("glmnet, Gram", cv_glmnet_gram, "glmnet, Gram"),
)

FAMILY = Family(
    name="lasso-cv",
    solvers=SOLVERS,
    datasets=data.paths,
    grids=lasso_path.FAMILY.grids,
    relative_to_null=True,
    targets=(Target(error=1e-6, geometric_mean=1 / 5, worst=0.5),),
    sweeps=lasso_path.FAMILY,
)
