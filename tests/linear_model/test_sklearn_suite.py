"""scikit-learn's own coordinate-descent tests, run on our classes.

The test file is taken from the installed scikit-learn and executed while ``sklearn.linear_model``
shows our names, so that parametrized tests get ours too. Its functions then become tests of
this file. They write scikit-learn's call signatures; where ours lack a parameter, a thin subclass
accepts the keyword and drops it (X is never modified, the Gram matrix is chosen automatically, the
input is always checked, the order of descent is the solver's own), so that the results must agree
whatever was asked for. What is not run is listed in ``DESELECTED``, parametrization by
parametrization where possible.
"""

import importlib.util
import inspect
import warnings
from fractions import Fraction
from types import CodeType

import numpy as np
import pytest
import sklearn.linear_model

import sparsereg
from sparsereg.exceptions import ConvergenceWarning

SUITE = "sklearn.linear_model.tests.test_coordinate_descent"
SINGLE = ("ElasticNet", "Lasso", "MultiTaskElasticNet", "MultiTaskLasso")
CHOSEN = tuple(f"{name}CV" for name in SINGLE)
PATHS = ("enet_path", "lasso_path")
NAMES = (*SINGLE, *CHOSEN, *PATHS)

# Parameters of scikit-learn that we do not have, at their defaults there. (Our cross-validated
# classes have a ``selection`` of their own; scikit-learn's tests never pass it to them.)
DROPPED_BY_INIT = {"precompute": False, "copy_X": True, "selection": "cyclic"}
DROPPED_BY_CV_INIT = {"precompute": "auto", "copy_X": True}
DROPPED_BY_FIT = {"check_input": True}
DROPPED_BY_PATH = {"precompute": "auto", "check_input": True}

OTHER_CODE = "Exercises only code that is not replaced: scikit-learn's internals."
GRAM = "No `precompute`: no Gram matrix is taken from the caller, so none can be wrong or adapted."
OVERWRITES = "No `copy_X`: X is read in place and never overwritten."
UNCHECKED = "No `check_input`: the input is always checked, so C order cannot give false results."
NO_PARAMS = "Paths have no `**params`; Python itself refuses an unknown keyword with a TypeError."
LIVE_N_ALPHAS = "`n_alphas` and `alphas=None` are live parameters here, not deprecated ones."
EXACT_AT_ZERO = "alpha=0 is solved exactly by least squares, so there is nothing to warn about."
CANCELLATION = "Its P - D in float64 is pure rounding at our gaps (1e-15); in fractions below."
ONE_PASS_IS_ENOUGH = "max_iter=1 solves its 2 x 4 problem, so there is no miss; a miss is below."

DESELECTED = {
    "test_set_order_dense": OTHER_CODE,
    "test_set_order_sparse": OTHER_CODE,
    "test_cython_solver_equivalence": OTHER_CODE,
    "test_elasticnet_precompute_incorrect_gram": GRAM,
    "test_overridden_gram_matrix": GRAM,
    "test_lassoCV_does_not_set_precompute": GRAM,
    "test_enet_copy_X_False_check_input_False": OVERWRITES,
    "test_check_input_false": UNCHECKED,
    "test_path_unknown_parameter": NO_PARAMS,
    "test_path_function_deprecated_n_alphas": LIVE_N_ALPHAS,
    "test_lasso_alpha_warning": EXACT_AT_ZERO,
    "test_lasso_dual_gap": CANCELLATION,
    "test_enet_coordinate_descent_raises_convergence": ONE_PASS_IS_ENOUGH,
}


def _accepting(cls, dropped):
    """Return a subclass whose constructor also takes, and keeps for ``clone``, ``dropped``."""
    own = inspect.signature(cls.__init__)

    def __init__(self, *args, **kwargs):
        for name, default in dropped.items():
            setattr(self, name, kwargs.pop(name, default))
        cls.__init__(self, *args, **kwargs)

    keywords = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default)
        for name, default in dropped.items()
    ]
    __init__.__signature__ = own.replace(parameters=[*own.parameters.values(), *keywords])
    return type(cls.__name__, (cls,), {"__init__": __init__})


def _dropping(function, dropped):
    """Return the function with the keywords ``dropped`` accepted and ignored."""

    def wrapper(*args, **kwargs):
        return function(*args, **{k: v for k, v in kwargs.items() if k not in dropped})

    return wrapper


def _stand_ins():
    """Return our names under scikit-learn's call signatures."""
    stand_ins = {}
    for name in SINGLE:
        stand_ins[name] = _accepting(getattr(sparsereg, name), DROPPED_BY_INIT)
        stand_ins[name].fit = _dropping(stand_ins[name].fit, DROPPED_BY_FIT)
    for name in CHOSEN:
        stand_ins[name] = _accepting(getattr(sparsereg, name), DROPPED_BY_CV_INIT)
    for name in PATHS:
        stand_ins[name] = _dropping(getattr(sparsereg, name), DROPPED_BY_PATH)
    return stand_ins


def _execute_suite(stand_ins):
    """Execute scikit-learn's test file with the stand-ins in ``sklearn.linear_model``."""
    pytest.register_assert_rewrite(SUITE)
    spec = importlib.util.find_spec(SUITE)
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        for name, stand_in in stand_ins.items():
            patch.setattr(sklearn.linear_model, name, stand_in)
        spec.loader.exec_module(module)
    return module


def _label(value):
    return getattr(value, "__name__", repr(value))


def _remove_case(function, argument, label):
    """Remove the cases of a parametrized test with that argument; return how many there were."""
    marks, removed = [], 0
    for mark in function.pytestmark:
        names, *cases = mark.args if mark.name == "parametrize" else ("", ())
        names = [name.strip() for name in names.split(",")] if isinstance(names, str) else names
        if argument in names:
            at = names.index(argument)
            values = [case if len(names) > 1 else (case,) for case in cases[0]]
            kept = [c for c, value in zip(cases[0], values) if _label(value[at]) != label]
            removed += len(values) - len(kept)
            mark = pytest.mark.parametrize(mark.args[0], kept, **mark.kwargs).mark
        marks.append(mark)
    function.pytestmark = marks
    return removed


def _deselect(tests):
    """Take the entries of DESELECTED out of ``tests``; return what each of them took out."""
    taken_out = {}
    for entry in DESELECTED:
        name, _, case = entry.removesuffix("]").partition("[")
        if case and name in tests:
            taken_out[entry] = _remove_case(tests[name], *case.split("="))
        else:
            taken_out[entry] = tests.pop(name, None)
    return taken_out


STAND_INS = _stand_ins()
_module = _execute_suite(STAND_INS)
TESTS = {name: value for name, value in vars(_module).items() if name.startswith("test_")}
TAKEN_OUT = _deselect(TESTS)
globals().update(TESTS)


def _names_used(code):
    nested = [const for const in code.co_consts if isinstance(const, CodeType)]
    return set(code.co_names).union(*map(_names_used, nested))


def _entries(*reasons):
    return [entry for entry, reason in DESELECTED.items() if reason in reasons]


def test_the_suite_runs_on_our_classes():
    for name in NAMES:
        assert vars(_module)[name] is STAND_INS[name]
        assert getattr(sklearn.linear_model, name).__module__.startswith("sklearn.")
    for name in (*SINGLE, *CHOSEN):
        assert issubclass(STAND_INS[name], getattr(sparsereg, name))
    assert len(TESTS) > 40


def test_stand_ins_add_nothing_that_we_have():
    for name in SINGLE:
        ours = getattr(sparsereg, name)
        assert not DROPPED_BY_INIT.keys() & inspect.signature(ours).parameters
        assert not DROPPED_BY_FIT.keys() & inspect.signature(ours.fit).parameters
    for name in CHOSEN:
        ours = getattr(sparsereg, name)
        assert not DROPPED_BY_CV_INIT.keys() & inspect.signature(ours).parameters
    for name in PATHS:
        ours = getattr(sparsereg, name)
        assert not DROPPED_BY_PATH.keys() & inspect.signature(ours).parameters


@pytest.mark.parametrize("entry", DESELECTED)
def test_deselected_test_exists(entry):
    assert TAKEN_OUT[entry]


@pytest.mark.parametrize("entry", _entries(OTHER_CODE))
def test_deselected_as_other_code_uses_none_of_our_names(entry):
    assert not _names_used(TAKEN_OUT[entry].__code__) & set(NAMES)


@pytest.mark.parametrize(
    ("reason", "parameter"),
    [(GRAM, "precompute"), (OVERWRITES, "copy_X=False"), (UNCHECKED, "check_input=False")],
)
def test_deselected_for_a_parameter_is_about_that_parameter(reason, parameter):
    for entry in _entries(reason):
        assert parameter in inspect.getsource(TAKEN_OUT[entry])


# What takes the place of tests deselected for a difference in behavior.


@pytest.mark.parametrize("path", [sparsereg.enet_path, sparsereg.lasso_path])
def test_path_refuses_unknown_parameter(path):
    X, y, _, _ = _module.build_dataset(n_samples=50, n_features=20)
    with pytest.raises(TypeError, match="normalize"):
        path(X, y, normalize=True, fit_intercept=True)


@pytest.mark.parametrize("path", [sparsereg.enet_path, sparsereg.lasso_path])
def test_path_takes_the_number_of_alphas_by_either_name(path):
    X, y, _, _ = _module.build_dataset(n_samples=9, n_features=5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        by_n_alphas = path(X, y, n_alphas=5)
        by_alphas = path(X, y, alphas=5)
        by_default = path(X, y, alphas=None)
    assert len(by_n_alphas[0]) == 5
    assert len(by_default[0]) == 100
    for ours, same in zip(by_n_alphas, by_alphas):
        np.testing.assert_array_equal(ours, same)


def test_alpha_zero_is_least_squares_and_quiet():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((30, 8)), rng.standard_normal(30)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lasso = sparsereg.Lasso(alpha=0).fit(X, y)
    ols = sklearn.linear_model.LinearRegression().fit(X, y)
    np.testing.assert_allclose(lasso.coef_, ols.coef_, rtol=1e-12)
    np.testing.assert_allclose(lasso.intercept_, ols.intercept_, rtol=1e-12, atol=1e-14)


def gap_by_subtraction(X, y, w, alpha):
    """Return P - D, D at the best feasible multiple of the residual, in the arithmetic of X."""
    n, residual = len(y), y - X.dot(w)
    # the dual at scale * residual / n is a concave parabola in the scale, which is in [0, feasible]
    feasible = n * alpha / max(abs(X.T.dot(residual)))
    scale = max(0, min(feasible, y.dot(residual) / residual.dot(residual)))
    primal = residual.dot(residual) / (2 * n) + alpha * sum(abs(w))
    dual = (y.dot(y) - (y - scale * residual).dot(y - scale * residual)) / (2 * n)
    return float(primal - dual)


def exact_gap(X, y, w, alpha):
    to_fractions = np.vectorize(Fraction, otypes=[object])
    return gap_by_subtraction(*map(to_fractions, (X, y, w)), Fraction(alpha))


def dual_gap_problem():
    """Return the data and the alpha of scikit-learn's test_lasso_dual_gap."""
    X, y, _, _ = _module.build_dataset(n_samples=10, n_features=30)
    return X, y, 0.01 * np.max(np.abs(X.T @ y)) / len(y)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("max_iter", [1, 2, 3, 5, 1000])
def test_lasso_dual_gap_is_primal_minus_dual_in_exact_arithmetic(max_iter):
    X, y, alpha = dual_gap_problem()
    lasso = sparsereg.Lasso(alpha=alpha, max_iter=max_iter, tol=1e-12, fit_intercept=False)
    lasso.fit(X, y)
    rounding = 4 * np.finfo(float).eps * np.mean(y**2)
    expected = exact_gap(X, y, lasso.coef_, alpha)
    assert lasso.dual_gap_ == pytest.approx(expected, rel=1e-7, abs=rounding)


def test_deselected_for_cancellation_cancels():
    X, y, alpha = dual_gap_problem()
    w = sparsereg.Lasso(alpha=alpha, fit_intercept=False).fit(X, y).coef_
    exact = exact_gap(X, y, w, alpha)
    # 1e-7 is the relative tolerance of test_lasso_dual_gap
    assert gap_by_subtraction(X, y, w, alpha) != pytest.approx(exact, rel=1e-7, abs=0)


@pytest.mark.parametrize("warm_start", [True, False])
def test_deselected_as_solved_in_one_pass_is_solved(warm_start):
    # the problem and the bad start of test_enet_coordinate_descent_raises_convergence
    X, y = np.array([[-1, -1, 1, 1], [1, 1, -1, -1]]), np.array([-1, 1])
    lasso = sparsereg.Lasso(alpha=1e-10, fit_intercept=False, max_iter=1, tol=1e-10)
    lasso.set_params(warm_start=warm_start).coef_ = np.array([1, 1, 1, 1000])
    lasso.fit(X, y)
    assert lasso.converged_
    assert exact_gap(X, y, lasso.coef_, 1e-10) <= 1e-10 * np.mean(y**2)


@pytest.mark.parametrize("warm_start", [True, False])
def test_a_miss_from_a_bad_start_warns_as_in_scikit_learn(warm_start):
    X, y, _, _ = _module.build_dataset()
    lasso = sparsereg.Lasso(alpha=1e-3, max_iter=1, tol=1e-10, warm_start=warm_start)
    lasso.coef_ = np.zeros(X.shape[1])
    lasso.coef_[0] = 1000.0
    message = "Objective did not converge. You might want to increase the number of iterations"
    with pytest.warns(ConvergenceWarning, match=message):
        lasso.fit(X, y)
    assert not lasso.converged_


@pytest.mark.parametrize("name", ["ElasticNetCV", "LassoCV"])
def test_cv_agrees_with_the_multi_task_class_on_one_target(name):
    ours, theirs = fit_one_target(name, tol=1e-14)
    np.testing.assert_allclose(ours.l1_ratio_, getattr(theirs, "l1_ratio_", 1.0))
    np.testing.assert_allclose(ours.alpha_, theirs.alpha_)
    np.testing.assert_allclose(ours.coef_, theirs.coef_[0], rtol=1e-7)
    np.testing.assert_allclose(ours.intercept_, theirs.intercept_[0], rtol=1e-7)


def fit_one_target(name, tol):
    """Fit our class, and scikit-learn's MultiTask class, on one target."""
    X, y, _, _ = _module.build_dataset(n_features=10)
    params = {"alphas": 5, "eps": 2e-3, "tol": tol}
    if name == "ElasticNetCV":
        params["l1_ratio"] = [0.5, 0.7]
    ours = getattr(sparsereg, name)(**params).fit(X, y)
    return ours, getattr(sklearn.linear_model, f"MultiTask{name}")(**params).fit(X, y[:, None])
