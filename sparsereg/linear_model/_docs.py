"""Docstring parts that several estimators share, written once.

``@documented`` replaces each line ``{name}`` of a docstring by the part of that name.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T", bound=Callable[..., Any])

_PARTS = {
    "fit_X": """
X : {array-like, sparse matrix} of shape (n_samples, n_features)
    Read in place: Fortran and C order, float64 and float32, and CSC are not copied.
""",
    "fit_sample_weight": """
sample_weight : float or array-like of shape (n_samples,), default=None
    Non-negative weights; only their ratios matter, and weight 0 equals absence.
""",
    "fit_intercept": """
fit_intercept : bool, default=True
    Whether to fit b. X is centered implicitly: sparse X stays sparse, and X is never copied.
""",
    "penalty_parameters": """
positive : bool, default=False
    Restrict the coefficients to be non-negative.
penalty_weights : array-like of shape (n_features,), default=None
    Factor v_j of the penalty of each feature: 0 leaves it unpenalized, ``inf`` excludes it.
""",
    "adaptive_parameters": """
initial : {"lasso_cv", "lasso", "ols", "ridge"} or estimator, default="lasso_cv"
    The initial estimate: a cross-validated lasso, the lasso at the same alpha, least squares
    (of minimum norm, where that is not unique), ridge regression with its strength chosen by
    leave-one-out, or a clone of any estimator that has ``coef_`` after ``fit``. The lassos and
    least squares share the parameters below; ridge regression treats alike all features
    that are not excluded. With ``positive=True`` negative initial coefficients count as zero.
gamma : float, default=1.0
    Power of the initial estimate in the weights; greater separates more.
n_reweightings : int, default=1
    Number of weighted fits; each takes its weights from the one before.
weight_offset : float, default=0.0
    Added to the sizes of the coefficients in the weights, in their units. 0 excludes for good
    what a fit leaves out; a positive value lets it return.
""",
    "adaptive_attributes": """
initial_coef_ : ndarray of shape (n_features,)
    The initial estimate, on all data.
penalty_weights_ : ndarray of shape (n_features,)
    Weights of the last fit, ``penalty_weights`` multiplied in.
""",
    "l0_parameters": """
l2 : float, default=0.0
    Strength of the ridge part. A small one makes the search and the certificate better where the
    noise is strong.
coef_bound : float, default=None
    Restrict the coefficients to ``|w_j| <= coef_bound``.
strategy : {"portfolio", "path", "irl1", "fbs"}, default="portfolio"
    Where the search at a given alpha starts: the forward path ("path"), reweighted l1 on CEL0 from
    zero ("irl1"), forward-backward splitting on CEL0 from zero ("fbs"), or all of them, keeping
    the best. A search by size goes through all sizes, and comes back from supports of the lasso
    unless this is "path", which is faster.
n_swaps : int or "auto", default="auto"
    Moves (a feature added, dropped or exchanged, with refit) made from each start at most; "auto"
    goes on until none improves, 0 keeps the starts as they are.
""",
    "l0_attributes": """
coef_ : ndarray of shape (n_features,)
    Coefficients, in units of y per unit of X; float32 if X is.
intercept_ : float
    Intercept, in units of y; 0.0 if ``fit_intercept=False``.
support_ : ndarray of int
    The features with non-zero coefficients, increasing.
n_nonzero_ : int
    Their number, those with penalty weight 0 not counted.
objective_ : float
    The objective at ``coef_`` in float64.
lower_bound_ : float or None
    Certificate: no w has a lower objective. None where nothing is proven: that takes ``l2``,
    ``coef_bound``, or independent columns, by size up to 100 of them or with ``exact``.
optimality_gap_ : float or None
    ``(objective_ - lower_bound_) / objective_``.
stationarity_ : float
    Certificate of a local minimum: the best change of a single coefficient lowers the objective by
    ``stationarity_^2 / 2`` times the mean square of y. At a coordinate-wise minimum, zero or the
    root of rounding.
history_ : list of (stage, objective)
    The best objective after each stage of the search; it never rises.
n_iter_ : int
    Moves of the search, and nodes of branch and bound.
converged_ : bool
    Whether the search ended by itself.
""",
    "stopping_parameters": """
tol : float, default=1e-4
    Stop when the duality gap is at most ``tol * sum_i s_i (y_i - mean(y))^2 / n`` (without
    the mean if there is no intercept).
max_iter : int, default=1000
    Budget of passes over X, the unit of scikit-learn's epochs; a handful is usual.
""",
    "strategy": """
strategy : {"portfolio", "path", "irl1", "fbs"}, default="portfolio"
    How minima are looked for: down a path of alphas ("path"), by iteratively reweighted l1 from
    zero ("irl1"), by forward-backward splitting from zero ("fbs"), or by all three, keeping the
    best minimum ("portfolio").
""",
    "local_stopping_parameters": """
tol : float, default=1e-6
    Stop when no change of a single coefficient would lower the objective by more than
    ``tol^2 / 2`` times the weighted mean of ``(y_i - mean(y))^2`` (without the mean if there is no
    intercept).
max_iter : int, default=1000
    Budget of passes over X of each descent; a handful is usual.
warm_start : bool, default=False
    Take ``coef_`` of the previous fit, if it has the right shape, as one more start.
""",
    "local_attributes": """
coef_ : ndarray of shape (n_features,)
    Coefficients, in units of y per unit of X; float32 if X is.
intercept_ : float
    Intercept, in units of y; 0.0 if ``fit_intercept=False``.
support_ : ndarray of int
    The features with nonzero coefficients, increasing.
objective_ : float
    Loss plus penalty at the solution, in squared units of y.
stationarity_ : float
    Certificate of a local minimum: the best change of a single coefficient lowers the objective by
    ``stationarity_^2 / 2`` times the mean square of y (see ``tol``). Zero at a coordinate-wise
    minimum.
history_ : list of (stage, n_iter, objective, stationarity)
    The best objective after each stage of the strategy: it never rises.
n_iter_ : int
    Steps taken: coordinate-descent epochs, Newton steps and active-set changes.
converged_ : bool
    Whether ``stationarity_ <= tol``.
""",
    "backend": """
backend : str, default="auto"
    Who computes: "auto" (configuration, environment, then the type of X), "numba", "cupy" or
    the name of a registered backend.
""",
    "random_state": """
random_state : int, RandomState instance or None, default=None
    Accepted so that scikit-learn code runs unchanged; the solver is deterministic.
""",
    "grid_parameters": """
eps : float, default=1e-3
    Ratio of the smallest to the largest alpha of an automatic grid.
n_alphas : int, default=100
    Number of alphas of an automatic grid.
alphas : int or array-like, default=None
    The alphas themselves (used in decreasing order), or their number; None means ``n_alphas``.
""",
    "cv_parameters": """
cv : int, cross-validation generator or iterable, default=None
    As in scikit-learn; None is 5 folds without shuffling. Folds are zero weights on the same
    X: no fold copies it.
scoring : str or callable, default=None
    A scikit-learn scorer, greater is better, for ``scores_`` and the choice of alpha; None is
    the negative mean squared error.
selection : {"min", "1se"} or callable, default="min"
    "min" takes the alpha with the best mean score, "1se" the largest alpha within one
    standard error of it, and a callable gets ``(alphas, scores)``, of shapes (n_alphas,) and
    (n_alphas, n_folds), and returns an index.
n_jobs : int, default=None
    Number of folds at a time, each in a thread and with Gram matrices of its own; None is 1
    and -1 is all processors.
""",
    "verbose_cv": """
verbose : int, default=0
    1 shows a progress bar over the alphas of all folds.
""",
    "solution_attributes": """
coef_ : ndarray of shape (n_features,) or (n_targets, n_features)
    Coefficients, in units of y per unit of X; float32 if X is.
support_ : ndarray of int
    The features with a non-zero coefficient, of any target, increasing.
intercept_ : float or ndarray of shape (n_targets,)
    Intercept, in units of y; 0.0 if ``fit_intercept=False``.
dual_gap_ : float or ndarray of shape (n_targets,)
    Certificate: the objective is at most this far above its minimum.
n_iter_ : int or list of int
    Steps taken between the passes over X: active-set changes and coordinate-descent epochs.
history_ : list of (n_iter, dual_gap, working_set_size)
    State after each pass over X, or on few rows at the start and the end; a list of them for each
    of several targets.
converged_ : bool
    Whether the tolerance was reached (for every target).
""",
    "penalty_weights": """
penalty_weights : array-like of shape (n_features,), default=None
    Factor v_j of the penalty of each feature: 0 leaves it unpenalized, ``inf`` excludes it.
""",
    "multi_task_solution_attributes": """
coef_ : ndarray of shape (n_tasks, n_features)
    Coefficients, in units of y per unit of X; float32 if X is.
support_ : ndarray of int
    The features with a non-zero coefficient, of any target, increasing.
intercept_ : ndarray of shape (n_tasks,)
    Intercepts, in units of y; zeros if ``fit_intercept=False``.
dual_gap_ : float
    Certificate: the objective is at most this far above its minimum.
n_iter_ : int
    Steps taken between the passes over X: sweeps of block coordinate descent and Newton steps.
history_ : list of (n_iter, dual_gap, working_set_size)
    State after each pass over X.
converged_ : bool
    Whether the tolerance was reached.
""",
    "multi_task_choice_attributes": """
coef_ : ndarray of shape (n_tasks, n_features)
    Coefficients of the fit on all data at ``alpha_``; float32 if X is.
intercept_ : ndarray of shape (n_tasks,)
    Its intercepts.
coef_path_ : ndarray of shape (n_tasks, n_features, n_alphas)
    Coefficients on all data along the grid (at the chosen l1_ratio).
intercept_path_ : ndarray of shape (n_tasks, n_alphas)
    Their intercepts.
fold_coef_path_ : list of sparse arrays of shape (n_tasks * n_features, n_alphas)
    Coefficients on the training part of each fold, one task after another.
dual_gap_ : float
    Certificate of the fit on all data at ``alpha_``.
dual_gap_path_ : ndarray of shape (n_alphas,)
    Certificates of the fits on all data along the grid.
n_iter_ : int
    Steps taken along the whole path on all data.
converged_ : bool
    Whether that fit reached its tolerance.
""",
    "mixture_parameters": """
fit_intercept : bool, default=True
    Whether each regression has an intercept.
variance : {"tied", "free"}, default="tied"
    Whether the regressions share a variance.
init : {"spectral", "random"}, default="spectral"
    The first start of a fit: from the second moments of y and the columns, or random. More starts
    are random; the best after a few iterations goes on.
n_init : int, default=5
    Number of starts; if one explains everything, the rest is left out.
max_iter : int, default=300
    Iterations of the run that goes on.
tol : float, default=1e-6
    Stop when the objective changes by no more than this, and fitted values by no more than
    ``sqrt(tol)`` standard deviations of y.
""",
    "mixture_attributes": """
coef_ : ndarray of shape (n_components, n_features)
    Coefficients; the regressions are in the order of their weights, largest first.
intercept_ : ndarray of shape (n_components,)
    Intercepts, in units of y.
weights_ : ndarray of shape (n_components,)
    Probabilities of the regressions.
noise_variance_ : ndarray of shape (n_components,)
    Variances, in squared units of y.
responsibilities_ : ndarray of shape (n_samples, n_components)
    Probability of each regression, for each row.
labels_ : ndarray of int of shape (n_samples,)
    The most probable regression of each row.
log_likelihood_ : float
    Weighted mean over the rows; with "alternating", of rows and labels together.
objective_history_ : list of float
    The objective after each iteration of the run that was kept.
n_iter_ : int
    Its length.
converged_ : bool
    Whether ``tol`` was reached.
""",
    "common_attributes": """
backend_ : str
    The backend that computed.
n_features_in_ : int
    Number of features seen in ``fit``.
feature_names_in_ : ndarray of shape (n_features,)
    Their names, if X had names that are all strings.
""",
    "cv_attributes": """
alpha_ : float
    The chosen alpha.
alphas_ : ndarray of shape (n_alphas,) or (n_l1_ratio, n_alphas)
    The grid, decreasing.
mse_path_ : ndarray of shape (n_alphas, n_folds) or (n_l1_ratio, n_alphas, n_folds)
    Mean squared error on each held-out fold; NaN for folds that Ctrl-C left unfinished.
scores_ : ndarray of shape (n_alphas, n_folds) or (n_l1_ratio, n_alphas, n_folds)
    What ``scoring`` said, greater is better; ``-mse_path_`` without it.
""",
    "choice_attributes": """
coef_ : ndarray of shape (n_features,)
    Coefficients of the fit on all data at ``alpha_``; float32 if X is.
intercept_ : float
    Its intercept.
coef_path_ : ndarray of shape (n_features, n_alphas)
    Coefficients on all data along the grid (at the chosen l1_ratio or gamma).
intercept_path_ : ndarray of shape (n_alphas,)
    Their intercepts.
fold_coef_path_ : list of sparse arrays of shape (n_features, n_alphas)
    Coefficients on the training part of each fold (at the chosen l1_ratio or gamma).
dual_gap_ : float
    Certificate of the fit on all data at ``alpha_``.
dual_gap_path_ : ndarray of shape (n_alphas,)
    Certificates of the fits on all data along the grid.
n_iter_ : int
    Steps taken along the whole path on all data.
converged_ : bool
    Whether that fit reached its tolerance.
""",
    "path_data": """
X : {array-like, sparse matrix} of shape (n_samples, n_features)
    Read in place: Fortran and C order, float64 and float32, and CSC are not copied.
y : array-like of shape (n_samples,) or (n_samples, n_tasks)
    Target, or tasks that share their features.
""",
    "path_parameters": """
sample_weight : float or array-like of shape (n_samples,), default=None
    Non-negative weights; only their ratios matter.
coef_init : array-like of shape (n_features,) or (n_tasks, n_features), default=None
    Where the first alpha starts; None is zero.
""",
    "path_returns": """
alphas : ndarray of shape (n_alphas,)
    Decreasing.
coefs : ndarray of shape (n_features, n_alphas) or (n_tasks, n_features, n_alphas)
    Coefficients; float32 if X is.
dual_gaps : ndarray of shape (n_alphas,)
    Certificates.
n_iters : list of int
    Steps taken at each alpha, with ``return_n_iter=True`` only.
""",
    "path_raises": """
ValueError, TypeError
    For wrong parameters or data.
BackendUnavailableError
    If ``backend`` names one that cannot serve here.
""",
    "mlp_parameters": """
hidden_layer_sizes : int or sequence of int, default=(100,)
    Rectified units in each hidden layer.
penalty : Penalty, KSupport or Hierarchical, default=None
    Of :mod:`sparsereg.penalties`. None is ``L1(1e-4)`` for weights, ``L21(1e-3)`` for groups,
    ``Hierarchical(1e-3)`` with ``skip="lasso"``.
penalize : {"weights", "inputs", "neurons"}, default="weights"
    Single weights of all layers; the weights of an input in the first layer together; or those
    that enter a hidden neuron together.
skip : {"lasso"}, default=None
    LassoNet: linear terms beside the network, and a feature is in the network only if it has
    one. The network is first trained without penalty.
learning_rate : float, default=None
    At the start; None is 5e-3 for Adam, and 1e-2 for the SGD with momentum of ``KSupport`` and
    ``Hierarchical``. In ``fit`` it falls to zero along half a cosine over ``max_iter`` epochs.
max_iter : int, default=200
    Passes over the data; more of them come closer to a minimum.
batch_size : int, default=100
    Samples in a batch.
tol : float, default=1e-3
    Relative improvement that counts.
n_iter_no_change : int, default=10
    Epochs without one after which the objective has settled. Early stopping stops there, and so
    does each training of ``path``, where the learning rate is constant.
early_stopping : bool, default=False
    Whether to look at the loss on held-out samples, and to return the best network.
validation_fraction : float, default=0.1
    Share of samples held out for it.
device : str, default="cpu"
    Where to train: a device of torch, or "auto" for a GPU if there is one.
random_state : int, RandomState instance or None, default=None
    Of the initial weights, the batches and the held-out samples.
verbose : int, default=0
    1 shows a progress bar.
""",
    "mlp_attributes": """
coefs_ : list of ndarray of shape (n_in, n_out)
    Weights of each layer, with exact zeros.
intercepts_ : list of ndarray of shape (n_out,)
    Biases.
skip_coef_ : ndarray of shape (n_features, n_outputs) or None
    The linear terms.
support_ : ndarray of int
    The inputs that are used.
sparsity_ : float
    Share of zeros in the weights.
history_ : list of (epoch, loss, monitored, sparsity)
    One line per epoch.
n_iter_ : int
    Number of epochs.
n_features_in_ : int
    Number of features seen in ``fit``.
feature_names_in_ : ndarray of shape (n_features,)
    Their names, if X had names that are all strings.
""",
    "mlp_references": """
Scardapane et al., "Group sparse regularization for deep neural networks", Neurocomputing, 2017;
Lemhadri et al., "LassoNet: a neural network with feature sparsity", JMLR, 2021.
""",
    "fit_raises": """
ValueError, TypeError
    For wrong parameters or data; the estimator is then as it was before.
BackendUnavailableError
    If ``backend`` names one that cannot serve here.
""",
}


def documented(thing: T) -> T:
    """Fill the shared parts into a docstring."""
    text = inspect.cleandoc(thing.__doc__ or "")

    def fill(match: re.Match[str]) -> str:
        indent, name = match.groups()
        lines = _PARTS[name].strip().splitlines()
        return "\n".join(indent + line if line else line for line in lines)

    thing.__doc__ = re.sub(r"(?m)^( *)\{(\w+)\}$", fill, text)
    return thing
