"""Codes of many signals: against single fits, scikit-learn, closed forms and brute force."""

import warnings

import numpy as np
import pytest
from sklearn.decomposition import sparse_encode as sklearn_sparse_encode

from sparsereg import ElasticNet, Lasso, penalties, sparse_encode
from sparsereg.exceptions import ConvergenceWarning

RNG = np.random.default_rng(5)
N_ATOMS, N_FEATURES, N_SIGNALS = 24, 15, 40
ATOMS = RNG.standard_normal((N_ATOMS, N_FEATURES)) * RNG.uniform(0.5, 2.0, (N_ATOMS, 1))
X = RNG.standard_normal((N_SIGNALS, N_FEATURES))
ALPHA = 0.3

PENALTIES = [
    penalties.L1(ALPHA),
    penalties.L1(ALPHA, positive=True),
    penalties.ElasticNet(ALPHA, l1_ratio=0.5),
    penalties.ElasticNet(ALPHA, l1_ratio=0.0),
    penalties.L1(ALPHA, weights=RNG.uniform(0.5, 2.0, N_ATOMS)),
    penalties.MCP(ALPHA, gamma=3.0),
    penalties.SCAD(ALPHA),
    penalties.Lq(ALPHA, q=0.5),
    penalties.Lq(ALPHA, q=0.7, positive=True),
    penalties.L0(ALPHA),
    penalties.CEL0(ALPHA, column_norms=np.linalg.norm(ATOMS, axis=1)),
    penalties.LogSum(ALPHA, eps=0.1),
    penalties.TransformedL1(ALPHA),
    penalties.CappedL1(ALPHA),
]
CONVEX = [penalty for penalty in PENALTIES if penalty.is_convex]


def name_of(penalty):
    return f"{type(penalty).__name__}{' >= 0' if penalty.positive else ''}"


def objectives(codes, penalty, signals=X):
    losses = 0.5 * np.sum((signals - codes @ ATOMS) ** 2, axis=1)
    return losses + [penalty.value(code) for code in codes]


@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("alpha", [0.3, 1.0])
def test_codes_are_those_of_scikit_learn(alpha, positive):
    expected = sklearn_sparse_encode(
        X, ATOMS, algorithm="lasso_cd", alpha=alpha, positive=positive, max_iter=10_000
    )
    codes = sparse_encode(X, ATOMS, penalties.L1(alpha, positive=positive), tol=1e-10)
    # objectives first: where scikit-learn stops, codes differ more than objectives
    ours = objectives(codes, penalties.L1(alpha))
    np.testing.assert_allclose(ours, objectives(expected, penalties.L1(alpha)), rtol=1e-7)
    np.testing.assert_allclose(codes, expected, atol=2e-3)


def test_a_row_is_the_lasso_of_that_signal_on_the_atoms():
    codes = sparse_encode(X[:3], ATOMS, penalties.L1(ALPHA), tol=1e-12)
    for x, code in zip(X, codes):
        single = Lasso(ALPHA / N_FEATURES, fit_intercept=False, tol=1e-12).fit(ATOMS.T, x)
        np.testing.assert_allclose(code, single.coef_, atol=1e-6)


@pytest.mark.parametrize("penalty", PENALTIES, ids=name_of)
def test_orthonormal_atoms_are_coded_by_the_prox(penalty):
    atoms = np.linalg.qr(RNG.standard_normal((N_ATOMS, N_ATOMS)))[0]
    signals = RNG.standard_normal((6, N_ATOMS))
    codes = sparse_encode(signals, atoms, penalty, tol=1e-12)
    expected = [penalty.prox(atoms @ x, 1.0) for x in signals]
    np.testing.assert_allclose(codes, expected, atol=1e-9)


@pytest.mark.parametrize("penalty", CONVEX, ids=name_of)
def test_the_gap_bounds_the_distance_to_the_minimum(penalty):
    best = objectives(sparse_encode(X, ATOMS, penalty, tol=1e-13), penalty)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for max_iter in (1, 3, 10):
            codes, gaps, _ = sparse_encode(
                X, ATOMS, penalty, max_iter=max_iter, return_certificates=True
            )
            excess = objectives(codes, penalty) - best
            assert np.all(excess <= gaps * (1 + 1e-9) + 1e-12)


@pytest.mark.parametrize("penalty", PENALTIES, ids=name_of)
def test_no_change_of_a_single_coefficient_helps(penalty):
    codes = sparse_encode(X[:4], ATOMS, penalty, tol=1e-7, max_iter=5000)
    here = objectives(codes, penalty, X[:4])
    for j in range(N_ATOMS):
        for value in np.append(np.linspace(-2, 2, 41), 0.0):
            if penalty.positive and value < 0:
                continue
            moved = codes.copy()
            moved[:, j] = value
            assert np.all(objectives(moved, penalty, X[:4]) >= here - 1e-9)


@pytest.mark.parametrize("penalty", PENALTIES, ids=name_of)
def test_certificates_are_below_the_tolerance(penalty):
    tol = 1e-9 if penalty.is_convex else 1e-5
    _, certificates, n_iters = sparse_encode(
        X, ATOMS, penalty, tol=tol, max_iter=5000, return_certificates=True
    )
    scale = np.sum(X**2, axis=1) if penalty.is_convex else 1.0
    assert np.all(certificates <= tol * scale)
    assert np.all((n_iters > 0) & (n_iters < 5000))


def test_where_descent_crawls_the_end_is_exact():
    atoms = 1.0 + 0.1 * ATOMS  # nearly the same
    codes, gaps, n_iters = sparse_encode(
        X, atoms, penalties.L1(0.01), tol=1e-12, return_certificates=True
    )
    assert n_iters.max() > 100
    assert np.all(gaps <= 1e-12 * np.sum(X**2, axis=1))
    single = Lasso(0.01 / N_FEATURES, fit_intercept=False, tol=1e-12).fit(atoms.T, X[5])
    np.testing.assert_allclose(codes[5], single.coef_, atol=1e-6)


def test_excluded_atoms_are_as_if_they_were_absent():
    weights = np.ones(N_ATOMS)
    weights[::3] = np.inf
    kept = np.isfinite(weights)
    codes = sparse_encode(X, ATOMS, penalties.L1(ALPHA, weights=weights))
    assert not codes[:, ~kept].any()
    np.testing.assert_array_equal(
        codes[:, kept], sparse_encode(X, ATOMS[kept], penalties.L1(ALPHA))
    )


def test_zero_atoms_and_zero_signals_get_zero():
    atoms, signals = ATOMS.copy(), X.copy()
    atoms[4], signals[2] = 0.0, 0.0
    codes = sparse_encode(signals, atoms, penalties.L1(ALPHA), init=np.ones((N_SIGNALS, N_ATOMS)))
    assert not codes[:, 4].any()
    assert not codes[2].any()


def test_the_solution_as_a_start_takes_one_sweep():
    penalty = penalties.L1(ALPHA)
    codes = sparse_encode(X, ATOMS, penalty, tol=1e-10)
    again, _, n_iters = sparse_encode(
        X, ATOMS, penalty, init=codes, tol=1e-9, return_certificates=True
    )
    np.testing.assert_allclose(again, codes, atol=1e-6)
    assert np.all(n_iters == 1)


def test_the_start_is_not_written_to():
    start = np.ones((N_SIGNALS, N_ATOMS))
    sparse_encode(X, ATOMS, init=start)
    assert np.all(start == 1.0)


def test_signals_are_solved_independently_of_their_neighbors():
    penalty = penalties.L1(ALPHA)
    together = sparse_encode(X, ATOMS, penalty)
    for k in (0, 7, N_SIGNALS - 1):
        np.testing.assert_allclose(sparse_encode(X[[k]], ATOMS, penalty)[0], together[k], atol=1e-9)


def test_blocks_of_rows_are_put_together_in_order(monkeypatch):
    from sparsereg.solvers import batch

    whole = sparse_encode(X, ATOMS)
    monkeypatch.setattr(batch, "_BLOCK_SIZE", 1)
    monkeypatch.setattr(batch, "_MIN_ROWS", 7)
    np.testing.assert_allclose(sparse_encode(X, ATOMS), whole, atol=1e-9)


def test_float32_in_float32_out():
    codes = sparse_encode(X.astype(np.float32), ATOMS.astype(np.float32), penalties.L1(ALPHA))
    assert codes.dtype == np.float32
    np.testing.assert_allclose(codes, sparse_encode(X, ATOMS, penalties.L1(ALPHA)), atol=1e-3)


def test_too_few_sweeps_are_a_warning_that_says_how_many_signals():
    with pytest.warns(ConvergenceWarning, match=r"the worst of \d+ out of 40 signals"):
        sparse_encode(X, ATOMS, penalties.L1(1e-3), max_iter=1, tol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"dictionary": ATOMS[:, :-1]}, ValueError, "must have an atom per row, of shape"),
        ({"init": np.zeros((2, 2))}, ValueError, r"must have shape \(40, 24\)"),
        ({"penalty": penalties.L1(0.0)}, ValueError, "leaves 24 of 24 atoms unpenalized"),
        ({"penalty": penalties.L1(1.0, weights=np.ones(3))}, ValueError, "has shape"),
        ({"penalty": 0.1}, TypeError, "not a separable penalty"),
        ({"tol": -1.0}, ValueError, "tol"),
        ({"max_iter": 0}, ValueError, "max_iter"),
        ({"backend": "abacus"}, ValueError, "no backend named"),
        ({"X": np.full((2, N_FEATURES), np.nan)}, ValueError, "NaN"),
        ({"X": X[0]}, ValueError, "2D array"),
    ],
)
def test_wrong_arguments_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        sparse_encode(**{"X": X, "dictionary": ATOMS, **arguments})


def test_results_do_not_depend_on_the_number_of_threads(monkeypatch):
    from sparsereg.backends.numba import threads

    signals = RNG.standard_normal((200, N_FEATURES))  # enough work for threads to take part
    one = sparse_encode(signals, ATOMS, penalties.L1(0.01))
    monkeypatch.setattr(threads, "n_threads", lambda: 3)
    np.testing.assert_array_equal(sparse_encode(signals, ATOMS, penalties.L1(0.01)), one)


@pytest.mark.parametrize("which", ["X", "dictionary"])
def test_squares_beyond_float64_are_refused_at_once(which):
    rng = np.random.default_rng(0)
    data = {"X": rng.standard_normal((20, 5)), "dictionary": rng.standard_normal((8, 5))}
    data[which] *= 1e200
    with pytest.raises(ValueError, match="scaled beyond float64"):
        sparse_encode(**data)


def test_without_any_atom_all_codes_are_zero():
    penalty = penalties.L1(0.1, weights=np.full(3, np.inf))
    codes, gaps, _ = sparse_encode(np.eye(3), np.eye(3), penalty, return_certificates=True)
    assert not codes.any()
    assert not gaps.any()


@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("l1_ratio", [1.0, 0.5])
@pytest.mark.parametrize("shape", [(60, 20), (20, 60), (15, 15)])
def test_newton_steps_lead_to_the_solution_where_supports_change(shape, l1_ratio, positive):
    rng = np.random.default_rng(sum(shape))
    atoms = rng.standard_normal(shape) + 0.7  # correlated: the first support is wrong
    atoms[1] = atoms[0]  # dependent columns
    signals = rng.standard_normal((30, shape[1]))
    penalty = penalties.ElasticNet(0.4, l1_ratio=l1_ratio, positive=positive)
    codes, gaps, _ = sparse_encode(
        signals, atoms, penalty, tol=1e-12, max_iter=100_000, return_certificates=True
    )
    assert np.all(gaps <= 1e-12 * np.sum(signals**2, axis=1))
    for signal, code in zip(signals, codes):
        model = ElasticNet(
            0.4 / shape[1], l1_ratio=l1_ratio, positive=positive, fit_intercept=False, tol=1e-12
        ).fit(atoms.T, signal)
        np.testing.assert_allclose(atoms.T @ code, atoms.T @ model.coef_, atol=1e-4)
